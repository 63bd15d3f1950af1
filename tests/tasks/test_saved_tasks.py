"""A saved task is an equal task, or is refused with what a folder cannot hold."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from output_types import Color, Renamed
from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    computed_field,
    field_serializer,
    model_serializer,
)

from promptkit import Example, Task, Template, load_task, save_task
from promptkit.errors import DataError, PromptkitError, TaskError
from promptkit.tasks.output_type import OutputType


class In(BaseModel):
    text: str


class Rounded(BaseModel):
    x: float

    @field_serializer("x")
    def _rounded(self, value: float) -> str:
        return f"{value:.1f}"


class RoundedTags(Rounded):
    tags: list[str] = []


class Doubled(BaseModel):
    x: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.x


class DoubledTags(Doubled):
    tags: list[str] = []


class Hidden(BaseModel):
    text: str
    number: int = Field(exclude=True)


class HiddenTags(Hidden):
    tags: list[str] = []


class Upper(BaseModel):
    text: str

    @model_serializer
    def _upper(self) -> dict[str, str]:
        return {"text": self.text.upper()}


class Secret(BaseModel):
    word: SecretStr


class Raw(BaseModel):
    data: bytes


class Hue(Enum):
    RED = "red"
    BLUE = "blue"


def task_of(model: Any, *inputs: Any) -> Task[Any, Any]:
    return Task[model, Literal["a"]](name="t", demos=[Example(input=i, output="a") for i in inputs])


@pytest.mark.parametrize(
    ("simple", "nested", "fields", "shown"),
    [
        (Rounded, RoundedTags, {"x": 1.234}, {"x": "1.2"}),
        (Doubled, DoubledTags, {"x": 2}, {"x": 2, "twice": 4}),
        (Hidden, HiddenTags, {"text": "a", "number": 1}, {"text": "a"}),
    ],
)
def test_an_input_is_shown_as_its_type_serialises_it(
    simple: Any, nested: Any, fields: Any, shown: Any
) -> None:
    for model, more in ((simple, {}), (nested, {"tags": []})):
        task = task_of(model, model(**fields))
        assert task.fields_of(task.demos[0]) == {**shown, **more}
        with pytest.raises(TaskError, match=r"which a folder cannot hold|task.toml knows"):
            save_task(task, Path("nowhere"))
    assert not Path("nowhere").exists()
    task = task_of(Upper, Upper(text="a"))
    assert task.fields_of(task.demos[0]) == {"text": "A"}


@pytest.mark.parametrize(
    ("model", "fields", "reason"),
    [
        (Secret, {"word": "x"}, "field 'word'.*a secret hides its value"),
        (Raw, {"data": b"\xff"}, "field 'data'.*bytes that are not UTF-8"),
    ],
)
def test_an_input_that_no_prompt_can_show_is_an_error_of_its_field(
    model: Any, fields: Any, reason: str
) -> None:
    for make in (
        lambda: Example(input=model(**fields)),
        lambda: task_of(model).as_query(fields),
        lambda: Task[model, Literal["a"]](name="t", demos=[{"input": fields, "output": "a"}]),
    ):
        with pytest.raises(DataError, match=reason):
            make()


OUTPUTS: list[tuple[Any, list[Any]]] = [
    (Annotated[str, Field(pattern="^[a-c]$")], ["a", "b"]),
    (Annotated[str, Field(min_length=1, max_length=4)], ["a", "null"]),
    (Annotated[str, "a remark"], ["a", "1"]),
    (Annotated[float, "a remark"], [0.5, 2.0]),
    (Annotated[float, Field(ge=0, le=1)], [0.5, 1.0]),
    (Annotated[int, Field(ge=0)], [0, 1]),
    (bool, [True, False]),
    (Literal[True, False], [True, False]),
    (Literal["b", "a"], ["a", "b"]),
    (Literal[2, 1], [1, 2]),
    (Literal["a", None], [None, "a"]),
    (Color, [Color.RED, Color.BLUE]),
    (Renamed, [Renamed.model_validate({"class": 1, "a word": "w", "first": True})]),
    (dict[Color, int], [{Color.BLUE: 1, Color.RED: 2}]),
]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(("annotation", "golds"), OUTPUTS)
def test_a_saved_task_makes_the_same_prompts(
    tmp_path: Path, annotation: Any, golds: list[Any], format: Any
) -> None:
    demos = [Example(input=In(text=f"x{i}"), output=gold) for i, gold in enumerate(golds)]
    task = Task[In, annotation](name="t", demos=demos)  # type: ignore[valid-type]
    save_task(task, tmp_path, format)
    loaded = load_task(tmp_path)
    assert loaded.labels == task.labels
    assert loaded.output_type.format == task.output_type.format
    asked = {"text": "y"}
    prompts = [
        Template.load("colon.j2").render(t, shots=[*t.demos], query=asked) for t in (task, loaded)
    ]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("annotation", [set[Literal["a"]], dict[str, frozenset[Color]]])
def test_a_set_is_not_saved(tmp_path: Path, annotation: Any) -> None:
    with pytest.raises(TaskError, match="has a set in it, and a folder knows lists only"):
        save_task(Task[In, annotation](name="t"), tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_the_order_of_labels_does_not_depend_on_other_tasks() -> None:
    one, other = Literal["a", "b"], Literal["b", "a"]
    assert Task[In, one](name="t").labels == ("a", "b")
    assert Task[In, other](name="t").labels == ("b", "a")
    assert Task[In, one](name="t").fingerprint != Task[In, other](name="t").fingerprint
    assert OutputType(Task[In, list[other]].types()[1]).schema["items"]["enum"] == ["b", "a"]


def loaded_and_made(folder: Path) -> Iterator[Task[Any, Any]]:
    for number, (annotation, golds) in enumerate(OUTPUTS):
        demos = [Example(input=In(text=f"x{i}"), output=gold) for i, gold in enumerate(golds)]
        task = Task[In, annotation](name="t", demos=demos)  # type: ignore[valid-type]
        save_task(task, folder / str(number))
        yield task
        yield load_task(folder / str(number))


def test_a_task_is_read_from_its_pickle(tmp_path: Path) -> None:
    for task in loaded_and_made(tmp_path):
        _ = task.fingerprint, task.output_type.format, task.demos.by_id("x")
        again = pickle.loads(pickle.dumps(task))
        assert again == task
        assert again.fingerprint == task.fingerprint
        assert pickle.loads(pickle.dumps(task.demos[0])) == task.demos[0]


def fingerprint_and_text(task: Task[Any, Any]) -> tuple[str, str]:
    query = dict.fromkeys(task.types()[0].model_fields, "y")
    prompt = Template.load("colon.j2").render(task, shots=[*task.demos], query=query)
    return task.fingerprint, prompt.text


@pytest.mark.slow
def test_a_task_reaches_a_process_that_was_spawned(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'name = "t"\n[input]\ntext = "str"\nkind = ["y", "n"]\n[output]\nlabels = ["b", "a"]\n'
        '[files]\ndemos = "d.csv"\n'
    )
    (tmp_path / "d.csv").write_text("text,kind,output\nx,y,a\n")
    task = load_task(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(fingerprint_and_text, (task,)) == fingerprint_and_text(task)


def test_a_list_as_an_input_field_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = 'name = "t"\n[input]\nchoices = "list"\n[output]\nlabels = ["A", "B"]\n'
    (tmp_path / "task.toml").write_text(text)
    with pytest.raises(PromptkitError, match="options that differ from row to row"):
        load_task(tmp_path)


class Inner(BaseModel):
    n: int = Field(default=3, alias="N")


class Filled(BaseModel):
    kind: Literal["a", "b"]
    note: str = ""
    more: list[int] = Field(default_factory=list)
    inner: Inner = Inner()


def test_what_an_answer_leaves_out_is_the_default_after_loading_too(tmp_path: Path) -> None:
    demos = [Example(input=In(text="x"), output=Filled(kind="a"))]
    task = Task[In, Filled](name="t", demos=demos)
    save_task(task, tmp_path)
    for one in (task, load_task(tmp_path)):
        output, gold = one.output_type, one.demos[0].output
        for text in ('{"kind": "a"}', '{"kind": "a", "inner": {}}', output.text(gold)):
            assert output.same(output.parse(text), gold)
        for text in ('{"kind": "b"}', '{"kind": "a", "inner": {"N": 4}}'):
            assert not output.same(output.parse(text), gold)
