"""Jinja templates that render a task's examples into prompts.

A template sees `task`, `labels`, `shots` and `query`. `{% example %}` is rendered once per shot
and once for the query, where `{{ output }}` is the answer slot; `{% system %}`, `{% user %}` and
`{% assistant %}` make turns. The rendered text is the prompt: nothing touches it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2

from promptkit.errors import DataError, PromptError, TemplateError
from promptkit.examples import Example
from promptkit.layout import around_output, candidates, cut
from promptkit.prompts import Piece, Prompt
from promptkit.provenance import (
    Origin,
    TracingEnvironment,
    View,
    join,
    trace,
)
from promptkit.selection import Selection, default_selection, draw, same
from promptkit.tags import MARKS, ExampleTag, RoleTag, check_marks
from promptkit.task import Task

_PACKAGE = Path(__file__).parent
BUILT_IN = next(
    folder for folder in (_PACKAGE / "built_in", _PACKAGE.parent / "templates") if folder.is_dir()
)
"""The folder of the built-in templates: inside the installed package, or in the source tree."""


@dataclass(frozen=True)
class Template:
    """A template's name and its source.

    `folders` is where its own `{% include %}` and `{% extends %}` look, first to last, and
    nowhere else.
    """

    source: str
    name: str = "<template>"
    folders: tuple[Path, ...] = (BUILT_IN,)
    file: str | None = None

    @classmethod
    def load(cls, name: str | Path, folder: str | Path | None = None) -> Template:
        """A template by path, or by name: in `folder` first, then among the built-in ones.

        A name has no slash in it. Raises `TemplateError` where there is none, it is not UTF-8,
        or it does not parse.
        """
        path, folders = _find(name, Path(folder) if folder is not None else None)
        try:
            source = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise TemplateError(
                f"byte {error.object[error.start]:#04x} is not UTF-8; save the template as UTF-8",
                file=str(path),
                line=error.object.count(b"\n", 0, error.start) + 1,
            ) from None
        except OSError as error:
            raise TemplateError(error.strerror or str(error), file=str(path)) from None
        template = cls(source, path.name, folders, str(path))
        _ = template._compiled
        return template

    @classmethod
    def of(cls, task: Task[Any, Any], name: str | Path | None = None) -> Template:
        """The template of a task: `name`, or the one that the task names as its own."""
        folder = task.folder / "templates" if task.folder is not None else None
        return cls.load(name if name is not None else task.template, folder)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the source, in hexadecimal."""
        return sha256(self.source.encode()).hexdigest()

    def render(
        self,
        task: Task[Any, Any],
        *,
        shots: int | Sequence[Example[Any, Any]] = 0,
        query: Any,
        seed: int = 0,
        selection: Selection | None = None,
    ) -> Prompt:
        """The prompt that asks for `query` after `shots` demonstrations.

        `shots` is a number to draw from the task's pool, or the demonstrations themselves.
        `query` is an `Example`, an input of the task, or a dict of its fields. Raises
        `TemplateError` naming file, line and example, `DataError` for a query that does not fit
        the task, and `PromptError` for a pool that is too small or a query among its own shots.
        """
        asked = task.as_query(query)
        if isinstance(shots, str) or not isinstance(shots, Sequence):  # draw() checks the number
            chosen = selection or default_selection(task)
            shots = draw(task.demos, asked, shots, seed=seed, selection=chosen)
        elif any(same(shot, asked) for shot in shots):
            raise PromptError(f"example {asked.id!r} is among its own shots")
        pieces = self._render(task, shots, asked)
        prompt = cut(pieces, task.labels, self.file or self.name)
        shown = tuple(shot.id for shot in shots)
        prompt = replace(prompt, shots=shown, query=asked.id, format=task.output_type.format)
        if any(piece.kind == "slot" for piece in pieces):
            return prompt
        return self._follow_shots(prompt, pieces, task, shots, asked)

    def _follow_shots(
        self,
        prompt: Prompt,
        pieces: Sequence[Piece],
        task: Task[Any, Any],
        shots: Sequence[Example[Any, Any]],
        asked: Example[Any, Any],
    ) -> Prompt:
        """A plain loop says only in its shots what stands around an answer: read it there."""
        if not shots and len(task.demos):
            pieces = self._render(task, [task.demos[0]], asked)
        lead, stop = around_output(pieces)
        if prompt.messages:
            stop = ""  # the end of the turn
            if prompt.messages[-1].role != "assistant":  # the answer is a turn of its own
                lead = ""
        lead = prompt.lead or lead
        return replace(prompt, candidates=candidates(task.labels, lead), lead=lead, stop=stop)

    def _render(
        self,
        task: Task[Any, Any],
        shots: Sequence[Example[Any, Any]],
        asked: Example[Any, Any],
    ) -> tuple[Piece, ...]:
        compiled = self._compiled
        marks: list[tuple[str, int]] = []
        context = compiled.new_context(
            {
                "task": View("task", {"name": task.name, "instruction": task.instruction}),
                "labels": trace(task.labels, Origin(None, "labels")),
                "shots": tuple(_shot_view(task, shot) for shot in shots),
                "query": View("input", task.fields_of(asked), asked.id),
                MARKS: marks,
            }
        )
        try:
            pieces = join(compiled.root_render_func(context)).pieces
            check_marks(pieces, marks, self.file or self.name)
            return pieces
        except (DataError, TemplateError):
            raise
        except Exception as error:
            raise _located(error, self.file or self.name) from error

    @property
    def _compiled(self) -> jinja2.Template:
        try:
            return _compile(self.source, self.name, self.file, self.folders)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                error.message or "syntax error",
                file=error.filename or error.name or self.name,
                line=error.lineno,
            ) from None


