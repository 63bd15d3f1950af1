from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import ARROW, COLON, Parity, Word, asked_word, open_task, parity, parity_task

from promptkit import Example, FakeModel, Prompt, Store, Task, check, compare
from promptkit.errors import DataError, PromptkitError, TaskError
from promptkit.evaluation.intervals import paired_difference, wilson
from promptkit.evaluation.matched import chosen_for
from promptkit.evaluation.mean_intervals import mean_difference, mean_interval
from promptkit.evaluation.metric import measured
from promptkit.evaluation.outcomes import LabelScores, Numbers, Outcomes, outcomes
from promptkit.evaluation.power import SampleSize, detectable
from promptkit.experiments.saved_runs import read_run
from promptkit.gates.check import Checked
from promptkit.gates.gate import Bound, Gate, Reference, bounded, no_worse
from promptkit.inference.cell import RAW, Cell

CELL = Cell(model="m", template="colon", selection="balanced", shots=4)


def cell_of(correct: Any, losses: Any = None, first: int = 0) -> Outcomes:
    table = np.asarray(correct)
    table = table if table.ndim == 2 else table[:, np.newaxis]
    queries = {f"q{first + i}": ({"word": "x"}, "even") for i in range(len(table))}
    return Outcomes(CELL, table, None if losses is None else scores(losses), queries=queries)


def scores(losses: np.ndarray) -> LabelScores:
    """Two labels, of which the first is the gold one and has these losses."""
    with np.errstate(divide="ignore"):
        logprobs = np.stack([-losses, np.log1p(-np.exp(-losses))], axis=2)
    gold = np.zeros(len(losses), dtype=int)
    return LabelScores(("even", "odd"), logprobs, gold, logprobs.argmax(axis=2))


def knows(share: int, name: str = "fake") -> FakeModel:
    """Right about words whose length modulo ten is below `share`."""

    def answer(prompt: Prompt) -> str:
        word = asked_word(prompt)
        right = parity(word)
        return right if len(word) % 10 < share else "odd" if right == "even" else "even"

    return FakeModel(answer, name=name)


def checked(share: int, **changed: Any) -> Checked:
    arguments: dict[str, Any] = {"models": [knows(share)], "templates": [COLON], "shots": [4]}
    arguments |= {"seeds": 2, "store": Store(), **changed}
    return check(arguments.pop("task", None) or parity_task(asked=60), **arguments)


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """A saved run in which six in ten answers are right."""
    return compare(
        parity_task(asked=60),
        models=[knows(6)],
        templates=[COLON],
        shots=[0, 4],
        seeds=2,
        store=Store(),
    ).save(tmp_path / "last")


# Bounds.


@pytest.mark.parametrize(
    ("right", "strict", "passed", "verdict"),
    [
        (10, False, False, ": significantly below 50 %"),
        (26, False, True, ": below 50 %, but not significantly"),
        (30, False, True, ""),
        (10, True, False, ": significantly below 50 %"),
        (26, True, False, ": may be below 50 %"),
        (32, True, False, ": may be below 50 %"),
        (45, True, True, ""),
    ],
)
def test_the_interval_decides(right: int, strict: bool, passed: bool, verdict: str) -> None:
    found = cell_of([1] * right + [0] * (60 - right))
    gate = bounded(Bound("min", "accuracy", 0.5), found, strict=strict)
    interval = wilson(found.correct)
    low, high = interval.low, interval.high
    assert gate.passed == passed
    assert gate.reason == (
        f"{100 * right / 60:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of 60 queries{verdict}"
    )
    assert (gate.name, gate.estimate, gate.ci) == (
        "accuracy at least 50 %",
        right / 60,
        (low, high),
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40),
    st.floats(0, 1),
    st.sampled_from(["min", "max"]),
)
def test_what_strict_passes_is_sure_and_what_fails_is_too(
    correct: list[int], value: float, kind: Any
) -> None:
    found = cell_of(correct)
    lenient = bounded(Bound(kind, "accuracy", value), found)
    strict = bounded(Bound(kind, "accuracy", value), found, strict=True)
    share = sum(correct) / len(correct)
    keeps = share >= value if kind == "min" else share <= value
    assert lenient.passed >= keeps >= strict.passed
    low, high = wilson(correct).low, wilson(correct).high
    assert lenient.passed == (high >= value if kind == "min" else low <= value)
    assert strict.passed == (low >= value if kind == "min" else high <= value)


