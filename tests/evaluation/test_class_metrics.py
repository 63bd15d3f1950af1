from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from promptkit.evaluation import class_metrics
from promptkit.evaluation.class_metrics import Statistic, matrix, shares

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

CLASSES = 4
answers = st.lists(
    st.tuples(st.integers(0, CLASSES - 1), st.integers(0, CLASSES - 1)), min_size=2, max_size=40
)
Answers = list[tuple[int, int]]

STATISTICS: dict[str, Statistic] = {
    "balanced_accuracy": class_metrics.balanced_accuracy,
    "macro_f1": class_metrics.macro_f1,
    "mcc": class_metrics.mcc,
    "kappa": class_metrics.kappa,
    "quadratic": class_metrics.quadratic_kappa(range(CLASSES)),
}


def expected(name: str, gold: list[int], said: list[int]) -> float:
    value = {
        "balanced_accuracy": lambda: oracle.balanced_accuracy_score(gold, said),
        "macro_f1": lambda: oracle.f1_score(gold, said, average="macro", zero_division=0),
        "mcc": lambda: oracle.matthews_corrcoef(gold, said),
        "kappa": lambda: oracle.cohen_kappa_score(gold, said),
        "quadratic": lambda: oracle.cohen_kappa_score(
            gold, said, labels=range(CLASSES), weights="quadratic"
        ),
    }[name]()
    return 0.0 if np.isnan(value) else float(value)


@pytest.mark.parametrize("name", STATISTICS)
@given(pairs=answers)
def test_they_are_those_of_scikit_learn(name: str, pairs: Answers) -> None:
    gold, said = map(list, zip(*pairs, strict=True))
    found = float(STATISTICS[name](matrix(gold, said, CLASSES)))
    assert found == pytest.approx(expected(name, gold, said), abs=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
@given(pairs=answers)
def test_shares_are_those_of_leaving_each_query_out(name: str, pairs: Answers) -> None:
    gold, said = map(list, zip(*pairs, strict=True))
    found = shares(STATISTICS[name], gold, said, CLASSES)
    whole = float(STATISTICS[name](matrix(gold, said, CLASSES)))
    assert found.mean() == pytest.approx(whole, abs=1e-9)
    n = len(pairs)
    without = [
        float(STATISTICS[name](matrix(gold[:i] + gold[i + 1 :], said[:i] + said[i + 1 :], CLASSES)))
        for i in range(n)
    ]
    expected = (n - 1) * (without[0] - np.array(without))
    np.testing.assert_allclose(found - found[0], expected, atol=1e-8)


@given(pairs=answers)
def test_per_class_figures_are_those_of_scikit_learn(pairs: Answers) -> None:
    gold, said = map(list, zip(*pairs, strict=True))
    counts = matrix(gold, said, CLASSES)
    found = class_metrics.per_class(counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0))
    known = oracle.precision_recall_fscore_support(
        gold, said, labels=range(CLASSES), zero_division=0
    )
    for ours, theirs in zip(found, known[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_missing_answer_is_a_class_without_gold_labels() -> None:
    counts = matrix([0, 0, 1, 1], [0, 2, 1, 1], 3)
    assert float(class_metrics.balanced_accuracy(counts)) == 0.75
