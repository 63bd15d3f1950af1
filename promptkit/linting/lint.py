"""`promptkit.lint`: every check of a task, its templates and, with a model, its tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import jinja2.meta

from promptkit.errors import PromptkitError, TaskError, TemplateError
from promptkit.linting import catalogue as rules
from promptkit.linting import rendered
from promptkit.linting.catalogue import RULES
from promptkit.linting.data_rules import DATA_RULES, padding
from promptkit.linting.findings import Finding
from promptkit.linting.names import NameChecker
from promptkit.linting.real_examples import check_examples, shows_padding
from promptkit.linting.rendered import SHOWN_RULES, TEXT_RULES
from promptkit.linting.shapes import ANY, NUMBER, TEXT, Items, Record, Shape, record_of
from promptkit.linting.source_rules import SOURCE_RULES
from promptkit.linting.subject import (
    Subject,
    demonstrations,
    in_each_language,
    inputs,
    read_subject,
)
from promptkit.linting.token_rules import check_prompts, token_costs
from promptkit.tasks.task import Task
from promptkit.templating.renderer import Renderer
from promptkit.templating.source import Page, Pages, Where
from promptkit.templating.template import (
    Template,
    find_template,
    own_template,
    read_template,
    templates_of,
)
from promptkit.text import did_you_mean
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.linting.token_model import TokenModel

SAMPLE = 40
"""Number of a task's examples that are rendered, evenly spread."""
_IGNORE = re.compile(r"\{#[-+]?\s*lint:\s*ignore\s+([\w, \t-]*?)\s*[-+]?#\}")


def lint(
    task: Task[Any, Any] | str | Path,
    *,
    templates: Sequence[str | Path] = (),
    model: TokenModel | None = None,
    shots: int = 8,
    ignore: Iterable[str] = (),
    notify: Callable[[str], None] | None = None,
) -> tuple[Finding, ...]:
    """Check a task, its templates and, with a model, its tokens.

    Args:
        task: The task, or its folder.
        templates: Names or paths of templates; by default the task's own, and all in its folder
            that no other template loads.
        model: A model whose tokens are checked too.
        shots: The largest number of shots that prompts are checked for with the model.
        ignore: Rules to leave out in all files; the comment `{# lint: ignore RULE #}` leaves one
            out in its own template.
        notify: A function that is called with the notes of `load_task`.

    Returns:
        The findings, errors first.

    Raises:
        TaskError: The folder holds no task, or a rule is unknown.

    Example:
        >>> lint("examples/fruit")
        ()
    """
    ignored = _known_rules(ignore)
    subject = read_subject(task, notify)
    found: dict[Finding, None] = {}
    chosen = list(_templates(subject, templates, found))
    seen = []
    for each in in_each_language(subject):
        for check in DATA_RULES:
            found |= dict.fromkeys(check(each))
        found |= dict.fromkeys(padding_shown(each, chosen))
        seen += [list(_check_template(each, one, _Depth(model, shots))) for one in chosen]
        if model is not None:
            found |= dict.fromkeys(token_costs(each, model))
    found |= dict.fromkeys(finding for some in seen for finding in some)
    if any(_makes_turns(some) for some in seen):
        ignored.add(rules.CHAT_MODEL_RAW.id)  # they are compared with it
    kept = [finding for finding in found if finding.rule not in ignored]
    return tuple(sorted(kept, key=_order))


def lint_template(task: Task[Any, Any], template: Template) -> tuple[Finding, ...]:
    """Return the findings about a template, which need not be in a file, for a task."""
    return check_template(read_subject(task), template)


def check_template(
    subject: Subject, template: Template, sample: int = SAMPLE
) -> tuple[Finding, ...]:
    """Return the findings about a template; `sample` examples are rendered, evenly spread."""
    return tuple(dict.fromkeys(_check_template(subject, template, _Depth(sample=sample))))


