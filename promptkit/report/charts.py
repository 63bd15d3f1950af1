"""A comparison as charts; each function makes one small chart per panel out of plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from promptkit.errors import TaskError
from promptkit.report import grid
from promptkit.report import pairs as paired
from promptkit.report.draw import (
    BETTER,
    COLOURS,
    DIM,
    INK,
    SHAPES,
    SHARE,
    WIDTH,
    WORSE,
    styled,
)
from promptkit.report.grid import Data, Key, Names
from promptkit.report.terminal import FACTORS, counted, grid_line, percent, signed, visible

MANY = 12
"""How many panels there are at most of what a reader looks at first."""

FEW = 6
"""How many there are at most of everything else; the tables have all of it."""

ASIDE = 72
"""The room beside a chart for words at the end of a line, in pixels."""

MAX_PAIRS = 16
"""How many differences stand in one panel."""

Chart = Any
"""Altair's charts have no useful common type."""


class Panel(NamedTuple):
    """One chart among several of its kind."""

    title: str
    """What sets it apart from the others; empty where it is the only one."""
    chart: Chart
    says: str
    """The chart in a sentence, for who cannot see it."""


def together(panels: Sequence[Panel]) -> Chart:
    """The panels as one chart, two in a row."""
    charts = [
        panel.chart.properties(title=panel.title) if panel.title else panel.chart
        for panel in panels
    ]
    if len(charts) == 1:
        return charts[0]
    beside = alt.concat(*charts, columns=2, spacing=32)
    return beside.resolve_scale(color="independent", shape="independent")


# --- accuracy -----------------------------------------------------------------------------------


def accuracy(data: Data) -> list[Panel]:
    """Accuracy against shots with its intervals, a line for whatever else differs."""
    domain = _domain(end for row in grid.whole(data) for end in row["accuracy_ci"])
    return [
        Panel(title, _curves(lines, domain, _commonest(data)), _spoken(lines))
        for title, lines in _panels(data)[:MANY]
    ]


def _curves(
    lines: Mapping[str, Sequence[Data]], domain: Sequence[float], commonest: float | None
) -> Chart:
    values = [
        {
            "line": name,
            "shots": row["shots"],
            "accuracy": row["accuracy"],
            "low": row["accuracy_ci"][0],
            "high": row["accuracy_ci"][1],
        }
        for name, rows in lines.items()
        for row in rows
    ]
    base = alt.Chart().encode(
        x=alt.X("shots:O", title="shots", axis=alt.Axis(labelAngle=0)), **_told_apart(lines)
    )
    if len(lines) > 1:
        base = base.encode(xOffset=alt.XOffset("line:N", sort=[*lines], scale={"padding": 0.6}))
    y = _percent_axis("accuracy:Q", "accuracy", domain)
    width = WIDTH - (0 if commonest is None else ASIDE)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45).encode(
            y=alt.Y("low:Q", scale=alt.Scale(domain=domain)), y2="high:Q"
        ),
        base.mark_line(strokeWidth=2).encode(y=y),
        _points(base, lines, y),
    ]
    if commonest is not None:
        layers.insert(0, _level(commonest, ["commonest", "label"]))
    return alt.layer(*layers, data=_data(values)).properties(width=width, height=210)


def _level(at: float, words: Sequence[str]) -> Chart:
    """A line across the chart; at its end, what it stands for."""
    base = alt.Chart(_data([{"at": at}])).encode(y=alt.Y("at:Q"))
    text = base.mark_text(align="left", dx=6, dy=-6, fontSize=11, color=DIM, text=[*words])
    rule = base.mark_rule(strokeDash=[4, 4], color=DIM)
    return rule + text.encode(x=alt.value(WIDTH - ASIDE))


def _commonest(data: Data) -> float | None:
    """The accuracy of always saying the commonest label; None where nothing is scored."""
    for matrix in data.get("confusion", ()):
        golds: list[int] = [sum(row) for row in matrix["counts"]]
        return max(golds) / sum(golds)
    return None


def _spoken(lines: Mapping[str, Sequence[Data]]) -> str:
    said = []
    for name, rows in list(lines.items())[:MANY]:
        steps = ", ".join(
            f"{percent(row['accuracy'])} with {counted(row['shots'], 'shot')}" for row in rows
        )
        said.append(f"{name}: {steps}" if name else steps)
    return f"Accuracy against shots. {'; '.join(said)}."


