"""Table of what is compared with its size, its speed and what it took to make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.text import Text

from promptkit.evaluation.metric import Metric
from promptkit.report.cell_names import Data
from promptkit.report.conclusions import item
from promptkit.report.cost_lines import (
    CostLine,
    best_prompt,
    cost_lines,
    duration,
    front_sentence,
    magnitude,
    rate,
)
from promptkit.report.interval_text import figure, metric_of
from promptkit.report.rich_tables import table, titled
from promptkit.text import visible
from promptkit.translation import mark, tr


class Column(NamedTuple):
    """A column of the table."""

    title: str
    text: Callable[[CostLine], str]
    """The text of a line; `–`, `0` and nothing say nothing."""

    @property
    def heading(self) -> str:
        """The title in the language in use."""
        return tr(self.title)


SIZES = (
    Column(mark("parameters"), lambda line: magnitude(line.row.get("parameters"))),
    Column(mark("trained"), lambda line: magnitude(line.row.get("trained_parameters"))),
    Column(mark("on disk"), lambda line: magnitude(line.row.get("bytes"), "B")),
    Column(mark("items/s"), lambda line: rate(line.row.get("items_per_second"))),
)
"""Sizes and speed."""

MAKING = (
    Column(mark("made in"), lambda line: duration(line.row.get("making_seconds"))),
    Column(mark("tokens"), lambda line: magnitude(line.row.get("making_tokens"))),
    Column(mark("labels"), lambda line: _count(line.row.get("making_labels"))),
    Column(mark("pays after"), lambda line: line.pays_after),
)
"""What it took to make, and whether that is worth it."""

COLUMNS = (*SIZES, *MAKING)
"""The columns after the name and the metric."""

NAME_ROOM = 26
"""Width of the names, with the mark in front of them, without which there are two tables."""


def about(lines: Sequence[CostLine], metric: Metric) -> str:
    """Return what the columns mean."""
    best, pays = best_prompt(lines, metric), ""
    if best is not None and any(line.pays_after for line in lines):
        pays = tr(
            " Pays after: the number of predictions after which it has taken less time "
            "than the best prompt, {name}, its making included.",
            name=best.name,
        )
    front = (
        tr(" ● Nothing else is at least as good and as fast, within a tenth.")
        if _has_front(lines)
        else ""
    )
    return tr(
        "On disk: with the model. Items/s: where all are asked at once. Made in: "
        "the time that it took to make, a teacher's included, of so many tokens "
        "and gold labels.{pays}{front}",
        pays=pays,
        front=front,
    )


def _has_front(lines: Sequence[CostLine]) -> bool:
    return any(line.on_front for line in lines)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def shown_columns(lines: Sequence[CostLine]) -> list[Column]:
    """Return the columns that say something of some line."""
    return [one for one in COLUMNS if any(one.text(line) not in ("", "–", "0") for line in lines)]


def costs(data: Data, width: int) -> Iterator[RenderableType]:
    """Yield the table, and which lines are worth their cost, for a terminal of this width."""
    lines, metric = cost_lines(data), metric_of(data)
    columns = [_metric_column(metric), *shown_columns(lines)]
    yield titled(tr("Costs, {noun} beside them", noun=metric.noun))
    for part in _parts(columns, lines, width):
        made = table("", "", *(f"{one.heading}:" for one in part))
        for line in lines:
            sign = "●" if line.on_front else ""
            cells = [Text(one.text(line), no_wrap=True) for one in part]
            made.add_row(sign, Text(visible(line.name, 60)), *cells)
        yield made
    if said := front_sentence(lines, metric):
        yield item(said, mark="●")
    yield Text(about(lines, metric), "dim")
    yield ""


def _metric_column(metric: Metric) -> Column:
    return Column(metric.noun, lambda line: figure(metric, line.row))


def _parts(
    columns: Sequence[Column], lines: Sequence[CostLine], width: int
) -> list[Sequence[Column]]:
    """Return the columns of one table, or of two where one leaves no room for names."""
    widths = [max(len(text) for text in (one.heading, *map(one.text, lines))) for one in columns]
    if sum(widths) + 2 * len(columns) + NAME_ROOM <= width:
        return [columns]
    making = [one for one in columns if one in MAKING]
    rest = [one for one in columns if one not in MAKING]
    return [part for part in (rest, making) if part]


class PageTable(NamedTuple):
    """The table for the page."""

    columns: tuple[str, ...]
    lines: tuple[tuple[CostLine, tuple[str, ...]], ...]
    """Each line with the texts of its columns."""
    front: str
    """The front in words."""
    about: str
    """What the columns mean."""


def page_table(data: Data) -> PageTable:
    """Return the table of a comparison in JSON; without columns where no cost is known."""
    lines, metric = cost_lines(data), metric_of(data)
    columns = shown_columns(lines)
    return PageTable(
        tuple(one.heading for one in columns),
        tuple((line, tuple(one.text(line) for one in columns)) for line in lines),
        front_sentence(lines, metric),
        about(lines, metric),
    )
