"""Confusion matrices of the fields of records that have a closed set of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from promptkit.evaluation.results import FieldConfusion
from promptkit.files.json_values import literal, value_key
from promptkit.inference.cell import Cell
from promptkit.inference.prediction import Prediction
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.record_fields import OutputField, output_fields, value_of

NO_ANSWER = "(no answer)"
"""Column of answers that failed, or have no value of the set."""


def field_confusion(
    output: OutputType, predictions: Iterable[Prediction]
) -> Iterator[FieldConfusion]:
    """Yield the confusion matrix of each field with a closed set of values, cell by cell.

    Args:
        output: The output type; there are none unless outputs are records.
        predictions: The predictions of all cells.
    """
    closed = [one for one in output_fields(output) if one.values]
    cells: dict[Cell, list[Prediction]] = {}
    for prediction in predictions if closed else ():
        if isinstance(prediction.gold, Mapping):
            cells.setdefault(prediction.at(seed=None), []).append(prediction)
    for one in closed:
        for cell, own in cells.items():
            labels, rows = _counted(one, own)
            yield FieldConfusion(**cell.factors(), field=one.name, labels=labels, answers=rows)


def _counted(
    field: OutputField, predictions: Sequence[Prediction]
) -> tuple[tuple[str, ...], tuple[tuple[tuple[int, int], ...], ...]]:
    """Return the values as texts, and pairs of an answer and its count for each gold value."""
    numbers = {value_key(value): number for number, value in enumerate(field.values)}
    none = len(numbers)
    counts: list[Counter[int]] = [Counter() for _ in range(none + 1)]
    for one in predictions:
        gold = numbers.get(value_key(value_of(one.gold, field)))
        if gold is None:  # by a validator of the type's own
            continue
        said = value_key(value_of(one.label, field)) if isinstance(one.label, Mapping) else ""
        counts[gold][numbers.get(said, none)] += 1
    labels = _texts(field.values)
    if any(none in row for row in counts):
        labels = (*labels, NO_ANSWER)
    return labels, tuple(tuple(sorted(row.items())) for row in counts[: len(labels)])


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts of values; 1 and "1" differ."""
    texts = [value if isinstance(value, str) else literal(value) for value in values]
    return tuple(texts if len({*texts}) == len(texts) else map(literal, values))