# --- differences --------------------------------------------------------------------------------


def differences(data: Data) -> list[Panel]:
    """Paired differences with their intervals, a panel for shots and for every other factor."""
    kinds: dict[str, list[Data]] = {}
    for pair in data["pairs"]:
        kinds.setdefault(paired.kind(pair), []).append(pair)
    names = Names(data["rows"])
    return [_forest(kind, pairs, names) for kind, pairs in kinds.items()]


def _forest(kind: str, pairs: Sequence[Data], names: Names) -> Panel:
    shown = sorted(pairs, key=lambda pair: -abs(pair["delta"]))[:MAX_PAIRS]
    shown = [pair for pair in pairs if pair in shown]
    values = [
        {
            "row": index,
            "name": paired.compared(pair, names),
            "delta": 100 * pair["delta"],
            "low": 100 * pair["ci"][0],
            "high": 100 * pair["ci"][1],
            "verdict": paired.verdict(pair),
            "number": f"{signed(pair['delta'])} [{', '.join(map(signed, pair['ci']))}]",
        }
        for index, pair in enumerate(shown)
    ]
    base = alt.Chart().encode(
        y=alt.Y("row:O", axis=None),
        color=alt.Color(
            "verdict:N",
            scale=alt.Scale(domain=[*paired.VERDICTS], range=[BETTER, WORSE, DIM]),
            legend=None,
        ),
    )
    ticks = "datum.value ? format(datum.value, '+d') : '0'"
    axis = alt.Axis(labelExpr=ticks, tickCount=6, grid=False)
    x = alt.X("delta:Q", title="points of accuracy", axis=axis)
    zero = alt.Chart(_data([{"zero": 0}])).mark_rule(color=DIM, opacity=0.4).encode(x="zero:Q")
    shape = alt.Shape(
        "verdict:N",
        scale=alt.Scale(
            domain=[*paired.VERDICTS], range=["triangle-right", "triangle-left", "circle"]
        ),
        legend=None,
    )
    label = base.mark_text(align="left", yOffset=-8, fontSize=12, color=INK, limit=WIDTH - 104)
    number = base.mark_text(align="right", yOffset=-8, fontSize=12)
    layers = [
        zero,
        base.mark_rule(strokeWidth=2, yOffset=8).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1, yOffset=8).encode(x=x, shape=shape),
        label.encode(x=alt.value(0), text="name:N", color=alt.value(INK)),
        number.encode(x=alt.value(WIDTH), text="number:N"),
    ]
    title = "More shots" if kind == "shots" else kind.capitalize()
    more = len(pairs) - len(shown)
    title += f", the {len(shown)} largest of {len(pairs)}" if more else ""
    said = "; ".join(f"{value['name']}: {value['number']} points" for value in values)
    chart = alt.layer(*layers, data=_data(values)).properties(width=WIDTH, height=alt.Step(40))
    return Panel(title, chart, f"Paired differences. {said}.")


# --- calibration and confusion ------------------------------------------------------------------


def reliability(data: Data) -> list[Panel]:
    """How sure the model is against how often it is right, a panel per shot count."""
    names = Names(data["rows"])
    panels = []
    for title, group in _by_shots(_telling(data.get("reliability", ())), names)[:FEW]:
        factors = grid.varied(map(grid_line, group))
        lines = {names.of(grid_line(one), factors): one["bins"] for one in group}
        panels.append(Panel(title, _reliability(lines), _spoken_bins(title, lines)))
    return panels


def _telling(cells: Sequence[Data]) -> list[Data]:
    """Cells with the fewest and the most shots before all others, in their order."""
    counts = [cell["shots"] for cell in cells]
    return sorted(cells, key=lambda cell: cell["shots"] not in (min(counts), max(counts)))