def test_log_loss_has_the_interval_of_a_mean() -> None:
    losses = np.random.default_rng(1).exponential(1, (50, 2))
    gate = bounded(Bound("max", "log_loss", 0.5), cell_of(np.ones((50, 2), int), losses))
    interval = mean_interval(losses)
    assert gate.ci == (interval.low, interval.high)
    assert not gate.passed
    assert "of 50 queries and 2 seeds: significantly above 0.5" in gate.reason
    losses[3] = math.inf
    gate = bounded(Bound("max", "log_loss", 9), cell_of(np.ones((50, 2), int), losses))
    assert not gate.passed
    assert gate.reason.startswith("inf [inf, inf]")


# No worse than another run.


def test_the_difference_is_paired_over_common_queries() -> None:
    before = cell_of([1] * 40)
    now = cell_of([1] * 15 + [0] * 15, first=10)
    gate = no_worse(now, Reference(before, "last"))
    found = paired_difference([1] * 30, [1] * 15 + [0] * 15)
    assert (gate.estimate, gate.ci) == (-0.5, (found.ci.low, found.ci.high))
    assert not gate.passed
    assert gate.queries == 30
    assert gate.broke == tuple(f"q{i}" for i in range(25, 40))
    assert "over 30 common queries (30 now, 40 then): significantly worse" in gate.reason
    assert gate.reason.endswith("; broke q25, q26, q27, q28, q29 and 10 more")


def test_what_broke_most_stands_first_and_what_mended_is_told() -> None:
    before = cell_of([[1, 1, 1], [1, 1, 1], [0, 0, 0], [1, 1, 0]] + [[1, 1, 1]] * 30)
    now = cell_of([[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 1, 0]] + [[1, 1, 1]] * 30)
    gate = no_worse(now, Reference(before, "last"))
    assert (gate.broke, gate.mended) == (("q1", "q0"), ("q2",))
    assert gate.passed
    found = detectable(34, SampleSize((4 / 9 + 1 + 1 / 9) / 34))
    assert gate.unseen == found
    assert gate.reason.endswith(
        ": worse, but not significantly; broke q1, q0; mended q2; losses below about 22 points "
        "mostly pass"
    )


def test_ids_cannot_write_lines_of_their_own() -> None:
    queries = {"a\n  pass  all\x1b[2J": ({"word": "x"}, "even"), "b" * 99: ({"word": "y"}, "odd")}
    before, now = (Outcomes(CELL, np.full((2, 1), n), queries=queries) for n in (1, 0))
    gate = no_worse(now, Reference(before, "last"))
    assert f"; broke a⏎  pass  all·[2J, {'b' * 39}…; so few queries can show no loss" in gate.reason
    assert gate.broke == tuple(queries)


def test_a_margin_is_what_may_be_lost() -> None:
    before, now = cell_of([1] * 200), cell_of([1] * 190 + [0] * 10)
    assert not no_worse(now, Reference(before, "last")).passed
    assert no_worse(now, Reference(before, "last"), margin=0.05).passed
    assert not no_worse(now, Reference(before, "last"), margin=0.05, strict=True).passed
    gate = no_worse(now, Reference(before, "last"), margin=0.1, strict=True)
    assert gate.passed
    assert gate.name == "not worse than last by more than 10 points"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_no_run_is_worse_than_itself_or_than_a_worse_one(pairs: list[tuple[bool, bool]]) -> None:
    one, other = (cell_of([int(pair[side]) for pair in pairs]) for side in (0, 1))
    assert no_worse(one, Reference(one, "itself")).passed
    gates = no_worse(one, Reference(other, "o")), no_worse(other, Reference(one, "o"))
    assert any(gate.passed for gate in gates)
    assert gates[0].broke == gates[1].mended or set(gates[0].broke) == set(gates[1].mended)


@pytest.mark.slow
def test_a_gate_that_is_no_worse_in_truth_fails_in_one_run_of_forty_at_the_most() -> None:
    random = np.random.default_rng(11)
    failed = 0
    for _ in range(200):
        chance = random.beta(2, 2, size=(51, 1))  # both answer alike what is easy or hard
        now, before = (cell_of((random.random((51, 3)) < chance).astype(int)) for _ in range(2))
        failed += not no_worse(now, Reference(before, "last")).passed
    assert failed / 200 <= 0.03


