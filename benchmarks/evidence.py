"""Effects of shots, selections and calibration on the bundled model, on fruit and on SST-2.

`python -m benchmarks.evidence`; with `--write` the tables go into docs/evidence.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import tables
from benchmarks.work import ROOT
from promptkit import Comparison, Store, Task, compare, load_model, load_task
from promptkit.calibration.methods import Calibration
from promptkit.evaluation.results import Row
from promptkit.inference.cell import RAW
from promptkit.models.base import Model

PAGE = ROOT / "docs" / "evidence.md"
MARKS = "<!-- accuracy -->", "<!-- end of accuracy -->"

FIXED = ("balanced", "random")
BY_QUERY = ("similar", "similar-balanced")
EVERYWHERE: tuple[Calibration, ...] = ("contextual", "batch")
"""The calibrations of selections by query, too: they need few prompts."""
WITH_MORE: tuple[Calibration, ...] = ("contextual", "domain-context", "batch", "vector")


def compared(
    task: Task[Any, Any], model: Model, shots: Sequence[int], seeds: int, limit: int, store: Store
) -> list[Comparison]:
    """The fixed selections, then those by query, which no seed changes."""
    arguments: dict[str, Any] = {"models": [model], "limit": limit, "store": store}
    return [
        compare(
            task,
            shots=shots,
            selections=FIXED,
            seeds=seeds,
            calibrations=WITH_MORE,
            **arguments,
        ),
        compare(
            task,
            shots=[count for count in shots if count],
            selections=BY_QUERY,
            seeds=1,
            calibrations=EVERYWHERE,
            **arguments,
        ),
    ]


def table(task: Task[Any, Any], found: Sequence[Comparison]) -> tables.Table:
    """Accuracy after each number of shots, and expected calibration error after the most."""
    rows = [row for one in found for row in one.rows if row.seed is None]
    counts = sorted({row.shots for row in rows})
    queries, seeds = rows[0].n, len({p.seed for p in found[0].predictions})
    return tables.Table(
        f"{task.name}: {queries} tests, {len(task.labels)} labels, {task.template}",
        (
            "selection",
            "calibration",
            *(f"{count} shot{'s' * (count != 1)}:" for count in counts),
            f"log loss at {counts[-1]}:",
            f"ECE at {counts[-1]}:",
        ),
        list(_lines(rows, counts)),
        [
            f"Percent right, with 95 % intervals for new queries and new draws of shots; {seeds} "
            "draws, one where the query decides.",
            *_said(found),
        ],
    )


def _lines(rows: Sequence[Row], counts: Sequence[int]) -> Iterator[tuple[str, ...]]:
    by_line: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        by_line.setdefault((row.selection, row.calibration), {})[row.shots] = row
    for (selection, calibration), by_count in by_line.items():
        most = by_count[max(by_count)]
        yield (
            selection,
            "raw" if calibration == RAW else calibration,
            *(_accuracy(by_count.get(count)) for count in counts),
            f"{most.log_loss:.2f}",
            f"{most.ece:.2f}",
        )


def _accuracy(row: Row | None) -> str:
    if row is None:
        return ""
    low, high = row.accuracy_ci or row.accuracy_ci_fixed
    return f"{100 * row.accuracy:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _said(found: Sequence[Comparison]) -> list[str]:
    """Return the verdicts of the comparison of the fixed selections."""
    return [*found[0].verdicts[:4], *found[0].warnings[:3]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.evidence", description=__doc__)
    parser.add_argument("--limit", type=int, default=200, help="the most tests (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of shots (%(default)s)")
    parser.add_argument("--store", type=Path, help="where predictions are kept; nowhere if unsaid")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args(arguments)
    model = load_model()
    shown = []
    with Store(options.store) as store:
        for folder, shots in (
            (ROOT / "examples" / "fruit", (0, 1, 2, 5, 10)),
            (ROOT / "benchmarks" / "sst2", (0, 1, 2, 4, 8)),
        ):
            task = load_task(folder)
            found = compared(task, model, shots, options.seeds, options.limit, store)
            shown.append(table(task, found))
            tables.show(shown[-1], Console(width=max(150, Console().width)))
    if options.write:
        tables.write(PAGE, tables.markdown(shown), MARKS)


if __name__ == "__main__":
    main()