def _reliability(lines: Mapping[str, Sequence[Data]]) -> Chart:
    values = [{"line": name, **one} for name, bins in lines.items() for one in bins]
    base = alt.Chart().encode(
        x=_percent_axis("confidence:Q", "how sure", (0, 1)),
        y=_percent_axis("accuracy:Q", "how often right", (0, 1)),
        **_told_apart(lines),
    )
    points = _points(base, lines, None).encode(
        size=alt.Size("n:Q", scale=alt.Scale(range=[25, 300]), legend=None)
    )
    ends = _data([{"at": 0}, {"at": 1}])
    diagonal = (
        alt.Chart(ends)
        .mark_line(strokeDash=[4, 4], color=DIM, strokeWidth=1)
        .encode(x="at:Q", y="at:Q")
    )
    lines_between = base.mark_line(strokeWidth=1.5, opacity=0.6)
    layers = alt.layer(diagonal, lines_between, points, data=_data(values))
    return layers.properties(width=260, height=260)


def _spoken_bins(title: str, lines: Mapping[str, Sequence[Data]]) -> str:
    said = [
        f"{name or 'the model'} is right {percent(one['accuracy'])} of the time where it is "
        f"{percent(one['confidence'])} sure"
        for name, bins in lines.items()
        for one in bins[-1:]
    ]
    return f"Reliability, {title}. {'; '.join(said)}."


def confusion(data: Data) -> list[Panel]:
    """Which label was said where which is right, a panel per shot count."""
    matrices = _telling(data.get("confusion", ()))[:FEW]
    names = Names(data["rows"])
    return [Panel(names.with_shots(one), _heat(one), _spoken_matrix(one)) for one in matrices]


