"""Groups of the tests, against fairlearn's own metrics and scikit-learn's."""

from __future__ import annotations

import json
from typing import Any

import fairlearn.metrics as fairness
import numpy as np
import pytest
from grouped import Noisy, comments
from pupils import grades, pupil, scale
from sklearn.metrics import brier_score_loss, log_loss

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.evaluation.intervals import wilson
from promptkit.evaluation.metrics import expected_calibration_error

SIZES = {"red": 60, "green": 80, "blue": 45, "grey": 7}
RIGHT = {"red": 0.95, "green": 0.6, "blue": 0.9, "grey": 0.5}


@pytest.fixture(scope="module")
def task() -> Any:
    return comments(SIZES)


@pytest.fixture(scope="module")
def noisy(task: Any) -> Noisy:
    return Noisy(task, RIGHT)


@pytest.fixture(scope="module")
def found(noisy: Noisy) -> pk.Audit:
    return pk.audit(noisy, groups=["group"], four_fifths=True)


def test_rates_are_those_of_fairlearn(task: Any, noisy: Noisy, found: pk.Audit) -> None:
    made = noisy.predict(task.tests)
    frame = fairness.MetricFrame(
        metrics={
            "selection_rate": fairness.selection_rate,
            "false_positive_rate": fairness.false_positive_rate,
            "false_negative_rate": fairness.false_negative_rate,
            "accuracy": lambda gold, said: np.mean(np.asarray(gold) == np.asarray(said)),
        },
        y_true=[test.output == "rude" for test in task.tests],
        y_pred=[one.label == "rude" for one in made],
        sensitive_features=[test.metadata["group"] for test in task.tests],
    )
    assert found.groups is not None
    assert found.groups.positive == "rude"
    (grouping,) = found.groups.groupings
    assert [(group.name, group.n) for group in grouping.groups] == [
        ("green", 80),
        ("red", 60),
        ("blue", 45),
        ("grey", 7),
    ]
    for group in grouping.groups:
        for name in frame.by_group.columns:
            assert group.figures[name].value == pytest.approx(frame.by_group.loc[group.name, name])
    for name in frame.by_group.columns:
        assert found.groups.overall.figures[name].value == pytest.approx(frame.overall[name])


def test_calibration_is_that_of_scikit_learn(task: Any, noisy: Noisy, found: pk.Audit) -> None:
    made = {one.id: one for one in noisy.predict(task.tests)}
    assert found.groups is not None
    for group in found.groups.groupings[0].groups:
        tests = [test for test in task.tests if test.metadata["group"] == group.name]
        probs = np.array(
            [[(made[t.id].probs or {})[label] for label in task.labels] for t in tests]
        )
        gold = np.array([task.labels.index(str(test.output)) for test in tests])
        figures = group.figures
        assert figures["brier"].value == pytest.approx(2 * brier_score_loss(gold, probs[:, 1]))
        assert figures["log_loss"].value == pytest.approx(log_loss(gold, probs, labels=[0, 1]))
        assert figures["ece"].value == pytest.approx(expected_calibration_error(probs, gold))
        for name in ("brier", "log_loss", "ece"):
            low, high = figures[name].ci or (0, 0)
            assert low <= figures[name].value <= high


def test_intervals_of_rates_are_wilsons(task: Any, noisy: Noisy, found: pk.Audit) -> None:
    made = {one.id: one for one in noisy.predict(task.tests)}
    assert found.groups is not None
    green = found.groups.groupings[0].groups[0]
    tests = [test for test in task.tests if test.metadata["group"] == "green"]
    negative = [made[test.id].label == "rude" for test in tests if test.output == "fine"]
    figure, interval = green.figures["false_positive_rate"], wilson(negative)
    assert (figure.n, figure.ci) == (len(negative), pytest.approx((interval.low, interval.high)))


