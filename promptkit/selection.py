"""Which demonstrations a query sees, and in which order.

For one seed the shots for k are the first k of one permutation of the pool, so that more shots
are never mixed up with other shots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice, zip_longest
from typing import Any, Literal, NamedTuple, get_args

from promptkit.errors import PromptError
from promptkit.examples import Example, ExampleSet, text_key
from promptkit.task import Task

Selection = Literal["balanced", "random", "first"]
"""`balanced`: drawn by the seed, label after label in turn; `random`: in an order drawn by the
seed; `first`: in the order of the pool."""

SELECTIONS: tuple[Selection, ...] = get_args(Selection)


def default_selection(task: Task[Any, Any]) -> Selection:
    """`balanced` where answers are labels, since a lopsided draw teaches the commonest label."""
    return "balanced" if task.labels else "random"


def draw(
    pool: ExampleSet[Any, Any],
    query: Example[Any, Any],
    shots: int,
    *,
    seed: int = 0,
    selection: Selection = "random",
    text: str | None = None,
) -> tuple[Example[Any, Any], ...]:
    """The first `shots` demonstrations of the pool's order for this seed, without the query.

    The query is left out by id and by equal text; `text` is its `text_key`, if that is known.
    Raises `PromptError` where the pool is too small.
    """
    if selection not in SELECTIONS:
        known = ", ".join(SELECTIONS)
        raise PromptError(f"there is no selection {selection!r}; there is {known}")
    if not isinstance(shots, int) or shots < 0:
        raise PromptError(f"{shots!r} shots: a number of shots is a whole number, 0 or more")
    first = _first(pool, seed, selection, shots)
    text = text_key(query.input) if text is None else text
    if len(first.shots) == shots and query.id not in first.ids and text not in first.texts:
        return first.shots
    others = (pool[index] for index in _order(pool, seed, selection))
    drawn = tuple(islice((demo for demo in others if not same(demo, query)), shots))
    if len(drawn) < shots:
        raise PromptError(
            f"{shots} shots asked, but the pool has only {len(drawn)} demonstrations for "
            f"example {query.id!r}; add some, or ask for fewer shots"
        )
    return drawn


def same(demo: Example[Any, Any], query: Example[Any, Any]) -> bool:
    """Whether a demonstration is the query: by id or by equal text."""
    return demo.id == query.id or text_key(demo.input) == text_key(query.input)


class _First(NamedTuple):
    """The beginning of an order, which is what nearly every query sees."""

    shots: tuple[Example[Any, Any], ...]
    ids: frozenset[str]
    texts: frozenset[str]


@lru_cache(maxsize=256)
def _first(pool: ExampleSet[Any, Any], seed: int, selection: Selection, shots: int) -> _First:
    drawn = tuple(pool[index] for index in _order(pool, seed, selection)[:shots])
    ids = frozenset(demo.id for demo in drawn)
    return _First(drawn, ids, frozenset(text_key(demo.input) for demo in drawn))


@lru_cache(maxsize=256)
def _order(pool: ExampleSet[Any, Any], seed: int, selection: Selection) -> Sequence[int]:
    if selection == "first":
        return range(len(pool))
    drawn = _permutation(pool, seed)
    return drawn if selection == "random" else _interleaved(drawn, pool)


def _interleaved(drawn: Sequence[int], pool: ExampleSet[Any, Any]) -> tuple[int, ...]:
    """The same order, but every label has its turn before one comes again."""
    by_label: dict[str, list[int]] = {}
    for index in drawn:
        by_label.setdefault(repr(pool[index].output), []).append(index)
    rounds = zip_longest(*by_label.values())
    return tuple(index for turn in rounds for index in turn if index is not None)


def _permutation(pool: ExampleSet[Any, Any], seed: int) -> tuple[int, ...]:
    """An order keyed by the seed and the pool's content: sorting by a digest is a uniform draw.

    Unlike a generator of the standard library, the order is the same in every Python version.
    """
    salt = f"{seed}\0{pool.fingerprint}\0".encode()
    digests = [hashlib.sha256(salt + example.id.encode()).digest() for example in pool]
    return tuple(sorted(range(len(pool)), key=digests.__getitem__))
