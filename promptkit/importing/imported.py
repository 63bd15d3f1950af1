"""Imported tasks, their omissions, and the folder that they are written to."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from promptkit.errors import TaskError, TemplateError
from promptkit.files import saving
from promptkit.graphemes import beginning
from promptkit.importing.jinja import literal
from promptkit.importing.plain_values import ForeignFile
from promptkit.tasks.examples import RESERVED
from promptkit.templating.template import Template
from promptkit.translation import tr


@dataclass(frozen=True)
class Omission:
    """A part of a file that was not imported, or not unchanged."""

    what: str
    """Key in the file."""
    file: str
    line: int | None
    why: str
    do: str
    """Advice to the user."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{where}: {self.what}: {self.why}; {self.do}"


class Omissions:
    """Omissions of one file."""

    def __init__(self, source: ForeignFile) -> None:
        self._source = source
        self.found: list[Omission] = []

    def add(self, keys: Sequence[str], why: str, do: str) -> None:
        """Add an omission; `keys` is the path to the value in the file."""
        line = self._source.line(*keys)
        self.found.append(Omission(".".join(keys), str(self._source.path), line, why, do))

    def add_data(self, key: str, name: str) -> None:
        """Add the omission of a data set."""
        why = tr("nothing is downloaded, so that there are no rows of {name}", name=name)
        self.add(
            [key], why, tr("write demos.csv and tests.csv and name them under [files] in task.toml")
        )


@dataclass(frozen=True)
class ImportedTask:
    """A task of a file, with its templates."""

    name: str
    templates: Mapping[str, str]
    """Sources by file name; the first is the task's own."""
    fields: Mapping[str, str] | None = None
    """Types by input field; None where a column cannot hold one of them."""
    instruction: str = ""
    labels: tuple[str, ...] = ()
    """Labels; empty where the answers are generated."""
    output_column: str = "output"
    demos: tuple[Mapping[str, Any], ...] = ()
    """Rows of the demonstrations."""
    repeats: bool = False
    """True if a row occurs twice."""


@dataclass(frozen=True)
class Imported:
    """An imported file of another tool."""

    tool: str
    tasks: tuple[ImportedTask, ...]
    lost: tuple[Omission, ...] = field(default=())

    def write(self, folder: Path) -> list[Path]:
        """Write the task, or each of several into a subfolder.

        Args:
            folder: A folder that does not exist yet, or is empty.

        Returns:
            The written files.

        Raises:
            TaskError: The folder exists and is not empty, or cannot be written.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise TaskError(
                tr("{folder} exists already; name a new folder with --out", folder=folder)
            )
        written: dict[Path, str | bytes] = {}
        names = unique(slug(" ".join(task.labels[:4]) or "generated") for task in self.tasks)
        for name, task in zip(names, self.tasks, strict=True):
            place = folder / name if len(self.tasks) > 1 else folder
            written |= {place / path: text for path, text in _files(task).items()}
        try:
            for path in written:
                path.parent.mkdir(parents=True, exist_ok=True)
            saving.write_all(written)
        except OSError as error:
            raise TaskError(f"{error.filename or folder}: {error.strerror or error}") from None
        return list(written)


def _files(task: ImportedTask) -> dict[str, str]:
    if task.fields is None:
        return dict(task.templates)
    output: dict[str, Any] = {"labels": list(task.labels)} if task.labels else {"type": "str"}
    if task.output_column != "output":
        output["column"] = task.output_column
    spec: dict[str, Any] = {"name": task.name}
    if task.instruction:
        spec["instruction"] = task.instruction
    spec |= {"template": next(iter(task.templates)), "input": task.fields, "output": output}
    files = {"task.toml": ""}
    if task.demos:
        spec["files"] = {"demos": "demos.jsonl"} | ({"repeats": "drop"} if task.repeats else {})
        rows = [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in task.demos]
        files["demos.jsonl"] = "".join(rows)
    files["task.toml"] = tomli_w.dumps(spec, multiline_strings="\n" in task.instruction)
    return files | {f"templates/{name}": source for name, source in task.templates.items()}


class RefusedError(Exception):
    """Reason why a template cannot be imported."""


def check(source: str, name: str) -> None:
    """Raise `RefusedError` if promptkit cannot render a template."""
    try:
        Template(source, name).check()
    except TemplateError as error:
        raise RefusedError(
            tr("its Jinja is not promptkit's: {reason}", reason=error.reason)
        ) from None


def labels_of(
    choices: Sequence[str] | None, keys: Sequence[str], shown: str, omissions: Omissions
) -> tuple[str, ...]:
    """Return the labels; empty, with an omission, if they clash or differ by row (None)."""
    if choices is None:
        why = tr("other choices in every row, and promptkit has one set of labels")
    elif len(set(choices)) < len(choices) or any(not x or x != x.strip() for x in choices):
        why = tr("a choice is empty, stands twice, or has white space around it")
    else:
        return tuple(choices)
    do = tr("the answers are generated; where there is one set, write `labels` under [output]")
    omissions.add(keys, f"{shown}: {why}", do)
    return ()


def column_of(field: str) -> str:
    """Return a field's name as `task.toml` allows it."""
    name = re.sub(r"\W", "_", field, flags=re.ASCII).lstrip("_") or "field"
    return f"{name}_" if name in RESERVED or name[0].isdigit() else name


def as_instruction(text: str) -> tuple[str, str]:
    """Return the instruction in a prefix, and the template that prints the prefix."""
    core = text.strip()
    if not core:
        return "", literal(text)
    before, _, after = text.partition(core)
    return core, f"{literal(before)}{{{{ task.instruction }}}}{literal(after)}"


def slug(text: str) -> str:
    """Return a text as a file name."""
    kept = [char if unicodedata.category(char)[0] in "LMN" else " " for char in text.lower()]
    return beginning("-".join("".join(kept).split()), 48).strip("-") or "task"


def unique(names: Iterable[str]) -> Iterator[str]:
    """Yield the names, numbered if one is repeated."""
    seen: set[str] = set()
    for name in names:
        number, one = 1, name
        while one in seen:
            number += 1
            one = f"{name}-{number}"
        seen.add(one)
        yield one
