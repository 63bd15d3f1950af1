"""Figures of a metric as text: percent and points where it is a share, plain numbers elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.text import decimals, ends, number, percent, places, plain, points, signed
from promptkit.translation import tr, trn

Ends = Sequence[float | None]


def figure(metric: Metric, value: float | None, interval: Ends | None = None) -> str:
    """Return a value with its interval, as tables have it: `62 % [54, 70]`, `0.42 [0.36, 0.48]`.

    Args:
        metric: The metric.
        value: Its value; None for one that there is not, of which the text is `–`.
        interval: Both ends; None where nothing can be said of them.
    """
    if value is None:
        return "–"
    known = _known(interval)
    if metric.is_share:
        return percent(value) + (f" [{number(known[0])}, {number(known[1])}]" if known else "")
    digits = _digits(value, known)
    text = plain(value, digits)
    return text + (f" [{plain(known[0], digits)}, {plain(known[1], digits)}]" if known else "")


def bracket(metric: Metric, interval: Ends | None) -> str:
    """Return an interval alone: `[54, 70]`."""
    known = _known(interval)
    return "" if known is None else f"[{', '.join(edges(metric, *known))}]"


def edges(metric: Metric, low: float, high: float) -> tuple[str, str]:
    """Return both ends of an interval in the unit of a metric."""
    if metric.is_share:
        return number(low), number(high)
    digits = _digits(low, (low, high))
    return plain(low, digits), plain(high, digits)


def within(metric: Metric, interval: tuple[float, float], value: float) -> str:
    """Return a value, or an end of its interval, in the unit of a metric: `12`, `0.31`."""
    low, high = interval
    return number(value) if metric.is_share else plain(value, _digits(value, (low, high)))


def said(metric: Metric, value: float, interval: tuple[float, float] | None) -> str:
    """Return a value in a sentence: `62 % right [54, 70]`, `MAE 0.42 [0.36, 0.48]`."""
    if not metric.is_share or interval is None:
        return f"{metric.noun} {figure(metric, value, interval)}"
    around = ", ".join(ends(*interval))
    if metric == ACCURACY:
        return tr("{value} right [{around}]", value=percent(value), around=around)
    return f"{metric.noun} {percent(value)} [{around}]"


def change(metric: Metric, delta: float, low: float, high: float) -> str:
    """Return a difference as tables have it: `+12 [+4, +20]`, `-0.08 [-0.14, -0.02]`."""
    one, *others = (signed_end(metric, (low, high), each) for each in (delta, low, high))
    return f"{one} [{', '.join(others)}]"


def signed_end(metric: Metric, interval: Sequence[float], value: float) -> str:
    """Return a difference, or an end of its interval, with its sign: `+12`, `-0.08`."""
    low, high = interval
    return signed(value) if metric.is_share else plain(value, _digits(value, (low, high)), "+")


def difference(metric: Metric, delta: float, low: float, high: float) -> str:
    """Return a difference in a sentence: `+12 points [+4, +20]`, `MAE 0.08 lower [0.02, 0.14]`."""
    if metric.is_share:
        digits = decimals(low, high)
        shown = signed(delta, digits)
        noun = "" if metric == ACCURACY else f"{metric.noun} "
        one = 1 if shown in ("+1", "-1") else 2
        said = trn("{shown} point", "{shown} points", one, shown=shown)
        return f"{noun}{said} [{signed(low, digits)}, {signed(high, digits)}]"
    if low <= 0 <= high:
        return f"{metric.noun} {change(metric, delta, low, high)}"
    lower = high < 0
    near, far = (-high, -low) if lower else (low, high)
    shown = figure(metric, abs(delta), (near, far))
    value, _, around = shown.partition(" ")
    way = tr("lower") if lower else tr("higher")
    return f"{metric.noun} {value} {way} {around}"


def size(metric: Metric, amount: float, digits: int = 0) -> str:
    """Return the size of a difference: `12 points`, `0.31`."""
    return points(amount, digits) if metric.is_share else plain(amount, places(amount))


def bare_size(metric: Metric, amount: float) -> str:
    """Return the size of a difference without a unit: `12`, `0.31`."""
    return number(amount) if metric.is_share else size(metric, amount)


def unit(metric: Metric) -> str:
    """Return the unit of a difference: `points of accuracy`, `MAE`."""
    return tr("points of {noun}", noun=metric.noun) if metric.is_share else metric.noun


def of(metric: Metric) -> str:
    """Return ` of MAE`, for a difference whose unit does not say what it is of; else nothing."""
    return "" if metric == ACCURACY else tr(" of {noun}", noun=metric.noun)


def _known(interval: Ends | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return None if low is None or high is None else (low, high)


def _digits(value: float, interval: tuple[float, float] | None) -> int:
    """Return the decimals that an interval needs; without a width, those of three digits."""
    width = interval[1] - interval[0] if interval is not None else 0.0
    return places(width) if width > 1e-6 * abs(value) else places(abs(value) / 10)
