"""The options that commands share. Those of lists may be repeated, or have commas, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from promptkit.cli.outputs import file_option
from promptkit.cli.repeated import listed
from promptkit.inference.prediction import Fit
from promptkit.models.base import Weights

TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help="A task folder, or package.module:attribute.")
]
Shots = Annotated[
    list[str] | None,
    typer.Option(callback=listed, help="Numbers of shots; by default 0,1,2,4,8."),
]
MOST_SEEDS = 10_000
"""The largest number of draws that a command takes."""

Seeds = Annotated[int, typer.Option(min=1, max=MOST_SEEDS, help="How many draws of shots.")]


def _number_or_auto(text: str) -> str:
    if text != "auto" and not (text.isdecimal() and 1 <= int(text[:6]) <= MOST_SEEDS):
        raise typer.BadParameter(f"{text!r} is not a number from 1 to {MOST_SEEDS:,}, nor auto.")
    return text


SeedsOrAuto = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        callback=_number_or_auto,
        help="How many draws of shots, or auto: as many, up to 20, as make them the smaller part "
        "of the error.",
    ),
]
SELECTION_HELP = (
    "How shots are chosen: balanced (label after label, the default for labels), random, first (as "
    "the pool stands), k-centre, similar, similar-balanced, diverse, block-similar, or a JSON file "
    'of {"shots": [ids]}.'
)
ORDER_HELP = (
    "How shots are ordered: drawn, reversed, nearest-last or rotated; by default as the selection "
    "has it."
)
NoLint = Annotated[
    bool,
    typer.Option(
        "--no-lint", help="Ask even where lint finds an error, and leave out its warnings."
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write JSON; - is standard output.",
        callback=file_option("--json"),
    ),
]
WeightsName = Annotated[
    str,
    typer.Option(
        help=f"What the models run from: {', '.join(get_args(Weights))}; auto is the fastest on "
        "this machine that is as precise as the file."
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write a page to point at, without network.",
        callback=file_option("--html"),
    ),
]
Whitespace = Annotated[
    bool, typer.Option("--whitespace", help="Show spaces, tabs and newlines as · ⇥ ↵.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Render again whenever a file changes, until Ctrl-C.")
]
Context = Annotated[
    int | None, typer.Option(min=1, help="Longest prompt with its answer, in tokens.")
]
Adapters = Annotated[
    list[Path] | None,
    typer.Option(callback=listed, help="A LoRA adapter (.gguf): each model is also asked with it."),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact", help="Read every prompt alone, so that no other one can move a last digit."
    ),
]
StoreFile = Annotated[
    Path | None,
    typer.Option(help="The prediction store; by default .promptkit/predictions.sqlite."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        callback=listed, help="A .gguf file, smollm2 (the default), or hf:owner/repo/file.gguf."
    ),
]
Templates = Annotated[
    list[str] | None,
    typer.Option(callback=listed, help="A template by name or path; by default the task's."),
]
Formats = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        help="Ask in N formats of each template, itself included: its separators, casing and line "
        "ends are varied.",
    ),
]
Selections = Annotated[list[str] | None, typer.Option(callback=listed, help=SELECTION_HELP)]
Embedder = Annotated[
    str | None,
    typer.Option(
        help="A GGUF embedding model, by which selections compare inputs; by default they count "
        "runs of characters (TF-IDF)."
    ),
]
NearDuplicates = Annotated[
    str | None,
    typer.Option(
        metavar="exclude|allow",
        help="Whether near-duplicates of a query may be among its shots; by default as the task "
        "has it, which is to exclude them.",
    ),
]
OrderNames = Annotated[list[str] | None, typer.Option("--order", callback=listed, help=ORDER_HELP)]
OrderCount = Annotated[
    int | None,
    typer.Option("--orders", min=1, help="Ask after N balanced orders of the same shots."),
]
Verbalizers = Annotated[
    list[str] | None,
    typer.Option(
        callback=listed,
        help="Words for the labels: those of task.toml by name, labels, lower, upper, title, or "
        "the controls swapped and symbols.",
    ),
]
Calibrate = Annotated[
    list[str] | None,
    typer.Option(
        callback=listed,
        metavar="METHODS",
        help="Correct the probabilities of labels, beside the raw ones: contextual, "
        "domain-context, batch, pmi, temperature, vector, or all.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask only the first N tests.")]
Out = Annotated[
    Path | None, typer.Option(help="Where results go; by default runs/ and the task's name.")
]
Fitting = Annotated[
    str, typer.Option(help=f"For a prompt that does not fit: {' or '.join(get_args(Fit))}.")
]
MaxTokens = Annotated[int, typer.Option(min=1, help="The longest generated answer, in tokens.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of generated answers; 0 is greedy.")]
Threads = Annotated[int | None, typer.Option(min=1, help="By default one per core.")]
