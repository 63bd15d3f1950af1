"""What a swap of the labels says of a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import COLON, asked_word, parity, parity_task

from promptkit import Comparison, FakeModel, Template, compare
from promptkit.errors import TaskError
from promptkit.evaluation.label_swap import swap_verdict, swap_verdicts
from promptkit.prompts.prompt import Prompt


def knows_words(prompt: Prompt) -> str:
    return parity(asked_word(prompt))


def reads_shots(prompt: Prompt) -> str:
    """Says what the shots say of words of the same parity; knows the words where there is none."""
    asked = parity(asked_word(prompt))
    for line in prompt.text.splitlines()[:-1]:
        word, _, answer = line.partition(": ")
        if parity(word) == asked:
            return answer
    return asked


def swapped(
    answer: Callable[[Prompt], str], folder: Path, names: tuple[str, ...] = ("labels", "swapped")
) -> Comparison:
    return compare(
        parity_task(asked=40),
        models=[FakeModel(answer)],
        templates=[COLON],
        verbalizers=names,
        shots=[0, 4],
        seeds=1,
        store=folder / "store.sqlite",
    )


@pytest.mark.parametrize("names", [("labels", "swapped"), ("swapped", "labels")])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (knows_words, "falls from 1.00 to 0.00: the model follows the words, not"),
        (reads_shots, "goes from 1.00 to 1.00, a change between"),
    ],
)
def test_a_swap_tells_readers_from_knowers(
    answer: Callable[[Prompt], str], said: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    result = swapped(answer, tmp_path, names)
    (sentence,) = swap_verdicts(result.rows, result.pairs, 2)
    assert sentence.startswith("4 shots: with the labels swapped accuracy ")
    assert said in sentence


def test_predictions_keep_the_labels_whatever_the_words(tmp_path: Path) -> None:
    result = swapped(reads_shots, tmp_path)
    assert {p.verbalizer for p in result.predictions} == {"labels", "swapped"}
    for prediction in result.predictions:
        assert prediction.label in ("even", "odd")
        assert list(prediction.logprobs or {}) == ["even", "odd"]
    accuracy = {
        (row.verbalizer, row.shots): row.accuracy for row in result.rows if row.seed is None
    }
    assert accuracy == {
        ("labels", 0): 1.0,
        ("labels", 4): 1.0,
        ("swapped", 0): 0.0,
        ("swapped", 4): 1.0,
    }


def test_without_a_swap_nothing_is_said(tmp_path: Path) -> None:
    result = swapped(reads_shots, tmp_path, ("labels", "symbols"))
    assert swap_verdicts(result.rows, result.pairs, 2) == []


@pytest.mark.parametrize(
    ("accuracies", "swapped_ci", "change", "said"),
    [
        ((0.55, 0.20), (0.10, 0.35), (-0.5, -0.2), "falls from 0.55 to 0.20: the model follows"),
        ((0.90, 0.60), (0.50, 0.70), (-0.4, -0.2), "leans on what the words mean"),
        ((0.90, 0.88), (0.80, 0.93), (-0.1, 0.05), "reads the demonstrations, whatever"),
        ((0.40, 0.30), (0.20, 0.42), (-0.3, 0.1), "too little to say"),
    ],
)
def test_a_swap_in_a_sentence(
    accuracies: tuple[float, float],
    swapped_ci: tuple[float, float],
    change: tuple[float, float],
    said: str,
) -> None:
    sentence = swap_verdict(*accuracies, swapped_ci=swapped_ci, change=change, chance=0.25)
    assert sentence.startswith("with the labels swapped accuracy ")
    assert said in sentence


# --- formats in a comparison ----------------------------------------------------------------------


@pytest.mark.slow
def test_compare_asks_in_formats_and_saves_them(tmp_path: Path) -> None:
    notes: list[str] = []
    result = compare(
        parity_task(),
        models=[FakeModel()],
        templates=[COLON, "json.j2"],
        formats=9,
        shots=[0, 2],
        seeds=1,
        store=tmp_path / "store.sqlite",
        announce=notes.append,
    )
    templates = result.templates
    assert [t.name.partition(" [")[0] for t in templates] == ["colon"] * 9 + ["json.j2"] * 6
    assert {row.template for row in result.rows} == {t.name for t in templates}
    assert "json.j2: only 6 of 9 formats are possible" in notes
    assert result.to_dict()["templates"][3] == {
        "name": templates[3].name,
        "source": templates[3].source,
    }
    result.save(tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run" / "formats").iterdir())
    assert names[0] == "colon-1.j2"
    assert len(names) == 14  # json.j2 stands in a file of its own
    task, query = parity_task(), parity_task().tests[0]
    for number, template in enumerate(templates, 1):
        if template.file is None:
            stem = template.name.partition(" [")[0].removesuffix(".j2")
            again = Template.load(tmp_path / "run" / "formats" / f"{stem}-{number}.j2")
            assert again.source.startswith(f"{{# {template.name} #}}\n")
            shown = {"shots": task.demos[:2], "query": query}
            assert str(again.render(task, **shown)) == str(template.render(task, **shown))


@pytest.mark.parametrize("formats", [0, "three", 1.5])
def test_a_number_of_formats_is_a_number(formats: Any, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="formats is "):
        compare(parity_task(), models=[FakeModel()], formats=formats, store=tmp_path / "s.sqlite")
