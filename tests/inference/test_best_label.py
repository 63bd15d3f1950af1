"""Predictors of which only the best label is wanted, without a model."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.inference.prediction import Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.store import Store, key_of
from promptkit.models.base import Score
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

UNREAD = ("logprobs", "probs", "margin", "coverage")


@pytest.fixture(scope="module")
def fruit() -> Predictor:
    task = pk.load_task("examples/fruit")
    return pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=2)


def test_the_labels_are_the_same_and_have_no_probabilities(fruit: Predictor) -> None:
    best = replace(fruit, scores="best").predict(fruit.task.tests)
    for mine, other in zip(best, fruit.predict(fruit.task.tests), strict=True):
        assert [getattr(mine, name) for name in UNREAD] == [None] * 4
        assert other.probs is not None
        for name in {one.name for one in fields(other)} - {*UNREAD}:
            assert getattr(mine, name) == getattr(other, name), name


def test_results_are_stored_apart(fruit: Predictor) -> None:
    queries = fruit.task.tests[:5]
    with Store() as store:
        fruit.predict(queries, store=store)
        replace(fruit, scores="best").predict(queries, store=store)
        assert len(store) == 10
    prompt = TokenizedPrompt(Prompt(candidates=("a", "b")), (1, 2), ((3,), (4,)))
    best = replace(prompt, prompt=replace(prompt.prompt, best=True))
    assert key_of(prompt, fruit.identity) != key_of(best, fruit.identity)


def test_the_key_of_a_predictor_with_all_scores_is_what_it_was(fruit: Predictor) -> None:
    assert predictor_key(fruit) == predictor_key(replace(fruit, scores="all"))
    assert predictor_key(fruit) != predictor_key(replace(fruit, scores="best"))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"scores": "top"}, "unknown scores 'top'; choose one of: all, best"),
        ({"scores": "best", "threshold": 0.5}, "no probabilities, and a threshold needs them"),
        ({"scores": "best", "rationales": 3}, "a vote of several rationales needs them; say all"),
    ],
)
def test_what_needs_probabilities_is_refused(
    fruit: Predictor, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TaskError, match=reason):
        replace(fruit, **more)


def test_generated_answers_have_no_best_label() -> None:
    task = pk.load_task("examples/word-problems")
    with pytest.raises(TaskError, match="scores best: of labels, and the answers of this task are"):
        pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), scores="best")


def test_a_label_that_a_server_does_not_show_is_a_failure(fruit: Predictor) -> None:
    class Hidden(pk.FakeModel):
        def score(self, prompts: Any) -> Any:
            for index, one in super().score(prompts):
                top = one.logprobs.index(max(one.logprobs))
                yield index, Score(one.logprobs, one.tokens, one.seconds, (top,))

    hidden = replace(fruit, model=Hidden(), scores="best")
    (made,) = hidden.predict(fruit.task.tests[:1])
    assert made.label is None
    assert "the server does not list" in str(made.failure)


def test_a_frozen_predictor_keeps_what_is_scored(fruit: Predictor, tmp_path: Path) -> None:
    best = replace(fruit, scores="best")
    frozen = pk.load_predictor(pk.freeze(best, tmp_path / "a.promptkit"), fruit.model)
    assert frozen.scores == "best"
    (made,) = frozen.predict([frozen.query({"name": "plum"})])
    assert made.probs is None
    assert made.label is not None
    again = pk.load_predictor(pk.freeze(fruit, tmp_path / "b.promptkit"), fruit.model)
    assert again.scores == "all"


def test_rows_of_all_formats_have_no_probabilities(fruit: Predictor, tmp_path: Path) -> None:
    rows = [{"name": "plum"}, {"name": "pear"}]
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        done = pk.predict(replace(fruit, scores="best"), rows, out=tmp_path / name, store=Store())
        assert (done.rows, done.rejects) == (2, 0)
    pk.build_lookup(tmp_path / "a.jsonl", tmp_path / "a.lookup")
    found = pk.Lookup(tmp_path / "a.lookup").find({"name": "plum"})
    assert found is not None
    assert (found.probs, found.margin, found.coverage) == (None, None, None)


def test_a_comparison_takes_a_frozen_one(fruit: Predictor, tmp_path: Path) -> None:
    file = pk.freeze(replace(fruit, scores="best"), tmp_path / "best.promptkit")
    frozen = pk.load_predictor(file, fruit.model)
    found = pk.compare(fruit.task, models=[fruit.model], shots=[2], predictors=[frozen], seeds=[0])
    first, last = found.rows[0], found.rows[-1]
    assert first.accuracy == last.accuracy
