"""Data as templates see it: values that know the example and the field they come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2.exceptions import UndefinedError

from promptkit.files.json_values import in_order
from promptkit.translation import tr


class Origin(NamedTuple):
    """Example (None for the task itself) and field that a value was read from."""

    example: str | None
    field: str


class Text(str):
    """A string that knows its origin."""

    origin: Origin
    json: str | None = None
    """An answer's value as JSON; None for other texts, which JSON writes in quotes."""

    def __str__(self) -> str:
        return self


class Integer(int):
    """An integer that knows its origin."""

    origin: Origin


class Real(float):
    """A float that knows its origin."""

    origin: Origin


class View:
    """A record as a template sees it: its fields, and nothing else.

    Iterating gives (field name, value) pairs. What stands beside the fields of an input, its
    metadata and the options of its answer, is read by name unless a field has the name, and is not
    iterated over.
    """

    __slots__ = ("_beside", "_called", "_example", "_fields", "_name", "_names")

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Any],
        example: str | None = None,
        *,
        called: str | None = None,
        beside: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Make a view of a record.

        Args:
            name: Name of the record in the origins of its fields.
            fields: Values by field name.
            example: Id of the example that it belongs to.
            called: Name of the record in errors; by default `name`.
            beside: Values, as templates see them, that are not iterated over.
            names: Names of fields to print, where they differ.
        """
        self._name, self._fields, self._example = name, dict(fields), example
        self._called, self._beside, self._names = called or name, beside or {}, names or {}

    def __getattr__(self, field: str) -> Any:
        try:
            value = self._fields[field]
        except KeyError:
            if field in self._beside:
                return self._beside[field]
            raise AttributeError(field) from None
        if not isinstance(value, _READY):
            origin = Origin(self._example, f"{self._name}.{field}")
            value = self._fields[field] = trace(value, origin)
        return value

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for field in self._fields:
            name = self._names.get(field, field)
            yield with_origin(Text(name), Origin(None, "task.input")), getattr(self, field)


class Slot:
    """Placeholder of the query's answer in a template: it can only be printed.

    The filters `letter` and `tojson` change its text for every label
    (`promptkit.templating.answer_filters`).
    """

    __slots__ = ("_answers", "_as_json")

    def __init__(self, answers: tuple[str, ...] = (), *, as_json: bool = False) -> None:
        """Make a slot.

        Args:
            answers: Possible texts, one per label; empty where the answer is generated.
            as_json: Write a generated answer as JSON.
        """
        self._answers, self._as_json = answers, as_json

    def __str__(self, *_: Any) -> str:
        raise UndefinedError(
            tr(
                "the query's answer is not known, so {{ output }} can only be printed as "
                "it is; put the wording of an answer into the labels"
            )
        )

    __bool__ = __eq__ = __iter__ = __len__ = __hash__ = __str__  # type: ignore[assignment]


class RationaleSlot:
    """Placeholder of the query's rationale in a template: it can only be printed."""

    __slots__ = ()

    def __str__(self, *_: Any) -> str:
        raise UndefinedError(
            tr(
                "the query's rationale is not known, so {{ rationale }} can only be "
                "printed as it is"
            )
        )

    __bool__ = __eq__ = __iter__ = __len__ = __hash__ = __str__  # type: ignore[assignment]


TRACED = (Text, Integer, Real)
_READY = (*TRACED, View, Slot, bool)


def trace(value: Any, origin: Origin) -> Any:
    """Return a value as a template sees it: equal to it, and with its origin where it can."""
    if isinstance(value, (View, Slot, bool)):
        return value
    if isinstance(value, Mapping):
        return View(origin.field, value, origin.example)
    for plain, traced in ((str, Text), (int, Integer), (float, Real)):
        if isinstance(value, plain):
            return with_origin(traced(value), origin)
    if isinstance(value, set | frozenset):  # whose order differs from process to process
        value = in_order(value)
    if isinstance(value, list | tuple):
        return tuple(trace(item, origin) for item in value)
    return value


def with_origin(value: Any, origin: Origin) -> Any:
    value.origin = origin
    return value


class NoValueError(UndefinedError):
    """Error for a template that prints a null value."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def reason(self, record: View | None) -> str:
        """Return the message; `record` is the one that the template was reading."""
        empty = [name for name, value in record._fields.items() if value is None] if record else []
        what = tr("{{{{ {path} }}}} has no value", path=self.path)
        if "." not in self.path and empty:
            what += tr(": the field {empty!r} is null", empty=empty[0])
        return tr("{what}; print it under {{% if {path} is not none %}}", what=what, path=self.path)


def named(path: str, field: str) -> str:
    """Return a value's name in the template, and its field where that differs."""
    written = f"{{{{ {path} }}}}"
    is_said = "." not in field or field.endswith(path)
    return (
        written if is_said else tr("{written}, the field {field!r},", written=written, field=field)
    )


def check_items(path: str, items: Sequence[Any]) -> None:
    """Raise `UndefinedError` for a list with other items than texts and numbers."""
    for item in items:
        if item is None or isinstance(item, View | list | tuple | Mapping):
            origin = first_origin(items)
            kind = tr("lists") if isinstance(item, list | tuple) else tr("records")
            raise UndefinedError(
                tr(
                    "{name} {what}; loop over it, or print it with | tojson",
                    name=named(path, origin.field if origin else path),
                    what=tr("holds null") if item is None else tr("is a list of {kind}", kind=kind),
                )
            )


def first_origin(items: Sequence[Any]) -> Origin | None:
    """Return the origin of the first item that has one."""
    for item in items:
        if isinstance(item, TRACED):
            return item.origin
        if isinstance(item, View):
            return Origin(item._example, item._name)
        if isinstance(item, list | tuple) and (origin := first_origin(item)) is not None:
            return origin
    return None
