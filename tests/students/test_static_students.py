"""Students of static word vectors, and of the vectors of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pupils import WORDS, moods, sentences
from teachers import Knowing

import promptkit as pk
from promptkit.errors import ModelError, PromptError, TaskError
from promptkit.students import gguf_features
from promptkit.students.gguf_features import GgufFeatures, RememberedVectors
from promptkit.students.hashed_grams import layers_of, words_of
from promptkit.students.linear_head import slopes_of
from promptkit.students.static_features import StaticFeatures
from promptkit.students.static_training import DIMENSIONS, fit_static, word_vectors
from promptkit.students.training import kind_named
from promptkit.students.training_set import TrainingSet


class Vectors:
    """Vectors in which words of one mood are near each other; texts have those of their words."""

    dimensions = 5

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Any) -> Any:
        if any(len(text) > 500 for text in texts):
            raise PromptError("too long")
        self.asked += texts
        return np.array([self._mean(text.split()) for text in texts])

    def _mean(self, words: list[str]) -> Any:
        return np.mean([self._one(word) for word in words] or [np.zeros(5)], axis=0)

    def _one(self, word: str) -> Any:
        noise = np.random.default_rng(sum(map(ord, word))).normal(size=5) * 0.1
        near = [float(word in words) for words in WORDS.values()]
        return noise + np.array([*near, 0, 0, 0])


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> Vectors:
    made = Vectors()
    remembered = RememberedVectors(made, made.dimensions)
    for module in (gguf_features, __import__("promptkit.students.training", fromlist=["x"])):
        monkeypatch.setattr(module, "vectors_of", lambda name: remembered)
    monkeypatch.setattr(gguf_features, "digest_of", lambda name: "0" * 64)
    return made


def test_words_are_those_of_the_first_layer() -> None:
    texts = ["A good day, a bad one", "日本 day", "", "!"]
    words = words_of(texts)
    assert {*words.values()} == {"a", "good", "day", ",", "bad", "one", "日", "本", "!"}
    found = {
        bucket for _, layers in layers_of(texts) for bucket in layers[0].buckets.tolist() if bucket
    }
    assert found == words.keys()


def test_a_text_is_the_mean_of_its_known_words() -> None:
    vectors = word_vectors(["one two three", "one"], Vectors(), "some")
    assert vectors.vectors.shape[0] == 3
    assert vectors.columns <= DIMENSIONS
    one, two, both, other, none = vectors.matrix(["one", "two", "one two ???", "four", ""])
    assert (one + two) / 2 == pytest.approx(both)
    assert not other.any()
    assert not none.any()
    weights = np.random.default_rng(0).normal(size=(vectors.columns, 3)).astype(np.float32)
    texts = [*sentences(20)[0], "one two", "", "one one two"]
    assert vectors.scorer(weights)(texts) == pytest.approx(
        vectors.matrix(texts) @ weights, abs=1e-5
    )


def test_slopes_are_those_of_the_loss() -> None:
    draw = np.random.default_rng(0)
    for labels in (1, 2, 4):
        targets = draw.random((1, labels))
        targets /= targets.sum() if labels > 1 else 1
        scores = draw.normal(size=(1, max(labels - 1, 1)))
        _, slopes = slopes_of(scores, targets)
        for place in range(scores.shape[1]):
            step = np.zeros_like(scores)
            step[0, place] = 1e-6
            above, below = (slopes_of(scores + sign * step, targets)[0][0] for sign in (1, -1))
            assert slopes[0, place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_vectors_move_where_held_out_rows_say_so() -> None:
    texts, said = sentences(240)
    labels = ["bad", "good", "mixed"]
    rows = TrainingSet(tuple(texts), np.eye(3)[[labels.index(mood) for mood in said]])
    blind = word_vectors(
        texts, lambda words: np.random.default_rng(1).normal(size=(len(words), 4)), "x"
    )
    moved, head = fit_static(rows, blind, (10.0,), 0)
    assert not np.allclose(moved.vectors * 1.0, blind.vectors)
    scores = moved.matrix(texts) @ head.weights + head.bias
    best = np.hstack([np.zeros((len(texts), 1)), scores]).argmax(axis=1)
    assert (best == rows.targets.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("kind", ["static", "static:other", "gguf:other"])
def test_they_are_distilled_saved_and_loaded(kind: str, vectors: Vectors, tmp_path: Path) -> None:
    task = moods()
    rows = [{"text": text} for text in sentences(200, seed=7)[0]]
    student = pk.distill(Knowing(task), rows, student=kind, out=tmp_path / "kept", store=pk.Store())
    assert student.card["tests"]["student"]["accuracy"] > 0.8
    assert student.card["training"]["student"] == kind
    assert len(vectors.asked) == len({*vectors.asked})  # a curve asks nothing again
    again = pk.load_predictor(tmp_path / "kept")
    assert again.sha256 == student.sha256
    texts = [test.input.text for test in task.tests]
    assert (again.logprobs(texts) == student.logprobs(texts)).all()
    assert again.features.settings == student.features.settings


def test_another_model_is_refused(vectors: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    features = GgufFeatures.of("other")
    assert features.matrix(["a " * 600]).shape == (1, 5)
    monkeypatch.setattr(gguf_features, "digest_of", lambda name: "1" * 64)
    with pytest.raises(ModelError, match="not the model that the student learnt with"):
        features.matrix(["a"])


def test_kinds_and_damage() -> None:
    for name in ("gguf", "tfidf:x", "static:", "deep:x"):
        with pytest.raises(TaskError, match="unknown student"):
            kind_named(name)
    with pytest.raises(ValueError, match="another kind"):
        StaticFeatures.from_arrays({"bits": 3}, {})
    with pytest.raises(ValueError, match="ascending"):
        StaticFeatures(np.array([3, 2], np.int32), np.zeros((2, 1), np.float32))
    with pytest.raises(ValueError, match="do not belong"):
        GgufFeatures.from_arrays({}, {"a": np.zeros(1)})


@pytest.mark.model
@pytest.mark.parametrize("kind", ["static", "gguf:smollm2"])
def test_the_bundled_model_makes_vectors(kind: str, tmp_path: Path) -> None:
    task = moods()
    rows = [{"text": text} for text in sentences(60, seed=7)[0]]
    how: dict[str, Any] = {"student": kind, "curve": False, "store": pk.Store()}
    student = pk.distill(Knowing(task), rows, out=tmp_path / "kept", **how)
    (made,) = pk.load_predictor(tmp_path / "kept").predict([student.query({"text": "so dull"})])
    assert made.label in task.labels
