"""A Jinja environment whose output knows the origin of every character.

Jinja compiles a template to code that yields strings and joins them with the environment's
`concat`. Here it yields `Piece`s: literal text knows its file and line, the value of an
expression knows the line that printed it and the example and field it was read from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.compiler import Frame
from jinja2.exceptions import UndefinedError

from promptkit.errors import TemplateError, shorten
from promptkit.prompts.pieces import LINES, Piece
from promptkit.sandbox.codegen import BoundedGenerator
from promptkit.sandbox.environment import BoundedEnvironment
from promptkit.sandbox.limits import MAX_TEXT, STEPS_PER_DATUM, too_much_text
from promptkit.sandbox.operations import check_text
from promptkit.templating.values import (
    TRACED,
    NoValueError,
    Origin,
    RationaleSlot,
    Slot,
    View,
    check_items,
    first_origin,
    named,
)
from promptkit.translation import tr


class Rendered(str):
    """Rendered text with its pieces."""

    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        return self


def join(parts: Iterable[Any]) -> Rendered:
    """Return the parts that a compiled template yields as one text."""
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, Piece):
            pieces.append(part)
        elif isinstance(part, Rendered):
            pieces.extend(part.pieces)
        elif part:  # text from elsewhere has no origin, so it is data
            pieces.append(Piece(str(part), "data"))
    return rendered(pieces)


def rendered(pieces: Iterable[Piece]) -> Rendered:
    """Return the text of `pieces`, with the pieces. Raises `TemplateError` for too much."""
    pieces = tuple(pieces)
    texts = [piece.text for piece in pieces if piece.kind in ("template", "data")]
    if sum(map(len, texts)) > MAX_TEXT:
        last = pieces[-1]
        raise TemplateError(too_much_text().message or "", file=last.file, line=last.line)
    text = Rendered("".join(texts))
    if not text.isascii():
        _check_characters(pieces)
    text.pieces = pieces
    return text


def _check_characters(pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        try:
            piece.text.encode()
        except UnicodeEncodeError as error:
            half = piece.text[error.start]
            reason = tr("{half!r} is half of a surrogate pair, not a character", half=half)
            raise TemplateError(reason, file=piece.file, line=piece.line) from None


class _CodeGenerator(BoundedGenerator):
    """Code generator that writes `Piece`s where Jinja's writes strings."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:
        text = super()._output_child_to_const(node, frame, finalize)
        # A constant expression stands on one line, whatever its value.
        texts = [text] if isinstance(node, nodes.TemplateData) else LINES.findall(text)
        return [Piece(text, "template", self._file, node.lineno) for text in texts]

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        literals = self.environment.literals  # type: ignore[attr-defined]
        literals.append(rendered(chain.from_iterable(group)))
        return f"environment.literals[{len(literals) - 1}]"

    def visit_ScopedEvalContextModifier(  # noqa: N802
        self, node: nodes.ScopedEvalContextModifier, frame: Frame
    ) -> None:
        self.fail(
            tr("{% autoescape %} is for HTML, and a prompt is none; take it out"), node.lineno
        )

    def visit_FilterBlock(self, node: nodes.FilterBlock, frame: Frame) -> None:  # noqa: N802
        """Write a filter block as Jinja does, whose output knows its line."""
        inner = frame.inner()
        inner.symbols.analyze_node(node)
        self.enter_frame(inner)
        self.buffer(inner)
        self.blockvisit(node.body, inner)
        self.start_write(frame, node)
        self.write(f"environment.datum({self._file!r}, {node.lineno}, {node.filter.name!r}, (), ")
        self.visit_Filter(node.filter, inner)
        self.write(")")
        self.end_write(frame)
        self.leave_frame(inner)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        names = [name for name in node.find_all(nodes.Name) if name.ctx == "load"]
        if isinstance(node, nodes.Name):
            names.append(node)
        self.write(f"environment.datum({self._file!r}, {node.lineno}, {_path(node)!r}, (")
        for name in names:
            self.visit(name, frame)
            self.write(", ")
        self.write("), ")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(")")

    @property
    def _file(self) -> str | None:
        return self.filename or self.name


