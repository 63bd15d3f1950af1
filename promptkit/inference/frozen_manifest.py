"""The manifest of a frozen predictor, checked before anything is made of it.

Its checksum says that it is as it was written, and not that who wrote it meant well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from promptkit.inference.prediction import Fit
from promptkit.tasks.pydantic_messages import said_of

MOST_FOLDERS = 1000
"""Number of folders in which a template looks for others."""

Count = Annotated[int, Field(ge=0, le=2**31)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class FrozenTask(_Strict):
    """Name and fingerprint of the task."""

    name: str
    fingerprint: str


class FrozenTemplate(_Strict):
    """Name of the template, and the places in which it looks for others."""

    name: str
    place: str | None
    folders: int = Field(ge=0, le=MOST_FOLDERS)


class FrozenIdentity(_Strict):
    """Identity of the model, as far as it is read by its names."""

    name: str
    sha256: str
    context: int = Field(ge=1, le=2**31)


class FrozenOrigin(_Strict):
    """How the model was loaded."""

    name: str
    weights: str
    exact: bool
    adapters: list[Annotated[tuple[str, float], Strict(False)]]
    gpu_layers: int | str = 0


class FrozenModel(_Strict):
    """The model."""

    identity: FrozenIdentity
    origin: FrozenOrigin | None


class FrozenManifest(_Strict):
    """Everything in the manifest that has a type of its own nowhere else."""

    task: FrozenTask
    template: FrozenTemplate
    shots: Count
    seed: Count
    fit: Fit
    selection: dict[str, Any]
    order: dict[str, Any] | None
    verbalizer: dict[str, Any] | None
    sampling: dict[str, Any]
    calibration: dict[str, Any] | None
    threshold: float | None
    rationale_tokens: Count
    rationales: Count = 1
    think: Count = 0
    scores: str = "all"
    model: FrozenModel
    state: list[Count] | None = None
    evidence: dict[str, Any] | None


_adapter = cache(TypeAdapter)


def manifest_problem(data: Mapping[str, Any]) -> str | None:
    """Return the first thing in a manifest that is not as `freeze` writes it, or None."""
    try:
        _adapter(FrozenManifest).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {said_of(first)}"
    return None
