"""Raw and calibrated figures side by side, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from promptkit.inference.cell import FACTORS, RAW, levels_of, line_title
from promptkit.report.terminal import change
from promptkit.text import percent, visible

Data = Mapping[str, Any]

_METHOD = FACTORS.index("calibration")


def calibrated(data: Data) -> Iterator[RenderableType]:
    """A table per model, template, selection, order and verbalizer that has calibrated rows, and
    what each method learnt from; nothing where there are none."""
    lines: dict[tuple[str, ...], list[Data]] = {}
    for row in data["rows"]:
        if row["seed"] is None and row["log_loss"] is not None:
            lines.setdefault(_raw(levels_of(row)), []).append(row)
    lines = {line: rows for line, rows in lines.items() if len({*map(_method, rows)}) > 1}
    for line, rows in lines.items():
        of = f" · {' · '.join(line_title(line))}" if len(lines) > 1 else ""
        title = f"Calibrated, against the model's own probabilities{of}"
        yield Text(visible(title, 300), "bold")
        yield _table(rows, _changes(data["pairs"], line))
        yield ""
    if lines:
        yield from (Text(line, "dim") for line in learnt(data["calibrations"]))
        yield ""


def _table(rows: Sequence[Data], changes: Mapping[tuple[str, int], Data]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("shots", "calibration", "accuracy", "against raw", "log loss", "cal. error"):
        table.add_column(name, justify="left" if name == "calibration" else "right")
    for shots, group in groupby(sorted(rows, key=_shots), key=_shots):
        every = [*group]
        for place, row in enumerate(every):
            table.add_row(
                "" if place else str(shots),
                row["calibration"],
                percent(row["accuracy"]),
                change(changes.get((row["calibration"], shots))),
                f"{row['log_loss']:.2f}",
                f"{row['ece']:.2f}",
                end_section=row is every[-1],
            )
    return table


def learnt(notes: Sequence[Data]) -> Iterator[str]:
    """What each method learnt from, in a line; methods that learnt from the same share one."""
    by_saw: dict[str, tuple[dict[str, None], set[int], set[int]]] = {}
    for note in notes:
        methods, inputs, prompts = by_saw.setdefault(note["saw"], ({}, set(), set()))
        methods[note["calibration"]] = None
        inputs.add(note["inputs"])
        prompts.add(note["prompts"])
    for saw, (methods, inputs, prompts) in by_saw.items():
        cost = f" (more prompts a cell: {_span(prompts)})" if max(prompts) else ""
        yield f"{' and '.join(methods)}: from {_span(inputs)} {saw}{cost}."


def _span(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _changes(pairs: Sequence[Data], line: tuple[str, ...]) -> dict[tuple[str, int], Data]:
    """Per method and number of shots, the pair with the raw row of the same cell."""
    return {
        (pair["b"]["calibration"], pair["b"]["shots"]): pair
        for pair in pairs
        if pair["a"]["shots"] == pair["b"]["shots"]
        and levels_of(pair["a"]) == line
        and _raw(levels_of(pair["b"])) == line
    }


def _raw(line: tuple[str, ...]) -> tuple[str, ...]:
    return (*line[:_METHOD], RAW, *line[_METHOD + 1 :])


def _method(row: Data) -> str:
    return str(row["calibration"])


def _shots(row: Data) -> int:
    return int(row["shots"])