def _path(node: nodes.Node) -> str:
    """Return the first field of an expression: `input.name` in `input.name | upper`."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name | nodes.Getattr):
        return f"{_path(node.node)}.{node.attr}"
    return next((path for child in node.iter_child_nodes() if (path := _path(child))), "")


class TracingEnvironment(BoundedEnvironment):
    """Sandboxed environment for users' templates: strict, and tracing the origin of text."""

    code_generator_class = _CodeGenerator

    def __init__(self, **options: Any) -> None:
        super().__init__(
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
            **options,
        )
        self.literals: list[Rendered] = []
        """Literal texts of the templates, which compiled code reads by index."""
        # Jinja's own escapes characters for HTML.
        self.add_filter("tojson", self._tojson)

    def concat(self, parts: Iterable[Any]) -> Rendered:
        """Return the parts that a compiled template yields as one text."""
        joined = join(parts)
        self.meter.spend(len(joined.pieces) >> 1)
        return joined

    def datum(
        self, file: str | None, line: int, path: str, names: tuple[Any, ...], value: Any
    ) -> Piece | Rendered:
        """Return the value of an expression as a piece; compiled templates call this."""
        self.meter.spend(STEPS_PER_DATUM)
        if isinstance(value, TRACED):
            return Piece(str(value), "data", file, line, *value.origin)
        if isinstance(value, Rendered):
            return value
        if isinstance(value, Slot):
            return Piece("", "slot", file, line, answers=value._answers, as_json=value._as_json)
        if isinstance(value, RationaleSlot):
            return Piece("", "rationale", file, line)
        if value is None:
            raise NoValueError(path)
        if isinstance(value, View):
            what = tr(
                "{named} is a whole record; print one of its fields", named=named(path, value._name)
            )
            raise UndefinedError(what)
        is_list = isinstance(value, list | tuple)
        if is_list:
            check_items(path, value)
        check_text(self.meter, value)
        if is_list:
            origin = first_origin(value) or _origin(path, names)
            return Piece(", ".join(map(str, value)), "data", file, line, *origin)
        return Piece(str(value), "data", file, line, *_origin(path, names))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field; for a record without it, an undefined value that lists its fields."""
        if isinstance(obj, View):
            try:
                return obj.__getattr__(attribute)
            except AttributeError:
                return self._no_field(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a field or an item."""
        if isinstance(obj, View):
            self.meter.spend(1)
            return self.getattr(obj, str(argument))
        return super().getitem(obj, argument)

    def _tojson(self, value: Any, indent: int | None = None) -> str:
        def plain(value: Any) -> Any:
            if not isinstance(value, View):
                raise UndefinedError(
                    tr("{name} cannot be written as JSON", name=type(value).__name__)
                )
            fields = dict(value._fields)
            self.meter.write(self.meter.weigh(fields))
            return fields

        return json.dumps(value, ensure_ascii=False, indent=indent, default=plain)

    def _no_field(self, view: View, field: str) -> Undefined:
        others = [name for name in view._beside if name not in ("metadata", "options")]
        has = ", ".join(map(shorten, (*view._fields, *others))) or tr("no fields")
        metadata = view._beside.get("metadata")
        if isinstance(metadata, View) and field in metadata._fields:
            has += tr(
                ", and its metadata has {field!r}: write {called}.metadata.{field}",
                field=field,
                called=view._called,
            )
        return self.undefined(
            tr(
                "{called!r} has no field {field}; it has {has}",
                called=view._called,
                field=shorten(field),
                has=has,
            )
        )


def _origin(path: str, names: tuple[Any, ...]) -> Origin:
    """Return the origin of a value that lost its own: the first field of its expression."""
    root = names[0] if names else None
    if isinstance(root, TRACED):
        return root.origin
    if not isinstance(root, View):
        examples = [name._example for name in names if isinstance(name, View)]
        return Origin(examples[0] if examples else None, path)
    for part in path.split(".")[1:]:
        value = getattr(root, part, None)
        if isinstance(value, TRACED):
            return value.origin
        if not isinstance(value, View):
            return Origin(root._example, f"{root._name}.{part}")
        root = value
    return Origin(root._example, root._name)
