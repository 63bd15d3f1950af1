"""Intervals and p-values of accuracies and differences: pure functions over arrays of 0 and 1.

Rows are queries, columns are seeds, that is, draws of shots. Answers to one query under several
seeds are not new queries: everywhere the query is the unit that is sampled (Miller, "Adding error
bars to evals", arXiv 2411.00640, 2024, for clusters and paired differences).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.evaluation.metrics import correctness
from promptkit.translation import tr

RESAMPLES = 9999

ADDED = 0.75
"""Size of two differences that are added to those of a pair, one won and one lost, so that few
disagreements do not pass for none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends included, in the unit of the estimate."""

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference in accuracy of b and a over the same queries."""

    delta: float
    """Accuracy of b minus accuracy of a, from -1 to 1."""
    ci: Interval
    p: float
    """Two-sided p-value of "no difference". `holm` corrects it for other comparisons."""
    disagreement: float
    """Mean over queries of the squared difference; for one seed, the share of queries that only
    one of the two has right. `promptkit.evaluation.power` plans with it."""


def wilson(correct: ArrayLike, level: float = 0.95) -> Interval:
    """Return the Wilson score interval of an accuracy, within [0, 1] and around the estimate.

    The interval covers the accuracy on new queries from the same source, for these draws of shots;
    it says nothing about new draws. With several seeds the answers to one query are a cluster, and
    Wilson's formula is used with n queries times `effective_seeds`. The simulated coverage of 95 %
    intervals is 93 to 97 %, and a little more where few answers are wrong (`docs/evidence.md`).

    Wilson, JASA 22, 1927; with an effective sample size: Dean and Pagano, J. Survey Statistics and
    Methodology 3, 2015.

    Args:
        correct: Correctness as 0 and 1, (queries,) or (queries, seeds).
        level: The confidence, between 0 and 1.

    Raises:
        ValueError: `correct` is empty or not of 0 and 1, or `level` is out of range.

    Example:
        >>> interval = wilson([1, 1, 1, 0])
        >>> round(interval.low, 2), round(interval.high, 2)
        (0.3, 0.95)
    """
    _check(level)
    table = correctness(correct)
    p, n = float(table.mean()), len(table) * effective_seeds(table)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    # At p = 0 and p = 1 one end is p; rounding may leave it a little beyond.
    return Interval(max(0.0, min(centre - half, p)), min(1.0, max(centre + half, p)), level)


def effective_seeds(correct: ArrayLike) -> float:
    """Return the effective number of seeds: of independent answers that one query's are worth.

    It is (n p (1-p) + 1/4) / (sum_i (m_i - p)^2 + 1/4), where m_i is
    the mean of query i over seeds and p that of the n queries: 1 when seeds always agree, hence at
    p = 0 and p = 1 too, and the number of seeds at most, when they are as good as new queries. The
    two quarters stand for one added query, at its most variable and with seeds in agreement.
    Without them a few wrong answers near p = 1, spread over seeds, pass for many more queries than
    there are, and the coverage of Wilson's interval falls to 84 %.

    Korn and Graubard, Survey Methodology 24, 1998.

    Args:
        correct: Correctness as in `wilson`.
    """
    table = correctness(correct)
    queries, seeds = table.shape
    # From whole numbers, so that the order of queries does not matter.
    by_query = table.sum(axis=1)
    right, squares = int(by_query.sum()), int((by_query**2).sum())
    common = right * right / queries
    gain = (right * seeds - common + seeds**2 / 4) / (squares - common + seeds**2 / 4)
    return float(min(max(gain, 1.0), seeds))


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95, seed: int = 0) -> Difference:
    """Return the accuracy of `b` minus that of `a`, with an interval and a p-value.

    Like `wilson`, all of it is about new queries from the same source, for these draws of shots.

    The interval is a percentile bootstrap over queries of the mean of the per-query differences,
    to which two are added, +0.75/sqrt(s) and -0.75/sqrt(s), where s is the smaller of the two
    `effective_seeds`: a little less than the one win and one loss of Bonett and Price. Without
    them few or no disagreements give an interval that is far too narrow or has no width at all.
    The coverage of 95 % intervals is 93 to 97 % from about six disagreements on, and higher below,
    where an answer more or less is a large step (`docs/evidence.md`); without them it falls to
    78 %, with whole wins and losses it rises to 99 %. BCa does worse than the plain percentile.

    The p-value is that of the sign-flip test over the queries' differences: with one seed, the
    exact McNemar test. It is 1 if no query differs. With several seeds it is exact where the
    differences are symmetric. If one condition is deterministic across seeds (zero-shot) and
    rarely wrong, the sign-flip test is not exact; its type I error can reach 10 %. The interval
    allows for that, so read both.

    Swapping `a` and `b` turns every sign exactly, and the order of queries does not matter.

    McNemar, Psychometrika 12, 1947; Fisher, "The design of experiments", 1935, section 21; Efron
    and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13; Bonett and Price,
    J. Educational and Behavioral Statistics 37, 2012.

    Args:
        a: Correctness as 0 and 1, (queries,) or (queries, seeds).
        b: The same of the other cell, over the same queries in the same order; its number of seeds
            may differ.
        level: The confidence, between 0 and 1.
        seed: The seed of the bootstrap.

    Raises:
        ValueError: The numbers of queries differ, there are none, something is not 0 or 1, or
            `level` is out of range.

    Example:
        >>> found = paired_difference([0, 0, 1, 1], [1, 1, 1, 1])
        >>> found.delta, found.p
        (0.5, 0.5)
    """
    _check(level)
    first, second = correctness(a), correctness(b)
    if len(first) != len(second):
        raise ValueError(
            tr(
                "not the same queries: {first} in a, {second} in b",
                first=len(first),
                second=len(second),
            )
        )
    seeds_a, seeds_b = first.shape[1], second.shape[1]
    # Per-query differences in whole units of 1 / (seeds_a * seeds_b): ties and zeros are exact.
    units = second.sum(axis=1) * seeds_a - first.sum(axis=1) * seeds_b
    scale = seeds_a * seeds_b
    delta = float(units.sum()) / (scale * len(units))
    added = ADDED * min(effective_seeds(first), effective_seeds(second)) ** -0.5
    # One of the two mirror images stands for both, so that swapping turns the signs exactly.
    side = _side(units)
    low, high = _bootstrap(units * (side or 1), scale, added, level, seed)
    if side < 0:
        low, high = -high, -low
    elif side == 0:
        low, high = (low - high) / 2, (high - low) / 2
    interval = Interval(min(low, delta), max(high, delta), level)
    disagreement = float((units**2).sum()) / (scale**2 * len(units))
    return Difference(delta, interval, _sign_flip_p(units), disagreement)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values adjusted for their number by Holm's method.

    If none of the comparisons has a difference, the chance that any of these is at or below 0.05
    is at most 0.05, however they depend on one another.

    Holm, Scandinavian J. Statistics 6, 1979.

    Args:
        p_values: The p-values, (comparisons,).

    Raises:
        ValueError: A p-value is not in [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.5]).tolist()
        [0.03, 0.08, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            tr("p-values are a list of numbers from 0 to 1, got {p_values!r}", p_values=p_values)
        )
    order = np.argsort(p, kind="stable")
    left = np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * left), 1.0)
    return corrected


