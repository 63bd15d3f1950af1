"""Size of a predictor, and the cost of making it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from promptkit.models.gguf.file_size import AdapterSize, ModelSize


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Size of a predictor, and what it took to make it.

    Example:
        >>> Profile(parameters=4_612, trained=4_612, labels=200).trained
        4612
    """

    parameters: int | None = None
    """Number of parameters; None where it is not known, as of a server."""
    trained: int = 0
    """Number of parameters that were trained for the task."""
    bytes: int | None = None
    """Bytes on disk, those of a base model included; None where they are not known."""
    seconds: float = 0.0
    """Seconds that it took to make, those of a teacher included."""
    tokens: int = 0
    """Tokens that a model read to make it, such as a teacher."""
    is_timed: bool = True
    """False where `seconds` and `tokens` are not known, as of a file from elsewhere."""
    labels: int = 0
    """Number of gold labels that it was made from: shots, or rows that it was trained on."""


def profile_of(predictor: Any) -> Profile:
    """Return the profile of a predictor; one in which nothing is known where it has none.

    Args:
        predictor: Anything that predicts (`promptkit.inference.any_predictor.AnyPredictor`).
    """
    found = getattr(predictor, "profile", None)
    return found if isinstance(found, Profile) else Profile()


def prompt_profile(model: Any, labels: int) -> Profile:
    """Return the profile of prompts to a model, which leave its parameters as they are.

    Args:
        model: The model; adapters on it were trained, and say what they took where they have a
            card.
        labels: Number of labelled examples that the prompts are made from.
    """
    size = getattr(model, "size", None)
    if not isinstance(size, ModelSize):
        return Profile(labels=labels)
    adapters = size.adapters
    return Profile(
        parameters=size.parameters,
        trained=sum(round(one.number("trained")) or one.parameters for one in adapters),
        bytes=size.bytes + sum(one.bytes for one in adapters),
        seconds=sum(one.number("seconds") + one.number("teacher_seconds") for one in adapters),
        tokens=round(sum(one.number("teacher_tokens") for one in adapters)),
        labels=labels + sum(map(_labels, adapters)),
    )


def _labels(adapter: AdapterSize) -> int:
    """Return the number of gold labels of an adapter: its own, or the shots of its teacher."""
    shots = adapter.number("teacher_shots") * adapter.number("teacher_draws")
    return round(adapter.number("labels") or shots)
