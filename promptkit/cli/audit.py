"""`promptkit audit`: what a predictor does to groups of the tests."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from promptkit.auditing.audit import Audit, audited_by
from promptkit.auditing.audit_plan import audit_plan
from promptkit.auditing.audited_answers import Asking
from promptkit.cli import arguments, options, outputs
from promptkit.cli.console import Screen, say, write_json
from promptkit.cli.number_or_auto import MOST_SEEDS
from promptkit.cli.predict import OneSelection, ShotCount
from promptkit.cli.predictors import (
    TASK_OR_SAVED,
    is_given,
    is_saved,
    labelled_rows,
    predictor_named,
    prompt_of,
    refuse_given,
)
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Fit, Predictor
from promptkit.inference.store import opened
from promptkit.models.base import Weights
from promptkit.tasks.task import Task
from promptkit.translation import tr

_OF_PROMPTS = (
    *("shots", "seeds", "template", "verbalizer", "selection", "order", "calibrate", "fit"),
    *("near_duplicates", "max_tokens", "context_tokens", "weights", "adapter", "exact"),
)

Named = Annotated[str, typer.Argument(metavar="TASK|FROZEN|STUDENT", help=TASK_OR_SAVED)]
Tests = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help=tr(
            "Task whose tests are asked, where a saved predictor is audited, or a lookup table."
        ),
    ),
]
RowsFile = Annotated[
    Path | None,
    typer.Option(
        "--rows", metavar="FILE", help=tr("Labelled rows to ask; by default the tests of the task.")
    ),
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--groups",
        metavar="COLUMN",
        callback=listed,
        help=tr("Column of the tests whose values name groups."),
    ),
]
Intersections = Annotated[
    bool,
    typer.Option("--intersections", help=tr("Compare also the groups by each two of the columns.")),
]
PositiveName = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="LABEL",
        help=tr(
            "Label that selection and error rates are about; by default the second of "
            "two, and each one against the rest where there are more. For numbers: >=N."
        ),
    ),
]
FourFifths = Annotated[
    bool,
    typer.Option("--four-fifths", help=tr("Judge selection rates by the four-fifths rule too.")),
]
Subgroups = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help=tr(
            "Column whose values name subgroups, by which the scores of the positive "
            "label are judged (unintended bias: subgroup, BPSN and BNSP AUC)."
        ),
    ),
]
TermsFile = Annotated[
    Path | None,
    typer.Option(
        "--terms",
        metavar="FILE",
        help=tr("Terms whose texts are such subgroups, one a line, or NAME: FORM, FORM."),
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR|MODEL",
        help=tr(
            "Another predictor that groups are compared with, such as the teacher of a "
            "student, or a LoRA adapter's base model."
        ),
    ),
]
Swaps = Annotated[
    bool,
    typer.Option(
        "--swaps/--no-swaps",
        help=tr("Swap terms in sentences, where task.toml has some ([audit.swap.NAME])."),
    ),
]
PromptBiasToo = Annotated[
    bool,
    typer.Option(
        "--prompt-bias",
        help=tr(
            "Measure what the prompt leans to by itself: by shots, last label and "
            "order, what calibration removes, and which groups shots of one label move."
        ),
    ),
]
SeedCount = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        max=MOST_SEEDS,
        help=tr("Number of draws of shots; of one, figures are about just these shots."),
    ),
]
OneCalibration = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD", help=tr("Correct label bias of the prompt, by one method of compare.")
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=tr("Folder for audit.json."),
        callback=outputs.checked(outputs.check_folder, "--out"),
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=tr("File of a page with the audit, such as audit.html."),
        callback=outputs.checked(outputs.check_file, "--page"),
    ),
]


def audit(
    context: typer.Context,
    name: Named,
    groups: Groups = None,
    intersections: Intersections = False,
    positive: PositiveName = None,
    four_fifths: FourFifths = False,
    subgroups: Subgroups = None,
    terms: TermsFile = None,
    against: Against = None,
    swaps: Swaps = True,
    prompt_bias: PromptBiasToo = False,
    task: Tests = None,
    rows: RowsFile = None,
    limit: options.Limit = None,
    model: options.OneModel = "smollm2",
    shots: ShotCount = None,
    seeds: SeedCount = 1,
    template: options.OneTemplate = None,
    verbalizer: options.OneVerbalizer = None,
    selection: OneSelection = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OneOrder = None,
    calibrate: OneCalibration = None,
    fit: options.Fitting = "error",
    max_tokens: options.MaxTokens = 64,
    store: options.StoreFile = None,
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
    out: Out = None,
    page: Page = None,
    json_file: options.JsonFile = None,
) -> None:
    """Audit a prompt, a frozen predictor or a student: is it as good to every group?

    Groups of the tests are compared by their accuracy, by the rates of a positive label and by
    calibration, with intervals and corrected tests: docs/audit.md.
    """
    how: dict[str, Any] = {
        "context": context_tokens,
        "weights": arguments.choices("weights", [weights], Weights)[0],
        "threads": threads,
        "exact": exact,
        "gpu_layers": arguments.gpu_layers(gpu_layers),
    }
    saved = is_saved(name) or (task is not None and Path(name).is_file())
    predictor: Any = None
    if saved:
        refuse_given(context, _OF_PROMPTS)
        own = None if task is None else arguments.task_named(task)
        given: dict[str, Any] = {"model": model, "gpu_layers": gpu_layers}
        given = {option: value for option, value in given.items() if is_given(context, option)}
        predictor = predictor_named(name, threads=threads, embedder=embedder, task=own, **given)
        loaded = own or predictor.task
    elif task is not None:
        raise TaskError(tr("--task: of a saved predictor; the argument is a task already"))
    else:
        loaded = arguments.task_named(name, near_duplicates)
    plan = audit_plan(
        loaded,
        groups=groups or (),
        intersections=intersections,
        positive=positive,
        four_fifths=four_fifths,
        subgroups=subgroups,
        terms=terms,
        rows=None if rows is None else labelled_rows(task or name, loaded, rows),
        limit=limit,
        swaps=swaps,
        prompt_bias=prompt_bias,
    )
    method = _calibration(calibrate, loaded)
    if not saved:
        predictor = prompt_of(
            loaded,
            shots=shots,
            template=template,
            verbalizer=verbalizer,
            model=model,
            adapter=adapter,
            how=how,
            fit=arguments.choices("fit", [fit], Fit)[0],
            sampling=arguments.sampling(max_tokens, 0.0),
            **_shots(selection, embedder, order),
        )
    other = None if against is None else _other(against, predictor, loaded, how)
    models = [one.model for one in (predictor, other) if isinstance(one, Predictor)]
    with opened(store) as kept, arguments.progress("asking", models) as progress:
        asking = Asking(seeds, method, kept, progress)
        found = audited_by(plan, predictor, asking, other)
    _write(found, out, json_file)
    if page is not None:
        from promptkit.auditing.audit_section import audit_page

        saving.write(page, audit_page(found))
        if json_file != "-":
            say(tr("Written to {page}", page=page))


def _shots(selection: str | None, embedder: str | None, order: str | None) -> dict[str, Any]:
    """Return how shots are selected and ordered, where options say so."""
    selections = arguments.selections([selection] if selection else [], embedder)
    orders = arguments.orders([order] if order else [], None)
    return {"selection": next(iter(selections), None), "order": next(iter(orders), None)}


def _other(name: str, predictor: Any, task: Task[Any, Any], how: Mapping[str, Any]) -> Any:
    """Return the predictor of `--against`: a saved one, or the same prompt on another model."""
    if Path(name).exists() and (is_saved(name) or not name.endswith(".gguf")):
        return predictor_named(name, task=task, threads=how["threads"])
    if not isinstance(predictor, Predictor):
        raise TaskError(tr("--against {name}: no such file or folder", name=name))
    return replace(predictor, model=arguments.model_named(name, **how))


def _calibration(name: str | None, task: Task[Any, Any]) -> str:
    """Return a method of calibration, checked before the work."""
    if name is None:
        return RAW
    found = arguments.calibrations([name], task)
    if isinstance(found, str):
        raise TaskError(tr("--calibrate {name}: an audit takes one method; name it", name=name))
    return found[0]


def _write(found: Audit, out: Path | None, json_file: str | None) -> None:
    if out is not None:
        found.save(out)
    if json_file != "-":
        from promptkit.auditing.audit_text import render

        console = Screen(width=None if sys.stdout.isatty() else 120)
        console.print(render(found, console.width))
        if out is not None:
            say(tr("Written to {out}: audit.json", out=out))
    write_json(json_file, found.to_dict())
