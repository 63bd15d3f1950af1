"""What a student keeps, loses or amplifies of its teacher's treatment of groups."""

from __future__ import annotations

from typing import Any

import pytest
from grouped import Noisy, comments

import promptkit as pk
from promptkit.errors import TaskError


@pytest.fixture(scope="module")
def task() -> Any:
    return comments({"red": 150, "green": 150, "grey": 5})


def test_a_gap_that_grew_is_amplified(task: Any) -> None:
    teacher = Noisy(task, {"red": 0.9, "green": 0.9}, "teacher")
    student = Noisy(task, {"red": 0.9, "green": 0.5}, "student", seed=1)
    found = pk.audit(student, groups="group", against=teacher)
    assert found.changes is not None
    assert found.changes.against == "teacher"
    (column,) = found.changes.columns
    assert {change.group for change in column.groups} == {"red", "green"}
    accuracy = {c.group: c for c in column.groups if c.metric == "accuracy"}
    before, after = teacher.predict(task.tests), student.predict(task.tests)
    for name, change in accuracy.items():
        mine = [test.metadata["group"] == name for test in task.tests]
        for made, value in ((before, change.before), (after, change.after)):
            right = [bool(p.correct) for p, inside in zip(made, mine, strict=True) if inside]
            assert value == pytest.approx(sum(right) / len(right))
        assert change.difference.delta == pytest.approx(change.after - change.before)
    assert accuracy["green"].difference.significant
    assert not accuracy["red"].difference.significant
    gap = next(gap for gap in column.gaps if gap.metric == "accuracy")
    assert gap.verdict == "amplified"
    assert gap.ci[0] <= gap.after - gap.before <= gap.ci[1]
    said = "\n".join(column.sentences)
    assert "The gap of accuracy by group is amplified" in said
    assert 'Accuracy of "green"' in said
    for line in ("Against teacher, groups by group", "amplified"):
        assert line in str(found)


def test_a_gap_that_stays_is_kept(task: Any) -> None:
    teacher = Noisy(task, {"red": 0.9, "green": 0.6}, "teacher")
    same = pk.audit(teacher, groups="group", against=teacher).changes
    assert same is not None
    (column,) = same.columns
    assert {gap.verdict for gap in column.gaps} == {"kept"}
    assert all(gap.before == gap.after for gap in column.gaps)
    assert "No gap by group changed significantly." in column.sentences
    reverse = pk.audit(
        Noisy(task, {"red": 0.9, "green": 0.9}, "student", seed=1), groups="group", against=teacher
    ).changes
    assert reverse is not None
    gap = next(gap for gap in reverse.columns[0].gaps if gap.metric == "accuracy")
    assert gap.verdict == "reduced"


def test_a_prompt_with_draws_is_compared_with_a_student(task: Any) -> None:
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 4)
    student = Noisy(task, {}, "student")
    found = pk.audit(student, groups="group", against=prompt, seeds=2, store=pk.Store(), limit=200)
    assert found.seeds == 2
    assert found.changes is not None
    assert found.changes.columns[0].groups


def test_it_takes_groups(task: Any) -> None:
    noisy = Noisy(task, {})
    with pytest.raises(TaskError, match="against: it compares groups"):
        pk.audit(noisy, against=noisy, terms=["red"])