# The whole check.


def test_a_check_prints_a_line_per_gate() -> None:
    found = checked(6, min={"accuracy": 0.5, "coverage": 0.9}, max={"log_loss": 1.2})
    lines = str(found).splitlines()
    assert found.passed
    assert lines[0] == "parity · fake · colon · balanced shots · 4 shots"
    assert [line.split(":")[0] for line in lines[1:4]] == [
        "  pass  accuracy at least 50 %",
        "  pass  coverage at least 90 %",
        "  pass  log loss at most 1.2",
    ]
    assert lines[4] == "Brackets are 98.33 % intervals."
    assert "FAIL  accuracy at least 90 %: 60.0 % [" in str(checked(6, min={"accuracy": 0.9}))


def test_several_gates_share_the_chance_of_a_false_alarm() -> None:
    one = checked(6, min={"accuracy": 0.5})
    six = checked(6, min={"accuracy": 0.5, "coverage": 0.5}, shots=[0, 2, 4])
    assert [gate.level for gate in (*one.gates, *six.gates)] == [0.95] + [1 - 0.05 / 6] * 6
    assert {gate.level for gate in checked(6, min={"accuracy": 0.5}, strict=True).gates} == {0.95}


def test_every_cell_has_to_pass() -> None:
    models = [knows(9, "good"), knows(1, "bad")]
    found = checked(6, models=models, min={"accuracy": 0.5})
    assert [(gate.cell.model, gate.passed) for gate in found.gates] == [
        ("good", True),
        ("bad", False),
    ]
    assert not found.passed


@pytest.mark.slow
def test_against_a_saved_run(last: Path) -> None:
    assert checked(6, no_worse_than=last).passed
    worse = checked(2, no_worse_than=last)
    (gate,) = worse.gates
    assert gate.estimate == pytest.approx(-0.4)
    assert f"FAIL  not worse than {last}: -40.0 points [" in str(worse)
    run = read_run(last)
    assert checked(2, no_worse_than=run).gates == worse.gates
    assert checked(2, no_worse_than=last, limit=7).gates[0].queries == 7


@pytest.mark.slow
def test_unasked_it_checks_the_most_shots_of_the_other_run(last: Path) -> None:
    assert checked(6, no_worse_than=last, shots=None).gates[0].cell.shots == 4
    assert checked(6, min={"accuracy": 0.1}, shots=None).gates[0].cell.shots == 8


@pytest.mark.slow
def test_what_was_changed_may_be_the_template_or_the_model(last: Path) -> None:
    found = checked(2, no_worse_than=last, templates=[ARROW])
    assert ": significantly worse (then template colon); broke " in str(found)
    assert "(then model fake)" in str(checked(2, no_worse_than=last, models=[knows(2, "new")]))


def test_generated_answers_are_checked_too(tmp_path: Path) -> None:
    task = open_task(int, *range(40))
    arguments: dict[str, Any] = {"templates": [COLON], "seeds": 1, "store": Store(), "shots": [0]}
    good = FakeModel(lambda prompt: asked_word(prompt)[1:])
    bad = FakeModel(lambda prompt: "7", name="bad")
    folder = compare(task, models=[good], **arguments).save(tmp_path / "r")
    assert check(task, models=[good], no_worse_than=folder, **arguments).passed
    found = check(task, models=[bad], no_worse_than=folder, min={"accuracy": 0.3}, **arguments)
    assert [gate.passed for gate in found.gates] == [False, False]
    with pytest.raises(TaskError, match="metric 'log_loss': these answers have no such metric"):
        check(task, models=[good], max={"log_loss": 1}, **arguments)


@pytest.mark.slow
def test_as_json(last: Path) -> None:
    found = checked(2, no_worse_than=last, min={"accuracy": 0.5})
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (data["task"]["name"], data["passed"]) == ("parity", False)
    first, second = data["gates"]
    assert first["cell"]["shots"] == 4
    assert (first["metric"], first["bound"], first["passed"]) == ("accuracy", 0.5, False)
    assert len(second["broke"]) == 24
    assert second["ci"][1] < 0


# What is wrong.


