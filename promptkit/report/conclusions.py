"""What a comparison found, in sentences for a terminal: verdicts, spreads and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from promptkit.inference.cell import RAW, SWEPT
from promptkit.report.cell_names import Names

Data = Mapping[str, Any]

SHOWN = 8
"""How many sentences of a kind are shown; report.html has all of them."""


def verdicts(data: Data) -> Iterator[RenderableType]:
    """What can be said of the differences, the headline first."""
    every = data.get("verdicts", ())
    for place, sentence in enumerate(every[: 1 + SHOWN]):
        yield _item(sentence, "bold" if place == 0 else "")
    if every:
        yield from _rest(every[1 + SHOWN :])
        yield ""


def spreads(data: Data) -> Iterator[RenderableType]:
    """How far accuracies lie apart over draws, orders and wordings, where nothing is calibrated."""
    found = [
        one
        for one in data.get("spreads", ())
        if one["factor"] in SWEPT and one["calibration"] in (None, RAW)
    ]
    if not found:
        return
    yield Text("Ranges", "bold")
    names = Names(data["rows"])
    for one in found[:SHOWN]:
        yield _item(f"{names.place(one)}: {one['sentence']}")
    yield from _rest(found[SHOWN:])
    yield ""


def warnings(data: Data) -> Iterator[RenderableType]:
    """What a careful reader must know."""
    every = data.get("warnings", ())
    for sentence in every:
        yield _item(sentence, "yellow", "!")
    if every:
        yield ""


def _item(sentence: str, style: str = "", mark: str = "•") -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    clean = "".join(char if char.isprintable() else "·" for char in sentence)
    grid.add_row(Text(mark, style), Text(clean, style))
    return grid


def _rest(others: Sequence[Any]) -> Iterator[RenderableType]:
    if others:
        yield Text(f"… and {len(others)} more in report.html", "dim")