def _find(name: str | Path, folder: Path | None) -> tuple[Path, tuple[Path, ...]]:
    path = Path(name)
    if path.parent != Path():  # a path
        return path, (path.parent, BUILT_IN)
    folders = (folder, BUILT_IN) if folder is not None else (BUILT_IN,)
    for place in folders:
        for candidate in (place / path, place / f"{path}.j2"):
            if candidate.is_file():
                return candidate, folders
    if path.is_file():
        return path, (Path(), BUILT_IN)
    known = sorted({f.name for place in folders if place.is_dir() for f in place.glob("*.j2")})
    raise TemplateError(
        f"there is no template {str(name)!r}; there is {', '.join(known)}, "
        f"and a path names any other"
    )


class _Loader(jinja2.FileSystemLoader):
    """Reads included templates."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except UnicodeDecodeError as error:
            raise TemplateError(
                f"byte {error.object[error.start]:#04x} is not UTF-8; save the template as UTF-8",
                file=template,
            ) from None


@lru_cache(maxsize=128)
def _compile(
    source: str, name: str, file: str | None, folders: tuple[Path, ...]
) -> jinja2.Template:
    environment = TracingEnvironment(
        loader=_Loader(folders, encoding="utf-8-sig"), extensions=[ExampleTag, RoleTag]
    )
    code = environment.compile(source, name, file or name)
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


def _shot_view(task: Task[Any, Any], shot: Example[Any, Any]) -> View:
    fields: Mapping[str, Any] = {
        "id": shot.id,
        "input": View("input", task.fields_of(shot), shot.id),
        "output": trace(task.answer_of(shot), Origin(shot.id, "output")),
        "metadata": View("metadata", shot.metadata, shot.id),
    }
    return View("shot", fields, shot.id)


def _located(error: Exception, file: str) -> TemplateError:
    """The error with the template line and the example it happened on."""
    line: int | None = None
    example: str | None = None
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        compiled = frame.f_globals.get("__jinja_template__")
        if compiled is not None:
            file = compiled.filename or compiled.name or file
            line = compiled.get_corresponding_lineno(traceback.tb_lineno)
            example = next(_examples_in(frame.f_locals), example)
        traceback = traceback.tb_next
    if isinstance(error, jinja2.TemplateSyntaxError):  # in an included template
        file, line = error.filename or error.name or file, error.lineno
    if isinstance(error, jinja2.TemplateNotFound):
        reason = f"there is no template {error.name!r} in its search path"
    elif isinstance(error, jinja2.TemplateError):
        reason = error.message or str(error)
    else:
        reason = f"{type(error).__name__}: {error}"
    return TemplateError(reason, file=file, line=line, example=example)


def _examples_in(variables: Mapping[str, Any]) -> Iterator[str]:
    views = (value for value in reversed(list(variables.values())) if isinstance(value, View))
    return (view._example for view in views if view._example is not None)
