"""`promptkit check`: gates for continuous integration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import Screen, note, write_json
from promptkit.cli.number_or_auto import MOST_SEEDS
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.inference.prediction import Fit
from promptkit.models.base import Weights
from promptkit.translation import tr

Least = Annotated[
    list[str] | None,
    typer.Option(
        "--min",
        metavar="METRIC=N",
        callback=listed,
        help=tr("Lower bound: accuracy=0.5, macro_f1=0.4."),
    ),
]
Most = Annotated[
    list[str] | None,
    typer.Option(
        "--max", metavar="METRIC=N", callback=listed, help=tr("Upper bound: log_loss=1.2, mae=0.5.")
    ),
]
NoWorseThan = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help=tr("Saved run that the accuracy, or --metric, must not fall behind.")
    ),
]
Margin = Annotated[
    float,
    typer.Option(metavar="X", help=tr("Loss that is allowed: 0.02 is two points of accuracy.")),
]
MaxGap = Annotated[
    list[str] | None,
    typer.Option(
        "--max-gap",
        metavar="N|METRIC=N",
        callback=listed,
        help=tr(
            "Most that the groups of --groups may be apart: 0.05 of accuracy, "
            "false-positive and false-negative rate, or selection_rate=0.1."
        ),
    ),
]
MaxFlip = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help=tr(
            "Largest share of labels that may flip where a term of [audit.swap] in "
            "task.toml takes another one's place: 0.02 is two in a hundred pairs."
        ),
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--groups",
        metavar="COLUMN",
        callback=listed,
        help=tr("Column of the tests that names groups."),
    ),
]
PositiveName = Annotated[
    str | None,
    typer.Option(
        "--positive", metavar="LABEL", help=tr("Label that the rates of --max-gap are about.")
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help=tr(
            "Fail unless the interval shows that a gate is met; without it, only where "
            "the interval shows that it is missed."
        ),
    ),
]
ShotCounts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="K,...",
        callback=listed,
        help=tr(
            "Shot counts, all of which have to pass; by default the largest of the "
            "saved run, or else 8."
        ),
    ),
]
SeedCount = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_SEEDS,
        help=tr("Number of draws of shots; by default those of the saved run, or else 8."),
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help=tr("Folder to save this run in."))]


def check(
    task: options.TaskName,
    least: Least = None,
    most: Most = None,
    no_worse_than: NoWorseThan = None,
    margin: Margin = 0.0,
    max_gap: MaxGap = None,
    groups: Groups = None,
    positive: PositiveName = None,
    max_flip: MaxFlip = None,
    strict: Strict = False,
    model: options.Models = None,
    template: options.Templates = None,
    language: options.LanguageNames = None,
    verbalizer: options.Verbalizers = None,
    selection: options.Selections = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OrderNames = None,
    calibrate: options.Calibrate = None,
    option_orders: options.OptionOrders = 1,
    shots: ShotCounts = None,
    seeds: SeedCount = None,
    limit: options.Limit = None,
    metric: options.Metric = None,
    out: Out = None,
    store: options.StoreFile = None,
    fit: options.Fitting = "error",
    max_tokens: options.MaxTokens = 64,
    temperature: options.Temperature = 0.0,
    rationale_tokens: options.RationaleTokens = 128,
    rationales: options.Rationales = 1,
    think: options.Think = 0,
    context: options.Context = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayersText = "auto",
    weights: options.WeightsName = "auto",
    adapter: options.Adapters = None,
    exact: options.Exact = False,
    no_lint: options.NoLint = False,
    json_file: options.JsonFile = None,
) -> None:
    """Fail if answers are not good enough or have become worse.

    Exits with 0 if every gate passes, with 1 if one fails, and with 2 after an error. A gate fails
    only where its interval shows it: docs/gates.md.
    """
    from promptkit.gates.check import Requirements, gap_bounds
    from promptkit.gates.flip_gate import FlipBound

    chosen: dict[str, Any] = {
        "languages": language or (),
        "verbalizers": verbalizer or (),
        "selections": arguments.selections(selection or [], embedder),
        "orders": arguments.orders(order or [], None),
        "fit": arguments.choices("fit", [fit], Fit)[0],
        "sampling": arguments.sampling(max_tokens, temperature),
        "rationale_tokens": rationale_tokens,
        "rationales": rationales,
        "think": think,
    }
    counts = arguments.numbers(shots) if shots is not None else None
    kind = arguments.choices("weights", [weights], Weights)[0]
    gaps = gap_bounds(_gaps(max_gap), groups or (), positive)
    flips = None if max_flip is None else FlipBound(max_flip)
    bounds = _bounds("min", least or []), _bounds("max", most or [])
    requirements = Requirements(*bounds, no_worse_than, margin, strict, gaps, flips)
    loaded = arguments.task_named(task, near_duplicates)
    requirements.fit(loaded, limit, metric, votes=rationales > 1)
    chosen["calibrations"] = arguments.calibrations(calibrate or [], loaded)
    chosen["option_orders"] = arguments.option_orders(option_orders, loaded)
    if out is not None:
        if no_worse_than is not None and os.path.realpath(out) == os.path.realpath(no_worse_than):
            raise TaskError(
                tr(
                    "--out {out} is the run that this one is compared with; save it elsewhere, "
                    "and replace the other if this one shall count from now on",
                    out=out,
                )
            )
        outputs.check_run("--out", out)
    how = {"context": context, "weights": kind, "threads": threads, "exact": exact}
    how["gpu_layers"] = arguments.gpu_layers(gpu_layers)
    models = arguments.models_named(model or [], adapter or [], **how)
    with arguments.progress("asking", models) as progress:
        checked = requirements.check(
            loaded,
            models=models,
            templates=template or (),
            shots=counts or None,
            seeds=seeds,
            limit=limit,
            metric=metric,
            store=store,
            progress=progress,
            announce=None if json_file == "-" else note,
            lint=not no_lint,
            **chosen,
        )
    if out is not None:
        checked.comparison.save(out)
    if json_file != "-":
        _show(str(checked))
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
                tr(
                    "--{kind} {text!r}: write a metric and a number: accuracy=0.5",
                    kind=kind,
                    text=text,
                )
            ) from None
        if metric in bounds:
            raise TaskError(
                tr(
                    "--{kind} {text!r}: {metric} is bounded twice",
                    kind=kind,
                    text=text,
                    metric=metric,
                )
            )
        bounds[metric] = value
    return bounds


def _gaps(texts: Sequence[str] | None) -> float | dict[str, float] | None:
    """Return bounds on gaps: one number for the usual metrics, or numbers by metric."""
    if texts is None:
        return None
    if any("=" in text for text in texts):
        return _bounds("max-gap", texts)
    try:
        (bound,) = map(float, texts)
    except ValueError:
        shown = ",".join(texts)
        raise TaskError(
            tr(
                "--max-gap {shown!r}: write one number, such as 0.05, or selection_rate=0.1",
                shown=shown,
            )
        ) from None
    return bound


def _show(gates: str) -> None:
    text = Text(gates)
    for mark, style in ((tr("FAIL"), "bold red"), (tr("pass"), "green")):
        text.highlight_regex(rf"(?m)^  {re.escape(mark)}  ", style)
    Screen(soft_wrap=True).print(text)
    sys.stdout.flush()