def refused(reason: str, **changed: Any) -> None:
    asked: list[Prompt] = []

    def listen(prompt: Prompt) -> str:
        asked.append(prompt)
        return "even"

    with pytest.raises(PromptkitError, match=reason):
        checked(6, models=[FakeModel(listen)], **changed)
    assert asked == []


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("nothing to check", {}),
        ("metric 'mae': .* accuracy, macro_f1, log_loss", {"max": {"mae": 0.5}}),
        ("min mcc: -2 is not a number from -1 to 1", {"min": {"mcc": -2}}),
        ("max brier: 3 is not a number from 0 to 2", {"max": {"brier": 3}}),
        ("min accuracy: 50 is not a share from 0 to 1", {"min": {"accuracy": 50}}),
        ("max log_loss: -1 is not a number of nats", {"max": {"log_loss": -1}}),
        ("min accuracy: nan is not a number", {"min": {"accuracy": math.nan}}),
        ("min accuracy: 'x' is not a number", {"min": {"accuracy": "x"}}),
        ("margin: .* not given", {"min": {"accuracy": 0.5}, "margin": 0.1}),
        ("margin -1: .* 0.02 is two points", {"no_worse_than": ".", "margin": -1}),
        ("strict: no number of queries", {"no_worse_than": ".", "strict": True}),
        ("nowhere/comparison.json: No such file", {"no_worse_than": "nowhere"}),
    ],
)
def test_what_is_wrong_is_said_before_a_model_runs(reason: str, arguments: Any) -> None:
    refused(reason, **arguments)


def renamed(task: Any, **changed: Any) -> Any:
    first, *rest = task.tests
    new = Example(**{"input": first.input, "output": first.output, "id": first.id, **changed})
    return type(task)(
        name="parity", instruction=task.instruction, demos=task.demos, tests=[new, *rest]
    )


@pytest.mark.slow
def test_queries_that_changed_are_named_before_a_model_runs(last: Path) -> None:
    task = parity_task(asked=60)
    word = type(task.tests[0].input)(word="ttttttttttttttttttttttttttttt!")
    id = task.tests[0].id
    changed = renamed(task, input=word)
    refused(
        f"example '{id}', value .*!.*the input is another than in", task=changed, no_worse_than=last
    )
    changed = renamed(task, output="even")
    refused("the gold output is another than in .*, 'odd'", task=changed, no_worse_than=last)
    others = parity_task(
        tests=[Example(input=type(word)(word="z" * n), output="odd") for n in (1, 3)]
    )
    refused("none of the queries stands in .*last, which asked 't", task=others, no_worse_than=last)


@pytest.mark.slow
def test_cells_that_the_other_run_lacks_are_named(last: Path) -> None:
    with pytest.raises(
        DataError, match="last has no fake · colon · balanced shots · 2 shots; it has"
    ) as e:
        checked(6, no_worse_than=last, shots=[2, 4])
    assert (
        "fake · colon · balanced shots · 0 shots; fake · colon · balanced shots · 4 shots"
        in str(e.value)
    )
    with pytest.raises(DataError, match="last has no fake · arrow"):
        checked(6, no_worse_than=last, templates=[COLON, ARROW])


@pytest.mark.slow
def test_seeds_that_were_asked_different_queries_are_named(last: Path) -> None:
    run = read_run(last)
    id = run.predictions[-1].id
    with pytest.raises(
        DataError, match=rf"{id}.*asked with seeds \[0\] in fake .*, and others with \[0, 1\]"
    ):
        outcomes(run.predictions[:-1], {})


def test_calibrated_answers_have_cells_of_their_own(last: Path) -> None:
    predictions = [
        replace(p, calibrated={"batch": {"even": 0.25, "odd": 0.75}})
        for p in read_run(last).predictions
        if p.shots == 4
    ]
    raw, batch = outcomes(predictions, {"even": "even", "odd": "odd"}).values()
    assert (raw.cell.calibration, batch.cell.calibration) == (RAW, "batch")
    golds = np.array([[gold == "odd"] * 2 for _, gold in batch.queries.values()])
    assert (batch.correct == golds).all()
    assert batch.log_losses == pytest.approx(np.where(golds, -math.log(0.75), -math.log(0.25)))


def test_a_gate_is_a_value() -> None:
    gate: Gate = checked(6, min={"accuracy": 0.5}).gates[0]
    assert gate == checked(6, min={"accuracy": 0.5}).gates[0]


