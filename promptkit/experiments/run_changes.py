"""Changes of the pool and of the draws since a saved run, named where the two are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promptkit.errors import shorten
from promptkit.files.json_values import plain
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import canonical, output_key
from promptkit.text import counted
from promptkit.translation import tr

MAX_NAMED = 3
"""How many demonstrations a sentence names."""

Shots = Mapping[str, frozenset[str]]
"""Per query the ids of its shots."""

Draws = Mapping[Cell, Shots]


@dataclass(frozen=True, slots=True)
class Moves:
    """Demonstrations and draws that are others than in a saved run."""

    added: tuple[str, ...] | None
    """Ids that the pool did not have; None where the run does not say which pool it had."""
    removed: tuple[str, ...] | None
    changed: tuple[str, ...] | None
    """Ids whose input or output is another now."""
    draws: int
    """Number of draws that both asked: a cell with one seed, whatever the queries."""
    moved: int
    """Number of those in which a query that both asked has other shots."""

    def sentence(self, than: str) -> str:
        """Return what changed since the run `than`; empty where nothing did."""
        draws = (
            tr("{moved:,} of {draws:,} draws have other shots", moved=self.moved, draws=self.draws)
            if self.moved
            else ""
        )
        if self.added is None:
            return (
                tr("which pool {than} had is not saved; {draws}", than=than, draws=draws)
                if draws
                else ""
            )
        kinds = {"added": self.added, "removed": self.removed, "changed": self.changed}
        parts = [_counted(what, ids) for what, ids in kinds.items() if ids]
        if not parts:
            return (
                tr("the pool is that of {than}, but {draws}", than=than, draws=draws)
                if draws
                else ""
            )
        same = tr("no draw has other shots") if self.draws else ""
        return tr(
            "the pool changed since {than}: {parts}; {draws}",
            than=than,
            parts=", ".join(parts),
            draws=draws or same,
        ).rstrip("; ")


def pool_digests(pool: ExampleSet[Any, Any]) -> dict[str, str]:
    """Return a short digest of each demonstration's input and output, by its id."""
    texts = {demo.id: canonical([plain(demo.input), output_key(demo.output)]) for demo in pool}
    return {id: hashlib.sha256(text).hexdigest()[:12] for id, text in texts.items()}


def moves(
    pool: Mapping[str, str],
    draws: Draws,
    pool_before: Mapping[str, str] | None,
    before: Draws,
    pairs: Iterable[tuple[Cell, Cell]],
) -> Moves:
    """Compare pools (`pool_digests`) and draws (`draws_of`).

    `pairs` are the cells that are compared, each with its cell in the other run.
    """
    then = pool if pool_before is None else pool_before
    added = tuple([id for id in pool if id not in then])
    removed = tuple([id for id in then if id not in pool])
    changed = tuple([id for id in pool if then.get(id, pool[id]) != pool[id]])
    compared = [
        (shots, before[other.at(seed=cell.seed, calibration=RAW)])
        for mine, other in dict(pairs).items()
        for cell, shots in draws.items()
        if cell.at(seed=None) == mine.at(calibration=RAW)
        and other.at(seed=cell.seed, calibration=RAW) in before
    ]
    other_text = frozenset(changed)
    moved = sum(_differ(mine, other, other_text) for mine, other in compared)
    if pool_before is None:
        return Moves(None, None, None, len(compared), moved)
    return Moves(added, removed, changed, len(compared), moved)


def draws_of(predictions: Iterable[Prediction]) -> Draws:
    """Return the shots that each cell with a seed showed, by query."""
    found: dict[Cell, dict[str, frozenset[str]]] = {}
    for prediction in predictions:
        if prediction.shots:
            cell = found.setdefault(prediction.cell, {})
            cell[prediction.id] = frozenset(prediction.shot_ids)
    return found


def _differ(mine: Shots, theirs: Shots, other_text: frozenset[str]) -> bool:
    return any(
        mine[id] != theirs[id] or not other_text.isdisjoint(mine[id]) for id in mine if id in theirs
    )


def _counted(what: str, ids: tuple[str, ...]) -> str:
    named = ", ".join(map(shorten, ids[:MAX_NAMED])) + (", …" if len(ids) > MAX_NAMED else "")
    return f"{counted(len(ids), 'demonstration', 'demonstrations')} {what} ({named})"
