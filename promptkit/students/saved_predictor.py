"""Saved predictors of every kind, opened by their path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptkit.errors import DataError, Problem, TaskError
from promptkit.inference.frozen_file import SUFFIX
from promptkit.students.student_file import load_student
from promptkit.students.student_folder import MANIFEST, is_student

if TYPE_CHECKING:
    from promptkit.models.base import Model


def load_predictor(
    path: str | Path,
    model: Model | None = None,
    *,
    any_model: bool = False,
    threads: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> Any:
    """Load a saved predictor: a frozen prompt, a student or a lookup table.

    Args:
        path: The file of a frozen predictor (`.promptkit`), the folder of a student, or the file of
            a lookup table, which has no task of its own.
        model: The model of a frozen predictor; by default the one that the file names.
        any_model: Whether another model than the frozen one may answer.
        threads: The threads that compute; by default as many as were measured to be fastest.
        notify: A function that is called with notes, such as that the weights run as another type.

    Returns:
        The predictor: its `predict` answers queries.

    Raises:
        DataError: The file is missing, damaged or of a later version.
        LookupFileError: It is no lookup table.
        ModelError: The model is not found, or not the frozen one.
        TaskError: A model is given for a predictor that has none.

    Example:
        >>> import promptkit as pk
        >>> task, model = pk.load_task("examples/fruit"), pk.FakeModel()
        >>> file = pk.freeze(pk.Predictor(task, pk.Template.of(task), model), "fruit.promptkit")
        >>> load_predictor(file, model=model).shots
        0
    """
    path = Path(path)
    if path.suffix == SUFFIX and not path.is_dir():
        from promptkit.calibration.frozen import load_frozen

        return load_frozen(path, model, any_model=any_model, threads=threads, notify=notify)
    if not path.exists():
        raise _bad(path, "not found")
    if path.is_dir() and not is_student(path):
        raise _bad(path, f"a folder without {MANIFEST} is no student")
    if model is not None or any_model:
        raise TaskError(f"{path}: a model is for a frozen predictor ({SUFFIX}); leave it out")
    if path.is_dir():
        return load_student(path)
    from promptkit.lookup.lookup import Lookup

    return Lookup(path)


def _bad(path: Path, reason: str) -> DataError:
    return DataError([Problem(reason, file=str(path))])
