"""What prompts of one template share, read off its syntax tree.

Jinja code may depend on anything, so whatever is not plainly the same is rendered anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jinja2
from jinja2 import meta, nodes

_IMPORTS = (nodes.Import, nodes.FromImport)
_INCLUDES = (nodes.Extends, nodes.Include)
_TASK = {"task", "labels"}
_EXAMPLE = {"input", "output"}


class Sharing(NamedTuple):
    """What may be rendered once."""

    blocks: bool = False
    """An example's block is the same in every prompt: it shows the example and the task only."""
    frame: bool = False
    """What stands around the query's block is the same for every query with the same shots."""


def sharing(environment: jinja2.Environment, source: str, place: str) -> Sharing:
    """What the prompts of a template share. Raises what loading or parsing a template raises.

    `place` is what the template is to those that it loads (`Template.place`).
    """
    trees = _trees(environment, source, place)
    tags = [tag for tree in trees for tag in tree.find_all(nodes.CallBlock) if shows_examples(tag)]
    if len(tags) != 1 or any(_has(tree, _IMPORTS) for tree in trees):
        return Sharing()
    (tag,) = tags
    blocks = _shows_no_more(tag, environment) and not _assigned(trees, tag) & (_TASK | _EXAMPLE)
    return Sharing(blocks, blocks and _stands_alone(trees, tag))


def _trees(environment: jinja2.Environment, source: str, place: str) -> list[nodes.Template]:
    """The template and all that it loads; nothing where that is known only as it is rendered."""
    pages = [(place, environment.parse(source))]
    seen = {place}
    for parent, tree in pages:  # which grows meanwhile
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
    """Whether this is `{% example %}`."""
    method = call.call.node
    return isinstance(method, nodes.ExtensionAttribute) and method.name == "_examples"


def _shows_no_more(tag: nodes.CallBlock, environment: jinja2.Environment) -> bool:
    """Whether a block names nothing but its example and the task."""
    alone = nodes.Template(tag.body, lineno=tag.lineno)
    alone.set_environment(environment)
    if _has(alone, (nodes.Block, *_INCLUDES)) or "self" in _names([alone]):
        return False
    return meta.find_undeclared_variables(alone) <= _TASK | _EXAMPLE


def _assigned(trees: Sequence[nodes.Template], tag: nodes.CallBlock) -> set[str]:
    """The names to which the templates give a meaning of their own."""
    names = [name for tree in trees for name in tree.find_all(nodes.Name)]
    own = {id(name) for name in tag.args}
    assigned = {name.name for name in names if name.ctx != "load" and id(name) not in own}
    assigned |= {macro.name for tree in trees for macro in tree.find_all(nodes.Macro)}
    return assigned


def _stands_alone(trees: Sequence[nodes.Template], tag: nodes.CallBlock) -> bool:
    """Whether the block is output as it is, and nothing else in the templates knows the query."""
    direct = {id(node) for tree in trees for node in _statements(tree.body)}
    placed = [tag, *(node for tree in trees for node in tree.find_all(_INCLUDES))]
    if any(id(node) not in direct for node in placed):
        return False
    return not _names(trees) & {"query", "self", "super"}


def _statements(body: Sequence[nodes.Node]) -> Iterator[nodes.Node]:
    """The statements whose output goes to the prompt as it is, and at most once."""
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
