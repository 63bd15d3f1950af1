"""Size of a predictor, and the cost of making it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from promptkit.models.gguf.file_size import AdapterSize, ModelSize


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPart:
    """A model or an adapter in a profile, which other predictors may have too."""

    sha256: str
    """Digest of its file, which tells parts apart."""
    parameters: int = 0
    trained: int = 0
    bytes: int = 0
    seconds: float = 0.0
    tokens: int = 0
    labels: int = 0


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
    shared: tuple[SharedPart, ...] = field(default=(), compare=False, repr=False)
    """Its model and adapters, whose figures are among those above."""

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON holds it."""
        data = asdict(self)
        if not self.shared:
            del data["shared"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """Return the profile of `to_dict`. Raises `TypeError` for other fields."""
        shared = tuple([SharedPart(**one) for one in data.get("shared", ())])
        return cls(**{**data, "shared": shared})


def profile_of(predictor: Any) -> Profile:
    """Return the profile of a predictor; one in which nothing is known where it has none.

    Args:
        predictor: Anything that predicts (`promptkit.inference.any_predictor.AnyPredictor`).
    """
    found = getattr(predictor, "profile", None)
    return found if isinstance(found, Profile) else Profile()


def together(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of several predictors, with the parts that they share counted once.

    Args:
        profiles: Their profiles.

    Example:
        >>> model = SharedPart(sha256="f00d", parameters=100, bytes=400)
        >>> steps = [Profile(parameters=100, bytes=400, shared=(model,)) for _ in range(2)]
        >>> together([*steps, Profile(parameters=7, bytes=28)]).parameters
        107
    """
    every = [*profiles]
    once, again = dict[str, SharedPart](), list[SharedPart]()
    for part in (part for one in every for part in one.shared):
        if part.sha256 in once:
            again.append(part)
        once.setdefault(part.sha256, part)
    return Profile(
        parameters=_sum([one.parameters for one in every], [one.parameters for one in again]),
        trained=sum(one.trained for one in every) - sum(one.trained for one in again),
        bytes=_sum([one.bytes for one in every], [one.bytes for one in again]),
        seconds=sum(one.seconds for one in every) - sum(one.seconds for one in again),
        tokens=sum(one.tokens for one in every) - sum(one.tokens for one in again),
        labels=sum(one.labels for one in every) - sum(one.labels for one in again),
        shared=tuple(once.values()),
    )


def _sum(values: Sequence[int | None], again: Sequence[int]) -> int | None:
    """Return a sum less what is counted again; None where a value is not known."""
    known = [value for value in values if value is not None]
    return sum(known) - sum(again) if len(known) == len(values) else None


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
    identity = model.identity
    base = SharedPart(sha256=identity.sha256, parameters=size.parameters, bytes=size.bytes)
    keys = (identity.adapter or "").split(", ")
    keys = keys if len(keys) == len(size.adapters) else [""] * len(size.adapters)
    adapters = [_part(one, key) for one, key in zip(size.adapters, keys, strict=True)]
    return Profile(
        parameters=size.parameters,
        trained=sum(one.trained for one in adapters),
        bytes=size.bytes + sum(one.bytes for one in adapters),
        seconds=sum(one.seconds for one in adapters),
        tokens=sum(one.tokens for one in adapters),
        labels=labels + sum(one.labels for one in adapters),
        shared=(base, *(one for one in adapters if one.sha256)),
    )


def _part(adapter: AdapterSize, sha256: str) -> SharedPart:
    return SharedPart(
        sha256=sha256,
        trained=round(adapter.number("trained")) or adapter.parameters,
        bytes=adapter.bytes,
        seconds=adapter.number("seconds") + adapter.number("teacher_seconds"),
        tokens=round(adapter.number("teacher_tokens")),
        labels=_labels(adapter),
    )


def _labels(adapter: AdapterSize) -> int:
    """Return the number of gold labels of an adapter: its own, or the shots of its teacher."""
    shots = adapter.number("teacher_shots") * adapter.number("teacher_draws")
    return round(adapter.number("labels") or shots)
