"""`promptkit export`: training data for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import promptkit
from promptkit.cli import arguments, options
from promptkit.cli.console import say
from promptkit.cli.outputs import check_file, checked
from promptkit.cli.predictors import is_frozen
from promptkit.errors import TaskError
from promptkit.exporting.export_formats import FORMATS, ExportFormat
from promptkit.inference.frozen_file import SUFFIX
from promptkit.templating.template import Template
from promptkit.translation import tr

_OF_PROMPTS = ("shots", "template", "verbalizer", "selection", "embedder", "order")

Named = Annotated[
    str,
    typer.Argument(
        metavar="TASK|FROZEN",
        help=tr(
            "Task folder, package.module:attribute, or frozen predictor (FILE{SUFFIX}).",
            SUFFIX=SUFFIX,
        ),
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE.jsonl",
        callback=checked(check_file, "--out"),
        help=tr(
            "File of the rows to train with; those to validate with and the card go beside it."
        ),
    ),
]
Format = Annotated[
    str,
    typer.Option(
        metavar="|".join(FORMATS),
        help=tr(
            "prompt and completion (TRL), messages of a chat (hosted services, "
            "Axolotl), or texts with and without a loss (Axolotl's input_output)."
        ),
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=tr(
            "Predictions to learn from, as promptkit predict writes them; by default "
            "the rows are the task's pool."
        ),
    ),
]
Validation = Annotated[
    float,
    typer.Option(
        metavar="SHARE", min=0.0, max=0.99, help=tr("Share of the rows to validate with.")
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="P",
        min=0.0,
        max=1.0,
        help=tr("Least probability of a predicted answer; others are left out."),
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        "--min-coverage",
        metavar="P",
        min=0.0,
        max=1.0,
        help=tr("Least probability of all labels together in a prediction."),
    ),
]
ShotCount = Annotated[
    int, typer.Option(metavar="K", min=0, help=tr("Number of shots of a prompt."))
]
Seed = Annotated[
    int, typer.Option(metavar="N", min=0, help=tr("Number of the draw of shots, and of the split."))
]
OneSelection = Annotated[str | None, typer.Option(metavar="NAME", help=options.SELECTION_HELP)]


def export(
    context: typer.Context,
    task: Named,
    out: Out,
    format: Format = "completion",
    predictions: Predictions = None,
    validation: Validation = 0.1,
    min_confidence: Confidence = None,
    min_coverage: Coverage = None,
    shots: ShotCount = 0,
    seed: Seed = 0,
    template: options.OneTemplate = None,
    verbalizer: options.OneVerbalizer = None,
    selection: OneSelection = None,
    embedder: options.Embedder = None,
    order: options.OneOrder = None,
) -> None:
    """Write training data for other tools, rendered by the task's own template.

    Rows are the pool, or stored predictions with their probabilities; tests and near-duplicates
    of tests are left out.
    """
    rendering: dict[str, Any]
    if is_frozen(task):
        loaded, rendering = _frozen(context, task, seed)
    else:
        loaded = arguments.task_named(task)
        chosen = arguments.selections([selection] if selection else [], embedder)
        rendering = {
            "template": Template.of(loaded, template),
            "shots": shots,
            "seed": seed,
            "selection": next(iter(chosen), None),
            "order": next(iter(arguments.orders([order] if order else [], None)), None),
            "verbalizer": loaded.verbalizer(verbalizer) if verbalizer else None,
        }
    written = promptkit.export_training_data(
        loaded,
        out,
        format=arguments.choices("format", [format], ExportFormat)[0],
        predictions=predictions,
        validation=validation,
        min_confidence=min_confidence,
        min_coverage=min_coverage,
        **rendering,
    )
    say(str(written))
    say(tr("Card: {card}", card=written.card))


def _frozen(context: typer.Context, name: str, seed: int) -> tuple[Any, dict[str, Any]]:
    """Return the task of a frozen predictor and its prompts; its model is not needed."""
    for option in _OF_PROMPTS:
        source = context.get_parameter_source(option)
        if source is not None and source.name != "DEFAULT":
            raise TaskError(
                tr("--{option}: a frozen predictor has its own; leave it out", option=option)
            )
    one = promptkit.load_predictor(name, promptkit.FakeModel(), any_model=True)
    names = ("template", "shots", "selection", "order", "verbalizer")
    return one.task, {**{each: getattr(one, each) for each in names}, "seed": seed or one.seed}
