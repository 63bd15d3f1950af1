"""Two Ray actors of one thread each beside one process of two threads, on the same rows.

Each runs in a process of its own, in turn. The steady state begins once as many chunks are written
as there are actors, so that neither Ray's start nor the loading of models is in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from rich.console import Console

import promptkit as pk
from benchmarks.tables import Table, show
from promptkit.bulk.bulk_run import BulkProgress

TASK = Path(__file__).parents[1] / "examples" / "routing"
ACTORS = 2
SHOTS = 4
ONE, RAY = "one process of 2 threads", "two Ray actors of 1 thread"
GOAL = "goal: 0.85 of the rate of one process in the steady state (1.0)"


class Clock:
    """Notes when the first chunks are done, given the progress of a run."""

    def __init__(self, warm: int) -> None:
        self._warm = warm
        self.rows = 0
        """Number of rows that were done when the steady state began."""
        self.begun = 0.0

    def __call__(self, now: BulkProgress) -> None:
        if not self.rows and now.rows >= self._warm:
            self.rows, self.begun = now.rows, perf_counter()


def rows_of(task: Any, count: int) -> list[dict[str, str]]:
    """Return rows that differ, made of the tests of a task."""
    field = next(iter(task.types()[0].model_fields))
    texts = [str(getattr(test.input, field)) for test in task.tests]
    return [{field: f"{texts[n % len(texts)]} (message {n})"} for n in range(count)]


def measured(name: str, model: str, rows: int, chunk_rows: int) -> dict[str, float]:
    """Predict rows in this process, with or without actors; return what that takes."""
    start = perf_counter()
    task = pk.load_task(TASK)
    loaded = pk.load_model(model, threads=ACTORS)
    predictor = pk.Predictor(task, pk.Template.of(task), loaded, shots=SHOTS)
    workers = pk.RayWorkers("local", actors=ACTORS, threads=1) if name == RAY else None
    clock = Clock(ACTORS * chunk_rows)
    how: dict[str, Any] = {"chunk_rows": chunk_rows, "store": pk.Store(), "workers": workers}
    ended = []

    def progress(now: BulkProgress) -> None:
        clock(now)
        if now.rows == rows:
            ended.append(perf_counter())

    with TemporaryDirectory() as folder:
        asked = rows_of(task, rows)
        pk.predict(predictor, asked, out=Path(folder, "a.jsonl"), progress=progress, **how)
    return {
        "steady": (rows - clock.rows) / (ended[0] - clock.begun),
        "warm": clock.begun - start,
        "whole": perf_counter() - start,
    }


def apart(name: str, options: argparse.Namespace) -> Mapping[str, float]:
    """Return what is measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ray_actors", "--name", name]
    for option in ("model", "rows", "chunk_rows"):
        command += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])  # behind Ray's own notes
    return found


def table(options: argparse.Namespace) -> Table:
    """Measure both in turn, and return their table."""
    runs = [{name: apart(name, options) for name in (ONE, RAY)} for _ in range(options.rounds)]
    lines = []
    for name in (ONE, RAY):
        steady, warm, whole = (
            median(run[name][figure] for run in runs) for figure in ("steady", "warm", "whole")
        )
        ratios = [
            median(run[name]["steady"] / run[ONE]["steady"] for run in runs),
            median(run[ONE]["whole"] / run[name]["whole"] for run in runs),
        ]
        figures = (f"{steady:,.1f}", f"{ratios[0]:.2f}", f"{warm:.1f}", f"{whole:.1f}")
        lines.append((name, *figures, f"{ratios[1]:.2f}"))
    columns = ("", "rows/s:", "to one:", "s before:", "s in all:", "to one, in all:")
    notes = (
        "rows/s: in the steady state; s before: until it begins, with loading and Ray's start",
        GOAL,
    )
    title = f"{options.rows:,} rows of routing, {SHOTS} shots, {Path(options.model).name}"
    return Table(f"{title}: medians of {options.rounds} rounds", columns, lines, notes)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bulk ray", description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--chunk-rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", choices=(ONE, RAY), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rows <= ACTORS * options.chunk_rows:
        parser.error(f"--rows: more than {ACTORS} chunks, or there is no steady state")
    if options.name is not None:
        found = measured(options.name, options.model, options.rows, options.chunk_rows)
        print(json.dumps(found))
        return
    show(table(options), Console(highlight=False))


if __name__ == "__main__":
    main()
