"""Predictors that arguments of commands name: a saved one, or a prompt of a task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

import promptkit
from promptkit.cli import arguments
from promptkit.cli.console import err, note
from promptkit.errors import TaskError, escaped
from promptkit.inference.frozen_file import SUFFIX
from promptkit.inference.prediction import Predictor
from promptkit.models.base import Model
from promptkit.models.reloading import load_again
from promptkit.tasks.asked_language import task_in
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.task import Task
from promptkit.tasks.task_file import read_task_file
from promptkit.templating.template import Template
from promptkit.translation import tr

TASK_OR_SAVED = tr(
    "Task folder, package.module:attribute, frozen predictor (FILE{SUFFIX}), "
    "folder of a student, or cascade (FILE.cascade).",
    SUFFIX=SUFFIX,
)
"""Help for an argument that names a predictor."""

SHOTS = 8
"""Number of shots where nobody says how many, and the pool has as many."""


def is_frozen(name: str) -> bool:
    """Return whether an argument names a frozen predictor."""
    return name.endswith(SUFFIX) and not Path(name).is_dir()


def is_saved(name: str) -> bool:
    """Return whether an argument names a saved predictor that has a task of its own."""
    from promptkit.cascades.cascade_saving import SUFFIX as CASCADE
    from promptkit.students.student_folder import is_student

    cascade = name.endswith(CASCADE) and not Path(name).is_dir()
    return cascade or is_frozen(name) or is_student(name)


def predictor_named(
    name: str,
    model: str | None = None,
    *,
    any_model: bool = False,
    threads: int | None = None,
    task: Task[Any, Any] | None = None,
    gpu_layers: str | None = None,
    embedder: str | None = None,
) -> Any:
    """Return a saved predictor; a frozen one with another model, or elsewhere, where named."""
    how: dict[str, Any] = {"threads": threads}
    by = None if embedder is None else promptkit.load_embedder(embedder, threads=threads)
    if gpu_layers is not None:
        how["gpu_layers"] = arguments.gpu_layers(gpu_layers)
    if model is None:
        with err.status(Text(tr("loading {name}", name=escaped(name)))):
            return promptkit.load_predictor(name, task=task, embedder=by, notify=note, **how)
    if not is_frozen(name):
        raise TaskError(
            tr(
                "{name}: --model is for a frozen predictor ({SUFFIX}); leave it out",
                name=name,
                SUFFIX=SUFFIX,
            )
        )
    loaded = arguments.model_named(model, **how)
    return promptkit.load_predictor(name, loaded, any_model=any_model, embedder=by, notify=note)


def with_names(names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the adapters of `--with`, and all other names, each once.

    A folder that is no student stands for the adapters, students and frozen predictors in it.

    Raises:
        TaskError: There is no such file or folder.
    """
    files: list[str] = []
    for name in dict.fromkeys(names):
        if not Path(name).exists():
            raise TaskError(tr("--with {name}: no such file or folder", name=name))
        files += _inside(name) or [name]
    files = [*dict.fromkeys(files)]
    adapters = [name for name in files if name.endswith(".gguf") and not Path(name).is_dir()]
    return [*map(Path, adapters)], [name for name in files if name not in adapters]


def _inside(name: str) -> list[str]:
    """Return the saved predictors in a folder, in the order of the numbers in their names."""
    folder = Path(name)
    if is_saved(name) or not folder.is_dir():
        return []
    found = [str(one) for one in folder.iterdir() if one.suffix == ".gguf" or is_saved(str(one))]
    return sorted(found, key=_by_numbers)


def _by_numbers(name: str) -> list[Any]:
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def compared_with(
    names: Sequence[str], task: Task[Any, Any], *, threads: int | None = None
) -> list[Any]:
    """Return the predictors of `--with`, for the tests of a task."""
    return [predictor_named(name, task=task, threads=threads) for name in names]


def model_again(
    name: str | None, known: str, origin: Mapping[str, Any] | None, context: int
) -> Model:
    """Return a model of a run, loaded as it was then.

    Args:
        name: Another place of its file; None for that of the run.
        known: Its name in the run.
        origin: How it was loaded, as the run says.
        context: Its context in the run, in tokens.

    Raises:
        TaskError: The run does not say how it was loaded.
    """
    if origin is None:
        raise TaskError(
            tr("the run does not say how {known} was loaded; freeze it in Python", known=known)
        )
    with err.status(Text(tr("loading {known}", known=escaped(known)))):
        return load_again(origin, context, name=name, notify=note)


def prompt_of(
    task: Task[Any, Any],
    *,
    shots: int | None,
    template: str | None,
    verbalizer: str | None,
    model: str,
    adapter: Path | None,
    how: Mapping[str, Any],
    language: str | None = None,
    **more: Any,
) -> Predictor:
    """Return the prompt of a task that options describe; the model is loaded last."""
    task = task_in(task, language) if language else task
    words = task.verbalizer(verbalizer) if verbalizer else None
    worded = Template.of(task, template)
    count = min(SHOTS, len(task.demos)) if shots is None else shots
    *_, runtime = arguments.models_named([model], [adapter] if adapter else [], **how)
    spoken = task.asked_in
    return Predictor(task, worded, runtime, count, verbalizer=words, language=spoken, **more)


def is_given(context: typer.Context, option: str) -> bool:
    """Return whether an option is on the command line."""
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def refuse_given(context: typer.Context, options: Iterable[str]) -> None:
    """Raise `TaskError` where options say what a saved predictor has said already."""
    for option in options:
        if is_given(context, option):
            name = option.removesuffix("_tokens") if option == "context_tokens" else option
            raise TaskError(
                tr(
                    "--{replace}: a saved predictor has its own; leave it out",
                    replace=name.replace("_", "-"),
                )
            )


def labelled_rows(name: str, task: Task[Any, Any], file: Path) -> ExampleSet[Any, Any]:
    """Return labelled rows of a file, whose columns are called as those of the task.

    Args:
        name: The task's folder or file, as the command line has it.
        task: The task.
        file: The file.
    """
    folder = Path(name)
    place = folder / "task.toml" if folder.is_dir() else folder
    columns: dict[str, Any] = {}
    codes: dict[str, str] = {}
    if place.name == "task.toml" and place.exists():
        spec = read_task_file(place)
        columns = {field: column for field, column in spec.columns.items() if field != column}
        codes = spec.output.codes
    return type(task.tests).from_csv(file, columns=columns or None, labels=codes or None)


def columns_of(task: str, texts: list[str]) -> Mapping[str, Any]:
    """Return the columns that task.toml names, and those of options in front of them."""
    folder = Path(task)
    file = folder / "task.toml" if folder.is_dir() else folder
    columns: dict[str, Any] = {}
    if file.name == "task.toml" and not is_saved(task):
        named = read_task_file(file).columns
        columns = {
            field: column for field, column in named.items() if field not in ("output", column)
        }
    for text in texts:
        field, equals, name = text.partition("=")
        if not (field and equals and name):
            raise TaskError(
                tr("--column {text!r}: write a field and its column: text=body", text=text)
            )
        columns[field] = name
    return columns
