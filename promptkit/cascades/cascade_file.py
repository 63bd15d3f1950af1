"""Reading of cascades from files; their steps are loaded when they are first asked."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from promptkit.cascades.cascade import Cascade
from promptkit.cascades.cascade_evidence import CascadeEvidence
from promptkit.cascades.cascade_saving import KIND
from promptkit.cascades.cascade_step import CascadeStep
from promptkit.cascades.lazy_predictor import LazyPredictor
from promptkit.errors import DataError, Problem
from promptkit.files.paths import is_inside
from promptkit.files.sealed_zip import SealedZip, unseal
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.profile import Profile
from promptkit.models.base import ModelIdentity
from promptkit.tasks.loading import load_task
from promptkit.tasks.task import Task
from promptkit.translation import tr

Load = Callable[[Path, Task[Any, Any]], AnyPredictor]
"""Loads a saved predictor of a task."""


def read_cascade(path: str | Path, load: Load) -> Cascade:
    """Return the cascade of a file; its steps are loaded when they are first asked.

    Args:
        path: The file.
        load: A function that loads the step that a file or folder holds.

    Raises:
        DataError: The file is missing, damaged or of a later version.
    """
    sealed = unseal(path, KIND)
    folder = Path(mkdtemp(prefix="promptkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # steps are loaded from it
    try:
        sealed.unpack(folder)
        task = load_task(folder / "task")
        saved = _steps().validate_python(sealed.data["steps"])
        steps = [_step(one, folder, task, load) for one in saved]
        said = sealed.data["evidence"]
        evidence = None if said is None else CascadeEvidence.from_dict(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(sealed, error) from None
    return Cascade(steps, task, sealed.path.stem, evidence)


@dataclass(frozen=True)
class _SavedStep:
    """A step as the manifest has it."""

    file: str
    threshold: float | None
    key: str
    identity: ModelIdentity
    profile: Profile


@cache
def _steps() -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[list[_SavedStep], Field(min_length=1)])


def _step(saved: _SavedStep, folder: Path, task: Task[Any, Any], load: Load) -> CascadeStep:
    file = folder / saved.file
    if not is_inside(file, folder):
        raise ValueError(tr("a step is the file {file!r}", file=saved.file))
    predictor = LazyPredictor(file, saved.identity, saved.profile, lambda path: load(path, task))
    return CascadeStep(predictor, saved.threshold, saved.key)


def _damaged(sealed: SealedZip, reason: object) -> DataError:
    said = tr("it cannot be read ({reason}); {again}", reason=reason, again=tr(KIND.again))
    return DataError([Problem(said, file=str(sealed.path))])
