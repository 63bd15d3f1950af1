"""Unintended bias, against scikit-learn's areas under ROC curves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from grouped import Comment, Noisy, comments
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import promptkit as pk
from promptkit.auditing.unintended_bias import power_mean
from promptkit.errors import TaskError
from promptkit.students.student import Student
from promptkit.students.tfidf_features import TfIdfFeatures

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def areas(scores: Any, gold: Any, inside: Any) -> tuple[float, float, float]:
    """Return the subgroup, BPSN and BNSP AUC as the paper defines them."""
    bpsn, bnsp = np.where(inside, ~gold, gold), np.where(inside, gold, ~gold)
    return tuple(float(roc_auc_score(gold[some], scores[some])) for some in (inside, bpsn, bnsp))  # type: ignore[return-value]


def test_areas_are_those_of_scikit_learn() -> None:
    task = comments({"red": 60, "green": 80, "blue": 50, "grey": 8})
    noisy = Noisy(task, {"red": 0.95, "green": 0.6})
    (found,) = pk.audit(noisy, subgroups="group").unintended
    made = noisy.predict(task.tests)
    scores = np.array([(p.logprobs or {})["rude"] - (p.logprobs or {})["fine"] for p in made])
    gold = np.array([test.output == "rude" for test in task.tests])
    assert (found.by, found.positive) == ("group", "rude")
    assert found.overall.value == pytest.approx(roc_auc_score(gold, scores))
    large = []
    for one in found.subgroups:
        inside = np.array([test.metadata["group"] == one.name for test in task.tests])
        expected = areas(scores, gold, inside)
        for area, value in zip((one.subgroup, one.bpsn, one.bnsp), expected, strict=True):
            assert area is not None
            assert area.value == pytest.approx(value)
            assert area.ci is not None
            assert area.ci[0] <= area.value <= area.ci[1] <= 1
        assert one.n == inside.sum()
        assert one.small == (one.name == "grey")
        large += [expected] if not one.small else []
    assert found.subgroups[-1].name == "grey"
    for mean, values in zip(
        (found.subgroup_mean, found.bpsn_mean, found.bnsp_mean),
        zip(*large, strict=True),
        strict=True,
    ):
        assert mean is not None
        assert mean.value == pytest.approx(np.mean(np.array(values) ** -5.0) ** (-1 / 5))
        assert mean.ci is not None
        assert mean.ci[0] < mean.value < mean.ci[1]


def test_intervals_are_about_delongs() -> None:
    """The standard error of an area agrees with that of a bootstrap of queries."""
    task = comments({"red": 150, "green": 150})
    noisy = Noisy(task, {"red": 0.8, "green": 0.7})
    (found,) = pk.audit(noisy, subgroups="group").unintended
    made = noisy.predict(task.tests)
    scores = np.array([(p.logprobs or {})["rude"] for p in made])
    gold = np.array([test.output == "rude" for test in task.tests])
    red = np.array([test.metadata["group"] == "red" for test in task.tests])
    draw, means = np.random.default_rng(0), []
    for _ in range(300):
        rows = draw.integers(0, len(gold), len(gold))
        both = [areas(scores[rows], gold[rows], side[rows])[1] for side in (red, ~red)]
        means.append(power_mean(both))
    assert found.bpsn_mean is not None
    assert found.bpsn_mean.ci is not None
    low, high = found.bpsn_mean.ci
    assert (high - low) / 3.92 == pytest.approx(np.std(means), rel=0.25)


def test_what_cannot_be_is_refused() -> None:
    task = comments({"red": 30, "green": 30})
    noisy = Noisy(task, {})
    fine = [row for row in task.tests if row.output == "fine"]
    three = comments({"red": 30}, labels=("a", "b", "c"))
    for predictor, how, reason in (
        (noisy, {"terms": ["blue"]}, "none of 'blue'"),
        (noisy, {"subgroups": "colour"}, "no such column"),
        (noisy, {"subgroups": "group", "rows": fine}, "none of the gold outputs is rude"),
        (Noisy(three, {}), {"terms": ["red"]}, "name one of: a, b, c"),
    ):
        with pytest.raises(TaskError) as caught:
            pk.audit(predictor, **how)  # type: ignore[arg-type]
        assert reason in str(caught.value)


def test_power_means() -> None:
    assert power_mean([0.7, 0.7]) == pytest.approx(0.7)
    assert power_mean([0.0, 1.0]) == 0
    assert 0.5 < power_mean([0.5, 1.0]) < 0.75


def phrases(name: str, most: int) -> pk.Task[Any, Any]:
    """Return identity phrases as a task, skipping where the data is absent."""
    file = DATA / name
    if not file.exists():
        pytest.skip(f"{file} is absent: the identity phrases are not part of the package")
    with file.open(encoding="utf-8", newline="") as rows:
        every = [*csv.DictReader(rows)]
    draw = np.random.default_rng(0).permutation(len(every))
    known: dict[str, str] = {}
    for place in draw:
        known.setdefault(every[place]["phrase"], every[place]["toxicity"])
    pairs = [*known.items()][: 2 * most]
    examples = [pk.Example(input=Comment(text=text), output=gold) for text, gold in pairs]
    return pk.Task[
        Comment, Literal["nontoxic", "toxic"]
    ](
        name=name,
        demos=examples[:most],  # type: ignore[arg-type]
        tests=examples[most:],  # type: ignore[arg-type]
        near_duplicates="allow",
    )


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("identity_phrases_en.csv", ["gay", "muslim", "christian", "straight", "young", "black"]),
        ("identity_phrases_hi_latn.csv", ["brahman", "sunni", "jain", "protestant", "meena"]),
    ],
)
def test_identity_phrases_have_the_areas_of_scikit_learn(name: str, terms: list[str]) -> None:
    task = phrases(name, 500)
    texts = [demo.input.text for demo in task.demos]
    features = TfIdfFeatures.of(texts, 1)
    head = LogisticRegression().fit(features.matrix(texts), [demo.output for demo in task.demos])
    weights = head.coef_.T.astype(np.float32)
    student = Student(task, features, weights, head.intercept_.astype(np.float32))
    found = pk.audit(student, terms=terms).unintended[0]
    odds = student.logprobs([test.input.text for test in task.tests])
    scores = odds[:, 1] - odds[:, 0]
    gold = np.array([test.output == "toxic" for test in task.tests])
    assert found.overall.value == pytest.approx(roc_auc_score(gold, scores))
    for one in found.subgroups:
        inside = np.array(
            [one.name in test.input.text.lower().replace(".", "").split() for test in task.tests]
        )
        assert one.n == inside.sum()
        if not one.small:
            assert one.bpsn is not None
            assert one.bpsn.value == pytest.approx(areas(scores, gold, inside)[1])
