"""The tags of a template: `{% example %}`, and a role's turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context

from promptkit.prompts import Piece, Role
from promptkit.provenance import Rendered, Slot, rendered


class ExampleTag(Extension):
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


class RoleTag(Extension):
    """`{% system %}`, `{% user %}`, `{% assistant %}`: one turn of a chat."""

    tags = set(get_args(Role))  # noqa: RUF012

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
