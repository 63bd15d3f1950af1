"""Options shared by several commands; options of lists may be repeated, or have commas, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from promptkit.cli.number_or_auto import MOST_SEEDS, layers_or_auto, number_or_auto
from promptkit.cli.outputs import check_file, checked
from promptkit.cli.repeated import listed, unparted
from promptkit.inference.prediction import Fit
from promptkit.models.base import Weights
from promptkit.translation import tr

MODEL_HELP = tr(
    "Model: a .gguf file, smollm2 (the default), hf:owner/repo/file.gguf, or "
    "the URL of a server, such as http://127.0.0.1:8080#NAME."
)
SELECTION_HELP = tr(
    "Selection of shots: balanced (each label in turn; the default for "
    "labels), random, first (in the pool's order), k-centre, similar, "
    'similar-balanced, diverse, block-similar, or a JSON file of {"shots": '
    "[ids]}."
)
ORDER_HELP = tr(
    "Order of the shots: drawn, reversed, nearest-last or rotated; by default the selection's own."
)


TaskName = Annotated[
    str, typer.Argument(metavar="TASK", help=tr("Task folder, or package.module:attribute."))
]
OneModel = Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)]
OneTemplate = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=tr("Template, by name or path; by default the task's.")),
]
OneVerbalizer = Annotated[
    str | None, typer.Option(metavar="NAME", help=tr("Words for the labels."))
]
OneOrder = Annotated[str | None, typer.Option(metavar="NAME", help=ORDER_HELP)]
Shots = Annotated[
    list[str] | None,
    typer.Option(metavar="K,...", callback=listed, help=tr("Shot counts; by default 0,1,2,4,8.")),
]
Seeds = Annotated[
    int, typer.Option(metavar="N", min=1, max=MOST_SEEDS, help=tr("Number of draws of shots."))
]
SeedsOrAuto = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        callback=number_or_auto,
        help=tr(
            "Number of draws of shots; auto adds draws, up to 20, until they are the "
            "smaller part of the error."
        ),
    ),
]
NoLint = Annotated[
    bool,
    typer.Option("--no-lint", help=tr("Skip lint: run despite its errors, without its warnings.")),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help=tr("Write the results as JSON; - is standard output."),
        callback=checked(check_file, "--json"),
    ),
]
WeightsName = Annotated[
    str,
    typer.Option(
        metavar="TYPE",
        help=tr(
            "Type of the weights: {Weights}; auto is the fastest on this machine that "
            "is as precise as the file.",
            Weights=", ".join(get_args(Weights)),
        ),
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help=tr("Write an interactive page that needs no network."),
        callback=checked(check_file, "--html"),
    ),
]
Whitespace = Annotated[
    bool, typer.Option("--whitespace", help=tr("Show spaces, tabs and newlines as · ⇥ ↵."))
]
Watch = Annotated[
    bool, typer.Option("--watch", help=tr("Render again whenever a file changes, until Ctrl-C."))
]
Context = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help=tr("Tokens of the longest prompt with its answer.")),
]
Adapters = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        callback=listed,
        help=tr("LoRA adapter (.gguf): each model also runs with it."),
    ),
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="FILE|DIR",
        callback=listed,
        help=tr(
            "Something else that answers, compared on the same tests: a frozen "
            "predictor (.promptkit), a lookup table, a student's folder, a cascade, or "
            "a LoRA adapter (.gguf), which is asked with the same prompts as its model "
            "(with --learning-curve those it was trained for); or a folder of such."
        ),
    ),
]
Costs = Annotated[
    bool,
    typer.Option(
        "--costs",
        help=tr(
            "Show sizes, speeds and costs of making, as where something else than "
            "prompts is compared."
        ),
    ),
]
Baselines = Annotated[
    bool | None,
    typer.Option(
        "--baselines/--no-baselines",
        show_default=False,
        help=tr(
            "Train models on the pool too, by scikit-learn: the majority class, TF-IDF "
            "with logistic regression, nearest neighbours, naive Bayes; for numbers "
            "the mean, the median and ridge regression. By default where the pool has "
            "labels or numbers."
        ),
    ),
]
LearningCurve = Annotated[
    bool,
    typer.Option(
        "--learning-curve",
        help=tr(
            "Train baselines on as many rows as prompts see too, and on growing parts "
            "of the pool, and say from how many labelled rows on which is better; "
            "adapters and students of --with are points of such lines."
        ),
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help=tr("Evaluate each prompt alone, so that others cannot change its last digits."),
    ),
]
StoreFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=tr("Prediction store; by default .promptkit/predictions.sqlite.")
    ),
]
Models = Annotated[
    list[str] | None, typer.Option(metavar="MODEL", callback=listed, help=MODEL_HELP)
]
Templates = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        callback=listed,
        help=tr("Template, by name or path; by default the task's."),
    ),
]
Formats = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=1000,
        help=tr(
            "Number of formats of each template, its own included: separators, casing "
            "and line ends vary."
        ),
    ),
]
Selections = Annotated[
    list[str] | None, typer.Option(metavar="NAME", callback=listed, help=SELECTION_HELP)
]
Embedder = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help=tr(
            "GGUF embedding model by which selections compare inputs; by default they "
            "compare character n-grams (TF-IDF)."
        ),
    ),
]
NearDuplicates = Annotated[
    str | None,
    typer.Option(
        metavar="exclude|allow",
        help=tr(
            "Near-duplicates of a query among its shots; by default the task's "
            "setting, which is exclude unless it says otherwise."
        ),
    ),
]
OrderNames = Annotated[
    list[str] | None,
    typer.Option("--order", metavar="NAME", callback=listed, help=ORDER_HELP),
]
OrderCount = Annotated[
    int | None,
    typer.Option(
        "--orders", metavar="N", min=1, help=tr("Number of balanced orders of the same shots.")
    ),
]
Verbalizers = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        callback=listed,
        help=tr(
            "Words for the labels: a verbalizer of task.toml, labels, lower, upper, "
            "title, or the controls swapped and symbols."
        ),
    ),
]
LANGUAGE_HELP = tr(
    "Language of the task: one of its own for the whole prompt, such as hi, or "
    "those of its parts, such as instruction=en,shots=hi,labels=hi; queries "
    "are in the language of the shots."
)
LanguageNames = Annotated[
    list[str] | None,
    typer.Option("--language", metavar="TAG|PART=TAG,...", callback=unparted, help=LANGUAGE_HELP),
]
OneLanguage = Annotated[
    str | None, typer.Option("--language", metavar="TAG|PART=TAG,...", help=LANGUAGE_HELP)
]
Calibrate = Annotated[
    list[str] | None,
    typer.Option(
        callback=listed,
        metavar="METHOD",
        help=tr(
            "Correct label bias, beside the raw figures: contextual, domain-context, "
            "batch, pmi, temperature, vector, or all; for options of each query: pmi, "
            "by_byte, by_token, or all."
        ),
    ),
]
OptionOrders = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help=tr(
            "Number of cyclic orders of each query's own options, over which the "
            "scores of an option are averaged, beside the raw figures; 1 for no "
            "average."
        ),
    ),
]
Limit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=tr("Ask only the first N tests."))
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        callback=listed,
        metavar="COLUMN",
        help=tr(
            "Column whose values make slices, each with its own figures: an input "
            "field, another column of the tests, or output."
        ),
    ),
]
MaxError = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help=tr(
            "Share of wrong answers, such as 0.1: says how many queries the best cell "
            "can answer if it may hold back answers of low probability."
        ),
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=tr(
            "Metric by which cells are compared, such as balanced_accuracy, macro_f1, "
            "log_loss or mae; by default accuracy, and mae for numbers."
        ),
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help=tr("Folder of the results; by default runs/TASK.")),
]
Fitting = Annotated[
    str,
    typer.Option(
        metavar="|".join(get_args(Fit)), help=tr("What to do with a prompt that does not fit.")
    ),
]
MaxTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help=tr("Tokens of the longest generated answer."))
]
RationaleTokens = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help=tr("Tokens of the longest rationale, where a template prints {{ rationale }}."),
    ),
]
Rationales = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help=tr(
            "Number of rationales (and thoughts) that are sampled for each query; the "
            "answers after them vote."
        ),
    ),
]
Think = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help=tr(
            "Tokens of the longest thought before an answer, of models whose chat "
            "template has thoughts; 0 for none."
        ),
    ),
]
Temperature = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0.0,
        help=tr("Temperature of generated answers; 0 is greedy, and 0.7 for --rationales above 1."),
    ),
]
GpuLayersText = Annotated[
    str,
    typer.Option(
        "--gpu-layers",
        metavar="N|auto",
        callback=layers_or_auto,
        help=tr(
            "Layers that run on a GPU, if llama.cpp was built for one: 0 for none; "
            "auto is what was measured to be fastest."
        ),
    ),
]
FrozenGpuLayers = Annotated[
    str | None,
    typer.Option(
        "--gpu-layers",
        metavar="N|auto",
        callback=layers_or_auto,
        help=tr(
            "Layers that run on a GPU, if llama.cpp was built for one; by default as "
            "many as when it was frozen."
        ),
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help=tr("Number of threads; by default one per core.")),
]
