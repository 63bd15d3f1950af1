"""Figures of a slot: flips, changes and effects of terms, with intervals over sentences.

A sentence is one cluster: whatever the number of its fillings, it counts as one value of each
figure. So the intervals are those of means over sentences (`evaluation/mean_intervals.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from promptkit.auditing.swap_answers import AnswerKind, Floats, SlotAnswers
from promptkit.auditing.swap_results import Ends, LabelChange, SlotSwaps, TermEffect, TermSwaps
from promptkit.evaluation import targets
from promptkit.evaluation.intervals import holm
from promptkit.evaluation.power import SampleSize, detectable
from promptkit.tasks.swap_slots import SwapSlot


class _Side(NamedTuple):
    """A term or a group, the terms that are it, and those that it is compared with."""

    name: str
    group: str | None
    own: Sequence[int]
    others: Sequence[int]


class _Effect(NamedTuple):
    """An effect before its correction, with its value in each sentence."""

    found: TermEffect
    values: Floats


def figures(
    answers: Mapping[str, SlotAnswers],
    slots: Mapping[str, SwapSlot],
    kind: AnswerKind,
    level: float = 0.95,
) -> tuple[tuple[SlotSwaps, ...], int]:
    """Return the figures of each slot, and the number of effects of terms that were tested.

    Args:
        answers: Answers to the fillings of each slot.
        slots: The slots by name.
        kind: What the answers are compared by.
        level: Confidence level of the intervals of the slots' shares that flip.
    """
    terms = {name: [*_sides(one, slots[name])] for name, one in answers.items()}
    groups = {name: [*_groups(slots[name])] for name in answers}
    effects = {name: [_effects(one, s, kind) for s in terms[name]] for name, one in answers.items()}
    of_groups = {
        name: [_effects(one, side, kind) for side in groups[name]] for name, one in answers.items()
    }
    tested = _corrected(effects)
    _corrected(of_groups)
    made = []
    for name, one in answers.items():
        every = _Side("", None, *[range(len(slots[name].terms))] * 2)
        flips, change, worst = _pairs(one, every, kind, level)
        made.append(
            SlotSwaps(
                slot=name,
                sentences=len(one.by_sentence(one.flips(every.own, every.others))),
                flips=flips[0] or 0.0,
                flips_ci=flips[1],
                change=change[0],
                change_ci=change[1],
                worst=worst,
                labels=tuple(_labels(one, every, kind)),
                terms=_rows(one, terms[name], effects[name], kind),
                groups=_rows(one, groups[name], of_groups[name], kind),
                detectable=_detectable(effects[name], tested, kind.most),
            )
        )
    return tuple(made), tested


def _sides(one: SlotAnswers, slot: SwapSlot) -> Iterator[_Side]:
    every = range(len(slot.terms))
    for place, term in enumerate(slot.terms):
        yield _Side(term.text, term.group, [place], [other for other in every if other != place])


def _groups(slot: SwapSlot) -> Iterator[_Side]:
    if len(slot.groups) < 2:
        return
    for group in slot.groups:
        own = [i for i, term in enumerate(slot.terms) if term.group == group]
        others = [i for i, term in enumerate(slot.terms) if term.group not in (group, None)]
        yield _Side(group, None, own, others)


def _rows(
    one: SlotAnswers, sides: Sequence[_Side], effects: Sequence[list[_Effect]], kind: AnswerKind
) -> tuple[TermSwaps, ...]:
    rows = []
    for side, own in zip(sides, effects, strict=True):
        flips, change, worst = _pairs(one, side, kind)
        rows.append(
            TermSwaps(
                side.name,
                side.group,
                len(one.by_sentence(one.flips(side.own, side.others))),
                flips[0] or 0.0,
                flips[1],
                *change,
                worst,
                tuple([effect.found for effect in own]),
            )
        )
    return tuple(rows)


_Mean = tuple[float | None, Ends | None]


def _pairs(
    one: SlotAnswers, side: _Side, kind: AnswerKind, level: float = 0.95
) -> tuple[_Mean, _Mean, float | None]:
    """Return the share of flips, the mean of the largest change of a label, and the worst one."""
    flips = _mean(one.by_sentence(one.flips(side.own, side.others)), 1.0, level)
    if kind.measure == "share":
        return flips, (None, None), None
    changes = np.abs(one.changes(side.own, side.others))
    largest = np.fmax.reduce(changes, axis=-1)
    worst = float(np.nanmax(largest)) if np.isfinite(largest).any() else None
    return flips, _mean(one.by_sentence(largest), kind.most), worst


def _labels(one: SlotAnswers, side: _Side, kind: AnswerKind) -> Iterator[LabelChange]:
    if kind.measure == "share":
        return
    changes = np.abs(one.changes(side.own, side.others))
    for number, label in enumerate(kind.labels):
        own = changes[..., number]
        mean, ends = _mean(one.by_sentence(own), kind.most)
        if mean is not None:
            yield LabelChange(label, mean, ends, float(np.nanmax(own)))


def _mean(values: Floats, most: float, level: float = 0.95) -> _Mean:
    """Return the mean over sentences with its interval; None without any sentence."""
    if not len(values):
        return None, None
    found = targets.mean(values[:, np.newaxis], drawn=False, least=0.0, most=most, level=level)
    return float(values.mean()), None if found is None else (found.these.low, found.these.high)


def _effects(one: SlotAnswers, side: _Side, kind: AnswerKind) -> list[_Effect]:
    """Return the effect of a term on each label; of two labels on the second alone."""
    changes = one.changes(side.own, side.others)
    said = _said(one, side, kind)
    found = []
    for number, label in enumerate(kind.labels):
        if len(kind.labels) == 2 and number == 0:
            continue
        values = one.by_sentence(changes[..., number])
        if not len(values):
            continue
        zero = np.zeros((len(values), 1))
        tested = targets.mean_difference(zero, values[:, np.newaxis], drawn=False, most=kind.most)
        these = None if tested is None else tested.these
        effect = TermEffect(
            label=label,
            delta=float(values.mean()),
            ci=None if these is None else (these.ci.low, these.ci.high),
            p=None if these is None else these.p,
            p_holm=None,
            answers=None if said is None else float(one.by_sentence(said[..., number]).mean()),
        )
        found.append(_Effect(effect, values))
    return found


def _said(one: SlotAnswers, side: _Side, kind: AnswerKind) -> Floats | None:
    """Return the difference of the pairs in whether a label is answered; None for numbers."""
    if one.said is None:
        return None
    return replace(one, scores=one.said).changes(side.own, side.others)


def _corrected(effects: Mapping[str, list[list[_Effect]]]) -> int:
    """Correct the p-values of all effects for their number, and return that.

    Of two terms, the effect of one is that of the other with its sign turned: a single comparison.
    """
    tested = [
        effect
        for sides in effects.values()
        for side in (sides[:1] if len(sides) == 2 else sides)
        for effect in side
        if effect.found.p is not None
    ]
    p_values = [effect.found.p for effect in tested if effect.found.p is not None]
    corrected = {id(effect): p for effect, p in zip(tested, holm(p_values).tolist(), strict=True)}
    for sides in effects.values():
        of_first = [*sides[0]] if len(sides) == 2 else []
        for side in sides:
            for place, effect in enumerate(side):
                same = of_first[place] if place < len(of_first) else effect
                p = corrected.get(id(same))
                side[place] = effect._replace(found=replace(effect.found, p_holm=p))
    return len(tested)


def _detectable(effects: Sequence[Sequence[_Effect]], tested: int, most: float) -> float | None:
    """Return the smallest true effect that is found, given how the effects of terms scatter."""
    own = [effect.values for side in effects for effect in side if len(effect.values) > 1]
    scatter = float(np.median([np.square(values).mean() for values in own])) if own else 0.0
    if not scatter:
        return None
    n = int(np.median([len(values) for values in own]))
    found = detectable(n, SampleSize(scatter, comparisons=max(tested, 1), counts=False))
    return None if found is None or found > most else found
