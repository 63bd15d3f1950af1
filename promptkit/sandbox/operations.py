"""Operations of templates on values: each is checked and counted before its result is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Undefined
from jinja2.environment import TemplateModule
from jinja2.exceptions import UndefinedError
from jinja2.sandbox import SandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace

from promptkit.sandbox.limits import LISTS, STEPS_PER_CALL, Meter, check_operands, spec_length
from promptkit.translation import tr

_WITHOUT_TEXT = (Namespace, TemplateModule, set, frozenset)  # sets differ from run to run

# Named, since a union written where it is used is made anew each time.
SIMPLE = (str, int, float)


class Stream:
    """Items of a filter that yields them one by one, each of which is counted."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter, values: Iterator[Any]) -> None:
        self._meter, self._values = meter, values

    def __iter__(self) -> Iterator[Any]:
        return self._meter.each(self._values)


class Format(SandboxedFormatter):
    """`str.format` or `str.format_map` of one text, within bounds."""

    def __init__(
        self, environment: SandboxedEnvironment, meter: Meter, text: str, *, is_map: bool
    ) -> None:
        super().__init__(environment)
        self._meter, self._text, self._is_map = meter, text, is_map

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        if self._is_map:
            (kwargs,), args = args, ()
        return self.vformat(self._text, args, kwargs)

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        self._meter.spend(field_name.count(".") + field_name.count("["))
        return super().get_field(field_name, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> Any:
        self._meter.spend(STEPS_PER_CALL)
        check_text(self._meter, value)
        self._meter.write(self._meter.weigh(value) + spec_length(format_spec))
        return super().format_field(value, format_spec)

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is not None:
            check_text(self._meter, value)
            self._meter.write(self._meter.weigh(value))
        return super().convert_field(value, conversion)


def operate(meter: Meter, operator: str, left: Any, right: Any) -> Any:
    """Return the result of an operator. Raises `SecurityError` where it is out of bounds."""
    if operator == "%" and isinstance(left, str):
        check_text(meter, right)
    check_operands(meter, operator, left, right)
    return SandboxedEnvironment.default_binop_table[operator](left, right)


def listed(meter: Meter, values: Iterable[Any]) -> list[Any]:
    """Return the values as a list, each of them counted."""
    values = list(values)
    meter.read(values)
    return values


def check_text(meter: Meter, value: Any) -> None:
    """Raise `UndefinedError` for a value whose text is an address, or has no end."""
    if not isinstance(value, SIMPLE):
        meter.read(value)
        _check_text(value)


def _check_text(value: Any) -> None:
    if isinstance(value, SIMPLE):
        return
    if isinstance(value, Undefined):
        str(value)
    elif isinstance(value, dict):
        _check_text([*value, *value.values()])
    elif isinstance(value, LISTS):
        for item in value:
            _check_text(item)
    elif isinstance(value, Stream):
        raise UndefinedError(
            tr("a filter's items cannot be printed at once; add | list or | join(', ')")
        )
    elif callable(value) or isinstance(value, _WITHOUT_TEXT) or _has_no_text(type(value)):
        kind = type(value).__name__.lstrip("_").lower()
        if kind == "view":
            raise UndefinedError(tr("a whole record cannot be printed; print one of its fields"))
        raise UndefinedError(tr("a {kind} cannot be printed; print a value, or call it", kind=kind))


def _has_no_text(kind: type) -> bool:
    methods: tuple[Any, Any] = kind.__str__, kind.__repr__
    return methods == (object.__str__, object.__repr__)
