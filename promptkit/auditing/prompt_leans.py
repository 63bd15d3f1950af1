"""Probabilities of labels after inputs that say nothing: by shot count, by last label, by order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.auditing.prompt_bias_results import LastShotLean, OrderLean, ShotCountLean
from promptkit.calibration.methods import mean_chance, normalised
from promptkit.evaluation import targets
from promptkit.evaluation.intervals import holm
from promptkit.inference import batch
from promptkit.inference.answering import Progress
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.selection.orders import orders
from promptkit.selection.strategies import Given
from promptkit.tasks.examples import Example, output_key
from promptkit.tasks.task import Task

Queries = Sequence[Example[Any, Any]]
Probs = NDArray[np.float64]
"""Probabilities of the labels, (labels,)."""


@dataclass(frozen=True, eq=False)
class BiasAsking:
    """Settings with which the prompts of an audit are asked."""

    base: Predictor
    """Prompt of the audit, without calibration and threshold."""
    draws: int
    """Number of draws of shots."""
    store: Store
    progress: Progress | None = None

    @property
    def seeds(self) -> list[int]:
        """Seeds of the draws; one where nothing is drawn."""
        first = self.base.seed
        return [*range(first, first + (self.draws if self.base.is_drawn else 1))]

    def predictions(self, grid: Iterable[Predictor], queries: Queries) -> list[list[Prediction]]:
        """Return the predictions of each predictor, planned together."""
        cells: list[batch.CellRequests] = []
        for _, own in groupby(grid, key=lambda one: id(one.task)):  # whose pools are apart
            cells += batch.prepare(own, queries)
        stage = batch.AnswerStage(cells)
        made, _ = batch.run([[stage]], self.store, progress=self.progress)
        return [[*own] for own in made]

    def leans(self, grid: Iterable[Predictor], probes: Queries) -> list[Probs]:
        """Return what each predictor gives to the labels after inputs that say nothing."""
        return [lean_of(made) for made in self.predictions(grid, probes)]


def lean_of(predictions: Sequence[Prediction]) -> Probs:
    """Return the mean probability of each label, as contextual calibration has it."""
    scores = [[*(made.logprobs or {}).values()] for made in predictions]
    probs: Probs = np.exp(normalised(mean_chance(scores)[np.newaxis]))[0]
    return probs


def distance(probs: Probs, others: Probs | None = None) -> float:
    """Return the mass that would have to move between two distributions; from equal shares if None.

    Args:
        probs: Probabilities of labels.
        others: Other probabilities of the same labels.
    """
    to = np.full(len(probs), 1 / len(probs)) if others is None else others
    return float(np.abs(probs - to).sum() / 2)


def by_shots(asking: BiasAsking, probes: Queries, counts: Sequence[int]) -> list[ShotCountLean]:
    """Return the leans at each number of shots.

    Args:
        asking: How prompts are asked.
        probes: Inputs that say nothing.
        counts: Numbers of shots.
    """
    cells = [(k, seed) for k in counts for seed in (asking.seeds if k else asking.seeds[:1])]
    grid = [replace(asking.base, shots=k, seed=seed) for k, seed in cells]
    found = asking.leans(grid, probes)
    made = []
    for count in counts:
        own = np.array([p for p, (k, _) in zip(found, cells, strict=True) if k == count])
        mean = own.mean(axis=0)
        made.append(
            ShotCountLean(
                shots=count,
                draws=len(own),
                probs=_by_label(asking.base.task, mean),
                probs_ci=_intervals(asking.base.task, own),
                lean=float(np.mean([distance(each) for each in own])),
            )
        )
    return made


def _by_label(task: Task[Any, Any], values: Probs) -> dict[str, float]:
    return dict(zip(task.labels, values.tolist(), strict=True))


def _intervals(task: Task[Any, Any], own: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Return the interval of each label's mean probability over new draws."""
    found = {}
    for number, label in enumerate(task.labels):
        around = _around(own[:, number])
        if around is not None:
            found[label] = around
    return found


