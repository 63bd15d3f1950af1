from __future__ import annotations

import re
import string
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import COLON, Word, asked_word, open_task

from promptkit import Example, FakeModel, Scoring, Store, Task, compare, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.tasks.answer_texts import contains, normalised, number_in, token_f1
from promptkit.tasks.judging import Judge
from promptkit.tasks.output_type import OutputType

TEXT = OutputType(str)


def squad_f1(said: str, gold: str) -> float:
    """SQuAD's own script."""

    def tokens(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if c not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    ours, theirs = tokens(said), tokens(gold)
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((Counter(ours) & Counter(theirs)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


WORDS = st.lists(
    st.sampled_from(["the", "Plum", "plum,", "a", "tree!", "(green)", "well-known", "x"]),
    min_size=1,
).filter(lambda words: set(words) - {"the", "a"})


@given(WORDS, WORDS)
def test_token_f1_is_that_of_squad(ours: list[str], theirs: list[str]) -> None:
    said, gold = " ".join(ours), " ".join(theirs)
    assert token_f1(said, gold) == pytest.approx(squad_f1(said, gold))


@given(st.text(), st.text())
def test_measures_of_texts_are_shares_and_symmetric(one: str, other: str) -> None:
    assert 0 <= token_f1(one, other) == token_f1(other, one) <= 1
    assert token_f1(one, one) == 1
    assert contains(one, one)
    assert normalised(normalised(one)) == normalised(one) or not normalised(one).isascii()


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("The Plum.", "plum", "en"),
        ("  plum\n tree ", "a plum tree", "en"),
        ("Ｐｌｕｍ", "plum", "en"),
        ("1,200 m", "1200 m", "en"),
        ("−5", "-5", "en"),
        ("Die Straße", "strasse", "de"),
        ("1.200,5", "1200,5", "de"),
        ("«Paris»", "paris", "other"),
        ("zero\u200bwidth", "zerowidth", "en"),
    ],
)
def test_normalised_texts_are_the_same(one: str, other: str, language: Any) -> None:
    assert normalised(one, language) == normalised(other, language)


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("3.5", "35", "en"),
        ("-5", "5", "en"),
        ("+", "-", "en"),
        ("😀", "🙁", "en"),
        ("The Plum", "Plum", "other"),
        ("das", "die", "de"),
        ("कि", "की", "en"),
    ],
)
def test_normalised_texts_that_differ(one: str, other: str, language: Any) -> None:
    assert normalised(one, language) != normalised(other, language)


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("3 + 4 = 7.", "en", 7),
        ("10-12 pieces", "en", 12),
        ("it costs $1,234.50", "en", 1234.5),
        ("1.234,5 €", "de", 1234.5),
        ("minus −0.5 °C", "en", -0.5),
        ("2e3", "en", 2000),
        ("१२", "en", 12),
        ("9" * 500, "en", None),
        ("none", "en", None),
    ],
)
def test_the_last_number_in_a_text(text: str, language: Any, number: float | None) -> None:
    assert number_in(text, language) == number


@pytest.mark.parametrize(
    ("scoring", "said", "gold", "right"),
    [
        (Scoring(), "Plum", "plum", False),
        (Scoring(match="normalised"), "The Plum.", "plum", True),
        (Scoring(match="contains"), "I think it is a plum, really.", "plum", True),
        (Scoring(match="contains"), "I know", "no", False),
        (Scoring(match="contains"), "答えは東京です", "東京", True),
        (
            Scoring(match="regex", pattern="(?i)answer is (.*)"),
            "So the Answer is Yes!",
            "yes",
            True,
        ),
        (Scoring(match="regex", pattern="answer is (.*)"), "yes", "yes", False),
        (Scoring(match="number"), "First 3, then 4.", "4", True),
        (Scoring(match="number"), "about 4.2", "4", False),
        (Scoring(match="number", within=0.5), "about 4.2", "4", True),
        (Scoring(match="number"), "four", "4", False),
    ],
)
def test_what_is_right(scoring: Scoring, said: str, gold: str, right: bool) -> None:
    found = Judge(scoring, TEXT)(said, [gold])
    assert found.correct is right
    assert ("exact_match" in found.measures) is (scoring.match != "exact")


def test_the_best_of_several_gold_answers_counts() -> None:
    found = Judge(Scoring(match="normalised"), TEXT)("New York City", ["NYC", "new york city"])
    assert found == (True, {"token_f1": 1.0, "exact_match": 0.0})


def test_no_answer_is_wrong_and_is_not_shown_to_a_scorer() -> None:
    def never(said: Any, gold: Any) -> float:
        raise AssertionError

    found = Judge(Scoring(scorer=never), TEXT)(None, ["x"], failed=True)
    assert found == (False, {"token_f1": 0.0, "score": 0.0})


