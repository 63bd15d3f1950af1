"""The worst items of swapped terms: pairs of fillings that are farthest apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from promptkit.auditing.swap_answers import AnswerKind, SlotAnswers
from promptkit.auditing.swap_results import SwapFilling, SwapItem
from promptkit.auditing.swap_sentences import Filling, SwapSentence
from promptkit.inference.prediction import Prediction


class FilledRow(NamedTuple):
    """A filling, and the numbers of its queries, one per term."""

    filling: Filling
    sentence: SwapSentence
    terms: Sequence[str]
    places: Sequence[int]


class _Pair(NamedTuple):
    """The two terms of a row that are farthest apart."""

    distance: float
    """Up to 1 for a change, and 1 more for a flip."""
    row: int
    one: int
    other: int


def worst_items(
    rows: Sequence[FilledRow],
    answers: Mapping[str, SlotAnswers],
    predictions: Sequence[Prediction],
    kind: AnswerKind,
    count: int,
) -> Iterator[SwapItem]:
    """Yield the worst items, flips first, one per sentence and slot.

    Args:
        rows: All fillings.
        answers: The answers to the fillings of each slot.
        predictions: The predictions of all queries.
        kind: What answers are compared by.
        count: Number of items, at most.
    """
    found: dict[tuple[str, int], tuple[_Pair, FilledRow]] = {}
    for slot, one in answers.items():
        own = [row for row in rows if row.filling.slot == slot]
        for pair in _farthest(one):
            row = own[pair.row]
            place = slot, row.filling.sentence
            if pair.distance > 0 and (place not in found or pair > found[place][0]):
                found[place] = pair, row
    ranked = sorted(found.values(), key=lambda item: -item[0].distance)
    for pair, row in ranked[:count]:
        yield _item(pair, row, answers[row.filling.slot], predictions, kind)


def _farthest(one: SlotAnswers) -> Iterator[_Pair]:
    every = range(one.texts.shape[1])
    distance = np.nan_to_num(one.flips(every, every))
    if one.scores.shape[-1]:
        change = np.nan_to_num(np.fmax.reduce(np.abs(one.changes(every, every)), axis=-1))
        distance = distance + change / max(change.max(), 1.0)
    flat = distance.reshape(len(distance), -1)
    for row, place in enumerate(flat.argmax(axis=1).tolist()):
        yield _Pair(float(flat[row, place]), row, *divmod(place, len(every)))


def _item(
    pair: _Pair,
    row: FilledRow,
    one: SlotAnswers,
    predictions: Sequence[Prediction],
    kind: AnswerKind,
) -> SwapItem:
    scores = one.scores[pair.row, [pair.one, pair.other]]
    apart = np.nan_to_num(np.abs(scores[1] - scores[0]))
    number = int(apart.argmax()) if len(apart) else 0
    if len(kind.labels) == 2:
        number = 1
    told = kind.measure != "share" and len(apart) > 0
    measured = scores[:, number].tolist() if told else [None, None]
    known = [None if value is None or np.isnan(value) else value for value in measured]
    sides = [
        SwapFilling(row.terms[place], made.input, made.label, value)
        for place, value in zip((pair.one, pair.other), known, strict=True)
        for made in [predictions[row.places[place]]]
    ]
    codes = one.answers[pair.row]
    return SwapItem(
        slot=row.filling.slot,
        id=row.sentence.row.id,
        sentence=row.sentence.shown,
        first=sides[0],
        second=sides[1],
        flipped=bool(codes[pair.one] != codes[pair.other]),
        label=kind.labels[number] if told else None,
        change=None if None in known else known[1] - known[0],  # type: ignore[operator]
    )
