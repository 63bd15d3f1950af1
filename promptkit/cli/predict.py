"""`promptkit predict` and `promptkit merge`: labels for any number of rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

import promptkit
from promptkit.bulk.bulk_asking import Workers
from promptkit.bulk.bulk_assembly import BulkResult, check_out
from promptkit.bulk.bulk_parts import Shard
from promptkit.bulk.bulk_run import CHUNK_ROWS
from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import err, say
from promptkit.cli.lookup import check_lookup, write_table
from promptkit.cli.predictors import (
    SHOTS,
    TASK_OR_SAVED,
    columns_of,
    is_given,
    is_saved,
    predictor_named,
    prompt_of,
    refuse_given,
)
from promptkit.cli.repeated import listed
from promptkit.cli.row_progress import row_progress
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.best_label import ScoredLabels
from promptkit.inference.cell import NO_PROMPT
from promptkit.inference.prediction import Fit, Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.lookup.lookup_rows import PredictedBy
from promptkit.models.base import Weights
from promptkit.text import counted
from promptkit.translation import tr

_OF_PROMPTS = (
    *("shots", "seed", "template", "language", "verbalizer", "selection", "near_duplicates"),
    *("order", "fit", "max_tokens", "temperature", "rationale_tokens", "context_tokens"),
    *("weights", "adapter", "exact"),
)

Named = Annotated[str, typer.Argument(metavar="TASK|FROZEN|STUDENT", help=TASK_OR_SAVED)]
InputFile = Annotated[
    Path, typer.Argument(metavar="INPUTS", help=tr("Rows: a .csv, .jsonl or .parquet file."))
]
OutFile = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help=tr("File of the predictions: .jsonl, .csv or .parquet; appears when done."),
    ),
]
ShotCount = Annotated[
    int | None,
    typer.Option(
        metavar="K", min=0, help=tr("Number of shots; by default up to {SHOTS}.", SHOTS=SHOTS)
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help=tr("Number of the draw of shots."))]
OneSelection = Annotated[str | None, typer.Option(metavar="NAME", help=options.SELECTION_HELP)]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        callback=listed,
        help=tr("Column of an input field, or of id, that has another name in INPUTS."),
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help=tr("Stop at the first row that does not fit, and reject none.")),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help=tr(
            "Only say what it costs: rows, tokens, time and disk, from a sample that is measured."
        ),
    ),
]
RowLimit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=tr("Predict only the first N rows."))
]
ShardName = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help=tr("Predict only the I-th of N shards; promptkit merge FILE joins them."),
    ),
]
ChunkRows = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help=tr("Rows that are asked together and written as one part.")
    ),
]
WantedScores = Annotated[
    str | None,
    typer.Option(
        "--scores",
        metavar="all|best",
        help=tr(
            "Labels that are scored: all by default, or only those that can be the "
            "best: the same labels for fewer tokens, without probabilities."
        ),
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        help=tr("Ask on the machines of a Ray cluster, or on actors of this machine."),
    ),
]
RayActors = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help=tr("Actors of --ray, a model each; by default one for each machine."),
    ),
]
Verbatim = Annotated[
    bool,
    typer.Option(
        "--verbatim",
        help=tr("Ask rows apart that differ in Unicode's composition or in white space only."),
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help=tr("Replace predictions of something else, once it is done.")),
]
LookupFile = Annotated[
    Path | None,
    typer.Option(
        "--lookup",
        metavar="FILE",
        help=tr("Lookup table, made or refreshed of the predictions once they are complete."),
    ),
]


def predict(
    context: typer.Context,
    task: Named,
    inputs: InputFile,
    out: OutFile,
    lookup: LookupFile = None,
    model: options.OneModel = "smollm2",
    shots: ShotCount = None,
    seed: Seed = 0,
    template: options.OneTemplate = None,
    language: options.OneLanguage = None,
    verbalizer: options.OneVerbalizer = None,
    selection: OneSelection = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OneOrder = None,
    column: Columns = None,
    strict: Strict = False,
    dry_run: DryRun = False,
    limit: RowLimit = None,
    shard: ShardName = None,
    chunk_rows: ChunkRows = CHUNK_ROWS,
    scores: WantedScores = None,
    ray: RayAddress = None,
    ray_actors: RayActors = None,
    verbatim: Verbatim = False,
    overwrite: Overwrite = False,
    store: options.StoreFile = None,
    fit: options.Fitting = "error",
    max_tokens: options.MaxTokens = 64,
    temperature: options.Temperature = 0.0,
    rationale_tokens: options.RationaleTokens = 128,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            "--context",
            metavar="N",
            min=1,
            help=tr("Tokens of the longest prompt with its answer."),
        ),
    ] = None,
    threads: options.Threads = None,
    gpu_layers: options.GpuLayersText = "auto",
    weights: options.WeightsName = "auto",
    adapter: Annotated[
        Path | None, typer.Option(metavar="FILE", help=tr("LoRA adapter (.gguf) of the model."))
    ] = None,
    exact: options.Exact = False,
    any_model: Annotated[
        bool,
        typer.Option("--any-model", help=tr("Let another model than the frozen one answer.")),
    ] = False,
) -> None:
    """Predict the rows of a file, however many they are.

    Rows that do not fit go to FILE.rejects.jsonl, and the run goes on. What is done is kept in
    FILE.parts: after any end of the process, the same command goes on from there.
    """
    _check_files(out, lookup, shard)
    part = Shard.read(shard) if shard is not None else Shard()
    workers = _workers(ray, ray_actors, threads, store)
    if not inputs.is_file():
        raise TaskError(
            tr("{inputs}: no such file; INPUTS are rows in .csv, .jsonl or .parquet", inputs=inputs)
        )
    if is_saved(task):
        how: dict[str, Any] = {"any_model": any_model, "threads": threads, "embedder": embedder}
        predictor: Any = _saved(context, task, model=model, gpu_layers=gpu_layers, **how)
    else:
        predictor = prompt_of(
            arguments.task_named(task, near_duplicates),
            shots=shots,
            template=template,
            language=language,
            verbalizer=verbalizer,
            model=model,
            adapter=adapter,
            how={
                "context": context_tokens,
                "weights": arguments.choices("weights", [weights], Weights)[0],
                "threads": threads,
                "exact": exact,
                "gpu_layers": arguments.gpu_layers(gpu_layers),
            },
            seed=seed,
            fit=arguments.choices("fit", [fit], Fit)[0],
            sampling=arguments.sampling(max_tokens, temperature),
            rationale_tokens=rationale_tokens,
            selection=next(
                iter(arguments.selections([selection] if selection else [], embedder)), None
            ),
            order=next(iter(arguments.orders([order] if order else [], None)), None),
        )
    predictor = _scoring(predictor, scores)
    columns = columns_of(task, column or [])
    rows: dict[str, Any] = {"columns": columns, "limit": limit, "normalise": not verbatim}
    if dry_run:
        from promptkit.bulk.bulk_estimate import estimate

        with err.status(tr("reading the rows, and measuring a sample")):
            print(estimate(predictor, inputs, task=predictor.task, shards=part.of, **rows))
        return
    with row_progress() as progress:
        done = promptkit.predict(
            predictor,
            inputs,
            out=out,
            strict=strict,
            shard=shard,
            chunk_rows=chunk_rows,
            overwrite=overwrite,
            store=store,
            workers=workers,
            progress=progress,
            **rows,
        )
    _say(done, shard)
    _tabulate(done.out, lookup, predictor)


def merge(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=tr("The --out of the shards; their parts: FILE.parts.")
        ),
    ],
) -> None:
    """Write the predictions of all shards to one file, in the order of the input.

    Parts of shards that ran elsewhere are copied into FILE.parts first. Merging again changes
    nothing.
    """
    _say(promptkit.merge_shards(out), None)


def _check_files(out: Path, lookup: Path | None, shard: str | None) -> None:
    """Raise for files that cannot be written, before the work."""
    check_out(out)
    outputs.check_file("--out", out)
    if lookup is not None:
        check_lookup(lookup, out, shard)


def _tabulate(predictions: Path, lookup: Path | None, predictor: AnyPredictor) -> None:
    """Write the lookup table of predictions that are complete, if one is asked for."""
    if lookup is not None:
        template = predictor.template.name if isinstance(predictor, Predictor) else NO_PROMPT
        names = predictor.identity.name, template
        write_table(predictions, lookup, origin=PredictedBy(*names, predictor_key(predictor)))


def _scoring(predictor: Any, scores: str | None) -> Any:
    """Return a predictor with other scores, where some are named."""
    if scores is None:
        return predictor
    (wanted,) = arguments.choices("scores", [scores], ScoredLabels)
    if not isinstance(predictor, Predictor):
        name = predictor.identity.name
        raise TaskError(tr("--scores: of prompts, and {name} is none; leave it out", name=name))
    return replace(predictor, scores=wanted)


def _workers(
    ray: str | None, actors: int | None, threads: int | None, store: Path | None
) -> Workers | None:
    """Return the actors that ask; None without a cluster."""
    if ray is None:
        if actors is not None:
            raise TaskError(
                tr("--ray-actors: of a Ray cluster; name it, or begin one with --ray local")
            )
        return None
    from promptkit.distributed.ray_data import check_ray

    check_ray()
    return promptkit.RayWorkers(ray, actors, threads, store)


def _saved(context: typer.Context, name: str, **options: Any) -> Any:
    """Return a saved predictor, with those options that are on the command line."""
    refuse_given(context, _OF_PROMPTS)
    given = {option: value for option, value in options.items() if is_given(context, option)}
    return predictor_named(name, **given)


def _say(done: BulkResult, shard: str | None) -> None:
    """Print what became of a run."""
    if done.complete and done.before == done.rows + done.rejects:
        say(
            tr(
                "Complete already: {out}, {rows} predicted",
                out=done.out,
                rows=counted(done.rows, "row", "rows"),
            )
        )
        return
    equal = tr(", {asked:,} of them asked", asked=done.asked) if done.asked < done.rows else ""
    before = (
        tr(" ({before:,} before it was interrupted)", before=done.before) if done.before else ""
    )
    said = tr(
        "{rows} predicted{equal}{before}",
        rows=counted(done.rows, "row", "rows"),
        equal=equal,
        before=before,
    )
    if done.complete:
        say(tr("Written to {out}: {said}", out=done.out, said=said))
        if done.rejects:
            say(
                tr(
                    "Rejected: {rows}, with reasons in {rejects_file}",
                    rows=counted(done.rejects, "row", "rows"),
                    rejects_file=done.rejects_file,
                )
            )
        return
    if done.rejects:
        said += tr(", {rejects:,} rejected", rejects=done.rejects)
    say(
        tr(
            "Shard {shard}: {said}. When all are done: promptkit merge {out}",
            shard=shard,
            said=said,
            out=done.out,
        )
    )