# What changed since the other run.


def grown(task: Any, *words: str) -> Any:
    """The task with more demonstrations, the pool's order turned round."""
    new = [Example(input=Word(word=word), output=parity(word)) for word in words]
    demos = [*task.demos, *new][::-1]
    return task.model_copy(update={"demos": type(task.demos)(tuple(demos))})


@pytest.mark.slow
def test_an_unchanged_pool_is_not_spoken_of(last: Path) -> None:
    found = checked(6, no_worse_than=last)
    assert found.moves is not None
    assert (found.moves.added, found.moves.removed, found.moves.changed) == ((), (), ())
    assert (found.moves.draws, found.moves.moved) == (2, 0)
    assert "The pool" not in str(found)
    assert found.to_dict()["moves"]["draws"] == 2
    assert checked(6, min={"accuracy": 0.1}).to_dict()["moves"] is None


@pytest.mark.slow
def test_changes_of_the_pool_and_the_draws_are_named(last: Path) -> None:
    task = grown(parity_task(asked=60), "medlar", "quince", "fig", "sloe")
    found = checked(6, task=task, no_worse_than=last, seeds=2)
    assert found.moves is not None
    assert len(found.moves.added or ()) == 4
    assert (found.moves.removed, found.moves.changed) == ((), ())
    assert f"The pool changed since {last}: 4 demonstrations added ('sloe-" in str(found)
    assert f"; {found.moves.moved} of 2 draws have other shots." in str(found)
    assert found.moves.moved > 0

    relabelled = task.demos[-1].model_copy(update={"output": "even"})
    demos = (*task.demos[4:-1], relabelled)
    task = task.model_copy(update={"demos": type(task.demos)(demos)})
    found = checked(6, task=task, no_worse_than=last, shots=[4], selections=["first"])
    assert found.moves is not None
    assert (found.moves.added, found.moves.removed) == ((), ())
    assert found.moves.changed == (relabelled.id,)
    assert f"1 demonstration changed ({relabelled.id!r})" in str(found)


@pytest.mark.slow
def test_a_relabelled_shot_is_another_shot(last: Path) -> None:
    task = parity_task(asked=60)
    shown = {id for p in read_run(last).predictions for id in p.shot_ids}
    demos = [
        demo.model_copy(update={"output": "odd" if demo.output == "even" else "even"})
        if demo.id in shown
        else demo
        for demo in task.demos
    ]
    changed = task.model_copy(update={"demos": type(task.demos)(tuple(demos))})
    found = checked(6, task=changed, no_worse_than=last)
    assert found.moves is not None
    assert found.moves.moved == 2


@pytest.mark.slow
def test_a_run_that_says_nothing_of_its_pool_names_draws(last: Path) -> None:
    file = last / "comparison.json"
    data = json.loads(file.read_text("utf-8"))
    del data["pool"]
    file.write_text(json.dumps(data), "utf-8")
    assert "hich pool" not in str(checked(6, no_worse_than=last))
    task = grown(parity_task(asked=60), *("medlar" * n for n in range(2, 30)))
    found = checked(6, task=task, no_worse_than=last)
    assert found.moves is not None
    assert found.moves.added is None
    assert f"Which pool {last} had is not saved; 2 of 2 draws have other shots." in str(found)


@pytest.mark.slow
def test_the_best_of_many_is_not_held_to_its_luck() -> None:
    """Twenty equal cells, of which the best is saved: later runs of another one are no worse."""
    rng = np.random.default_rng(3)
    failed, blamed = 0, 0
    for _ in range(60):
        ease = rng.normal(0, 1, (100, 1))
        cells = [ease + rng.normal(0, 1, (100, 3)) > 0 for _ in range(21)]
        saved = [
            replace(cell_of(right.astype(int)), cell=CELL.at(template=str(number)))
            for number, right in enumerate(cells[:20])
        ]
        best = max(saved, key=lambda one: float(one.correct.mean()))
        count, bias = chosen_for(saved, best, list(best.queries))
        now = cell_of(cells[20].astype(int))
        assert count == 20
        failed += not no_worse(now, Reference(best, "last", cells=count, bias=bias)).passed
        blamed += not no_worse(now, Reference(best, "last")).passed
    assert failed <= 4 < blamed


