"""A Jinja sandbox within bounds: a template reads its data and writes text, and nothing else.

Jinja's own sandbox refuses private attributes. Here attributes and calls are refused unless they
are known to be harmless, and whatever a template does is counted (`promptkit.bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, time
from functools import wraps
from typing import Any

from jinja2 import Template, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.exceptions import UndefinedError
from jinja2.ext import Extension
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace
from jinja2.visitor import NodeTransformer

from promptkit.bounds import (
    MAX_TEXT,
    STEPS_PER_CALL,
    Meter,
    check_operands,
    spec_length,
    too_much_text,
)
from promptkit.costs import AS_TEXT, PRICED, WRITTEN, listed, searched

_LONGEST_CONSTANT = 10_000
"""Characters of an expression's value that is computed when the template is compiled."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_TEXT = _words(
    "capitalize casefold center count endswith expandtabs find format format_map index isalnum",
    "isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle",
    "isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex",
    "rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill",
)
_METHODS: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _TEXT),
    ((list, tuple, dict, range), _words("copy count get index items keys values")),
    ((int, float), _words("is_integer")),
    ((date, time), _words("date isoformat isoweekday time weekday")),
    (LoopContext, _words("changed cycle")),
    (Cycler, _words("next reset")),
)
"""The methods that a template may call, by the kind of their object."""

_OWNERS = tuple(
    kind for kinds, _ in _METHODS for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
)
_CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
_HELD = (Namespace, Undefined)  # which give only what the template put there, or an error

# Named, since a union written where it is used is made anew each time.
_SIMPLE = (str, int, float)
_LISTS = (list, tuple, dict)
_SIZED = (*_LISTS, str, range)

# By chance, for debugging, or for HTML.
_NO_FILTERS = ("random", "pprint", "urlize")


class Stream:
    """What a filter gives item by item, each of which is counted."""

    __slots__ = ("_meter", "_values")

    def __init__(self, meter: Meter, values: Iterator[Any]) -> None:
        self._meter, self._values = meter, values

    def __iter__(self) -> Iterator[Any]:
        return self._meter.each(self._values)


class _Format:
    """`str.format`, within bounds."""

    def __init__(self, environment: BoundedEnvironment, text: str, *, is_map: bool) -> None:
        self._environment, self._text, self._is_map = environment, text, is_map

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        if self._is_map:
            (kwargs,), args = args, ()
        return _Formatter(self._environment).vformat(self._text, args, kwargs)


class _Formatter(SandboxedFormatter):
    _env: BoundedEnvironment

    def format_field(self, value: Any, format_spec: str) -> Any:
        self._env.check_text(value)
        self._env.meter.write(self._env.meter.weigh(value) + spec_length(format_spec))
        return super().format_field(value, format_spec)

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is not None:
            self._env.check_text(value)
            self._env.meter.write(self._env.meter.weigh(value))
        return super().convert_field(value, conversion)


