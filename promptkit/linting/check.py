"""`promptkit.lint`: every check of a task, its templates and, with a model, its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.meta
from pydantic import BaseModel

from promptkit.errors import PromptkitError, TaskError, TemplateError
from promptkit.examples import Example
from promptkit.linting import catalogue as rules
from promptkit.linting import rendered
from promptkit.linting.data_rules import DATA_RULES
from promptkit.linting.findings import Finding, Rule, did_you_mean
from promptkit.linting.names import Names
from promptkit.linting.pages import Page, Pages
from promptkit.linting.rendered import SHOWN_RULES, TEXT_RULES, asked_for
from promptkit.linting.shapes import ANY, NUMBER, TEXT, Items, Record, Shape, record_of
from promptkit.linting.source_rules import SOURCE_RULES
from promptkit.linting.subject import Subject, demonstrations, inputs, read_subject
from promptkit.linting.tokens import check_prompts, token_costs
from promptkit.prompts import Prompt
from promptkit.task import Task
from promptkit.templates import Template, find_template, read_template

if TYPE_CHECKING:
    from promptkit.models.llama import LlamaModel

RULES: tuple[Rule, ...] = tuple(rule for rule in vars(rules).values() if isinstance(rule, Rule))
"""Every rule, in the order of `docs/lint.md`."""

_SAMPLE = 40
"""How many of a task's examples are rendered, evenly spread."""
_IGNORE = re.compile(r"\{#[-+]?\s*lint:\s*ignore\s+([\w, \t-]*?)\s*[-+]?#\}")
_LEVELS = ("error", "warning", "note")


def lint(
    task: Task[Any, Any] | str | Path,
    *,
    templates: Sequence[str | Path] = (),
    model: LlamaModel | None = None,
    shots: int = 8,
    ignore: Iterable[str] = (),
) -> tuple[Finding, ...]:
    """What is wrong with a task or its folder, errors first.

    `templates` are names or paths; by default the task's own, and all in its folder that no other
    one loads. With a `model`, its tokens are checked too, for up to `shots` shots. `ignore` names
    rules, for all files; in a template, `{# lint: ignore RULE #}` does so for that file. Raises
    `TaskError` for what is no task at all, and for a rule that there is not.
    """
    ignored = _known_rules(ignore)
    subject = read_subject(task)
    found: dict[Finding, None] = {}
    for check in DATA_RULES:
        found |= dict.fromkeys(check(subject))
    for page, template in _templates(subject, templates, found):
        found |= dict.fromkeys(_check_template(subject, page, template, model, shots))
    if model is not None:
        found |= dict.fromkeys(token_costs(subject, model))
    kept = [finding for finding in found if finding.rule not in ignored]
    return tuple(sorted(kept, key=_order))


def lint_template(task: Task[Any, Any], template: Template) -> tuple[Finding, ...]:
    """What is wrong with a template, which need not stand in a file, for a task."""
    page = Page(template.name, template.file or template.name, template.source)
    return tuple(dict.fromkeys(_check_template(read_subject(task), page, template, None, 0)))


def _order(finding: Finding) -> tuple[int, str, int, int]:
    level = _LEVELS.index(finding.severity)
    return level, finding.file or "", finding.line or 0, finding.column or 0


def _known_rules(names: Iterable[str]) -> set[str]:
    known = {rule.id for rule in RULES}
    for name in (names := set(names)):
        if name not in known:
            close = did_you_mean(name, known)
            hint = f"did you mean {close!r}?" if close else "docs/lint.md lists them"
            raise TaskError(f"there is no rule {name!r}; {hint}")
    return names


# --- which templates ------------------------------------------------------------------------------


def _templates(
    subject: Subject, names: Sequence[str | Path], found: dict[Finding, None]
) -> Iterator[tuple[Page, Template]]:
    """The templates to check; one that cannot be read is a finding."""
    task = subject.task
    folder = task.folder / "templates" if task.folder is not None else None
    chosen = list(names) or [task.template, *_own(folder)]
    seen = set()
    for name in chosen:
        try:
            path, folders = find_template(name, folder)
        except TemplateError as error:
            if name in names:
                raise
            where = subject.at_key("template")
            found[rules.MISSING_TEMPLATE.at(where, error.reason, "name one of these")] = None
            continue
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        try:
            raw = read_template(path)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            where = Page(path.name, str(path), "").line(line)
            finding = rules.SYNTAX.at(where, "this is not UTF-8", "save the template as UTF-8")
            found[finding] = None
            continue
        page = Page(path.name, str(path), raw)
        yield page, Template(raw, path.name, folders, str(path))


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


def _check_template(
    subject: Subject, page: Page, template: Template, model: LlamaModel | None, shots: int
) -> Iterator[Finding]:
    pages = Pages(template.environment)
    pages.read.append(page)
    found = list(_all_of_template(subject, page, template, pages, model, shots))
    ignored = {one.file: _ignored_in(one) for one in pages.read}
    for finding in found:
        if finding.rule not in ignored.get(finding.file or "", ()):
            yield finding


