"""Compilation of templates to code that counts its loops, texts, comparisons, slices and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, cast

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators, optimizeconst
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

from promptkit.sandbox.limits import Meter
from promptkit.sandbox.operations import check_text, operate
from promptkit.translation import tr

_LONGEST_CONSTANT = 10_000
"""Characters of an expression's value that is computed when the template is compiled."""

_MOST_ENTRIES = 10_000
"""Entries of a dict that is written out: keys with the same hash take quadratic time."""

_NODES_PER_STEP = 16
"""Syntax nodes of straight code that together count as one step."""

_QUICK = (nodes.Name, nodes.Const, nodes.If, nodes.Assign, nodes.Output)


class BoundedGenerator(CodeGenerator):
    """Code generator whose code calls the counting methods of a `BoundedEnvironment`."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            meter: Meter = self.environment.meter  # type: ignore[attr-defined]
            check_text(meter, node.as_const(frame.eval_ctx))
        return super()._output_child_to_const(node, frame, finalize)

    def visit_Call(  # noqa: N802
        self, node: nodes.Call, frame: Frame, forward_caller: bool = False
    ) -> None:
        if isinstance(node.node, nodes.EnvironmentAttribute):  # our own, which needs no check
            self._write_call(node.node.name, node.args, frame)
        else:
            super().visit_Call(node, frame, forward_caller=forward_caller)

    def _write_call(self, name: str, args: Iterable[nodes.Expr], frame: Frame) -> None:
        self.write(f"environment.{name}(")
        for argument in args:
            self.visit(argument, frame)
            self.write(", ")
        self.write(")")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        node.iter = _call("rounds", node.iter, nodes.Const(1 + _steps(node.body)))
        node.set_environment(self.environment)
        super().visit_For(node, frame)

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self._write_call("concatenated", node.nodes, frame)

    @optimizeconst
    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        self.write("(")
        self._visit_read(node.expr, frame)
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:  # noqa: N802
        self.write(f" {operators[node.op]} ")
        self._visit_read(node.expr, frame)

    def _visit_read(self, node: nodes.Expr, frame: Frame) -> None:
        if isinstance(node, nodes.Const):
            self.visit(node, frame)
        else:
            self._write_call("compared", [node], frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._gather(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._gather(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._gather(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _gather(self, visit: Callable[[Any, Frame], None], node: Any, frame: Frame) -> None:
        self.write("environment.made(")
        visit(node, frame)
        self.write(")")

    @optimizeconst
    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            given = [bound or nodes.Const(None) for bound in bounds]
            self._write_call("sliced", [node.node, *given], frame)
        else:
            self._write_call("getitem", [node.node, node.arg], frame)


class Folding(NodeTransformer):
    """Transformer that computes operators over constants and puts a price on callable bodies.

    Jinja's optimiser leaves operators alone that a sandbox intercepts, as all are here. Computed
    before rendering, their result is literal text of the template; else it would count as data.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        if isinstance(node, nodes.BinExpr) and node.operator not in (None, "and", "or"):
            return self._computed(node)
        return node

    def _computed(self, node: nodes.BinExpr) -> nodes.Node:
        if not isinstance(node.left, nodes.Const) or not isinstance(node.right, nodes.Const):
            return node
        try:
            left, right = node.left.value, node.right.value
            value = operate(self._meter, node.operator or "", left, right)
            constant = nodes.Const.from_untrusted(value, lineno=node.lineno)
        except Exception:  # the rendering says what is wrong, and where
            return node
        is_written = not isinstance(value, float) or isfinite(value)  # "inf" is a name
        return constant if is_written and self._meter.weigh(value) <= _LONGEST_CONSTANT else node

    def _counted(self, node: Any) -> nodes.Node:
        """Let a body that may be called any number of times begin with its price."""
        node = self.generic_visit(node)
        if steps := _steps(node.body):
            price = _call("step", nodes.Const(steps))
            node.body.insert(0, nodes.ExprStmt(price).set_lineno(node.lineno))
        return cast("nodes.Node", node)

    visit_Template = visit_Macro = visit_CallBlock = visit_Block = _counted  # noqa: N815

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        if len(node.items) > _MOST_ENTRIES:
            reason = tr(
                "a dict of more than {MOST_ENTRIES:,} entries is data; put it into a file",
                MOST_ENTRIES=_MOST_ENTRIES,
            )
            raise TemplateSyntaxError(reason, node.lineno)
        return self.generic_visit(node)


def _call(name: str, *args: nodes.Node) -> nodes.Call:
    """Return the call of a method of the environment."""
    method = nodes.EnvironmentAttribute(name)
    return nodes.Call(method, [*args], [], None, None, lineno=args[0].lineno)


def _steps(body: list[nodes.Node]) -> int:
    """Return the steps of a body once through, besides those that are counted as it runs."""
    count = 0
    for statement in body:
        for node in (statement, *statement.find_all(nodes.Node)):
            count += 1 if isinstance(node, _QUICK) else _NODES_PER_STEP
    return count // _NODES_PER_STEP
