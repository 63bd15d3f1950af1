"""Free-form answers: what counts as a label, as nothing, and as something else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
from samples import COLON, Word

from promptkit import Comparison, FakeModel, Store, Verbalizer, compare
from promptkit.experiments.free_answers import SAMPLING, label_written
from promptkit.models.base import Generation, Sampling, Score
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

Spam = Literal["not a spam", "spam"]


def task_of(output: Any, *golds: str) -> Task[Any, Any]:
    def examples(part: str) -> list[Example[Any, Any]]:
        return [
            Example(input=Word(word=f"{part} {number}"), output=gold)
            for number, gold in enumerate(golds * 3)
        ]

    return Task[Word, output](name="t", demos=examples("d"), tests=examples("t"))


class Spread(FakeModel):
    """Gives the labels a fifth of its probability, and writes the same answer to all queries.

    Its tokens are bytes, and it goes on from those that it was given.
    """

    def __init__(self, says: str | Sequence[str]) -> None:
        super().__init__()
        self.says = [says] if isinstance(says, str) else says

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, prompt in enumerate(prompts):
            count = len(prompt.candidates)
            yield index, Score((math.log(0.18 / count),) * count, len(prompt.ids), 0.0)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        for index, prompt in enumerate(prompts):
            text = prompt.prompt.text + " " + self.says[index % len(self.says)]
            rest = text.encode()[len(prompt.ids) :].decode("utf-8", "replace")
            yield index, Generation(rest, "stop", len(prompt.ids), 1, 0.0)


def asked(says: str | Sequence[str], output: Any = Spam, *golds: str, **more: Any) -> Comparison:
    return compare(
        task_of(output, *(golds or ("spam", "not a spam"))),
        models=[Spread(says)],
        templates=[COLON],
        shots=[2],
        seeds=1,
        store=Store(),
        **more,
    )


def coverage_warning(result: Comparison) -> str:
    (warning,) = [w for w in result.warnings if "of its probability to the labels" in w]
    return warning


@pytest.mark.parametrize("says", ["spam", "Spam.", "SPAM", "not a spam!", '"spam"', "spam\nYes"])
def test_labels_are_not_something_else(says: str) -> None:
    result = asked(says)
    (free,) = result.free_answers
    assert {*free.labels} <= {*("spam", "not a spam")}
    assert coverage_warning(result).startswith(
        "The model gives 18 % of its probability to the labels, yet 5 of 5 free-form answers are "
        "labels"
    )
    assert "something else" not in "\n".join(result.warnings)


def test_empty_answers_are_not_shown_as_something_else() -> None:
    result = asked("")
    assert result.free_answers[0].texts == ("",) * 5
    assert "5 of 5 free-form answers are empty" in coverage_warning(result)
    assert "such as" not in coverage_warning(result)
    mixed = coverage_warning(asked(["", "spam", "Well,", "", "Well,"]))
    assert 'something else, such as "Well," (2 of 5): ' in mixed
    assert '""' not in mixed
    mostly = coverage_warning(asked(["spam", "spam", "spam", "Well,", ""]))
    assert "yet 3 of 5 free-form answers are labels" in mostly
    assert 'the others are such as "Well," (1 of 5)' in mostly


def test_answers_begin_where_the_answer_does_whatever_labels_share() -> None:
    """Labels with the same first bytes, which scored prompts end with."""
    arabic = Literal["سلبي", "سيئ"]  # type: ignore[valid-type]
    result = asked("سلبي", arabic, "سلبي", "سيئ")
    assert result.free_answers[0].texts == ("سلبي",) * 5
    assert result.free_answers[0].labels == ("سلبي",) * 5
    shared = Literal["a good film", "a bad film"]
    other = asked("a fine film", shared, "a good film", "a bad film")
    assert other.free_answers[0].texts == ("a fine film",) * 5
    assert 'such as "a fine film" (5 of 5)' in coverage_warning(other)


def test_words_that_stand_for_labels_count_as_labels() -> None:
    words = Verbalizer("words", {"spam": "junk", "not a spam": "fine"})
    (free,) = asked(["Junk.", "spam"], verbalizers=[words]).free_answers
    assert free.labels == ("spam", None, "spam", None, "spam")


@pytest.mark.parametrize(
    ("text", "words", "label"),
    [
        ("C#", ("C", "C#", "C++"), "C#"),
        ("c++.", ("C", "C#", "C++"), "C++"),
        ("c", ("C", "C#", "C++"), "C"),
        ("**Positive**", ("positive", "negative"), "positive"),
        ("नकारात्मक।", ("सकारात्मक", "नकारात्मक"), "नकारात्मक"),
        ("STRASSE", ("straße", "weg"), "straße"),
        ("?", ("?", "!"), "?"),
        ("positively", ("positive", "negative"), None),
        ("not positive", ("positive", "negative"), None),
        ("", ("positive", "negative"), None),
        ("...", ("positive", "negative"), None),
    ],
)
def test_what_counts_as_a_label(text: str, words: tuple[str, ...], label: str | None) -> None:
    answer = Generation(text, "stop", 1, 1, 0.0)
    assert label_written(answer, dict(zip(words, words, strict=True))) == label


def test_a_label_that_was_cut_is_one() -> None:
    words = {word: word for word in ("card payment wrong exchange rate", "top up failed")}
    cut = Generation(" card payment wrong ex", "length", 1, SAMPLING.max_tokens, 0.0)
    assert label_written(cut, words) == "card payment wrong exchange rate"
    ended = Generation("card payment", "eos", 1, 2, 0.0)
    assert label_written(ended, words) is None


def test_half_characters_are_never_shown() -> None:
    class Cut(Spread):
        def generate(
            self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
        ) -> Iterator[tuple[int, Generation]]:
            for index, prompt in enumerate(prompts):
                yield index, Generation(" نعم\ufffd", "length", len(prompt.ids), 8, 0.0)

    result = compare(
        task_of(Spam, "spam", "not a spam"),
        models=[Cut("")],
        templates=[COLON],
        shots=[0],
        store=Store(),
    )
    assert result.free_answers[0].texts == ("نعم",) * 5
    assert "\ufffd" not in "\n".join(result.warnings)
    assert 'such as "نعم" (5 of 5)' in coverage_warning(result)
