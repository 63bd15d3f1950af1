"""Models by scikit-learn, trained on some rows of a pool.

Probabilities of labels are mixed with even ones as by the rule of succession, as if each label had
been seen once more: (n p + 1) / (n + labels), where n is the number of rows. So no label is ruled
out for want of rows, the log loss is finite, and the most probable label stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.baselines.text_features import CountedRows
from promptkit.inference.label_thresholds import CROSSED, Cutoffs, chosen
from promptkit.inference.profile import Profile
from promptkit.students.one_thread import one_thread

Floats = NDArray[np.float64]
Gold = NDArray[np.bool_]

LABELS = ("majority", "tfidf-logreg", "nearest-neighbour", "naive-bayes")
"""Baselines for labels."""

NUMBERS = ("mean", "median", "tfidf-ridge")
"""Baselines for numbers."""

CONSTANT = ("majority", "mean", "median")
"""Baselines that do not look at the input."""

NEIGHBOURS = 5
"""Number of nearest neighbours that vote."""

_FLOAT = 8
"""Bytes of a parameter."""


@dataclass(frozen=True)
class Fit:
    """A trained model."""

    answers: Callable[[Any], Floats]
    """Function from the counts of queries to the probabilities of the labels, (queries, labels), or
    to numbers, (queries,)."""
    profile: Profile
    cutoffs: Cutoffs | None = None
    """Log-probability above which each label is given, where an answer is a list of labels."""


def fit_labels(name: str, rows: CountedRows, gold: Gold, *, many: bool = False) -> Fit:
    """Return a model of labels.

    Args:
        name: One of `LABELS`.
        rows: The rows.
        gold: Whether each label is the gold one, (rows, labels), or one of them where `many`.
        many: Whether an answer is a list of labels: then each has a model of its own (one against
            the rest), and a threshold that is chosen by cross-validation on the rows.
    """
    begun = perf_counter()
    with one_thread():
        found = (_train_each if many else _train_one)(name, rows, gold)
        cutoffs = _cutoffs(name, rows, gold) if many else None
    return Fit(found.answers, _profile(name, found, rows, begun), cutoffs)


def fit_numbers(name: str, rows: CountedRows, gold: Floats) -> Fit:
    """Return a model of numbers, whose answers are never beyond those of its rows.

    Args:
        name: One of `NUMBERS`.
        rows: The rows.
        gold: The gold numbers, (rows,).
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import Ridge

    begun = perf_counter()
    if not len(gold):
        return Fit(lambda queries: np.full(queries.shape[0], np.nan), Profile(parameters=0))
    model = Ridge() if name == "tfidf-ridge" else DummyRegressor(strategy=name)
    with one_thread():
        model.fit(rows.weighted, gold)

    def answers(queries: Any) -> Floats:
        with one_thread():
            said: Floats = model.predict(rows.weigh(queries)).astype(np.float64)
        return np.clip(said, gold.min(), gold.max())

    parameters = 1 if name in CONSTANT else len(rows.known) + 1
    return Fit(answers, _profile(name, _Trained(answers, parameters, parameters), rows, begun))


@dataclass(frozen=True)
class _Trained:
    """A model with its size."""

    answers: Callable[[Any], Floats]
    parameters: int
    trained: int


def _train_one(name: str, rows: CountedRows, gold: Gold) -> _Trained:
    """Return a model of which label is the gold one."""
    labels, numbers = gold.shape[1], gold.argmax(axis=1)
    if len(np.unique(numbers)) < 2:
        return _Trained(lambda queries: _constant(queries, gold), labels, labels)
    model = _classifier(name, len(gold)).fit(rows.weighted, numbers)

    def answers(queries: Any) -> Floats:
        found = np.zeros((queries.shape[0], labels))
        with one_thread():
            found[:, model.classes_] = model.predict_proba(rows.weigh(queries))
        return _mixed(found, len(gold), labels)

    return _Trained(answers, *_parameters(name, model, rows))


def _constant(queries: Any, gold: Gold) -> Floats:
    """Return probabilities where all rows have one label, or where there are no rows."""
    share = gold.mean(axis=0) if len(gold) else np.zeros(gold.shape[1])
    return np.tile(_mixed(share, *gold.shape), (queries.shape[0], 1))


def _mixed(probabilities: Floats, rows: int, labels: int) -> Floats:
    """Return probabilities by the rule of succession."""
    return (rows * probabilities + 1) / (rows + labels)


def _train_each(name: str, rows: CountedRows, gold: Gold) -> _Trained:
    """Return a model of each label against the rest."""
    each = [_train_one(name, rows, np.stack([~own, own], axis=1)) for own in gold.T]

    def answers(queries: Any) -> Floats:
        return np.stack([one.answers(queries)[:, 1] for one in each], axis=1)

    return _Trained(answers, sum(one.parameters for one in each), sum(one.trained for one in each))


def _cutoffs(name: str, rows: CountedRows, gold: Gold) -> Cutoffs:
    """Return the threshold of each label, from answers to rows that were left out of training."""
    if name in CONSTANT or len(gold) < 2 * CROSSED:
        return np.full(gold.shape[1], np.log(0.5))
    part = np.random.default_rng(0).permutation(len(gold)) % CROSSED
    scores = np.zeros(gold.shape)
    for own in range(CROSSED):
        rest = _train_each(name, rows.where(part != own), gold[part != own])
        scores[part == own] = np.log(rest.answers(rows.counts[part == own]))
    return chosen(scores, gold)


def _classifier(name: str, rows: int) -> Any:
    """Return a classifier by its name, for so many rows."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier

    if name == "majority":
        return DummyClassifier(strategy="prior")
    if name == "tfidf-logreg":
        return LogisticRegression(C=10, max_iter=1000)
    if name == "naive-bayes":
        return MultinomialNB()
    return KNeighborsClassifier(min(NEIGHBOURS, rows), metric="cosine", weights="distance")


def _parameters(name: str, model: Any, rows: CountedRows) -> tuple[int, int]:
    """Return the number of parameters of a classifier, and of those that were trained."""
    if name == "nearest-neighbour":  # which keeps the rows themselves
        return rows.weighted.nnz, 0
    if name == "tfidf-logreg":
        count = model.coef_.size + model.intercept_.size
    elif name == "naive-bayes":
        count = model.feature_log_prob_.size + model.class_log_prior_.size
    else:
        count = len(model.classes_)
    return count, count


def _profile(name: str, found: _Trained, rows: CountedRows, begun: float) -> Profile:
    names = 0 if name in CONSTANT else int(rows.sizes[rows.known].sum())
    return Profile(
        parameters=found.parameters,
        trained=found.trained,
        bytes=_FLOAT * found.parameters + names,
        seconds=perf_counter() - begun,
        labels=len(rows),
    )
