"""Right-to-left text, and characters of several code points, in the report's page and previews."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Literal

import pytest
from browser import headless
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page
from samples import COLON, Word
from scripts import clusters_of_a_text

from promptkit import Example, FakeModel, Store, Task, compare
from promptkit.graphemes import clusters, width
from promptkit.preview.tokenized import preview
from promptkit.prompts.html import html
from promptkit.report.charts.panels import fitting
from promptkit.report.page import html as report

PERSIAN = Literal["میوه", "سبزی"]
LONG = "می\u200cخواهم 👨\u200d👩\u200d👧 न्दी " * 40


@pytest.fixture(scope="module")
def page_text() -> str:
    words = ["سیب 5", "خیار (سبز) 12", "abc سیب def", "क्ष\u200dत्रिय", LONG]
    rows = [
        Example(input=Word(word=word), output=("میوه", "سبزی")[place % 2])
        for place, word in enumerate(words)
    ]
    task = Task[Word, PERSIAN](
        name="میوه و سبزی",
        demos=[Example(input=Word(word=f"{n} هویج"), output="سبزی") for n in range(4)],
        tests=rows,
    )
    result = compare(
        task,
        models=[FakeModel()],
        templates=[COLON],
        shots=[0, 2],
        seeds=2,
        store=Store(),
        lint=False,
    )
    return report(result.to_dict(), result.to_records())


def test_data_are_isolated_from_the_words_around(page_text: str) -> None:
    assert '<h1 dir="auto">میوه و سبزی</h1>' in page_text
    assert '<th scope="row" dir="auto">میوه' in page_text
    for line in page_text.split("\n"):
        if "majority-class baseline" in line and "<li>" in line:
            assert "<bdi>" in line


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with headless() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, page_text: str, tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "report.html").write_text(page_text, "utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector("#explorer:not([hidden])")
    yield page
    page.close()


@pytest.mark.slow
def test_queries_have_the_direction_of_their_first_letter(page: Page) -> None:
    direction = "found => found.map(one => getComputedStyle(one).direction)"
    asked = page.locator(".row .asked")
    assert asked.evaluate_all(direction) == ["rtl", "rtl", "ltr", "ltr", "rtl"]
    named = page.locator("h1")
    assert named.evaluate("one => getComputedStyle(one).direction") == "rtl"
    page.locator(".row").first.click()
    for name in (".prompt", ".text"):
        if page.locator(name).count():
            look = page.locator(name).first.evaluate("one => getComputedStyle(one).unicodeBidi")
            assert look == "plaintext"
    assert page.locator(".detail bdi").count()


@pytest.mark.slow
def test_long_queries_are_cut_between_characters(page: Page) -> None:
    shown = page.locator(".row .asked").last.evaluate("one => one.textContent")
    assert shown.endswith("…")
    kept = [*clusters(shown.removesuffix("…"))]
    assert kept == [*clusters(LONG)][: len(kept)]
    assert len(shown) > 300


def test_previews_never_cut_a_character() -> None:
    task = Task[Word, PERSIAN](
        name="میوه", tests=[Example(input=Word(word="न्दी 👨\u200d👩\u200d👧 سیب"), output="میوه")]
    )
    prompt = COLON.render(task, query=task.tests[0])
    shown = html("میوه", [prompt.preview()])
    assert "<h1><bdi>میوه</bdi></h1>" in shown
    assert '<pre dir="auto">' in shown
    bytewise = preview(prompt, FakeModel())  # its tokens are bytes
    assert len(bytewise.tokens) > len(prompt.text)
    between = {*accumulate(len(run.text) for run in bytewise.runs)}
    assert between <= {*accumulate(map(len, clusters(bytewise.text)))}


@given(clusters_of_a_text.map("".join), st.integers(8, 40))
def test_labels_of_charts_are_cut_between_characters(text: str, columns: int) -> None:
    shown = fitting(text, round(columns * 7.5))
    assert shown == text or width(shown) <= columns + 1
    assert [*clusters(shown.removesuffix("…"))] == [*clusters(text)][
        : len([*clusters(shown.removesuffix("…"))])
    ]
