"""The ways to choose shots: each is a small value that ranks a pool, best first.

The shots for k are the first k of a ranking, as a set; `orders` says in which order they stand. A
`Fixed` selection ranks the pool once for each seed, so that all queries see the same shots and
share them in the model's cache; a `ByQuery` selection ranks it for each query. Only inputs are
compared, never outputs: those of a query are not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from promptkit.errors import PromptError, TaskError, shorten
from promptkit.files.paths import MOST_TEXT, read_bytes
from promptkit.selection.pool import Pool, digest
from promptkit.tasks.task import Task
from promptkit.text import did_you_mean
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.selection.ranking import Barred, Similarities
    from promptkit.selection.similarity import Embed


@dataclass(frozen=True)
class Selection:
    """A ranking of demonstrations, best first: `Fixed` or `ByQuery`."""

    allow_near: bool = field(default=False, kw_only=True)
    """Allows near-duplicates of the query (`tasks.near_duplicates`) among its shots."""

    kind: ClassVar[str]
    order: ClassVar[str] = "drawn"
    """The order in which its shots stand where none is asked for."""
    seeded: ClassVar[bool] = False
    """True where the ranking depends on the seed."""

    @property
    def name(self) -> str:
        """Name in a comparison, in which no two selections share one."""
        embed = getattr(self, "embed", None)
        by = getattr(embed, "name", None) or getattr(embed, "__qualname__", "a function")
        embedded = f" by {by}" if embed is not None else ""
        return f"{self.title}{embedded}{', near-duplicates allowed' if self.allow_near else ''}"

    @property
    def title(self) -> str:
        """The kind, and the parameters that differ from their defaults."""
        return self.kind


@dataclass(frozen=True)
class Fixed(Selection):
    """Ranks the pool for a seed; a query only skips what it must not see."""

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        """At least `count` indices, or all; fewer are the beginning of more."""
        raise NotImplementedError

    def ranked(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        """The same, computed once for a pool and a seed."""
        key = self, seed if self.seeded else 0
        if key not in pool.rankings or pool.rankings[key][0] < count:
            pool.rankings[key] = count, self.rank(pool, seed, count)
        return pool.rankings[key][1]


class Ranked(NamedTuple):
    """A ranking for one query."""

    indices: Sequence[int]
    nearness: Sequence[float]
    """Similarity to the query; minus infinity for a fixed block."""


@dataclass(frozen=True)
class ByQuery(Selection):
    """Ranks the pool for each query by how like it is: by TF-IDF, or as `embed` has it."""

    embed: Embed | None = None
    """Texts to vectors, (texts, dimensions): `promptkit.load_embedder`, or any function."""

    order: ClassVar[str] = "nearest-last"

    def rank(self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int) -> Ranked:
        """`count` indices, or all that are not barred; fewer are the beginning of more.

        `row` is the query's similarity to each example.
        """
        indices = self.indices(pool, row, barred, seed, count)
        return Ranked(indices, [float(row[index]) for index in indices])

    def indices(
        self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int
    ) -> Sequence[int]:
        """The indices of `rank`, where they all have their nearness."""
        raise NotImplementedError


@dataclass(frozen=True)
class First(Fixed):
    """In the order of the pool."""

    kind = "first"

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        return range(len(pool))


@dataclass(frozen=True)
class Random(Fixed):
    """In an order drawn by the seed."""

    kind = "random"
    seeded = True

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        return pool.permutation(seed)


@dataclass(frozen=True)
class Balanced(Fixed):
    """Drawn by the seed, every label once before one comes again.

    Which label begins moves on from round to round and from seed to seed: over as many seeds as
    labels, each has one shot more than others equally often.
    """

    kind = "balanced"
    seeded = True

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        labels = pool.by_label
        if not labels:
            return ()
        block, turn = divmod(seed, len(labels))
        by_label: dict[str, list[int]] = {
            label: [] for label in sorted(labels, key=lambda each: digest("labels", block, each))
        }
        for index in pool.permutation(seed):
            by_label[pool.labels[index]].append(index)
        columns = list(by_label.values())
        columns = columns[turn:] + columns[:turn]
        ranked: list[int] = []
        for place in range(max(map(len, columns))):
            start = place % len(columns)
            turns = columns[start:] + columns[:start]
            ranked += [indices[place] for indices in turns if place < len(indices)]
        return ranked


@dataclass(frozen=True)
class KCentre(Fixed):
    """Far apart: one drawn by the seed, then always the one least like all before it.

    It covers the pool, its oddest examples first.
    """

    embed: Embed | None = None

    kind = "k-centre"
    seeded = True

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        from promptkit.selection.ranking import far_apart

        if not pool:
            return ()
        return far_apart(pool.vectors(self.embed), pool.permutation(seed)[0], count)


@dataclass(frozen=True)
class Similar(ByQuery):
    """The nearest to the query (Liu et al. 2022, arXiv 2101.06804)."""

    kind = "similar"

    def indices(
        self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int
    ) -> Sequence[int]:
        from promptkit.selection.ranking import similar

        return similar(row, count, barred)


@dataclass(frozen=True)
class Diverse(ByQuery):
    """Near the query and unlike each other (`promptkit.selection.ranking.diverse`)."""

    relevance: float = 0.5
    """Weight of similarity against diversity, from 0 to 1."""

    kind = "diverse"

    def __post_init__(self) -> None:
        if not 0 <= self.relevance <= 1:
            raise TaskError(
                tr(
                    "a relevance of {relevance!r}; it is a number from 0 to 1",
                    relevance=self.relevance,
                )
            )

    @property
    def title(self) -> str:
        return self.kind if self.relevance == 0.5 else f"{self.kind} {self.relevance:g}"

    def indices(
        self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int
    ) -> Sequence[int]:
        from promptkit.selection.ranking import diverse

        return diverse(row, count, barred, pool.vectors(self.embed), self.relevance)


@dataclass(frozen=True)
class SimilarBalanced(ByQuery):
    """The nearest of every label in turn, so that no label outnumbers another."""

    kind = "similar-balanced"

    def indices(
        self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int
    ) -> Sequence[int]:
        from promptkit.selection.ranking import balanced

        return balanced(row, count, barred, pool.members)


@dataclass(frozen=True)
class BlockSimilar(ByQuery):
    """A balanced block that all queries share, then the nearest ones, last.

    The block stays in the model's cache, so that only the nearest are read for each query
    (Golchin et al. 2025, arXiv 2507.16217).
    """

    nearest: int = 2
    """Number of shots chosen for the query; the others are the block."""

    kind = "block-similar"
    seeded = True

    def __post_init__(self) -> None:
        if self.nearest < 1:
            raise TaskError(
                tr("{nearest!r} nearest shots; at least one is needed", nearest=self.nearest)
            )

    @property
    def title(self) -> str:
        return self.kind if self.nearest == 2 else f"{self.kind} {self.nearest}"

    def rank(self, pool: Pool, row: Similarities, barred: Barred, seed: int, count: int) -> Ranked:
        from promptkit.selection.ranking import similar

        near = similar(row, self.nearest, barred)
        block: list[int] = []
        for index in Balanced().ranked(pool, seed, len(pool)):
            if len(near) + len(block) >= count:
                break
            if index not in near and not barred(index):
                block.append(index)
        nearness = [float(row[index]) for index in near] + [-math.inf] * len(block)
        return Ranked([*near, *block], nearness)


@dataclass(frozen=True)
class Given(Fixed):
    """These shots, by id, in this order."""

    ids: tuple[str, ...] = ()
    called: str = "given"
    """Its name in rows."""

    kind = "given"
    order = "given"

    @property
    def title(self) -> str:
        return self.called

    def rank(self, pool: Pool, seed: int, count: int) -> Sequence[int]:
        """Return the indices of the ids. Raises `PromptError` for an unknown id."""
        for id in self.ids:
            if id not in pool.indices:
                hint = did_you_mean(id, pool.indices, lead="; ")
                raise PromptError(
                    tr(
                        "{called}: example {id} is not in the pool{hint}",
                        called=self.called,
                        id=shorten(id),
                        hint=hint,
                    )
                )
        return [pool.indices[id] for id in dict.fromkeys(self.ids)]


BUILT_IN: Mapping[str, Callable[[], Selection]] = {
    kind.kind: kind
    for kind in (
        *(Balanced, Random, First, KCentre),
        *(Similar, SimilarBalanced, Diverse, BlockSimilar),
    )
}
"""The selections that have a name; `Given` is a list of ids."""

SELECTIONS = tuple(BUILT_IN)

AnySelection = Selection | str | Sequence[str]
"""A selection, the name of a built-in one, or the shots themselves, by id."""


def is_seeded(name: str) -> bool:
    """Return whether another seed draws other shots, by the name of a selection."""
    kind = name.replace(",", " ").split(" ")[0]
    return kind in SELECTIONS and as_selection(kind).seeded


def as_selection(selection: AnySelection) -> Selection:
    """A selection, or the built-in one of this name, or the shots with these ids.

    Raises `PromptError`.
    """
    if isinstance(selection, Selection):
        return selection
    if isinstance(selection, str):
        if selection not in BUILT_IN:
            known = ", ".join(SELECTIONS)
            raise PromptError(
                tr(
                    "unknown selection {selection!r}; choose one of: {known}",
                    selection=selection,
                    known=known,
                )
            )
        return BUILT_IN[selection]()
    if not isinstance(selection, Sequence) or not all(isinstance(id, str) for id in selection):
        raise PromptError(
            tr(
                "{selection} is not a selection, the name of one or a list of ids",
                selection=shorten(selection),
            )
        )
    return Given(tuple(selection))


def read_selection(text: str, embed: Embed | None = None) -> Selection:
    """A selection as the command line names it: by name, or a JSON file of `{"shots": [ids]}`.

    `embed` is for selections that compare inputs. Raises `PromptError`, or `TaskError` for a file
    that does not hold ids.
    """
    if not text.endswith(".json"):
        selection = as_selection(text)
        if embed is None or not isinstance(selection, ByQuery | KCentre):
            return selection
        return replace(selection, embed=embed)
    try:
        data = json.loads(read_bytes(Path(text), MOST_TEXT).decode("utf-8-sig"))
    except OSError as error:
        raise TaskError(f"{text}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise TaskError(tr("{text}: not JSON: {error}", text=text, error=error)) from None
    ids = data.get("shots") if isinstance(data, dict) else None
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids) or not ids:
        raise TaskError(
            tr('{text}: a selection reads {{"shots": ["id", ...]}}; this is not', text=text)
        )
    return Given(tuple(ids), Path(text).name)


def default_selection(task: Task[Any, Any]) -> Selection:
    """Return `Balanced` for labels, as other draws favour the commonest, else `Random`.

    Lists of labels are too many to be balanced.
    """
    return selection_for(task, "balanced" if task.labels and not task.many else "random")


def selection_for(task: Task[Any, Any], selection: AnySelection | None) -> Selection:
    """Return a selection, by default the `default_selection`, as a task draws with it.

    It allows near-duplicates where the task does. Raises `PromptError`.
    """
    if selection is None:
        return default_selection(task)
    chosen = as_selection(selection)
    allowing = task.near_duplicates == "allow" and not chosen.allow_near
    return replace(chosen, allow_near=True) if allowing else chosen
