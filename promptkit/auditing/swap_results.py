"""Figures of swapped terms, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from promptkit.evaluation.sentences import ALPHA

Ends = tuple[float, float]
"""Both ends of a 95 % interval."""

SwapMeasure = Literal["probability", "value", "share"]
"""Quantity that changes: the probability of a label, the number that is answered, or, for
answers without probabilities, the share of answers that are a label."""


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Change of one label's probability, or of the number, between two fillings."""

    label: str | None
    """None for numbers."""
    mean: float
    """Mean absolute change over pairs of fillings, then over sentences."""
    mean_ci: Ends | None
    """None for a single sentence."""
    worst: float
    """Largest absolute change."""


@dataclass(frozen=True, slots=True)
class TermEffect:
    """Difference that a term, or a group of terms, makes to one label or to the number."""

    label: str | None
    """None for numbers."""
    delta: float
    """Mean over sentences of the measure with the term less that with the others."""
    ci: Ends | None
    """None for a single sentence."""
    p: float | None
    p_holm: float | None
    """Corrected for all effects of terms, or of groups, of all slots."""
    answers: float | None
    """The same of the share of answers that are the label; None for numbers."""

    @property
    def significant(self) -> bool:
        """Return whether the corrected p-value is at most 0.05."""
        return self.p_holm is not None and self.p_holm <= ALPHA


@dataclass(frozen=True, slots=True)
class TermSwaps:
    """Figures of one term against the other terms of its slot, or of a group against the others."""

    name: str
    group: str | None
    """Group of the term; None for a group itself, and for a term in none."""
    sentences: int
    """Sentences in which another term makes another text."""
    flips: float
    """Share of labels that flip: over pairs with the term, then over sentences."""
    flips_ci: Ends | None
    change: float | None
    """Mean over pairs of the largest change of a label's probability, or of the change of the
    number, then over sentences; None for answers without either."""
    change_ci: Ends | None
    worst: float | None
    """Largest such change."""
    effects: tuple[TermEffect, ...]


@dataclass(frozen=True, slots=True)
class SlotSwaps:
    """Figures of one slot."""

    slot: str
    sentences: int
    """Template sentences with the slot, the clusters of all intervals."""
    flips: float
    """Share of labels that flip: of pairs of fillings of a sentence whose texts differ, the share
    whose answers differ; then the mean over sentences."""
    flips_ci: Ends | None
    """None for a single sentence."""
    change: float | None
    """As in `TermSwaps`, over all pairs."""
    change_ci: Ends | None
    worst: float | None
    labels: tuple[LabelChange, ...]
    terms: tuple[TermSwaps, ...]
    groups: tuple[TermSwaps, ...]
    detectable: float | None
    """Smallest true effect of a term that these sentences find with a power of 0.8, after the
    correction; None where nothing changes, or where not even the largest one is found."""


@dataclass(frozen=True, slots=True)
class SwapFilling:
    """A filled sentence and its answer."""

    term: str
    input: Mapping[str, Any]
    label: Any
    """Answer; None after a failure."""
    measured: float | None
    """Probability of the item's label, or the number."""


@dataclass(frozen=True, slots=True)
class SwapItem:
    """Two fillings of a sentence whose answers are far apart."""

    slot: str
    id: str
    """Id of the example that the sentence comes from."""
    sentence: Mapping[str, Any]
    """Input with the slots in braces."""
    first: SwapFilling
    second: SwapFilling
    flipped: bool
    label: str | None
    """Label whose probability changes most; None for numbers, and without probabilities."""
    change: float | None
    """The second filling's less the first one's."""


@dataclass(frozen=True, slots=True)
class SwapAudit:
    """Answers to the same sentences with other terms in their slots.

    A swap is a diagnostic, not proof: it shows what other terms change in these sentences, and not
    what is fair.
    """

    task: str
    model: str
    """Name of the predictor."""
    measure: SwapMeasure
    label: str | None
    """Label that tables show, where there are two; None for all labels and for numbers."""
    slots: tuple[SlotSwaps, ...]
    items: tuple[SwapItem, ...]
    """The worst items to read, flips first, one per sentence and slot."""
    inputs: int
    """Number of different inputs that were asked."""
    comparisons: int
    """Number of effects of terms that their p-values are corrected for."""
    notes: tuple[str, ...]
    """Sentences on rows that were left out or drawn."""
