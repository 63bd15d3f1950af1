"""Translation of other tools' Jinja to promptkit's, which renders the same text.

Others keep Jinja's defaults for white space; promptkit trims the lines of block tags. So a tag
that is alone on its line is written `{%+ … +%}`, which trims nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import jinja2
from jinja2 import meta, nodes

from promptkit.translation import tr

LexedToken = tuple[int, str, str]

_UNSAFE = re.compile(r"\{(?=[{%#\r]|$)|\r\n?")
_NAME = re.compile(r"[A-Za-z_]\w*")

_OF_LISTS = {
    *("join", "map", "select", "selectattr", "reject", "rejectattr", "sum", "sort", "unique"),
    *("first", "last", "batch", "slice", "items", "dictsort", "groupby", "max", "min"),
}
"""Filters that take a list."""

_BRACES = {"variable_begin": "{{", "variable_end": "}}"}

_OURS = ("task", "labels", "shots", "query", "input", "output", "options")
"""Names that templates of promptkit see."""

_LOADS = (nodes.Block, nodes.Extends, nodes.FromImport, nodes.Import, nodes.Include)

_CHANGES = {
    *("append", "extend", "insert", "remove", "pop", "clear", "update", "add", "sort", "reverse"),
    *("popitem", "setdefault", "discard"),
}


@dataclass(frozen=True)
class Variable:
    """A value that a template prints."""

    name: str


Part = str | Variable


def literal(text: str) -> str:
    """Return the template that prints a text."""
    return _UNSAFE.sub(lambda match: f"{{{{ {quoted(match.group())} }}}}", text)


def quoted(text: str) -> str:
    """Return a text as a string literal of an expression."""
    return json.dumps(text, ensure_ascii=False)


def emit(parts: Sequence[Part], names: Mapping[str, str]) -> str:
    """Return a template of texts and values; `names` has an expression for each value."""
    return "".join(
        f"{{{{ {names[part.name]} }}}}" if isinstance(part, Variable) else literal(part)
        for part in parts
    )


def tag(before: str, name: str) -> str:
    """Return `before` and a block tag whose line vanishes; nothing before it is trimmed."""
    last = before.rpartition("\n")[2]
    plus = "+" if last and not last.strip() else ""
    return f"{before}{{%{plus} {name} %}}\n"


@lru_cache(maxsize=2)
def _peer(keep_newline: bool) -> jinja2.Environment:
    """Return Jinja as other tools configure it."""
    return jinja2.Environment(keep_trailing_newline=keep_newline)


def parse(source: str) -> nodes.Template:
    """Return the syntax tree. Raises `jinja2.TemplateSyntaxError`."""
    return _peer(True).parse(source)


def fields(source: str) -> list[str]:
    """Return the names that a template reads, in order of appearance."""
    tree = parse(source)
    unknown = meta.find_undeclared_variables(tree)
    names = (node.name for node in tree.find_all(nodes.Name))
    return [name for name in dict.fromkeys(names) if name in unknown]


def simple_parts(source: str, *, keep_newline: bool) -> list[Part] | None:
    """Return a template's texts and values; None if it has anything else."""
    tokens = [token for token in _tokens(source, keep_newline) if token[1] != "whitespace"]
    parts: list[Part] = []
    while tokens:
        kinds = [kind for _, kind, _ in tokens[:3]]
        if kinds[0] == "data":
            parts.append(tokens.pop(0)[2])
        elif kinds == ["variable_begin", "name", "variable_end"]:
            parts.append(Variable(tokens[1][2]))
            del tokens[:3]
        else:
            return None
    return parts


def translate(source: str, names: Mapping[str, str], *, keep_newline: bool) -> str:
    """Return a template in promptkit's Jinja.

    Args:
        source: The template of another tool.
        names: Expressions of promptkit by the names that the template reads.
        keep_newline: The tool keeps the newline at the template's end.

    Raises:
        jinja2.TemplateSyntaxError: The template does not parse.
    """
    tree = parse(source)
    tokens = _tokens(source, keep_newline)
    read = {name: names[name] for name in fields(source) if name in names}
    if _given(tree).isdisjoint([*read, *_OURS]):
        renamed = _write(_rename(tokens, read))
        roots = {expression.partition(".")[0] for expression in read.values()}
        try:
            if set(fields(renamed)) <= roots and _same_shape(source, renamed):
                return renamed
        except jinja2.TemplateSyntaxError:
            pass
    # A name has several meanings, so renaming would be wrong. The values are assigned to their own
    # names instead, in a scope that ends with the template.
    values = ", ".join(f"{name} = {expression}" for name, expression in read.items())
    return f"{{%+ with {values}{' ' if values else ''}%}}\n{_write(tokens)}{{%+ endwith +%}}"


def _given(tree: nodes.Template) -> set[str]:
    """Return the names that a template assigns, or Jinja in its loops and macros."""
    given = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    given |= {macro.name for macro in tree.find_all(nodes.Macro)}
    if any(tree.find_all(nodes.For)):
        given.add("loop")
    if any(tree.find_all((nodes.Macro, nodes.CallBlock))):
        given |= {"caller", "varargs", "kwargs"}
    return given


