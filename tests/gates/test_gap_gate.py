"""Gates on gaps between groups."""

from __future__ import annotations

from typing import Any

import pytest
from grouped import comments

import promptkit as pk
from promptkit.errors import TaskError


def biased(prompt: pk.Prompt) -> str:
    """Return an answer that is right for red comments, and rude for green ones."""
    query = prompt.text.rstrip().rsplit("\n", 1)[-1]
    return "rude" if "green" in query else "fine"


def checked(**how: Any) -> Any:
    task = comments({"red": 60, "green": 60})
    settings: dict[str, Any] = {"shots": [0], "seeds": 1, "lint": False, "store": pk.Store()}
    return pk.check(task, models=[pk.FakeModel(biased)], **settings, **how)


def test_a_gap_fails_where_its_interval_is_beyond_the_bound() -> None:
    found = checked(max_gap=0.05, groups=["group"])
    gates = {gate.metric: gate for gate in found.gates}
    assert [*gates] == ["gap.accuracy", "gap.false_positive_rate", "gap.false_negative_rate"]
    rate = gates["gap.false_positive_rate"]
    assert not rate.passed
    assert rate.estimate == 1
    assert rate.ci[0] > 0.05
    assert rate.level == pytest.approx(1 - 0.05 / 3)
    assert rate.name == "gap of false-positive rate by group at most 5 points"
    assert "significantly above 5 points" in rate.reason
    assert not found.passed
    assert checked(max_gap=1.0, groups=["group"]).passed


def test_a_small_gap_passes_unless_strict() -> None:
    gates = checked(max_gap={"accuracy": 0.02}, groups="group").gates
    assert [gate.metric for gate in gates] == ["gap.accuracy"]
    strict = checked(max_gap={"accuracy": 0.02}, groups="group", strict=True).gates
    assert strict[0].level == pytest.approx(0.95)
    assert not strict[0].passed


def test_bounds_of_other_kinds_stand_beside_it() -> None:
    found = checked(min={"accuracy": 0.1}, max_gap={"selection_rate": 0.2}, groups="group")
    assert [gate.metric for gate in found.gates] == ["accuracy", "gap.selection_rate"]
    assert [gate.passed for gate in found.gates] == [True, False]
    assert found.to_dict()["gates"][1]["bound"] == 0.2
    assert "FAIL  gap of selection rate by group" in str(found)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"max_gap": 0.1}, "max_gap: name the columns"),
        ({"max_gap": -1, "groups": "group"}, "is not a number of 0 or more"),
        ({"max_gap": 0.1, "groups": "grup"}, "no such column"),
        ({"max_gap": {"acuracy": 0.1}, "groups": "group"}, "did you mean 'accuracy'"),
        ({"min": {"accuracy": 0.1}, "groups": "group"}, "groups: only for max_gap"),
        ({}, "nothing to check: give min, max, no_worse_than, max_gap or"),
    ],
)
def test_what_cannot_be_is_refused(how: Any, reason: str) -> None:
    with pytest.raises(TaskError) as caught:
        checked(**how)
    assert reason in str(caught.value)
