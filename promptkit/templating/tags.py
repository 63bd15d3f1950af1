"""Tags of templates: `{% example %}`, and the turns of roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context

from promptkit.errors import TemplateError
from promptkit.prompts.pieces import OR_USER, Piece, Role
from promptkit.templating.tracing import Rendered, rendered
from promptkit.templating.values import RationaleSlot, Slot, View
from promptkit.translation import tr

NOTES = "promptkit_notes"
"""Name of the variable that holds the `Notes` of a rendering."""

Answers = tuple[Any, ...]
"""Possible answers to an example, as templates see them."""

Caller = Callable[[View, Any, Answers, Any], Rendered]

Mark = tuple[Literal["slot", "open"], int]
"""The answer slot or a turn, and the line of its tag."""


class Block(NamedTuple):
    """Rendered block of one example."""

    pieces: tuple[Piece, ...]
    marks: tuple[Mark, ...]


@dataclass
class Notes:
    """Results of the tags of one rendering besides its text."""

    blocks: dict[View, Block] | None = None
    """Blocks of earlier renderings by their example; None if they cannot be reused."""
    marks: list[Mark] = field(default_factory=list)
    query_block: Block | None = None
    """Block of the query."""
    input: View | None = None
    """The query as its block sees it."""
    options: str | None = None
    """Field of inputs that holds the options of their answers; None where these are labels."""
    rationale: str = "rationale"
    """Column of metadata that has the rationales of the shots."""

    def options_of(self, input: View, labels: Answers) -> Answers:
        """Return the possible answers to an input: its own, or the labels."""
        return labels if self.options is None else getattr(input, self.options)


class ExampleTag(Extension):
    """`{% example %}`: its body is rendered once per shot, and once for the query."""

    tags = {"example"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endexample",), drop_needle=True)
        call = self.call_method("_examples", [nodes.ContextReference(), nodes.Const(line)])
        names = [nodes.Name(name, "param") for name in ("input", "output", "options", "rationale")]
        return nodes.CallBlock(call, names, [], body).set_lineno(line)

    def _examples(self, context: Context, line: int, caller: Caller) -> Rendered:
        # The names as given to render(), not as the template may have set them since.
        given = context.parent
        if "shots" not in given:
            raise jinja2.TemplateRuntimeError(
                tr(
                    "{% example %} is in an imported template, which does not see the shots; "
                    "write {% import ... with context %}"
                )
            )
        notes: Notes = given[NOTES]
        pieces: list[Piece] = []
        for shot in given["shots"]:
            options = notes.options_of(shot.input, given["labels"])
            reason = self._rationale(shot, notes.rationale)
            pieces += _block(notes, shot, caller, shot.input, shot.output, options, reason).pieces
        query = given["query"]
        options = notes.options_of(query, given["labels"])
        notes.query_block = _block(
            notes,
            query,
            caller,
            notes.input or query,
            Slot(options),
            options,
            RationaleSlot(),
        )
        slots = sum(piece.kind == "slot" for piece in notes.query_block.pieces)
        if slots != 1:
            raise jinja2.TemplateRuntimeError(
                tr(
                    "{{% example %}} prints {{{{ output }}}} {slots} times; once is where the "
                    "answer goes",
                    slots=slots,
                )
            )
        kinds = [p.kind for p in notes.query_block.pieces if p.kind in ("rationale", "slot")]
        if kinds not in (["slot"], ["rationale", "slot"]):
            raise jinja2.TemplateRuntimeError(
                tr(
                    "{% example %} prints {{ rationale }} twice or after {{ output }}; it is "
                    "generated once, before the answer"
                )
            )
        notes.marks.append(("slot", line))
        return rendered([*pieces, *notes.query_block.pieces])

    def _rationale(self, shot: View, column: str) -> Any:
        """Return a shot's rationale; printing one that it does not have is an error."""
        value = getattr(shot.metadata, column, None)
        if value is not None and value != "":
            return value
        return self.environment.undefined(
            tr(
                "{{{{ rationale }}}} has no value: the metadata of this shot has no "
                "{column!r}; add the column to the demonstrations, or name another one as "
                "`rationale` in [output]",
                column=column,
            )
        )


def _block(
    notes: Notes,
    shown: View,
    caller: Caller,
    input: View,
    output: Any,
    options: Answers,
    rationale: Any,
) -> Block:
    """Return the block of an example, each of its pieces marked as the example's."""
    if notes.blocks is not None and shown in notes.blocks:
        block = notes.blocks[shown]
        notes.marks += block.marks
        return block
    before = len(notes.marks)
    owned = [
        p if p.example else p._replace(example=shown._example)
        for p in caller(input, output, options, rationale).pieces
    ]
    block = Block(tuple(owned), tuple(notes.marks[before:]))
    if notes.blocks is not None:
        notes.blocks[shown] = block
    return block


class RoleTag(Extension):
    """`{% system %}`, `{% user %}`, `{% assistant %}`: one turn of a chat.

    The text of `{% system or user %}` is put in front of the first user turn where a model's
    chat template has no system turn.
    """

    tags = set(get_args(Role))  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        token = next(parser.stream)
        name = token.value
        if name == "system" and parser.stream.skip_if("name:or"):
            parser.stream.expect("name:user")
            name = OR_USER
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        words = [nodes.Const(name), nodes.Const(token.lineno)]
        call = self.call_method("_turn", [nodes.ContextReference(), *words])
        return nodes.CallBlock(call, [], [], body).set_lineno(token.lineno)

    def _turn(
        self, context: Context, role: str, line: int, caller: Callable[[], Rendered]
    ) -> Rendered:
        pieces = caller().pieces
        if any(piece.kind == "open" for piece in pieces):
            raise jinja2.TemplateRuntimeError(
                tr("a turn inside {{% {role} %}}: turns do not nest", role=role)
            )
        if NOTES in context.parent:
            context.parent[NOTES].marks.append(("open", line))
        return rendered([Piece(role, "open"), *pieces, Piece(role, "close")])


def check_marks(pieces: Sequence[Piece], marks: Sequence[Mark], file: str) -> None:
    """Raise `TemplateError` if a filter removed the answer slot or the bounds of a turn."""
    for kind, line in marks:
        if all(piece.kind != kind for piece in pieces):
            what = tr("the answer slot") if kind == "slot" else tr("a turn")
            raise TemplateError(
                tr(
                    "{what} is lost: a filter goes over the whole block, or it is never "
                    "printed; filter the values inside it instead",
                    what=what,
                ),
                file=file,
                line=line,
            )
