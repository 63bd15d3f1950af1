"""`promptkit check`: exits with 1, and the reason, where answers are not good enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

import promptkit
from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import note, screen, write_json
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.inference.prediction import Fit
from promptkit.models.base import Weights

Least = Annotated[
    list[str] | None,
    typer.Option(
        "--min", metavar="METRIC=N", callback=listed, help="The least that will do: accuracy=0.5."
    ),
]
Most = Annotated[
    list[str] | None,
    typer.Option(
        "--max", metavar="METRIC=N", callback=listed, help="The most that will do: log_loss=1.2."
    ),
]
NoWorseThan = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A saved run that the accuracy must not fall behind."),
]
Margin = Annotated[
    float, typer.Option(help="How much of that accuracy may be lost; 0.02 is two points.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict", help="Pass only what is surely good; else only what is surely bad fails."
    ),
]
ShotCounts = Annotated[
    list[str] | None,
    typer.Option(
        callback=listed,
        help="Numbers of shots, such as 2,4, all of which have to pass; by default the most that "
        "the saved run asked, or else 8.",
    ),
]
SeedCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        help="How many draws of shots; by default those of the saved run, or else 8.",
    ),
]
Out = Annotated[Path | None, typer.Option(help="A folder to save this run in.")]


def check(
    task: options.TaskName,
    least: Least = None,
    most: Most = None,
    no_worse_than: NoWorseThan = None,
    margin: Margin = 0.0,
    strict: Strict = False,
    model: options.Models = None,
    template: options.Templates = None,
    verbalizer: options.Verbalizers = None,
    selection: options.Selections = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OrderNames = None,
    calibrate: options.Calibrate = None,
    shots: ShotCounts = None,
    seeds: SeedCount = None,
    limit: options.Limit = None,
    out: Out = None,
    store: options.StoreFile = None,
    fit: options.Fitting = "error",
    max_tokens: options.MaxTokens = 64,
    temperature: options.Temperature = 0.0,
    context: options.Context = None,
    threads: options.Threads = None,
    weights: options.WeightsName = "auto",
    adapter: options.Adapters = None,
    exact: options.Exact = False,
    no_lint: options.NoLint = False,
    json_file: options.JsonFile = None,
) -> None:
    """Fail where the answers are surely not good enough, or surely worse than in a saved run.

    Exits with 0 where every gate passes, with 1 where one fails, and with 2 where it cannot tell,
    since something is wrong. docs/gates.md says how a gate decides.
    """
    from promptkit.gates.check import Demands

    chosen: dict[str, Any] = {
        "verbalizers": verbalizer or (),
        "selections": arguments.selections(selection or [], embedder),
        "orders": arguments.orders(order or [], None),
        "fit": arguments.choices("fit", [fit], Fit)[0],
        "sampling": arguments.sampling(max_tokens, temperature),
    }
    counts = arguments.numbers(shots) if shots is not None else None
    kind = arguments.choices("weights", [weights], Weights)[0]
    demands = Demands.of(
        _bounds("min", least or []), _bounds("max", most or []), no_worse_than, margin, strict
    )
    loaded = arguments.task_named(task, near_duplicates)
    demands.fit(loaded, limit)
    chosen["calibrations"] = arguments.calibrations(calibrate or [], loaded)
    if out is not None:
        _check_apart(out, no_worse_than)
        outputs.check_run("--out", out)
    how = {"context": context, "weights": kind, "threads": threads, "exact": exact}
    models = arguments.models_named(model or [], adapter or [], **how)
    with arguments.progress("asking", models) as progress:
        comparison = promptkit.compare(
            loaded,
            models=models,
            templates=template or (),
            shots=counts or demands.shots,
            seeds=demands.seeds if seeds is None else seeds,
            limit=limit,
            store=store,
            progress=progress,
            announce=None if json_file == "-" else note,
            lint=not no_lint,
            **chosen,
        )
    checked = demands.judge(loaded, comparison)
    if out is not None:
        comparison.save(out)
    if json_file != "-":
        _show(str(checked).split("\n"))
    if json_file is not None:
        write_json(json_file, checked.to_dict())
    if not checked.passed:
        raise typer.Exit(1)


def _bounds(kind: str, texts: Sequence[str]) -> dict[str, float]:
    bounds: dict[str, float] = {}
    for text in texts:
        metric, _, number = text.partition("=")
        metric = metric.strip()
        try:
            value = float(number)
        except ValueError:
            raise TaskError(
                f"--{kind} {text!r}: write a metric and a number: accuracy=0.5"
            ) from None
        if metric in bounds:
            raise TaskError(f"--{kind} {text!r}: {metric} is bounded twice")
        bounds[metric] = value
    return bounds


def _check_apart(out: Path, no_worse_than: Path | None) -> None:
    """Raises `TaskError` where a run would be saved over the one that it is held against."""
    if no_worse_than is not None and os.path.realpath(out) == os.path.realpath(no_worse_than):
        raise TaskError(
            f"--out {out} is the run that this one is held against; save it elsewhere, and replace "
            "the other where this one shall count from now on"
        )


def _show(lines: Sequence[str]) -> None:
    """The gates, one a line, to be read in a log as well."""
    console = screen(soft_wrap=True)
    for line in lines:
        text = Text(line)
        text.highlight_regex(r"^  FAIL", "bold red")
        text.highlight_regex(r"^  pass", "green")
        console.print(text)
    sys.stdout.flush()
