"""Raw and calibrated metrics side by side, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
from promptkit.inference.cell import FACTORS, RAW, levels_of, line_title
from promptkit.report.cell_names import Data, Key, aggregates, grouped
from promptkit.report.interval_text import metric_of
from promptkit.report.rich_tables import change, table, titled
from promptkit.terminal_text import TextTable
from promptkit.text import listed
from promptkit.translation import tr

_METHOD = FACTORS.index("calibration")


def calibrated(data: Data) -> Iterator[RenderableType]:
    """Yield a table per calibrated cell, shots and seeds aside, and what each method learnt from.

    Nothing where no cell is calibrated.
    """
    scored = [row for row in aggregates(data) if row["log_loss"] is not None]
    cells = {
        key: rows
        for key, rows in grouped(scored, lambda row: _raw(levels_of(row))).items()
        if len({row["calibration"] for row in rows}) > 1
    }
    for key, rows in cells.items():
        of = f" · {' · '.join(line_title(key))}" if len(cells) > 1 else ""
        yield titled(tr("Calibrated, against the model's own probabilities{of}", of=of))
        yield _table(rows, _changes(data["pairs"], key), metric_of(data))
        yield ""
    if cells:
        yield from (Text(line, "dim") for line in learnt(data["calibrations"]))
        yield ""


def _table(
    rows: Sequence[Data], changes: Mapping[tuple[str, int], Data], metric: Metric
) -> TextTable:
    numbers = (f"{metric.noun}:", tr("against raw:"), tr("log loss:"), tr("cal. error:"))
    made = table(tr("shots:"), tr("calibration"), *numbers)
    by_shots = grouped(rows, lambda row: int(row["shots"]))
    for shots, group in sorted(by_shots.items()):
        for place, row in enumerate(group):
            made.add_row(
                "" if place else str(shots),
                tr(RAW) if row["calibration"] == RAW else row["calibration"],
                metric_text.figure(metric, row.get(metric.name)),
                change(changes.get((row["calibration"], shots)), metric),
                f"{row['log_loss']:.2f}",
                f"{row['ece']:.2f}",
                end_section=row is group[-1],
            )
    return made


def learnt(notes: Sequence[Data]) -> Iterator[str]:
    """Yield what the methods learnt from, a line per kind of evidence."""
    by_saw: dict[str, tuple[dict[str, None], set[int], set[int], set[int]]] = {}
    for note in notes:
        methods, inputs, prompts, tokens = by_saw.setdefault(note["saw"], ({}, set(), set(), set()))
        methods[note["calibration"]] = None
        inputs.add(note["inputs"])
        prompts.add(note["prompts"])
        tokens.add(note.get("tokens") or 0)
    for saw, (methods, inputs, prompts, tokens) in by_saw.items():
        more = tr(", {range} more tokens", range=_range(tokens)) if max(tokens) else ""
        cost = (
            tr(" (probes per cell: {range}{more})", range=_range(prompts), more=more)
            if max(prompts)
            else ""
        )
        yield tr(
            "{methods}: from {range} {saw}{cost}.",
            methods=listed([*methods]),
            range=_range(inputs),
            saw=saw,
            cost=cost,
        )


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else tr("{low:,} to {high:,}", low=low, high=high)


def _changes(pairs: Sequence[Data], key: Key) -> dict[tuple[str, int], Data]:
    """Return the pairs with the raw row of the same cell, by method and number of shots."""
    return {
        (pair["b"]["calibration"], pair["b"]["shots"]): pair
        for pair in pairs
        if pair["a"]["shots"] == pair["b"]["shots"]
        and levels_of(pair["a"]) == key
        and _raw(levels_of(pair["b"])) == key
    }


def _raw(key: Key) -> Key:
    return (*key[:_METHOD], RAW, *key[_METHOD + 1 :])
