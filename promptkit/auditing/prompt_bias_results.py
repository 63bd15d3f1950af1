"""Figures of the lean of a prompt by itself, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from promptkit.evaluation.sentences import ALPHA

Ends = tuple[float, float]
"""Both ends of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class ShotCountLean:
    """Probabilities of the labels after inputs that say nothing, at one number of shots."""

    shots: int
    draws: int
    """Number of draws of shots, the clusters of the intervals."""
    probs: Mapping[str, float]
    """Mean over draws of the probability of each label."""
    probs_ci: Mapping[str, Ends]
    """Over new draws of shots; empty where there is one draw."""
    lean: float
    """Mean over draws of the distance from equal probabilities: the mass that would have to move.
    Draws that lean to different labels do not make up for each other."""


@dataclass(frozen=True, slots=True)
class LastShotLean:
    """Change of a label's probability where the last shot has it, over the same shots."""

    label: str
    draws: int
    """Number of draws in which one of the shots has the label, and another one has not."""
    last: float
    """Mean probability of the label where the last shot has it."""
    other: float
    """The same where the last shot has another label."""
    delta: float
    ci: Ends | None
    """None for a single draw."""
    p: float | None
    p_holm: float | None
    """Corrected for the number of labels; of two, both are the same comparison."""

    @property
    def significant(self) -> bool:
        """Return whether the corrected p-value is at most 0.05."""
        return self.p_holm is not None and self.p_holm <= ALPHA


@dataclass(frozen=True, slots=True)
class OrderLean:
    """Range of a label's probability over orders of the same shots."""

    label: str
    draws: int
    orders: int
    mean: float
    """Mean over draws of the largest less the smallest probability."""
    ci: Ends | None
    """None for a single draw."""
    worst: float
    """Largest range of a draw."""


@dataclass(frozen=True, slots=True)
class CalibrationLean:
    """Lean that is left under one method of calibration."""

    method: str
    """`none` for the model's own probabilities."""
    content_free: float | None
    """Lean of the prompt's own draw after content-free inputs; None where the method learnt from
    them, so that nothing is left by construction."""
    random_words: float | None
    """Lean after inputs of random words of the pool; None where the method learnt from them, or
    the pool has none."""
    answers: float | None
    """Distance of the frequencies of the answers to the tests from those of their gold labels;
    None without labelled tests."""


@dataclass(frozen=True, slots=True)
class GroupShift:
    """Change of a label's probability in one group where all shots have the label."""

    label: str
    group: str
    queries: int
    balanced: float
    """Mean probability of the label with balanced shots."""
    loaded: float
    """The same where all shots have the label."""
    delta: float
    """Their paired difference over the same queries and draws."""
    ci: Ends | None
    """For new queries, and new draws where there are several; None for a single query."""
    p: float | None
    p_holm: float | None
    """Corrected for the number of labels and groups."""
    answers: float
    """Difference of the share of answers that are the label."""
    from_rest: float | None
    """The change of this group less that of all other queries; None where there are no others."""
    from_rest_ci: Ends | None
    from_rest_p: float | None
    from_rest_p_holm: float | None
    """Corrected for the number of labels and groups."""

    @property
    def significant(self) -> bool:
        """Return whether the group moves, by the corrected p-value."""
        return self.p_holm is not None and self.p_holm <= ALPHA

    @property
    def apart(self) -> bool:
        """Return whether the group moves more or less than the others, by the corrected p-value."""
        return self.from_rest_p_holm is not None and self.from_rest_p_holm <= ALPHA


@dataclass(frozen=True, slots=True)
class PromptBias:
    """Leans of a prompt by itself: by its shots, their order and their labels."""

    task: str
    model: str
    labels: tuple[str, ...]
    shots: int
    """Number of shots of all but the leans by shot count."""
    probes: int
    """Number of content-free inputs."""
    by_shots: tuple[ShotCountLean, ...]
    by_last: tuple[LastShotLean, ...]
    by_order: tuple[OrderLean, ...]
    calibrations: tuple[CalibrationLean, ...]
    column: str | None
    """Column that names the groups of `groups`."""
    groups: tuple[GroupShift, ...]
    notes: tuple[str, ...]