def test_a_scorer_gives_a_metric_with_intervals() -> None:
    tests = [Example(input=Word(word=f"w{i}"), output="abcd"[: i + 1]) for i in range(4)]

    def overlap(said: str, gold: str) -> float:
        return len(set(said) & set(gold)) / len(set(said) | set(gold))

    task = Task[Word, str](name="t", tests=tests, scoring=Scoring(scorer=overlap))
    model = FakeModel(lambda _: "ab")
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    scores = [p.measures["score"] for p in result.predictions]
    assert scores == pytest.approx([1 / 2, 1, 2 / 3, 1 / 2])
    assert [p.correct for p in result.predictions] == [False, True, False, False]
    figure = result.rows[0].figures["score"]
    assert figure.value == pytest.approx(sum(scores) / 4)
    assert figure.ci is not None or figure.ci_fixed is not None


@pytest.mark.parametrize("label", [Literal["ab", "abc", "b"], Literal[1, 2, 30]])
def test_a_scorer_judges_calibrated_labels_too(label: Any) -> None:
    def shared(said: Any, gold: Any) -> float:
        assert type(said) is type(gold)
        return len({*str(said)} & {*str(gold)}) / len({*str(said)} | {*str(gold)})

    first, second, _ = get_args(label)
    demos = [Example(input=Word(word=f"d{i}"), output=[first, second][i % 2]) for i in range(6)]
    tests = [Example(input=Word(word=f"w{i}"), output=[first, second][i % 2]) for i in range(8)]
    task = Task[Word, label](  # type: ignore[valid-type]
        name="t", demos=demos, tests=tests, scoring=Scoring(scorer=shared)
    )
    result = compare(
        task,
        models=[FakeModel()],
        templates=[COLON],
        shots=[2],
        seeds=2,
        calibrations=["contextual"],
        store=Store(),
        metric="score",
    )
    raw, calibrated = (row for row in result.rows if row.seed is None)
    by_text = {str(value): value for value in get_args(label)}
    scores = []
    for p in result.predictions:
        found = p.calibrated["contextual"]
        scores.append(shared(by_text[max(found, key=lambda one: found[one])], by_text[p.gold]))
    assert (raw.calibration, calibrated.calibration) == ("none", "contextual")
    assert calibrated.figures["score"].value == pytest.approx(sum(scores) / len(scores))
    assert calibrated.figures["score"].ci_fixed is not None
    assert any("none" in pair.a.calibration for pair in result.pairs)


@pytest.mark.parametrize(
    ("scorer", "says"),
    [
        (lambda said, gold: 1.5, "returned 1.5; a score is a number from 0 to 1"),
        (lambda said, gold: float("nan"), "returned nan"),
        (lambda said, gold: "much", "raised ValueError: could not convert"),
        (lambda said, gold: gold["x"], "raised TypeError"),
    ],
)
def test_a_scorer_that_fails_names_the_example(scorer: Any, says: str) -> None:
    with pytest.raises(DataError, match=rf"example 'w1'.*scorer '<lambda>' {re.escape(says)}"):
        Judge(Scoring(scorer=scorer), TEXT)("a", ["b"], example="w1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"match": "fuzzy"}, "match: unknown 'fuzzy'; choose one of: exact, normalised"),
        ({"language": "xx"}, "language: unknown 'xx'; choose one of: en, de"),
        ({"match": "regex"}, 'pattern: it goes with match = "regex"'),
        ({"pattern": "(a)"}, 'pattern: it goes with match = "regex"'),
        (
            {"match": "regex", "pattern": "(a"},
            "pattern: '(a': not a regular expression for RE2",
        ),
        ({"match": "regex", "pattern": "a"}, "it has 0 groups that capture; write one (...)"),
        ({"match": "regex", "pattern": "(a)(?=b)"}, "'(?=' at character 4: look-around, "),
        ({"match": "regex", "pattern": "(a{9999})"}, "repeats are counted up to 1,000"),
    ],
)
def test_declarations_that_do_not_fit_together(arguments: Any, says: str) -> None:
    with pytest.raises(TaskError, match=re.escape(says)):
        Scoring(**arguments)


def test_matches_are_of_texts() -> None:
    with pytest.raises(TaskError, match=r'match = "contains" compares texts; it needs .* str'):
        Task[Word, Literal["a", "b"]](name="t", scoring=Scoring(match="contains"))


def test_a_gold_answer_without_a_number() -> None:
    tests = [Example(input=Word(word="w"), output="four", id="w")]
    with pytest.raises(DataError, match=r"no number in it, and match = \"number\""):
        Task[Word, str](name="t", tests=tests, scoring=Scoring(match="number"))


