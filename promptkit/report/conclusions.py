"""Conclusions of a comparison in a terminal: verdicts, ranges and warnings, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from promptkit.inference.cell import RAW
from promptkit.report.cell_names import CellNames, Data
from promptkit.terminal_text import TextTable
from promptkit.text import printable
from promptkit.translation import tr

SHOWN = 8
"""Number of sentences of a kind that are shown; report.html has all of them."""


def verdicts(data: Data) -> Iterator[RenderableType]:
    """Yield the verdicts on the differences, the headline first."""
    every = data["verdicts"]
    for place, sentence in enumerate(every[: 1 + SHOWN]):
        yield item(sentence, "bold" if place == 0 else "")
    if every:
        yield from _rest(every[1 + SHOWN :])
        yield ""


def selective(data: Data) -> Iterator[RenderableType]:
    """Yield the queries that the best cell can answer with a stated error."""
    if data["selective"] is not None:
        yield Text(tr("Selective answering"), "bold")
        names = CellNames(data["rows"])
        yield item(f"{names.with_shots(data['selective'])}: {data['selective']['sentence']}")
        yield ""


def spreads(data: Data) -> Iterator[RenderableType]:
    """Yield the ranges of accuracies over the levels of each factor, calibrations aside."""
    found = [one for one in data["spreads"] if one["calibration"] in (None, RAW)]
    if not found:
        return
    yield Text(tr("Ranges"), "bold")
    names = CellNames(data["rows"])
    for one in found[:SHOWN]:
        yield item(f"{names.place(one)}: {one['sentence']}")
    yield from _rest(found[SHOWN:])
    yield ""


def warnings(data: Data) -> Iterator[RenderableType]:
    """Yield the warnings."""
    for sentence in data["warnings"]:
        yield item(sentence, "yellow", "!")
    if data["warnings"]:
        yield ""


def item(sentence: str, style: str = "", mark: str = "•") -> RenderableType:
    """Return a sentence of a list."""
    grid = TextTable("", "", gap=1)
    grid.add_row(Text(mark, style), Text(printable(sentence), style))
    return grid


def _rest(others: Sequence[object]) -> Iterator[RenderableType]:
    if others:
        yield Text(tr("… and {count} more in report.html", count=len(others)), "dim")
