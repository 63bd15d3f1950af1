"""Learning curves: a metric against the number of labelled rows, and where two of them cross.

Prompts see few labelled rows, and what is trained may see many. At each number of rows a trained
model is compared with the prompt of at most as many shots, over the same queries and draws; what is
said of it is corrected for all numbers and models (Holm).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from promptkit.evaluation import intervals, metric_text, targets
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.results import Ends
from promptkit.evaluation.sentences import ALPHA
from promptkit.text import counted, listed, sentence
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The metric at one number of labelled rows."""

    labels: int
    """Number of labelled rows: shots, or rows that it was trained on."""
    value: float
    ci: Ends | None
    """95 %, for new queries and new draws of rows; None for one draw of several possible ones."""
    ci_fixed: Ends | None
    """95 %, for new queries and these rows."""
    draws: int
    """Number of draws of the rows."""


@dataclass(frozen=True, slots=True)
class CurveLine:
    """One way to use labelled rows."""

    name: str
    kind: str
    """`prompt`; `trained`, a baseline; `adapter` or `student`; or `other`, which is one point."""
    points: tuple[CurvePoint, ...]
    """By the number of labelled rows, ascending."""


@dataclass(frozen=True, slots=True)
class CurvePair:
    """A trained model less the best prompt of at most as many labelled rows."""

    name: str
    """Name of the model."""
    labels: int
    """Number of rows that it was trained on."""
    shots: int
    """Number of shots of the prompt."""
    delta: float
    ci: Ends | None
    ci_fixed: Ends
    p: float
    p_holm: float
    """`p` adjusted for all pairs of the curve (Holm)."""
    better: int
    """1 where the model is significantly better, -1 where the prompt is, 0 where neither."""


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Lines of a metric against labelled rows, and their differences."""

    lines: tuple[CurveLine, ...]
    pairs: tuple[CurvePair, ...]
    sentences: tuple[str, ...]
    """The crossing points in words."""


class AtSize(NamedTuple):
    """A trained model and the prompt beside it, at one number of labelled rows."""

    name: str
    labels: int
    shots: int
    prompt: Outcomes
    model: Outcomes


def point(labels: int, one: Outcomes, metric: Metric) -> CurvePoint | None:
    """Return the metric of some outcomes; None where they have none."""
    value = metric.value(one)
    if value is None:
        return None
    around = metric.intervals(one)
    general, fixed = (None, None) if around is None else around.ends
    return CurvePoint(labels, value, general, fixed, len(one.numbers) if one.drawn else 1)


def aligned(prompt: Outcomes, model: Outcomes) -> tuple[Outcomes, Outcomes]:
    """Return both with a column for each pair of their draws.

    One that has a single draw, or none, stands beside every draw of the other one.
    """
    if len(prompt.numbers) == len(model.numbers):
        return prompt, model
    own = [one.numbers if one.drawn else one.numbers[:1] for one in (prompt, model)]
    fewest, most = sorted(map(len, own))
    count = most if fewest == 1 else fewest
    first, second = (
        one.of([*one.queries], [seeds[place % len(seeds)] for place in range(count)])
        for one, seeds in zip((prompt, model), own, strict=True)
    )
    return first, second


def compared(sizes: Sequence[AtSize], metric: Metric) -> list[CurvePair]:
    """Return the differences of trained models and prompts, their p-values corrected."""
    found = [(at, both) for at in sizes if (both := metric.difference(at.prompt, at.model))]
    corrected = intervals.holm([both.decisive.p for _, both in found]).tolist()
    return [_pair(at, both, p, metric) for (at, both), p in zip(found, corrected, strict=True)]


def _pair(at: AtSize, both: targets.Differences, p: float, metric: Metric) -> CurvePair:
    one = both.decisive
    apart = p <= ALPHA and (one.ci.low > 0 or one.ci.high < 0)
    better = metric.sign * (1 if one.delta > 0 else -1) if apart else 0
    general = None if both.general is None else (both.general.ci.low, both.general.ci.high)
    fixed = both.these.ci.low, both.these.ci.high
    return CurvePair(at.name, at.labels, at.shots, one.delta, general, fixed, one.p, p, better)


def crossings(
    pairs: Sequence[CurvePair], prompt: str, metric: Metric, rows: int | None = None
) -> Iterator[str]:
    """Yield a sentence on each trained model: from how many labelled rows on it is better.

    Args:
        pairs: The differences from the prompt.
        prompt: The prompt in words.
        metric: The metric.
        rows: Number of labelled rows that there are; by default as many as the pairs have.
    """
    alike: dict[int, list[str]] = {}
    for name in dict.fromkeys(pair.name for pair in pairs):
        own = sorted([pair for pair in pairs if pair.name == name], key=lambda one: one.labels)
        if any(pair.better for pair in own):
            yield sentence(_crossing(own, prompt, metric, rows))
        else:
            alike.setdefault(own[-1].labels, []).append(name)
    for most, names in alike.items():
        yield tr(
            "At no number of labelled rows up to {most:,} is {prompt} separated from {names}.",
            most=most,
            prompt=prompt,
            names=listed(names, "or"),
        )


def _crossing(pairs: Sequence[CurvePair], prompt: str, metric: Metric, rows: int | None) -> str:
    """Return where a trained model overtakes a prompt, from which it is separated somewhere.

    `pairs` are by their number of rows.
    """
    name, most = pairs[0].name, pairs[-1].labels
    if len(pairs) == 1:
        return _at_one_size(pairs[0], prompt, metric)
    worse = [pair for pair in pairs if pair.better < 0]
    last = worse[-1] if worse else None
    better = [pair for pair in pairs if pair.better > 0 and (not last or pair.labels > last.labels)]
    if last is None:
        first = better[0]
        rest = "" if first is pairs[0] else tr("; with fewer they are not separated")
        return tr(
            "from {rows} on {name} is better than {prompt} ({at}){rest}",
            rows=_rows(first),
            name=name,
            prompt=prompt,
            at=_at(first, metric),
            rest=rest,
        )
    upto = tr(
        "up to {rows} {prompt} is better than {name} ({at})",
        rows=_rows(last),
        prompt=prompt,
        name=name,
        at=_at(last, metric),
    )
    if better:
        first = better[0]
        between = any(last.labels < pair.labels < first.labels for pair in pairs)
        rest = tr(", and between them they are not separated") if between else ""
        return tr(
            "{upto}; from {labels:,} on {name} is ({at}){rest}",
            upto=upto,
            labels=first.labels,
            name=name,
            at=_at(first, metric),
            rest=rest,
        )
    if last is pairs[-1]:
        every = rows is None or most >= rows
        end = tr("which is all there are") if every else tr("the most it was made from")
        return f"{upto}, {end}"
    return tr("{upto}; with more, up to {most:,}, they are not separated", upto=upto, most=most)


def _at_one_size(pair: CurvePair, prompt: str, metric: Metric) -> str:
    """Return which of a prompt and a model of one size is better."""
    made = tr("{name}, made from {rows},", name=pair.name, rows=_rows(pair))
    better, worse = (made, prompt) if pair.better > 0 else (prompt, made.rstrip(","))
    return tr(
        "{better} is better than {worse} ({change})",
        better=better,
        worse=worse,
        change=_change(pair, metric),
    )


def _rows(pair: CurvePair) -> str:
    return counted(pair.labels, "labelled row", "labelled rows")


def _at(pair: CurvePair, metric: Metric) -> str:
    return tr("{change} at {labels:,}", change=_change(pair, metric), labels=pair.labels)


def _change(pair: CurvePair, metric: Metric) -> str:
    low, high = pair.ci or pair.ci_fixed
    return metric_text.difference(metric, pair.delta, low, high)