def folder(path: Path, output: str, *rows: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "task.toml").write_text(
        f'name = "t"\n[input]\nword = "str"\n[output]\n{output}\n[files]\ntests = "t.csv"\n'
    )
    (path / "t.csv").write_text("\n".join(["word,output", *rows]) + "\n", "utf-8")
    return path


def test_a_task_file_declares_it_and_a_saved_task_keeps_it(tmp_path: Path) -> None:
    declared = 'type = "str"\nmatch = "regex"\npattern = "is (.*)"\nlanguage = "de"'
    task = load_task(folder(tmp_path / "a", declared, "w0,vier", "w1,drei"))
    assert task.scoring == Scoring(match="regex", pattern="is (.*)", language="de")
    save_task(task, tmp_path / "b")
    again = load_task(tmp_path / "b")
    assert again.scoring == task.scoring
    assert again.fingerprint == task.fingerprint
    exact = load_task(folder(tmp_path / "a", 'type = "str"', "w0,vier", "w1,drei"))
    assert task.fingerprint != exact.fingerprint


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ('type = "str"\nmatch = "regex"\npattern = "(a"', "output.pattern: '(a': not a regular"),
        ('type = "int"\nmatch = "number"', 'output.match = "number" compares texts'),
        ('type = "str"\nmatch = "same"', "output.match: Input should be 'exact', 'normalised'"),
    ],
)
def test_a_task_file_that_does_not_fit(output: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=re.escape(says)):
        load_task(folder(tmp_path / "a", output, "w0,1"))


def test_a_folder_holds_no_scorer(tmp_path: Path) -> None:
    task = Task[Word, str](name="t", scoring=Scoring(scorer=lambda said, gold: 1))
    with pytest.raises(TaskError, match="the task has a scorer, which is code"):
        save_task(task, tmp_path / "b")


def test_answers_are_right_by_the_declared_match() -> None:
    task = open_task(str, "plum", "pear").model_copy(
        update={"scoring": Scoring(match="normalised")}
    )
    model = FakeModel(lambda prompt: {"w0": "A plum.", "w1": "apple"}[asked_word(prompt)])
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    row = result.rows[0]
    assert row.accuracy == 0.5
    assert (row.figures["exact_match"].value, row.figures["token_f1"].value) == (0, 0.5)


SEVERAL = 'type = "str"\nmatch = "normalised"\nseveral = true'


def test_a_row_may_have_several_right_answers(tmp_path: Path) -> None:
    cell = '"[""New York City"", ""NYC""]"'
    task = load_task(folder(tmp_path / "a", SEVERAL, f"w0,{cell}", "w1,Paris", f"w2,{cell}"))
    assert [example.golds for example in task.tests] == [
        ("New York City", "NYC"),
        ("Paris",),
        ("New York City", "NYC"),
    ]
    said = {"w0": "the NYC", "w1": "Rome", "w2": "New York"}
    model = FakeModel(lambda prompt: said[asked_word(prompt)])
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    assert [p.correct for p in result.predictions] == [True, False, False]
    assert [p.gold for p in result.predictions] == ["New York City", "Paris", "New York City"]
    f1 = [p.measures["token_f1"] for p in result.predictions]
    assert f1 == pytest.approx([1, 0, 0.8])


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_several_answers_are_saved(format: Any, tmp_path: Path) -> None:
    tests = [
        Example(input=Word(word="w0"), output="a", alternatives=("b", "c")),
        Example(input=Word(word="w1"), output="d"),
    ]
    task = Task[Word, str](name="t", tests=tests)
    save_task(task, tmp_path / "b", format)
    again = load_task(tmp_path / "b")
    assert [example.golds for example in again.tests] == [("a", "b", "c"), ("d",)]
    assert again.fingerprint == task.fingerprint
    alone = [example.model_copy(update={"alternatives": ()}) for example in tests]
    assert Task[Word, str](name="t", tests=alone).fingerprint != task.fingerprint


def test_shots_show_the_first_of_several_answers() -> None:
    demos = [Example(input=Word(word="d"), output="a", alternatives=("b",))]
    task = Task[Word, str](name="t", demos=demos)
    assert "d: a\n" in COLON.render(task, shots=1, query=Word(word="q")).text


@pytest.mark.parametrize(
    ("output", "row", "says"),
    [
        ('labels = ["a"]\nseveral = true', "w,a", 'output.several: it goes with type = "str"'),
        (SEVERAL, 'w,"[1, 2]"', "t.csv:2"),
        (SEVERAL, 'w,"[""a"", 2]"', "t.csv:2"),
    ],
)
def test_several_answers_that_do_not_fit(output: str, row: str, says: str, tmp_path: Path) -> None:
    with pytest.raises((TaskError, DataError), match=re.escape(says)):
        load_task(folder(tmp_path / "a", output, row))
