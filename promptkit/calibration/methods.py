"""Calibration of label probabilities, which corrects label bias: pure functions.

All take `scores`, (queries, labels): the natural logarithms of what a model gives to each label,
normalised over the labels or not; -inf is no chance at all. All return log-probabilities of the
same shape that are normalised over the labels and never NaN, and depend on no constant that is
added to a row of `scores`. None sees the gold label of a query; those that learn from labels get
them as a `HeldOut`, of other examples.

They raise ValueError on shapes that do not fit, on NaN and +inf, and on a row without any chance.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.translation import tr

OfLabels = Literal["contextual", "domain-context", "batch", "pmi", "temperature", "vector"]
Calibration = Literal[OfLabels, "by_byte", "by_token"]
"""Names of the methods, which are the functions below; `by_length` has two."""

CALIBRATIONS: tuple[Calibration, ...] = get_args(OfLabels)
"""The methods for labels."""

OPTION_CALIBRATIONS: tuple[Calibration, ...] = ("pmi", "by_byte", "by_token")
"""The methods for options of each query."""

SAME_ANSWERS: tuple[Calibration, ...] = ("temperature",)
"""The methods that move probabilities and never the answer."""

ASSUME_BALANCED: tuple[Calibration, ...] = ("contextual", "domain-context", "batch", "pmi")
"""The methods that leave no label a head start, as is right only where all are equally common."""

Scores = NDArray[np.float64]

_LEAST = -50.0
"""Floor of log-probabilities, so that one label without a chance does not decide a fit or mean."""


class HeldOut(NamedTuple):
    """Label scores of labelled examples that are neither queries nor shots."""

    scores: ArrayLike
    """(examples, labels), as above."""
    gold: ArrayLike
    """(examples,): the column of each example's gold label."""


def normalised(scores: ArrayLike) -> Scores:
    """Return the scores as log-probabilities, normalised over the labels in every row."""
    table = _checked(scores)
    return table - np.logaddexp.reduce(table, axis=1, keepdims=True)


def contextual(scores: ArrayLike, content_free: ArrayLike) -> Scores:
    """Return contextually calibrated log-probabilities: those of the labels less those that they
    have after content-free inputs.

    `content_free`, (inputs, labels), are the scores after the same shots. As in the authors' code,
    the probabilities are averaged over inputs as the model gives them and normalised over the
    labels afterwards, so an input after which the model hardly gives any label counts little. A
    content-free input itself becomes uniform. (The paper takes a softmax of the quotients: the same
    labels, flatter probabilities.)

    Zhao, Wallace, Feng, Klein and Singh, "Calibrate before use: improving few-shot performance of
    language models", ICML 2021.
    """
    return over(scores, mean_chance(content_free))


def domain_context(scores: ArrayLike, random_texts: ArrayLike) -> Scores:
    """Return domain-context calibrated log-probabilities: as in `contextual`, after random words.

    `random_texts` is like `content_free` of `contextual`, for texts of the task's own words; they
    are averaged in the same way, as in the authors' code.

    Fei, Hou, Chen and Bosselut, "Mitigating label biases for in-context learning", ACL 2023.
    """
    return over(scores, mean_chance(random_texts))


def batch(scores: ArrayLike) -> Scores:
    """Return batch-calibrated log-probabilities: each less the label's mean over all queries.

    It uses the queries, though not their gold labels, and assumes that these are balanced;
    afterwards every label has the same mean log-probability. With a single
    query nothing is left to tell labels apart. Where a label has no chance for some queries, its
    mean is over the others.

    Zhou, Wan, Proleev, Mincu, Chen, Heller and Roy, "Batch calibration: rethinking calibration for
    in-context learning and prompt engineering", ICLR 2024, equations 1 and 2 (`p` there are
    logits).
    """
    return over(scores, mean_logprob(scores))


def pmi(scores: ArrayLike, premise: ArrayLike) -> Scores:
    """Return the domain-conditional PMI of each label and the query, normalised.

    `premise`, (prompts, labels), are the scores where there is neither a shot nor an input, only
    the text around them; several are averaged as in `contextual`.

    Holtzman, West, Shwartz, Choi and Zettlemoyer, "Surface form competition: why the highest
    probability answer isn't always right", EMNLP 2021.
    """
    return over(scores, mean_chance(premise))


def by_length(scores: ArrayLike, lengths: ArrayLike) -> Scores:
    """Return log-probabilities from the scores of answers by unit of their length, normalised.

    `lengths`, (queries, labels), are the bytes or tokens of the answers. Longer answers have lower
    scores, whatever they say; the mean score of a byte or token makes up for that.

    Brown et al., "Language models are few-shot learners", NeurIPS 2020, section 2.4.
    """
    return normalised(_checked(scores) / np.asarray(lengths, dtype=np.float64))


def orders(scores: ArrayLike, others: ArrayLike) -> Scores:
    """Return the mean log-probabilities of a query's options over several orders, normalised.

    `scores`, (1, options), are those of the order that is given, and `others`, (orders, options),
    those of the same options in other orders. What a place among the options multiplies their
    chances by, cancels where each option was once in every place. An option without a chance in one
    order has e^-50 there, so that one order does not decide.

    Zheng, Zhou, Meng, Zhou and Huang, "Large language models are not robust multiple choice
    selectors", ICLR 2024, who average the probabilities.
    """
    rows = normalised(np.concatenate([_checked(scores), _checked(others)]))
    possible = np.isfinite(rows).any(axis=0)
    mean = np.maximum(rows, _LEAST).mean(axis=0, keepdims=True)
    return normalised(np.where(possible, mean, -np.inf))