def _side(units: NDArray[np.int64]) -> int:
    """Return 1 or -1, the other one for the mirror image, and 0 where both are the same."""
    in_order = np.sort(units)
    uneven = in_order + in_order[::-1]
    return int(np.sign(uneven[uneven != 0][:1]).sum())


def _bootstrap(
    units: NDArray[np.int64], scale: int, added: float, level: float, seed: int
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean, whatever the order of the differences."""
    least = units.min()
    counts = np.bincount(units - least)
    sizes = np.flatnonzero(counts)
    values = np.append((sizes + least) / scale, [added, -added])
    n = len(units) + 2
    # n draws with replacement, counted by value: the same bootstrap at a fraction of its cost.
    chances = np.append(counts[sizes], [1, 1]) / n
    drawn = np.random.default_rng(seed).multinomial(n, chances, size=RESAMPLES)
    means = np.sort(drawn @ values / n)
    places = np.array([0.5 - level / 2, 0.5 + level / 2]) * (RESAMPLES - 1)
    low, high = np.interp(places, np.arange(RESAMPLES), means)
    return float(low), float(high)


def _sign_flip_p(units: NDArray[np.int64]) -> float:
    """Return the chance, if every sign were a fair coin, of a sum at least as far from 0."""
    units = units[units != 0]
    if len(units) == 0:
        return 1.0
    units = units // np.gcd.reduce(units)
    counts = np.bincount(np.abs(units))
    sizes = np.flatnonzero(counts)
    if len(sizes) == 1:
        return _mcnemar(int((units > 0).sum()), len(units))
    # The distribution of the sum of +-size, from its characteristic function: the product of
    # cos(size * angle). Right to about 1e-14.
    largest = int(sizes @ counts[sizes])
    points = 2 * largest + 1
    angles = np.arange(points) * (2 * np.pi / points)
    transform = np.ones(points)
    for size in sizes:
        transform *= np.cos(size * angles) ** counts[size]
    chance = np.fft.fft(transform).real / points
    p = 2 * float(chance[abs(int(units.sum())) : largest + 1].sum())
    return min(1.0, max(p, 2.0 ** (1 - len(units))))


def _mcnemar(wins: int, n: int) -> float:
    """Return the chance, in `n` throws of a fair coin, of a number of heads at least as uneven."""
    tail = 1
    ways = 1  # whole numbers, so that nothing is lost however small the chance
    for heads in range(min(wins, n - wins)):
        ways = ways * (n - heads) // (heads + 1)
        tail += ways
    return min(1.0, tail / (1 << (n - 1)))


def student(chance: float, freedom: float) -> float:
    """Return the quantile of Student's distribution below which `chance` of it lies."""
    from scipy.special import stdtrit  # imported where it is needed: it takes a moment

    return float(stdtrit(freedom, chance))


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(tr("level must be between 0 and 1, got {level}", level=level))
