"""Draws of the shots of queries, by a selection and an order.

They are the first of one ranking (`strategies`), in an order (`orders`). A query is never among its
own shots, and neither are its near-duplicates, unless the selection allows them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from promptkit.errors import PromptError
from promptkit.selection.excluded import Head, KnownQuery, barred_for, form_keys
from promptkit.selection.orders import AnyOrder, Order, arranged, as_order
from promptkit.selection.pool import Pool, normal_forms
from promptkit.selection.strategies import (
    AnySelection,
    ByQuery,
    Fixed,
    Ranked,
    Selection,
    as_selection,
)
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example, text_key, text_of
from promptkit.text import counted
from promptkit.translation import mark, tr, trn

if TYPE_CHECKING:
    from promptkit.selection.excluded import Keys

Shots = tuple[Example[Any, Any], ...]

HEAD = 32
"""Length of the part of a ranking that is examined first; shots are rarely more."""

AHEAD = 256
"""Number of expected queries that are ranked at once."""

ALLOW_NEAR = mark(
    'allow near-duplicates (--near-duplicates allow, near_duplicates = "allow" in task.toml)'
)
"""Advice where too many near-duplicates are excluded."""

MOST_POOLS = 40
"""Number of pools whose draws are remembered: those of all folds, and some more."""

MOST = 100_000
"""Number of queries remembered that were not announced by `expect`."""


def draw(
    pool: ExampleSet[Any, Any],
    query: Example[Any, Any],
    shots: int,
    *,
    seed: int = 0,
    selection: AnySelection = "random",
    order: AnyOrder | None = None,
    text: str | None = None,
    apart: bool = False,
) -> Shots:
    """Return `shots` demonstrations from the pool for a query, without the query itself.

    The query and its near-duplicates are left out; `text` is its `text_key`, if that is known. The
    query is known by its id and by its text, or where it stands `apart` from the pool, as tests do,
    by its text alone, since ids are unique in their own set only.
    Without an `order` they stand as the selection has it. Equal draws of a selection that does not
    look at the query are one and the same tuple. Raises `PromptError` where the pool is too small.
    """
    selection = as_selection(selection)
    placed = as_order(selection.order if order is None else order)
    if not isinstance(shots, int) or shots < 0:
        raise PromptError(
            tr("{shots!r} shots: a number of shots is a whole number, 0 or more", shots=shots)
        )
    if shots == 0:
        return ()
    draws = draws_of(pool)
    with draws.lock:
        return draws.draw(query, shots, seed, selection, placed, text, apart)


def expect(
    pool: ExampleSet[Any, Any], queries: Iterable[Example[Any, Any]], apart: bool = False
) -> None:
    """Announce the next queries; many are drawn for faster together than one by one."""
    draws = draws_of(pool)
    with draws.lock:
        draws.expect(queries, apart)


def forget(pool: ExampleSet[Any, Any]) -> None:
    """Forget the queries that were drawn for, where none of them comes again."""
    draws = draws_of(pool)
    with draws.lock:
        draws.forget()


def left_out(
    pool: ExampleSet[Any, Any],
    query: Example[Any, Any],
    shots: int,
    seed: int,
    selection: AnySelection,
    apart: bool = False,
) -> Shots:
    """Return the near-duplicates of a query that would otherwise be among these shots."""
    chosen = as_selection(selection)
    if shots == 0 or chosen.allow_near:
        return ()
    draws = draws_of(pool)
    with draws.lock:
        return draws.left_out(draws.known(query, None, apart), shots, seed, chosen)


@lru_cache(maxsize=MOST_POOLS)
def draws_of(pool: ExampleSet[Any, Any]) -> Draws:
    """Return the draws from this pool."""
    return Draws(pool)


def same(demo: Example[Any, Any], query: Example[Any, Any], apart: bool = False) -> bool:
    """Return whether a demonstration is the query: by id or equal text, or `apart` by text."""
    return (demo.id == query.id and not apart) or text_key(demo.input) == text_key(query.input)


class Draws:
    """Draws the shots of many queries from one pool, and keeps what the draws have in common.

    Threads that draw from equal pools share it; each call is made with the `lock` held.
    """

    def __init__(self, pool: ExampleSet[Any, Any]) -> None:
        self.lock = threading.RLock()  # an embedder may draw, too
        self._pool = Pool(pool)
        self._asked: dict[tuple[str | None, str], KnownQuery] = {}
        self._queries: list[KnownQuery] = []
        # By identity, with the example itself, so that it stays what it is.
        self._expected: dict[int, Example[Any, Any]] = {}
        self._waiting: list[tuple[Example[Any, Any], bool]] = []
        self._keys: list[Keys] = []
        """The queries' `band_keys`, as far as they were asked for."""
        self._heads: dict[tuple[Fixed, int], Head] = {}
        self._ranked: dict[tuple[ByQuery, int], dict[int, Ranked]] = {}
        self._near: dict[tuple[ByQuery, int, int], dict[int, None]] = {}
        """Near-duplicates that a ranking met, by selection, seed and the query's number."""
        self._tuples: dict[tuple[int, ...], Shots] = {}

    def expect(self, queries: Iterable[Example[Any, Any]], apart: bool = False) -> None:
        """Announce the next queries."""
        new = [query for query in queries if id(query) not in self._expected]
        self._expected |= {id(query): query for query in new}
        self._waiting += [(query, apart) for query in new]

    def draw(
        self,
        query: Example[Any, Any],
        shots: int,
        seed: int,
        selection: Selection,
        order: Order,
        text: str | None = None,
        apart: bool = False,
    ) -> Shots:
        """See `draw`."""
        for each, other in self._waiting:
            self.known(each, None, other)
        self._waiting.clear()
        if len(self._queries) >= MOST + len(self._expected):
            self.forget()
        asked = self.known(query, text, apart)
        indices, nearness = self._chosen(selection, seed, asked, shots)
        if len(indices) < shots:
            near = self.left_out(asked, shots, seed, selection)
            raise PromptError(_too_few(selection, len(indices), query, shots, near))
        if order.row is None and order.name in ("drawn", "given"):
            return self._shots(selection, tuple(indices))
        places = arranged(
            order,
            len(indices),
            labels=lambda: [self._pool.labels[index] for index in indices],
            nearness=nearness,
            turn=lambda: seed + int.from_bytes(sha256(query.id.encode()).digest()[:8], "big"),
        )
        return self._shots(selection, tuple([indices[place] for place in places]))

    def left_out(self, asked: KnownQuery, shots: int, seed: int, selection: Selection) -> Shots:
        """The near-duplicates in front of the last shot, as drawn."""
        self._chosen(selection, seed, asked, shots)
        seed = seed if selection.seeded else 0
        if isinstance(selection, ByQuery):
            near = self._near.get((selection, seed, asked.number), {})
            return tuple([self._pool[index] for index in near])
        assert isinstance(selection, Fixed)
        head = self._heads[selection, seed]
        return tuple([self._pool[index] for index in head.left_out(asked, shots)])

    @property
    def remembered(self) -> int:
        """Number of queries remembered."""
        return len(self._queries)

    def forget(self) -> None:
        """Forget all queries, but not what was computed of the pool."""
        for known in (self._asked, self._queries, self._expected, self._waiting, self._keys):
            known.clear()
        for made in (self._heads, self._ranked, self._near, self._tuples):
            made.clear()

    def _chosen(
        self, selection: Selection, seed: int, asked: KnownQuery, shots: int
    ) -> tuple[Sequence[int], Callable[[], Sequence[float]]]:
        """The shots as they were drawn, fewer where the pool has no more, and how near they are."""
        if isinstance(selection, ByQuery):
            ranked = self._ranking(selection, seed, asked, shots)
            return ranked.indices[:shots], lambda: ranked.nearness[:shots]
        if isinstance(selection, Fixed):
            indices = self._fixed(selection, seed, asked, shots)
            return indices, lambda: self._nearness(selection, seed, asked, indices)
        raise PromptError(
            tr("selection {name!r} is neither Fixed nor ByQuery", name=selection.name)
        )

    def _shots(self, selection: Selection, indices: tuple[int, ...]) -> Shots:
        if isinstance(selection, ByQuery):
            return tuple([self._pool[index] for index in indices])
        if indices not in self._tuples:
            self._tuples[indices] = tuple([self._pool[index] for index in indices])
        return self._tuples[indices]

    def known(self, query: Example[Any, Any], key: str | None, apart: bool) -> KnownQuery:
        """Return what is kept of a query; `key` is its `text_key`, if that is known."""
        key = text_key(query.input) if key is None else key
        id = None if apart else query.id
        asked = self._asked.get((id, key))
        if asked is None:
            text, normal = text_of(query.input), normal_forms(query)
            asked = KnownQuery(len(self._queries), id, key, text, normal)
            self._queries.append(asked)  # first, so that its number is taken if this is interrupted
            self._asked[id, key] = asked
        return asked

    def _fixed(self, selection: Fixed, seed: int, asked: KnownQuery, shots: int) -> Sequence[int]:
        size = max(shots, HEAD)
        while True:
            head = self._head(selection, seed, size)
            if asked.number >= head.checked:
                keys = self._band_keys(head.checked) if head.keys is not None else None
                head.check(self._pool, self._queries, keys)
            barred = head.barred.get(asked.number)
            if barred is None:
                return head.indices[:shots]
            kept = [index for index in head.indices if index not in barred]
            if len(kept) >= shots or len(head.indices) < size:
                return kept[:shots]
            size = 2 * size

    def _head(self, selection: Fixed, seed: int, size: int) -> Head:
        key = selection, seed if selection.seeded else 0
        head = self._heads.get(key)
        if head is None or head.size < size:
            indices = selection.ranked(self._pool, seed, size)[:size]
            near = None
            if not selection.allow_near:
                near = form_keys([self._pool.normal(i) for i in indices], self._pool.languages)
            head = Head(size, indices, near)
            self._heads[key] = head
        return head

    def _band_keys(self, start: int) -> Keys:
        """The keys of the queries from this one on."""
        import numpy as np

        new = [asked.normal for asked in self._queries[len(self._keys) :]]
        self._keys += [*form_keys(new, self._pool.languages)]
        return np.stack(self._keys[start:])

    def _ranking(self, selection: ByQuery, seed: int, asked: KnownQuery, shots: int) -> Ranked:
        key = selection, seed if selection.seeded else 0
        known = self._ranked.setdefault(key, {})
        found = known.get(asked.number)
        if found is None or len(found.indices) < shots:
            # Those that come next are ranked too, unless they are already.
            count = max(HEAD // 2, 1 << (shots - 1).bit_length())
            coming = [
                each
                for each in self._queries[asked.number : asked.number + AHEAD]
                if each.number not in known or len(known[each.number].indices) < shots
            ]
            rows = self._pool.vectors(selection.embed).rows([each.text for each in coming])
            for each, row in zip(coming, rows, strict=True):
                near = self._near[(*key, each.number)] = {}
                barred = barred_for(self._pool, each, None if selection.allow_near else near)
                known[each.number] = selection.rank(self._pool, row, barred, seed, count)
            found = known[asked.number]
        return found

    def _nearness(
        self, selection: Fixed, seed: int, asked: KnownQuery, indices: Sequence[int]
    ) -> Sequence[float]:
        """Return the similarity of the shots of a fixed selection to the query."""
        head = self._head(selection, seed, len(indices))
        if asked.number not in head.nearness:
            vectors = self._pool.vectors(getattr(selection, "embed", None))
            coming = self._queries[asked.number : asked.number + AHEAD]
            for each, row in zip(coming, vectors.rows([e.text for e in coming]), strict=True):
                head.nearness[each.number] = row[list(head.indices)].tolist()
        near = dict(zip(head.indices, head.nearness[asked.number], strict=True))
        return [near[index] for index in indices]


def _too_few(
    selection: Selection, found: int, query: Example[Any, Any], shots: int, near: Shots
) -> str:
    source = (
        tr("the pool")
        if selection.kind != "given"
        else tr("the list {name!r}", name=selection.name)
    )
    left = ""
    if near:
        left = trn(
            ", since {n} near-duplicate of it is left out, such as {id!r}",
            ", since {n} near-duplicates of it are left out, such as {id!r}",
            len(near),
            id=near[0].id,
        )
    hint = (
        tr("ask for fewer shots, or {ALLOW_NEAR}", ALLOW_NEAR=tr(ALLOW_NEAR))
        if near
        else tr("or ask for fewer shots")
    )
    return tr(
        "{shots} asked, but {source} has only {demos} for example {id!r}{left}; add some, {hint}",
        shots=counted(shots, "shot", "shots"),
        source=source,
        demos=counted(found, "demonstration", "demonstrations"),
        id=query.id,
        left=left,
        hint=hint,
    )
