"""Tables and lines in a terminal, in any script."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from scripts import words_of_a_text

from promptkit.graphemes import clusters, width
from promptkit.terminal_text import TextConsole, TextTable, text_console

FSI, PDI = "\u2068", "\u2069"


def printed(renderable: Any, columns: int = 80, **settings: Any) -> list[str]:
    console = text_console(StringIO(), columns)
    with console.capture() as capture:
        console.print(renderable, **settings)
    return capture.get().removesuffix("\n").split("\n")


def on_a_terminal(renderable: Any) -> str:
    console = TextConsole(file=StringIO(), width=60, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_table_is_as_it_always_was() -> None:
    table = TextTable("label", "accuracy:")
    table.add_row("fig", "7 %", end_section=True)
    table.add_row(Text("a much longer label", "red"), "100 %")
    assert printed(table) == [
        "label                accuracy",
        "─────────────────────────────",
        "fig                       7 %",
        "",
        "a much longer label     100 %",
    ]


def test_columns_line_up_in_every_script() -> None:
    table = TextTable("label", "n:")
    labels = [
        "apple",
        "हिन्दी",
        "果物",
        "क्षत्रिय",
        "👨\u200d👩\u200d👧",
        "한국어",
        "cafe\u0301",
        "ที่นี่",
    ]
    for label in labels:
        table.add_row(label, "1")
    assert {width(line) for line in printed(table)[2:]} == {width(printed(table)[1])}


@given(
    st.lists(st.tuples(words_of_a_text, words_of_a_text), min_size=1, max_size=3),
    st.integers(12, 60),
)
def test_cells_fold_between_clusters_and_fit(rows: Any, columns: int) -> None:
    table = TextTable("one", "two:")
    for cells in rows:
        table.add_row(*map(" ".join, cells))
    lines = printed(table, columns)
    assert all(width(line) <= columns for line in lines)
    known = {
        cluster for cells in rows for words in cells for word in words for cluster in clusters(word)
    }
    shown = {cluster for line in lines[2:] for cluster in clusters(line)}
    assert shown <= known | {" "}


@given(words_of_a_text, st.integers(4, 40))
def test_lines_fold_between_clusters_and_fit(words: list[str], columns: int) -> None:
    lines = printed(Text(" ".join(words)), columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(words)
    known = {cluster for word in words for cluster in clusters(word)}
    assert {cluster for line in lines for cluster in clusters(line)} <= known | {" "}


def test_soft_wrap_leaves_lines_whole() -> None:
    line = "हिन्दी " * 40
    assert printed(Text(line), 20, soft_wrap=True) == [line]


@pytest.mark.parametrize("folds", ["no_wrap", "fold"])
def test_a_cell_that_does_not_fold_is_cut(folds: str) -> None:
    table = TextTable("", "n:")
    table.add_row(Text("हिन्दी " * 9, no_wrap=folds == "no_wrap"), "1")
    lines = printed(table, 20)
    assert (len(lines) == 3) == (folds == "no_wrap")
    assert ("…" in lines[2]) == (folds == "no_wrap")


def test_right_to_left_cells_are_isolated_on_a_terminal() -> None:
    table = TextTable("label", "n:")
    table.add_row("سیب 5", "12")
    table.add_row("apple", "30")
    shown = on_a_terminal(table)
    assert f"{FSI}سیب 5{PDI}" in shown
    assert shown.count(FSI) == 1
    assert FSI not in "".join(printed(table))  # a file or a pipe has the text as it is


def test_right_to_left_words_of_a_sentence_are_isolated() -> None:
    shown = on_a_terminal(Text('always answering "سیب سرخ" is right 16 % of the time'))
    assert f'"{FSI}سیب سرخ{PDI}" is right 16 %' in shown
    styled = Text.assemble(("میوه: ", "red"), ("سیب", "bold"))
    assert on_a_terminal(styled) == f"{FSI}میوه: سیب{PDI}\n"
