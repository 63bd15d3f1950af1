"""Outputs that are lists of labels: read, written, judged, loaded and saved."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sklearn.metrics import hamming_loss, jaccard_score

from promptkit import Example, ManyLabels, Task, Template, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks import label_sets
from promptkit.tasks.output_type import OutputType
from promptkit.text import shown

Topics = Annotated[list[Literal["network", "login", "email"]], ManyLabels()]

TOML = """
name = "topics"
[input]
text = "str"
[output]
labels = ["network", "login", "email"]
many = true
[files]
demos = "demos.{suffix}"
"""


class Note(BaseModel):
    text: str


def one(output: Any) -> Any:
    """The output of a task's only row."""
    row = {"input": {"text": "a"}, "output": output}
    return Task[Note, Topics](name="topics", demos=[row]).demos[0].output


def folder(path: Path, rows: str, suffix: str = "csv", toml: str = TOML) -> Path:
    (path / "task.toml").write_text(toml.replace("{suffix}", suffix))
    (path / f"demos.{suffix}").write_text(rows)
    return path


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["login", "email"], ["login", "email"]),
        (("email",), ["email"]),
        ({"email", "network"}, ["network", "email"]),
        ("email; login", ["email", "login"]),
        ('["email", "login"]', ["email", "login"]),
        ("none", []),
        ([], []),
    ],
)
def test_outputs_are_lists_sets_or_texts(given: Any, read: list[str]) -> None:
    assert one(given) == read


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["login", "emial"], "did you mean 'email'"),
        (["login", "login"], "the label 'login' is repeated"),
        ("login, email", "not one of the labels"),
        (3, "not a list of labels, but 3; write a list"),
        ('["login"', "not a JSON list"),
    ],
)
def test_other_outputs_are_refused(given: Any, reason: str) -> None:
    with pytest.raises(DataError, match="output") as caught:
        one(given)
    assert reason in str(caught.value)


def test_order_does_not_count() -> None:
    output = OutputType(Topics)
    assert output.same(["login", "email"], ["email", "login"])
    assert not output.same(["login"], ["email", "login"])
    assert output.key(["login", "email"]) == output.key(["email", "login"])
    assert output.text(["login", "email"]) == "login, email"
    assert output.text([]) == "none"
    assert output.parse("login; email") == ["login", "email"]


def test_labels_may_be_of_an_enum() -> None:
    class Topic(Enum):
        LOGIN = "login"
        EMAIL = "email"

    output = OutputType(Annotated[list[Topic], ManyLabels])
    assert output.validate(["email"]) == [Topic.EMAIL]
    assert output.plain([Topic.EMAIL]) == ["email"]
    assert output.items is not None
    assert output.items.labels == ("login", "email")


@pytest.mark.parametrize("kind", [str, Literal["a", "b"], list[str], set[Literal["a"]]])
def test_the_mark_is_for_lists_of_labels(kind: Any) -> None:
    with pytest.raises(TaskError, match="ManyLabels marks a list of labels"):
        Task[Note, Annotated[kind, ManyLabels()]](name="topics")


def test_a_label_cannot_mean_no_label() -> None:
    with pytest.raises(TaskError, match="stands for an output without labels"):
        Task[Note, Annotated[list[Literal["none", "a"]], ManyLabels()]](name="topics")


def test_lists_without_the_mark_are_generated() -> None:
    task = Task[Note, list[Literal["a", "b"]]](name="topics")
    assert not task.many
    assert task.labels == ()
    assert task.output_type.format is not None


def test_task_toml_declares_many_labels(tmp_path: Path) -> None:
    rows = 'text,output\na,network; email\nb,none\nc,"[""login""]"\n'
    task = load_task(folder(tmp_path, rows))
    assert [demo.output for demo in task.demos] == [["network", "email"], [], ["login"]]
    assert task.many
    assert task.labels == ("network", "login", "email")


def test_lists_in_json_lines(tmp_path: Path) -> None:
    rows = '{"text": "a", "output": ["email"]}\n{"text": "b", "output": []}\n'
    task = load_task(folder(tmp_path, rows, "jsonl"))
    assert [demo.output for demo in task.demos] == [["email"], []]