def test_only_the_best_cell_is_flattered() -> None:
    right = np.random.default_rng(3).random((60, 1)) < 0.6
    cells = [cell_of(right.astype(int)), cell_of(np.zeros((60, 1), dtype=int))]
    cells[1] = replace(cells[1], cell=CELL.at(template="other"))
    assert chosen_for(cells, cells[1], list(cells[1].queries)) == (1, 0.0)
    assert chosen_for(cells[:1], cells[0], list(cells[0].queries)) == (1, 0.0)
    assert chosen_for(cells, cells[0], list(cells[0].queries))[0] == 2


@pytest.mark.slow
def test_draws_that_moved_are_judged_as_new_draws() -> None:
    """Two procedures that are equally good, with draws that differ: seldom "worse"."""
    rng = np.random.default_rng(5)
    failed, blamed = 0, 0
    for _ in range(60):
        ease = rng.normal(0, 1, (200, 1))
        now, before = (
            cell_of(
                (ease + rng.normal(0, 0.4, (1, 6)) + rng.normal(0, 1, (200, 6)) > 0).astype(int)
            )
            for _ in range(2)
        )
        failed += not no_worse(now, Reference(before, "last", other_draws=True)).passed
        blamed += not no_worse(now, Reference(before, "last")).passed
    assert failed <= 5 < blamed


def test_one_draw_that_moved_cannot_tell() -> None:
    before, now = cell_of([1] * 100), cell_of([0] * 100)
    gate = no_worse(now, Reference(before, "last", other_draws=True))
    assert gate.passed
    assert gate.ci == (-1.0, 1.0)
    assert "one draw cannot tell a loss from another draw" in gate.reason
    assert not no_worse(
        now, Reference(before, "last", other_draws=True), margin=0.1, strict=True
    ).passed


def test_common_seeds_are_compared() -> None:
    table = np.array([[1, 0, 0]] * 40)
    before = replace(cell_of(table), seeds=(0, 1, 2))
    now = replace(cell_of(table[:, :1]), seeds=(0,))
    gate = no_worse(now, Reference(before, "last"))
    assert (gate.estimate, gate.seeds) == (0.0, 1)


def test_a_check_asks_the_seeds_of_the_saved_run(tmp_path: Path) -> None:
    saved = compare(
        parity_task(asked=20), models=[knows(6)], templates=[COLON], shots=[4], seeds=[3, 5]
    ).save(tmp_path / "run")
    result = checked(6, task=parity_task(asked=20), no_worse_than=saved, seeds=None)
    assert {p.seed for p in result.comparison.predictions} == {3, 5}
    assert checked(6, min={"accuracy": 0.1}, seeds=None).gates[0].seeds == 8


# Other metrics.


def far(errors: Any) -> Outcomes:
    """Numbers that are so far from the gold ones."""
    table = np.asarray(errors, dtype=float)
    table = table if table.ndim == 2 else table[:, np.newaxis]
    queries = {f"q{i}": ({"word": "x"}, float(i)) for i in range(len(table))}
    gold = np.arange(len(table), dtype=float)
    values = Numbers(gold, gold[:, np.newaxis] + table)
    return Outcomes(CELL, (table == 0).astype(int), queries=queries, values=values)


def test_an_error_is_bounded_by_its_interval() -> None:
    errors = np.random.default_rng(0).normal(0, 1, (60, 2))
    interval = mean_interval(np.abs(errors))
    gate = bounded(Bound("max", "mae", 0.5), far(errors))
    assert (gate.metric, gate.ci) == ("mae", pytest.approx((interval.low, interval.high)))
    assert not gate.passed
    assert gate.name == "mae at most 0.5"
    assert ": significantly above 0.5" in gate.reason
    assert bounded(Bound("max", "mae", 2), far(errors), strict=True).passed


@pytest.mark.parametrize("failed", [0, 3, 4, 30])
def test_a_bound_fails_where_many_answers_have_no_error(failed: int) -> None:
    errors = np.where(np.arange(60) < failed, np.nan, 0.1)
    gate = bounded(Bound("max", "mae", 0.5), far(errors))
    assert gate.unanswered == failed / 60
    assert gate.passed is (failed <= 3)
    assert ("that have no mae" in gate.reason.lower()) is (failed > 0)
    assert ("more than 5 %, which fails" in gate.reason) is (failed > 3)
    good = far(np.full(60, 0.1))
    assert no_worse(far(errors), Reference(good, "last"), measured("mae")).passed is gate.passed
    same = no_worse(far(errors), Reference(far(errors), "last"), measured("mae"))
    assert same.passed
    assert "which fails" not in same.reason