def temperature(scores: ArrayLike, held_out: HeldOut) -> Scores:
    """Return temperature-scaled log-probabilities: all times one positive number.

    No answer changes.

    The number minimises the log loss on `held_out`, and a normal prior around 1 with a standard
    deviation of 1 keeps it in reach where that is small.

    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    _check_width(scores, held_out)
    return scaled(scores, best_temperature(held_out))


def vector(scores: ArrayLike, held_out: HeldOut) -> Scores:
    """Return vector-scaled log-probabilities: per label times a non-negative number, plus another.

    The numbers minimise the log loss on `held_out`; normal priors around 1 and 0 with a standard
    deviation of 1 keep them in reach where that is small, or has few of some labels or none.

    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    _check_width(scores, held_out)
    return scaled(scores, *best_scales(held_out))


def scaled(scores: ArrayLike, factors: ArrayLike, shifts: ArrayLike = 0.0) -> Scores:
    """Return log-probabilities per label times a number, plus another, normalised."""
    rows = normalised(scores)
    possible = np.isfinite(rows)
    table = np.where(possible, rows, 0.0) * np.asarray(factors) + np.asarray(shifts)
    return normalised(np.where(possible, table, -np.inf))


def best_temperature(held_out: HeldOut) -> float:
    """Return the factor of `temperature`, the inverse of the paper's temperature."""
    from scipy.optimize import minimize_scalar

    known, gold = _labelled(held_out)

    def loss(inverse: float) -> float:
        return _log_loss(inverse * known, gold)[0] + (inverse - 1) ** 2 / 2

    found = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9})
    return float(found.x)


def best_scales(held_out: HeldOut) -> tuple[Scores, Scores]:
    """Return the factors and shifts of `vector`, one of each per label."""
    from scipy.optimize import minimize

    known, gold = _labelled(held_out)
    labels = known.shape[1]

    def loss(numbers: Scores) -> tuple[float, Scores]:
        factors, shifts = numbers.reshape(2, labels)
        total, wrong = _log_loss(known * factors + shifts, gold)
        slope = [(wrong * known).sum(axis=0) + factors - 1, wrong.sum(axis=0) + shifts]
        strain = ((factors - 1) ** 2).sum() / 2 + (shifts**2).sum() / 2
        return total + float(strain), np.concatenate(slope)

    start = np.repeat([1.0, 0.0], labels)
    bounds = [(0.0, None)] * labels + [(None, None)] * labels
    # Unlike L-BFGS-B it uses no linear algebra, whose threads cost more than such small fits.
    options = {"maxfun": 5000}
    found = minimize(loss, start, jac=True, bounds=bounds, method="TNC", tol=1e-12, options=options)
    factors, shifts = found.x.reshape(2, labels)
    return factors, shifts


def over(scores: ArrayLike, prior: Scores) -> Scores:
    """Return the chances over what they are worth, both as logarithms, normalised.

    Where the prior has no chance at all for a label, it counts as the least chance of another.
    """
    rows = normalised(scores)
    if len(prior) != rows.shape[1]:
        raise ValueError(
            tr("{shape} labels are compared with {count}", shape=rows.shape[1], count=len(prior))
        )
    least = prior[np.isfinite(prior)].min()
    return normalised(rows - np.maximum(prior, least))


def mean_chance(scores: ArrayLike) -> Scores:
    """Return the logarithm of each label's mean probability over the inputs, not normalised."""
    rows = _checked(scores)
    return np.asarray(np.logaddexp.reduce(rows, axis=0) - np.log(len(rows)))


def mean_logprob(scores: ArrayLike) -> Scores:
    """Return each label's mean log-probability over the queries for which it has a chance."""
    rows = normalised(scores)
    possible = np.isfinite(rows)
    sums = np.where(possible, rows, 0.0).sum(axis=0)
    times = possible.sum(axis=0)
    return np.asarray(np.where(times > 0, sums / np.maximum(times, 1), -np.inf))


def _log_loss(scores: Scores, gold: NDArray[np.int64]) -> tuple[float, Scores]:
    """The summed negative log-probability of the gold labels, and its slope in each score."""
    rows = np.arange(len(gold))
    totals = np.logaddexp.reduce(scores, axis=1)
    slope = np.exp(scores - totals[:, np.newaxis])
    slope[rows, gold] -= 1
    return float((totals - scores[rows, gold]).sum()), slope


def _check_width(scores: ArrayLike, held_out: HeldOut) -> None:
    labels, known = _checked(scores).shape[1], _checked(held_out.scores).shape[1]
    if labels != known:
        raise ValueError(
            tr(
                "expected (examples, {labels}), got {shape}",
                labels=labels,
                shape=np.shape(held_out.scores),
            )
        )


def _labelled(held_out: HeldOut) -> tuple[Scores, NDArray[np.int64]]:
    rows, gold = normalised(held_out.scores), np.asarray(held_out.gold)
    labels = rows.shape[1]
    if gold.shape != rows.shape[:1]:
        raise ValueError(
            tr(
                "expected (examples, labels) and (examples,), got {shape} and {gold}",
                shape=rows.shape,
                gold=gold.shape,
            )
        )
    if gold.dtype.kind not in "iu" or gold.min() < 0 or gold.max() >= labels:
        raise ValueError(tr("gold indices must be integers from 0 to {labels}", labels=labels - 1))
    return np.maximum(rows, _LEAST), gold.astype(np.int64)


def _checked(scores: ArrayLike) -> Scores:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(tr("expected (queries, labels), got shape {shape}", shape=table.shape))
    if np.isnan(table).any() or (table == np.inf).any():
        raise ValueError(tr("scores must be numbers or -inf"))
    if (table.max(axis=1) == -np.inf).any():
        raise ValueError(tr("a row gives no chance to any label"))
    return table