def test_problems_name_file_and_line(tmp_path: Path) -> None:
    rows = "text,output\na,network; emial\nb,email; email\nc,\n"
    with pytest.raises(DataError) as caught:
        load_task(folder(tmp_path, rows))
    said = str(caught.value)
    assert "demos.csv:2" in said
    assert "did you mean 'email'" in said
    assert "demos.csv:3" in said
    assert "is repeated" in said
    assert "demos.csv:4" in said
    assert "missing" in said


def test_codes_of_labels_in_lists(tmp_path: Path) -> None:
    toml = TOML.replace('["network", "login", "email"]', '{ 0 = "network", 1 = "email" }')
    task = load_task(folder(tmp_path, "text,output\na,0; 1\nb,none\nc,1\n", toml=toml))
    assert [demo.output for demo in task.demos] == [["network", "email"], [], ["email"]]


def test_many_goes_with_labels(tmp_path: Path) -> None:
    toml = TOML.replace('labels = ["network", "login", "email"]', 'type = "str"')
    with pytest.raises(TaskError, match=r"output\.many: it goes with labels"):
        load_task(folder(tmp_path, "text,output\na,b\n", toml=toml))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_saved_tasks_are_equal(tmp_path: Path, format: Any) -> None:
    rows = [
        {"input": {"text": "a"}, "output": ["email", "login"]},
        {"input": {"text": "b"}, "output": []},
    ]
    task = Task[Note, Topics](name="topics", demos=rows)
    save_task(task, tmp_path, format)
    again = load_task(tmp_path)
    assert again.fingerprint == task.fingerprint
    assert [demo.output for demo in again.demos] == [demo.output for demo in task.demos]


def test_the_fingerprint_differs_from_that_of_one_label() -> None:
    one_label = Task[Note, Literal["network", "login", "email"]](name="topics")
    assert Task[Note, Topics](name="topics").fingerprint != one_label.fingerprint


LABELS = ("a", "b", "c", "d")
SETS = st.sets(st.sampled_from(LABELS))


@given(SETS, SETS)
def test_measures_are_those_of_scikit_learn(said: set[str], gold: set[str]) -> None:
    ours = label_sets.measures(sorted(said), sorted(gold), LABELS)
    right, answer = (np.array([[label in one for label in LABELS]]) for one in (gold, said))
    jaccard = jaccard_score(right, answer, average="samples", zero_division=1.0)
    assert ours["jaccard"] == pytest.approx(jaccard)
    assert ours["hamming_loss"] == pytest.approx(hamming_loss(right, answer))


def test_an_answer_is_right_with_all_of_its_labels() -> None:
    task = Task[Note, Topics](name="topics")
    judged = task.judge(["email", "login"], [["login", "email"]])
    assert judged.correct
    assert judged.measures == {"jaccard": 1.0, "hamming_loss": 0.0}
    judged = task.judge(["email"], [["login", "email"]])
    assert not judged.correct
    assert judged.measures["jaccard"] == 0.5
    failed = task.judge(None, [[]], failed=True)
    assert not failed.correct
    assert failed.measures == {"jaccard": 0.0, "hamming_loss": 1.0}


def test_an_example_can_be_made_in_python() -> None:
    example = Example(input=Note(text="a"), output=["email"])
    assert Task[Note, Topics](name="topics", demos=[example]).demos[0].output == ["email"]


def test_several_labels_are_shown_as_in_a_cell() -> None:
    assert shown(["login", "network"]) == "login; network"
    assert shown([]) == "none"
    assert shown([1, 2]) == "[1, 2]"


def test_templates_ask_for_one_or_more_labels() -> None:
    for name, words in (("topics", "one or more of: network"), ("fruit", "one of: ")):
        task = load_task(f"examples/{name}")
        prompt = Template.of(task, "qa-labels").render(task, query=task.tests[0])
        assert f"Answer with {words}" in prompt.text
