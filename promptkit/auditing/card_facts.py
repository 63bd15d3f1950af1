"""Facts of a card, as values: each is what something says of itself, or is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from promptkit.auditing.audit_parts import AuditParts
from promptkit.tasks.task_card import TaskCard
from promptkit.translation import mark

Subject = Literal["task", "run", "frozen prompt", "student", "adapter"]
"""Kind of what a card is about."""

OF_OPTIONS = mark("one of the options of each input")
OF_LABELS = mark("one of {n} labels"), mark("some of {n} labels")
"""Kinds of output, in words: of one label, and of several."""


@dataclass(frozen=True, slots=True)
class RowFacts:
    """Rows of one part of a task's data."""

    part: str
    """`demos`, `tests`, or `pool` for rows that a student or an adapter learnt from."""
    rows: int
    labels: Mapping[str, int] = field(default_factory=dict)
    """Number of rows of each label; empty where outputs are no labels, or rows have none."""
    file: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task as its own type describes it."""

    name: str
    instruction: str
    output: str
    """Kind of output, in words."""
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    """Names of the input's fields."""
    fingerprint: str
    verbalizers: Mapping[str, Mapping[str, str]]
    near_duplicates: str
    rows: tuple[RowFacts, ...]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as its identity and its file describe it; empty where neither says it."""

    name: str
    sha256: str = ""
    architecture: str = ""
    weights: str = ""
    """Type of the weights as they run."""
    runtime: str = ""
    context: int | None = None
    adapter: str | None = None
    file_weights: str = ""
    """Type of most weights in the file."""
    parameters: int | None = None
    bytes: int | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)
    """Fields `general.*` of the GGUF header, without the prefix."""


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """One prompt in full, and how prompts like it are made."""

    text: str
    """The prompt, up to the answer."""
    query: str
    """Id of the query."""
    asked: bool
    """True for a prompt that a model was asked, to the character."""
    settings: Mapping[str, Any]
    """Levels of the factors."""
    shots: tuple[str, ...] = ()
    """Ids of the shots, in order."""
    template: str = ""
    """Source of the template."""


@dataclass(frozen=True, slots=True)
class FigureFacts:
    """A metric with its 95 % interval."""

    metric: str
    value: float
    ci: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """Figures of one predictor on the tests."""

    name: str
    n: int
    """Number of queries."""
    figures: tuple[FigureFacts, ...]
    of_subject: bool = False
    """True for what the card is about, False for what it is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything that a card says."""

    kind: Subject
    name: str
    stated: TaskCard
    """`[card]` of the task."""
    task: TaskFacts | None = None
    """None where the task is not at hand."""
    models: tuple[ModelFacts, ...] = ()
    prompt: PromptFacts | None = None
    calibration: str = ""
    """Calibration, in words."""
    results: tuple[ResultFacts, ...] = ()
    metric: str = ""
    """Name of the metric that was looked at."""
    baseline: tuple[str, float] | None = None
    """Name and metric of answers without a model."""
    tests: Mapping[str, int] = field(default_factory=dict)
    """Numbers of cells and of paired differences, and of significant ones, where there are some."""
    verdicts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """Limits that the comparison itself has found."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings and costs of its training; empty for prompts."""
    audit: AuditParts | None = None
    """The audit; None where there is none."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Versions, seeds and commands."""
