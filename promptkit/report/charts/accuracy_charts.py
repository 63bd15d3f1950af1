"""Charts of accuracy, or of another metric, against the number of shots and against tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.graphemes import folded
from promptkit.inference.cell import levels_of
from promptkit.report import cell_names, confusion_matrices
from promptkit.report.cell_names import CellNames, Data, Key, has_prompt
from promptkit.report.charts.panels import (
    FEW,
    Chart,
    Panel,
    inline,
    percent_axis,
    points_of,
    told_apart,
)
from promptkit.report.charts.style import COLOURS, DIM, WIDTH
from promptkit.report.interval_text import metric_of
from promptkit.text import capital, counted, file_name, visible
from promptkit.translation import tr

MANY = 12
"""Largest number of panels of accuracies: a reader looks at them first."""

ASIDE = 72
"""Room beside a chart for words at the end of a line, in pixels."""

Level = tuple[float, Sequence[str]]
"""A value without prompts, and its name in lines."""


def accuracy(data: Data) -> list[Panel]:
    """Return panels of the metric against shots with its intervals, a line per cell."""
    metric = metric_of(data)
    whole = [*filter(has_prompt, _having(metric, cell_names.aggregates(data)))]
    ends = [end for row in whole for end in ends_in(metric, row)]
    values = [row[metric.name] for row in _having(metric, data["rows"]) if has_prompt(row)]
    level, without = _baseline(data, metric), _best_without(data, metric)
    others = [] if level is None or metric == ACCURACY else [level[0]]
    others += [] if without is None else [without[0]]
    domain = domain_of(metric, [*ends, *values, *others])
    seeds = cell_names.by_draw(data)
    return [
        Panel(
            title, _curves(metric, lines, seeds, domain, (level, without)), _in_words(metric, lines)
        )
        for title, lines in _panels(data)[:MANY]
    ]


def _having(metric: Metric, rows: Iterable[Data]) -> list[Data]:
    return [row for row in rows if row.get(metric.name) is not None]


def ends_in(metric: Metric, row: Data) -> tuple[float, float]:
    """Return the interval of a row; its value twice where nothing can be said."""
    general, value = row.get(f"{metric.name}_ci"), row[metric.name]
    low, high = general or row.get(f"{metric.name}_ci_fixed") or (value, value)
    return (value if low is None else low), (value if high is None else high)


def metric_axis(metric: Metric, domain: Sequence[float]) -> Any:
    field = f"{metric.name}:Q"
    if metric.is_share:
        return percent_axis(alt.Y, field, metric.noun, domain)
    scale = alt.Scale(domain=[*domain], nice=False, zero=False)
    return alt.Y(field, title=metric.noun, scale=scale, axis=alt.Axis(tickCount=5))


def _curves(
    metric: Metric,
    lines: Mapping[str, Sequence[Data]],
    seeds: Mapping[tuple[Key, int], Sequence[float]],
    domain: Sequence[float],
    levels: Sequence[Level | None],
) -> Chart:
    """Return lines through accuracies with their intervals, and a small point for every draw."""
    cells = [(name, row) for name, rows in lines.items() for row in _having(metric, rows)]
    values = [
        {
            "line": name,
            "shots": row["shots"],
            metric.name: row[metric.name],
            **dict(zip(("low", "high"), ends_in(metric, row), strict=True)),
        }
        for name, row in cells
    ]
    draws = [
        {"line": name, "shots": row["shots"], "draw": accuracy}
        for name, row in cells
        if row["shots"]
        for accuracy in seeds.get((levels_of(row), row["shots"]), [])
    ]
    base = alt.Chart().encode(
        x=alt.X("shots:O", title=tr("shots"), axis=alt.Axis(labelAngle=0)), **told_apart(lines)
    )
    if len(lines) > 1:
        base = base.encode(xOffset=alt.XOffset("line:N", sort=[*lines], scale={"padding": 0.6}))
    y = metric_axis(metric, domain)
    beside = sorted(filter(None, levels), key=lambda level: -metric.sign * level[0])
    width = WIDTH - (ASIDE if beside else 0)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45).encode(
            y=alt.Y("low:Q", scale=alt.Scale(domain=domain)), y2=alt.Y2("high:Q")
        ),
        base.mark_line(strokeWidth=2).encode(y=y),
        points_of(base.encode(y=y), lines),
    ]
    if len(draws) > len(values):
        small = base.mark_point(size=14, opacity=0.55, filled=False, strokeWidth=1)
        layers.insert(0, small.encode(y=alt.Y("draw:Q")).properties(data=inline(draws)))
    for place, (at, words) in enumerate(beside):
        layers.insert(0, _level_line(at, words, above=place == 0))
    return alt.layer(*layers, data=inline(values)).properties(width=width, height=210)


def _level_line(at: float, words: Sequence[str], *, above: bool) -> Chart:
    """Return a dashed line across a chart, with its name beside it."""
    base = alt.Chart(inline([{"at": at}])).encode(y=alt.Y("at:Q"))
    dy = -6 if above else 12
    text = base.mark_text(align="left", dx=6, dy=dy, fontSize=11, color=DIM, text=[*words])
    rule = base.mark_rule(strokeDash=[4, 4], color=DIM)
    return rule + text.encode(x=alt.value(WIDTH - ASIDE))


def _best_without(data: Data, metric: Metric) -> Level | None:
    """Return the best metric of what answers without a prompt, and its name; None without any."""
    rows = [row for row in _having(metric, cell_names.aggregates(data)) if not has_prompt(row)]
    if not rows:
        return None
    best = max(rows, key=lambda row: float(metric.sign * row[metric.name]))
    return best[metric.name], folded(visible(file_name(best["model"]), 24), 12)


def _baseline(data: Data, metric: Metric) -> Level | None:
    """Return the metric of answers without a model, and their name; None without any.

    Only labels have confusion matrices, and the baseline of options is chance.
    """
    if metric != ACCURACY:
        best = data.get("best") or {}
        name, level = best.get("baseline_name") or "", best.get("baseline")
        shown = ["chance"] if name == "chance" else ["constant", "answer"]
        return (level, shown) if name and level is not None else None
    if data["confusion"]:
        golds = confusion_matrices.golds(data["confusion"][0])
        return max(golds) / max(1, sum(golds)), tr("majority baseline").split()
    chance = (data.get("best") or {}).get("baseline")
    return None if chance is None else (chance, ["chance"])


def _in_words(metric: Metric, lines: Mapping[str, Sequence[Data]]) -> str:
    said = []
    for name, rows in list(lines.items())[:MANY]:
        steps = ", ".join(
            tr(
                "{figure} with {shots}",
                figure=metric_text.figure(metric, row[metric.name]),
                shots=counted(row["shots"], "shot", "shots"),
            )
            for row in _having(metric, rows)
        )
        said.append(f"{name}: {steps}" if name else steps)
    return tr(
        "{capital} against shots. {said}.", capital=capital(metric.noun), said="; ".join(said)
    )


def cost(data: Data) -> list[Panel]:
    """Return panels of the metric against the tokens of a prompt."""
    metric = metric_of(data)
    whole = [*filter(has_prompt, _having(metric, cell_names.aggregates(data)))]
    domain = domain_of(metric, [row[metric.name] for row in whole])
    seeds = cell_names.by_draw(data)
    panels = []
    for title, lines in _panels(data)[:FEW]:
        values = [
            {
                "line": name,
                "shots": row["shots"],
                metric.name: row[metric.name],
                "tokens": row["tokens"] / row["n"] / len(seeds[levels_of(row), row["shots"]]),
            }
            for name, rows in lines.items()
            for row in _having(metric, rows)
        ]
        if values:
            chart = _costs(metric, values, lines, domain)
            panels.append(Panel(title, chart, _costs_in_words(metric, values)))
    return panels


def _costs(
    metric: Metric,
    values: Sequence[Data],
    lines: Mapping[str, Sequence[Data]],
    domain: Sequence[float],
) -> Chart:
    base = alt.Chart().encode(
        x=alt.X("tokens:Q", title=tr("tokens of a prompt"), axis=alt.Axis(tickCount=5, grid=False)),
        y=metric_axis(metric, domain),
        **told_apart(lines),
    )
    layers = alt.layer(
        base.mark_line(strokeWidth=1.5, opacity=0.5).encode(order=alt.Order("shots:Q")),
        points_of(base, lines),
        base.mark_text(dy=-11, fontSize=11).encode(text=alt.Text("shots:O")),
        data=inline(values),
    )
    return layers.properties(width=WIDTH, height=180)


def _costs_in_words(metric: Metric, values: Sequence[Data]) -> str:
    right = " right" if metric == ACCURACY else ""
    said = [
        tr(
            "{shots}: {v:.0f} tokens, {figure}{right}",
            shots=counted(v["shots"], "shot", "shots"),
            v=v["tokens"],
            figure=metric_text.figure(metric, v[metric.name]),
            right=right,
        )
        for v in (values[0], values[-1])
    ]
    return tr(
        "{capital} against the tokens of a prompt. {said}.",
        capital=capital(metric.noun),
        said="; ".join(said),
    )


def _panels(data: Data) -> list[tuple[str, dict[str, list[Data]]]]:
    """Return the rows over all seeds as lines of panels, at most a line per colour in each."""
    names = CellNames(data["rows"])
    lines = cell_names.grouped(filter(has_prompt, cell_names.aggregates(data)), levels_of)
    if len(lines) <= len(COLOURS):
        return [("", {names.of(key): own for key, own in lines.items()})]
    counts = {i: len({key[i] for key in lines}) for i in names.factors}
    inside = [i for i in reversed(names.factors) if counts[i] <= len(COLOURS)][:1]
    outside = [i for i in names.factors if i not in inside]
    panels: dict[str, dict[str, list[Data]]] = {}
    for key, own in lines.items():
        panels.setdefault(names.of(key, outside), {})[names.of(key, inside)] = own
    return list(panels.items())


def domain_of(metric: Metric, values: Sequence[float]) -> tuple[float, float]:
    """Return what an axis shows: for shares whole tenths, 0.4 apart so that noise looks small."""
    if not values:
        return 0.0, 1.0
    if not metric.is_share:
        margin = 0.1 * (max(values) - min(values)) or 1.0
        return max(min(values) - margin, metric.least), min(max(values) + margin, metric.most)
    low, high = int(min(values) * 10) / 10, -int(-max(values) * 10 // 1) / 10
    while high - low < 0.4:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    return round(low, 1), round(high, 1)