class BoundedGenerator(CodeGenerator):
    """Writes code that is counted where it loops, joins, compares, slices and gathers."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            self.environment.check_text(node.as_const(frame.eval_ctx))  # type: ignore[attr-defined]
        return super()._output_child_to_const(node, frame, finalize)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        rounds = nodes.EnvironmentAttribute("rounds")
        node.iter = nodes.Call(rounds, [node.iter], [], None, None, lineno=node.iter.lineno)
        node.set_environment(self.environment)
        super().visit_For(node, frame)

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    @optimizeconst
    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
        self.write("(")
        self._visit_read(node.expr, frame)
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:  # noqa: N802
        self.write(f" {_COMPARISONS[node.op]} ")
        self._visit_read(node.expr, frame)

    def _visit_read(self, node: nodes.Expr, frame: Frame) -> None:
        if isinstance(node, nodes.Const):
            self.visit(node, frame)
            return
        self.write("environment.compared(")
        self.visit(node, frame)
        self.write(")")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802
        self._gather(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
        self._gather(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._gather(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _gather(self, visit: Callable[[Any, Frame], None], node: Any, frame: Frame) -> None:
        self.write("environment.made(")
        visit(node, frame)
        self.write(")")

    @optimizeconst
    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            self.write("environment.getitem(")
            self.visit(node.node, frame)
            self.write(", ")
            self.visit(node.arg, frame)
            self.write(")")
            return
        self.write("environment.sliced(")
        self.visit(node.node, frame)
        for bound in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            if bound is None:
                self.write("None")
            else:
                self.visit(bound, frame)
        self.write(")")


_COMPARISONS = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "gteq": ">=",
    "lt": "<",
    "lteq": "<=",
    "in": "in",
    "notin": "not in",
}


class _Folding(NodeTransformer):
    """Computes operators over constants, so that what they make is still the template's text.

    Jinja does so for operators that no sandbox looks at.
    """

    def __init__(self, environment: BoundedEnvironment) -> None:
        self._environment = environment

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        if not isinstance(node, nodes.BinExpr) or not node.operator:
            return node
        sides = (node.left, node.right)
        if node.operator in ("and", "or") or not all(isinstance(s, nodes.Const) for s in sides):
            return node
        left, right = (side.value for side in sides if isinstance(side, nodes.Const))
        try:
            value = self._environment.operate(node.operator, left, right)
            constant = nodes.Const.from_untrusted(value, lineno=node.lineno)
        except Exception:  # the rendering says what is wrong, and where
            return node
        return node if self._environment.meter.weigh(value) > _LONGEST_CONSTANT else constant


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """What templates run in: they call no Python, and end."""

    code_generator_class = BoundedGenerator
    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self, **options: Any) -> None:
        self.meter = Meter()
        super().__init__(**options)
        del self.globals["lipsum"]
        for name in _NO_FILTERS:
            del self.filters[name]
        self.filters |= {"join": self._join, "sum": self._sum}
        for name, function in self.filters.items():
            self.add_filter(name, function)
        for name, test in self.tests.items():
            self.tests[name] = self._counted("", test)

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        self.meter.refill()
        self.meter.compiling = True
        try:
            folded = _Folding(self).visit(source)
            folded.set_environment(self)
            return super()._generate(folded, name, filename, defer_init)
        finally:
            self.meter.compiling = False

    # Called by compiled templates.

    def rounds(self, values: Any) -> Any:
        """What a loop goes over."""
        if isinstance(values, _SIZED):
            self.meter.spend(len(values))
            return values
        return self.meter.each(values)

    def concatenated(self, values: tuple[Any, ...]) -> str:
        """The texts of values, as one."""
        for value in values:
            self.check_text(value)
        self.meter.write(self.meter.weigh(values))
        return "".join(map(str, values))

    def compared(self, value: Any) -> Any:
        """A side of a comparison."""
        if isinstance(value, _SIZED):
            self.meter.read(value)
        return value

    def printed(self, value: Any) -> Any:
        """A value that becomes text."""
        self.check_text(value)
        return value

    def sliced(self, value: Any, *bounds: Any) -> Any:
        """A part of a text or a list."""
        return self.made(value[slice(*bounds)])

    def made(self, value: Any) -> Any:
        """A value that a template made."""
        if isinstance(value, str):
            self.meter.write(len(value))
        elif isinstance(value, _LISTS):
            self.meter.read(value)
        elif isinstance(value, int):
            self.meter.number(value.bit_length())
        elif isinstance(value, Iterator):
            self._check_rendering()
            return Stream(self.meter, value)
        return value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator."""
        return self.operate(operator, left, right)

    def operate(self, operator: str, left: Any, right: Any) -> Any:
        """An operator, if its result is within bounds."""
        if operator == "%" and isinstance(left, str):
            self.check_text(right)
        check_operands(self.meter, operator, left, right)
        return self.binop_table[operator](left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Calls what may be called."""
        self, owner = __self, getattr(__obj, "__self__", None)
        if owner is self:  # `rounds`, which counts itself
            return __obj(*args)
        self.meter.spend(STEPS_PER_CALL)
        self.meter.read(*args, *kwargs.values())
        if isinstance(__obj, LoopContext):
            args = tuple(map(self.rounds, args))
        elif isinstance(owner, str):
            name = __obj.__name__
            if name == "join":
                args = tuple(map(self._listed, args))
            self._price(name, owner, *args, **kwargs)
        if isinstance(owner, _SIZED):
            self.meter.read(owner)
        return self.made(super().call(__context, __obj, *args, **kwargs))

    # What may be read and called.

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read it."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, _HELD) or isinstance(value, (Macro, BlockReference, Undefined)):
            return True
        if isinstance(obj, type) or (callable(obj) and not isinstance(obj, _CALLABLE)):
            return False
        if not callable(value):
            return True
        self._check_rendering()
        return any(isinstance(obj, kinds) and attr in names for kinds, names in _METHODS)

    def is_safe_callable(self, obj: Any) -> bool:
        """Whether a template may call it."""
        if isinstance(obj, (*_CALLABLE, _Format)):
            return True
        if any(obj is known for known in self.globals.values()):
            return True
        owner = getattr(obj, "__self__", None)
        return isinstance(owner, (*_OWNERS, Extension, BoundedEnvironment))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` and `str.format_map`, within bounds."""
        if super().wrap_str_format(value) is None:
            return None
        self._check_rendering()
        return _Format(self, str(value.__self__), is_map=value.__name__ == "format_map")

    def _check_rendering(self) -> None:
        """Methods and streams have no text, so they are no constants."""
        if self.meter.compiling:
            raise UndefinedError("is not known before rendering")

    def check_text(self, value: Any) -> None:
        """Raises `UndefinedError` for a value whose text is an address, or has no end."""
        if not isinstance(value, _SIMPLE):
            self.meter.read(value)
            _check_text(value)

    # Filters and tests.

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """A filter that is counted."""
        self.filters[name] = self._counted(name, function)

    def _counted(self, name: str, function: Any) -> Callable[..., Any]:
        """`function`, counted, and what a filter of this `name` writes.

        A test has no name here: it writes nothing, and is asked of values that have no text, too.
        """
        skipped = 1 if hasattr(function, "jinja_pass_arg") else 0
        meter, is_priced = self.meter, name in PRICED

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            given = args[skipped:] if skipped else args
            meter.spend(1)
            meter.read(*given, *kwargs.values())
            if is_priced:
                self._price(name, *given, **kwargs)
            return self.made(function(*args, **kwargs))

        return counted

    def _price(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Raises `SecurityError` for what would be too much, before it is made."""
        if name in AS_TEXT:
            for given in (value, *args, *kwargs.values()):
                self.check_text(given)
        if isinstance(value, str):
            self.meter.spend(searched(name, value, *args) >> 5)
            if listed(name, value, *args) > MAX_TEXT:
                raise too_much_text()
        if name in WRITTEN:
            self.meter.write(WRITTEN[name](self.meter, value, *args, **kwargs))

    def _listed(self, values: Iterable[Any]) -> list[Any]:
        values = list(values)
        self.meter.read(values)
        return values

    def _join(self, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
        """Jinja's `join`, which sees first how long it gets."""
        items = self._listed(value)
        if attribute is not None:
            items = [self._field(item, attribute) for item in items]
        self.check_text([*items, d])
        self.meter.write(self.meter.weigh(items) + self.meter.weigh(d) * len(items))
        return str(d).join(map(str, items))

    def _sum(
        self, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0
    ) -> Any:
        """Jinja's `sum`, item by item."""
        total = start
        for item in iterable:
            value = item if attribute is None else self._field(item, attribute)
            if isinstance(value, str):
                raise UndefinedError("sum adds numbers, not texts; use join")
            total = self.operate("+", total, value)
        return total

    def _field(self, item: Any, path: str | int) -> Any:
        for part in str(path).split("."):
            item = self.getitem(item, int(part) if part.isdigit() else part)
        return item


def _check_text(value: Any) -> None:
    if isinstance(value, _SIMPLE):
        return
    if isinstance(value, Undefined):
        str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_text(item)
    elif isinstance(value, dict):
        _check_text([*value, *value.values()])
    elif isinstance(value, Stream):
        raise UndefinedError(
            "a filter's items cannot be printed at once; add | list or | join(', ')"
        )
    elif callable(value) or isinstance(value, Namespace) or _has_no_text(type(value)):
        kind = type(value).__name__.lstrip("_").lower()
        if kind == "view":
            raise UndefinedError("a whole record cannot be printed; print one of its fields")
        raise UndefinedError(f"a {kind} cannot be printed; print a value, or call it")


def begin(template: Template) -> None:
    """A rendering begins: all its steps are ahead of it."""
    if isinstance(template.environment, BoundedEnvironment):
        template.environment.meter.refill()


def bounded_text(parts: Iterable[str]) -> str:
    """One text out of what a compiled template yields. Raises `SecurityError` for too much."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part) + 1
        if length > MAX_TEXT:
            raise too_much_text()
    return "".join(kept)


def _has_no_text(kind: type) -> bool:
    methods: tuple[Any, Any] = kind.__str__, kind.__repr__
    return methods == (object.__str__, object.__repr__)
