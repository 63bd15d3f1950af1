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
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context

from promptkit.errors import DataError, PromptError, TemplateError
from promptkit.examples import Example, Task
from promptkit.prompts import Message, Piece, Prompt, Role
from promptkit.provenance import (
    Origin,
    Rendered,
    Slot,
    TracingEnvironment,
    View,
    join,
    rendered,
    trace,
)
from promptkit.selection import Selection, default_selection, draw, same

_PACKAGE = Path(__file__).parent
BUILT_IN = next(
    folder for folder in (_PACKAGE / "built_in", _PACKAGE.parent / "templates") if folder.is_dir()
)
"""The folder of the built-in templates: inside the installed package, or in the source tree."""

DEFAULT_STOP = "\n"
"""What ends an answer where neither the template nor its shots say."""

_ROLES: tuple[Role, ...] = ("system", "user", "assistant")


class _ExampleTag(Extension):
    """`{% example %}`: its body once per shot, and once for the query up to the answer."""

    tags = {"example"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endexample",), drop_needle=True)
        call = self.call_method("_examples", [nodes.ContextReference()])
        names = [nodes.Name("input", "param"), nodes.Name("output", "param")]
        return nodes.CallBlock(call, names, [], body).set_lineno(line)

    def _examples(self, context: Context, caller: Callable[..., Rendered]) -> Rendered:
        # The names as given to render(), not as the template may have set them since.
        given = context.parent
        if "shots" not in given:
            raise jinja2.TemplateRuntimeError(
                "{% example %} stands in an imported template, which does not see the shots; "
                "write {% import ... with context %}"
            )
        pieces: list[Piece] = []
        for shot in given["shots"]:
            pieces += _owned(caller(shot.input, shot.output), shot.id)
        query = given["query"]
        asked = _owned(caller(query, Slot()), query._example)
        slots = sum(piece.kind == "slot" for piece in asked)
        if slots != 1:
            raise jinja2.TemplateRuntimeError(
                f"{{% example %}} prints {{{{ output }}}} {slots} times; "
                "once is where the answer goes"
            )
        return rendered(pieces + asked)


def _owned(block: Rendered, example: str) -> list[Piece]:
    """The pieces of one example's block, each marked as the example's."""
    return [piece if piece.example else piece._replace(example=example) for piece in block.pieces]


class _RoleTag(Extension):
    """`{% system %}`, `{% user %}`, `{% assistant %}`: one turn of a chat."""

    tags = set(_ROLES)  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        token = next(parser.stream)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        call = self.call_method("_turn", [nodes.Const(token.value)])
        return nodes.CallBlock(call, [], [], body).set_lineno(token.lineno)

    def _turn(self, role: str, caller: Callable[[], Rendered]) -> Rendered:
        pieces = caller().pieces
        if any(piece.kind == "open" for piece in pieces):
            raise jinja2.TemplateRuntimeError(f"a turn inside {{% {role} %}}: turns do not nest")
        return rendered([Piece(role, "open"), *pieces, Piece(role, "close")])


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
        if isinstance(shots, int):
            chosen = selection or default_selection(task)
            shots = draw(task.demos, asked, shots, seed=seed, selection=chosen)
        elif any(same(shot, asked) for shot in shots):
            raise PromptError(f"example {asked.id!r} is among its own shots")
        pieces = self._render(task, shots, asked)
        prompt = _cut(pieces, task, shots, asked, self.file or self.name)
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
        lead, stop = _around_output(pieces)
        if prompt.messages:
            stop = ""  # the end of the turn
            if prompt.messages[-1].role != "assistant":  # the answer is a turn of its own
                lead = ""
        lead = prompt.lead or lead
        return replace(prompt, candidates=_candidates(task, lead), lead=lead, stop=stop)

    def _render(
        self,
        task: Task[Any, Any],
        shots: Sequence[Example[Any, Any]],
        asked: Example[Any, Any],
    ) -> tuple[Piece, ...]:
        compiled = self._compiled
        context = compiled.new_context(
            {
                "task": View("task", {"name": task.name, "instruction": task.instruction}),
                "labels": trace(task.labels, Origin(None, "labels")),
                "shots": tuple(_shot_view(task, shot) for shot in shots),
                "query": View("input", task.fields_of(asked), asked.id),
            }
        )
        try:
            return join(compiled.root_render_func(context)).pieces
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
        loader=_Loader(folders, encoding="utf-8-sig"), extensions=[_ExampleTag, _RoleTag]
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


def _cut(
    pieces: Sequence[Piece],
    task: Task[Any, Any],
    shots: Sequence[Example[Any, Any]],
    asked: Example[Any, Any],
    file: str,
) -> Prompt:
    """The prompt before the slot, and the stop after it."""
    slot = next((i for i, piece in enumerate(pieces) if piece.kind == "slot"), None)
    before, after = list(pieces), []
    if slot is not None:
        before, after = (
            list(pieces[:slot]),
            _until_turn_ends(pieces[slot + 1 :], pieces[slot], file),
        )
    messages: tuple[Message, ...] = ()
    lead = ""
    if any(piece.kind == "open" for piece in pieces):
        messages, current = _turns(before, file)
        if slot is not None and current != "assistant":
            raise TemplateError(
                "{{ output }} stands outside {% assistant %}, which is the turn of the model",
                file=pieces[slot].file or file,
                line=pieces[slot].line,
            )
        if messages[-1].role == "assistant":
            begun, lead = _split_lead(messages[-1].pieces)
            messages = (*messages[:-1], Message("assistant", tuple(begun)))
    else:
        before, lead = _split_lead(before)
    return Prompt(
        pieces=() if messages else tuple(before),
        messages=messages,
        candidates=_candidates(task, lead),
        lead=lead,
        stop="".join(piece.text for piece in after) if slot is not None else DEFAULT_STOP,
        shots=tuple(shot.id for shot in shots),
        query=asked.id,
    )


def _candidates(task: Task[Any, Any], lead: str) -> tuple[str, ...] | None:
    return tuple(lead + label for label in task.labels) or None


def _until_turn_ends(after: Sequence[Piece], slot: Piece, file: str) -> list[Piece]:
    """What follows the answer in its own block; text that the model would never see is an error."""
    inside: list[Piece] = []
    for index, piece in enumerate(after):
        if piece.kind == "close" or piece.example != slot.example:
            rest = [p for p in after[index:] if p.kind in ("template", "data") and p.text.strip()]
            if rest:
                text = "".join(p.text for p in rest)
                raise TemplateError(
                    f"{text.strip()[:40]!r} comes after the query's answer, where the model never "
                    "reads it; move it before the examples",
                    file=rest[0].file or file,
                    line=_line_of_text(rest[0]),
                )
            break
        inside.append(piece)
    return inside


def _line_of_text(piece: Piece) -> int | None:
    """The line of the first character that is no white space."""
    if piece.line is None or piece.kind != "template":
        return piece.line
    return piece.line + piece.text[: -len(piece.text.lstrip())].count("\n")


def _turns(pieces: Sequence[Piece], file: str) -> tuple[tuple[Message, ...], Role | None]:
    """The turns, and the role of the last one where it is still open."""
    turns: list[Message] = []
    role: Role | None = None
    current: list[Piece] = []
    for piece in pieces:
        if piece.kind == "open":
            role, current = _role(piece.text), []
        elif piece.kind == "close" and role is not None:
            turns.append(Message(role, tuple(current)))
            role = None
        elif role is not None:
            current.append(piece)
        elif piece.text.strip():
            raise TemplateError(
                f"{piece.text.strip()[:40]!r} stands outside the turns; put it into "
                "{% system %}, {% user %} or {% assistant %}",
                file=piece.file or file,
                line=_line_of_text(piece),
            )
    if role is not None:
        turns.append(Message(role, tuple(current)))
    return tuple(turns), role


def _role(name: str) -> Role:
    return next(role for role in _ROLES if role == name)


def _split_lead(pieces: Sequence[Piece]) -> tuple[list[Piece], str]:
    """Moves the spaces that the template puts in front of the answer to the answer."""
    kept, lead = list(pieces), ""
    while kept and kept[-1].kind == "template":
        text = kept[-1].text.rstrip(" ")
        lead = kept[-1].text[len(text) :] + lead
        if text:
            kept[-1] = kept[-1]._replace(text=text)
            break
        kept.pop()
    return kept, lead


def _around_output(pieces: Sequence[Piece]) -> tuple[str, str]:
    """The spaces before the last shot's answer, and the text after it up to a line's end."""
    last = next((i for i in reversed(range(len(pieces))) if pieces[i].field == "output"), None)
    if last is None:
        return "", DEFAULT_STOP
    lead = _split_lead(pieces[:last])[1]
    after = ""
    for piece in pieces[last + 1 :]:
        if piece.kind != "template" or "\n" in after:
            break
        after += piece.text
    head, newline, _ = after.partition("\n")
    return lead, (head + newline) or DEFAULT_STOP


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