def _order(finding: Finding) -> tuple[int, str, int, int]:
    level = ("error", "warning", "note").index(finding.severity)
    return level, finding.file or "", finding.line or 0, finding.column or 0


def _known_rules(names: Iterable[str]) -> set[str]:
    known = {rule.id for rule in RULES}
    for name in (names := set(names)):
        if name not in known:
            hint = did_you_mean(name, known) or tr("see docs/lint.md")
            raise TaskError(tr("unknown rule {name!r}; {hint}", name=name, hint=hint))
    return names


def padding_shown(subject: Subject, templates: Sequence[Template]) -> list[Finding]:
    """Return white space around values of inputs, unless every template trims it."""
    found = list(padding(subject))
    return found if found and any(shows_padding(subject, one) for one in templates) else []


def _makes_turns(findings: Sequence[Finding]) -> bool:
    """Return whether a template without errors suits a chat model: it has turns."""
    wrong = {one.rule for one in findings if one.severity == "error"}
    return not wrong and all(one.rule != rules.CHAT_MODEL_RAW.id for one in findings)


# --- which templates ------------------------------------------------------------------------------


def _templates(
    subject: Subject, names: Sequence[str | Path], found: dict[Finding, None]
) -> Iterator[Template]:
    """The templates to check; one that cannot be read is a finding."""
    folder = templates_of(subject.task)
    seen = set()
    chosen: Sequence[str | Path | None] = names or [None, *_own(folder)]
    for name in chosen:
        try:
            path, folders = find_template(name or own_template(subject.task), folder)
        except TemplateError as error:
            if name in names:
                raise
            where = subject.at_key("template")
            found[rules.MISSING_TEMPLATE.at(where, error.reason, tr("name one of these"))] = None
            continue
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        try:
            raw = read_template(path)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            where = Where(str(path), line, 1)
            finding = rules.SYNTAX.at(
                where, tr("this is not UTF-8"), tr("save the template as UTF-8")
            )
            found[finding] = None
            continue
        yield Template(raw, path.name, folders, str(path))


def _own(folder: Path | None) -> list[Path]:
    """The templates in a task's folder that no other one loads."""
    if folder is None or not folder.is_dir():
        return []
    paths = sorted(path for path in folder.glob("*.j2") if not path.name.startswith("_"))
    loaded: set[str | None] = set()
    for path in sorted(folder.glob("*.j2")):
        try:
            tree = Page(path.name, str(path), read_template(path)).tree
        except (jinja2.TemplateSyntaxError, TemplateError, UnicodeDecodeError):
            continue
        loaded |= set(jinja2.meta.find_referenced_templates(tree)) - {path.name}
    return [path for path in paths if path.name not in loaded]


# --- one template ---------------------------------------------------------------------------------


class _Depth(NamedTuple):
    """The extent of the checks of a template."""

    model: TokenModel | None = None
    """Whose tokens are checked too, for up to `shots` shots."""
    shots: int = 0
    sample: int = SAMPLE
    """Number of the task's examples that are rendered."""


def _check_template(subject: Subject, template: Template, depth: _Depth) -> Iterator[Finding]:
    page = Page(template.name, template.file or template.name, template.source)
    pages = Pages(template.environment, page, template.place)
    found = list(_all_of_template(subject, template, pages, depth))
    ignored = {one.file: _ignored_in(one) for one in pages.read}
    for finding in found:
        if finding.rule not in ignored.get(finding.file or "", ()):
            yield finding


def _ignored_in(page: Page) -> set[str]:
    """The rules that a template's own comments leave out."""
    ignored: set[str] = set()
    for comment in _IGNORE.finditer(page.source):
        try:
            ignored |= _known_rules(re.split(r"[,\s]+", comment[1]))
        except TaskError as error:
            line = page.at(comment.start()).line
            raise TemplateError(str(error), file=page.file, line=line) from None
    return ignored