def test_gaps_are_of_groups_that_are_large_enough(found: pk.Audit) -> None:
    assert found.groups is not None
    (grouping,) = found.groups.groupings
    gaps = {gap.metric: gap for gap in grouping.gaps}
    assert "ece" not in gaps
    accuracy = gaps["accuracy"]
    values = {g.name: g.figures["accuracy"].value for g in grouping.groups if not g.small}
    assert accuracy.groups == len(values) == 3
    assert accuracy.value == pytest.approx(max(values.values()) - min(values.values()))
    assert accuracy.ratio == pytest.approx(min(values.values()) / max(values.values()))
    assert accuracy.lowest == "green"
    assert accuracy.significant
    assert accuracy.ci is not None
    assert 0 < accuracy.ci[0] < accuracy.value < accuracy.ci[1] < 1
    assert gaps["selection_rate"].four_fifths in ("kept", "missed", "open")
    assert accuracy.four_fifths is None
    grey = grouping.groups[-1]
    assert grey.small
    assert grey.needed is not None
    assert all(figure.rest is None for figure in grey.figures.values())
    said = "\n".join(grouping.sentences)
    assert "Accuracy: a gap of" in said
    assert "1 group by group has fewer than 20 queries" in said
    assert "Four-fifths rule" in said


def test_a_group_of_one_class_has_no_rate_of_the_other() -> None:
    task = comments({"red": 40, "green": 40})
    rows = [
        row.model_copy(update={"output": "fine"}) if row.metadata["group"] == "red" else row
        for row in task.tests
    ]
    found = pk.audit(Noisy(task, {}), task, rows=rows, groups="group")
    assert found.groups is not None
    red = next(g for g in found.groups.groupings[0].groups if g.name == "red")
    assert "false_negative_rate" not in red.figures
    assert "false_negative_rate" not in {gap.metric for gap in found.groups.groupings[0].gaps}
    assert "NaN" not in found.to_json()
    assert "–" in str(found)


def test_intersections_are_groups_by_two_columns(task: Any, noisy: Noisy) -> None:
    found = pk.audit(noisy, groups=["group", "age"], intersections=True)
    assert found.groups is not None
    names = [one.by for one in found.groups.groupings]
    assert names == ["group", "age", "group × age"]
    both = found.groups.groupings[-1]
    assert sum(group.n for group in both.groups) == len(task.tests)
    assert {group.name for group in both.groups} >= {"red × old", "green × young"}


def test_each_of_many_labels_is_judged_against_the_rest() -> None:
    labels = ("bad", "fine", "good")
    task = comments({"red": 90, "green": 90}, labels=labels)
    noisy = Noisy(task, {"red": 0.9, "green": 0.5})
    found = pk.audit(noisy, groups=["group"])
    assert found.groups is not None
    assert found.groups.positive is None
    made = noisy.predict(task.tests)
    for group in found.groups.groupings[0].groups:
        pairs = [
            (test.output, one.label)
            for test, one in zip(task.tests, made, strict=True)
            if test.metadata["group"] == group.name
        ]
        rates = []
        for label in labels:
            gold, said = ([one == label for one in side] for side in zip(*pairs, strict=True))
            rates.append(fairness.false_positive_rate(gold, said))
            assert group.figures[f"false_positive_rate.{label}"].value == pytest.approx(rates[-1])
        macro = group.figures["macro_false_positive_rate"]
        assert macro.value == pytest.approx(np.mean(rates))
        assert macro.ci is not None
        assert macro.ci[0] < macro.value < macro.ci[1]
    named = pk.audit(noisy, groups=["group"], positive="bad").groups
    assert named is not None
    assert named.positive == "bad"
    assert "false_positive_rate" in named.overall.figures


def test_an_audit_is_saved_and_loaded(found: pk.Audit, tmp_path: Any) -> None:
    folder = found.save(tmp_path / "audit")
    data = json.loads((folder / "audit.json").read_text())
    assert data["format"] == 1
    assert data["groups"]["groupings"][0]["by"] == "group"
    again = pk.load_audit(folder)
    assert again == found
    assert str(again) == str(found) == repr(found)
    (folder / "audit.json").write_text(json.dumps({**data, "queries": "many"}))
    with pytest.raises(pk.PromptkitError, match=r"audit\.json.*queries"):
        pk.load_audit(folder)
    with pytest.raises(pk.PromptkitError, match="promptkit audit --out writes it"):
        pk.load_audit(tmp_path / "none")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"groups": "grup"}, "the tests have no such column; did you mean 'group'"),
        ({"groups": "group", "positive": "rud"}, "not a label of comments; choose one of"),
        ({}, "nothing to audit"),
        ({"groups": "group", "limit": 10}, "all 10 queries are in one group, 'red'"),
        ({"groups": "group", "intersections": True}, "intersections are of two columns"),
        ({"groups": "group", "rows": []}, "no tests to audit"),
        ({"four_fifths": True}, "four_fifths: of groups"),
    ],
)
def test_what_cannot_be_is_refused(noisy: Noisy, how: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskError) as caught:
        pk.audit(noisy, **how)
    assert reason in str(caught.value)


