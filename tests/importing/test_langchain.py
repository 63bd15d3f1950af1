"""Few-shot prompts of LangChain: the text is what `langchain-core` 1.7.2 made of the same values.

`importing/langchain.golden.json` was written by its `FewShotPromptTemplate.format`; where the
package is installed, it is asked again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promptkit import Template, load_task
from promptkit.errors import TaskError
from promptkit.importing.plain_values import read
from promptkit.importing.tools import import_file

FOLDER = Path(__file__).parent
GOLDEN: dict[str, Any] = json.loads((FOLDER / "langchain.golden.json").read_text(encoding="utf-8"))
VALUES = {name: golden["values"] for name, golden in GOLDEN.items()}


def peers_text(name: str, shots: int) -> str:
    """What LangChain itself makes of a file."""
    few_shot = pytest.importorskip("langchain_core.prompts.few_shot")
    prompt = pytest.importorskip("langchain_core.prompts.prompt")
    config = dict(read(FOLDER / name).value)
    for key in ("_type", "output_parser"):
        config.pop(key, None)
    if "example_prompt_path" in config:
        config["example_prompt"] = read(FOLDER / config.pop("example_prompt_path")).value
    config["example_prompt"].pop("_type")
    if isinstance(config["examples"], str):
        config["examples"] = read(FOLDER / config["examples"]).value
    config["examples"] = config["examples"][:shots]
    config["example_prompt"] = prompt.PromptTemplate(**config["example_prompt"])
    text: str = few_shot.FewShotPromptTemplate(**config).format(**VALUES[name])
    return text


@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("shots", [0, 2])
def test_the_golden_texts_are_langchain_s(name: str, shots: int) -> None:
    assert peers_text(name, shots) == GOLDEN[name]["texts"][str(shots)]


@pytest.mark.parametrize("name", sorted(GOLDEN))
@pytest.mark.parametrize("shots", [0, 2])
def test_the_text_is_langchain_s(name: str, shots: int, tmp_path: Path) -> None:
    import_file(FOLDER / name).write(tmp_path / "task")
    task = load_task(tmp_path / "task")
    query = GOLDEN[name]["query"]
    prompt = Template.of(task).render(task, shots=shots, query=query, selection="first")
    text = GOLDEN[name]["texts"][str(shots)]
    assert prompt.text == text.rstrip(" ")  # spaces belong to the answer
    if text.endswith(" "):
        assert prompt.text + prompt.lead == text


def test_what_is_read_off_a_file(tmp_path: Path) -> None:
    import_file(FOLDER / "antonyms.json").write(tmp_path / "antonyms")
    task = load_task(tmp_path / "antonyms")
    assert task.instruction == "Write antonyms for the following words."
    assert [(demo.input.input, demo.output) for demo in task.demos] == [
        ("happy", "sad"),
        ("tall", "short"),
    ]
    assert (tmp_path / "antonyms" / "templates" / "prompt.j2").read_text() == (
        "{{ task.instruction }}\n\n{% example %}\nInput: {{ input.input }}\n"
        "Output: {{ output }}\n\n{% endexample %}\n"
    )
    import_file(FOLDER / "sentiment.yaml").write(tmp_path / "sentiment")
    fields = load_task(tmp_path / "sentiment").types()[0].model_fields
    assert {name: field.annotation for name, field in fields.items()} == {
        "review": str,
        "stars": int,
    }


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("antonyms.json", {"examples"}),
        ("sentiment.yaml", {"examples", "output_parser"}),
        ("loop.json", {"examples"}),
    ],
)
def test_what_is_not_carried_over_is_named(name: str, lost: set[str]) -> None:
    found = import_file(FOLDER / name).lost
    assert {each.what for each in found} == lost
    assert all(each.file == str(FOLDER / name) and each.why and each.do for each in found)


BASE: dict[str, Any] = {
    "_type": "few_shot",
    "prefix": "p",
    "example_prompt": {"_type": "prompt", "template": "{q}: {a}"},
    "examples": [{"q": "x", "a": "y"}, {"q": "z", "a": "y"}],
    "suffix": "{q}:",
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "prompt.json"
    path.write_text(json.dumps(BASE | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_type": "chat"}, "_type is 'chat'; promptkit imports `few_shot`"),
        ({"examples": None, "example_selector": {"k": 2}}, "an example selector is code"),
        ({"examples": "../examples.json"}, "leads out of the file's folder"),
        ({"examples": "/etc/passwd"}, "leads out of the file's folder"),
        ({"suffix_path": "../s.txt"}, "leads out of the file's folder"),
        ({"examples": [{"q": "x"}]}, r"examples\[0\] has no 'a'"),
        ({"suffix": ""}, "there is no suffix"),
        ({"suffix": "{q"}, "the template does not parse"),
        ({"suffix": "{q!r}:"}, "{q!r} formats a value"),
        ({"suffix": "{q.__class__}:"}, "formats a value"),
        ({"example_prompt": {"template": "{a}"}}, "does not print an input and an answer"),
        ({"example_prompt": "x"}, "not a mapping with a `template`"),
        ({"template_format": "mustache"}, "promptkit imports f-string and jinja2"),
        ({"prefix": ["a"]}, "prefix is .*, not a text"),
        ({"template_format": "jinja2", "suffix": "{{ ''.__class__ }}{{ q | nope }}"}, "nope"),
    ],
)
def test_what_cannot_be_carried_over(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=reason):
        import_file(write(tmp_path, **changes))


def test_a_value_that_no_example_has_is_named(tmp_path: Path) -> None:
    imported = import_file(write(tmp_path, prefix="Be {tone}."))
    assert 'Be {{ "{tone}" }}.' in imported.tasks[0].templates["prompt.j2"]
    assert any("{tone} is in no example" in lost.why for lost in imported.lost)


def test_an_example_that_stands_twice(tmp_path: Path) -> None:
    imported = import_file(write(tmp_path, examples=BASE["examples"] * 2))
    imported.write(tmp_path / "task")
    assert len(load_task(tmp_path / "task").demos) == 2
    assert any("stands twice" in lost.why for lost in imported.lost)


def test_a_field_whose_name_a_task_keeps_for_itself(tmp_path: Path) -> None:
    changes = {
        "example_prompt": {"template": "{id} {output}: {label}"},
        "examples": [{"id": 1, "output": "x", "label": "y"}],
        "suffix": "{id} {output}:",
    }
    import_file(write(tmp_path, **changes)).write(tmp_path / "task")
    task = load_task(tmp_path / "task")
    prompt = Template.of(task).render(task, shots=1, query={"id_": 2, "output_": "z"})
    assert prompt.text == "p\n\n1 x: y\n\n2 z:"


if __name__ == "__main__":
    queries: dict[str, Any] = {
        "antonyms.json": ({"adjective": "big"}, {"input": "big"}),
        "sentiment.yaml": ({"review": "dull {b}"}, {"review": "dull {b}", "stars": 3}),
        "loop.json": ({"text": "three"}, {"text": "three", "input": ""}),
        "simple.yaml": ({"question": "2 + 2?"}, {"q": "2 + 2?"}),
    }
    for name, (values, query) in queries.items():
        VALUES[name] = values
        texts = {str(shots): peers_text(name, shots) for shots in (0, 2)}
        GOLDEN[name] = {"values": values, "query": query, "texts": texts}
    text = json.dumps(GOLDEN, ensure_ascii=False, indent=1)
    (FOLDER / "langchain.golden.json").write_text(text + "\n", encoding="utf-8")
