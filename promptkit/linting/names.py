"""A template's syntax tree against the task's types: names, fields, filters, tests, the answer.

Every value has a shape (`promptkit.linting.shapes`), which goes through loops, `set`, macros,
includes and imports. Only what is certain is said.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import cast

import jinja2
from jinja2 import nodes

from promptkit.linting import catalogue as rules
from promptkit.linting.expressions import DEEPEST, Expressions, Scope, listed, path_of
from promptkit.linting.rendered import syntax_error
from promptkit.linting.shapes import (
    ANY,
    LOOP,
    TEXT,
    AnswerShape,
    Items,
    Macro,
    Record,
    Shape,
    TupleShape,
    items_of,
    same_or_any,
)
from promptkit.templating.source import Page, Pages
from promptkit.text import did_you_mean
from promptkit.translation import tr

_KINDS = ("string", "iterable", "sequence", "mapping", "number")
"""Tests that tell a list from a text."""


class NameChecker(Expressions):
    """Walks a template and all that it loads."""

    def __init__(self, pages: Pages, given: Mapping[str, Shape]) -> None:
        """`given` are the shapes of `task`, `labels`, `shots` and `query`."""
        super().__init__(pages.environment, given["query"])
        self._pages, self._given = pages, given
        self._root: Scope = ChainMap()
        self._blocks: dict[str, list[tuple[Page, nodes.Block]]] = {}

    def check(self, page: Page) -> None:
        """Walk a page. Raises `jinja2.TemplateSyntaxError`."""
        self._root = ChainMap(dict(self._given), self._globals)
        self._whole(page, self._root)

    # --- pages ----------------------------------------------------------------------------------

    def _whole(self, page: Page, scope: Scope) -> None:
        """Walk a page as it is rendered: its parent where it extends one."""
        if self._depth > DEEPEST:
            return
        with self._on(page):
            self._guarded |= _asked(page.tree, nodes.Test, "defined", "undefined")
            self._guarded |= _asked(page.tree, nodes.Filter, "default", "d")
            self._told_apart |= _asked(page.tree, nodes.Test, *_KINDS)
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
        parent = self._load(extends.template)
        if parent is None:
            return
        self._whole(parent, scope)
        known = {block.name for block in parent.tree.find_all(nodes.Block)}
        if next(parent.tree.find_all(nodes.Extends), None) is None:
            for node in page.tree.body:
                self._check_printed(node, known, parent)

    def _check_printed(self, node: nodes.Node, known: set[str], parent: Page) -> None:
        """Report nodes of a child outside the blocks of its parent, which are never printed."""
        if isinstance(node, nodes.Block) and node.name not in known:
            message = tr(
                "{page} has no block {name!r}, so this one is never printed",
                page=parent.name,
                name=node.name,
            )
            fix = did_you_mean(node.name, known) or tr("it has {names}", names=listed(known))
            self._say(rules.LOST_TEXT, node, message, fix)
        for child in node.nodes if isinstance(node, nodes.Output) else [node]:
            if isinstance(child, nodes.TemplateData):
                is_lost = bool(child.data.strip())
            else:
                is_lost = isinstance(node, nodes.Output | nodes.CallBlock)
            if is_lost:
                message = tr(
                    "this stands outside the blocks of {name}, so it is never printed",
                    name=parent.name,
                )
                self._say(rules.LOST_TEXT, child, message, tr("move it into a {% block %}"))
                return

    def _load(self, template: nodes.Expr, may_miss: bool = False) -> Page | None:
        if not isinstance(template, nodes.Const) or not isinstance(template.value, str):
            return None
        page = self._pages.open(template.value, self._page)
        if page is None:
            if not may_miss:
                message = tr("template {name!r} not found in its search path", name=template.value)
                known = self._pages.names()
                fix = did_you_mean(template.value, known) or tr(
                    "choose one of: {known}", known=listed(known)
                )
                self._say(rules.MISSING_TEMPLATE, template, message, fix)
            return None
        try:
            _ = page.tree
        except jinja2.TemplateSyntaxError as error:
            self.findings[syntax_error(error, page)] = None
            return None
        return page

    # --- statements -----------------------------------------------------------------------------

    def visit_Output(self, node: nodes.Output, scope: Scope) -> None:  # noqa: N802
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData):
                self._check_text(child, self._shape(child, scope))

    def visit_If(self, node: nodes.If, scope: Scope) -> None:  # noqa: N802
        branches = []
        self._used(node.test, scope)
        for body in (node.body, node.else_):
            branches.append(scope.copy())
            self._each(body, branches[-1])
        for other in node.elif_:
            branches.append(scope.copy())
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
                inner |= {"input": self._query, "output": AnswerShape(), "options": Items(TEXT)}
                inner["rationale"] = AnswerShape()
        else:
            self.visit(node.call, scope)
            for argument in node.args:
                self._assign(argument, ANY, inner)
        self._each(node.body, inner)

    def visit_Include(self, node: nodes.Include, scope: Scope) -> None:  # noqa: N802
        self._module(node, scope, node.ignore_missing)

    def visit_Import(self, node: nodes.Import, scope: Scope) -> None:  # noqa: N802
        scope[node.target] = self._module(node, scope) or ANY

    def visit_FromImport(self, node: nodes.FromImport, scope: Scope) -> None:  # noqa: N802
        module = self._module(node, scope)
        for item in node.names:
            name, alias = item if isinstance(item, tuple) else (item, item)
            scope[alias] = ANY if module is None else module.shapes.get(name, ANY)
            if module is not None and name not in module.shapes:
                fix = did_you_mean(name, module.shapes) or tr(
                    "it has {names}", names=listed(module.shapes)
                )
                self._say(
                    rules.UNKNOWN_NAME,
                    node,
                    tr("{page} has no {name!r}", page=module.name, name=name),
                    fix,
                )

    def _module(
        self,
        node: nodes.Include | nodes.Import | nodes.FromImport,
        scope: Scope,
        may_miss: bool = False,
    ) -> Record | None:
        """Walk a page whose blocks are its own, and return its public names."""
        page = self._load(node.template, may_miss)
        if page is None or self._depth >= DEEPEST:
            return None
        inner: Scope = scope.new_child() if node.with_context else ChainMap({}, self._globals)
        before = self._blocks, self._root
        self._blocks, self._root = {}, inner
        self._whole(page, inner)
        self._blocks, self._root = before
        public = ((name, shape) for name, shape in inner.maps[0].items() if name[0] != "_")
        return Record(page.name, tuple(public))

    def _assign(self, target: nodes.Node, shape: Shape, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope[target.name] = shape
        elif isinstance(target, nodes.Tuple):
            fits = isinstance(shape, TupleShape) and len(shape.parts) == len(target.items)
            parts = cast("TupleShape", shape).parts if fits else [ANY] * len(target.items)
            for item, part in zip(target.items, parts, strict=True):
                self._assign(item, part, scope)


def _asked(
    tree: nodes.Template, kind: type[nodes.Test] | type[nodes.Filter], *names: str
) -> set[str]:
    """Return the names and fields that a template puts to one of these tests or filters."""
    found = [one.node for one in tree.find_all(kind) if one.name in names]
    return {path_of(node, whole=True) for node in found if node is not None} - {""}
