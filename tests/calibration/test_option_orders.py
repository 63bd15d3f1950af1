"""Averages over cyclic orders of each query's options, which take out what places are worth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run
from hypothesis import given
from hypothesis import strategies as st

from promptkit import Comparison, FakeModel, Predictor, Store, Template, check, compare, load_task
from promptkit.calibration.methods import orders
from promptkit.calibration.option_orders import shifts
from promptkit.errors import TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.models.base import Score
from promptkit.models.llama import LlamaModel
from promptkit.prompts.prompt import TokenizedPrompt

QUIZ = load_task("examples/quiz")
ROOT = Path(__file__).parents[2]
PLACES = [1.0, 9.0, 0.2, 3.0, 5.0]
"""What the model multiplies the chance of an option by in each place."""


class Biased(FakeModel):
    """A model that knows some options to be better than others, and likes some places more."""

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, prompt in enumerate(prompts):
            text, said = prompt.prompt.text, [c.strip() for c in prompt.prompt.candidates or ()]
            if "Answer with one of: " in text:
                shown = text.rpartition("one of: ")[2].partition(".\n")[0].split(", ")
            else:
                shown = re.findall(r"^[A-E]\. (.+)$", text, re.MULTILINE)[-len(said) :]
                said = [shown["ABCDE".index(letter)] for letter in said]
            weights = [PLACES[shown.index(option)] * worth(option) for option in said]
            logprobs = tuple(math.log(0.5 * weight / sum(weights)) for weight in weights)
            yield index, Score(logprobs, len(prompt.ids), 0.0)


def worth(option: str) -> float:
    return 1.0 + sha256(option.encode()).digest()[0] % 9


def content(options: Sequence[str]) -> list[float]:
    every = [*map(worth, options)]
    return [one / sum(every) for one in every]


def compared(count: int, template: str = "letters.j2", **how: Any) -> Comparison:
    chosen: dict[str, Any] = {"shots": [0, 2], "seeds": 2, "store": Store()}
    return compare(
        QUIZ, models=[Biased()], templates=[template], option_orders=count, **chosen | how
    )


@pytest.fixture(scope="module")
def result() -> Comparison:
    return compared(5)


@pytest.mark.parametrize(
    "template", ["letters.j2", "letters-reversed.j2", "instruction-last-labels.j2"]
)
def test_all_orders_take_out_what_places_are_worth(template: str) -> None:
    raw = 0.0
    for one in compared(5, template).predictions:
        probs = [*(one.probs or {}).values()]
        expected = content([*one.input["choices"]])
        raw = max(raw, float(np.abs(np.array(probs) - expected).max()))
        assert [*one.calibrated["orders=5"]] == one.input["choices"]
        assert [*one.calibrated["orders=5"].values()] == pytest.approx(expected, rel=1e-9)
    assert raw > 0.5


def test_fewer_orders_take_out_a_part() -> None:
    def distance(count: int) -> float:
        found = compared(count, shots=[0], seeds=1).predictions
        return sum(
            float(np.abs(np.subtract([*p.values()], content([*p]))).sum())
            for one in found
            for p in [one.calibrated[f"orders={count}"] if count > 1 else one.probs or {}]
        )

    assert distance(1) > distance(2) > distance(5) == pytest.approx(0, abs=1e-9)


def test_the_average_is_that_of_a_loop_over_prompts(result: Comparison) -> None:
    """Ask for each order of the options by itself, with the same shots."""
    cell = [one for one in result.predictions if one.shots == 2 and one.seed == 1][:4]
    predictor = Predictor(QUIZ, Template.of(QUIZ, "letters.j2"), Biased())
    renderer = predictor.template.renderer(QUIZ)
    for one in cell:
        query = QUIZ.tests.by_id(one.id)
        assert query is not None
        shots = [demo for id in one.shot_ids if (demo := QUIZ.demos.by_id(id)) is not None]
        options, logs = [*query.input.choices], dict.fromkeys(query.input.choices, 0.0)
        for by in range(len(options)):
            choices = options[by:] + options[:by]
            asked = QUIZ.as_query({"question": query.input.question, "choices": choices})
            request = predictor.model.tokenize([renderer.render(asked, shots)])
            ((_, score),) = predictor.model.score(request)
            for option, logprob in zip(choices, score.logprobs, strict=True):
                logs[option] += logprob / len(options)
        total = sum(map(math.exp, logs.values()))
        for option, log in logs.items():
            assert one.calibrated["orders=5"][option] == pytest.approx(math.exp(log) / total)


def test_the_gain_and_the_cost_stand_beside_the_raw_figures(result: Comparison) -> None:
    rows = {(r.calibration, r.shots): r for r in result.rows if r.seed is None}
    assert {name for name, _ in rows} == {"none", "orders=5"}
    pairs = [p for p in result.pairs if p.a.calibration != p.b.calibration]
    assert {(p.a.calibration, p.b.calibration) for p in pairs} == {("none", "orders=5")}
    for pair in pairs:
        gain = rows["orders=5", pair.b.shots].accuracy - rows["none", pair.b.shots].accuracy
        assert pair.delta == pytest.approx(gain)
        assert pair.ci is not None
        assert pair.ci[0] <= pair.delta <= pair.ci[1]
    further = sum(len(QUIZ.answers_of(test)) - 1 for test in QUIZ.tests)
    for note in result.calibrations:
        assert (note.inputs, note.prompts) == (44, further)
        assert 0 < note.tokens < further * 200
    text = " ".join(str(result).split())
    assert "orders=5: from 44 tests of the cell, with their options in 5 orders" in text
    assert f"(probes per cell: {further}, " in text
    assert result.usage.prompts == 3 * (44 + further)  # without shots once for both seeds


def test_a_run_is_saved_and_read(result: Comparison, tmp_path: Path) -> None:
    saved = read_run(result.save(tmp_path))
    assert [one.calibrated for one in saved.predictions] == [
        one.calibrated for one in result.predictions
    ]
    assert "orders=5" in (tmp_path / "report.html").read_text("utf-8")


def test_templates_that_list_no_options_are_left_out() -> None:
    said: list[str] = []
    made = compare(
        QUIZ,
        models=[Biased()],
        templates=["letters.j2", "letters-shuffled.j2"],
        option_orders=2,
        shots=[0],
        store=Store(),
        announce=said.append,
    )
    averaged = {row.template for row in made.rows if row.calibration == "orders=2"}
    assert averaged == {"letters.j2"}
    (reason,) = [one for one in said if "left out" in one]
    assert reason.startswith(
        "orders=2 left out: the prompts of letters-shuffled.j2 do not depend on the order"
    )
    assert any(reason[9:] in one for one in made.warnings)
    with pytest.raises(TaskError, match=r"the prompts of lines\.j2 do not depend on the order"):
        compare(QUIZ, models=[FakeModel()], templates=["lines.j2"], option_orders=2, store=Store())


def test_counts_and_tasks_are_checked_before_a_model_runs() -> None:
    fruit = load_task("examples/fruit")
    for task, count, reason in (
        (fruit, 2, "the queries of 'fruit' have no options of their own"),
        (QUIZ, 0, "option_orders is 0; it is a whole number, 1 or more"),
    ):
        with pytest.raises(TaskError, match=reason):
            compare(task, models=[FakeModel()], option_orders=count, store=Store())
    made = compare(fruit, models=[FakeModel()], option_orders=1, shots=[0], limit=3, store=Store())
    assert {row.calibration for row in made.rows} == {"none"}


def test_prompts_that_drop_shots_keep_theirs_in_every_order() -> None:
    model = Biased(context=700)
    made = compare(
        QUIZ,
        models=[model],
        option_orders=5,
        shots=[8],
        seeds=1,
        limit=6,
        fit="drop-shots",
        store=Store(),
    )
    assert max(len(one.shot_ids) for one in made.predictions) < 8
    for one in made.predictions:
        expected = content([*one.input["choices"]])
        assert [*one.calibrated["orders=5"].values()] == pytest.approx(expected)


def test_gates_look_at_the_average() -> None:
    how: dict[str, Any] = {"models": [Biased()], "templates": ["letters.j2"], "seeds": 1}
    checked = check(QUIZ, max={"log_loss": 9.0}, shots=[0], option_orders=5, store=Store(), **how)
    assert [gate.cell.calibration for gate in checked.gates] == ["orders=5"]


def test_gates_look_at_raw_answers_where_nothing_is_averaged() -> None:
    how: dict[str, Any] = {"templates": ["letters.j2", "lines.j2"], "seeds": 1, "shots": [0]}
    checked = check(
        QUIZ, max={"log_loss": 9.0}, models=[FakeModel()], option_orders=2, store=Store(), **how
    )
    cells = {(gate.cell.template, gate.cell.calibration) for gate in checked.gates}
    assert cells == {("letters.j2", "orders=2"), ("lines.j2", "none")}


def test_the_commands_take_the_number(run: Run) -> None:
    for words in (["compare"], ["check", "--max", "log_loss=9"]):
        done = run(*words, ROOT / "examples/fruit", "--option-orders", 4)
        assert done.code == 2
        assert "have no options of their own" in done.err


@given(st.integers(2, 12), st.integers(2, 15))
def test_orders_are_distinct_and_evenly_spaced(options: int, count: int) -> None:
    found = [0, *shifts(options, count)]
    assert len({*found}) == len(found) == min(options, count)
    gaps = np.diff([*found, options])
    assert max(gaps) - min(gaps) <= 1


@given(
    st.lists(st.tuples(st.floats(-20, 0), st.floats(-20, 0)), min_size=2, max_size=6),
    st.floats(-5, 5),
)
def test_what_places_multiply_chances_by_cancels(
    pairs: list[tuple[float, float]], less: float
) -> None:
    worths, places = map(np.array, zip(*pairs, strict=True))
    rows = [worths + np.roll(places, by) + less * by for by in range(len(worths))]
    found = orders([rows[0]], rows[1:])
    assert np.exp(found).sum() == pytest.approx(1)
    assert found[0] == pytest.approx(worths - np.logaddexp.reduce(worths))


def test_no_single_order_decides() -> None:
    low = math.log(0.1)
    found = orders([[-np.inf, 0.0, -np.inf]], [[math.log(0.9), low, -np.inf]])
    assert found[0, 2] == -np.inf  # padding, or no chance in any order
    assert np.isfinite(found[0, :2]).all()


@pytest.mark.model
def test_a_model_is_asked_in_every_order(smollm2: LlamaModel, tmp_path: Path) -> None:
    made = compare(
        QUIZ,
        models=[smollm2],
        templates=["letters.j2"],
        option_orders=5,
        shots=[0, 2],
        seeds=1,
        limit=16,
        store=Store(),
    )
    losses = {(r.calibration, r.shots): r.log_loss or 0.0 for r in made.rows if r.seed is None}
    assert losses["orders=5", 0] < losses["none", 0] - 0.3  # the model likes one letter
    data = json.loads((made.save(tmp_path) / "comparison.json").read_text("utf-8"))
    (tokens,) = {note["tokens"] for note in data["calibrations"]}
    own = next(r["tokens"] for r in data["rows"] if r["shots"] == 2 and r["seed"] is None)
    assert tokens < own  # the shots are not decoded again
