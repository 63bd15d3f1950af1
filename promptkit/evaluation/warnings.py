"""Warnings on a comparison, from its outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from promptkit.evaluation import (
    baselines,
    caveats,
    label_collapse,
    label_frequencies,
    metric_bias,
    power,
    sentences,
)
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.pairs import cells_of, found_in_range, levels, varied
from promptkit.evaluation.results import FreeAnswers
from promptkit.inference.cell import RAW, Cell, distinct
from promptkit.inference.prediction import Prediction
from promptkit.tasks.task import Task
from promptkit.text import quoted
from promptkit.translation import tr


def warnings(
    task: Task[Any, Any],
    by_cell: ByCell,
    planned: power.SampleSize,
    baseline: baselines.Baseline | None,
    predictions: Sequence[Sequence[Prediction]],
    free: Sequence[FreeAnswers] = (),
    metric: Metric = ACCURACY,
) -> Iterator[str]:
    """Yield the warnings, those that concern every number first."""
    n = len(predictions[0])
    checked = [
        caveats.few_queries(n, found_in_range(n, planned, metric), metric),
        _unanswered(by_cell, metric),
        _not_above(by_cell, baseline, metric),
        _picked(by_cell, metric),
        _one_seed(by_cell, metric),
        _low_coverage(by_cell, free),
        _labels_unseen(task, predictions),
        _ties(predictions),
        _empty_options(task, predictions),
    ]
    yield from (warning for warning in checked if warning is not None)
    labels = label_frequencies.frequencies(task, by_cell)
    if labels is not None:
        yield from label_collapse.warnings(by_cell, skewed=label_frequencies.is_skewed(labels))
        yield from label_frequencies.warnings(labels, by_cell)


def _unanswered(by_cell: ByCell, metric: Metric) -> str | None:
    """Return the warning for the cell with the most answers that have no metric."""
    shares = {cell: metric.unanswered(by_cell[cell]) for cell in distinct(by_cell)}
    worst = max(shares, key=lambda cell: shares[cell])
    where = sentences.context(levels(worst, varied(by_cell)))
    many = sum(share > UNANSWERED for share in shares.values())
    return caveats.unanswered(where, shares[worst], many, len(shares), metric)


def _not_above(by_cell: ByCell, baseline: baselines.Baseline | None, metric: Metric) -> str | None:
    if baseline is None:
        return None
    counts = baselines.not_above(by_cell, baseline, metric)
    if metric == ACCURACY:
        return caveats.not_above_baseline(baseline.label, baseline.value, *counts)
    return caveats.not_above_constant(baseline.name, baseline.value, *counts, metric)


def _picked(by_cell: ByCell, metric: Metric) -> str | None:
    cells = [by_cell[cell] for cell in cells_of(by_cell)]
    bias = metric_bias.selection_bias(cells, metric)
    return None if bias is None else caveats.picked(len(cells), len(cells[0].correct), bias, metric)


def _one_seed(by_cell: ByCell, metric: Metric) -> str | None:
    seeds = [len(one.numbers) for one in by_cell.values() if one.drawn]
    return caveats.one_seed(max(seeds), metric) if seeds else None


def _low_coverage(by_cell: ByCell, free: Sequence[FreeAnswers]) -> str | None:
    """Return the warning for the cell with the lowest coverage, of those with free-form answers."""
    covered = coverage_of(by_cell)
    scores = next(iter(by_cell.values())).scores
    if not covered or scores is None or not scores.labels:
        return None
    asked = {one.at(seed=None): one for one in free}
    least = min(asked or covered, key=lambda cell: covered[cell])
    where = sentences.context(levels(least, varied(by_cell)))
    low = sum(coverage < caveats.COVERAGE for coverage in covered.values())
    said: tuple[str, ...] = ()
    labels = 0
    if least in asked:
        written = [*zip(asked[least].texts, asked[least].labels, strict=True)]
        said = tuple([text for text, label in written if label is None])
        labels = len(written) - len(said)
    return caveats.low_coverage(where, covered[least], said, (low, len(covered)), labels)


def coverage_of(by_cell: ByCell) -> dict[Cell, float]:
    """Return the mean coverage of each cell with scored labels; calibration does not change it."""
    return {
        cell: float(coverage.mean())
        for cell in distinct(by_cell)
        if cell.calibration == RAW and (coverage := by_cell[cell].coverage) is not None
    }


def _labels_unseen(task: Task[Any, Any], predictions: Sequence[Sequence[Prediction]]) -> str | None:
    """Return the warning for the label and shot count with the highest share."""
    labels = task.output_type.labels
    if not labels:
        return None
    answers = {demo.id: task.output_type.text(demo.output) for demo in task.demos}
    prompts: Counter[int] = Counter()
    lacking: Counter[tuple[int, Any]] = Counter()
    for prediction in (one for cell in predictions for one in cell):
        if prediction.shots >= len(labels):
            prompts[prediction.shots] += 1
            shown = {answers.get(id) for id in prediction.shot_ids}
            lacking.update((prediction.shots, label) for label in labels if label not in shown)
    if not lacking:
        return None
    shots, label = max(lacking, key=lambda key: lacking[key] / prompts[key[0]])
    return caveats.labels_unseen(shots, label, lacking[shots, label] / prompts[shots])


def _ties(predictions: Sequence[Sequence[Prediction]]) -> str | None:
    margins = [prediction.margin for cell in predictions for prediction in cell]
    return caveats.ties(sum(margin == 0 for margin in margins), len(margins))


def _empty_options(task: Task[Any, Any], predictions: Sequence[Sequence[Prediction]]) -> str | None:
    """Return a warning of options that are empty for some queries, and are candidates there too.

    As in multiple choice, every label names the input field with the text of an option.
    """
    names = {name.casefold(): name for name in task.types()[0].model_fields}
    fields = {label: names.get(label.casefold(), "") for label in task.labels}
    if len(fields) < 2 or "" in fields.values():
        return None
    queries = [
        {label for label, field in fields.items() if _is_blank(one.input.get(field))}
        for one in predictions[0]
    ]
    counts = Counter(label for empty in queries for label in empty)
    if not counts:
        return None
    chosen = sum(
        prediction.label is not None and str(prediction.label) in empty
        for cell in predictions
        for prediction, empty in zip(cell, queries, strict=True)
    )
    ((label, times),) = counts.most_common(1)
    return tr(
        "The option {label} is empty for {times:,} of {count:,} queries, and a "
        "candidate there all the same, since every label is one for every query: "
        "{chosen:,} of {sum:,} answers are an empty option. Compare queries with "
        "as many options as a task.",
        label=quoted(label),
        times=times,
        count=len(queries),
        chosen=chosen,
        sum=sum(map(len, predictions)),
    )


def _is_blank(value: object) -> bool:
    return value is None or not str(value).strip()
