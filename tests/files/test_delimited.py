"""CSV files as they come: with other separators, columns without names, and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit.errors import DataError, Problem
from promptkit.files.delimited import to_csv
from promptkit.tasks.tables import read_data_file, write_rows


def read(
    folder: Path, text: str, name: str = "a.csv", required: Any = ("text", "label")
) -> tuple[list[dict[str, Any]], list[Problem]]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    problems: list[Problem] = []
    return [row for _, row in read_data_file(folder / name).rows(problems, required)], problems


def refusal(folder: Path, text: str, name: str = "a.csv") -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, text, name)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


ROWS = [{"text": "Good, really; so | so", "label": "pos"}, {"text": "Bad", "label": "neg"}]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_separator_is_read(tmp_path: Path, separator: str, name: str, mark: str) -> None:
    assert read(tmp_path, mark + to_csv(ROWS, separator), name) == (ROWS, [])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["sep={}", '"sep={}"', "SEP={}"])
def test_the_separator_that_excel_is_told_is_read(
    tmp_path: Path, separator: str, end: str, mark: str
) -> None:
    text = mark.format(separator) + end + to_csv(ROWS, separator)
    assert read(tmp_path, text) == (ROWS, [])
    (tmp_path / "b.csv").write_text(text + f"x{separator}\n", encoding="utf-8", newline="")
    assert [line for line, _ in read_data_file(tmp_path / "b.csv").rows([])] == [3, 4, 5]


def test_one_column_needs_no_separator(tmp_path: Path) -> None:
    for text in ("text\na\nb\n", "text\na;b\nc\n"):
        assert read(tmp_path, text, required=("text",))[1] == []
    assert read(tmp_path, "text\na;b\n", required=("text",))[0] == [{"text": "a;b"}]


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    text = ",label,text,,\n0,ham,Lunch?,,\n1,spam,Win,a,prize\n2,ham,ok\n"
    assert read(tmp_path, text) == (
        [
            {"label": "ham", "text": "Lunch?"},
            {"label": "spam", "text": "Win"},
            {"label": "ham", "text": "ok"},
        ],
        [],
    )


def test_empty_cells_behind_the_last_column_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "text,label\na,pos,,\nb,neg\n")[1] == []
    rows, (problem,) = read(tmp_path, "text,label\na,pos,,x\nb,neg\n")
    assert rows == [{"text": "b", "label": "neg"}]
    assert "4 fields, but the header names 2; put a cell that holds a comma in quo" in str(problem)


def test_a_misnamed_column_of_another_separator_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, "Text;label\nGood, really;pos\n") == [
        "a.csv:1, field 'text': column not found; did you mean 'Text'?"
    ]


def test_a_file_without_a_header_says_so(tmp_path: Path) -> None:
    row = '"3","Wall St. Bears Claw Back Into the Black (Reuters)","Short-sellers see green"'
    for problem in refusal(tmp_path, f"{row}\n{row}\n"):
        assert (
            "column not found; the columns are 3, Wall St. Bears Claw Back Into the Black…, Sh"
            in problem
        )
        assert "the first line is read as the names of the columns" in problem


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('"Jaws" is great', "the cell goes on behind the quotation mark that ends it"),
        ('"say \\"hi\\" now"', "a quotation mark within a cell is written twice"),
    ],
)
def test_rows_behind_a_wrong_quotation_mark_are_read(
    tmp_path: Path, cell: str, reason: str
) -> None:
    rows, (problem,) = read(tmp_path, f"text,label\n{cell},pos\nfine,neg\n")
    assert rows == [{"text": "fine", "label": "neg"}]
    assert (problem.line, problem.value) == (2, f"{cell},pos")
    assert problem.reason.startswith(f"not CSV: {reason}")


def test_every_wrong_quotation_mark_is_reported_with_its_line(tmp_path: Path) -> None:
    text = (
        'text,label\n"a" b,pos\nfine,neg\n"two\nlines",pos\n"c" d,pos\nso,neg\n'
        '"open,pos\nlast,neg\n'
    )
    rows, problems = read(tmp_path, text)
    assert [row["text"] for row in rows] == ["fine", "two\nlines", "so", "last"]
    assert [problem.line for problem in problems] == [2, 6, 8]
    assert "none ends it" in problems[-1].reason


cells = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)


@given(st.lists(st.fixed_dictionaries({"text": cells, "label": cells}), min_size=1, max_size=4))
def test_tab_separated_files_are_written_without_loss(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.tsv"
    write_rows(path, rows)
    assert "\t" in path.read_text("utf-8").split("\n")[0]
    problems: list[Problem] = []
    assert [row for _, row in read_data_file(path).rows(problems, ("text", "label"))] == rows
    assert problems == []
