"""Replacements of Jinja's filters that gather items: each item is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Environment
from jinja2.exceptions import UndefinedError
from jinja2.filters import ignore_case, make_attrgetter

from promptkit.sandbox.limits import Keys, Meter
from promptkit.sandbox.operations import check_text, listed, operate
from promptkit.translation import tr

Path = str | int | None


class Filters:
    """The filters `join`, `sum` and `unique`, and the function `dict`."""

    def __init__(self, environment: Environment, meter: Meter) -> None:
        self._environment, self._meter = environment, meter

    def join(self, value: Iterable[Any], d: Any = "", attribute: Path = None) -> str:
        """Return the items joined, as Jinja's `join` does; their length is checked first."""
        get = make_attrgetter(self._environment, attribute)
        items = listed(self._meter, map(get, value))
        check_text(self._meter, [*items, d])
        self._meter.write(self._meter.weigh(items) + self._meter.weigh(d) * len(items))
        return str(d).join(map(str, items))

    def sum(self, iterable: Iterable[Any], attribute: Path = None, start: Any = 0) -> Any:
        """Return the sum of numbers or lists, as Jinja's `sum` does."""
        get = make_attrgetter(self._environment, attribute)
        total = start
        for item in iterable:
            value = get(item)
            if isinstance(value, str):
                raise UndefinedError(tr("sum adds numbers, not texts; use join"))
            total = operate(self._meter, "+", total, value)
        return total

    def unique(
        self, value: Iterable[Any], case_sensitive: bool = False, attribute: Path = None
    ) -> Iterator[Any]:
        """Yield each item once, as Jinja's `unique` does; refuses many keys of one hash."""
        postprocess = None if case_sensitive else ignore_case
        get, keys = make_attrgetter(self._environment, attribute, postprocess), Keys()
        for item in value:
            key = get(item)
            self._meter.spend(1)
            self._meter.read(key)
            if keys.add(key):
                yield item

    def mapping(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Return a dict, as Python's `dict` does; refuses many keys of one hash."""
        if len(args) != 1 or isinstance(args[0], dict):
            return dict(*args, **kwargs)
        keys, made = Keys(), {}
        for key, value in args[0]:
            self._meter.spend(2)
            self._meter.read(key)
            keys.add(key)
            made[key] = value
        return made | kwargs
