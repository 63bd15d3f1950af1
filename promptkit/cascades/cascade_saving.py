"""Writing of cascades to files: one zip of their steps, each as it is saved by itself.

A step is a student's folder, a frozen prompt, a lookup table or another cascade. The file holds no
code, no pickle and no model.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptkit.cascades.cascade_evidence import CascadeEvidence
from promptkit.cascades.cascade_step import CascadeStep
from promptkit.cascades.lazy_predictor import LazyPredictor
from promptkit.errors import TaskError
from promptkit.files.sealed_zip import SealedKind, seal
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.frozen_file import SUFFIX as FROZEN
from promptkit.inference.frozen_file import freeze, task_files
from promptkit.inference.prediction import Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.profile import profile_of
from promptkit.lookup.lookup import Lookup
from promptkit.tasks.measures import Scoring
from promptkit.tasks.task import Task
from promptkit.translation import mark, tr

SUFFIX = ".cascade"
"""Suffix of the files."""

KIND = SealedKind(
    mark("cascade"), "cascade.json", 1, mark("make the cascade again, or restore the file")
)
"""The kind of file."""

ARCHITECTURE = "cascade"
"""Architecture that identities of cascades name."""


def save_cascade(
    made: Sequence[CascadeStep],
    task: Task[Any, Any],
    evidence: CascadeEvidence | None,
    path: str | Path,
) -> Path:
    """Write the steps of a cascade, its task and its evidence to a file.

    Raises `TaskError` for another suffix, and for a step that cannot be saved.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise TaskError(
            tr(
                "{path}: the file of a cascade is named like reviews{SUFFIX}",
                path=path,
                SUFFIX=SUFFIX,
            )
        )
    files = task_files(_bare(task))
    steps = []
    with TemporaryDirectory(prefix="promptkit-") as place:
        for number, step in enumerate(made):
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
        "task": {"name": task.name, "fingerprint": task.fingerprint},
        "steps": steps,
        "evidence": None if evidence is None else evidence.to_dict(),
    }
    seal(path, KIND, data, files)
    return path


def _save_step(predictor: AnyPredictor, folder: Path) -> Path:
    """Write a step into a folder, and return its file or folder there."""
    name = re.sub(r"[^\w.-]+", "-", predictor.identity.name).strip(".-")[:60] or "step"
    if isinstance(predictor, LazyPredictor):
        predictor = predictor.loaded
    if isinstance(predictor, Predictor):
        evidence = getattr(predictor, "evidence", None)
        return freeze(predictor, folder / f"{name.removesuffix(FROZEN)}{FROZEN}", evidence)
    if isinstance(predictor, Lookup):
        if predictor.fallback is not None or predictor.default is not ...:
            raise TaskError(
                tr(
                    "{file}: a default or a fallback of a lookup table is no part of its file; "
                    "leave it out, and what the table does not have goes up",
                    file=predictor.file,
                )
            )
        return Path(shutil.copy(predictor.file, folder / predictor.file.name))
    save = getattr(predictor, "save", None)
    if save is None:
        raise TaskError(
            tr(
                "{name}: a {kind} cannot be saved, and so no cascade with it",
                name=predictor.identity.name,
                kind=type(predictor).__name__,
            )
        )
    if predictor.identity.architecture == ARCHITECTURE:
        name = f"{name.removesuffix(SUFFIX)}{SUFFIX}"
    save(folder / name)
    return folder / name


def _described(step: CascadeStep, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "threshold": step.threshold,
        "key": step.key or predictor_key(step.predictor),
        "identity": asdict(step.predictor.identity),
        "profile": profile_of(step.predictor).to_dict(),
    }


def _bare(task: Task[Any, Any]) -> Task[Any, Any]:
    """Return what queries need of a task: its types, without rows."""
    plain = task.scoring.scorer is None
    return type(task)(
        name=task.name,
        instruction=task.instruction,
        scoring=task.scoring if plain else Scoring(),
    )
