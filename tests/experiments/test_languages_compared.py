"""Languages as a factor of a comparison: the same items and draws, saved, frozen, never leaking."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.experiments.freezing import freeze_cell
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.cell import OWN, Cell, describe
from promptkit.inference.predictor_key import predictor_key
from promptkit.linting.lint import lint
from promptkit.report import terminal
from promptkit.tasks.asked_language import task_in

PARTED = "instruction=en,shots=hi,labels=hi"


class Word(BaseModel):
    word: str


def task(pool: int = 8, asked: int = 5, **more: Any) -> pk.Task[Word, Literal["even", "odd"]]:
    def example(letter: str, n: int) -> pk.Example[Any, Any]:
        english, hindi = Word(word=letter * n), Word(word="कख"[letter == "t"] * n)
        output = "odd" if n % 2 else "even"
        translations = {"hi": hindi}
        return pk.Example(
            input=english, output=output, id=f"{letter}{n}", translations=translations
        )

    given: dict[str, Any] = {
        "name": "parity",
        "instruction": "Even or odd?",
        "demos": [example("d", n) for n in range(1, pool + 1)],
        "tests": [example("t", n) for n in range(1, asked + 1)],
        "language": "en",
        "languages": {
            "hi": {"instruction": "सम या विषम?", "labels": {"even": "सम", "odd": "विषम"}}
        },
    }
    return pk.Task[Word, Literal["even", "odd"]](**{**given, **more})


TEMPLATE = pk.Template(
    "{{ task.instruction }}\n{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n",
    "colon",
)


def compared(own: Any = None, **more: Any) -> pk.Comparison:
    given = {
        "models": [pk.FakeModel()],
        "templates": [TEMPLATE],
        "languages": ["en", "hi", PARTED],
        "shots": [0, 2],
        "seeds": 3,
        "store": pk.Store(),
    }
    return pk.compare(own or task(), **{**given, **more})


def test_languages_are_compared_on_the_same_items_and_draws() -> None:
    result = compared()
    assert {row.language for row in result.rows} == {"en", "hi", "hi (instruction en)"}
    found: dict[Any, set[Any]] = {}
    golds: dict[Any, set[Any]] = {}
    for one in result.predictions:
        found.setdefault((one.id, one.shots, one.seed), set()).add(one.shot_ids)
        golds.setdefault(one.id, set()).add(one.gold)
    assert all(len(ids) == 1 for ids in (*found.values(), *golds.values()))
    by_language = [pair for pair in result.pairs if pair.a.language != pair.b.language]
    assert by_language
    assert all(pair.n == 5 and pair.a.shots == pair.b.shots for pair in by_language)


def test_prompts_are_in_the_language_of_their_cell() -> None:
    result = compared(seeds=1)
    for one in result.predictions:
        text = result.prompts[one.prompt_sha256].text
        assert text.startswith("सम" if one.language == "hi" else "Even")
        assert ("ख" in text) == (one.language != "en")
        assert one.label in ("even", "odd")


@pytest.mark.parametrize("selection", ["balanced", "random", "similar", "k-centre"])
def test_a_predictor_answers_as_the_comparison_did(selection: str) -> None:
    own = task()
    result = compared(own, languages=["hi"], selections=[selection], shots=[2], seeds=1)
    predictor = pk.Predictor(own, TEMPLATE, pk.FakeModel(), 2, selection=selection, language="hi")
    made = predictor.predict(own.tests)
    assert [(p.id, p.probs, p.shot_ids) for p in made] == [
        (p.id, p.probs, p.shot_ids) for p in result.predictions
    ]
    assert predictor.predict(task_in(own, "hi").tests) == made
    assert made[0].input == {"word": "ख"}


def test_a_cell_is_named_by_its_language() -> None:
    levels: dict[str, Any] = {"model": "m", "template": "t", "selection": "random", "shots": 1}
    assert describe(Cell(**levels)) == "m · t · random shots · 1 shot"
    spoken = Cell(**levels, language="hi (instruction en)")
    assert describe(spoken) == "m · t · language hi (instruction en) · random shots · 1 shot"


def test_languages_are_in_tables_and_data_frames() -> None:
    result = compared()
    assert "language hi" in str(result) or "hi (instruction en)" in str(result)
    assert {record["language"] for record in result.to_records()} == {
        "en",
        "hi",
        "hi (instruction en)",
    }
    data = result.to_dict()
    assert terminal.render(data, result.to_records(), 120) is not None


def test_without_languages_the_cells_are_those_of_the_task() -> None:
    result = compared(languages=())
    assert {row.language for row in result.rows} == {OWN}


def test_a_verbalizer_of_the_task_goes_with_its_own_labels() -> None:
    own = task(verbalizers={"plain": {"even": "two", "odd": "one"}})
    result = compared(own, languages=["en", "shots=hi"], verbalizers=["labels", "plain"])
    assert {row.verbalizer for row in result.rows} == {"labels", "plain"}
    with pytest.raises(TaskError, match="labels=en"):
        compared(own, verbalizers=["plain"])


def test_controls_are_those_of_the_language() -> None:
    result = compared(languages=["hi"], verbalizers=["swapped"], seeds=1, shots=[0])
    texts = {prompt.candidates for prompt in result.prompts.values()}
    assert texts == {(" विषम", " सम")}


@pytest.mark.parametrize("calibration", ["contextual", "batch"])
def test_a_run_with_languages_is_saved_and_frozen(tmp_path: Path, calibration: str) -> None:
    fruit, model, store = pk.load_task("examples/fruit-hi"), pk.FakeModel(), tmp_path / "store"
    grid: dict[str, Any] = {"languages": ["en", PARTED], "shots": [0, 2], "seeds": 2, "limit": 6}
    result = pk.compare(fruit, models=[model], calibrations=[calibration], store=store, **grid)
    run = read_run(result.save(tmp_path / "run"))
    assert {one.language for one in run.predictions} == {"en", "hi (instruction en)"}
    cell = next(
        row.cell
        for row in result.rows
        if (row.language, row.shots, row.calibration) == ("en", 2, calibration) and row.seed is None
    )
    how: dict[str, Any] = {"task": fruit, "load": lambda name: model, "store": store}
    file = freeze_cell(run, cell, tmp_path / "own.promptkit", **how)
    frozen = pk.load_predictor(file, model=model)
    predictor = result.predictor(cell, store=store)
    queries = list(fruit.tests[:6])
    assert frozen.cell.language == predictor.cell.language == "en"
    made = frozen.predict(queries)
    assert [p.probs for p in made] == [p.probs for p in predictor.predict(queries)]
    assert [p.id for p in made] == [q.id for q in queries]
    assert [p.input["name"] for p in made][:2] == ["lemon", "apricot"]
    (new,) = frozen.predict([frozen.query({"name": "fig"})])
    assert new.input == {"name": "fig"}


def test_keys_of_predictors_without_a_language_are_as_before() -> None:
    fruit = pk.load_task("examples/fruit")
    predictor = pk.Predictor(fruit, pk.Template.of(fruit), pk.FakeModel(), shots=4)
    assert predictor_key(predictor) == KEY
    assert predictor_key(pk.Predictor(task(), TEMPLATE, pk.FakeModel(), language="hi")) != (
        predictor_key(pk.Predictor(task(), TEMPLATE, pk.FakeModel()))
    )


KEY = "a0cfb65cf6e8966be215ccd8312f823904fe5fb7e6360754652a06816687f8ba"
"""The key from before there were languages."""


def own_row(language: str) -> None:
    own = task(pool=6)
    folded = task(
        demos=own.demos,
        tests=own.demos,
        folds={demo.id: n // 3 for n, demo in enumerate(own.demos)},
    )
    for given in (own, folded):
        predictor = pk.Predictor(given, TEMPLATE, pk.FakeModel(), 3, language=language)
        for query in given.demos:
            (made,) = predictor.predict([query])
            assert query.id not in made.shot_ids


@pytest.mark.parametrize("language", ["hi", "en", "shots=hi"])
def test_a_row_in_another_language_is_no_shot_of_its_own(language: str) -> None:
    own_row(language)


def test_a_frozen_predictor_shows_no_query_in_another_language(tmp_path: Path) -> None:
    fruit = pk.load_task("examples/fruit-hi")
    predictor = pk.Predictor(fruit, pk.Template.of(fruit), pk.FakeModel(), 50, language="en")
    frozen = pk.load_predictor(pk.freeze(predictor, tmp_path / "a.promptkit"), pk.FakeModel())
    for query in fruit.demos[:8]:
        (made,) = frozen.predict([query])
        assert query.id not in made.shot_ids
        (typed,) = frozen.predict([frozen.query({"name": query.input.name})])
        assert query.id not in typed.shot_ids  # its Hindi text, asked of the English prompt


LONG = "The committee of the village met in the old school and discussed the repair of the road"


@pytest.mark.parametrize("selection", ["random", "similar"])
def test_near_duplicates_in_one_language_are_left_out_in_all(selection: str) -> None:
    def example(id: str, english: str, hindi: str, output: str) -> pk.Example[Any, Any]:
        translations = {"hi": Word(word=hindi)}
        return pk.Example(input=Word(word=english), output=output, id=id, translations=translations)

    own = task(
        demos=[
            example("near", f"{LONG} again", "समिति ने सड़क की मरम्मत पर बात की", "even"),
            example("far", "A dog", "एक कुत्ता", "odd"),
            example("other", "A cat", "एक बिल्ली", "odd"),
        ],
        tests=[example("asked", LONG, "गाँव की पंचायत की बैठक हुई", "even")],
    )
    for language in ("en", "hi"):
        for seed in range(4):
            predictor = pk.Predictor(
                own, TEMPLATE, pk.FakeModel(), 2, seed, selection, language=language
            )
            (made,) = predictor.predict(own.tests)
            assert {*made.shot_ids} == {"far", "other"}


def test_a_row_and_its_translation_are_no_near_duplicates() -> None:
    found = lint(pk.load_task("examples/fruit-hi"))
    assert [one for one in found if one.rule == "near-repeat"] == []