def test_one_query_decides_no_bound_of_an_error() -> None:
    gate = bounded(Bound("max", "mae", 0.5), far([3.0]))
    assert (gate.passed, gate.estimate) == (True, 3.0)
    assert gate.reason.startswith("3.000 [0.000, inf] of 1 query: above 0.5, but not")


def test_larger_errors_are_worse_than_smaller_ones() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(0, 0.5, 80), rng.normal(0, 2, 80)
    mae = measured("mae")
    gate = no_worse(far(large), Reference(far(small), "last"), mae)
    found = mean_difference(np.abs(large) - np.abs(small))
    assert gate.estimate == pytest.approx(found.delta)
    assert gate.ci == pytest.approx((found.ci.low, found.ci.high))
    assert not gate.passed
    assert gate.name == "mae not worse than last"
    assert gate.reason.startswith("mae +")
    assert ": significantly worse; broke q" in gate.reason
    better = no_worse(far(small), Reference(far(large), "last"), mae)
    assert better.passed
    assert set(better.broke) == set(gate.mended)
    assert no_worse(far(large), Reference(far(small), "last"), mae, margin=3, strict=True).passed


def test_macro_f1_is_that_of_the_common_queries() -> None:
    losses = np.random.default_rng(0).exponential(1, (60, 1))
    now = cell_of(np.ones((60, 1), int), losses)
    before = cell_of(np.ones((40, 1), int), losses[:40])
    gate = no_worse(now, Reference(before, "last"), measured("macro_f1"))
    assert (gate.estimate, gate.queries, gate.passed) == (0.0, 40, True)


def test_a_run_that_measured_nothing_is_refused() -> None:
    now = replace(far([0.0, 1.0]), measures={"within": np.ones((2, 1))})
    with pytest.raises(TaskError, match="within: last has no such metric; compare anew"):
        no_worse(now, Reference(far([0.0, 1.0]), "last"), measured("within"))


def test_numbers_are_checked_by_their_errors(tmp_path: Path) -> None:
    task = open_task(float, *range(30))
    arguments: dict[str, Any] = {"templates": [COLON], "seeds": 1, "store": Store(), "shots": [0]}
    good = FakeModel(lambda prompt: asked_word(prompt)[1:])
    off = FakeModel(lambda prompt: str(float(asked_word(prompt)[1:]) + 2), name="off")
    folder = compare(task, models=[good], **arguments).save(tmp_path / "r")
    found = check(task, models=[off], no_worse_than=folder, max={"mae": 3}, **arguments)
    assert [(gate.metric, gate.passed) for gate in found.gates] == [("mae", True), ("mae", False)]
    assert not check(task, models=[off], max={"bias": 1}, **arguments).passed
    json.dumps(found.to_dict(), allow_nan=False)


def folded_task(folds: int) -> Task[Any, Any]:
    """A task whose examples are tests with shots from the other folds."""
    whole = parity_task(pool=40).demos
    return Task[Word, Parity](name="parity", demos=whole, folds=whole.folds(folds))


def test_folds_are_checked_and_compared_with_a_saved_run(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"templates": [COLON], "shots": [4], "seeds": 2}
    task = folded_task(5)
    run = compare(task, models=[knows(6)], store=Store(), **arguments).save(tmp_path / "run")
    found = checked(6, task=task, no_worse_than=run, min={"accuracy": 0.2})
    assert found.passed
    assert found.moves is not None
    assert (found.moves.draws, found.moves.moved) == (2, 0)
    note = "Each query has shots from the other 4 of 5 folds."
    assert note in str(found).splitlines()
    assert note in (run / "report.html").read_text("utf-8")
    other = checked(6, task=folded_task(4), no_worse_than=run)
    assert f"The pool is that of {run}, but 2 of 2 draws have other shots." in str(other)
    assert "Each query has shots from the other 3 of 4 folds." in str(other)
    assert not checked(1, task=task, no_worse_than=run).passed
