"""Saved predictors of every kind, opened by their path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptkit.cascades.cascade_saving import SUFFIX as CASCADE
from promptkit.errors import DataError, Problem, TaskError
from promptkit.inference.frozen_file import SUFFIX
from promptkit.students.student_folder import MANIFEST, is_student
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.models.base import GpuLayers, Model
    from promptkit.models.embedding import Embedder
    from promptkit.tasks.task import Task


def load_predictor(
    path: str | Path,
    model: Model | None = None,
    *,
    task: Task[Any, Any] | None = None,
    any_model: bool = False,
    threads: int | None = None,
    gpu_layers: GpuLayers | None = None,
    embedder: Embedder | None = None,
    notify: Callable[[str], None] | None = None,
) -> Any:
    """Load a saved predictor: a frozen prompt, a student, a cascade or a lookup table.

    Args:
        path: The file of a frozen predictor (`.promptkit`), of a cascade (`.cascade`) or of a
            lookup table, or the folder of a student.
        model: The model of a frozen predictor; by default the one that the file names.
        task: The task of a lookup table, which has none of its own; that of a student is by
            default the one that it was saved with.
        any_model: Whether another model than the frozen one may answer.
        threads: The threads that compute; by default as many as were measured to be fastest.
        gpu_layers: The layers of frozen models that run on a GPU; by default as many as when they
            were frozen.
        embedder: The embedder by which a frozen predictor selects its shots; by default the one
            that its file names.
        notify: A function that is called with notes, such as that the weights run as another type.

    Returns:
        The predictor: its `predict` answers queries.

    Raises:
        DataError: The file is missing, damaged or of a later version.
        LookupFileError: It is no lookup table.
        ModelError: The model or the embedder is not found, or not the frozen one.
        TaskError: A model is given for a predictor that has none, or the task has other labels than
            the student.

    Example:
        >>> import promptkit as pk
        >>> task, model = pk.load_task("examples/fruit"), pk.FakeModel()
        >>> file = pk.freeze(pk.Predictor(task, pk.Template.of(task), model), "fruit.promptkit")
        >>> load_predictor(file, model=model).shots
        0
    """
    path = Path(path)
    how: Any = {"threads": threads, "gpu_layers": gpu_layers, "notify": notify}
    if path.suffix == SUFFIX and not path.is_dir():
        from promptkit.calibration.frozen import load_frozen

        return load_frozen(path, model, any_model=any_model, embedder=embedder, **how)
    if not path.exists():
        raise _bad(path, tr("not found"))
    if path.is_dir() and not is_student(path):
        raise _bad(path, tr("a folder without {MANIFEST} is no student", MANIFEST=MANIFEST))
    if model is not None or any_model or embedder is not None:
        raise TaskError(
            tr(
                "{path}: a model is for a frozen predictor ({SUFFIX}), and so is an "
                "embedder; leave it out",
                path=path,
                SUFFIX=SUFFIX,
            )
        )
    if path.is_dir():
        return _student(path, task)
    if path.suffix == CASCADE:
        from promptkit.cascades.cascade_file import read_cascade

        return read_cascade(path, lambda step, of: load_predictor(step, task=of, **how))
    from promptkit.lookup.lookup import Lookup

    return Lookup(path, task=task)


def _student(folder: Path, task: Task[Any, Any] | None) -> Any:
    """Return the student of a folder, for a task of the same outputs where one is given."""
    from promptkit.students.student_file import load_student

    found = load_student(folder)
    if task is None:
        return found
    if task.labels != found.task.labels:
        known = ", ".join(found.task.labels) or "numbers"
        raise TaskError(
            tr(
                "{folder}: a student of {known}, which are not the outputs of {name}",
                folder=folder,
                known=known,
                name=task.name,
            )
        )
    return replace(found, task=task)


def _bad(path: Path, reason: str) -> DataError:
    return DataError([Problem(reason, file=str(path))])
