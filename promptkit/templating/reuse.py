"""Detection of the parts that all prompts of one template share, by its syntax tree.

Jinja code may depend on anything, so only parts that are plainly the same are reused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jinja2
from jinja2 import meta, nodes

_IMPORTS = (nodes.Import, nodes.FromImport)
_INCLUDES = (nodes.Extends, nodes.Include)
_TASK = {"task", "labels"}
_EXAMPLE = {"input", "output", "options", "rationale"}


class Sharing(NamedTuple):
    """Parts of a template that may be rendered once."""

    blocks: bool = False
    """True if an example's block shows only the example and the task: it is always the same."""
    frame: bool = False
    """True if the text around the query's block is the same for all queries with the same shots."""


def sharing(environment: jinja2.Environment, source: str, place: str) -> Sharing:
    """Return the parts that the prompts of a template share.

    Args:
        environment: Jinja environment that the template is rendered in.
        source: The template's source.
        place: Name of the template for those that it loads (`Template.place`).

    Raises:
        jinja2.TemplateError: A template that it loads is missing, or does not parse.
        TemplateError: A template that it loads cannot be read.
    """
    trees = _trees(environment, source, place)
    tags = [tag for tree in trees for tag in tree.find_all(nodes.CallBlock) if shows_examples(tag)]
    if len(tags) != 1 or any(_has(tree, _IMPORTS) for tree in trees):
        return Sharing()
    (tag,) = tags
    blocks = _shows_no_more(tag, environment) and not _assigned(trees, tag) & (_TASK | _EXAMPLE)
    return Sharing(blocks, blocks and _stands_alone(trees, tag))


def _trees(environment: jinja2.Environment, source: str, place: str) -> list[nodes.Template]:
    """Return the trees of the template and all that it loads; empty if they depend on data."""
    pages = [(place, environment.parse(source))]
    seen = {place}
    for parent, tree in pages:  # which grows in the loop
        names = set(meta.find_referenced_templates(tree))
        if None in names or environment.loader is None:
            return []
        found = {environment.join_path(name, parent) for name in names if name} - seen
        seen |= found
        pages += [
            (file, environment.parse(environment.loader.get_source(environment, file)[0]))
            for file in sorted(found)
        ]
    return [tree for _, tree in pages]


def shows_examples(call: nodes.CallBlock) -> bool:
    """Return whether a call block is `{% example %}`."""
    method = call.call.node
    return isinstance(method, nodes.ExtensionAttribute) and method.name == "_examples"


def _shows_no_more(tag: nodes.CallBlock, environment: jinja2.Environment) -> bool:
    """Return whether a block names only its example and the task."""
    alone = nodes.Template(tag.body, lineno=tag.lineno)
    alone.set_environment(environment)
    if _has(alone, (nodes.Block, *_INCLUDES)) or "self" in _names([alone]):
        return False
    return meta.find_undeclared_variables(alone) <= _TASK | _EXAMPLE


def _assigned(trees: Sequence[nodes.Template], tag: nodes.CallBlock) -> set[str]:
    """Return the names that the templates assign."""
    names = [name for tree in trees for name in tree.find_all(nodes.Name)]
    own = {id(name) for name in tag.args}
    assigned = {name.name for name in names if name.ctx != "load" and id(name) not in own}
    assigned |= {macro.name for tree in trees for macro in tree.find_all(nodes.Macro)}
    return assigned


def _stands_alone(trees: Sequence[nodes.Template], tag: nodes.CallBlock) -> bool:
    """Return whether the block is printed as it is, and nothing else reads the query."""
    direct = {id(node) for tree in trees for node in _statements(tree.body)}
    placed = [tag, *(node for tree in trees for node in tree.find_all(_INCLUDES))]
    if any(id(node) not in direct for node in placed):
        return False
    return not _names(trees) & {"query", "self", "super"}


def _statements(body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
    """Yield the statements whose output becomes part of the prompt unchanged, at most once."""
    for node in body:
        yield node
        if isinstance(node, nodes.Block):
            yield from _statements(node.body)
        elif isinstance(node, nodes.If):
            yield from _statements([*node.body, *node.elif_, *node.else_])


def _has(tree: nodes.Template, kinds: tuple[type[nodes.Node], ...]) -> bool:
    return next(tree.find_all(kinds), None) is not None


def _names(trees: Sequence[nodes.Template]) -> set[str]:
    return {name.name for tree in trees for name in tree.find_all(nodes.Name)}
