"""Data, arguments and tables of the measurements of adaptation."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

import promptkit as pk
from benchmarks import tables
from benchmarks.work import ROOT
from promptkit.evaluation.metric import ACCURACY
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.inference.any_predictor import predict_each
from promptkit.students.teacher_calibration import calibrated

Task = pk.Task[Any, Any]

SST2 = ROOT / "benchmarks" / "sst2"


class Reached(NamedTuple):
    """A figure beside its goals."""

    what: str
    value: float
    least: float | None = None
    aim: float | None = None
    write: Callable[[float], str] = "{:.3f}".format
    larger: bool = True
    """Whether larger is better."""

    @property
    def verdict(self) -> str:
        """The goal that is reached."""
        for goal, said in ((self.aim, "aim"), (self.least, "at least")):
            if goal is not None and (self.value >= goal if self.larger else self.value <= goal):
                return said
        return "missed" if self.least is not None else ""


def show(title: str, figures: Iterable[Reached], notes: Sequence[str] = ()) -> None:
    """Print figures as a table."""
    rows = [
        [
            one.what,
            one.write(one.value),
            *("" if goal is None else one.write(goal) for goal in (one.least, one.aim)),
            one.verdict,
        ]
        for one in figures
    ]
    columns = ("", "measured:", "at least:", "aim:", "reached")
    tables.show(tables.Table(title, columns, rows, notes), Console())


def arguments(part: str) -> argparse.ArgumentParser:
    """Return the arguments that all parts have."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.adapt {part}")
    parser.add_argument("--out", type=Path, default=Path("runs/adapt"), help="what is made")
    parser.add_argument("--limit", type=int, help="tests, the first ones")
    parser.add_argument("--model", default="smollm2")
    return parser


def sst2(out: Path, tests: str = "dev", pool: int | None = None) -> Task:
    """Return SST-2 with other tests, or the first rows of its pool alone.

    Args:
        out: Folder for the rows of the pool.
        tests: `dev` or `test`.
        pool: Number of rows of the pool; all of them by default.
    """
    text = (SST2 / "task.toml").read_text("utf-8")
    data = (SST2 / re.findall(r'demos = "(.*)"', text)[0]).resolve().parent
    demos = data / "sst2_train.csv"
    folder = out / f"sst2-{tests}-{pool or 'all'}"
    folder.mkdir(parents=True, exist_ok=True)
    if pool is not None:
        lines = demos.read_text("utf-8").splitlines(keepends=True)
        demos = folder / "pool.csv"
        demos.write_text("".join(lines[: pool + 1]), "utf-8")
    for name, file in (("demos", demos), ("tests", data / f"sst2_{tests}.csv")):
        text = re.sub(f'{name} = ".*"', f"{name} = {str(file.resolve())!r}", text)
    (folder / "task.toml").write_text(text, "utf-8")
    return pk.load_task(folder)


def unlabelled(out: Path) -> Path:
    """Return a file with the texts of the training set, without their labels."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "texts.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text"])
        writer.writerows([demo.input.text] for demo in sst2(out).demos)
    return file


def teacher_of(task: Task, given: argparse.Namespace) -> pk.Predictor:
    """Return a prompt with a calibration that learnt from texts of the pool, as a file keeps it."""
    file = given.out / f"teacher-{given.shots}.promptkit"
    if not file.exists():
        model = pk.load_model(given.model)
        how: Any = {"shots": [given.shots], "seeds": 1, "baselines": False}
        found = pk.compare(task, models=[model], limit=50, lint=False, **how)
        (cell,) = {row.at(seed=None) for row in found.rows if row.calibration == "none"}
        (teacher,) = calibrated([found.predictor(cell)], "batch", unlabelled(given.out))
        pk.freeze(teacher, file)
    frozen: pk.Predictor = pk.load_predictor(file)
    return frozen


def predicted(predictor: Any, queries: Sequence[Any]) -> list[pk.Prediction]:
    """Return predictions with their times, those of a quick predictor when it is warm."""
    (made,) = predict_each([predictor], queries, [0])
    return made


def outcomes_of(task: Task, made: Iterable[pk.Prediction]) -> Outcomes:
    """Return the outcomes of one predictor."""
    (one,) = [
        one
        for cell, one in outcomes(made, task.output_type.label_of).items()
        if cell.calibration == "none"
    ]
    return one


def paired(
    task: Task, a: Iterable[pk.Prediction], b: Iterable[pk.Prediction], level: float = 0.95
) -> tuple[float, float, float]:
    """Return the accuracy of `b` less that of `a`, with the ends of its interval."""
    found = ACCURACY.difference(outcomes_of(task, a), outcomes_of(task, b), level)
    assert found is not None
    return found.decisive.delta, found.decisive.ci.low, found.decisive.ci.high


def accuracy(made: Sequence[pk.Prediction]) -> float:
    """Return the share of right answers."""
    return sum(bool(one.correct) for one in made) / len(made)


def seconds_each(made: Sequence[pk.Prediction]) -> float:
    """Return the time of an answer."""
    return sum(one.seconds for one in made) / len(made)
