"""Charts of label probabilities: reliability and confusion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from promptkit.inference.cell import FACTORS, levels_of
from promptkit.report import cell_names
from promptkit.report.cell_names import CellNames, Data, few, fewest_and_most, grouped, has_prompt
from promptkit.report.charts.panels import (
    FEW,
    Chart,
    Panel,
    fitting,
    inline,
    percent_axis,
    points_of,
    told_apart,
)
from promptkit.report.charts.style import COLOURS, DIM, INK, WIDTH
from promptkit.report.confusion_matrices import cut, dense, entries, golds
from promptkit.text import counted, percent, visible
from promptkit.translation import tr

ROOM = 90
"""Room of a label, in pixels."""

ROOMY = 20
"""Width of a cell, in pixels, that has room for a number."""


def reliability(data: Data) -> list[Panel]:
    """Return panels of accuracy against confidence, one per shot count."""
    names = CellNames(data["rows"])
    panels = []
    groups = _by_shots(fewest_and_most(data["reliability"]), names)[:FEW]
    for title, group in sorted(groups, key=_place):
        factors = cell_names.varied(map(levels_of, group))
        lines = {names.of(levels_of(one), factors): one["bins"] for one in group}
        panels.append(Panel(title, _reliability(lines), _bins_in_words(title, lines)))
    return panels


def _place(group: tuple[str, list[Data]]) -> tuple[bool, int]:
    """Return what panels are sorted by: shots, and those without a prompt last."""
    first = group[1][0]
    return not has_prompt(first), int(first["shots"])


def _reliability(lines: Mapping[str, Sequence[Data]]) -> Chart:
    values = [{"line": name, **one} for name, bins in lines.items() for one in bins]
    base = alt.Chart().encode(
        x=percent_axis(alt.X, "confidence:Q", tr("confidence"), (0, 1)),
        y=percent_axis(alt.Y, "accuracy:Q", tr("accuracy"), (0, 1)),
        **told_apart(lines),
    )
    points = points_of(base, lines).encode(
        size=alt.Size("n:Q", scale=alt.Scale(range=[25, 300]), legend=None)
    )
    ends = inline([{"at": 0}, {"at": 1}])
    diagonal = (
        alt.Chart(ends)
        .mark_line(strokeDash=[4, 4], color=DIM, strokeWidth=1)
        .encode(x=alt.X("at:Q"), y=alt.Y("at:Q"))
    )
    lines_between = base.mark_line(strokeWidth=1.5, opacity=0.6)
    layers = alt.layer(diagonal, lines_between, points, data=inline(values))
    return layers.properties(width=260, height=260)


def _bins_in_words(title: str, lines: Mapping[str, Sequence[Data]]) -> str:
    said = [
        tr(
            "{name} is right {percent} of the time where it is {percent_2} confident",
            name=name or tr("the model"),
            percent=percent(one["accuracy"]),
            percent_2=percent(one["confidence"]),
        )
        for name, bins in lines.items()
        for one in bins[-1:]
    ]
    return tr("Reliability, {title}. {said}.", title=title, said="; ".join(said))


def confusion(data: Data) -> list[Panel]:
    """Return panels of counts of answers by gold label, one per shot count."""
    chosen = few(data["confusion"], FEW)
    names = CellNames(data["rows"])
    return [Panel(names.with_shots(one), _heat(cut(one)), _matrix_in_words(one)) for one in chosen]


def _heat(matrix: Data) -> Chart:
    size = max(8, min(44, WIDTH // len(matrix["labels"])))
    font = min(12, size)
    labels = [fitting(visible(label, 40), ROOM, font) for label in matrix["labels"]]
    values = [
        {"gold": i, "said": j, "n": n, "share": n / max(1, sum(row)), "right": i == j}
        for i, row in enumerate(dense(matrix))
        for j, n in enumerate(row)
        if n or i == j or size >= ROOMY  # thousands of empty cells would only make the page heavy
    ]
    axis: dict[str, Any] = {
        "labelExpr": f"{json.dumps(labels)}[datum.value]",
        "labelLimit": ROOM,
        "labelFontSize": font,
    }
    all_labels = alt.Scale(domain=[*range(len(labels))])
    base = alt.Chart().encode(
        x=alt.X(
            "said:O",
            title=tr("answer"),
            scale=all_labels,
            axis=alt.Axis(labelAngle=-45, orient="top", **axis),
        ),
        y=alt.Y("gold:O", title=tr("gold"), scale=all_labels, axis=alt.Axis(**axis)),
    )
    cells = base.mark_rect(color=COLOURS[0], cornerRadius=3).encode(
        opacity=alt.Opacity(
            "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.62]), legend=None
        )
    )
    layers = [cells]
    if size >= ROOMY:
        numbers = base.mark_text(fontSize=12, color=INK).encode(text=alt.Text("n:Q"))
        layers.append(numbers.transform_filter("datum.n > 0"))
    frame = base.mark_rect(fill=None, stroke=INK, strokeWidth=1, cornerRadius=3)
    layers.append(frame.transform_filter("datum.right"))
    return alt.layer(*layers, data=inline(values)).properties(
        width=alt.Step(size), height=alt.Step(size)
    )


def _matrix_in_words(matrix: Data) -> str:
    right = sum(count for gold, said, count in entries(matrix) if gold == said)
    total = sum(golds(matrix))
    return tr(
        "Confusion of {labels}: {right} of {total} right.",
        labels=counted(len(matrix["labels"]), "label", "labels"),
        right=right,
        total=total,
    )


def _by_shots(cells: Sequence[Data], names: CellNames) -> list[tuple[str, list[Data]]]:
    """Return groups of cells that differ in their calibration only."""
    factors = [i for i in names.factors if FACTORS[i] != "calibration"]
    return [*grouped(cells, lambda cell: names.with_shots(cell, factors)).items()]
