"""Which demonstrations a query sees, and in which order.

For one seed the shots for k are the first k of one permutation of the pool, so that more shots
are never mixed up with other shots.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Literal, get_args

from promptkit.errors import PromptError
from promptkit.examples import Example, ExampleSet, text_key

Selection = Literal["random", "first"]
"""`random`: in an order drawn by the seed; `first`: in the order of the pool."""

SELECTIONS: tuple[Selection, ...] = get_args(Selection)


def draw(
    pool: ExampleSet[Any, Any],
    query: Example[Any, Any],
    shots: int,
    *,
    seed: int = 0,
    selection: Selection = "random",
) -> tuple[Example[Any, Any], ...]:
    """The first `shots` demonstrations of the pool's order for this seed, without the query.

    The query is left out by id and by equal text. Raises `PromptError` where the pool is too
    small.
    """
    if shots < 0:
        raise PromptError(f"{shots} shots: a number of shots is 0 or more")
    order = _permutation(pool, seed) if selection == "random" else range(len(pool))
    drawn: list[Example[Any, Any]] = []
    for index in order:
        if len(drawn) == shots:
            break
        if not _same(pool[index], query):
            drawn.append(pool[index])
    if len(drawn) < shots:
        raise PromptError(
            f"{shots} shots asked, but the pool has only {len(drawn)} demonstrations for "
            f"example {query.id!r}; add some, or ask for fewer shots"
        )
    return tuple(drawn)


def _same(demo: Example[Any, Any], query: Example[Any, Any]) -> bool:
    return demo.id == query.id or text_key(demo.input) == text_key(query.input)


@lru_cache(maxsize=64)
def _permutation(pool: ExampleSet[Any, Any], seed: int) -> tuple[int, ...]:
    """An order keyed by the seed and the pool's content: sorting by a digest is a uniform draw.

    Unlike a generator of the standard library, the order is the same in every Python version.
    """
    salt = f"{seed}\0{pool.fingerprint}\0".encode()
    digests = [hashlib.sha256(salt + example.id.encode()).digest() for example in pool]
    return tuple(sorted(range(len(pool)), key=digests.__getitem__))