def _same_shape(source: str, renamed: str) -> bool:
    """Return whether two templates have the same filters, tests, arguments and own names."""
    shapes = []
    for tree in (parse(source), parse(renamed)):
        kinds = (nodes.Filter, nodes.Test, nodes.Keyword, nodes.Macro)
        names = [getattr(node, "name", getattr(node, "key", "")) for node in tree.find_all(kinds)]
        local = [node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"]
        shapes.append([*names, *local])
    return shapes[0] == shapes[1]


def _tokens(source: str, keep_newline: bool) -> list[LexedToken]:
    """Return the tokens without comments and `raw` tags; white space control is applied."""
    return [
        (line, kind, value)
        for line, kind, value in _peer(keep_newline).lex(source)
        if not kind.startswith(("comment", "raw"))
    ]


def _rename(tokens: Sequence[LexedToken], names: Mapping[str, str]) -> list[LexedToken]:
    code = [index for index, token in enumerate(tokens) if token[1] not in ("whitespace", "data")]
    renamed = list(tokens)
    for place, index in enumerate(code):
        line, kind, value = tokens[index]
        if kind != "name" or value not in names:
            continue
        before = tokens[code[place - 1]][2]
        after = tokens[code[place + 1]][2] if place + 1 < len(code) else ""
        earlier = tokens[code[place - 2]][2] if place > 1 else ""
        is_test = before == "is" or (before == "not" and earlier == "is")
        if before not in (".", "|") and after != "=" and not is_test:
            renamed[index] = line, kind, names[value]
    return renamed


def _write(tokens: Sequence[LexedToken]) -> str:
    written = ""
    for index, (_, kind, value) in enumerate(tokens):
        if kind == "data":
            written += literal(value)
        elif kind == "block_begin":
            last = written.rpartition("\n")[2]
            written += "{%+" if last and not last.strip() else "{%"
        elif kind == "block_end":
            following = tokens[index + 1][2] if index + 1 < len(tokens) else "\n"
            written += "+%}" if following.startswith("\n") else "%}"
        elif kind in _BRACES:  # what a minus strips is gone already
            written += _BRACES[kind]
        else:
            written += value
    return written


def kinds_of(source: str) -> dict[str, str]:
    """Return the type of each name that a template reads, inferred from its use.

    A type is `str`, `int`, or `record` for a list or a record, which no column can hold.
    """
    tree = parse(source)
    kinds = dict.fromkeys(fields(source), "str")
    for comparison in tree.find_all(nodes.Compare):
        compared = [comparison.expr, *(operand.expr for operand in comparison.ops)]
        if any(isinstance(node, nodes.Const) and type(node.value) is int for node in compared):
            _set(kinds, compared, "int")
    for item in tree.find_all(nodes.Getitem):
        _set(kinds, [item.arg], "int")
        _set(kinds, [item.node], "record")
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    for access in tree.find_all(nodes.Getattr):
        if id(access) not in called or not hasattr(str, access.attr):
            _set(kinds, [access.node], "record")
    loops = [loop.iter for loop in tree.find_all(nodes.For)]
    for filtered in tree.find_all(nodes.Filter):
        if filtered.node is not None and (filtered.name in _OF_LISTS or filtered in loops):
            _set(kinds, [filtered.node], "record")
    _set(kinds, loops, "record")
    return kinds


def _set(kinds: dict[str, str], named: Sequence[nodes.Node], kind: str) -> None:
    for node in named:
        if isinstance(node, nodes.Name) and node.name in kinds:
            kinds[node.name] = kind


def refused(source: str) -> str | None:
    """Return what a template does that promptkit's templates cannot do; None if nothing."""
    unknown, tree = set(fields(source)), parse(source)
    if any(tree.find_all(_LOADS)):
        return tr("loads another template, or has a {% block %} for one")
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    own = _given(tree)
    for name in tree.find_all(nodes.Name):
        if name.name not in _peer(True).globals or name.name in own:
            continue
        if name.name == "lipsum" or id(name) not in called:
            return tr("reads {name}, which is a function of Jinja", name=name.name)
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in unknown:
            return tr("calls {name}(), which is Python", name=call.node.name)
        if isinstance(call.node, nodes.Getattr) and call.node.attr in _CHANGES:
            return tr(
                "changes a value with .{attr}(), and templates change nothing", attr=call.node.attr
            )
    return None


def tags(source: str) -> list[str]:
    """Return the names of the block tags of a template or a part of one, in order."""
    code = [token for token in _tokens(source, True) if token[1] != "whitespace"]
    return [name for (_, kind, _), (_, _, name) in pairwise(code) if kind == "block_begin"]


def begins_and_ends_in_text(source: str) -> bool:
    """Return whether a template begins and ends with text that is not white space."""
    body = parse(source).body
    for place in (0, -1):
        end = body[place] if body else None
        end = end.nodes[place] if isinstance(end, nodes.Output) else end
        if not isinstance(end, nodes.TemplateData) or not end.data.strip():
            return False
    return True


def is_name(text: str) -> bool:
    """Return whether a text is the name of a column, and no template."""
    return _NAME.fullmatch(text) is not None