def _ignored_in(page: Page) -> set[str]:
    """The rules that a template's own comments leave out."""
    ignored: set[str] = set()
    for comment in _IGNORE.finditer(page.source):
        line = page.source.count("\n", 0, comment.start()) + 1
        try:
            ignored |= _known_rules(re.split(r"[,\s]+", comment[1]))
        except TaskError as error:
            raise TemplateError(str(error), file=page.file, line=line) from None
    return ignored


def _all_of_template(
    subject: Subject,
    page: Page,
    template: Template,
    pages: Pages,
    model: LlamaModel | None,
    shots: int,
) -> Iterator[Finding]:
    names = Names(pages, _given(subject))
    try:
        names.check(page)
        _ = page.tokens
    except TemplateError as error:  # a template that it loads is not UTF-8
        yield rendered.rendering_error(error, page, pages.read)
        return
    except jinja2.TemplateSyntaxError as error:
        where = page.line(error.lineno)
        yield rules.SYNTAX.at(where, error.message or "syntax error", "mend the syntax")
        return
    yield from names.findings
    for one in pages.read:
        for check in SOURCE_RULES:
            yield from check(one)
    if any(finding.severity == "error" for finding in names.findings):
        return  # it does not render, or not what its author means
    seen = list(_check_rendered(subject, page, template, pages.read))
    yield from seen
    if any(finding.severity == "error" for finding in seen):
        return
    fields = subject.task.types()[0].model_fields
    unused = [name for name, info in fields.items() if not info.exclude and name not in names.read]
    misspelt = any(finding.rule == rules.NEVER_DEFINED.id for finding in names.findings)
    for name in unused if not misspelt else []:
        yield rules.UNUSED_FIELD.at(
            page.line(1), f"the field {name!r} is never shown", "print it, or drop the field"
        )
    if model is not None:
        yield from check_prompts(subject, page, template, model, shots)


def _given(subject: Subject) -> dict[str, Shape]:
    """The shapes of what a template sees."""
    task = subject.task
    record = record_of(task.types()[0])
    rows = subject.rows["demos"]
    keys = dict.fromkeys(key for row in rows for key in row.example.metadata)
    metadata = Record("metadata", tuple((key, ANY) for key in keys), open=not rows)
    kinds = {type(row.example.output) for row in rows}
    is_number = not task.labels and kinds and kinds <= {int, float}
    output = NUMBER if is_number else TEXT if task.labels else ANY
    fields = (("id", TEXT), ("input", record), ("output", output), ("metadata", metadata))
    return {
        "task": Record("task", (("name", TEXT), ("instruction", TEXT))),
        "labels": Items(TEXT),
        "shots": Items(Record("shot", fields)),
        "query": record,
    }


def _check_rendered(
    subject: Subject, page: Page, template: Template, pages: Sequence[Page]
) -> Iterator[Finding]:
    values = inputs(subject)
    demos = demonstrations(subject, values[-1]) if values else []
    if not demos:
        return
    try:
        renderer = template.renderer(subject.task)
        probe = rendered.render(renderer, page, pages, values, demos)
        unseen = [finding for check in SHOWN_RULES for finding in check(probe)]
        yield from unseen
        if not unseen:
            for text_check in TEXT_RULES:
                yield from text_check(probe)
            yield from _check_examples(subject, template, values, demos[0])
    except PromptkitError as error:
        yield rendered.rendering_error(error, page, pages)


def _check_examples(
    subject: Subject, template: Template, values: Sequence[BaseModel], like: Example[Any, Any]
) -> Iterator[Finding]:
    """Real examples go through the template, and stay in their places."""
    demos, renderer = subject.rows["demos"], template.renderer(subject.task)
    stop = renderer.render(asked_for(values[0]), [like] if len(values) > 1 else []).stop
    rows = subject.all_rows
    for row in rows[:: max(1, len(rows) // _SAMPLE)]:
        shot = next((d.example for d in demos[:3] if _differ(d.example, row.example)), None)
        renderer.render(row.example, [shot] if shot is not None else [])
    if "\n" in stop:
        for row in rows:
            texts = [text for _, text in subject.texts(row) if stop in text.strip()]
            if texts and _escapes(renderer.render(row.example, []), stop, row.example.id):
                yield rules.BREAKS_OUT.at(
                    row.at(texts[0]),
                    f"{texts[0]!r:.60} contains {stop!r}, which ends an answer",
                    "take it out of the value, or print the value with | tojson",
                )


def _differ(one: Any, other: Any) -> bool:
    return bool(one.id != other.id and one.input != other.input)


def _escapes(prompt: Prompt, stop: str, id: str) -> bool:
    pieces = [p for m in prompt.messages for p in m.pieces] or prompt.pieces
    return any(
        stop in piece.text for piece in pieces if piece.kind == "data" and piece.example == id
    )
