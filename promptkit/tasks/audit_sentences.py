"""The slots and sentences of an audit in a task folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from promptkit.errors import DataError, Problem, TaskError
from promptkit.tasks.audit_settings import AuditSection, TermSection
from promptkit.tasks.examples import Example, texts_of
from promptkit.tasks.reading import Columns, read_examples
from promptkit.tasks.swap_patterns import pattern_of
from promptkit.tasks.swap_slots import Swaps, SwapSlot, SwapTerm, checked
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import tr


class _Sentence(NamedTuple):
    """A sentence and its place, for messages."""

    example: Example[Any, Any]
    id: str
    file: str
    line: int | None = None


def swaps_of(
    section: AuditSection,
    file: str | None,
    path: Path,
    parser: ExampleParser,
    columns: Columns,
    codes: Mapping[str, str],
) -> Swaps:
    """Return the slots and sentences of an audit; what does not fit is a problem of the parser.

    Args:
        section: `[audit]` of the task.
        file: The file of sentences, relative to the task's folder; None without one.
        path: The `task.toml`.
        parser: The parser of the task's rows.
        columns: The columns of the task's rows.
        codes: Labels by the codes that stand for them.

    Raises:
        TaskError: `[audit]` is invalid, or there is no such file.
    """
    slots = {name: _slot(name, section, path) for name in section.swap}
    found = [*_inline(section, path, parser)]
    if file is not None:
        found += _of_file(path.parent / file, parser, columns, codes)
    for one in found:
        parser.problems += _problems(one, slots)
    return Swaps(slots, tuple([one.example for one in found]))


def section_of(swaps: Swaps) -> dict[str, Any]:
    """Return the section `[audit]` for a task's slots, if it has some; sentences are in a file."""
    slots: dict[str, Any] = {}
    for name, slot in swaps.slots.items():
        own = slots[name] = {}
        for term in slot.terms:
            written = {"text": term.text, "forms": dict(term.forms)} if term.forms else term.text
            if term.group is None:
                own.setdefault("terms", []).append(written)
            else:
                groups = own.setdefault("groups", {})
                groups.setdefault(term.group, {"terms": []})["terms"].append(written)
    return {"audit": {"swap": slots}} if slots else {}


def _slot(name: str, section: AuditSection, path: Path) -> SwapSlot:
    declared = section.swap[name]
    rows: list[tuple[str | TermSection, str | None, Mapping[str, str]]] = []
    rows += [(term, None, {}) for term in declared.terms]
    for group, own in declared.groups.items():
        rows += [(term, group, own.forms) for term in own.terms]
    terms = [
        SwapTerm(term, shared, group)
        if isinstance(term, str)
        else SwapTerm(term.text, {**shared, **term.forms}, group)
        for term, group, shared in rows
    ]
    return checked(SwapSlot(name, tuple(terms)), f"{path}: audit.swap.{name}")


def _inline(section: AuditSection, path: Path, parser: ExampleParser) -> Iterator[_Sentence]:
    """Yield the sentences of `task.toml`, each the only text of an input."""
    if not section.sentences:
        return
    fields = parser.input_type.model_fields
    if len(fields) != 1 or any(info.annotation is not str for info in fields.values()):
        raise TaskError(
            tr(
                "{path}: audit.sentences: they are for an input of one text, and this one "
                'has the fields {fields}; write a file of rows, and audit = "FILE" in '
                "[files]",
                path=path,
                fields=", ".join(fields),
            )
        )
    for number, text in enumerate(section.sentences, start=1):
        id = f"audit sentence {number}"
        example = parser.parse({"id": id, "input": dict.fromkeys(parser.keys, text)}, example=id)
        if example is not None:
            yield _Sentence(example, id, str(path))


def _of_file(
    path: Path, parser: ExampleParser, columns: Columns, codes: Mapping[str, str]
) -> Iterator[_Sentence]:
    try:
        file = read_data_file(path)
        found = read_examples(file, parser, columns, codes=codes)
    except DataError as error:  # of the file as a whole
        parser.problems += error.problems
        return
    for example, line in zip(*found, strict=True):
        yield _Sentence(example, example.id, str(file), line)


def _problems(one: _Sentence, slots: Mapping[str, SwapSlot]) -> Iterator[Problem]:
    """Yield what cannot be filled in a sentence."""
    for text in texts_of(one.example.input):
        try:
            pattern_of(text, slots)
        except ValueError as error:
            yield Problem(str(error), one.file, one.line, one.id, value=text)