def test_rows_without_gold_outputs_are_refused(noisy: Noisy, task: Any) -> None:
    rows = [task.as_query({"text": "what of me"})]
    with pytest.raises(TaskError, match="1 row of 1 without a gold output"):
        pk.audit(noisy, groups="group", rows=rows)


def test_numbers_have_errors_by_group() -> None:
    student = pupil(grades())
    draw = np.random.default_rng(0)
    typed = type(student.task.tests).from_records(
        [
            {
                "text": f"some words {number} " + "x" * int(draw.integers(9)),
                "output": float(draw.integers(5)),
                "group": "ab"[number % 2],
            }
            for number in range(80)
        ]
    )
    found = pk.audit(student, groups="group", rows=typed)
    assert found.groups is not None
    said = np.array([one.label for one in student.predict(typed)])
    gold = np.array([row.output for row in typed])
    for group in found.groups.groupings[0].groups:
        mine = np.array([row.metadata["group"] == group.name for row in typed])
        assert [*group.figures] == ["mae", "bias"]
        assert group.figures["mae"].value == pytest.approx(np.abs(said - gold)[mine].mean())
        assert group.figures["bias"].value == pytest.approx((said - gold)[mine].mean())
    rated = pk.audit(student, groups="group", rows=typed, positive=2.5).groups
    assert rated is not None
    assert rated.positive == "2.5 or more"
    assert "selection_rate" in rated.overall.figures


def test_several_draws_are_asked_and_averaged() -> None:
    task = comments({"red": 30, "green": 30})
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 4)
    found = pk.audit(prompt, groups="group", seeds=3, store=pk.Store())
    assert found.seeds == 3
    assert found.groups is not None
    made = [
        pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 4, seed).predict(task.tests)
        for seed in range(3)
    ]
    right = np.mean([[one.correct for one in each] for each in made])
    assert found.groups.overall.figures["accuracy"].value == pytest.approx(right)
    assert pk.audit(prompt, groups="group", store=pk.Store()).seeds == 1


def test_labels_that_are_numbers_count_from_one_on() -> None:
    task = scale()
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    rows = [
        row.model_copy(update={"metadata": {"group": "ab"[place % 2]}})
        for place, row in enumerate(task.tests)
    ]
    how: Any = {"groups": "group", "rows": rows, "store": pk.Store()}
    found = pk.audit(prompt, positive=">=2", **how).groups
    assert found is not None
    assert found.positive == "2 or more"
    said = [int(one.label) >= 2 for one in prompt.predict(rows)]
    assert found.overall.figures["selection_rate"].value == pytest.approx(np.mean(said))
    assert {"mae", "bias"} <= {*found.overall.figures}
    with pytest.raises(TaskError, match="choose one of: 1, 2, 4, or >=N"):
        pk.audit(prompt, positive="3", **how)


def test_a_frozen_predictor_is_audited_on_the_tests_of_its_task(tmp_path: Any) -> None:
    pk.save_task(comments({"red": 30, "green": 30}), tmp_path / "comments")
    task = pk.load_task(tmp_path / "comments")
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 4)
    file = pk.freeze(prompt, tmp_path / "comments.promptkit")
    frozen = pk.load_predictor(file, model=pk.FakeModel())
    how: Any = {"groups": "group", "store": pk.Store()}
    found = pk.audit(frozen, task, **how)
    assert found.groups == pk.audit(prompt, **how).groups
    with pytest.raises(TaskError, match="no tests to audit"):
        pk.audit(frozen, **how)
    calibrated = pk.audit(prompt, calibration="batch", **how).groups
    assert calibrated is not None
    assert calibrated != found.groups
