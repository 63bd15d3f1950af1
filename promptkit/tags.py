"""The tags of a template: `{% example %}`, and a role's turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context

from promptkit.errors import TemplateError
from promptkit.prompts import Piece, Role
from promptkit.provenance import Rendered, Slot, rendered

MARKS = "promptkit_marks"
"""Where a rendering notes its slots and turns, as (kind, line), among the names it is given."""


class ExampleTag(Extension):
    """`{% example %}`: its body once per shot, and once for the query up to the answer."""

    tags = {"example"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endexample",), drop_needle=True)
        call = self.call_method("_examples", [nodes.ContextReference(), nodes.Const(line)])
        names = [nodes.Name("input", "param"), nodes.Name("output", "param")]
        return nodes.CallBlock(call, names, [], body).set_lineno(line)

    def _examples(self, context: Context, line: int, caller: Callable[..., Rendered]) -> Rendered:
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
        given[MARKS].append(("slot", line))
        return rendered(pieces + asked)


def _owned(block: Rendered, example: str) -> list[Piece]:
    """The pieces of one example's block, each marked as the example's."""
    return [piece if piece.example else piece._replace(example=example) for piece in block.pieces]


class RoleTag(Extension):
    """`{% system %}`, `{% user %}`, `{% assistant %}`: one turn of a chat."""

    tags = set(get_args(Role))  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        token = next(parser.stream)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        words = [nodes.Const(token.value), nodes.Const(token.lineno)]
        call = self.call_method("_turn", [nodes.ContextReference(), *words])
        return nodes.CallBlock(call, [], [], body).set_lineno(token.lineno)

    def _turn(
        self, context: Context, role: str, line: int, caller: Callable[[], Rendered]
    ) -> Rendered:
        pieces = caller().pieces
        if any(piece.kind == "open" for piece in pieces):
            raise jinja2.TemplateRuntimeError(f"a turn inside {{% {role} %}}: turns do not nest")
        context.parent.get(MARKS, []).append(("open", line))
        return rendered([Piece(role, "open"), *pieces, Piece(role, "close")])


def check_marks(pieces: Sequence[Piece], marks: Sequence[tuple[str, int]], file: str) -> None:
    """Raises `TemplateError` where a filter swallowed the answer slot or the bounds of a turn."""
    for kind, line in marks:
        if all(piece.kind != kind for piece in pieces):
            what = "the answer slot" if kind == "slot" else "a turn"
            raise TemplateError(
                f"{what} is lost: a filter goes over the whole block, or it is never printed; "
                "filter the values inside it instead",
                file=file,
                line=line,
            )
