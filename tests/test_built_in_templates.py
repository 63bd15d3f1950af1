"""The built-in templates, each with its golden prompt in tests/golden/."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Task, Template
from promptkit.templates import BUILT_IN

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name for path in BUILT_IN.glob("*.j2"))


class Fruit(BaseModel):
    name: str
    colour: str


TASK = Task[Fruit, Literal["drupe", "pome"]](
    name="fruit",
    instruction="Name the type of each fruit.",
    demos=[
        Example(input=Fruit(name="peach", colour="orange"), output="drupe"),
        Example(input=Fruit(name="apple", colour="green"), output="pome"),
    ],
)
LEMON = Fruit(name="lemon", colour="yellow")


def test_there_are_four_formats_each_with_and_without_the_label_list() -> None:
    formats = ["chat", "colon", "lines", "qa"]
    assert sorted(NAMES) == sorted(f"{f}{twin}.j2" for f in formats for twin in ("", "-labels"))


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
    if zero.messages:
        assert zero.messages[-2:] == two.messages[-2:]
    else:
        query = "".join(piece.text for piece in zero.pieces if piece.example == zero.query)
        assert query
        assert two.text.endswith(query)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_template_needs_no_labels(name: str) -> None:
    task = Task[Fruit, str](
        name="free", instruction="Describe.", demos=[Example(input=LEMON, output="sour")]
    )
    query = Fruit(name="fig", colour="blue")
    prompt = Template.load(name).render(task, shots=1, query=query)
    assert prompt.candidates is None
    assert "sour" in prompt.text
    assert "Answer with one of" not in prompt.text
