"""What counts as right where a nearly right answer is wrong is said, not left to be found out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field
from samples import COLON, open_task

import promptkit
from promptkit import FakeModel, Scoring, Store, compare, load_task
from promptkit.cli import app
from promptkit.errors import TaskError
from promptkit.evaluation.exact_match import exactness
from promptkit.experiments.saved_runs import read_run
from promptkit.report import page
from promptkit.tasks.output_type import OutputType

WHOLE = "Equality of the whole answer is what counts"


class Reasoned(BaseModel):
    rationale: str
    answer: Literal["yes", "no"]


class Tree(BaseModel):
    name: str
    parts: list[Tree] = []


class Flags(BaseModel):
    late: bool
    paid: bool


class Stars(Enum):
    ONE = 1
    TWO = 2
    THREE = 3


class OneLabel(BaseModel):
    answer: Literal["yes", "no"]


class Scored(BaseModel):
    stars: Annotated[float, Field(ge=0, le=5)]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (float, [f"{WHOLE}: 4.9 for 5.0 is as wrong as 0.1."]),
        (Annotated[float, Field(ge=0)], ["4.9 for 5.0 is as wrong as 0.1"]),
        (Decimal, ["4.9 for 5.0 is as wrong as 0.1"]),
        (int, [f"{WHOLE}: 4 for 5 is as wrong as 1."]),
        (Annotated[int, Field(ge=1, le=5)], ["4 for 5 is as wrong as 1"]),
        (Optional[int], ["4 for 5 is as wrong as 1"]),  # noqa: UP045
        (
            str,
            [
                f"{WHOLE}: another casing, a full stop or an explanation makes a text wrong. ",
                'token_f1 says how near texts are; [output] match ("normalised", "contains", ',
            ],
        ),
        (date, ["a date that is a day off is as wrong as any other"]),
        (list[str], ["the text has to match", "the same items in the same order"]),
        (list[Literal["a", "b"]], [f"{WHOLE}: a list has to have the same items in the same"]),
        (Scored, [f"{WHOLE}: 4.9 for 5.0 is as wrong as 0.1."]),
        (
            Reasoned,
            [
                '"rationale" and "answer" have to be right together; the text of "rationale" has '
                "to match character by character. field.NAME is the accuracy of each field; "
                '[output] counted, such as ["answer"], declares which fields have to be right.'
            ],
        ),
        (Flags, ['"late" and "paid" have to be right together']),
        (Tree, ['"name" and "parts" have', 'the text of "name" has to', "the same order"]),
        (dict[str, float], ["4.9 for 5.0"]),
        (Stars, ["though the labels are numbers: 2 for 3 is as wrong as 1."]),
        (Literal["1", "2", "3", "4", "5"], ["4 for 5 is as wrong as 1."]),
    ],
)
def test_what_equality_asks_is_said(output: Any, says: list[str]) -> None:
    said = exactness(OutputType(output))
    assert said is not None
    for part in says:
        assert part in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    "output", [Literal["a", "b"], bool, Literal[0, 1], OneLabel, set[Literal["a", "b"]]]
)
def test_where_nothing_can_be_nearly_right_nothing_is_said(output: Any) -> None:
    assert exactness(OutputType(output)) is None


@pytest.mark.parametrize(
    ("output", "scoring", "says"),
    [
        (str, Scoring(match="contains"), "it has the words of the gold text in it; exact_match is"),
        (str, Scoring(match="number", within=0.5), "as its last number, up to 0.5; exact_match"),
        (str, Scoring(scorer=max), "where its score by 'max' is 1; the mean score is score."),
        (Reasoned, Scoring(counted=("answer",)), 'where "answer" is right (equal); the other fie'),
        (Flags, Scoring(counted=("late", "paid")), 'where "late" and "paid" are right (equal)'),
    ],
)
def test_what_is_declared_is_said(output: Any, scoring: Scoring, says: str) -> None:
    said = exactness(OutputType(output), scoring=scoring)
    assert said is not None
    assert says in said


def test_it_stands_in_the_terminal_on_the_page_and_in_json(tmp_path: Path) -> None:
    result = compare(
        open_task(float, 4.9, 0.4, 3.1),
        models=[FakeModel(lambda _: "5.0")],
        templates=[COLON],
        shots=[0],
        seeds=1,
        metric="accuracy",
        store=Store(),
    )
    note = f"{WHOLE}: 4.9 for 5.0 is as wrong as 0.1."
    assert result.notes == (note,)
    data = json.loads(json.dumps(result.to_dict()))
    assert data["notes"] == [note]
    assert note in str(result)
    assert note in page.html(data, result.to_records(), None)
    result.save(tmp_path / "run")
    del data["notes"]  # as runs were saved before
    (tmp_path / "run" / "comparison.json").write_text(json.dumps(data), "utf-8")
    run = read_run(tmp_path / "run")
    assert note not in page.html(run.data, result.to_records(), None)


def test_where_errors_are_looked_at_equality_is_said_to_be_beside_them() -> None:
    result = compare(
        open_task(float, 4.9, 0.4, 3.1),
        models=[FakeModel(lambda _: "5.0")],
        templates=[COLON],
        shots=[0],
        seeds=1,
        store=Store(),
    )
    assert result.notes == (
        "Accuracy, beside it, is the share of answers that equal the gold output exactly.",
    )


def test_a_schema_in_a_file_is_looked_through(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"why": {"type": "string"}, "answer": {"enum": ["yes", "no"]}},
        "required": ["why", "answer"],
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    (tmp_path / "task.toml").write_text(
        'name = "t"\n[input]\ntext = "str"\n[output]\nschema = "s.json"\n'
        '[files]\ntests = "d.jsonl"\n'
    )
    row = {"text": "rock", "output": {"why": "It is dead.", "answer": "no"}}
    (tmp_path / "d.jsonl").write_text(json.dumps(row))
    said = exactness(load_task(tmp_path).output_type)
    assert said is not None
    assert 'the text of "why" has to match character by character' in said


@pytest.mark.parametrize("metric", ["mae", "mse", "rank_correlation"])
def test_gates_say_which_there_are(
    metric: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(Path(promptkit.__file__).parents[1] / "examples" / "fruit")
    with pytest.raises(SystemExit) as caught:
        app(["check", folder, "--max", f"{metric}=0.5"], prog_name="promptkit")
    assert caught.value.code == 2
    assert capfd.readouterr().err == (
        f"error: metric '{metric}': these answers have no such metric; choose one of: accuracy, "
        "macro_f1, log_loss, brier, coverage, balanced_accuracy, mcc, kappa, top_2_accuracy, "
        "top_3_accuracy, aurc\n"
    )


def test_a_metric_that_was_misspelt() -> None:
    task = open_task(Literal["a", "b"], "a", "b")
    with pytest.raises(TaskError, match=r"have no such metric.*did you mean 'accuracy'\?"):
        promptkit.check(task, min={"acuracy": 0.5}, models=[FakeModel()], templates=[COLON])
