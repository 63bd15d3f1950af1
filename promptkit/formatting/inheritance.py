"""Templates that extend another one, written out in full."""

from __future__ import annotations

from dataclasses import replace

from jinja2 import nodes

from promptkit.templating.source import Page
from promptkit.templating.template import Template


def written_out(template: Template) -> Template:
    """Return a template that extends another one, written out; any other as it is.

    Only a template of nothing but blocks is written out, and only if no block calls `super()`.

    Raises:
        jinja2.TemplateError: The template does not parse, or its parent is missing.
    """
    page = Page(template.name, template.name, template.source)
    statements = [node for node in page.tree.body if not _is_blank(node)]
    extends = statements[0] if statements else None
    if not isinstance(extends, nodes.Extends) or not isinstance(extends.template, nodes.Const):
        return template
    if not all(isinstance(node, nodes.Block) for node in statements[1:]):
        return template
    if {"super", "self"} & {name.name for name in page.tree.find_all(nodes.Name)}:
        return template
    environment = template.environment
    assert environment.loader is not None
    file = environment.join_path(extends.template.value, template.place)
    source, _, _ = environment.loader.get_source(environment, file)
    parent = written_out(replace(template, source=source, file=file))
    return replace(template, source=_with_blocks(parent, page))


def _is_blank(node: nodes.Node) -> bool:
    """Return whether a node is white space, which Jinja does not print between such blocks."""
    return isinstance(node, nodes.Output) and all(
        isinstance(child, nodes.TemplateData) and not child.data.strip() for child in node.nodes
    )


def _with_blocks(parent: Template, child: Page) -> str:
    """Return the parent's source with the child's blocks in place of its own."""
    page = Page(parent.name, parent.name, parent.source)
    own, theirs = _blocks(child), _blocks(page)
    source, end = "", 0
    for name, (start, stop) in sorted(theirs.items(), key=lambda item: item[1]):
        if name in own and start >= end:  # else it stands in a block that is gone
            source += page.source[end:start] + child.source[slice(*own[name])]
            end = stop
    return source + page.source[end:]


def _blocks(page: Page) -> dict[str, tuple[int, int]]:
    """Return the start and end of each block's content in the source."""
    tokens = [token for token in page.tokens if token.kind != "whitespace"]
    found: dict[str, tuple[int, int]] = {}
    open_blocks: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        tag = tokens[index + 1].text if token.kind == "block_begin" else ""
        if tag == "block":
            close = next(t for t in tokens[index:] if t.kind == "block_end")
            open_blocks.append((tokens[index + 2].text, close.offset + len(close.text.rstrip())))
        elif tag == "endblock":
            name, start = open_blocks.pop()
            found[name] = (start, token.offset)
    return found
