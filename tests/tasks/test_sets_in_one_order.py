"""Sets are written in one order in every process, in outputs and in inputs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SOURCE = """
from enum import Enum
from typing import Literal
from pydantic import BaseModel, RootModel
from promptkit import Example, Task, Template
from promptkit.tasks.examples import text_key

class Color(Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"

class Tags(RootModel[frozenset[str]]):
    pass

class Inner(BaseModel):
    words: set[str]

class In(BaseModel):
    text: str
    tags: Tags
    inner: dict[str, list[Inner]]
    pairs: frozenset[frozenset[str]]

class Out(BaseModel):
    colors: frozenset[Color]
    words: set[str]

words = {"one", "two", "three", "four"}
given = In(
    text="x", tags=Tags(frozenset(words)), inner={"a": [Inner(words=words)]},
    pairs=frozenset({frozenset({"a", "b"}), frozenset({"c", "d", "e"})}),
)
asked = In(text="y", tags=Tags(frozenset()), inner={}, pairs=frozenset())
for annotation, gold in (
    (set[Literal["sport", "money", "world", "art"]], {"sport", "money", "world"}),
    (frozenset[Color], frozenset(Color)),
    (set[str], words),
    (set[int], {10, 9, 100, -1}),
    (Out, Out(colors=frozenset(Color), words=words)),
    (dict[str, set[str]], {"a": words}),
):
    demo = Example(input=given, output=gold)
    task = Task[In, annotation](name="t", demos=[demo], tests=[Example(input=asked, output=gold)])
    prompt = Template.load("json.j2").render(task, shots=1, query=task.tests[0])
    print(demo.id, task.fingerprint, prompt.sha256, text_key(given), task.demos.fingerprint)
    print(repr(prompt.text), task.output_type.plain(gold))
"""


@pytest.mark.slow
def test_a_set_is_written_in_one_order_in_every_process() -> None:
    said = set()
    for seed in ("0", "1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", SOURCE]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        said.add(done.stdout)
    assert len(said) == 1
    (text,) = said
    assert "['art'" not in text
    assert "['money', 'sport', 'world']" in text
    assert "[-1, 9, 10, 100]" in text
