"""A Jinja sandbox within bounds: a template can only read its data and write text.

Jinja's own sandbox refuses private attributes and allows the rest. Here attributes and calls are
refused unless they are on a list of harmless ones. The work of a template is counted
(`promptkit.sandbox.limits`), at prices that are known before the work is done
(`promptkit.sandbox.filter_costs`), and watched (`promptkit.sandbox.watchdog`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, time
from functools import wraps
from typing import Any, TypeVar

from jinja2 import Template, Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from promptkit.sandbox import filter_costs
from promptkit.sandbox.codegen import BoundedGenerator, Folding
from promptkit.sandbox.filters import Filters
from promptkit.sandbox.limits import (
    LISTS,
    MAX_STEPS,
    MAX_TEXT,
    STEPS_PER_ATTRIBUTE,
    STEPS_PER_CALL,
    STEPS_PER_LOAD,
    Meter,
    too_much_text,
)
from promptkit.sandbox.operations import SIMPLE, Format, Stream, check_text, listed, operate
from promptkit.sandbox.watchdog import watched
from promptkit.translation import tr

_Result = TypeVar("_Result")


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_TEXT = _words(
    "capitalize casefold center count endswith expandtabs find format format_map index isalnum",
    "isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle",
    "isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex",
    "rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill",
)
_METHODS: tuple[tuple[tuple[type, ...], frozenset[str]], ...] = (
    ((str,), _TEXT),
    ((list, tuple, dict, range), _words("copy count get index items keys values")),
    ((int, float), _words("is_integer")),
    ((date, time), _words("date isoformat isoweekday time weekday")),
    ((LoopContext,), _words("changed cycle")),
    ((Cycler,), _words("next reset")),
)
"""Methods that a template may call, by the type of their object."""

_OWNERS = tuple(kind for kinds, _ in _METHODS for kind in kinds)
_CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
_HELD = (Namespace, Undefined)  # which give only what the template put there, or an error

# Named, since a union written where it is used is made anew each time.
_SIZED: tuple[type[Collection[Any]], ...] = (*LISTS, str, range)
_WITHOUT_FIELDS = (*SIMPLE, list, dict)  # but our own have some, such as their origin

# One is random, one prints addresses, one is for HTML.
_NO_FILTERS = ("random", "pprint", "urlize")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja environment whose templates call no Python functions and always end."""

    code_generator_class = BoundedGenerator
    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self, **options: Any) -> None:
        self.meter = Meter()
        super().__init__(**options)
        del self.globals["lipsum"]
        for name in _NO_FILTERS:
            del self.filters[name]
        bounded = Filters(self, self.meter)
        self.filters |= {"join": bounded.join, "sum": bounded.sum, "unique": bounded.unique}
        self.globals["dict"] = bounded.mapping
        for name, function in self.filters.items():
            self.add_filter(name, function)
        for name, test in self.tests.items():
            self.tests[name] = self._counted("", test)

    def bounded(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of a rendering, or of a part of one, within all bounds.

        Raises:
            SecurityError: It was over a bound.
        """
        meter = self.meter
        if meter.running:  # a part of a rendering shares the bounds of the whole
            return work()
        meter.refill()
        meter.running = True
        try:
            return watched(work)
        finally:
            meter.running = False
            meter.taken = MAX_STEPS - meter.left
            meter.refill()

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parser = Parser(self, source, name, filename)
        try:
            return self.bounded(parser.parse)
        except (RecursionError, ValueError, SecurityError) as error:
            line = parser.stream.current.lineno
            raise TemplateSyntaxError(_unfit(error), line, name, filename) from None

    def compile(
        self,
        source: str | nodes.Template,
        name: str | None = None,
        filename: str | None = None,
        raw: bool = False,
        defer_init: bool = False,
    ) -> Any:
        """Compile a template within the bounds of a rendering."""
        compiled: Callable[..., Any] = super().compile
        try:
            return self.bounded(lambda: compiled(source, name, filename, raw, defer_init))
        except TemplateSyntaxError as error:
            error.name, error.filename = error.name or name, error.filename or filename
            raise
        except (RecursionError, MemoryError, SyntaxError, ValueError, SecurityError) as error:
            raise TemplateSyntaxError(_unfit(error), 1, name, filename) from None

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        # Jinja computes filters and tests of constants while it compiles, by the same code as in a
        # rendering; `_check_rendering` tells the two apart.
        with self._compiling(True):
            folded = Folding(self.meter).visit(source)
            folded.set_environment(self)
            return super()._generate(folded, *args, **options)

    def _load_template(self, name: str, globals: Any) -> Template:
        self.meter.spend(STEPS_PER_LOAD)
        with self._compiling(False):
            return super()._load_template(name, globals)

    @contextmanager
    def _compiling(self, compiling: bool) -> Iterator[None]:
        before, self.meter.compiling = self.meter.compiling, compiling
        try:
            yield
        finally:
            self.meter.compiling = before

    # Called by compiled templates.

    def rounds(self, values: Any, steps: int = 1) -> Any:
        """Return the values that a loop iterates over, each of which takes so many steps."""
        if isinstance(values, _SIZED):
            self.meter.spend(len(values) * steps)
            return values
        return self.meter.each(values, steps)

    def step(self, steps: int) -> None:
        """Count a body that is called: a macro, a block, a whole template."""
        self.meter.spend(steps)

    def concatenated(self, *values: Any) -> str:
        """Return the texts of values, joined."""
        for value in values:
            check_text(self.meter, value)
        self.meter.write(self.meter.weigh(values))
        return "".join(map(str, values))

    def compared(self, value: Any) -> Any:
        """Return a side of a comparison, after counting the time to read it."""
        if isinstance(value, _SIZED):
            self.meter.read(value)
        return value

    def printed(self, value: Any) -> Any:
        """Return a value that becomes text. Raises `UndefinedError` where it has none."""
        check_text(self.meter, value)
        return value

    def sliced(self, value: Any, *bounds: Any) -> Any:
        """Return a slice of a text or a list."""
        return self.made(value[slice(*bounds)])

    def made(self, value: Any) -> Any:
        """Return a value that a template made, after counting it; an iterator as a `Stream`."""
        if isinstance(value, str):
            self.meter.write(len(value))
        elif isinstance(value, LISTS):
            self.meter.read(value)
        elif isinstance(value, int):
            self.meter.number(value.bit_length())
        elif isinstance(value, Iterator):
            self._check_rendering()
            return Stream(self.meter, value)
        return value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Return the result of an operator."""
        return operate(self.meter, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Return the result of a call, if the callee is allowed."""
        self, owner = __self, getattr(__obj, "__self__", None)
        self.meter.spend(STEPS_PER_CALL)
        self.meter.read(*args, *kwargs.values())
        if isinstance(__obj, LoopContext):
            args = tuple(map(self.rounds, args))
        elif isinstance(owner, str):
            name = __obj.__name__
            if name == "join":
                args = tuple(listed(self.meter, arg) for arg in args)
            self._price(name, owner, *args, **kwargs)
        if isinstance(owner, _SIZED):
            self.meter.read(owner)
        return self.made(super().call(__context, __obj, *args, **kwargs))

    # What may be read and called.

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may read an attribute."""
        self.meter.spend(STEPS_PER_ATTRIBUTE)
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, _HELD) or isinstance(value, (Macro, BlockReference, Undefined)):
            return True
        if isinstance(obj, type) or (callable(obj) and not isinstance(obj, _CALLABLE)):
            return False
        if not callable(value):
            # A plain text or number has attributes such as `origin` or `real`, and no fields.
            return not isinstance(obj, _WITHOUT_FIELDS)
        self._check_rendering()
        return any(isinstance(obj, kinds) and attr in names for kinds, names in _METHODS)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Read an item or a field; filters call this for every step of a path."""
        self.meter.spend(2)
        return super().getitem(obj, argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """Return whether a template may call an object."""
        if isinstance(obj, (*_CALLABLE, Format)):
            return True
        if any(obj is known for known in self.globals.values()):  # `==` might be anybody's
            return True
        owner = getattr(obj, "__self__", None)
        return isinstance(owner, (*_OWNERS, Extension, BoundedEnvironment))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return `str.format` or `str.format_map` within bounds; None for other callables."""
        if super().wrap_str_format(value) is None:
            return None
        self._check_rendering()
        return Format(self, self.meter, str(value.__self__), is_map=value.__name__ == "format_map")

    def _check_rendering(self) -> None:
        """Refuse to compute a method or a stream as a constant: they have no text."""
        if self.meter.compiling:
            raise UndefinedError(tr("is not known before rendering"))

    # Filters and tests.

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Add a filter whose work is counted."""
        self.filters[name] = self._counted(name, function)

    def _counted(self, name: str, function: Any) -> Callable[..., Any]:
        """Return `function` with its work counted at the price of the filter `name`.

        A test has an empty name: it writes nothing, and takes values that have no text, too.
        """
        skipped = 1 if hasattr(function, "jinja_pass_arg") else 0
        meter, is_priced = self.meter, name in filter_costs.PRICED
        steps = filter_costs.STEPS_PER_USE.get(name, filter_costs.STEPS_PER_FILTER)

        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            meter.spend(steps)
            given = args[skipped:] if skipped else args
            if name in filter_costs.ALL_AT_ONCE:  # so that items are counted before use
                given = tuple([listed(meter, v) if isinstance(v, Stream) else v for v in given])
                args = (*args[:skipped], *given)
            meter.read(*given, *kwargs.values())
            if is_priced:
                self._price(name, *given, **kwargs)
            return self.made(function(*args, **kwargs))

        return counted

    def _price(self, name: str, value: Any, *args: Any, **kwargs: Any) -> None:
        """Count a filter or method before it runs. Raises `SecurityError` over a bound."""
        if name in filter_costs.AS_TEXT:
            for given in (value, *args, *kwargs.values()):
                check_text(self.meter, given)
        if isinstance(value, str):
            room = filter_costs.ROOM.get(name)
            if room is not None and room(value, *args, **kwargs) > MAX_TEXT:
                raise too_much_text()
            lines = len(value) * filter_costs.STEPS_PER_LINE.get(name, 0)
            if name in filter_costs.SEARCHED:
                lines += filter_costs.SEARCHED[name](value, *args, **kwargs)
            if lines > 31:
                self.meter.spend(lines >> 5)
        elif name in filter_costs.STEPS_PER_ITEM and isinstance(value, _SIZED):
            self.meter.spend(filter_costs.sorted_in(name, len(value)))
        if name in filter_costs.PATHS:
            filter_costs.check_path(name, *args, **kwargs)
        if name in filter_costs.WRITTEN:
            self.meter.write(filter_costs.WRITTEN[name](self.meter, value, *args, **kwargs))


def within_bounds(template: Template, work: Callable[[], _Result]) -> _Result:
    """Return the result of a rendering of a template, within all bounds.

    Raises:
        SecurityError: It was over a bound.
    """
    environment = template.environment
    return environment.bounded(work) if isinstance(environment, BoundedEnvironment) else work()


def bounded_text(parts: Iterable[str]) -> str:
    """Return the parts of a rendering as one text. Raises `SecurityError` for too much."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part) + 1
        if length > MAX_TEXT:
            raise too_much_text()
    return "".join(kept)


def _unfit(error: Exception) -> str:
    """Return the reason why a template with valid syntax cannot be compiled."""
    if isinstance(error, SecurityError):
        return error.message or ""
    return tr("the template nests too deeply, or has a number that is too long")