def _heat(matrix: Data) -> Chart:
    labels = [visible(label, 40) for label in matrix["labels"]]
    values = [
        {"gold": i, "said": j, "n": n, "share": n / max(1, sum(row)), "right": i == j}
        for i, row in enumerate(matrix["counts"])
        for j, n in enumerate(row)
    ]
    size = max(14, min(44, WIDTH // len(labels)))
    words = f"{json.dumps(labels)}[datum.value]"
    base = alt.Chart().encode(
        x=alt.X(
            "said:O",
            title="said",
            axis=alt.Axis(labelExpr=words, labelAngle=-45, labelLimit=90, orient="top"),
        ),
        y=alt.Y("gold:O", title="gold", axis=alt.Axis(labelExpr=words, labelLimit=90)),
    )
    cells = base.mark_rect(color=COLOURS[0], cornerRadius=3).encode(
        opacity=alt.Opacity(
            "share:Q", scale=alt.Scale(domain=[0, 1], range=[0.04, 0.62]), legend=None
        )
    )
    layers = [cells]
    if size >= 20:
        numbers = base.mark_text(fontSize=12, color=INK).encode(text="n:Q")
        layers.append(numbers.transform_filter("datum.n > 0"))
    frame = base.mark_rect(fill=None, stroke=INK, strokeWidth=1, cornerRadius=3)
    layers.append(frame.transform_filter("datum.right"))
    return alt.layer(*layers, data=_data(values)).properties(
        width=alt.Step(size), height=alt.Step(size)
    )


def _spoken_matrix(matrix: Data) -> str:
    right = sum(row[i] for i, row in enumerate(matrix["counts"]))
    total = sum(map(sum, matrix["counts"]))
    return f"Confusion of {counted(len(matrix['labels']), 'label')}: {right} of {total} right."


# --- cost ---------------------------------------------------------------------------------------


def cost(data: Data) -> list[Panel]:
    """Accuracy against the tokens of a prompt: what another shot costs."""
    domain = _domain(row["accuracy"] for row in grid.whole(data))
    seeds = grid.draws(data)
    panels = []
    for title, lines in _panels(data)[:FEW]:
        values = [
            {
                "line": name,
                "shots": row["shots"],
                "accuracy": row["accuracy"],
                "tokens": row["tokens"] / row["n"] / seeds.get((grid_line(row), row["shots"]), 1),
            }
            for name, rows in lines.items()
            for row in rows
        ]
        panels.append(Panel(title, _costs(values, lines, domain), _spoken_costs(values)))
    return panels


def _costs(
    values: Sequence[Data], lines: Mapping[str, Sequence[Data]], domain: Sequence[float]
) -> Chart:
    base = alt.Chart().encode(
        x=alt.X("tokens:Q", title="tokens of a prompt", axis=alt.Axis(tickCount=5, grid=False)),
        y=_percent_axis("accuracy:Q", "accuracy", domain),
        **_told_apart(lines),
    )
    words = base.mark_text(dy=-11, fontSize=11).encode(text="shots:O")
    layers = alt.layer(
        base.mark_line(strokeWidth=1.5, opacity=0.5).encode(order="shots:Q"),
        _points(base, lines, None),
        words,
        data=_data(values),
    )
    return layers.properties(width=WIDTH, height=180)


def _spoken_costs(values: Sequence[Data]) -> str:
    ends = (values[0], values[-1])
    said = [
        f"{counted(v['shots'], 'shot')}: {v['tokens']:.0f} tokens, {percent(v['accuracy'])} right"
        for v in ends
    ]
    return f"Accuracy against the tokens of a prompt. {'; '.join(said)}."


# --- what charts share --------------------------------------------------------------------------


def _panels(data: Data) -> list[tuple[str, dict[str, list[Data]]]]:
    """The rows over all seeds as lines of panels: no more in each than there are colours."""
    names = Names(data["rows"])
    lines: dict[Key, list[Data]] = {}
    for row in grid.whole(data):
        lines.setdefault(grid_line(row), []).append(row)
    if len(lines) <= len(COLOURS):
        return [("", {names.of(key): own for key, own in lines.items()})]
    counts = {i: len({key[i] for key in lines}) for i in names.factors}
    inside = [i for i in reversed(names.factors) if counts[i] <= len(COLOURS)][:1]
    outside = [i for i in names.factors if i not in inside]
    panels: dict[str, dict[str, list[Data]]] = {}
    for key, own in lines.items():
        panels.setdefault(names.of(key, outside), {})[names.of(key, inside)] = own
    return list(panels.items())


def _by_shots(cells: Sequence[Data], names: Names) -> list[tuple[str, list[Data]]]:
    """Cells that differ in their calibration only, together."""
    factors = [i for i in names.factors if FACTORS[i] != "calibration"]
    groups: dict[str, list[Data]] = {}
    for cell in cells:
        groups.setdefault(names.with_shots(cell, factors), []).append(cell)
    return list(groups.items())


def _told_apart(lines: Mapping[str, Any]) -> dict[str, Any]:
    """Colours for lines, or one colour for a line that is alone."""
    if len(lines) == 1:
        return {"color": alt.value(COLOURS[0])}
    scale = alt.Scale(domain=[*lines], range=[*COLOURS[: len(lines)]])
    return {"color": alt.Color("line:N", scale=scale, legend=alt.Legend())}


def _points(base: Chart, lines: Mapping[str, Any], y: Any) -> Chart:
    """Points with a shape for each line."""
    points = base.mark_point(filled=True, size=60, opacity=1)
    if y is not None:
        points = points.encode(y=y)
    if len(lines) == 1:
        return points
    scale = alt.Scale(domain=[*lines], range=[*SHAPES[: len(lines)]])
    return points.encode(shape=alt.Shape("line:N", scale=scale, legend=alt.Legend()))


def _percent_axis(field: str, title: str, domain: Sequence[float]) -> Any:
    axis = alt.Axis(format=SHARE, tickCount=5)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    kind = alt.X if field.startswith("confidence") else alt.Y
    return kind(field, title=title, scale=scale, axis=axis)


def _domain(shares: Iterable[float]) -> tuple[float, float]:
    """Whole tenths around shares, never so narrow that noise looks like much."""
    values = [*shares]
    low, high = int(min(values) * 10) / 10, -int(-max(values) * 10 // 1) / 10
    while high - low < 0.4:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    return round(low, 1), round(high, 1)


def _data(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[*values])


PLOTS: dict[str, Callable[[Data], list[Panel]]] = {
    "accuracy": accuracy,
    "differences": differences,
    "reliability": reliability,
    "confusion": confusion,
    "cost": cost,
}
"""What can be plotted of a comparison."""


def plot(data: Data, what: str) -> Chart:
    """All panels of one kind as one chart.

    Raises `TaskError` for a kind that there is not, or not in this comparison.
    """
    if what not in PLOTS:
        raise TaskError(f"there is no plot {what!r}; there is {', '.join(PLOTS)}")
    panels = PLOTS[what](data)
    if not panels:
        raise TaskError(f"there is nothing to plot as {what!r}: this comparison has none of it")
    return styled(together(panels))
