"""Cascades as files: one zip of their steps, each as it is saved by itself, and the evidence.

A step is a student's folder, a frozen prompt, a lookup table or another cascade. The file holds no
code, no pickle and no model; steps are loaded when they are first asked.
"""

from __future__ import annotations

import atexit
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.sealed_zip import SealedKind, SealedZip, seal, unseal
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.frozen_file import SUFFIX as FROZEN
from promptkit.inference.frozen_file import freeze, task_files
from promptkit.inference.prediction import Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.profile import Profile, profile_of
from promptkit.lookup.lookup import Lookup
from promptkit.models.base import ModelIdentity
from promptkit.students.cascade import Cascade, CascadeStep
from promptkit.students.cascade_evidence import CascadeEvidence
from promptkit.students.lazy_predictor import LazyPredictor
from promptkit.tasks.loading import load_task
from promptkit.tasks.measures import Scoring
from promptkit.tasks.task import Task

SUFFIX = ".cascade"
"""Suffix of the files."""

KIND = SealedKind("cascade", "cascade.json", 1, "make the cascade again, or restore the file")
"""The kind of file."""

Load = Callable[[Path, Task[Any, Any]], AnyPredictor]
"""Loads a saved predictor of a task."""


def save_cascade(made: Cascade, path: str | Path) -> Path:
    """Write a cascade to a file, which `promptkit.load_predictor` reads.

    Args:
        made: The cascade.
        path: The file; its suffix is `.cascade`.

    Raises:
        TaskError: The suffix is another, or a step cannot be saved.
        OSError: The file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise TaskError(f"{path}: the file of a cascade is named like reviews{SUFFIX}")
    files = task_files(_bare(made.task))
    steps = []
    with TemporaryDirectory(prefix="promptkit-") as place:
        for number, step in enumerate(made.steps):
            folder = Path(place, str(number))
            folder.mkdir()
            saved = _save_step(step.predictor, folder)
            steps.append(_described(step, f"steps/{number}/{saved.name}"))
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    name = f"steps/{number}/{file.relative_to(folder).as_posix()}"
                    files[name] = file.read_bytes()
    data = {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "task": {"name": made.task.name, "fingerprint": made.task.fingerprint},
        "steps": steps,
        "evidence": None if made.evidence is None else made.evidence.to_dict(),
    }
    seal(path, KIND, data, files)
    return path


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
        steps = [_step(one, folder, task, load) for one in sealed.data["steps"]]
        said = sealed.data["evidence"]
        evidence = None if said is None else CascadeEvidence.from_dict(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(sealed, error) from None
    return Cascade(steps, task, sealed.path.stem, evidence)


def _save_step(predictor: AnyPredictor, folder: Path) -> Path:
    """Write a step into a folder, and return its file or folder there."""
    name = re.sub(r"[^\w.-]+", "-", predictor.identity.name).strip(".-")[:60] or "step"
    if isinstance(predictor, LazyPredictor):
        predictor = predictor.loaded
    if isinstance(predictor, Predictor):
        evidence = getattr(predictor, "evidence", None)
        return freeze(predictor, folder / f"{name.removesuffix(FROZEN)}{FROZEN}", evidence)
    if isinstance(predictor, Cascade):
        return save_cascade(predictor, folder / f"{name.removesuffix(SUFFIX)}{SUFFIX}")
    if isinstance(predictor, Lookup):
        if predictor.fallback is not None or predictor.default is not ...:
            raise TaskError(
                f"{predictor.file}: a default or a fallback of a lookup table is no part of its "
                "file; leave it out, and what the table does not have goes up"
            )
        return Path(shutil.copy(predictor.file, folder / predictor.file.name))
    save = getattr(predictor, "save", None)
    if save is None:
        raise TaskError(
            f"{predictor.identity.name}: a {type(predictor).__name__} cannot be saved, and so no "
            "cascade with it"
        )
    save(folder / name)
    return folder / name


def _described(step: CascadeStep, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "threshold": step.threshold,
        "key": step.key or predictor_key(step.predictor),
        "identity": asdict(step.predictor.identity),
        "profile": asdict(profile_of(step.predictor)),
    }


def _step(said: Mapping[str, Any], folder: Path, task: Task[Any, Any], load: Load) -> CascadeStep:
    predictor = LazyPredictor(
        folder / said["file"],
        ModelIdentity(**said["identity"]),
        Profile(**said["profile"]),
        lambda path: load(path, task),
    )
    return CascadeStep(predictor, said["threshold"], said["key"])


def _bare(task: Task[Any, Any]) -> Task[Any, Any]:
    """Return what queries need of a task: its types, without rows."""
    plain = task.scoring.scorer is None
    return type(task)(
        name=task.name,
        instruction=task.instruction,
        scoring=task.scoring if plain else Scoring(),
    )


def _damaged(sealed: SealedZip, reason: object) -> DataError:
    said = f"it cannot be read ({reason}); {KIND.again}"
    return DataError([Problem(said, file=str(sealed.path))])
