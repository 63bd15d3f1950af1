"""A quick lint before a model runs: an error stops, and warnings are a sentence or two.

What a task must be is known once it is loaded, so only its templates can have errors. No model is
looked at, few examples are rendered, and rows are compared with rows only where they are few.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from promptkit.errors import TemplateError
from promptkit.linting import catalogue as rules
from promptkit.linting.data_rules import (
    answers_in_inputs,
    characters,
    counts,
    label_characters,
    near_repeats,
)
from promptkit.linting.findings import Finding
from promptkit.linting.lint import check_template, padding_shown
from promptkit.linting.show import shown_path
from promptkit.linting.subject import Subject, read_subject
from promptkit.tasks.task import Task
from promptkit.templating.template import BUILT_IN, Template
from promptkit.translation import tr, trn

MOST_NEAR = 1_000
"""So many rows are compared with one another."""
MOST_ROWS = 20_000
"""So many rows are looked at."""
_RENDERED = 4
"""Number of the task's examples that are rendered."""
_OF_SHOTS = {
    rule.id
    for rule in (
        *(rules.SHOTS_IGNORED, rules.SHOTS_DIFFER, rules.FINAL_NEWLINE),
        *(rules.NO_SEPARATOR, rules.SHOTS_ON_A_LINE),
    )
}
"""Rules that say nothing where no prompt has shots."""


def screen(task: Task[Any, Any], templates: Sequence[Template], shots: Sequence[int]) -> list[str]:
    """Return sentences about likely faults of a task and of the templates it is to run with.

    Raises `TemplateError` for what certainly is: what `promptkit lint` calls an error.
    """
    subject = read_subject(task)
    skipped = _OF_SHOTS if max(shots, default=0) == 0 else set()
    found = {template: _of_template(subject, template, skipped) for template in templates}
    errors = [(t, one) for t in found for one in found[t] if one.severity == "error"]
    if errors:
        raise _refusal(task, errors[0][1], len(errors) - 1, [template for template, _ in errors])
    warned = {t: [one for one in some if one.severity == "warning"] for t, some in found.items()}
    known = {rule for some in warned.values() for rule in some}
    known |= {one for one in _of_rows(subject, templates) if one.severity == "warning"}
    unreachable = (_unreachable(subject, t, some) for t, some in warned.items())
    sentences = [sentence for sentence in unreachable if sentence is not None]
    if known:
        names = ", ".join(sorted({one.rule for one in known}))
        number = trn("{n:,} warning", "{n:,} warnings", len(known))
        command = _command(task, [template for template, some in warned.items() if some])
        sentences.append(
            tr(
                "lint: {number} ({names}); see {command}",
                number=number,
                names=names,
                command=command,
            )
        )
    return sentences


def _of_template(subject: Subject, template: Template, skipped: set[str]) -> list[Finding]:
    try:
        found = list(check_template(subject, template, _RENDERED))
    except RecursionError:  # it is the checks that do not go so deep
        return []
    return [finding for finding in found if finding.rule not in skipped]


def _of_rows(subject: Subject, templates: Sequence[Template]) -> Iterator[Finding]:
    """Yield findings about rows and labels; the task is loaded, so its rows are valid."""
    rows = len(subject.all_rows)
    checks: list[Callable[[Subject], Iterator[Finding]]] = [label_characters]
    if rows <= MOST_ROWS:
        checks += [counts, answers_in_inputs, characters]
    if rows <= MOST_NEAR:
        checks.append(near_repeats)
    for check in checks:
        yield from check(subject)
    if rows <= MOST_ROWS:
        yield from padding_shown(subject, templates)


def _refusal(
    task: Task[Any, Any], finding: Finding, others: int, templates: Sequence[Template]
) -> TemplateError:
    command = _command(task, templates)
    seen = (
        tr("{command} lists {others} more", command=command, others=others)
        if others
        else tr("see {command}", command=command)
    )
    # What the renderer refuses, it says what to do about.
    fix = "" if finding.rule == rules.RENDERING.id else f"; {finding.fix}"
    return TemplateError(
        tr(
            "lint error {rule}: {message}{fix}\n"
            "  ({seen}; --no-lint, or lint=False, asks nevertheless)",
            rule=finding.rule,
            message=finding.message,
            fix=fix,
            seen=seen,
        ),
        file=None if finding.file is None else shown_path(finding.file),
        line=finding.line,
        column=finding.column,
    )


def _unreachable(subject: Subject, template: Template, findings: Sequence[Finding]) -> str | None:
    """Return a sentence about gold answers that a template cannot produce, if there are any."""
    found = [one for one in findings if one.rule == rules.UNREACHABLE_ANSWER.id]
    if not found:
        return None
    count, tests = len(found), len(subject.rows["tests"])
    return tr(
        "with {name}, {count:,} of {tests:,} gold answers can never be given: {message}; {fix}",
        name=template.name,
        count=count,
        tests=tests,
        message=found[0].message,
        fix=found[0].fix,
    )


def _command(task: Task[Any, Any], templates: Sequence[Template]) -> str:
    """Return the command that shows the findings."""
    if task.folder is None:
        return "promptkit.lint(task)"
    words = ["promptkit", "lint", shown_path(str(task.folder))]
    files = [Path(template.file) for template in templates if template.file is not None]
    own = task.folder / "templates"
    usual = {BUILT_IN / task.template, BUILT_IN / f"{task.template}.j2"}
    if any(file.parent != own and file not in usual for file in files):
        names = [file.name if file.parent == BUILT_IN else str(file) for file in files]
        words += [word for name in dict.fromkeys(names) for word in ("--template", name)]
    return f"`{shlex.join(words)}`"
