"""Metrics of lists of labels against scikit-learn and the definition of the jackknife."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    f1_score,
    label_ranking_average_precision_score,
    precision_score,
    recall_score,
)

from promptkit.evaluation import set_metrics

Indicators = NDArray[np.bool_]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Indicators, Indicators]:
    shape = draw(st.tuples(st.integers(2, 9), st.integers(2, 4)))
    return draw(arrays.arrays(np.bool_, shape)), draw(arrays.arrays(np.bool_, shape))


@given(tables())
@settings(deadline=None)
def test_f1_is_that_of_scikit_learn(both: tuple[Indicators, Indicators]) -> None:
    gold, said = both
    counts = set_metrics.counts(gold, said).sum(axis=0)
    assert set_metrics.micro_f1(counts) == pytest.approx(
        f1_score(gold, said, average="micro", zero_division=0)
    )
    # A label that is neither gold nor given is left out of the mean.
    macro = f1_score(gold, said, average="macro", zero_division=np.nan)
    assert set_metrics.macro_f1(counts) == pytest.approx(np.nan_to_num(macro))


@given(tables())
@settings(deadline=None)
def test_figures_of_a_label_are_those_of_scikit_learn(both: tuple[Indicators, Indicators]) -> None:
    gold, said = both
    counts = set_metrics.counts(gold, said).sum(axis=0)
    oracles: dict[str, Callable[..., Any]] = {
        "f1": f1_score,
        "precision": precision_score,
        "recall": recall_score,
    }
    for name, oracle in oracles.items():
        each = [oracle(gold[:, i], said[:, i], zero_division=0) for i in range(gold.shape[1])]
        assert set_metrics.OF_LABEL[name](counts) == pytest.approx(each)


@given(tables())
@settings(deadline=None)
def test_shares_are_pseudo_values_whose_mean_is_the_metric(
    both: tuple[Indicators, Indicators],
) -> None:
    gold, said = both
    counts = set_metrics.counts(gold, said)
    shares = set_metrics.shares(set_metrics.macro_f1, counts)
    assert shares.mean() == pytest.approx(float(set_metrics.macro_f1(counts.sum(axis=0))))
    left = [
        float(set_metrics.macro_f1(np.delete(counts, i, axis=0).sum(axis=0)))
        for i in range(len(gold))
    ]
    scatter = (len(gold) - 1) * (np.mean(left) - np.array(left))
    assert shares - shares.mean() == pytest.approx(scatter, abs=1e-9)


@given(tables(), st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None)
def test_ranking_precision_is_that_of_scikit_learn(
    both: tuple[Indicators, Indicators], seed: int, tied: bool
) -> None:
    gold, _ = both
    scores = np.random.default_rng(seed).normal(size=gold.shape)
    scores = scores.round() if tied else scores
    ours = set_metrics.ranking_precision(scores, gold).mean()
    assert ours == pytest.approx(label_ranking_average_precision_score(gold, scores))
