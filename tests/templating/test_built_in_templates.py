"""The built-in templates, each with its golden prompt in tests/templating/golden/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from formats_page import ORDER, PAGE, page
from pydantic import BaseModel

from promptkit import Example, FakeModel, Task, Template, compare, load_task
from promptkit.errors import TemplateError
from promptkit.templating.template import BUILT_IN

if TYPE_CHECKING:
    from promptkit.models.llama import LlamaModel

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name for path in BUILT_IN.glob("*.j2"))


class Fruit(BaseModel):
    name: str
    colour: str


TASK = Task[Fruit, Literal["drupe", "pome", "pepo"]](
    name="fruit",
    instruction="Name the type of each fruit.",
    demos=[
        Example(input=Fruit(name="peach", colour="orange"), output="drupe"),
        Example(input=Fruit(name="apple", colour="green"), output="pome"),
    ],
)
LEMON = Fruit(name="lemon", colour="yellow")


def test_every_format_is_on_the_page_and_has_a_twin_with_the_label_list() -> None:
    listed = [name for name in ORDER if not name.startswith("letters")]
    twins = [f"{name}-labels" for name in listed]
    assert sorted(NAMES) == sorted(f"{name}.j2" for name in [*ORDER, *twins])
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


def test_the_page_of_formats_is_written_from_the_golden_prompts() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_template_renders_its_golden_prompt(name: str) -> None:
    prompt = Template.load(name).render(TASK, shots=TASK.demos[:2], query=LEMON)
    shown = f"{prompt}⟨{'|'.join(prompt.candidates or ())}⟩{prompt.stop}"
    assert shown == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_zero_shots_leave_the_query_as_it_is_after_shots(name: str) -> None:
    template = Template.load(name)
    zero = template.render(TASK, shots=0, query=LEMON)
    two = template.render(TASK, shots=2, query=LEMON)
    assert (zero.candidates, zero.stop) == (two.candidates, two.stop)
    if name.startswith("chat-one-turn"):
        assert two.messages[-1].content.endswith(zero.messages[-1].content)
    elif zero.messages:
        assert zero.messages[-2:] == two.messages[-2:]
    else:
        query = "".join(piece.text for piece in zero.pieces if piece.example == zero.query)
        assert query
        assert two.text.endswith(query)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_template_needs_no_labels_but_for_letters(name: str) -> None:
    task = Task[Fruit, str](
        name="free", instruction="Describe.", demos=[Example(input=LEMON, output="sour")]
    )
    query = Fruit(name="fig", colour="blue")
    if name.startswith("letters"):
        with pytest.raises(TemplateError, match="the answers of this task are generated"):
            Template.load(name).render(task, shots=1, query=query)
        return
    prompt = Template.load(name).render(task, shots=1, query=query)
    assert prompt.candidates is None
    assert "sour" in prompt.text
    assert "Answer with one of" not in prompt.text


def test_the_orders_of_options_differ_and_nothing_else_does() -> None:
    sources = [
        (BUILT_IN / f"letters{order}.j2").read_text(encoding="utf-8").partition("\n")[2]
        for order in ("", "-reversed", "-shuffled")
    ]
    assert sources[1].replace("options | reverse", "options") == sources[0]
    assert sources[2].replace("options | shuffle(2)", "options") == sources[0]


def test_json_lines_are_json() -> None:
    prompt = Template.load("json.j2").render(TASK, shots=TASK.demos[:2], query=LEMON)
    lines = prompt.text.splitlines()[2:]
    whole = [*lines[:-1], f"{lines[-1]}{(prompt.candidates or ())[0]}}}"]
    assert json.loads(whole[0]) == {"name": "peach", "colour": "orange", "answer": "drupe"}
    assert json.loads(whole[-1])["answer"] == "drupe"


@pytest.mark.slow
def test_all_formats_compare_on_the_fruit_task(tmp_path: Path) -> None:
    task = load_task(Path(__file__).parents[2] / "examples" / "fruit")
    templates = [Template.load(BUILT_IN / name) for name in NAMES]
    grid = {"templates": templates, "shots": [0, 2], "seeds": 1, "limit": 3}
    result = compare(task, models=[FakeModel()], store=tmp_path / "store.sqlite", **grid)
    rows = result.to_dict()["rows"]
    assert {row["template"] for row in rows} == set(NAMES)
    assert all(row["n"] == 3 for row in rows)


@pytest.mark.model
def test_all_formats_compare_with_the_bundled_model(smollm2: LlamaModel, tmp_path: Path) -> None:
    task = load_task(Path(__file__).parents[2] / "examples" / "fruit")
    templates = [Template.load(BUILT_IN / name) for name in NAMES]
    grid = {"templates": templates, "shots": [0, 2], "seeds": 1, "limit": 1}
    result = compare(task, models=[smollm2], store=tmp_path / "store.sqlite", **grid)
    assert {row["template"] for row in result.to_dict()["rows"]} == set(NAMES)
