"""Terms in texts of any script."""

from __future__ import annotations

from pathlib import Path

import pytest
from grouped import comments

from promptkit.auditing.identity_terms import as_terms, has_term, queries_with, read_terms
from promptkit.errors import PromptkitError, TaskError


@pytest.mark.parametrize(
    ("text", "form", "there"),
    [
        ("i am gay.", "gay", True),
        ("a gayal is an ox", "gay", False),
        ("bombay", "gay", False),
        ("black-white", "black", True),
        ("old black woman", "black woman", True),
        ("मैं हिन्दू हूँ", "हिन्दू", True),
        ("हिन्दुओं", "हिन्दु", False),  # a vowel sign goes on
        ("हिंदी है।", "है", True),  # a danda ends a word
        ("他是回族人", "回族", True),
        ("ユダヤ教徒です", "ユダヤ", True),
        ("เขาเป็นมุสลิมครับ", "มุสลิม", True),
        ("무슬림은", "무슬림", True),  # a particle is written to the word
        ("is she 1st?", "1", False),
        ("c++ is old", "c++", True),
        ("xx xx", "x", False),
    ],
)
def test_words_are_found_whole(text: str, form: str, there: bool) -> None:
    assert has_term(text, form) is there


def test_case_and_composition_do_not_count() -> None:
    task = comments({"MU\u0308LLER": 2, "Straße": 1, "other": 1})
    found = queries_with(task.tests, {"m": ["müller"], "s": ["STRASSE"], "none": ["nobody"]})
    assert [len(ids) for ids in found.values()] == [2, 1, 0]


def test_terms_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "terms.txt"
    file.write_text("# identities\ngay\n\nmuslim: muslim, muslims\n", encoding="utf-8")
    assert read_terms(file) == {"gay": ["gay"], "muslim": ["muslim", "muslims"]}
    assert as_terms(str(file)) == read_terms(file)
    assert as_terms(["a", "b"]) == {"a": ["a"], "b": ["b"]}
    for text, reason in (
        ("gay\ngay\n", r"terms\.txt:2: the term 'gay' is there twice"),
        (": x\n", r"terms\.txt:1: a term without a name"),
        ("# nothing\n", "no terms"),
    ):
        file.write_text(text)
        with pytest.raises(PromptkitError, match=reason):
            read_terms(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(PromptkitError, match="not UTF-8"):
        read_terms(file)
    with pytest.raises(PromptkitError, match="No such file"):
        read_terms(tmp_path / "none.txt")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(TaskError, match="give at least one"):
        as_terms([])
    with pytest.raises(TaskError, match="not empty"):
        as_terms(["a", " "])
    with pytest.raises(TaskError, match="in any of the 3 texts"):
        queries_with(comments({"red": 3}).tests, {"blue": ["blue"]})
