"""`[audit]` of task.toml: slots, terms, sentences, and what is wrong with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from promptkit import load_task, save_task
from promptkit.errors import PromptkitError
from promptkit.tasks.swap_slots import Swaps, SwapTerm, slots_of
from promptkit.tasks.task_file import json_schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEAD = """
name = "t"
[input]
text = "str"
[output]
labels = ["a", "b"]
"""
PERSON = """
[audit.swap.person]
terms = ["Sam"]
[audit.swap.person.groups.female]
terms = ["Anna", { text = "Fatima", forms = { object = "HER" } }]
forms = { object = "her" }
[audit.swap.person.groups.male]
terms = ["Ben"]
forms = { object = "him" }
"""


def folder(path: Path, *parts: str, rows: str | None = None) -> Path:
    text = HEAD
    if rows is not None:
        (path / "audit.csv").write_text(rows, "utf-8")
        text += '[files]\naudit = "audit.csv"\n'
    text += "".join(parts)
    (path / "task.toml").write_text(text, "utf-8")
    jsonschema.Draft7Validator(json.loads(json_schema())).validate(tomllib.loads(text))
    return path


def test_terms_have_the_forms_of_their_group(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path, PERSON))
    assert task.swaps.slots["person"].terms == (
        SwapTerm("Sam"),
        SwapTerm("Anna", {"object": "her"}, "female"),
        SwapTerm("Fatima", {"object": "HER"}, "female"),
        SwapTerm("Ben", {"object": "him"}, "male"),
    )
    assert task.swaps.slots["person"].groups == ("female", "male")


def test_sentences_stand_in_task_toml_or_in_a_file(tmp_path: Path) -> None:
    inline = '[audit]\nsentences = ["{person} is here."]\n'
    rows = "text,output\n{person} is late.,a\n{Person} is {{late}}.,\n"
    task = load_task(folder(tmp_path, inline, PERSON, rows=rows))
    assert [one.input.text for one in task.swaps.sentences] == [
        "{person} is here.",
        "{person} is late.",
        "{Person} is {{late}}.",
    ]
    assert [one.output for one in task.swaps.sentences] == [None, "a", None]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_saved_task_has_the_same_terms(tmp_path: Path, format: str) -> None:
    task = load_task(folder(tmp_path, PERSON, rows="text\n{person} is late.\n"))
    save_task(task, tmp_path / "copy", format)  # type: ignore[arg-type]
    again = load_task(tmp_path / "copy")
    assert again.swaps.slots == task.swaps.slots
    assert [one.input for one in again.swaps.sentences] != []
    assert [one.input.text for one in again.swaps.sentences] == ["{person} is late."]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{persn} is here", r"unknown slot \{persn\}; did you mean 'person'\?"),
        (
            "{place} is here",
            r"unknown slot \{place\}; there is person; the terms of another one go",
        ),
        ("I saw {person.object}", r"the term 'Sam' of the slot 'person' has no form 'object'"),
        ("I saw {person.objct}", r"has no form 'objct'; did you mean 'object'\?"),
        ("I saw {", r"the brace '\{' belongs to no slot; write it twice"),
        ("I saw {}", r"\{\} is no slot; a slot is \{name\} or \{name.form\}"),
        ("I saw { person }", r"\{ person \} is no slot"),
    ],
)
def test_what_cannot_be_filled_is_told_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    with pytest.raises(PromptkitError, match=rf"audit\.csv:3, example .*{reason}"):
        load_task(folder(tmp_path, PERSON, rows=f"text\n{{person}} is here.\n{row}\n"))


@pytest.mark.parametrize(
    ("audit", "reason"),
    [
        ('[audit.swap.person]\nterms = ["Anna"]', "audit.swap.person: only the term 'Anna'"),
        ("[audit.swap.person]\n", "audit.swap.person: no term; a swap needs two or more"),
        ('[audit.swap.person]\nterms = ["A", "B", "A"]', "the term 'A' is repeated"),
        ('[audit.swap.person]\nterms = ["A", " "]', "has an empty text"),
        ('[audit.swap."a b"]\nterms = ["A", "B"]', "'a b' is no name for a slot or a form"),
    ],
)
def test_a_slot_without_use_is_an_error(tmp_path: Path, audit: str, reason: str) -> None:
    with pytest.raises(PromptkitError, match=reason):
        load_task(folder(tmp_path, audit))


@pytest.mark.parametrize(
    ("audit", "reason"),
    [
        ('[audit.swap]\nperson = ["A", "B"]', r"audit\.swap\.person: a slot is a table"),
        ("[audit.swap.person]\nterms = [1, 2]", r"audit\.swap\.person: a slot is a table"),
        ('[audit.swap.person]\nterm = ["A", "B"]', r"audit\.swap\.person\.term: unknown key"),
        ('[audit]\nsentence = ["A"]', r"audit\.sentence: unknown key; did you mean 'sentences'\?"),
    ],
)
def test_a_key_of_another_kind_is_an_error(tmp_path: Path, audit: str, reason: str) -> None:
    (tmp_path / "task.toml").write_text(HEAD + audit, "utf-8")
    data = tomllib.loads(HEAD + audit)
    assert not jsonschema.Draft7Validator(json.loads(json_schema())).is_valid(data)
    with pytest.raises(PromptkitError, match=reason):
        load_task(tmp_path)


def test_sentences_in_task_toml_are_for_one_text(tmp_path: Path) -> None:
    text = HEAD.replace('text = "str"', 'text = "str"\nyear = "int"')
    (tmp_path / "task.toml").write_text(f'{text}[audit]\nsentences = ["x"]\n', "utf-8")
    with pytest.raises(PromptkitError, match=r"audit\.sentences: they are for an input of one"):
        load_task(tmp_path)


def test_slots_in_python() -> None:
    made = slots_of({"place": ["Rome", SwapTerm("Oslo")], "who": {"f": ["Ann"], "m": ["Ben"]}})
    assert [term.text for term in made["place"].terms] == ["Rome", "Oslo"]
    assert made["who"].groups == ("f", "m")
    assert Swaps() == Swaps({}, ())
    with pytest.raises(PromptkitError, match="swaps: a: 'no' is no list of terms"):
        slots_of({"a": "no"})
