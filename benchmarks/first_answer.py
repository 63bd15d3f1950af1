"""The first answer of a frozen predictor, with the model's state in its file and without.

Each is loaded and asked in processes of its own, in turn; medians are shown.
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

from rich.console import Console

import promptkit as pk
from benchmarks.tables import Table, show
from promptkit.inference.frozen_file import read_frozen

TASK = Path(__file__).parents[1] / "examples" / "routing"
GOAL = "goal: the first answer within 0.25 s of loading (0.1 s), with a prefix of 500 tokens"
WAYS = {"with its state": True, "without": False}
FIGURES = {"load": "s to load:", "answer": "s to answer:"}


def measured(file: Path) -> dict[str, float]:
    """Load a predictor and ask it once, in this process; imports count to loading."""
    start = perf_counter()
    predictor = pk.load_predictor(file)
    loaded = perf_counter()
    field = next(iter(predictor.task.types()[0].model_fields))
    query = predictor.query({field: "My parcel was to come on Friday, and nobody rang."})
    (made,) = predictor.predict([query])
    answered = perf_counter()
    return {
        "load": loaded - start,
        "answer": answered - loaded,
        "tokens": made.tokens,
        "decoded": predictor.usage.decoded_tokens,
    }


def apart(file: Path) -> Mapping[str, float]:
    """Return what is measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.first_answer", "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(model: str, shots: int, processes: int) -> Table:
    """Freeze a predictor, measure it, and return the table."""
    task = pk.load_task(TASK)
    own = pk.Predictor(task, pk.Template.of(task), pk.load_model(model), shots=shots)
    with TemporaryDirectory() as name:
        files = {
            way: pk.freeze(own, Path(name, f"{number}.promptkit"), with_state=state)
            for number, (way, state) in enumerate(WAYS.items())
        }
        for file in files.values():
            apart(file)  # the disk is read once
        runs = [{way: apart(file) for way, file in files.items()} for _ in range(processes)]
        prefix = len(read_frozen(files["with its state"]).data["state"])
    lines = [_line(way, [run[way] for run in runs]) for way in WAYS]
    columns = ("", *FIGURES.values(), "slowest answer:", "tokens decoded:")
    title = f"First answers of {Path(model).name} after a prefix of {prefix} tokens"
    note = f"medians of {processes} processes; loading counts the imports"
    return Table(title, columns, lines, (note, GOAL))


def _line(way: str, found: list[Mapping[str, float]]) -> tuple[str, ...]:
    times = [f"{median(one[name] for one in found):.3f}" for name in FIGURES]
    slowest = max(one["answer"] for one in found)
    last = found[-1]
    return way, *times, f"{slowest:.3f}", f"{last['decoded']:.0f} of {last['tokens']:.0f}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bulk first", description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--shots", type=int, default=20)
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.file is not None:
        print(json.dumps(measured(options.file)))
        return
    show(table(options.model, options.shots, options.processes), Console(highlight=False))


if __name__ == "__main__":
    main()
