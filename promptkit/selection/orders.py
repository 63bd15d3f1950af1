"""Orders of a query's shots: the same shots, placed by a rule.

Small models lean towards what they read last, so the order alone can move accuracy as much as the
choice of shots does (Lu et al. 2022, arXiv 2104.08786).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptkit.errors import PromptError, TaskError, shorten
from promptkit.translation import tr

DEFAULT = "default"
"""Name of the selection's default order."""

RULES = ("drawn", "given", "reversed", "nearest-last", "rotated")
"""`drawn`: as the selection ranks them; `given`: the same, where a person ranked them; `reversed`:
the other way round; `nearest-last`: the one most like the query at the end, a fixed block in front;
`rotated`: turned so that the last shot's label is another one from query to query and from seed to
seed."""


@dataclass(frozen=True)
class Order:
    """An order of shots: a rule by its name, or a row of a balanced design (`orders`)."""

    name: str = "drawn"
    row: int | None = None
    """Row of the design; None for a rule."""

    def __post_init__(self) -> None:
        if self.row is None and self.name not in RULES:
            raise PromptError(
                tr(
                    "unknown order {name}; choose one of: {RULES}",
                    name=shorten(self.name),
                    RULES=", ".join(RULES),
                )
            )


AnyOrder = Order | str
"""An order, or the name of a rule."""


def as_order(order: AnyOrder) -> Order:
    """An order, or the rule of this name. Raises `PromptError`."""
    return order if isinstance(order, Order) else Order(order)


def orders(count: int) -> tuple[Order, ...]:
    """Return balanced orders of the same shots, `order 1/6` and so on; the first is `drawn`.

    Every shot stands in every position equally often, once more or once less where the number of
    shots does not divide `count`. Over as many orders as shots (twice as many where that number is
    odd) every shot also stands behind every other one equally often (Williams 1949). Beyond that
    come rotations and their reversals, and then the first ones again.

    Args:
        count: The number of orders.

    Raises:
        TaskError: The count is less than 1.

    Example:
        >>> [order.name for order in orders(2)]
        ['order 1/2', 'order 2/2']
    """
    if count < 1:
        raise TaskError(tr("{count} orders: at least one is needed", count=count))
    return tuple(Order(f"order {row + 1}/{count}", row) for row in range(count))


def arranged(
    order: Order,
    count: int,
    labels: Callable[[], Sequence[str]],
    nearness: Callable[[], Sequence[float]],
    turn: Callable[[], int],
) -> Sequence[int]:
    """The places of drawn shots in the order in which they stand.

    What is costly is asked where it is needed: the shots' labels, their similarities to the query
    (minus infinity for those of a fixed block), and a number that selects the last one's label.
    """
    drawn = range(count)
    if order.row is not None:
        rows = design(count)
        return rows[order.row % len(rows)]
    if order.name == "reversed":
        return drawn[::-1]
    if order.name == "nearest-last":
        near = nearness()
        return sorted(drawn, key=lambda p: (near[p], p if near[p] == -math.inf else -p))
    if order.name == "rotated" and count:
        known = labels()
        distinct = sorted(set(known))
        last = distinct[turn() % len(distinct)]
        end = max(place for place, label in enumerate(known) if label == last) + 1
        return [*drawn[end:], *drawn[:end]]
    return drawn


@lru_cache(maxsize=128)
def design(shots: int) -> tuple[tuple[int, ...], ...]:
    """Orders of this many shots; each run of as many rows as shots is a Latin square."""
    if shots == 0:
        return ((),)
    zigzag = [(place + 1) // 2 * (1 if place % 2 else -1) % shots for place in range(shots)]
    place_of = {item: place for place, item in enumerate(zigzag)}
    williams = [
        tuple(place_of[(item + shift) % shots] for item in zigzag) for shift in range(shots)
    ]
    rotations = [tuple((place + shift) % shots for place in range(shots)) for shift in range(shots)]
    rows = [*williams, *([row[::-1] for row in williams] if shots % 2 else [])]
    return (*rows, *rotations, *[row[::-1] for row in rotations])
