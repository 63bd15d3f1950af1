"""Rules of `lint` say nothing where what they advise is already done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from tiny_gguf import CHATML, write_llama

from promptkit import Example, Task, lint
from promptkit.models.llama import LlamaModel, load_model
from promptkit.tasks.scaffold import write_task

BLOCK = "{% example %}\n{{ input.text }}: {{ output }}\n{% endexample %}\n"


class Text(BaseModel):
    text: str


def task_of(kind: Any, outputs: list[Any], texts: list[str], template: str = "colon.j2") -> Any:
    examples = [Example(input=Text(text=t), output=o) for t, o in zip(texts, outputs, strict=True)]
    made: Any = Task[Text, kind]
    return made(name="t", template=template, demos=examples[::2], tests=examples[1::2])


def rules(task: Any, model: LlamaModel, *templates: str | Path) -> set[str]:
    return {finding.rule for finding in lint(task, model=model, templates=templates)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    return load_model(write_llama(tmp_path_factory.mktemp("model") / "m.gguf"), threads=1)


RATED = (Literal[1, 2, 10], [1, 1, 2, 2, 10, 10], ["fine", "weak", "poor", "dull", "best", "top"])


@pytest.mark.parametrize("template", ["colon.j2", "xml.j2", "json.j2", "lines.j2"])
def test_labels_that_begin_others_are_told_apart_by_what_ends_them(
    template: str, model: LlamaModel
) -> None:
    assert "label-prefix" not in rules(task_of(*RATED, template), model)


def test_labels_that_begin_others_where_nothing_ends_them(
    model: LlamaModel, tmp_path: Path
) -> None:
    path = tmp_path / "t.j2"
    path.write_text("{% example %}\n; {{ input.text }}: {{ output }}{% endexample %}\n")
    assert {"label-prefix", "cannot-ask"} <= rules(task_of(*RATED), model, path)


def test_english_is_no_dearer_than_english(model: LlamaModel) -> None:
    names = ["Oscillating", "xylophone", "kQz!", "zygote", "Mjolnir", "#!/bin/sh"]
    kinds = Literal["a", "b"], ["a", "b", "a", "b", "a", "b"]
    assert "token-cost" not in rules(task_of(*kinds, names), model)
    hindi = ["उल्लू रात का पक्षी है", "रोहू मछली है", "a", "b", "c", "d"]
    assert "costly-script" in rules(task_of(*kinds, hindi), model)


def test_raw_text_beside_turns_is_what_a_chat_model_is_compared_with(tmp_path: Path) -> None:
    chat = load_model(write_llama(tmp_path / "m.gguf", chat_template=CHATML), threads=1)
    assert "chat-model-raw" in rules(task_of(*RATED), chat)
    assert "chat-model-raw" not in rules(task_of(*RATED), chat, "colon.j2", "chat.j2")


@pytest.mark.parametrize(
    ("value", "is_said"),
    [
        ("{{ input.name }}", True),
        ("{{ input.name | tojson }}", True),
        ("{{ input.name | trim }}", False),
        ("{% for name, value in input %}{{ value | trim }}{% endfor %}", False),
    ],
)
def test_white_space_that_a_template_trims_stands_in_no_prompt(
    value: str, is_said: bool, tmp_path: Path
) -> None:
    write_task(tmp_path / "t")
    with (tmp_path / "t" / "demos.csv").open("a") as file:
        file.write("wolf ,mammal\n")
    template = tmp_path / "t" / "templates" / "prompt.j2"
    template.write_text(f"{{% example %}}\n{value}: {{{{ output }}}}\n{{% endexample %}}\n")
    found = {finding.rule for finding in lint(tmp_path / "t")}
    assert found == ({"padded-value"} if is_said else set())
