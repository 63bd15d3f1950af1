"""Learning curves of a comparison: models trained on as many labelled rows as prompts may see.

Baselines are trained here: at a number of shots of the grid on exactly the shots of each draw; at
other numbers on the first rows of the same ranking of the pool, without near-duplicates of the
tests; and once on all rows. Adapters and students were trained before, and stand at the rows that
they learnt from (`promptkit.experiments.made_lines`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptkit.baselines.pool_fits import CONSTANT
from promptkit.baselines.trained_baselines import TrainedBaseline
from promptkit.evaluation.learning_curve import (
    AtSize,
    CurveLine,
    CurvePoint,
    LearningCurve,
    aligned,
    compared,
    crossings,
    point,
)
from promptkit.evaluation.metric import Metric, measured
from promptkit.evaluation.outcomes import ByCell, Outcomes, outcomes
from promptkit.evaluation.pairs import varied
from promptkit.experiments.comparison import Comparison
from promptkit.experiments.made_lines import ADAPTER, adapted_models, made_lines
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.batch import Announce
from promptkit.inference.cell import NO_PROMPT, RAW, Cell, titled
from promptkit.inference.prediction import Prediction
from promptkit.inference.profile import profile_of
from promptkit.selection.draw import draw
from promptkit.selection.pool import Pool
from promptkit.selection.strategies import Fixed, default_selection, selection_for
from promptkit.students.student import Student
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr

MOST_PROMPTS = 3
"""Largest number of lines of prompts."""

_SAME_FOR_ALL = ("random", "balanced", "first")
"""Selections that rank the whole pool for all queries."""

Examples = Sequence[Example[Any, Any]]


def curve_of(
    task: Task[Any, Any],
    result: Comparison,
    others: Sequence[AnyPredictor],
    trained: Sequence[TrainedBaseline],
    announce: Announce | None = None,
) -> LearningCurve:
    """Return the learning curves of a comparison.

    Args:
        task: The task of the comparison.
        result: The comparison, as it was just made: with its predictors and queries.
        others: Predictors that were compared with prompts: students make lines, and each of the
            others is a point at its number of labels.
        trained: Baselines for the task; those that look at the input have lines.
        announce: Called with a sentence on what is trained.
    """
    metric = measured(result.metric)
    by_cell = outcomes(result.predictions, task.output_type.label_of, task.judge.of_label)
    trained = [one for one in trained if one.name not in CONSTANT]
    adapted, (made, missing) = adapted_models(result), made_lines(task, result, others)
    own = {one.cell.at(seed=None) for one in result.predictors if one.cell.model not in adapted}
    prompted = {cell: one for cell, one in by_cell.items() if cell.at(calibration=RAW) in own}
    best = _best_prompt(prompted, result.best.cell, metric)
    besides = [size for one in made if one.kind == ADAPTER for size in one.points]
    rows = _CurveRows(task, result, best, trained, besides)
    if announce is not None:
        sizes = ", ".join(f"{size:,}" for size in rows.sizes)
        draws = counted(len(rows.seeds), "draw", "draws")
        announce(
            tr("learning curves: training on {sizes} rows, {draws} each", sizes=sizes, draws=draws)
        )
    curves = {one.name: {size: rows.outcomes(one, size) for size in rows.sizes} for one in trained}
    labels = {
        one.cell.at(seed=None): min(one.profile.labels, rows.most) for one in result.predictors
    }
    tested = {  # the sizes of others would only be more tests to correct for
        name: {size: one for size, one in points.items() if size not in rows.besides}
        for name, points in curves.items()
    }
    every = tested | {one.name: one.points for one in made}
    pairs = compared([*_at_sizes(labels, prompted, best, every)], metric)
    lines = [
        *_prompts(labels, prompted, best, metric),
        *(CurveLine(name, "trained", _points(own, metric)) for name, own in curves.items()),
        *(CurveLine(one.name, one.kind, _points(one.points, metric)) for one in made),
        *_others(by_cell, others, metric),
    ]
    said = crossings(pairs, _named(prompted, best), metric, rows.most)
    return LearningCurve(tuple(lines), tuple(pairs), (*said, *missing))


def _best_prompt(by_cell: ByCell, best: Cell, metric: Metric) -> Cell:
    """Return the best cell if it is one of these, or the best one of them with a prompt."""
    if best.template != NO_PROMPT and best in by_cell:
        return best
    values = {
        cell: metric.sign * value
        for cell, one in by_cell.items()
        if cell.template != NO_PROMPT and (value := metric.value(one)) is not None
    }
    return max(values, key=lambda cell: values[cell])


class _CurveRows:
    """Rows that models are trained on, at each size and for each draw."""

    def __init__(
        self,
        task: Task[Any, Any],
        result: Comparison,
        best: Cell,
        trained: Sequence[TrainedBaseline],
        besides: Iterable[int],
    ) -> None:
        self.task, self.queries = task, result.queries
        self.pool = trained[0].pool.rows
        prompt = next(one for one in result.predictors if _line(one.cell) == _line(best))
        chosen = selection_for(task, prompt.selection)
        named = isinstance(chosen, Fixed) and chosen.kind in _SAME_FOR_ALL
        self.selection: Any = chosen if named else default_selection(task)
        self.seeds = sorted({one.seed for one in result.predictors})
        self.counts = {one.shots for one in result.predictors if one.shots}
        trainings = {self.pool.training(query) for query in self.queries}
        self.ranked = {training: self.pool.numbers(training) for training in trainings}
        self._pools = {
            training: Pool(task.demos.model_construct(self._examples(numbers)))
            for training, numbers in self.ranked.items()
        }
        self.most = max(map(len, self.ranked.values()))
        doubled = [1 << power for power in range(self.most.bit_length())]
        sizes = {*doubled, *self.counts, self.most}
        self.besides = {*besides} - sizes
        sizes |= self.besides
        self.sizes = sorted(size for size in sizes if 0 < size <= self.most)

    def _examples(self, numbers: Sequence[int]) -> tuple[Example[Any, Any], ...]:
        return tuple([self.pool.examples[number] for number in numbers])

    def outcomes(self, one: TrainedBaseline, size: int) -> Outcomes:
        """Return the outcomes of a model trained on so many rows, a column for each draw."""
        drawn = size < self.most and self.selection.seeded
        made = [
            replace(prediction, seed=seed)
            for seed in (self.seeds if drawn else self.seeds[:1])
            for prediction in self._predicted(one, size, seed)
        ]
        judged = self.task.output_type.label_of, self.task.judge.of_label
        (found,) = outcomes(made, *judged).values()
        columns = [*self.seeds] if drawn else [self.seeds[0]] * len(self.seeds)
        found = found if drawn else found.of([*found.queries], columns)
        return replace(found, drawn=drawn)

    def _predicted(self, one: TrainedBaseline, size: int, seed: int) -> list[Prediction]:
        if size == self.most:
            return one.predict(self.queries)
        groups: dict[tuple[str, ...], tuple[Examples, list[int]]] = {}
        for place, query in enumerate(self.queries):
            rows = self._rows(query, size, seed)
            key = tuple([row.id for row in rows])
            groups.setdefault(key, (rows, []))[1].append(place)
        found: dict[int, Prediction] = {}
        for rows, places in groups.values():
            made = one.predict_from(rows, [self.queries[place] for place in places])
            found |= zip(places, made, strict=True)
        return [found[place] for place in range(len(self.queries))]

    def _rows(self, query: Example[Any, Any], size: int, seed: int) -> Examples:
        if size in self.counts:
            apart = self.task.is_test(query)
            whole = self.task.pool_of(query)
            return draw(whole, query, size, seed=seed, selection=self.selection, apart=apart)
        training = self.pool.training(query)
        pool = self._pools[training]
        ranked = self.selection.ranked(pool, seed, size)[:size]
        return [pool[index] for index in ranked]


def _points(own: Mapping[int, Outcomes], metric: Metric) -> tuple[CurvePoint, ...]:
    found = [point(labels, one, metric) for labels, one in sorted(own.items())]
    return tuple([one for one in found if one is not None])


def _line(cell: Cell) -> Cell:
    """Return what the cells of one line of prompts share."""
    return cell.at(shots=0, seed=None, calibration=RAW)


def _prompts(
    labels: Mapping[Cell, int], by_cell: ByCell, best: Cell, metric: Metric
) -> Iterator[CurveLine]:
    """Yield the line of the best prompt, then those with the best values.

    Where several cells take as many labelled rows, as where each query has shots of its own from
    the whole pool, the one with the most shots stands for them.
    """
    lines: dict[Cell, dict[int, Outcomes]] = {}
    for cell, one in by_cell.items():
        if cell in labels:
            lines.setdefault(_line(cell), {})[labels[cell]] = one
    values = {
        line: max(metric.sign * p.value for p in points)
        for line, own in lines.items()
        if (points := _points(own, metric))
    }
    ranked = sorted(values, key=lambda line: (line != _line(best), -values[line]))
    names = varied(lines)
    for line in ranked[:MOST_PROMPTS]:
        levels = titled({name: getattr(line, name) for name in names})
        yield CurveLine(" · ".join(levels) or "prompt", "prompt", _points(lines[line], metric))


def _at_sizes(
    labels: Mapping[Cell, int],
    by_cell: ByCell,
    best: Cell,
    curves: Mapping[str, Mapping[int, Outcomes]],
) -> Iterator[AtSize]:
    """Yield each trained model with the prompt of the best line that has at most as many rows."""
    prompts = [
        cell
        for cell in by_cell
        if cell.at(shots=0) == best.at(shots=0) and cell.shots <= best.shots
    ]
    for name, own in curves.items():
        for size, model in own.items():
            known = [cell for cell in prompts if labels[cell.at(calibration=RAW)] <= size]
            if known:
                cell = max(known, key=lambda one: one.shots)
                yield AtSize(name, size, cell.shots, *aligned(by_cell[cell], model))


def _others(by_cell: ByCell, others: Iterable[AnyPredictor], metric: Metric) -> Iterator[CurveLine]:
    for one in others:
        if isinstance(one, Student) and "training" in one.card:
            continue
        labels, name = profile_of(one).labels, one.identity.name
        own = [found for cell, found in by_cell.items() if cell.model == name]
        if labels and own and (at := point(labels, own[0], metric)) is not None:
            yield CurveLine(name, "other", (at,))


def _named(by_cell: ByCell, best: Cell) -> str:
    """Return the best prompt in words, with as many shots as it may have."""
    prompted = [cell for cell in by_cell if cell.template != NO_PROMPT]
    names = [name for name in varied(prompted) if name != "shots"]
    levels = titled({name: getattr(best, name) for name in names})
    told = f" ({' · '.join(levels)})" if levels else ""
    if best.shots > 1:
        return tr("a prompt with up to {shots} shots{told}", shots=best.shots, told=told)
    return tr(
        "a prompt {shots}{told}",
        shots="with 1 shot" if best.shots else tr("without shots"),
        told=told,
    )
