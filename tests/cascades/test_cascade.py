"""Cascades keep the error that they state, and answer as their steps do."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparisons import Timed
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import COLON, Parity, Word, parity_task

import promptkit as pk
from promptkit.cascades.cascade import Cascade
from promptkit.cascades.cascade_file import read_cascade
from promptkit.cascades.cascade_step import CascadeStep, confidence_of
from promptkit.cascades.cascade_table import duration
from promptkit.cascades.cascade_thresholds import StepAnswers, choose, route
from promptkit.cascades.cascading import cascade
from promptkit.errors import DataError, TaskError
from promptkit.inference.any_predictor import AnyPredictor, prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task


def drawn(n: int, rng: np.random.Generator, *levels: float) -> list[StepAnswers]:
    """Return the answers of steps of these levels, which find the same rows hard."""
    hard = rng.normal(size=n)
    steps = []
    for level in levels:
        skill = level + 1.5 * np.abs(rng.normal(size=n)) - 0.8 * hard
        wrong = rng.random(n) > 1 / (1 + np.exp(-skill))
        confidence = 1 / (1 + np.exp(-(1.5 * skill + 0.3 * rng.normal(size=n))))
        steps.append(StepAnswers(np.maximum(confidence, 1 - confidence), wrong))
    return steps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "error", "abstain", "n", "shown"),
    [
        ((0.2, 1.2), 0.2, False, 150, 300),
        ((0.2, 0.6), 0.15, True, 150, 300),
        ((0.0, 0.4, 1.0), 0.15, True, 120, 200),
    ],
)
def test_the_stated_error_is_kept(
    levels: tuple[float, ...], error: float, abstain: bool, n: int, shown: int
) -> None:
    rng = np.random.default_rng(0)
    population = drawn(100_000, np.random.default_rng(1), *levels)
    broken = found = 0
    for number in range(1000):
        chosen = choose(drawn(n, rng, *levels), error, abstain=abstain, seed=number)
        if chosen.thresholds is not None:
            found += 1
            routed = route(population, chosen.thresholds)
            broken += routed.wrong.sum() / routed.answered > error
    assert broken <= 50
    assert found >= shown


@pytest.mark.slow
def test_it_is_kept_where_confidence_says_nothing() -> None:
    """All thresholds have the same error, a little more than the stated one."""
    rng, found = np.random.default_rng(2), 0
    for number in range(1000):
        steps = [StepAnswers(rng.random(90), rng.random(90) < 0.105) for _ in range(2)]
        found += choose(steps, 0.1, abstain=True, seed=number).thresholds is not None
    assert found <= 50


def test_rows_that_are_learnt_from_do_not_test() -> None:
    steps = drawn(300, np.random.default_rng(3), 0.2, 1.2)
    chosen = choose(steps, 0.2)
    assert len(chosen.tested) == 200
    assert chosen.thresholds is not None
    assert route([one.of(chosen.tested) for one in steps], chosen.thresholds).bound <= 0.2


def test_more_rows_let_the_cheap_step_answer_more() -> None:
    shares = []
    for n in (200, 5_000):
        steps = drawn(n, np.random.default_rng(4), 0.4, 1.6)
        chosen = choose(steps, 0.18)
        assert chosen.thresholds is not None
        shares.append((route(steps, chosen.thresholds).step == 0).mean())
    assert shares[0] < shares[1]
    assert shares[1] > 0.5


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.2, 0.5]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_thresholds_are_probabilities(seed: int, steps: int, error: float, abstain: bool) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 80))
    made = [
        StepAnswers(rng.integers(0, 5, n) / 4, rng.random(n) < rng.random()) for _ in range(steps)
    ]
    chosen = choose(made, error, abstain=abstain, seed=seed)
    if chosen.thresholds is not None:
        assert len(chosen.thresholds) == steps
        last = chosen.thresholds[-1]
        assert (last is not None) == abstain
        assert all(one is None or 0 <= one <= 1 for one in chosen.thresholds)


# Predictors.


class Scored:
    """A predictor whose probabilities are given by word; it counts what it is asked."""

    def __init__(self, task: Task[Any, Any], odd: dict[str, float], name: str = "scored") -> None:
        self.task, self.odd = task, odd
        self.usage = Usage()
        self.identity = ModelIdentity(name, str(sorted(odd.items())), "scores", "", "none", 0)
        self.asked: list[str] = []

    def predict(self, queries: Iterable[Example[Any, Any]]) -> list[Prediction]:
        return [*map(self._one, queries)]

    def _one(self, query: Example[Any, Any]) -> Prediction:
        self.asked.append(query.input.word)
        odd = self.odd.get(query.input.word)
        if odd is None:
            return prediction_of(self.task, query, None, model=self.identity.name)
        label = "odd" if odd > 0.5 else "even"
        made = prediction_of(self.task, query, label, model=self.identity.name)
        return replace(made, probs={"even": 1 - odd, "odd": odd}, coverage=1.0, seconds=0.5)

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "scores.json").write_text(json.dumps(self.odd))


def scored(folder: Path, task: Task[Any, Any]) -> AnyPredictor:
    return Scored(task, json.loads((folder / "scores.json").read_text()), folder.name)


def answers(made: Iterable[Prediction]) -> list[Any]:
    return [(one.id, one.label, one.probs, one.correct, one.failure) for one in made]


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_one_step_is_itself_and_thresholds_of_one_send_all_up(
    odd: list[float], unsure: bool
) -> None:
    task = parity_task()
    words = [test.input.word for test in task.tests]
    one = Scored(task, dict(zip(words, odd, strict=True)))
    other = Scored(task, dict.fromkeys(words[unsure:], 0.9), "other")
    alone = Cascade([CascadeStep(one, None)], task)
    assert answers(alone.predict(task.tests)) == answers(one.predict(task.tests))
    both = Cascade([CascadeStep(one, 1.0), CascadeStep(other, None)], task)
    assert answers(both.predict(task.tests)) == answers(other.predict(task.tests))


def test_each_query_is_asked_until_a_step_may_answer_it() -> None:
    task = parity_task(asked=4)
    first = Scored(task, {"t": 0.99, "tt": 0.6, "tttt": 0.2})
    second = Scored(task, {"tt": 0.3, "ttt": 0.55, "tttt": 0.4}, "second")
    made = Cascade([CascadeStep(first, 0.9), CascadeStep(second, 0.6)], task, "both")
    found = made.predict(task.tests)
    assert first.asked == ["t", "tt", "ttt", "tttt"]
    assert second.asked == ["tt", "ttt", "tttt"]
    assert [one.label for one in found] == ["odd", "even", None, None]
    assert [one.abstained for one in found] == [False, False, True, True]
    assert [one.correct for one in found] == [True, True, False, False]
    assert [one.seconds for one in found] == [0.5, 1.0, 0.5, 1.0]
    assert {one.model for one in found} == {"both"}
    assert made.predict([]) == []


def test_confidence() -> None:
    task = parity_task()
    (query,) = task.tests[:1]
    sure = prediction_of(task, query, "odd", model="m")
    assert confidence_of(sure) == 1.0
    assert confidence_of(prediction_of(task, query, None, model="m")) == 0.0
    assert confidence_of(replace(sure, probs={"odd": 0.7, "even": 0.3})) == 0.7
    with pytest.raises(TaskError, match="its answers are lists"):
        confidence_of(replace(sure, label=["odd"]))


def hard_task(n: int = 300) -> tuple[Task[Word, Parity], Scored, Scored]:
    """A task, a cheap predictor that is right where it is confident, and one that is right."""
    rng = np.random.default_rng(5)
    task = parity_task(
        tests=[Example(input=Word(word=f"w{i}"), output=("even", "odd")[i % 2]) for i in range(n)]
    )
    cheap: dict[str, float] = {}
    good: dict[str, float] = {}
    for number, test in enumerate(task.tests):
        gold, odd = number % 2, rng.random()
        right = rng.random() < max(odd, 1 - odd) * 1.05
        cheap[test.input.word] = odd if (odd > 0.5) == (gold == right) else 1 - odd
        good[test.input.word] = abs(gold - (0.05 if rng.random() < 0.97 else 0.8))
    return task, Scored(task, cheap, "cheap"), Scored(task, good, "good")


def test_a_cascade_is_made_shown_and_compared() -> None:
    task, cheap, good = hard_task()
    made = cascade([cheap, good], task, max_error=0.15, store=pk.Store())
    said = made.evidence
    assert said is not None
    assert (said.learnt, said.rows, said.answered) == (100, 200, 200)
    assert said.steps[0].asked == 200
    assert said.steps[1].asked == said.steps[1].answered == 200 - said.steps[0].answered
    assert 50 < said.steps[0].answered < 200
    assert said.bound <= 0.15
    assert said.seconds == pytest.approx(0.5 + 0.5 * said.steps[1].asked / 200)
    shown = str(made)
    assert "cheap" in shown
    assert "Keeps an error of at most 15 % (95 % confidence)" in shown
    assert "good alone" in shown
    result = pk.compare(
        task,
        models=[pk.FakeModel()],
        templates=[COLON],
        shots=[0],
        seeds=1,
        predictors=[made],
        store=pk.Store(),
    )
    (row,) = [row for row in result.rows if row.model == "cascade" and row.seed is None]
    assert row.accuracy is not None
    assert row.accuracy > 0.8


def test_what_cannot_be_shown_is_said() -> None:
    task, cheap, good = hard_task()
    with pytest.raises(TaskError, match=r"cheap alone is wrong in .* allow a larger error"):
        cascade([good, cheap], task, max_error=0.01, store=pk.Store())
    with pytest.raises(TaskError, match="give about"):
        cascade([cheap, good], task, max_error=0.1, rows=task.tests[:20], store=pk.Store())
    with pytest.raises(TaskError, match="is in the task's pool"):
        cascade([cheap, good], task, rows=task.demos, store=pk.Store())
    with pytest.raises(TaskError, match="rows with a label"):
        cascade([cheap], task, rows=[Example(input=Word(word="x"))], store=pk.Store())
    with pytest.raises(TaskError, match="no tests"):
        cascade([cheap], parity_task(tests=[]), store=pk.Store())
    with pytest.raises(TaskError, match="needs a predictor"):
        cascade([], task)


# Files.


def test_answers_without_probabilities_go_nowhere() -> None:
    task = pk.load_task("examples/remarks")
    bare, whole = (
        pk.Predictor(task, pk.Template.of(task), pk.FakeModel(name=scores), scores=scores)
        for scores in ("best", "all")
    )
    with pytest.raises(TaskError, match="best, 0 shots: scores 'best' has no probabilities"):
        cascade([bare, whole], task, max_error=0.9, store=pk.Store())
    assert cascade([whole, bare], task, max_error=0.9, store=pk.Store()).steps


def test_a_file_answers_as_what_was_saved(tmp_path: Path) -> None:
    task = parity_task()
    first = Scored(task, {"t": 0.99, "tt": 0.6, "tttt": 0.2}, "first")
    last = pk.Predictor(task, COLON, pk.FakeModel(), 2)
    made = Cascade([CascadeStep(first, 0.9), CascadeStep(last, None)], task)
    file = made.save(tmp_path / "both.cascade")
    loads: list[str] = []

    def load(path: Path, task: Task[Any, Any]) -> AnyPredictor:
        loads.append(path.name)
        if path.suffix == ".promptkit":
            return pk.load_predictor(path, model=pk.FakeModel())
        return scored(path, task)

    again = read_cascade(file, load)
    assert (again.name, again.identity.sha256) == ("both", made.identity.sha256)
    assert again.task.types()[1] == task.types()[1] or again.task.labels == task.labels
    (sure,) = again.predict([again.query({"word": "t"})])
    assert (sure.label, loads) == ("odd", ["first"])  # the model is not loaded before it is needed
    assert answers(again.predict(task.tests)) == answers(made.predict(task.tests))
    assert loads == ["first", "fake.promptkit"]
    twice = again.save(tmp_path / "twice.cascade")
    copy = read_cascade(twice, load)
    assert answers(copy.predict(task.tests)) == answers(made.predict(task.tests))
    assert copy.identity.key == again.identity.key


def test_a_model_that_steps_share_is_counted_once(tmp_path: Path) -> None:
    task, model = parity_task(), Timed()
    first, last = (pk.Predictor(task, COLON, model, shots) for shots in (0, 4))
    cheap = Scored(task, {"t": 0.9})
    made = Cascade([CascadeStep(one, 0.9) for one in (cheap, first, last)], task)
    assert made.profile.parameters is None  # nothing is known of the first one
    made = Cascade([CascadeStep(first, 0.9), CascadeStep(last, None)], task)
    assert (made.profile.parameters, made.profile.bytes, made.profile.labels) == (1000, 4000, 4)
    file = made.save(tmp_path / "both.cascade")
    again = read_cascade(file, lambda path, _: pk.load_predictor(path, model=model))
    assert again.profile == made.profile


def test_changed_files_are_refused(tmp_path: Path) -> None:
    task = parity_task()
    made = Cascade([CascadeStep(Scored(task, {"t": 0.9}), None)], task)
    file = made.save(tmp_path / "one.cascade")
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert {"cascade.json", "task/task.toml", "steps/0/scored/scores.json"} <= {*parts}
    for name in parts:
        with zipfile.ZipFile(file, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content.replace(b"0.9", b"0.8") + b" " * (part == name))
        if name != "cascade.json":  # a space more changes nothing there
            with pytest.raises(DataError, match="was changed"):
                read_cascade(file, scored)
    file.write_bytes(b"PK")
    with pytest.raises(DataError, match="no cascade, or a damaged one"):
        read_cascade(file, scored)
    with pytest.raises(TaskError, match="is named like"):
        made.save(tmp_path / "one.zip")


def test_durations() -> None:
    assert [*map(duration, (0.0, 4.1e-5, 0.0031, 0.25, 12))] == [
        "0 µs",
        "41 µs",
        "3.1 ms",
        "0.25 s",
        "12 s",
    ]