def _around(values: Probs) -> tuple[float, float] | None:
    found = targets.mean(values[:, np.newaxis], drawn=False, least=0.0, most=1.0)
    return None if found is None else (found.these.low, found.these.high)


def drawn_shots(asking: BiasAsking, probe: Example[Any, Any]) -> list[tuple[str, ...]]:
    """Return the ids of the shots of each draw, in their order."""
    task = asking.base.task
    renderer = asking.base.template.renderer(task, asking.base.verbalizer)
    grid = [replace(asking.base, seed=seed) for seed in asking.seeds]
    return [one.tokenize([probe], renderer)[0].prompt.shots for one in grid]


def _given(asking: BiasAsking, seed: int, ids: Sequence[str]) -> Predictor:
    """Return the prompt with these shots, in this order."""
    chosen = Given(tuple(ids), allow_near=True)
    return replace(asking.base, seed=seed, shots=len(ids), selection=chosen, order=None)


def by_last(asking: BiasAsking, probes: Queries) -> list[LastShotLean]:
    """Return the lean to the label of the last shot: the same shots, each label last in turn.

    Args:
        asking: How prompts are asked.
        probes: Inputs that say nothing.
    """
    task = asking.base.task
    keys = {output_key(value): label for label, value in task.output_type.values.items()}
    places: list[tuple[int, str]] = []
    grid: list[Predictor] = []
    for seed, ids in zip(asking.seeds, drawn_shots(asking, probes[0]), strict=True):
        shots = [demo for id in ids if (demo := task.demos.by_id(id)) is not None]
        labels = [keys[output_key(shot.output)] for shot in shots]
        for label in dict.fromkeys(labels) if len({*labels}) > 1 else ():
            last = max(place for place, own in enumerate(labels) if own == label)
            turned = [*ids[:last], *ids[last + 1 :], ids[last]]
            places.append((seed, label))
            grid.append(_given(asking, seed, turned))
    leans = dict(zip(places, asking.leans(grid, probes), strict=True))
    return _corrected([*_last_leans(task, leans)])


def _last_leans(
    task: Task[Any, Any], leans: dict[tuple[int, str], Probs]
) -> Iterator[LastShotLean]:
    for number, label in enumerate(task.labels):
        pairs = []
        for (seed, own), probs in leans.items():
            if own == label:
                others = [
                    p[number] for (draw, last), p in leans.items() if draw == seed and last != label
                ]
                pairs.append((float(probs[number]), float(np.mean(others))))
        if not pairs:
            continue
        last, other = np.array(pairs).T[:, :, np.newaxis]
        found = targets.mean_difference(other, last, drawn=False, most=1.0)
        these = None if found is None else found.these
        yield LastShotLean(
            label,
            len(pairs),
            float(last.mean()),
            float(other.mean()),
            float((last - other).mean()),
            None if these is None else (these.ci.low, these.ci.high),
            None if these is None else these.p,
            None,
        )


def _corrected(found: list[LastShotLean]) -> list[LastShotLean]:
    """Correct the p-values for the number of labels; of two, both are the same comparison."""
    p_values = [one.p for one in found if one.p is not None]
    corrected = iter(p_values if len(found) == 2 else holm(p_values).tolist())
    return [one if one.p is None else replace(one, p_holm=next(corrected)) for one in found]


def by_order(asking: BiasAsking, probes: Queries, count: int) -> list[OrderLean]:
    """Return the range of each label's probability over balanced orders of the same shots.

    Args:
        asking: How prompts are asked.
        probes: Inputs that say nothing.
        count: Number of orders.
    """
    grid = [
        replace(_given(asking, seed, ids), order=order)
        for seed, ids in zip(asking.seeds, drawn_shots(asking, probes[0]), strict=True)
        for order in orders(count)
    ]
    table = np.array(asking.leans(grid, probes)).reshape(len(asking.seeds), count, -1)
    ranges = table.max(axis=1) - table.min(axis=1)
    return [
        OrderLean(
            label,
            len(ranges),
            count,
            float(ranges[:, number].mean()),
            _around(ranges[:, number]),
            float(ranges[:, number].max()),
        )
        for number, label in enumerate(asking.base.task.labels)
    ]
