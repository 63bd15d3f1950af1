"""A template's syntax tree against the task's types: names, fields, filters, tests, the answer.

Every value has a shape (`promptkit.linting.shapes`), which goes through loops, `set`, macros,
includes and imports. Only what is certain is said.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeVisitor

from promptkit.linting import catalogue as rules
from promptkit.linting.findings import Finding, Rule, did_you_mean
from promptkit.linting.pages import ENVIRONMENT, Page, Pages
from promptkit.linting.shapes import (
    ANY,
    INPUT,
    LOOP,
    NUMBER,
    TEXT,
    Answer,
    Items,
    Macro,
    Method,
    Pair,
    Record,
    Scalar,
    Shape,
    items_of,
    same_or_any,
)

Scope = ChainMap[str, Shape]

GIVEN = ("task", "labels", "shots", "query")
_GLOBALS = {name: ANY for name in (*ENVIRONMENT.globals, "self")}
_IN_MACRO = {"caller": ANY, "varargs": ANY, "kwargs": ANY}
_DEEPEST = 20

_TO_TEXT = frozenset(
    "capitalize center e escape forceescape format indent join lower pprint replace safe string "
    "striptags title tojson trim truncate upper urlencode urlize wordwrap xmlattr".split()
)
_TO_NUMBER = frozenset("abs count filesizeformat float int length round wordcount".split())
_SAME_ITEMS = frozenset("list sort reverse unique selectattr rejectattr select reject".split())
_ONE_ITEM = frozenset("first last max min".split())
_BY_ATTRIBUTE = {"map", "sort", "sum", "unique", "min", "max", "join"}
_FIRST_IS_ATTRIBUTE = {"selectattr", "rejectattr", "groupby"}


class Names(NodeVisitor):
    """Walks a template and all that it loads. `findings` and `read` are what it finds."""

    def __init__(self, pages: Pages, given: dict[str, Shape]) -> None:
        """`given` are the shapes of `task`, `labels`, `shots` and `query`."""
        self._pages, self._given = pages, given
        self.findings: dict[Finding, None] = {}
        self.read: set[str] = set()
        """The fields of the input that are read."""
        self._page = Page("", "", "")
        self._root: Scope = ChainMap()
        self._blocks: dict[str, list[tuple[Page, nodes.Block]]] = {}
        self._called: set[tuple[int, tuple[Shape, ...]]] = set()
        self._depth = 0
        self._guarded: set[str] = set()

    def check(self, page: Page) -> None:
        """Walks a page. Raises `jinja2.TemplateSyntaxError`."""
        self._root = ChainMap(dict(self._given), _GLOBALS)
        self._whole(page, self._root)

    # --- pages ----------------------------------------------------------------------------------

    @contextmanager
    def _on(self, page: Page) -> Iterator[None]:
        before, self._page = self._page, page
        self._depth += 1
        try:
            yield
        finally:
            self._page = before
            self._depth -= 1

    def _whole(self, page: Page, scope: Scope) -> None:
        """A page as it is rendered: its parent where it extends one."""
        if self._depth > _DEEPEST:
            return
        with self._on(page):
            self._guarded |= _guarded(page.tree)
            extends = next(page.tree.find_all(nodes.Extends), None)
            for block in page.tree.find_all(nodes.Block):
                self._blocks.setdefault(block.name, []).append((page, block))
            if extends is None:
                self._each(page.tree.body, scope)
            else:
                self._child(page, extends, scope)
            for macro in (node for node in page.tree.body if isinstance(node, nodes.Macro)):
                if not any(key[0] == id(macro) for key in self._called):
                    self._macro_body(Macro(macro, page, scope), [ANY] * len(macro.args))

    def _child(self, page: Page, extends: nodes.Extends, scope: Scope) -> None:
        silent = (nodes.Block, nodes.Extends, nodes.Output)
        self._each([node for node in page.tree.body if not isinstance(node, silent)], scope)
        parent = self._load(extends.template, extends)
        if parent is None:
            return
        self._whole(parent, scope)
        known = {block.name for block in parent.tree.find_all(nodes.Block)}
        if next(parent.tree.find_all(nodes.Extends), None) is None:
            for node in page.tree.body:
                self._check_printed(node, known, parent)

    def _check_printed(self, node: nodes.Node, known: set[str], parent: Page) -> None:
        """What stands in a child, but in no block of its parent, is never printed."""
        if isinstance(node, nodes.Block) and node.name not in known:
            close = did_you_mean(node.name, known)
            self._say(
                rules.LOST_TEXT,
                node,
                f"{parent.name} has no block {node.name!r}, so this one is never printed",
                f"did you mean {close!r}?" if close else f"it has {_listed(known)}",
            )
        for child in node.nodes if isinstance(node, nodes.Output) else [node]:
            is_text = isinstance(child, nodes.TemplateData)
            if (is_text and child.data.strip()) or (
                not is_text and isinstance(node, nodes.Output | nodes.CallBlock)
            ):
                self._say(
                    rules.LOST_TEXT,
                    child,
                    f"this stands outside the blocks of {parent.name}, so it is never printed",
                    "move it into a {% block %}",
                )
                return

    def _load(self, template: nodes.Expr, node: nodes.Node, missing: bool = False) -> Page | None:
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            return None
        page = self._pages.open(template.value)
        if page is None:
            if not missing:
                known = self._pages.names()
                close = did_you_mean(template.value, known)
                self._say(
                    rules.MISSING_TEMPLATE,
                    template,
                    f"there is no template {template.value!r} in its search path",
                    f"did you mean {close!r}?" if close else f"there is {_listed(known)}",
                )
            return None
        try:
            _ = page.tree
        except jinja2.TemplateSyntaxError as error:
            where = page.line(error.lineno)
            self.findings[
                rules.SYNTAX.at(where, error.message or "syntax error", "mend the syntax")
            ] = None
            return None
        return page

    # --- statements -----------------------------------------------------------------------------

    def _each(self, body: Sequence[nodes.Node], scope: Scope) -> None:
        for node in body:
            self.visit(node, scope)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Shape:
        for child in node.iter_child_nodes():
            self.visit(child, *args)
        return ANY

    def visit_Output(self, node: nodes.Output, scope: Scope) -> None:  # noqa: N802
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData):
                self._check_text(child, self._shape(child, scope))

    def visit_If(self, node: nodes.If, scope: Scope) -> None:  # noqa: N802
        branches = []
        self._used(node.test, scope)
        for body in (node.body, node.else_):
            branches.append(_copy(scope))
            self._each(body, branches[-1])
        for other in node.elif_:
            branches.append(_copy(scope))
            self._used(other.test, branches[-1])
            self._each(other.body, branches[-1])
        for name in {name for branch in branches for name in branch.maps[0]}:
            scope[name] = same_or_any(branch[name] for branch in branches if name in branch)

    def visit_For(self, node: nodes.For, scope: Scope) -> None:  # noqa: N802
        items = items_of(self._used(node.iter, scope, whole=True))
        inner = scope.new_child()
        self._assign(node.target, items, inner)
        if node.test is not None:
            self._used(node.test, inner)
        inner["loop"] = LOOP
        self._each(node.body, inner)
        self._each(node.else_, scope.new_child())

    def visit_Assign(self, node: nodes.Assign, scope: Scope) -> None:  # noqa: N802
        self._assign(node.target, self._shape(node.node, scope), scope)

    def visit_AssignBlock(self, node: nodes.AssignBlock, scope: Scope) -> None:  # noqa: N802
        self._each(node.body, scope.new_child())
        if node.filter is not None:
            self.visit(node.filter, scope)
        self._assign(node.target, TEXT, scope)

    def visit_With(self, node: nodes.With, scope: Scope) -> None:  # noqa: N802
        inner = scope.new_child()
        for target, value in zip(node.targets, node.values, strict=True):
            self._assign(target, self._shape(value, scope), inner)
        self._each(node.body, inner)

    def visit_FilterBlock(self, node: nodes.FilterBlock, scope: Scope) -> None:  # noqa: N802
        self._each(node.body, scope.new_child())
        self.visit(node.filter, scope)

    def visit_Block(self, node: nodes.Block, scope: Scope) -> None:  # noqa: N802
        """The block of the youngest child, in the place of this one."""
        chain = self._blocks.get(node.name, [(self._page, node)])
        for page, block in chain:
            with self._on(page):
                outer = scope if node.scoped else self._root
                inner = outer.new_child({"super": ANY, "self": ANY})
                self._each(block.body, inner)
            if not any(name.name == "super" for name in block.find_all(nodes.Name)):
                break

    def visit_Macro(self, node: nodes.Macro, scope: Scope) -> None:  # noqa: N802
        scope[node.name] = Macro(node, self._page, scope)

    def visit_CallBlock(self, node: nodes.CallBlock, scope: Scope) -> None:  # noqa: N802
        inner = scope.new_child()
        method = node.call.node
        if isinstance(method, nodes.ExtensionAttribute):
            if method.name == "_examples":
                query = self._given["query"]
                inner |= {"input": query, "output": Answer()}
        else:
            self.visit(node.call, scope)
            for argument in node.args:
                self._assign(argument, ANY, inner)
        self._each(node.body, inner)

    def visit_Include(self, node: nodes.Include, scope: Scope) -> None:  # noqa: N802
        page = self._load(node.template, node, node.ignore_missing)
        if page is not None and self._depth < _DEEPEST:
            inner = scope.new_child() if node.with_context else ChainMap({}, _GLOBALS)
            before, self._blocks = self._blocks, {}
            root, self._root = self._root, inner
            self._whole(page, inner)
            self._blocks, self._root = before, root

    def visit_Import(self, node: nodes.Import, scope: Scope) -> None:  # noqa: N802
        scope[node.target] = self._module(node, scope) or ANY

    def visit_FromImport(self, node: nodes.FromImport, scope: Scope) -> None:  # noqa: N802
        module = self._module(node, scope)
        for item in node.names:
            name, alias = item if isinstance(item, tuple) else (item, item)
            scope[alias] = ANY if module is None else module.shapes.get(name, ANY)
            if module is not None and name not in module.shapes:
                close = did_you_mean(name, module.shapes)
                self._say(
                    rules.UNKNOWN_NAME,
                    node,
                    f"{module.name} has no {name!r}",
                    f"did you mean {close!r}?" if close else f"it has {_listed(module.shapes)}",
                )

    def _module(self, node: nodes.Import | nodes.FromImport, scope: Scope) -> Record | None:
        page = self._load(node.template, node)
        if page is None or self._depth >= _DEEPEST:
            return None
        inner: Scope = ChainMap({}, *(scope.maps if node.with_context else [_GLOBALS]))
        before, self._blocks = self._blocks, {}
        root, self._root = self._root, inner
        self._whole(page, inner)
        self._blocks, self._root = before, root
        public = ((name, shape) for name, shape in inner.maps[0].items() if name[0] != "_")
        return Record(page.name, tuple(public))

    def _assign(self, target: nodes.Node, shape: Shape, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope[target.name] = shape
        elif isinstance(target, nodes.Tuple):
            fits = isinstance(shape, Pair) and len(shape.parts) == len(target.items)
            parts = cast("Pair", shape).parts if fits else [ANY] * len(target.items)
            for item, part in zip(target.items, parts, strict=True):
                self._assign(item, part, scope)

    # --- expressions ----------------------------------------------------------------------------

    def _shape(self, node: nodes.Node, scope: Scope) -> Shape:
        shape = self.visit(node, scope)
        return shape if isinstance(shape, Shape) else ANY

    def _used(self, node: nodes.Node, scope: Scope, *, whole: bool = False) -> Shape:
        """The shape of a value that the template looks at, which the answer must not be."""
        shape = self._shape(node, scope)
        if isinstance(shape, Answer):
            self._say(
                rules.ANSWER_USED,
                node,
                "the query's answer is not known here, so {{ output }} can only be printed",
                "print it as it is, and put the wording of an answer into the labels",
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
        self._unknown_name(node, scope)
        return ANY

    def _unknown_name(self, node: nodes.Name, scope: Scope) -> None:
        if node.name in ("input", "output"):
            fix = "it is known inside {% example %}; elsewhere write query.FIELD, or shot.output"
        elif node.name in GIVEN:
            fix = "import the template {% import ... with context %}"
        else:
            known = [name for name in scope if name not in _GLOBALS]
            close = did_you_mean(node.name, known) or did_you_mean(node.name, _GLOBALS)
            fix = f"did you mean {close!r}?" if close else f"there is {_listed(known)}"
        self._say(rules.UNKNOWN_NAME, node, f"there is no {node.name!r} here", fix)

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
                self._no_field(node, name, shape.name, shape.shapes)
        elif isinstance(shape, Scalar):
            if name in shape.methods:
                return Method(name)
            kind = "a text" if shape.kind is str else "a number"
            self._no_field(node, name, f"{_path(node)!r} is {kind} and", shape.methods, kind)
        elif isinstance(shape, Items):
            if name in ("count", "index"):
                return Method(name)
            self._no_field(node, name, f"{_path(node)!r} is a list and", (), "a list")
        return ANY

    def _no_field(
        self, node: nodes.Expr, name: str, owner: str, known: Any, kind: str | None = None
    ) -> None:
        path = _path(node, whole=True)
        guarded = path in self._guarded
        close = did_you_mean(name, known)
        if name == "output" and owner == INPUT:
            fix = "the query's answer is not known; end the prompt where it goes"
        elif close:
            fix = f"did you mean {close!r}?"
        elif kind == "a list":
            fix = "loop over it with {% for ... %}, or take one item, as in [0]"
        elif kind:
            fix = "print it as it is"
        else:
            fix = f"it has {_listed(known)}"
        rule = rules.NEVER_DEFINED if guarded else rules.UNKNOWN_FIELD
        effect = ", so this is never defined" if guarded else ""
        self._say(rule, node, f"{owner} has no field {name!r}{effect}", fix)

    def visit_Filter(self, node: nodes.Filter, scope: Scope) -> Shape:  # noqa: N802
        shape = ANY
        if node.node is not None:
            shape = self._used(node.node, scope, whole=True)
        self._arguments(node, scope)
        if node.name not in ENVIRONMENT.filters:
            self._unknown("filter", node, ENVIRONMENT.filters)
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
        if node.name not in ENVIRONMENT.tests:
            self._unknown("test", node, ENVIRONMENT.tests)
        if node.name in ("defined", "undefined"):
            self.visit(node.node, scope)
        else:
            self._used(node.node, scope)
        self._arguments(node, scope)
        return ANY

    def _unknown(self, what: str, node: nodes.Filter | nodes.Test, known: Any) -> None:
        close = did_you_mean(node.name, known)
        fix = f"did you mean {close!r}?" if close else f"see Jinja's list of built-in {what}s"
        self._say(rules.UNKNOWN_FILTER, node, f"there is no {what} {node.name!r}", fix)

    def _arguments(self, node: Any, scope: Scope) -> None:
        for argument in [*(node.args or ()), *(k.value for k in node.kwargs or ())]:
            self._used(argument, scope, whole=True)

    def visit_Call(self, node: nodes.Call, scope: Scope) -> Shape:  # noqa: N802
        callee = self._shape(node.node, scope)
        if isinstance(callee, Macro) and node.dyn_args is None and node.dyn_kwargs is None:
            given = [self._shape(argument, scope) for argument in node.args]
            named = {k.key: self._shape(k.value, scope) for k in node.kwargs}
            self._call_macro(callee, given, named)
            return TEXT
        self._arguments(node, scope)
        if isinstance(callee, Method):
            return ANY
        return ANY

    def _call_macro(self, macro: Macro, given: list[Shape], named: dict[str, Shape]) -> None:
        shapes = given[: len(macro.node.args)]
        for argument in macro.node.args[len(shapes) :]:
            shapes.append(named.get(argument.name, ANY))
        self._macro_body(macro, shapes)

    def _macro_body(self, macro: Macro, shapes: list[Shape]) -> None:
        key = id(macro.node), tuple(shapes)
        if key in self._called or self._depth >= _DEEPEST:
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
            self._check_text(part, self._used(part, scope))
        return TEXT

    def visit_CondExpr(self, node: nodes.CondExpr, scope: Scope) -> Shape:  # noqa: N802
        self._used(node.test, scope)
        shapes = [self._shape(node.expr1, scope)]
        shapes += [self._shape(node.expr2, scope)] if node.expr2 is not None else []
        return same_or_any(shapes)

    def visit_Compare(self, node: nodes.Compare, scope: Scope) -> Shape:  # noqa: N802
        self._used(node.expr, scope)
        for operand in node.ops:
            self._used(operand.expr, scope)
        return ANY

    def _operands(self, node: Any, scope: Scope) -> Shape:
        for child in node.iter_child_nodes():
            self._used(child, scope)
        return ANY

    visit_And = visit_Or = visit_Not = visit_Add = visit_Sub = visit_Mul = _operands  # noqa: N815
    visit_Div = visit_FloorDiv = visit_Mod = visit_Pow = visit_Neg = visit_Pos = _operands  # noqa: N815

    def visit_Const(self, node: nodes.Const, scope: Scope) -> Shape:  # noqa: N802
        return TEXT if isinstance(node.value, str) else ANY

    # --- findings -------------------------------------------------------------------------------

    def _check_text(self, node: nodes.Expr, shape: Shape) -> None:
        """Whether a value that is printed reads as text."""
        path = _path(node, whole=True) or "this"
        match shape:
            case Record():
                what, fix = "a whole record", f"print one of its fields: {_listed(shape.shapes)}"
            case Items() | Pair():
                what = "a list, which prints in Python's notation"
                fix = 'write | join(", "), or loop over it'
            case Method(name):
                what, fix = "a function, which prints as nothing useful", f"call it: {name}()"
            case Macro():
                what, fix = "a macro, which prints as nothing useful", f"call it: {path}()"
            case _:
                return
        self._say(rules.NOT_TEXT, node, f"{path} is {what}", fix)

    def _say(self, rule: Rule, node: nodes.Node, message: str, fix: str) -> None:
        self.findings[rule.at(self._page.of(node), message, fix)] = None


def _copy(scope: Scope) -> Scope:
    return ChainMap(dict(scope.maps[0]), *scope.maps[1:])


def _guarded(tree: nodes.Template) -> set[str]:
    """The names and fields for which a template allows that they are not there."""
    tests = (test for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined"))
    filters = (f for f in tree.find_all(nodes.Filter) if f.name in ("default", "d"))
    found = [node.node for node in (*tests, *filters) if node.node is not None]
    return {path for node in found if (path := _path(node, whole=True))}


def _path(node: nodes.Node, *, whole: bool = False) -> str:
    """An expression of names and fields as it is written; by default without its last field."""
    if isinstance(node, nodes.Getattr | nodes.Getitem):
        owner = _path(node.node, whole=True)
        if not whole or not owner:
            return owner
        if isinstance(node, nodes.Getattr):
            return f"{owner}.{node.attr}"
        key = node.arg.value if isinstance(node.arg, nodes.Const) else "…"
        return f"{owner}.{key}" if isinstance(key, str) else f"{owner}[{key}]"
    return node.name if isinstance(node, nodes.Name) else ""


def _listed(names: Any, limit: int = 12) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "") or "nothing"
