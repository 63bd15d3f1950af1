"""Students of gold outputs, alone or beside a teacher's answers, in growing numbers."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run
from pupils import moods, scale, sentences
from teachers import Knowing

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.students.gold_rows import first_gold
from promptkit.students.seen_inputs import digests_in
from promptkit.students.student_sizes import distill_sizes
from promptkit.tasks.ranked_pool import ranked_pool

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"


def write_pool(file: Path) -> Path:
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["text", "output"])
        rows.writerows(zip(*sentences(90, seed=7), strict=True))
    return file


def test_without_a_teacher_the_pool_of_the_task_is_learnt(tmp_path: Path) -> None:
    task = moods(count=120)
    student = pk.distill(None, task=task, out=tmp_path / "student")
    card, training = student.card, student.card["training"]
    assert card["teacher"] is None
    assert training["gold"] == training["rows"] == student.profile.labels
    assert training["rows"] == len(ranked_pool(task, 0))
    assert card["tests"]["student"]["accuracy"] > 0.9
    assert "teacher" not in card["tests"]
    assert {point["labels"] for point in card["tests"]["curve"]} == {"gold"}
    text = (tmp_path / "student" / "card.md").read_text()
    assert "- Learnt from gold labels, without a teacher" in text
    again = pk.load_predictor(tmp_path / "student")
    assert [one.label for one in again.predict(task.tests)] == [
        one.label for one in student.predict(task.tests)
    ]


def test_a_scale_is_learnt_as_numbers() -> None:
    task = scale()
    task = task.model_copy(update={"demos": task.tests, "tests": task.demos})
    student = pk.distill(None, task=task, expected=True)
    (made,) = student.predict([student.query({"text": "thing1 fun warm"})])
    assert made.label == pytest.approx(4, abs=1)


def test_rows_of_a_smaller_student_are_among_those_of_a_larger_one(tmp_path: Path) -> None:
    task = moods(count=120)
    said: list[str] = []
    made = distill_sizes(
        None, None, tmp_path / "mood", [20, 8], seeds=2, task=task, notify=said.append, curve=False
    )
    names = ["mood-8", "mood-8-seed1", "mood-20", "mood-20-seed1"]
    assert [one.name for one in made] == names
    assert [one.profile.labels for one in made] == [8, 8, 20, 20]
    known = [digests_in(one.card) for one in made]
    assert known[0] < known[2]
    assert known[0] != known[1]
    assert "1 of 4, 8 gold labels: training on 8 rows" in said
    said.clear()
    again = distill_sizes(
        None, None, tmp_path / "mood", [8, 20, 30], task=task, notify=said.append, curve=False
    )
    assert [one.card["made"] for one in again[:2]] == [made[0].card["made"], made[2].card["made"]]
    assert said == ["3 of 3, 30 gold labels: training on 30 rows"]


def test_a_teacher_labels_the_pool_once_and_gold_is_mixed_in(tmp_path: Path) -> None:
    teacher = Knowing(moods())
    pool = write_pool(tmp_path / "pool.csv")
    how: dict[str, Any] = {"gold_weight": 1.0, "store": pk.Store(), "curve": False}
    made = distill_sizes(teacher, pool, tmp_path / "mood", [0, 10], **how)
    texts = len({*sentences(90, seed=7)[0]})
    tests = len(teacher.task.tests)
    assert len(teacher.asked) == texts + 2 * tests
    assert [one.card["training"]["gold"] for one in made] == [0, 10]
    assert len({one.card["training"]["rows"] for one in made}) == 1
    assert [one.profile.labels for one in made] == [0, 10]
    assert made[0].sha256 != made[1].sha256
    assert made[0].profile.tokens == made[1].profile.tokens == 10 * texts


def test_outputs_are_ranked() -> None:
    gold = np.array([0.0, -1.0, 1.0, 2.0, 1.0])
    kept = [np.flatnonzero(np.isfinite(first_gold(gold, count, 3)) & (gold >= 0)).tolist()
            for count in range(5)]  # fmt: skip
    assert [len(one) for one in kept] == [0, 1, 2, 3, 4]
    assert all({*few} < {*more} for few, more in pairwise(kept))
    assert first_gold(gold, None, 0) is gold
    with pytest.raises(TaskError, match="5 outputs of the pool are asked for, and 4 of its rows"):
        first_gold(gold, 5, 0)


def test_what_does_not_fit_is_refused() -> None:
    task = moods()
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "give the task"),
        ({"task": task, "pool": []}, "give none"),
        ({"task": task, "temperature": 2.0}, "leave them out"),
        ({"task": task, "examples": 9999}, "9999 examples are asked for"),
        ({"task": pk.load_task("examples/quiz")}, "a student learns one label"),
        ({"task": task.model_copy(update={"demos": task.demos.model_construct(())})}, "no row"),
    ]
    for how, reason in refused:
        with pytest.raises(TaskError, match=reason):
            pk.distill(None, **how)
    with pytest.raises(TaskError, match="give its rows"):
        pk.distill(Knowing(task))
    with pytest.raises(TaskError, match="give gold_weight"):
        pk.distill(Knowing(task), [{"text": "fun"}], examples=3, store=pk.Store())


def test_the_command(run: Run) -> None:
    one = run("distill", FRUIT, "--gold-only", "--out", "one", "--json", "one.json")
    assert one.code == 0, one.err
    assert "Learnt from gold labels, without a teacher" in one.out
    assert json.loads(Path("one.json").read_text())["card"]["training"]["gold"] == 51
    words = ("distill", FRUIT, "--gold-only", "--out", "several", "--examples", "10,20,40")
    several = run(*words, "--json", "several.json")
    assert several.code == 0, several.err
    assert several.out.splitlines()[1].split() == [
        *("student", "gold", "labels", "rows", "made", "in", "accuracy"),
    ]
    assert "several-40" in several.out
    assert f"compare {FRUIT} --shots 0,4 --learning-curve --with several" in several.out
    assert len(json.loads(Path("several.json").read_text())) == 3
    for more, reason in (
        (("--pool", "rows.csv"), "--pool: it is about a teacher"),
        (("--context", 100), "--context: it is about a teacher"),
        (("--seeds", 2), "--seeds: with --examples N"),
        (("--examples", "two"), "write numbers of 4 or more"),
        (("--examples", "10,2"), "write numbers of 4 or more"),
        (("--examples", "10,2000"), "2000 examples are asked for"),
    ):
        refused = run("distill", FRUIT, "--gold-only", "--out", "other", *more)
        assert (refused.code, refused.out) == (2, "")
        assert reason in " ".join(refused.err.split())
    missing = run("distill", FRUIT, "--out", "other")
    assert "give --pool FILE, or --gold-only" in missing.err
