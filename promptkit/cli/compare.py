"""`promptkit compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import promptkit
from promptkit.baselines.trained_baselines import why_not
from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import Screen, note, say, write_json
from promptkit.cli.predictors import compared_with, with_names
from promptkit.evaluation.chosen_metric import chosen_metric
from promptkit.inference.prediction import Fit
from promptkit.models.base import Weights
from promptkit.translation import tr


def compare(
    task: options.TaskName,
    model: options.Models = None,
    template: options.Templates = None,
    formats: options.Formats = 1,
    language: options.LanguageNames = None,
    verbalizer: options.Verbalizers = None,
    selection: options.Selections = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OrderNames = None,
    orders: options.OrderCount = None,
    calibrate: options.Calibrate = None,
    option_orders: options.OptionOrders = 1,
    shots: options.Shots = None,
    seeds: options.SeedsOrAuto = "8",
    limit: options.Limit = None,
    by: options.By = None,
    max_error: options.MaxError = None,
    metric: options.Metric = None,
    out: options.Out = None,
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
    with_: options.With = None,
    baselines: options.Baselines = None,
    learning_curve: options.LearningCurve = False,
    exact: options.Exact = False,
    no_lint: options.NoLint = False,
    costs: options.Costs = False,
    json_file: options.JsonFile = None,
) -> None:
    """Compare prompts with 0, 1, 2, … shots on the same tests.

    Predictions are stored as they are made: an interrupted run continues where it stopped.
    """
    chosen: dict[str, Any] = {
        "formats": formats,
        "languages": language or (),
        "verbalizers": verbalizer or (),
        "selections": arguments.selections(selection or [], embedder),
        "orders": arguments.orders(order or [], orders),
        "shots": arguments.numbers(shots or ["0", "1", "2", "4", "8"]),
        "seeds": seeds if seeds == "auto" else int(seeds),
        "fit": arguments.choices("fit", [fit], Fit)[0],
        "sampling": arguments.sampling(max_tokens, temperature),
        "rationale_tokens": rationale_tokens,
        "rationales": rationales,
        "think": think,
    }
    kind = arguments.choices("weights", [weights], Weights)[0]
    loaded = arguments.task_named(task, near_duplicates)
    chosen["calibrations"] = arguments.calibrations(calibrate or [], loaded)
    chosen["option_orders"] = arguments.option_orders(option_orders, loaded)
    chosen["learning_curve"] = learning_curve
    chosen["baselines"] = why_not(loaded) is None if baselines is None else baselines
    chosen_metric(loaded, metric, votes=rationales > 1)
    adapters, others = with_names(with_ or [])
    folder = out or Path("runs") / arguments.folder_name(loaded.name)
    outputs.check_run("--out", folder)
    how = {"context": context, "weights": kind, "threads": threads, "exact": exact}
    how["gpu_layers"] = arguments.gpu_layers(gpu_layers)
    models = arguments.models_named(model or [], [*(adapter or []), *adapters], **how)
    chosen["predictors"] = compared_with(others, loaded, threads=threads)
    with arguments.progress("asking", models) as progress:
        result = promptkit.compare(
            loaded,
            models=models,
            templates=template or (),
            limit=limit,
            by=by or (),
            max_error=max_error,
            metric=metric,
            store=store,
            progress=progress,
            announce=None if json_file == "-" else note,
            lint=not no_lint,
            **chosen,
        )
    result.save(folder)
    data = result.to_dict()
    if json_file != "-":
        from promptkit.report import terminal

        console = Screen(width=None if sys.stdout.isatty() else 120)
        records, width = result.to_records(), console.width
        console.print(terminal.render(data, records, width, show_costs=costs))
        more = ", formats/" if (folder / "formats").is_dir() else ""
        say(
            tr(
                "Written to {folder}: comparison.json, predictions.jsonl, report.html{more}",
                folder=folder,
                more=more,
            )
        )
    write_json(json_file, data)
