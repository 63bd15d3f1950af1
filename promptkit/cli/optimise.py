"""`promptkit optimise`: demonstrations found by search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

import promptkit
from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import note, say, write_json
from promptkit.errors import TaskError
from promptkit.inference.reasoning import Reasoning
from promptkit.models.base import Weights
from promptkit.templating.template import Template
from promptkit.translation import tr

MODEL = "smollm2"
"""Model by default: the bundled one."""


Shots = Annotated[int, typer.Option(metavar="N", min=1, help=tr("Number of demonstrations."))]
MethodName = Annotated[
    str,
    typer.Option(
        metavar="greedy|bootstrap",
        help=tr(
            "greedy adds the best demonstration, one after the other; bootstrap takes "
            "the best of random sets of those that the model itself answers right."
        ),
    ),
]
Budget = Annotated[int, typer.Option(metavar="N", min=1, help=tr("Largest number of prompts."))]
HeldOut = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help=tr("Number of held-out examples of the pool; by default a third.")
    ),
]
Out = Annotated[Path, typer.Option(metavar="FILE", help=tr("File for the ids of the shots."))]
Seed = Annotated[int, typer.Option(metavar="N", help=tr("Seed of the split and of the draws."))]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=tr(
            "Metric that the search improves; by default the log loss of labels, the "
            "mae of numbers and the accuracy of other answers."
        ),
    ),
]


def optimise(
    task: options.TaskName,
    shots: Shots = 4,
    method: MethodName = "greedy",
    budget: Budget = 2000,
    held_out: HeldOut = None,
    out: Out = Path("shots.json"),
    model: options.OneModel = MODEL,
    template: options.OneTemplate = None,
    seed: Seed = 0,
    metric: Metric = None,
    near_duplicates: options.NearDuplicates = None,
    store: options.StoreFile = None,
    max_tokens: options.MaxTokens = 64,
    temperature: options.Temperature = 0.0,
    rationale_tokens: options.RationaleTokens = 128,
    rationales: options.Rationales = 1,
    think: options.Think = 0,
    context: options.Context = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayersText = "auto",
    weights: options.WeightsName = "auto",
    exact: options.Exact = False,
    no_lint: options.NoLint = False,
    json_file: options.JsonFile = None,
) -> None:
    """Search the pool for the demonstrations that serve a model best.

    The search is scored on a held-out part of the pool, never on the tests, so that these can judge
    the result: promptkit compare TASK --selection shots.json --selection balanced
    """
    from promptkit.optimising.budget import Method, plan_search
    from promptkit.optimising.search import prompts_per_query, search_metric

    how = arguments.choices("method", [method], Method)[0]
    kind = arguments.choices("weights", [weights], Weights)[0]
    sampling = arguments.sampling(max_tokens, temperature)
    loaded = arguments.task_named(task, near_duplicates)
    _check_out(out)
    search_metric(loaded, metric, votes=rationales > 1)
    reasoning = Reasoning(rationale_tokens, rationales, think)
    plan_search(
        loaded,
        shots=shots,
        method=how,
        held_out=held_out,
        budget=budget,
        seed=seed,
        per_query=prompts_per_query(loaded, Template.of(loaded, template), reasoning),
    )
    runtime = arguments.model_named(
        model,
        context=context,
        weights=kind,
        threads=threads,
        exact=exact,
        gpu_layers=arguments.gpu_layers(gpu_layers),
    )
    with arguments.progress("searching", [runtime]) as progress:
        found = promptkit.optimise(
            loaded,
            runtime,
            shots=shots,
            method=how,
            held_out=held_out,
            budget=budget,
            template=template,
            seed=seed,
            sampling=sampling,
            metric=metric,
            rationale_tokens=rationale_tokens,
            rationales=rationales,
            think=think,
            store=store,
            progress=progress,
            announce=None if json_file == "-" else note,
            lint=not no_lint,
        )
    found.save(out)
    if json_file != "-":
        print(found)
        words = ["promptkit", "compare", task, "--selection", str(out), "--selection", "balanced"]
        words += ["--template", template] if template is not None else []
        words += ["--model", arguments.shown_model(model)] if model != MODEL else []
        if near_duplicates is not None:
            words += ["--near-duplicates", near_duplicates]
        say(tr("Written to {out}. Now: {words}", out=out, words=shlex.join(words)))
    write_json(json_file, found.to_dict())


def _check_out(out: Path) -> None:
    if out.suffix != ".json" or out.is_dir() or not out.parent.is_dir():
        raise TaskError(
            tr("--out {out}: write a file name that ends in .json, in an existing folder", out=out)
        )
    outputs.check_file("--out", out)
