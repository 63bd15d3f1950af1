"""Tasks in several languages: files, errors with their lines, and the same task in each."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from promptkit import Example, Task, Template, lint, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks.asked_language import as_asked, own_task, task_in
from promptkit.tasks.languages import TAG, Languages

TOML = """
name = "fruit"
language = "en"
instruction = "Name the type."
template = "lines.j2"

[input]
name = "str"
colour = ["red", "green"]

[output]
labels = ["drupe", "pome"]

[languages.hi]
instruction = "वर्ग बताइए।"
labels = { drupe = "अष्ठिल", pome = "पोम" }
fields = { name = "फल", output = "वर्ग" }

[files]
demos = "demos.csv"
tests = "tests.csv"
"""
DEMOS = "id,name,name_hi,colour,output\np,peach,आड़ू,red,drupe\na,apple,सेब,green,pome\n"
TESTS = "id,name,name_hi,colour,output\nq,quince,बिही,green,pome\n"


def write(folder: Path, toml: str = TOML, **files: str) -> Path:
    for name, text in {"demos": DEMOS, "tests": TESTS, **files}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / "task.toml").write_text(toml, encoding="utf-8")
    return folder


def refused(folder: Path, error: type[Exception] = DataError) -> str:
    with pytest.raises(error) as found:
        load_task(folder)
    return str(found.value).replace(f"{folder}/", "")


def test_a_task_is_the_same_in_another_language(tmp_path: Path) -> None:
    task = load_task(write(tmp_path))
    hindi = task_in(task, "hi")
    assert [demo.input.name for demo in hindi.demos] == ["आड़ू", "सेब"]
    assert [demo.input.colour for demo in hindi.demos] == ["red", "green"]
    assert [demo.id for demo in hindi.demos] == ["p", "a"]
    assert [demo.output for demo in hindi.demos] == ["drupe", "pome"]
    assert hindi.instruction == "वर्ग बताइए।"
    assert hindi.labels == task.labels
    assert hindi.words is not None
    assert hindi.words.words == {"drupe": "अष्ठिल", "pome": "पोम"}
    assert "name_hi" not in task.demos[0].metadata


def test_a_task_goes_to_another_language_and_back(tmp_path: Path) -> None:
    task = load_task(write(tmp_path))
    hindi = task_in(task, "hi")
    assert own_task(hindi) == task
    assert own_task(hindi).fingerprint == task.fingerprint
    assert task_in(hindi, "en").demos == task.demos
    assert task_in(task, "hi") is hindi
    assert task_in(hindi, "hi") is hindi
    assert task_in(hindi, "en").instruction == "Name the type."


def test_a_copy_of_a_task_keeps_no_translation_of_the_other(tmp_path: Path) -> None:
    task = load_task(write(tmp_path))
    assert task_in(task, "hi").near_duplicates == "exclude"
    copy = task.model_copy(update={"near_duplicates": "allow"})
    assert task_in(copy, "hi").near_duplicates == "allow"


def test_queries_are_asked_in_the_language_of_the_shots(tmp_path: Path) -> None:
    task = load_task(write(tmp_path))
    hindi = task_in(task, "instruction=en,shots=hi,labels=en")
    (asked,) = as_asked(hindi, task.tests)
    assert asked is hindi.tests[0]
    assert as_asked(hindi, [asked]) == [asked]
    assert as_asked(task, [asked]) == [*task.tests]
    new = task.as_query({"name": "नाशपाती", "colour": "green"})
    assert as_asked(hindi, [new]) == [new]


@pytest.mark.parametrize("language", ["en", "hi", "instruction=en,shots=hi,labels=hi"])
def test_a_prompt_is_in_its_languages(tmp_path: Path, language: str) -> None:
    task = task_in(load_task(write(tmp_path)), language)
    prompt = Template.of(task).render(task, shots=1, query=task.tests[0])
    hindi = language != "en"
    first = "वर्ग बताइए।" if language == "hi" else "Name the type."
    shown = {False: ("Name: quince", "drupe|pome"), True: ("फल: बिही", "अष्ठिल|पोम")}[hindi]
    assert prompt.text.startswith(first)
    assert shown[0] in prompt.text
    assert [one.strip() for one in prompt.candidates or ()] == shown[1].split("|")
    assert prompt.query == "q"


def test_templates_name_fields_in_the_language_of_the_shots(tmp_path: Path) -> None:
    source = "{% example %}{{ task.fields.name }}/{{ task.fields.output }}: {{ output }};"
    template = Template(source + "{% endexample %}")
    task = load_task(write(tmp_path))
    assert template.render(task, query=task.tests[0]).text == "name/output:"
    hindi = task_in(task, "hi")
    assert template.render(hindi, query=task.tests[0]).text == "फल/वर्ग:"


def test_shots_may_be_given_in_any_language(tmp_path: Path) -> None:
    task = load_task(write(tmp_path))
    hindi = task_in(task, "hi")
    template = Template("{% example %}{{ input.name }}: {{ output }}\n{% endexample %}")
    given = template.render(hindi, shots=task.demos[:1], query=task.tests[0])
    assert given.text == "आड़ू: अष्ठिल\nबिही:"


def test_json_lines_have_the_same_columns(tmp_path: Path) -> None:
    rows = [{"id": "p", "name": "peach", "name_hi": "आड़ू", "colour": "red", "output": "drupe"}]
    rows.append({"id": "a", "name": "apple", "colour": "red", "output": "pome"})
    toml = TOML.replace("demos.csv", "demos.jsonl")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (tmp_path / "demos.jsonl").write_text("".join(lines), encoding="utf-8")
    assert "demos.jsonl:2" in refused(write(tmp_path, toml))
    (tmp_path / "demos.jsonl").write_text(lines[0], encoding="utf-8")
    assert task_in(load_task(tmp_path), "hi").demos[0].input.name == "आड़ू"


def test_a_missing_translation_is_an_error_at_its_line(tmp_path: Path) -> None:
    message = refused(write(tmp_path, demos=DEMOS.replace("सेब", "")))
    assert "demos.csv:3" in message
    assert "name_hi" in message
    assert "no translation" in message


def test_a_missing_column_of_translations_is_an_error(tmp_path: Path) -> None:
    message = refused(write(tmp_path, tests="id,name,colour,output\nq,quince,green,pome\n"))
    assert "tests.csv" in message
    assert "name_hi" in message


def test_an_unknown_language_of_a_column_is_an_error_at_its_line(tmp_path: Path) -> None:
    tests = "id,name,name_hi,name_de,colour,output\nq,quince,बिही,Quitte,green,pome\n"
    message = refused(write(tmp_path, tests=tests))
    assert "tests.csv:2" in message
    assert "unknown language 'de'" in message


def test_fields_that_are_the_same_need_no_column(tmp_path: Path) -> None:
    toml = TOML.replace("fields = {", 'same = ["name"]\nfields = {')
    task = load_task(write(tmp_path, toml, tests="id,name,colour,output\nq,quince,green,pome\n"))
    assert task_in(task, "hi").tests[0].input.name == "quince"
    assert task_in(task, "hi").demos[0].input.name == "आड़ू"


def test_two_rows_that_become_one_in_a_language_are_an_error(tmp_path: Path) -> None:
    message = refused(write(tmp_path, tests=TESTS.replace("बिही", "सेब").replace("green", "green")))
    assert "tests.csv:2" in message
    assert "in hi: this test is also in the pool" in message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (', pome = "पोम"', "", "languages.hi.labels: no word for the label 'pome'"),
        ('pome = "पोम"', 'pomme = "पोम"', "languages.hi.labels: 'pomme' is not one of the labels"),
        ('pome = "पोम"', 'pome = "अष्ठिल"', "stands for both"),
        ('instruction = "वर्ग बताइए।"\n', "", "languages.hi.instruction: missing"),
        ('language = "en"\n', "", "language: missing"),
        ("fields = { name", "fields = { nome", "languages.hi.fields: unknown field 'nome'"),
        ("[languages.hi]", "[languages.hindi-X]", "languages.hindi-X: a language tag of BCP 47"),
        ('language = "en"', 'language = "English"', "language: a language tag of BCP 47"),
        ('instruction = "वर्ग', 'instrution = "वर्ग', "did you mean 'instruction'"),
    ],
)
def test_texts_of_a_language_are_checked(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in TOML
    message = refused(write(tmp_path, TOML.replace(old, new)), TaskError)
    assert message.startswith("task.toml:")
    assert reason in message


def test_labels_without_words_are_an_error(tmp_path: Path) -> None:
    toml = re.sub("labels = { .*\n", "", TOML)
    assert "languages.hi.labels: missing" in refused(write(tmp_path, toml), TaskError)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("hi", "hi"),
        ("shots=hi", "hi (instruction en, labels en)"),
        ("instruction=hi", "en (instruction hi)"),
        ("instruction=en, shots=hi, labels=hi", "hi (instruction en)"),
    ],
)
def test_languages_have_names(given: str, name: str) -> None:
    assert Languages.of(given, "en").name == name


@pytest.mark.parametrize("given", ["shot=hi", "shots=hi,shots=en", "shots=", "hi,shots=en"])
def test_languages_that_are_none(given: str) -> None:
    with pytest.raises(TaskError, match="instruction=en,shots=hi,labels=hi"):
        Languages.of(given, "en")


def test_an_unknown_language_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="unknown language 'de'; choose one of: en, hi"):
        task_in(load_task(write(tmp_path)), "de")


def test_a_task_without_languages_says_so() -> None:
    with pytest.raises(TaskError, match="its own only"):
        task_in(load_task("examples/fruit"), "hi")


@pytest.mark.parametrize("tag", ["hi", "pt-BR", "hi-Latn", "zh-Hant-TW", "es-419", "ca-valencia"])
def test_tags(tag: str) -> None:
    assert re.fullmatch(TAG, tag)


@pytest.mark.parametrize("tag", ["", "h", "HI", "hi_IN", "hi-in", "english", "हि"])
def test_texts_that_are_no_tags(tag: str) -> None:
    assert not re.fullmatch(TAG, tag)


class Word(BaseModel):
    word: str


def python_task(**more: Any) -> Task[Word, Literal["yes", "no"]]:
    demos = [
        Example(input=Word(word=w), output=o, id=w, translations={"hi": Word(word=f"हि{w}")})
        for w, o in (("one", "yes"), ("two", "no"))
    ]
    labels = {"yes": "हाँ", "no": "नहीं"}
    languages = {"hi": {"instruction": "बताइए", "labels": labels}}
    given = {"demos": demos, "language": "en", "languages": languages, **more}
    return Task[Word, Literal["yes", "no"]](name="words", instruction="Say.", **given)


def test_a_task_in_python_has_languages() -> None:
    hindi = task_in(python_task(), "hi")
    assert hindi.demos[0].input.word == "हिone"
    assert hindi.instruction == "बताइए"


def test_a_task_in_python_lacks_no_translation() -> None:
    demos = [{"input": {"word": "one"}, "output": "yes", "id": "one"}]
    with pytest.raises(DataError, match="no translation into 'hi'"):
        python_task(demos=demos)


def test_controls_use_the_words_of_the_language() -> None:
    hindi = task_in(python_task(), "hi")
    assert hindi.verbalizer("labels").words == {"yes": "हाँ", "no": "नहीं"}
    assert hindi.verbalizer("swapped").words == {"yes": "नहीं", "no": "हाँ"}
    assert hindi.verbalizer("symbols").words == {"yes": "A", "no": "B"}
    with pytest.raises(TaskError, match="casing"):
        hindi.verbalizer("upper")


def test_words_of_a_verbalizer_are_in_one_language() -> None:
    task = python_task(verbalizers={"plain": {"yes": "yep", "no": "nope"}})
    with pytest.raises(TaskError, match="labels=en"):
        task_in(task, "hi").verbalizer("plain")
    assert task_in(task, "shots=hi").verbalizer("plain").words["yes"] == "yep"


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_task_with_languages_is_saved(tmp_path: Path, format: Literal["csv", "jsonl"]) -> None:
    task = load_task(write(tmp_path))
    save_task(task, tmp_path / "copy", format)
    again = load_task(tmp_path / "copy")
    assert again.fingerprint == task.fingerprint
    assert again.languages == task.languages
    assert task_in(again, "hi").demos == task_in(task, "hi").demos


def test_every_language_is_linted(tmp_path: Path) -> None:
    clean = {one.rule for one in lint(load_task(write(tmp_path)))}
    marked = DEMOS.replace("सेब", "से\u200bब")
    found = [one for one in lint(write(tmp_path, demos=marked)) if one.rule not in clean]
    assert [(one.rule, one.line) for one in found] == [("invisible-character", 3)]


HINDI = load_task("examples/fruit-hi")


@pytest.mark.parametrize("language", ["hi", "en", "hi (instruction en)"])
def test_the_hindi_example_renders_its_golden_prompts(language: str) -> None:
    parts = "instruction=en,shots=hi,labels=hi" if "(" in language else language
    task = task_in(HINDI, parts)
    prompt = Template.of(task).render(task, shots=task.demos[:2], query=task.tests[0])
    shown = f"{prompt}⟨{'|'.join(prompt.candidates or ())}⟩{prompt.stop}"
    golden = Path(__file__).parent / "fruit_hi" / f"{language}.txt"
    assert shown == golden.read_text(encoding="utf-8")


def test_the_hindi_example_is_the_fruit_task() -> None:
    fruit, english = load_task("examples/fruit"), task_in(HINDI, "en")
    assert english.words is not None
    words = english.words.words
    for part in ("demos", "tests"):
        theirs = [(one.input.name, one.output) for one in getattr(fruit, part)]
        assert [(one.input.name, words[one.output]) for one in getattr(english, part)] == theirs


def test_the_hindi_example_is_in_nfc_and_devanagari() -> None:
    import unicodedata

    for file in Path("examples/fruit-hi").rglob("*.*"):
        text = file.read_text(encoding="utf-8")
        assert unicodedata.normalize("NFC", text) == text, file
    for example in (*HINDI.demos, *HINDI.tests):
        letters = [char for char in example.input.name if char.isalpha()]
        assert all("\u0900" <= char <= "\u097f" for char in letters), example.id