def _all_of_template(
    subject: Subject, template: Template, pages: Pages, depth: _Depth
) -> Iterator[Finding]:
    page = pages.read[0]
    names = NameChecker(pages, _given(subject))
    try:
        names.check(page)
        _ = page.tokens
    except TemplateError as error:  # a template that it loads is not UTF-8
        yield rendered.rendering_error(error, pages.read)
        return
    except jinja2.TemplateSyntaxError as error:
        yield rendered.syntax_error(error, page)
        return
    except RecursionError:
        reason = tr("an expression nests too deeply to be checked")
        yield rules.SYNTAX.at(page.line(1), reason, tr("split it with {% set %}"))
        return
    yield from names.findings
    for one in pages.read:
        for check in SOURCE_RULES:
            yield from check(one)
    if any(finding.severity == "error" for finding in names.findings):
        return  # it does not render, or not what its author means
    seen = list(_check_rendered(subject, template, pages.read, depth.sample))
    yield from seen
    if any(finding.severity == "error" for finding in seen):
        return
    fields = subject.task.types()[0].model_fields
    shown = {*names.read, subject.task.options}  # options are candidates, printed or not
    unused = [name for name, info in fields.items() if not info.exclude and name not in shown]
    if not any(finding.rule == rules.NEVER_DEFINED.id for finding in names.findings):
        for name in unused:
            message = tr("the field {name!r} is never shown", name=name)
            yield rules.UNUSED_FIELD.at(page.line(1), message, tr("print it, or drop the field"))
    if depth.model is not None:
        yield from check_prompts(subject, page, template, depth.model, depth.shots)


def _given(subject: Subject) -> dict[str, Shape]:
    """Return the shapes of the variables of a template."""
    task = subject.task
    rows = subject.rows["demos"]
    keys = dict.fromkeys(key for row in subject.all_rows for key in row.example.metadata)
    metadata = Record("metadata", tuple((key, ANY) for key in keys), open=not rows)
    known = record_of(task.types()[0])
    shown = tuple([field for field in known.fields if field[0] != task.options])
    record = replace(known, fields=shown, metadata=metadata, options=task.options)
    kinds = {type(row.example.output) for row in rows}
    is_number = not task.labels and kinds and kinds <= {int, float}
    output = NUMBER if is_number else TEXT if task.is_scored else ANY
    fields = (("id", TEXT), ("input", record), ("output", output), ("metadata", metadata))
    return {
        "task": Record("task", _of_task(task)),
        "labels": Items(TEXT),
        "shots": Items(Record("shot", fields)),
        "query": record,
    }


def _of_task(task: Task[Any, Any]) -> tuple[tuple[str, Shape], ...]:
    """Return the shapes of the fields of `task`."""
    names = tuple([(name, TEXT) for name in (*task.types()[0].model_fields, "output")])
    fields = Record("task.fields", names)
    return (("name", TEXT), ("instruction", TEXT), ("many", NUMBER), ("fields", fields))


def _check_rendered(
    subject: Subject, template: Template, pages: Sequence[Page], sample: int
) -> Iterator[Finding]:
    try:
        renderer = template.renderer(subject.task)
        probe = _probe(subject, renderer, pages)
        if probe is None:
            return
        unseen = [finding for check in SHOWN_RULES for finding in check(probe)]
        yield from unseen
        if not unseen:
            for text_check in TEXT_RULES:
                yield from text_check(probe)
            yield from check_examples(subject, renderer, probe, sample)
    except PromptkitError as error:
        yield rendered.rendering_error(error, pages)


def _probe(subject: Subject, renderer: Renderer, pages: Sequence[Page]) -> rendered.Probe | None:
    """The template, rendered for checks; None for a task of which no example is known."""
    values = inputs(subject)
    demos = demonstrations(subject, values[-1]) if values else []
    if not demos:
        return None
    try:
        return rendered.render(renderer, pages, values, demos)
    except PromptkitError:
        # A template may rightly refuse a value that is made up.
        if len(values) == 1 or not subject.is_made_up(values[1]):
            raise
        return rendered.render(renderer, pages, values[:1], demos)
