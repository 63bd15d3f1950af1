"""Expressions of a template: the shape of each, and what is certainly wrong with it."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeVisitor

from promptkit.linting import catalogue as rules
from promptkit.linting.findings import Finding, Rule
from promptkit.linting.shapes import (
    ANY,
    INPUT,
    NUMBER,
    TEXT,
    AnswerShape,
    Items,
    Macro,
    MethodShape,
    OneOf,
    Record,
    ScalarShape,
    Shape,
    TupleShape,
    same_or_any,
)
from promptkit.templating.source import Page
from promptkit.text import did_you_mean
from promptkit.translation import mark, tr

Scope = ChainMap[str, Shape]

DEEPEST = 20
"""Depth to which macros and templates are followed."""
_GIVEN = ("task", "labels", "shots", "query")
_IN_MACRO = {"caller": ANY, "varargs": ANY, "kwargs": ANY}

_TO_TEXT = {
    *("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "join", "lower"),
    *("pprint", "replace", "safe", "string", "striptags", "title", "tojson", "trim", "truncate"),
    *("upper", "urlencode", "urlize", "wordwrap", "xmlattr"),
}
_TO_NUMBER = {"abs", "count", "filesizeformat", "float", "int", "length", "round", "wordcount"}
_SAME_ITEMS = {"list", "sort", "reverse", "unique", "selectattr", "rejectattr", "select", "reject"}
_ONE_ITEM = {"first", "last", "max", "min"}
_FOR_ANSWERS = {"letter", "tojson"}
"""Filters that may go over an answer; where they may not, rendering says so."""
_BY_ATTRIBUTE = {"map", "sort", "sum", "unique", "min", "max", "join"}
_FIRST_IS_ATTRIBUTE = {"selectattr", "rejectattr", "groupby"}


class Expressions(NodeVisitor):
    """Visits expressions, each of which has a shape; `findings` and `read` are what it finds."""

    def __init__(self, environment: jinja2.Environment, query: Shape) -> None:
        """`query` is the shape of the query's input."""
        self._environment, self._query = environment, query
        self._globals = dict.fromkeys((*environment.globals, "self"), ANY)
        self.findings: dict[Finding, None] = {}
        self.read: set[str] = set()
        """The fields of the input that are read."""
        self._page = Page("", "", "")
        self._called: set[tuple[int, tuple[Shape, ...]]] = set()
        self._depth = 0
        self._guarded: set[str] = set()
        self._told_apart: set[str] = set()
        """The values whose kind the templates test before they print them."""

    @contextmanager
    def _on(self, page: Page) -> Iterator[None]:
        before, self._page = self._page, page
        self._depth += 1
        try:
            yield
        finally:
            self._page = before
            self._depth -= 1

    def _each(self, body: Sequence[nodes.Node], scope: Scope) -> None:
        for node in body:
            self.visit(node, scope)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Shape:
        for child in node.iter_child_nodes():
            self.visit(child, *args)
        return ANY

    def _shape(self, node: nodes.Node, scope: Scope) -> Shape:
        shape = self.visit(node, scope)
        return shape if isinstance(shape, Shape) else ANY

    def _used(self, node: nodes.Node, scope: Scope, *, whole: bool = False) -> Shape:
        """The shape of a value that the template looks at, which the answer must not be."""
        return self._looked_at(node, self._shape(node, scope), whole=whole)

    def _looked_at(self, node: nodes.Node, shape: Shape, *, whole: bool) -> Shape:
        if isinstance(shape, AnswerShape):
            self._say(
                rules.ANSWER_USED,
                node,
                tr("the query's answer is not known here, so {{ output }} can only be printed"),
                tr("print it as it is, and put the wording of an answer into the labels"),
            )
            return ANY
        if whole and isinstance(shape, Record) and shape.name == INPUT:
            self.read |= set(shape.shapes)
        return shape

    def visit_Name(self, node: nodes.Name, scope: Scope) -> Shape:  # noqa: N802
        if node.name in scope:
            return scope[node.name]
        if node.name in self._guarded or node.ctx != "load":
            return ANY
        if node.name in ("input", "output", "options", "rationale"):
            fix = tr(
                "it is known inside {% example %}; elsewhere write query.FIELD, or shot.output"
            )
        elif node.name in _GIVEN:
            fix = tr("import the template {% import ... with context %}")
        else:
            known = [name for name in scope if name not in self._globals]
            close = did_you_mean(node.name, known) or did_you_mean(node.name, self._globals)
            fix = close or tr("choose one of: {known}", known=listed(known))
        self._say(rules.UNKNOWN_NAME, node, tr("unknown name {name!r}", name=node.name), fix)
        return ANY

    def visit_Getattr(self, node: nodes.Getattr, scope: Scope) -> Shape:  # noqa: N802
        return self._field(node, node.attr, self._used(node.node, scope))

    def visit_Getitem(self, node: nodes.Getitem, scope: Scope) -> Shape:  # noqa: N802
        key = node.arg.value if isinstance(node.arg, nodes.Const) else None
        shape = self._used(node.node, scope, whole=not isinstance(key, str))
        self._used(node.arg, scope)
        if isinstance(key, str):
            return self._field(node, key, shape)
        if isinstance(shape, Items):
            return shape if isinstance(node.arg, nodes.Slice) else shape.item
        return ANY

    def _field(self, node: nodes.Expr, name: str, shape: Shape) -> Shape:
        if isinstance(shape, Record):
            if name in shape.shapes:
                if shape.name == INPUT:
                    self.read.add(name)
                return shape.shapes[name]
            if not shape.open:
                self._no_field(node, name, shape, shape.shapes)
        elif isinstance(shape, ScalarShape):
            if name in shape.methods:
                return MethodShape(name)
            path = path_of(node)
            owner = (
                tr("{path!r} is a text and", path=path)
                if shape.kind is str
                else tr("{path!r} is a number and", path=path)
            )
            self._no_field(node, name, owner, shape.methods)
        elif isinstance(shape, Items):
            if name in ("count", "index"):
                return MethodShape(name)
            owner = tr("{path!r} is a list and", path=path_of(node))
            self._no_field(node, name, owner)
        return ANY

    def _no_field(self, node: nodes.Expr, name: str, of: Record | str, known: Any = None) -> None:
        """Report a field that is not there; `known` are those that are, None where it is a list."""
        path = path_of(node, whole=True)
        is_input = isinstance(of, Record) and of.name == INPUT
        beside = of.metadata.shapes if isinstance(of, Record) and of.metadata is not None else ()
        owner = of if isinstance(of, str) else of.name
        if is_input and path.startswith("query."):
            owner = "query"
        guarded = path in self._guarded
        close = did_you_mean(name, known or ())
        if name == "output" and is_input:
            fix = tr("the query's answer is not known; end the prompt where it goes")
        elif name in beside:
            fix = tr("write {path}.metadata.{name}", path=path_of(node), name=name)
        elif close:
            fix = close
        elif known is None:
            fix = tr("loop over it with {% for ... %}, or take one item, as in [0]")
        elif isinstance(of, str):
            fix = tr("print it as it is")
        else:
            implied = () if beside or not is_input else ("metadata",)
            if is_input and isinstance(of, Record) and of.options != "options":
                implied = (*implied, "options")
            fix = tr("it has {names}", names=listed([one for one in known if one not in implied]))
        rule = rules.NEVER_DEFINED if guarded else rules.UNKNOWN_FIELD
        effect = tr(", so this is never defined") if guarded else ""
        self._say(
            rule,
            node,
            tr("{owner} has no field {name!r}{effect}", owner=owner, name=name, effect=effect),
            fix,
        )

    def visit_Filter(self, node: nodes.Filter, scope: Scope) -> Shape:  # noqa: N802
        chain = [node]  # which may be long, so that it is not followed by recursion
        while isinstance(chain[-1].node, nodes.Filter):
            chain.append(chain[-1].node)
        base = chain[-1].node
        shape = self._shape(base, scope) if base is not None else ANY
        for one in reversed(chain):
            shape = self._filtered(one, shape, scope)
        return shape

    def _filtered(self, node: nodes.Filter, shape: Shape, scope: Scope) -> Shape:
        """Return the shape of a filter's result."""
        if isinstance(shape, AnswerShape) and node.name in _FOR_ANSWERS:
            self._arguments(node, scope)
            return shape
        if node.node is not None:
            shape = self._looked_at(node.node, shape, whole=True)
        self._arguments(node, scope)
        if node.name not in self._environment.filters:
            self._unknown(node, self._environment.filters)
            return ANY
        self._attribute_argument(node, shape)
        if node.name in _TO_TEXT:
            return TEXT
        if node.name in _TO_NUMBER:
            return NUMBER
        if node.name in _SAME_ITEMS and isinstance(shape, Items):
            return shape
        if node.name in _ONE_ITEM and isinstance(shape, Items):
            return shape.item
        if node.name == "map" and isinstance(shape, Items):
            return Items(ANY)
        return ANY

    def _attribute_argument(self, node: nodes.Filter, shape: Shape) -> None:
        """`map(attribute="x")` and the like read a field of every item."""
        named = [k.value for k in node.kwargs if k.key == "attribute"]
        if node.name in _FIRST_IS_ATTRIBUTE:
            named = [*node.args[:1], *named]
        elif node.name not in _BY_ATTRIBUTE:
            return
        for value in named:
            item = shape.item if isinstance(shape, Items) else ANY
            if isinstance(value, nodes.Const) and isinstance(value.value, str):
                for part in value.value.split("."):
                    item = ANY if part.isdigit() else self._field(value, part, item)

    def visit_Test(self, node: nodes.Test, scope: Scope) -> Shape:  # noqa: N802
        if node.name not in self._environment.tests:
            self._unknown(node, self._environment.tests)
        if node.name in ("defined", "undefined"):
            self.visit(node.node, scope)
        else:
            self._used(node.node, scope)
        self._arguments(node, scope)
        return ANY

    def _unknown(self, node: nodes.Filter | nodes.Test, known: Any) -> None:
        close = did_you_mean(node.name, known)
        if isinstance(node, nodes.Filter):
            message = tr("unknown filter {name!r}", name=node.name)
            fix = close or tr("see Jinja's list of built-in filters")
        else:
            message = tr("unknown test {name!r}", name=node.name)
            fix = close or tr("see Jinja's list of built-in tests")
        self._say(rules.UNKNOWN_FILTER, node, message, fix)

    def _arguments(self, node: Any, scope: Scope) -> None:
        for argument in [*(node.args or ()), *(k.value for k in node.kwargs or ())]:
            self._used(argument, scope, whole=True)

    def visit_Call(self, node: nodes.Call, scope: Scope) -> Shape:  # noqa: N802
        callee = self._shape(node.node, scope)
        if isinstance(callee, Macro) and node.dyn_args is None and node.dyn_kwargs is None:
            given = [self._shape(argument, scope) for argument in node.args]
            named = {k.key: self._shape(k.value, scope) for k in node.kwargs}
            expected = callee.node.args
            rest = [named.get(argument.name, ANY) for argument in expected[len(given) :]]
            self._macro_body(callee, given[: len(expected)] + rest)
            return TEXT
        self._arguments(node, scope)
        return ANY

    def _macro_body(self, macro: Macro, shapes: list[Shape]) -> None:
        key = id(macro.node), tuple(shapes)
        if key in self._called or self._depth >= DEEPEST:
            return
        self._called.add(key)
        with self._on(macro.page):
            inner = macro.scope.new_child(dict(_IN_MACRO))
            for argument, shape in zip(macro.node.args, shapes, strict=True):
                inner[argument.name] = shape
            for default in macro.node.defaults:
                self.visit(default, macro.scope)
            self._each(macro.node.body, inner)

    def visit_Concat(self, node: nodes.Concat, scope: Scope) -> Shape:  # noqa: N802
        for part in node.nodes:
            self._check_text(part, self._used(part, scope), mark("in Python's notation"))
        return TEXT

    def visit_CondExpr(self, node: nodes.CondExpr, scope: Scope) -> Shape:  # noqa: N802
        self._used(node.test, scope)
        shapes = [self._shape(node.expr1, scope)]
        shapes += [self._shape(node.expr2, scope)] if node.expr2 is not None else []
        return same_or_any(shapes)

    def _operands(self, node: Any, scope: Scope) -> Shape:
        pending = [node]  # long chains are not followed by recursion
        while pending:
            for child in pending.pop().iter_child_nodes():
                if isinstance(child, nodes.BinExpr | nodes.UnaryExpr | nodes.Operand):
                    pending.append(child)
                else:
                    self._used(child, scope)
        return ANY

    visit_Compare = _operands  # noqa: N815
    visit_And = visit_Or = visit_Not = visit_Add = visit_Sub = visit_Mul = _operands  # noqa: N815
    visit_Div = visit_FloorDiv = visit_Mod = visit_Pow = visit_Neg = visit_Pos = _operands  # noqa: N815

    def visit_Const(self, node: nodes.Const, scope: Scope) -> Shape:  # noqa: N802
        return TEXT if isinstance(node.value, str) else ANY

    def _check_text(
        self,
        node: nodes.Expr,
        shape: Shape,
        how: str = mark("as its items with commas between"),
        path: str = "",
    ) -> None:
        """Report a printed value that is not text; `how` describes how a list prints."""
        path = path or path_of(node, whole=True) or tr("this")
        match shape:
            case OneOf(fields):
                for name, one in fields if path not in self._told_apart else ():
                    if isinstance(one, Items | Record):
                        self._check_text(
                            node, one, how, tr("{path}, the field {name!r},", path=path, name=name)
                        )
                return
            case Items(Items() | TupleShape() | Record()):
                what, fix = tr("a list of more than texts"), tr("loop over it, or write | tojson")
            case Items() | TupleShape():
                what = tr("a list, which prints {how}", how=tr(how))
                fix = tr('write | join(", ") where that is meant, | tojson, or loop over it')
            case Record():
                what = tr("a whole record")
                fix = tr("print one of its fields: {names}", names=listed(shape.shapes))
            case MethodShape(name):
                what = tr("a function, which prints as nothing useful")
                fix = tr("call it: {name}()", name=name)
            case Macro():
                what = tr("a macro, which prints as nothing useful")
                fix = tr("call it: {name}()", name=path)
            case _:
                return
        self._say(rules.NOT_TEXT, node, tr("{path} is {what}", path=path, what=what), fix)

    def _say(self, rule: Rule, node: nodes.Node, message: str, fix: str) -> None:
        self.findings[rule.at(self._page.of(node), message, fix)] = None


def path_of(node: nodes.Node, *, whole: bool = False) -> str:
    """An expression of names and fields as it is written; by default without its last field."""
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        owner = path_of(node.node, whole=True)
        if not whole or not owner:
            return owner
        if isinstance(node, nodes.Getattr):
            return f"{owner}.{node.attr}"
        key = node.arg.value if isinstance(node.arg, nodes.Const) else "…"
        return f"{owner}.{key}" if isinstance(key, str) else f"{owner}[{key}]"
    return node.name if isinstance(node, nodes.Name) else ""


def listed(names: Any, limit: int = 12) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "") or tr("nothing")
