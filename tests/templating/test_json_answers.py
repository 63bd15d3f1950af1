"""`json.j2` writes lines of JSON for every kind of output, and answers are read back from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from promptkit import Example, FakeModel, Prompt, Task, Template, compare
from promptkit.errors import TemplateError
from promptkit.tasks.verbalizers import Verbalizer


class Text(BaseModel):
    text: str


class Place(BaseModel):
    town: str
    years: list[int]


class Size(Enum):
    SMALL = 1
    LARGE = 10


CASES: list[tuple[Any, list[Any]]] = [
    (str, ['say "hi"', "C:\\dir", "two\nlines", "\u2028 \x07 ✓"]),
    (int, [1, -20]),
    (float, [0.5, 1e22]),
    (bool, [True, False]),
    (date, [date(2024, 1, 5)]),
    (Decimal, [Decimal("1.50")]),
    (Place, [Place(town='the "Hague"', years=[1, 2])]),
    (list[str], [["a", 'b"']]),
    (dict[str, int], [{"a": 1}]),
    (Optional[int], [3]),  # noqa: UP045 - as people write it
    (Literal["yes", 'so "so"'], ["yes", 'so "so"']),
    (Literal[1, 2, 10], [1, 10]),
    (Size, [Size.SMALL, Size.LARGE]),
    (Annotated[str, Field(max_length=9)], ["a\nb"]),
]


def task_of(kind: Any, outputs: Sequence[Any], tests: Sequence[Any] = ()) -> Task[Any, Any]:
    def examples(part: str, values: Sequence[Any]) -> list[Any]:
        texts = (f'{part} "{number}"\n' for number in range(len(values)))
        return [Example(input=Text(text=t), output=o) for t, o in zip(texts, values, strict=True)]

    demos, asked = examples("demo", outputs), examples("test", tests)
    return Task[Text, kind](name="t", instruction="Answer.", demos=demos, tests=asked)


def lines(prompt: Prompt) -> list[str]:
    return [line for line in prompt.text.split("\n") if line.startswith("{")]


@pytest.mark.parametrize(("kind", "outputs"), CASES, ids=lambda value: str(value)[:40])
def test_a_line_is_json_with_the_answer_that_is_known(kind: Any, outputs: list[Any]) -> None:
    task = task_of(kind, outputs)
    for name in ("json.j2", "json-labels.j2"):
        prompt = Template.load(name).render(task, shots=task.demos[:], query=Text(text="x"))
        for line, output in zip(lines(prompt), outputs, strict=False):
            read = json.loads(line)
            assert list(read) == ["text", "answer"]
            assert read["answer"] == TypeAdapter(kind).dump_python(output, mode="json")
        last = prompt.text.split("\n")[-1]
        assert last == '{"text": "x", "answer":'
        assert (prompt.lead, prompt.stop) == (" ", "}\n")
        for candidate, value in zip(
            prompt.candidates or (), task.output_type.values.values(), strict=False
        ):
            plain = value.value if isinstance(value, Enum) else value
            assert json.loads(last + candidate + prompt.stop)["answer"] == plain


@pytest.mark.parametrize(("kind", "outputs"), CASES, ids=lambda value: str(value)[:40])
def test_an_answer_is_read_back_from_json(kind: Any, outputs: list[Any], tmp_path: Path) -> None:
    task = task_of(kind, outputs, outputs[-1:])
    gold = task.tests[0].output
    said = json.dumps(TypeAdapter(kind).dump_python(gold, mode="json"), ensure_ascii=False)
    result = compare(
        task,
        models=[FakeModel(answer=lambda prompt: said)],
        templates=["json.j2"],
        shots=[0],
        seeds=1,
        store=tmp_path / "store.sqlite",
    )
    (prediction,) = result.predictions
    assert prediction.failure is None
    assert prediction.correct


def test_a_generated_text_is_a_json_string_under_a_grammar() -> None:
    task = task_of(str, ["a"])
    plain = Template.load("colon.j2").render(task, query=Text(text="x"))
    assert plain.format is None
    written = Template.load("json.j2").render(task, query=Text(text="x"))
    assert written.format is not None
    assert written.format.kind == "json"
    assert json.loads(written.format.schema) == {"type": "string"}


def test_a_plain_loop_that_writes_json_asks_for_json() -> None:
    task = task_of(str, ["a\nb"])
    source = (
        '{% for shot in shots %}\n{"t": {{ shot.input.text | tojson }}, '
        '"a": {{ shot.output | tojson }}}\n{% endfor %}\n{"t": {{ query.text | tojson }}, "a":'
    )
    for shots in (0, 1):
        prompt = Template(source).render(task, shots=shots, query=Text(text="x"))
        assert prompt.format is not None
        assert prompt.stop == "}\n"


def test_words_for_labels_are_texts_in_json() -> None:
    task = task_of(bool, [True])
    words = Verbalizer("words", {"true": "yes", "false": "no"})
    prompt = Template.load("json.j2").render(task, shots=1, query=Text(text="x"), verbalizer=words)
    assert json.loads(lines(prompt)[0])["answer"] == "yes"
    assert prompt.candidates == (' "yes"', ' "no"')


@pytest.mark.parametrize("filters", ["tojson | tojson", "tojson(indent=2)"])
def test_what_cannot_be_read_back_is_refused(filters: str) -> None:
    source = "{% example %}\n{{ input.text }} {{ output | FILTERS }}\n{% endexample %}"
    source = source.replace("FILTERS", filters)
    with pytest.raises(TemplateError, match="written as JSON once, and on one line"):
        Template(source).render(task_of(str, ["a"]), shots=0, query=Text(text="x"))


@pytest.mark.model
def test_the_bundled_model_answers_in_json(smollm2: Any, tmp_path: Path) -> None:
    task = task_of(str, ["say 'a'", 'say "b"'], ["c"])
    result = compare(
        task,
        models=[smollm2],
        templates=["json.j2"],
        shots=[2],
        seeds=1,
        store=tmp_path / "store.sqlite",
    )
    (prediction,) = result.predictions
    assert prediction.failure is None
    assert prediction.text is not None
    assert json.loads(prediction.text) == prediction.label
