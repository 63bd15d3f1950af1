"""The contest: promptkit, its peers and the machine's limit on the same grids, in one run.

`make bench`, or `python -m benchmarks.engine`. Every run of a contestant is a process of its own;
rounds alternate between contestants, and medians are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

import promptkit
from benchmarks import scale, tables
from benchmarks.contest import Job, Run, Survey
from benchmarks.limit import Load, Setting
from benchmarks.meter import Taken
from benchmarks.peers import Answer
from benchmarks.results import (
    Failure,
    Result,
    goals_of,
    table_of,
    table_of_figures,
    table_of_goals,
)
from benchmarks.work import GRIDS, OURS, ROOT, Grid

PAGE = ROOT / "docs" / "performance.md"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    console, log = Console(width=max(110, Console().width)), Console(stderr=True)
    for line in machine(options):
        console.print(line, highlight=False)
    if os.getloadavg()[0] > 0.5:
        log.print(f"The machine is busy (load {os.getloadavg()[0]:.1f}): figures will be noisy.")
    results: list[Result] = []
    figures: list[scale.Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for grid in GRIDS.values():
            if options.only in (None, grid.name):
                result = _contest(grid.first(options.limit), options, folder, log)
                if isinstance(result, Failure):
                    console.print(f"\n{grid.title}: left out. {result.reason}", highlight=False)
                    continue
                results.append(result)
                tables.show(table_of(result), console)
    if options.only in (None, "scale"):
        figures = list(_large(options, log))
        tables.show(table_of_figures(figures), console)
    goals = list(goals_of(results, figures))
    tables.show(table_of_goals(goals), console)
    if options.json:
        data = {
            "machine": list(machine(options)),
            "grids": [asdict(result) for result in results],
            "scale": [asdict(figure) for figure in figures],
            "goals": [asdict(goal) for goal in goals],
        }
        options.json.write_text(json.dumps(data, indent=1, default=str) + "\n", "utf-8")
    if options.write:
        tables.write(PAGE, section(machine(options), results, figures))


def section(head: Sequence[str], results: Sequence[Result], figures: Sequence[scale.Figure]) -> str:
    """Row of the page for a run."""
    goals = table_of_goals(list(goals_of(results, figures)))
    shown = [goals, *map(table_of, results), table_of_figures(figures)]
    lines = "\n".join(f"- {line}" for line in head)
    return f"{lines}\n\n{tables.markdown(shown)}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description=__doc__)
    parser.add_argument("--model", default="smollm2", help="as in promptkit (%(default)s)")
    parser.add_argument("--threads", type=int, default=_cores(), help="for everyone (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (%(default)s)")
    parser.add_argument("--only", choices=[*GRIDS, "scale"], help="one part of it")
    parser.add_argument("--limit", type=int, metavar="N", help="ask the first N queries only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.limit):
        parser.error("--write is for a whole run, without --only and --limit")
    if options.repeats < 1 or options.threads < 1 or (options.limit or 1) < 1:
        parser.error("--repeats, --threads and --limit are 1 or more")
    return options


def machine(options: argparse.Namespace) -> list[str]:
    """Return the machine and the versions of the measurement."""
    return [
        f"{_processor()}, {os.cpu_count()} cores; {options.threads} threads for everyone",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"llama-cpp-python {version('llama-cpp-python')}, promptkit {promptkit.__version__}, "
        f"guidance {_version('guidance')}",
        f"model {Path(options.model).name}, {options.repeats} rounds",
    ]


def _contest(
    grid: Grid, options: argparse.Namespace, folder: str, log: Console
) -> Result | Failure:
    """All runs of a grid, round by round; what no goal is about is run once."""
    job = Job("survey", grid.name, options.model, options.threads, options.limit, folder)
    log.print(f"{grid.name}: looking for the best settings", highlight=False)
    found = _child(job)
    if "error" in found:
        return Failure(found["error"])
    job = replace(job, survey=found)
    runs: dict[str, list[Run | Failure]] = {name: [] for name in grid.contestants}
    repeated = {*grid.rivals, *OURS[1:]} - {"log-likelihood anew"}  # far off, and long
    for turn in range(options.repeats):
        for name in grid.contestants:
            if turn == 0 or name in repeated:
                run = _run(_child(replace(job, contestant=name)))
                runs[name].append(run)
                said = run.reason if isinstance(run, Failure) else f"{run.taken.seconds:.1f} s"
                log.print(f"{grid.name}, round {turn + 1}: {name}, {said}", highlight=False)
    return Result(grid, _survey(found), runs)


def _large(options: argparse.Namespace, log: Console) -> Iterator[scale.Figure]:
    for part in scale.PARTS:
        try:
            figure = scale.measure(part, options.model)
        except RuntimeError as error:
            log.print(f"left out: {error}", highlight=False)
            continue
        log.print(f"{figure.name}: {figure.total:.1f} s", highlight=False)
        yield figure


def _child(job: Job) -> Mapping[str, Any]:
    """Return the result that a process printed; an error without a message is its last line."""
    command = [sys.executable, "-m", "benchmarks.contest", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode == 0:
        said: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said
    lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
    return {"error": lines[-1]}


def _survey(said: Mapping[str, Any]) -> Survey:
    parts = {"load": Load(**said["load"]), "setting": Setting(**said["setting"])}
    return Survey(**{**said, **parts})


def _run(said: Mapping[str, Any]) -> Run | Failure:
    if "error" in said:
        return Failure(said["error"])
    answers = tuple(Answer(**answer) for answer in said["answers"])
    return Run(**{**said, "taken": Taken(**said["taken"]), "answers": answers})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed"


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


if __name__ == "__main__":
    main()
