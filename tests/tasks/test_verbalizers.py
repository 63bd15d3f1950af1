"""Verbalizers: which word stands for each label."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tiny_gguf import write_llama

from promptkit import Example, Task, Template, lint, load_model, load_task, save_task
from promptkit.errors import TaskError, TemplateError
from promptkit.tasks.verbalizers import Verbalizer, cased, control
from promptkit.templating.template import BUILT_IN

LABELS = ("drupe", "pome", "pepo")
WORDS = {"drupe": "stone fruit", "pome": "core fruit", "pepo": "gourd"}


class Fruit(BaseModel):
    name: str


def fruit_task(**changed: Any) -> Task[Fruit, Literal["drupe", "pome", "pepo"]]:
    pairs = {"peach": "drupe", "apple": "pome", "melon": "pepo"}
    demos = [Example(input=Fruit(name=n), output=label) for n, label in pairs.items()]
    fields = {"name": "fruit", "demos": demos, "verbalizers": {"plain": WORDS}, **changed}
    return Task[Fruit, Literal["drupe", "pome", "pepo"]](**fields)


LOOP = "{% for s in shots %}\n{{ s.input.name }}: {{ s.output }}\n{% endfor %}\n{{ query.name }}:"
BLOCK = "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"
QUERY = Fruit(name="plum")


@pytest.mark.parametrize("source", [BLOCK, LOOP])
def test_words_stand_for_labels_in_shots_and_candidates(source: str) -> None:
    task = fruit_task()
    prompt = Template(source).render(
        task, shots=task.demos[:2], query=QUERY, verbalizer=task.verbalizer("plain")
    )
    assert prompt.text == "peach: stone fruit\napple: core fruit\nplum:"
    assert prompt.candidates == (" stone fruit", " core fruit", " gourd")


@pytest.mark.parametrize("source", [BLOCK, LOOP])
def test_the_labels_as_words_change_nothing(source: str) -> None:
    task = fruit_task()
    template = Template(source)
    grid = {"shots": task.demos[:2], "query": QUERY}
    named = template.render(task, verbalizer=task.verbalizer("labels"), **grid)
    assert named == template.render(task, **grid)


def test_labels_that_a_template_lists_are_the_words() -> None:
    task = fruit_task(instruction="Which?")
    template = Template.load("colon-labels.j2")
    prompt = template.render(task, query=QUERY, verbalizer=task.verbalizer("plain"))
    assert "Answer with one of: stone fruit, core fruit, gourd." in prompt.text


def test_letters_stay_letters_and_json_is_escaped() -> None:
    task = fruit_task(verbalizers={"odd": {**WORDS, "pome": 'a "core"'}})
    odd = task.verbalizer("odd")
    letters = Template.load("letters.j2").render(
        task, shots=task.demos[:1], query=QUERY, verbalizer=odd
    )
    assert letters.candidates == (" A", " B", " C")
    assert 'A. stone fruit\nB. a "core"\nC. gourd\nAnswer: A\n' in letters.text
    json = Template.load("json.j2").render(task, query=QUERY, verbalizer=odd)
    assert json.candidates is not None
    assert json.candidates[1] == ' "a \\"core\\""'


def test_a_renderer_shares_blocks_within_its_verbalizer_only() -> None:
    task = fruit_task()
    template = Template(BLOCK)
    texts = {
        name: template.renderer(task, task.verbalizer(name)).render(QUERY, task.demos[:3]).text
        for name in ("labels", "plain", "swapped", "symbols")
    }
    assert texts["labels"] == "peach: drupe\napple: pome\nmelon: pepo\nplum:"
    assert texts["plain"] == "peach: stone fruit\napple: core fruit\nmelon: gourd\nplum:"
    assert texts["swapped"] == "peach: pome\napple: pepo\nmelon: drupe\nplum:"
    assert texts["symbols"] == "peach: A\napple: B\nmelon: C\nplum:"


@pytest.mark.parametrize("name", sorted(path.name for path in BUILT_IN.glob("*.j2")))
def test_every_built_in_template_takes_words(name: str) -> None:
    task = fruit_task()
    prompt = Template.load(name).render(
        task, shots=task.demos[:2], query=QUERY, verbalizer=task.verbalizer("plain")
    )
    assert prompt.candidates is not None
    assert len(prompt.candidates) == 3
    assert "drupe" not in prompt.text
    assert "stone fruit" in prompt.text


def test_a_loop_whose_shots_show_other_words_is_an_error() -> None:
    task = fruit_task()
    source = LOOP.replace("s.output", "s.output | upper | replace('STONE', 'x')")
    with pytest.raises(TemplateError, match="'x FRUIT', which is no label"):
        Template(source).render(task, query=QUERY, verbalizer=task.verbalizer("plain"))


@given(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=26, unique=True))
def test_a_control_gives_every_label_another_word(labels: list[str]) -> None:
    labels = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if len(labels) < 2:
        return
    words = control("swapped", labels).of(labels)
    assert sorted(words) == sorted(labels)
    assert all(word != label for word, label in zip(words, labels, strict=True))
    assert len(set(control("symbols", labels).of(labels))) == len(labels)


def test_verbalizers_are_values() -> None:
    one, other = Verbalizer("plain", dict(WORDS)), Verbalizer("plain", dict(WORDS))
    assert one == other
    assert len({one, other}) == 1
    assert one != Verbalizer("plain", {**WORDS, "pome": "pip fruit"})
    given = dict(WORDS)
    kept = Verbalizer("plain", given)
    given["pome"] = "changed"
    assert kept == one


class Kind(Enum):
    DRUPE = "drupe"
    POME = "pome"


@pytest.mark.parametrize(
    ("output", "words", "labels"),
    [
        (bool, {True: "yes", False: "no"}, {"true": "yes", "false": "no"}),
        (bool, {"true": "yes", "false": "no"}, {"true": "yes", "false": "no"}),
        (Kind, {Kind.DRUPE: "stone", Kind.POME: "core"}, {"drupe": "stone", "pome": "core"}),
        (Literal[1, 2], {1: "one", 2: "two"}, {"1": "one", "2": "two"}),
        (Literal[1, 2], {"1": "one", "2": "two"}, {"1": "one", "2": "two"}),
    ],
)
def test_labels_are_named_by_their_text_or_their_value(
    output: Any, words: dict[Any, str], labels: dict[str, str]
) -> None:
    task = Task[Fruit, output](name="t", verbalizers={"w": words})
    assert task.verbalizer("w").words == labels
    again = Task[Fruit, output](name="t", verbalizers=task.verbalizers)
    assert again == task


@pytest.mark.parametrize(
    ("verbalizers", "reason"),
    [
        ({"plain": {**WORDS, "nut": "nut"}}, "verbalizers.plain: 'nut' is not one of the labels"),
        ({"plain": {"drupe": "a", "pome": "b"}}, "no word for the label 'pepo'"),
        ({"plain": {**WORDS, "pome": "gourd"}}, "'gourd' stands for both 'pome' and 'pepo'"),
        ({"plain": {**WORDS, "pome": ""}}, "pome: the word '' is empty or has white space"),
        ({"plain": {**WORDS, "pome": " pip"}}, "pome: the word ' pip' is empty or has white"),
        ({"plain": {**WORDS, "pome": 3}}, "pome: the word 3 is not text"),
        ({"labels": WORDS}, "the name 'labels' is reserved"),
        ({"swapped": WORDS}, "the name 'swapped' is reserved"),
        ({" ": WORDS}, "a verbalizer needs a name"),
        ({3: WORDS}, "verbalizers.3: a verbalizer needs a name, not 3"),
        ({"plain": "stone"}, "verbalizers.plain: not a mapping of labels to words: 'stone'"),
        ({"plain": None}, "verbalizers.plain: not a mapping of labels to words: None"),
        ([WORDS], "verbalizers: not a mapping of names to words"),
        (3, "verbalizers: not a mapping of names to words"),
    ],
)
def test_words_that_do_not_fit_are_errors_of_the_task(verbalizers: Any, reason: str) -> None:
    with pytest.raises(TaskError, match=re.escape(reason)):
        fruit_task(verbalizers=verbalizers)


def test_a_verbalizer_of_another_task_is_an_error() -> None:
    other = Verbalizer("other", {"a": "x", "b": "y"})
    with pytest.raises(TaskError, match="'a' is not one of the labels"):
        Template(BLOCK).render(fruit_task(), query=QUERY, verbalizer=other)


def test_a_name_that_there_is_not_is_an_error() -> None:
    with pytest.raises(TaskError, match="'fancy'; choose one of: labels, plain, swapped, symbols"):
        fruit_task().verbalizer("fancy")


@pytest.mark.parametrize("name", ["labels", "swapped", "symbols"])
def test_generated_answers_have_no_words(name: str) -> None:
    task = Task[Fruit, str](name="t")
    with pytest.raises(TaskError, match="the answers of this task are generated"):
        task.verbalizer(name).of(task.labels)
    with pytest.raises(TaskError, match=r"verbalizers\.w"):
        Task[Fruit, str](name="t", verbalizers={"w": {"a": "b"}})


def test_too_few_and_too_many_labels_for_a_control() -> None:
    one = Task[Fruit, Literal["a"]](name="t")
    with pytest.raises(TaskError, match="a control needs two"):
        one.verbalizer("swapped")
    many = [f"label {i}" for i in range(27)]
    assert control("swapped", many).words["label 26"] == "label 0"
    with pytest.raises(TaskError, match="27 labels, and letters for 26"):
        control("symbols", many)


# --- files ----------------------------------------------------------------------------------------

TOML = """
name = "fruit"
[input]
name = "str"
[output]
labels = ["drupe", 2]
[output.verbalizers.plain]
drupe = "stone fruit"
2 = "core fruit"
[output.verbalizers.hindi]
drupe = "गुठली"
2 = "सेब"
"""


def toml(folder: Path, text: str = TOML) -> Path:
    (folder / "task.toml").write_text(text, encoding="utf-8")
    return folder


def test_task_toml_names_words(tmp_path: Path) -> None:
    task = load_task(toml(tmp_path))
    assert task.verbalizer("plain").words == {"drupe": "stone fruit", "2": "core fruit"}
    assert task.verbalizer("hindi").of(task.labels) == ("गुठली", "सेब")


def test_words_survive_being_saved(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    task = load_task(toml(tmp_path / "a"))
    save_task(task, tmp_path / "b")
    again = load_task(tmp_path / "b")
    assert again.verbalizers == task.verbalizers
    assert again.fingerprint == task.fingerprint


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('2 = "core fruit"\n', "", "output.verbalizers.plain: no word for the label '2'"),
        ('2 = "core', '3 = "core', "output.verbalizers.plain: '3' is not one of the labels"),
        ('"core fruit"', '"stone fruit"', "plain: the word 'stone fruit' stands for both"),
        ('"core fruit"', "7", "output.verbalizers.plain.2: Input should be a valid string, not 7"),
        ("verbalizers.plain", "verbalizers.labels", "verbalizers.labels: the name 'labels' is"),
        ('labels = ["drupe", 2]', 'type = "str"', "verbalizers.plain: words stand for labels"),
    ],
)
def test_what_is_wrong_in_task_toml_has_its_file_and_key(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder = toml(tmp_path, TOML.replace(old, new, 1))
    with pytest.raises(TaskError, match=re.escape(reason)) as raised:
        load_task(folder)
    assert str(raised.value).startswith(str(folder / "task.toml"))


def test_the_fingerprint_says_what_is_asked_not_how_it_is_worded() -> None:
    assert fruit_task().fingerprint == fruit_task(verbalizers=()).fingerprint


# --- checks ---------------------------------------------------------------------------------------

CHECKED = TOML.replace('"core fruit"', '"Stone fruit"') + ('[files]\ndemos = "demos.csv"\n')


def checked(folder: Path, text: str) -> Path:
    (folder / "demos.csv").write_text("name,output\npeach,drupe\napple,2\n", encoding="utf-8")
    return toml(folder, text)


def test_words_are_checked_as_labels_are(tmp_path: Path) -> None:
    (finding,) = [f for f in lint(checked(tmp_path, CHECKED)) if f.rule == "label-characters"]
    assert "'stone fruit' and 'Stone fruit' differ in case" in finding.message
    assert finding.line == 1 + TOML.split("\n").index("[output.verbalizers.plain]")


def test_the_tokens_of_words_are_checked(tmp_path: Path) -> None:
    model = load_model(write_llama(tmp_path / "model.gguf"), threads=1)
    text = CHECKED.replace('"Stone fruit"', '"stone"')
    task, unended = checked(tmp_path, text), tmp_path / "unended.j2"
    unended.write_text("{% example %}\n; {{ input.name }}: {{ output }}{% endexample %}\n")
    assert "label-prefix" not in {f.rule for f in lint(task, model=model)}  # a newline ends them
    findings = lint(task, templates=[unended], model=model)
    found = [f for f in findings if f.rule == "label-prefix"]
    line = 1 + TOML.split("\n").index("[output.verbalizers.plain]")
    assert [(f.line, f.message) for f in found] == [
        (line, "the tokens of 'stone' begin those of 'stone fruit'")
    ]
    source = "{% for s in shots %}\n{{ s.input.name }}: {{ s.output | replace('sto', 'x') }}\n"
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "odd.j2").write_text(source + "{% endfor %}\n{{ query.name }}:")
    odd = lint(tmp_path, templates=["odd.j2"], model=model)
    assert any("'xne fruit', which is no label" in f.message for f in odd)


def test_the_page_says_it_as_task_toml_does(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sensitivity.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    task = load_task(toml(tmp_path, f'name = "fruit"\ninput.name = "str"\n{block}'))
    assert task.verbalizer("plain").of(task.labels) == ("stone fruit", "core fruit")


def test_casings_are_the_labels_written_otherwise() -> None:
    task = fruit_task()
    for name, change in (("upper", str.upper), ("title", str.title)):
        words = task.verbalizer(name).words
        assert words == {label: change(label) for label in task.labels}
    with pytest.raises(TaskError, match="lower: the labels already have this casing"):
        task.verbalizer("lower")
    with pytest.raises(TaskError, match="have this casing, or have none"):
        cased("upper", ["फल", "सब्ज़ी"])
    with pytest.raises(TaskError, match="'A' stands for both 'a' and 'A'"):
        cased("upper", ["a", "A"])
    with pytest.raises(TaskError, match="generated"):
        cased("upper", ())
