"""Trained baselines, each against scikit-learn itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier

from promptkit import ExampleSet, ManyLabels, Options, Scoring, Task, load_task
from promptkit.baselines.text_features import features
from promptkit.baselines.trained_baselines import TrainedBaseline, trained_baselines, why_not
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor


class Text(BaseModel):
    text: str


def task_of(output: Any, pool: list[tuple[str, Any]], asked: list[str], **more: Any) -> Any:
    gold = pool[0][1] if pool else None
    demos = [{"input": {"text": text}, "output": said} for text, said in pool]
    tests = [{"input": {"text": text}, "output": gold} for text in asked]
    return Task[Text, output](name="task", demos=demos, tests=tests, **more)


def named(task: Any) -> dict[str, TrainedBaseline]:
    return {one.identity.name: one for one in trained_baselines(task)}


def vectors(pool: list[str], asked: list[str]) -> tuple[Any, Any]:
    """TF-IDF of words and of runs of characters side by side, by scikit-learn alone."""
    parts = []
    for run in (True, False):
        made = TfidfVectorizer(
            analyzer=lambda text, run=run: [f for f in features(text) if f.startswith("\t") == run],
            sublinear_tf=True,
        )
        parts.append((made.fit_transform(pool), made.transform(asked)))
    return tuple(sparse.hstack(side, "csr") for side in zip(*parts, strict=True))


ORACLES: dict[str, Any] = {
    "majority": DummyClassifier(strategy="prior"),
    "tfidf-logreg": LogisticRegression(C=10, max_iter=1000),
    "nearest-neighbour": KNeighborsClassifier(5, metric="cosine", weights="distance"),
    "naive-bayes": MultinomialNB(),
}


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("folder", ["fruit", "routing"])
def test_labels_and_probabilities_are_those_of_scikit_learn(name: str, folder: str) -> None:
    task = load_task(f"examples/{folder}")
    (field,) = task.types()[0].model_fields
    rows, asked = vectors(*([getattr(e.input, field) for e in s] for s in (task.demos, task.tests)))
    numbers = [task.labels.index(demo.output) for demo in task.demos]
    oracle = ORACLES[name].fit(rows, numbers)
    made = named(task)[name].predict(task.tests)
    found = np.array([[*(one.probs or {}).values()] for one in made])
    n, labels = len(numbers), len(task.labels)
    expected = (n * oracle.predict_proba(asked) + 1) / (n + labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    near = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] < 1e-6
    said = [task.labels.index(one.label) for one in made]
    assert [*np.array(said)[~near]] == [*oracle.predict(asked)[~near]]
    assert [one.correct for one in made] == [
        one.label == test.output for one, test in zip(made, task.tests, strict=True)
    ]
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert all(p > 0 for one in made for p in (one.probs or {}).values())


def test_the_profile_counts_what_scikit_learn_has() -> None:
    task = load_task("examples/fruit")
    words = [demo.input.name for demo in task.demos]
    rows, _ = vectors(words, words)
    numbers = [task.labels.index(demo.output) for demo in task.demos]
    profiles = {name: one.profile for name, one in named(task).items()}
    linear = ORACLES["tfidf-logreg"].fit(rows, numbers)
    assert profiles["tfidf-logreg"].parameters == linear.coef_.size + linear.intercept_.size
    assert profiles["nearest-neighbour"].parameters == rows.nnz
    assert profiles["nearest-neighbour"].trained == 0
    assert profiles["majority"].trained == 7
    assert {profile.labels for profile in profiles.values()} == {len(task.demos)}
    assert all(
        p.seconds > 0 and (p.bytes or 0) >= 8 * (p.parameters or 0) for p in profiles.values()
    )


def test_lists_of_labels_are_one_model_against_the_rest() -> None:
    task = load_task("examples/topics")
    (field,) = task.types()[0].model_fields
    rows, asked = vectors(*([getattr(e.input, field) for e in s] for s in (task.demos, task.tests)))
    gold = np.array([[label in demo.output for label in task.labels] for demo in task.demos])
    made = named(task)["tfidf-logreg"].predict(task.tests)
    oracle = OneVsRestClassifier(ORACLES["tfidf-logreg"]).fit(rows, gold.astype(int))
    expected = (len(gold) * oracle.predict_proba(asked) + 1) / (len(gold) + 2)
    found = np.array([[*(one.probs or {}).values()] for one in made])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for one in made:
        given = [(one.probs or {})[label] for label in task.labels if label in one.label]
        others = [(one.probs or {})[label] for label in task.labels if label not in one.label]
        assert (one.margin or 0) > 0
        assert len(given) + len(others) == len(task.labels)
    assert {"jaccard", "hamming_loss"} <= made[0].measures.keys()


def test_numbers_have_means_medians_and_ridge_regression() -> None:
    pool = [("good film", 4.0), ("bad film", 1.0), ("very good", 5.0), ("awful", 0.0)]
    asked = ["good", "awful film", "neither"]
    found = named(task_of(float, pool, asked))
    answers = {name: [p.label for p in one.predict(one.task.tests)] for name, one in found.items()}
    assert answers["mean"] == [2.5] * 3
    assert answers["median"] == [2.5] * 3
    rows, queries = vectors([text for text, _ in pool], asked)
    oracle = Ridge().fit(rows, [number for _, number in pool]).predict(queries)
    np.testing.assert_allclose(answers["tfidf-ridge"], oracle.clip(0, 5))


def test_whole_numbers_are_rounded_and_bounds_are_kept() -> None:
    stars = Annotated[int, Field(ge=1, le=5)]
    found = named(task_of(stars, [("good", 5), ("bad", 1), ("dull", 2)], ["good good", "so so"]))
    for one in found.values():
        made = one.predict(one.task.tests)
        assert all(type(p.label) is int and 1 <= p.label <= 5 for p in made)
        assert all(p.failure is None and p.probs is None for p in made)
    assert [p.label for p in found["mean"].predict(found["mean"].task.tests)] == [3, 3]


@pytest.mark.parametrize(
    ("pool", "asked"),
    [
        pytest.param([("मुझे यह पसंद है", "good"), ("यह ख़राब है", "bad")], "पसंद", id="Hindi"),
        pytest.param([("我喜欢这个", "good"), ("很糟糕", "bad")], "喜欢", id="Chinese"),
        pytest.param([("ฉันชอบมัน", "good"), ("แย่มาก", "bad")], "ชอบ", id="Thai"),
        pytest.param([("apple", "good"), ("plum", "bad")], "pineapple", id="parts of words"),
        pytest.param([(":-)", "good"), (":-(", "bad")], ":)", id="marks"),
    ],
)
def test_scripts_and_single_words_are_told_apart(pool: Any, asked: str) -> None:
    found = named(task_of(Literal["bad", "good"], pool, [asked]))
    for name in ("tfidf-logreg", "nearest-neighbour", "naive-bayes"):
        (made,) = found[name].predict(found[name].task.tests)
        assert made.label == "good"


def test_vowel_signs_stay_with_their_letters() -> None:
    assert features("हिन्दी, भाषा")[:3] == ["हिन्दी", "भाषा", "हिन्दी भाषा"]
    assert features("ＦＩＧ") == features("fig")
    assert features("") == features(" \n") == ["\t"]


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param([("a", "x"), ("b", "x")], id="one label"),
        pytest.param([("a", "x"), ("b", "y")], id="two rows"),
        pytest.param([("a", "z")], id="one row"),
        pytest.param([("", "x"), (" ", "y"), ("?", "x")], id="empty texts"),
    ],
)
def test_small_pools_give_probabilities_of_all_labels(pool: Any) -> None:
    task = task_of(Literal["x", "y", "z"], pool, ["c", "d d"])
    for one in trained_baselines(task):
        for made in one.predict(task.tests):
            probs = [*(made.probs or {}).values()]
            assert len(probs) == 3
            assert min(probs) > 0
            assert sum(probs) == pytest.approx(1)
            assert made.margin is not None
            assert made.coverage == 1.0
    majority, *_ = trained_baselines(task_of(Literal["x", "y", "z"], [("a", "z")], ["c"]))
    (made,) = majority.predict(majority.task.tests)
    assert made.probs == {"x": 1 / 4, "y": 1 / 4, "z": 2 / 4}  # the rule of succession


def test_each_fold_is_answered_by_a_model_of_the_others() -> None:
    words = ["fig", "figs", "plum", "plums", "pear", "pears"]
    rows = [{"input": {"text": w}, "output": "yes" if w.endswith("s") else "no"} for w in words]
    examples = ExampleSet[Text, Literal["no", "yes"]](rows)  # type: ignore[arg-type]
    folds = examples.folds(3)
    task = Task[Text, Literal["no", "yes"]](name="plural", demos=examples, folds=folds)
    linear = named(task)["tfidf-logreg"]
    made = {one.id: one for one in linear.predict(task.tests)}
    assert linear.profile.labels == 4
    for fold in {*folds.values()}:
        others = [row for row in examples if folds[row.id] != fold]
        own = [row for row in examples if folds[row.id] == fold]
        x, asked = vectors([row.input.text for row in others], [row.input.text for row in own])
        oracle = ORACLES["tfidf-logreg"].fit(x, [row.output for row in others])
        for row, probs in zip(own, oracle.predict_proba(asked), strict=True):
            expected = (4 * probs + 1) / 6
            np.testing.assert_allclose([*(made[row.id].probs or {}).values()], expected, rtol=1e-5)


LONG = "The parcel that I ordered in the last week of March never came to my house"


@pytest.mark.parametrize(("near", "rows"), [("exclude", 2), ("allow", 3)])
def test_near_duplicates_of_tests_are_left_out(near: Any, rows: int) -> None:
    pool = [(f"{LONG} at all", "x"), ("What is the price?", "y"), ("Who are you?", "y")]
    task = task_of(Literal["x", "y"], pool, [LONG], near_duplicates=near)
    found = named(task)
    (made,) = found["majority"].predict(task.tests)
    assert found["majority"].profile.labels == rows
    x = (made.probs or {})["x"]
    assert x == pytest.approx((rows * (rows - 2) / rows + 1) / (rows + 2))


def test_a_new_query_is_not_answered_from_itself() -> None:
    pool = [("a", "x"), ("b", "y"), ("c", "y")]
    task = task_of(Literal["x", "y"], pool, ["d"])
    majority = named(task)["majority"]
    own, other = majority.predict([task.demos[0], task.as_query({"text": "new"})])
    assert (own.probs or {})["x"] == pytest.approx((2 * 0 + 1) / (2 + 2))
    assert (other.probs or {})["x"] == pytest.approx((3 * 1 / 3 + 1) / (3 + 2))


def test_predictions_do_not_depend_on_what_is_asked_beside() -> None:
    task = load_task("examples/routing")
    for one, again in zip(trained_baselines(task), trained_baselines(task), strict=True):
        together = [p.probs for p in one.predict(task.tests)]
        alone = [p.probs for test in task.tests for p in again.predict([test])]
        assert together == alone


def test_a_model_may_be_trained_on_shots_alone() -> None:
    task = load_task("examples/fruit")
    shots = task.demos[3:9]
    linear = named(task)["tfidf-logreg"]
    made = linear.predict_from(shots, task.tests)
    x, asked = vectors([s.input.name for s in shots], [t.input.name for t in task.tests])
    oracle = ORACLES["tfidf-logreg"].fit(x, [s.output for s in shots])
    for one, probs in zip(made, oracle.predict_proba(asked), strict=True):
        found = [(one.probs or {})[label] for label in oracle.classes_]
        np.testing.assert_allclose(found, (6 * probs + 1) / (6 + 7), rtol=1e-5)


def test_what_has_no_baselines_is_said() -> None:
    class Choice(BaseModel):
        options: Annotated[list[str], Options()]

    texts = task_of(str, [("a", "b")], ["c"])
    choice = Task[Choice, str](name="quiz")
    empty = task_of(Literal["x", "y"], [], [])
    assert why_not(texts) == "the outputs are neither labels nor numbers"
    assert why_not(choice) == "each query has options of its own"
    assert why_not(empty) == "the pool has no labelled rows"
    with pytest.raises(TaskError, match="no baselines can be trained for the task 'task': the out"):
        trained_baselines(texts)


def test_a_baseline_is_a_predictor_with_an_identity() -> None:
    task = task_of(bool, [("yes", True), ("no", False)], ["yes yes"], scoring=Scoring())
    one, other = trained_baselines(task)[:2]
    assert isinstance(one, AnyPredictor)
    assert one.predict(task.tests)[0].label in (True, False)
    assert one.identity.sha256 != other.identity.sha256
    assert one.identity == trained_baselines(task)[0].identity
    assert one.identity.runtime.startswith("scikit-learn ")


def test_lists_of_labels_in_tiny_pools() -> None:
    kinds = Annotated[list[Literal["p", "q"]], ManyLabels()]
    task = task_of(kinds, [("a", ["p"]), ("b", [])], ["a a", "c"])
    for one in trained_baselines(task):
        made = one.predict(task.tests)
        assert all(set(p.label) <= {"p", "q"} for p in made)
