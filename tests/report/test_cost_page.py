"""Costs on the page of a comparison."""

from __future__ import annotations

import re
from typing import Any

import pytest
from comparisons import Student, Timed, compared, learner
from samples import parity_task

from promptkit.report.charts.plot import PLOTS
from promptkit.report.page import html


def page_of(**changed: Any) -> str:
    result = compared(models=[Timed(learner)], **changed)
    return html(result.to_dict(), result.to_records())


@pytest.mark.slow
def test_the_page_shows_what_each_predictor_costs() -> None:
    page = page_of(predictors=[Student(parity_task(), 0.001)])
    section = page[page.index('<section id="cost"') : page.index('<section id="answers"')]
    table = section[section.index('aria-label="Costs, table"') :]
    rows = [re.sub(r"<[^>]*>", "|", row) for row in re.findall(r"<tr>(.*)</tr>", table)]
    assert [row.strip("|").split("|")[0] for row in rows[1:]] == ["1", "2", "3"]
    assert "|30 s|" in rows[3]
    assert "Nothing else is both better and faster than one of these: student" in section
    labels = re.findall(r'<svg role="img" aria-label="([^"]*)"', section)
    assert [label.split(" On the front: ")[0] for label in labels[:2]] == [
        "Accuracy against seconds for an item.",
        "Accuracy against bytes on disk.",
    ]


def test_prompts_alone_have_the_table_folded_and_no_front() -> None:
    page = page_of()
    assert "<summary>Sizes and speeds</summary>" in page
    assert "Against seconds for an item" not in page
    assert "Nothing else is" not in page[: page.index("<summary>Sizes and speeds")]


def test_points_have_the_numbers_of_the_table() -> None:
    result = compared(models=[Timed(learner)], predictors=[Student(parity_task(), 0.001)])
    panel, size = PLOTS["pareto"](result.to_dict())
    made = panel.chart.to_dict(validate=False)
    values = made["datasets"][made["data"]["name"]]
    assert [(one["number"], one["name"], one["front"]) for one in values] == [
        ("1", "0 shots", False),
        ("2", "4 shots", True),
        ("3", "student", True),
    ]
    assert values[2]["seconds"] == pytest.approx(0.001)
    assert size.title == "Against bytes on disk"
