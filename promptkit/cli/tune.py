"""`promptkit tune`: a LoRA adapter trained on a task, or on what a frozen predictor answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from promptkit.cli import arguments, options
from promptkit.cli.console import err, say
from promptkit.cli.model_sizes import (
    SeedCount,
    counts_of,
    counts_option,
    say_compare,
    show_adapters,
)
from promptkit.cli.predictors import predictor_named
from promptkit.errors import TaskError
from promptkit.tasks.ranked_pool import Sized
from promptkit.translation import tr
from promptkit.tuning.tuned_adapter import TunedAdapter
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import TuningStep

_DEFAULTS = TuningOptions()

Named = Annotated[
    str | None,
    typer.Argument(metavar="TASK", help=tr("Task folder, or package.module:attribute.")),
]
OutFile = Annotated[
    Path,
    typer.Option(
        metavar="FILE|DIR",
        help=tr("File of the adapter, such as fruit-lora.gguf; of several, their folder."),
    ),
]
Frozen = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="FROZEN",
        help=tr("Frozen predictor whose answers to --pool are learnt, in place of TASK."),
    ),
]
PoolFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=tr("Rows without labels, with --from: .csv, .jsonl, .parquet.")
    ),
]
TestFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=tr("Labelled rows, with --from, on which both are compared in the end."),
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help=tr("Draws of shots whose probabilities are averaged, with --from.")
    ),
]
ShotCount = Annotated[
    int,
    typer.Option(metavar="K", min=0, help=tr("Number of shots of the prompts that are learnt.")),
]
OneSelection = Annotated[str | None, typer.Option(metavar="NAME", help=options.SELECTION_HELP)]
ExampleCounts = Annotated[
    list[str] | None,
    counts_option(
        tr(
            "Number of examples, held-out ones included; or several, such as "
            "50,100,200: an adapter for each, in the folder --out."
        )
    ),
]
HeldOut = Annotated[
    float,
    typer.Option(metavar="SHARE", min=0.0, max=1.0, help=tr("Share of them that is held out.")),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help=tr("Epochs, at the most; by default 3, or as many as make 100 steps, up to 20."),
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help=tr(
            "Epochs without a lower held-out loss after which it ends; by default 2, "
            "or a third of the epochs."
        ),
    ),
]
Rank = Annotated[int, typer.Option(metavar="N", min=1, help=tr("Rank of each matrix's change."))]
Alpha = Annotated[
    float | None,
    typer.Option(metavar="X", help=tr("Scale of the change; by default twice the rank.")),
]
Layers = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help=tr("Number of upper layers that are trained; by default half.")
    ),
]
Rate = Annotated[float, typer.Option(metavar="X", help=tr("Learning rate at its highest."))]
Batch = Annotated[int, typer.Option(metavar="N", min=1, help=tr("Prompts of a step, at the most."))]
Coverage = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0.0,
        help=tr(
            "Weight of the labels' probability together: 0 only tells them apart, 1 is "
            "the loss of a language model."
        ),
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="N", min=0, help=tr("Seed of the draw and the training."))
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help=tr("Replace an adapter, or a training, of something else.")),
]
Full = Annotated[
    bool,
    typer.Option(
        "--full", help=tr("Train all weights: refused, with the command that helps instead.")
    ),
]


def tune(
    out: OutFile,
    task: Named = None,
    frozen: Frozen = None,
    pool: PoolFile = None,
    tests: TestFile = None,
    draws: Draws = 1,
    model: options.OneModel = "smollm2",
    template: options.OneTemplate = None,
    verbalizer: options.OneVerbalizer = None,
    shots: ShotCount = 0,
    selection: OneSelection = None,
    examples: ExampleCounts = None,
    held_out: HeldOut = _DEFAULTS.held_out,
    epochs: Epochs = _DEFAULTS.epochs,
    patience: Patience = _DEFAULTS.patience,
    rank: Rank = _DEFAULTS.rank,
    alpha: Alpha = _DEFAULTS.alpha,
    layers: Layers = _DEFAULTS.layers,
    learning_rate: Rate = _DEFAULTS.learning_rate,
    batch: Batch = _DEFAULTS.batch,
    coverage: Coverage = _DEFAULTS.coverage,
    seed: Seed = _DEFAULTS.seed,
    seeds: SeedCount = 1,
    threads: options.Threads = None,
    overwrite: Overwrite = False,
    full: Full = False,
) -> None:
    """Train a LoRA adapter from a GGUF model, on a task or on a frozen prompt's answers.

    The prompts are the task's own, and the loss is on the answers only. What is done is kept in
    FILE.tuning: after any end of the process, the same command goes on from there. The adapter
    is compared with llama.cpp before it is written: docs/tuning.md. With several numbers of
    --examples the adapters are the points of a learning curve: each is trained on the examples of
    the one before, and more.
    """
    counts = counts_of(examples, least=4)
    chosen = TuningOptions(
        examples=counts[0] if len(counts) == 1 else None,
        held_out=held_out,
        epochs=epochs,
        patience=patience,
        rank=rank,
        alpha=alpha,
        layers=layers,
        learning_rate=learning_rate,
        batch=batch,
        coverage=coverage,
        seed=seed,
    )
    how: dict[str, Any] = {"options": chosen, "threads": threads, "overwrite": overwrite}
    if full:
        from promptkit.tuning.tune import refuse_full

        refuse_full(task or frozen or "TASK")
    several = counts if len(counts) > 1 or seeds > 1 else []
    if seeds > 1 and not counts:
        raise TaskError(tr("--seeds: with --examples N, the number of examples that are drawn"))
    if frozen is not None:
        if several:
            raise TaskError(tr("--from: one adapter at a time; give one number of --examples"))
        if task is not None:
            raise TaskError(tr("TASK and --from: give one of them"))
        if pool is None:
            raise TaskError(tr("--from needs --pool FILE, rows without labels"))
        _from_frozen(frozen, pool, tests, draws, out, shots, how)
        return
    if task is None:
        raise TaskError(tr("give a TASK, or --from FROZEN --pool FILE"))
    if pool is not None or tests is not None:
        raise TaskError(
            tr(
                "--pool and --tests are for --from FROZEN; a TASK has its own pool, and "
                "its adapter is compared by promptkit compare --adapter"
            )
        )
    prompt = {"model": model, "template": template, "shots": shots}
    _of_task(task, out, verbalizer, selection, several, seeds, prompt | how)


def _of_task(
    name: str,
    out: Path,
    verbalizer: str | None,
    selection: str | None,
    counts: Sequence[int],
    seeds: int,
    how: dict[str, Any],
) -> None:
    task = arguments.task_named(name)
    how["verbalizer"] = task.verbalizer(verbalizer) if verbalizer else None
    chosen = arguments.selections([selection] if selection else [], None)
    how["selection"] = next(iter(chosen), None)
    shots, model = how["shots"], how["model"]
    if counts:
        from promptkit.tuning.tuning_sizes import tune_sizes

        with _progress() as tell:
            made = tune_sizes(task, out, counts, seeds=seeds, progress=_of_sizes(tell), **how)
        show_adapters(made)
        say_compare(name, shots, model, out)
        return
    from promptkit.tuning.tune import tune as train

    with _progress() as progress:
        one = train(task, out, progress=progress, **how)
    _say(one)
    say(
        tr(
            "Compare it: promptkit compare {name} --shots {shots} --model {model} --adapter {out}",
            name=name,
            shots=shots,
            model=model,
            out=out,
        )
    )


def _from_frozen(
    name: str,
    pool: Path,
    tests: Path | None,
    draws: int,
    out: Path,
    shots: int,
    how: dict[str, Any],
) -> None:
    from promptkit.tuning.prompt_into_adapter import tune_from

    teacher = predictor_named(name)
    with _progress() as progress:
        made = tune_from(
            teacher, pool, out, tests=tests, draws=draws, shots=shots, progress=progress, **how
        )
    _say(made)


def _say(made: TunedAdapter) -> None:
    for line in str(made).splitlines():
        say(line)


@contextmanager
def _progress() -> Iterator[Callable[..., None]]:
    """Show how a training goes on."""
    with err.status(tr("reading the model")) as status:

        def tell(step: TuningStep, before: str = "") -> None:
            status.update(before + _said(step))

        yield tell


def _of_sizes(tell: Callable[..., None]) -> Callable[[int, int, Sized, TuningStep], None]:
    """Return a function that also says which adapter of several is trained."""

    def told(number: int, count: int, one: Sized, step: TuningStep) -> None:
        tell(
            step,
            tr(
                "{number} of {count} ({rows:,} examples, seed {seed}): ",
                number=number,
                count=count,
                rows=one.rows,
                seed=one.seed,
            ),
        )

    return told


def _said(step: TuningStep) -> str:
    names = {
        "prepare": tr("layers below the trained ones"),
        "train": tr("epoch {epoch}", epoch=step.epoch),
        "hold-out": tr("held-out prompts"),
        "teacher": tr("answers of the frozen prompt"),
    }
    said = tr(
        "{names}: {done:,} of {of:,} prompts", names=names[step.phase], done=step.done, of=step.of
    )
    if step.loss is not None:
        said += tr(", loss {loss:.3f}", loss=step.loss)
    if step.held_out is not None:
        said += tr(", held-out loss {held_out:.3f}", held_out=step.held_out)
    if step.seconds_left is not None:
        said += tr(", at most {clock} left", clock=_clock(step.seconds_left))
    return said


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
