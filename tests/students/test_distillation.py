"""Students that learn from what teachers say of a pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run
from pupils import grades, moods, scale, sentences
from teachers import Knowing

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.students.student_curve import sizes_of
from promptkit.students.training_set import TrainingSet


def pool(count: int = 300) -> list[dict[str, str]]:
    return [{"text": text} for text in sentences(count, seed=7)[0]]


def distilled(teacher: Any, rows: Any, **how: Any) -> pk.Student:
    return pk.distill(teacher, rows, store=pk.Store(), **{"curve": False, **how})


def test_a_student_learns_what_its_teacher_knows(tmp_path: Path) -> None:
    task = moods()
    teacher = Knowing(task)
    student = distilled(teacher, pool(), out=tmp_path / "student", curve=True)
    tests = student.card["tests"]
    assert tests["student"]["accuracy"] > 0.9
    assert tests["student"]["n"] == len(task.tests)
    assert tests["student"]["agreement"] > 0.9
    assert tests["student"]["kl"] < 0.2
    assert tests["student"]["items_per_second"] > 10 * tests["teacher"]["items_per_second"]
    assert tests["student"]["share_of_teacher"] == pytest.approx(
        tests["student"]["accuracy"] / tests["teacher"]["accuracy"]
    )
    low, high = tests["student"]["accuracy_ci"]
    assert low < tests["student"]["accuracy"] <= high
    points = tests["curve"]
    assert [point["labels"] for point in points[:2]] == ["soft", "hard"]
    assert points[-2]["rows"] == student.card["training"]["rows"]
    assert points[-2]["accuracy"] == tests["student"]["accuracy"]
    assert student.profile.tokens == 10 * len({row["text"] for row in pool()})
    assert student.profile.bytes == (tmp_path / "student" / "arrays.npz").stat().st_size
    again = pk.load_predictor(tmp_path / "student")
    assert again.card == json.loads(json.dumps(student.card))
    assert "agrees with its teacher" in (tmp_path / "student" / "card.md").read_text()


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    teacher = Knowing(moods())
    first = distilled(teacher, pool(), out=tmp_path / "student")
    asked = len(teacher.asked)
    again = distilled(teacher, pool(), out=tmp_path / "student", temperature=2.0)
    assert len(teacher.asked) == asked + len(teacher.task.tests)
    assert again.card["pool"]["tokens"] == first.card["pool"]["tokens"]
    assert again.sha256 != first.sha256
    distilled(teacher, pool(200), out=tmp_path / "student")  # another pool
    assert len(teacher.asked) > asked + 2 * len(teacher.task.tests)


def test_an_interrupted_labelling_goes_on(tmp_path: Path) -> None:
    class Ending(Knowing):
        def predict(self, queries: Any) -> list[pk.Prediction]:
            if len(self.asked) >= 2000:
                raise KeyboardInterrupt
            return super().predict(queries)

    rows = [{"text": f"{text} {number}"} for number in range(9) for text in sentences(300)[0]]
    with pytest.raises(KeyboardInterrupt):
        distilled(Ending(moods(), "one"), rows, out=tmp_path / "student")
    teacher = Knowing(moods(), "one")
    student = distilled(teacher, rows, out=tmp_path / "student")
    assert student.card["training"]["rows"] == len(rows)
    assert len({*teacher.asked}) < len({row["text"] for row in rows}) - 1500
    assert student.profile.tokens >= 10 * len({row["text"] for row in rows})


def test_rows_that_are_nearly_a_test_are_left_out() -> None:
    task = moods()
    rows = [*pool(60), *({"text": test.input.text.upper()} for test in task.tests)]
    student = distilled(Knowing(task), rows)
    assert student.card["pool"]["dropped"]["nearly a test"] >= len(task.tests)
    assert student.card["training"]["rows"] <= 60


def test_filters_say_what_they_drop() -> None:
    members = [Knowing(moods(), name, noise=1.5) for name in ("a", "b", "c")]
    how = {"min_confidence": 0.5, "min_coverage": 0.6, "min_agreement": 1.0}
    student = distilled(members, pool(), **how)
    dropped = student.card["pool"]["dropped"]
    assert set(dropped) == {
        "of a confidence below 0.5",
        "of a coverage below 0.6",
        "of an agreement below 1",
    }
    assert all(dropped.values())
    assert student.card["training"]["rows"] + sum(dropped.values()) == len(pool())
    assert "mean of 3" in student.card["teacher"]["name"]


def test_what_cannot_be_filtered_or_learnt_is_refused(tmp_path: Path) -> None:
    task = moods()
    teacher = Knowing(task, coverage=False)
    for how, reason in (
        ({"min_confidence": 1.0}, "no row of the pool is left"),
        ({"min_confidence": 2.0}, "from 0 to 1"),
        ({"min_coverage": 0.1}, "do not say theirs"),
        ({"min_agreement": 0.5}, "ask several orders"),
        ({"temperature": 0.0}, "above 0"),
        ({"gold_weight": 2.0}, "from 0"),
        ({"student": "deep"}, "unknown student 'deep'"),
        ({"out": Path(__file__).parent}, "no student"),
    ):
        with pytest.raises(TaskError, match=reason):
            distilled(teacher, pool(30), **how)
    with pytest.raises(TaskError, match="probabilities of labels"):
        distilled(Knowing(grades()), pool(30), min_confidence=0.5)
    fruit = pk.load_task("examples/topics")
    with pytest.raises(TaskError, match="lists of labels"):
        distilled(pk.Predictor(fruit, pk.Template.of(fruit), pk.FakeModel()), pool(30))
    with pytest.raises(TaskError, match="no row of the pool is left"):
        distilled(teacher, [])


def test_gold_outputs_are_mixed_in() -> None:
    rows = [{**row, "output": "mixed"} for row in pool(120)]
    rows[0]["output"] = "none of them"
    teacher = Knowing(moods())
    without = distilled(teacher, rows)
    half = distilled(teacher, rows, gold_weight=0.5)
    whole = distilled(teacher, rows, gold_weight=1.0)
    assert [one.card["training"]["gold"] for one in (without, half, whole)] == [0, 119, 119]
    shares = [
        np.exp(one.logprobs([row["text"] for row in rows]))[:, 2].mean()
        for one in (without, half, whole)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_numbers_are_learnt_by_regression(tmp_path: Path) -> None:
    kind = grades()
    asked = sentences(40, seed=3)
    value = {"bad": 1.0, "mixed": 2.5, "good": 4.0}
    tests = [
        pk.Example(input=kind.types()[0](text=text), output=value[mood])
        for text, mood in zip(*asked, strict=True)
    ]
    task = type(kind)(name="grades", tests=[*{one.id: one for one in tests}.values()])
    student = distilled(Knowing(task), pool(), out=tmp_path / "student", curve=True)
    tests = student.card["tests"]
    assert tests["student"]["mae"] < 0.8
    assert tests["student"]["pearson"] > 0.8
    assert tests["student"]["distance"] < 0.8
    assert {point["labels"] for point in tests["curve"]} == {"soft"}
    again = pk.load_predictor(tmp_path / "student")
    (made,) = again.predict([again.query({"text": "thing1 fun thing2"})])
    assert made.label == pytest.approx(4, abs=1)


def test_a_scale_is_learnt_as_its_expectation(tmp_path: Path) -> None:
    task = scale()
    rows = [{**row, "output": "4"} for row in pool(120)]
    teacher = Knowing(task)
    how: dict[str, Any] = {"expected": True, "min_confidence": 0.4, "gold_weight": 0.01}
    student = distilled(teacher, rows, out=tmp_path / "student", **how)
    assert student.card["training"]["gold"] == student.card["training"]["rows"]
    own = student.card["tests"]["student"]
    assert own["metric"] == "mae"
    assert own["mae"] < 1
    again = pk.load_predictor(tmp_path / "student")
    asked = [again.query({"text": f"thing1 {word} thing2"}) for word in ("dull", "fun")]
    low, high = (one.label for one in again.predict(asked))
    assert 1 <= low < high <= 4
    assert type(distilled(teacher, rows).predict([task.tests[0]])[0].label) is str
    with pytest.raises(TaskError, match="labels are all numbers"):
        distilled(Knowing(moods()), rows, expected=True)


def test_training_sets() -> None:
    rows = TrainingSet(("a", "b"), np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([0.0, -1.0]))
    assert rows.softened(0.5).targets[0] == pytest.approx([0.04 / 0.68, 0.64 / 0.68])
    assert rows.softened(1) is rows
    assert rows.mixed(0.25).targets.tolist() == [[0.4, 0.6000000000000001], [0.5, 0.5]]
    assert rows.hardened().targets.tolist() == [[0, 1], [1, 0]]
    numbers = TrainingSet(("a", "b"), np.array([[1.0], [2.0]]), np.array([3.0, np.nan]))
    assert numbers.mixed(0.5).targets.tolist() == [[2.0], [2.0]]
    assert numbers.at([1]).texts == ("b",)
    with pytest.raises(ValueError, match="2 texts"):
        TrainingSet(("a", "b"), np.ones((1, 2)))
    assert sizes_of(6920) == [216, 432, 865, 1730, 3460, 6920]
    assert sizes_of(3) == [3]


def test_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from promptkit.cli import arguments

    model = pk.FakeModel(lambda prompt: "drupe" if "plum" in prompt.text[-40:] else "berry")
    monkeypatch.setattr(arguments, "models_named", lambda *_, **__: [model])
    task = Path(__file__).parents[2] / "examples" / "fruit"
    names = [f"{size} {kind}" for size in range(60) for kind in ("plum", "currant")]
    Path("pool.csv").write_text("name,output\n" + "".join(f"{name},drupe\n" for name in names))
    words = ("distill", task, "--pool", "pool.csv", "--out", "small", "--shots", "3")
    said = run(*words, "--orders", "2", "--calibrate", "batch", "--gold", "0.3", "--json", "a.json")
    assert said.code == 0, said.err
    assert "Teacher: fake · " in said.out
    assert "batch calibration · 3 shots · mean of 2" in said.out
    assert "Pool: pool.csv, 120 rows, 120 learnt from" in said.out
    assert "51 tests, against gold" in said.out
    assert "Written to small: " in said.out
    data = json.loads(Path("a.json").read_text())
    assert data["card"]["training"]["gold"] == 120
    assert data["profile"]["labels"] == 123
    for more, reason in (
        (("--pool", "none.csv"), "no such file"),
        (("--orders", "2", "--shots", "1"), "1 shots have one order"),
        (("--orders", "2", "--order", "reversed"), "leave out --order"),
        (("--out", "."), "no student"),
        (("--min-agreement", "0.5"), "ask several orders"),
        (("--student", "deep"), "unknown student"),
    ):
        given = {"--pool": "pool.csv", "--out": "other"} | dict(
            zip(more[::2], more[1::2], strict=True)
        )
        refused = run("distill", task, *[word for pair in given.items() for word in pair])
        assert refused.code == 2
        assert reason in refused.err
        assert "Traceback" not in refused.err


def test_a_frozen_teacher_is_judged_by_the_tests_of_a_task(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(__file__).parents[2] / "examples" / "fruit"
    task, model = pk.load_task(folder), pk.FakeModel()
    pk.freeze(pk.Predictor(task, pk.Template.of(task), model, 2), "fruit.promptkit")
    load = pk.load_predictor
    monkeypatch.setattr(pk, "load_predictor", lambda name, **how: load(name, model))
    Path("pool.jsonl").write_text("".join(f'{{"name": "fig {n}"}}\n' for n in range(20)))
    words = ("distill", "fruit.promptkit", "--pool", "pool.jsonl", "--out", "small", "--no-curve")
    assert "nothing is known of the student's answers" in run(*words).out
    said = run(*words, "--tests", folder)
    assert said.code == 0, said.err
    assert "51 tests, against gold" in said.out
    assert "leave it out" in run(*words, "--shots", "3").err
