"""Results of a search for demonstrations: what was tried, what was found, and its cost."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptkit.errors import escaped
from promptkit.evaluation import metric_text
from promptkit.evaluation.intervals import Interval, wilson
from promptkit.evaluation.mean_intervals import mean_interval
from promptkit.evaluation.metric import UNANSWERED, measured
from promptkit.experiments.comparison import encoded
from promptkit.files import saving
from promptkit.optimising.budget import SearchPlan
from promptkit.text import percent
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class Trial:
    """Result of some shots on the held-out queries."""

    shots: tuple[str, ...]
    """Ids of the shots, in order."""
    correct: tuple[bool, ...]
    """Correctness of the answer to each held-out query."""
    losses: tuple[float, ...] | None
    """Per held-out query, the negative log-probability of the gold label; None where answers are
    generated."""
    metric: str | None = None
    """Name of the metric that the search improves; None for the log loss, which is finer than the
    accuracy, and the accuracy where answers are generated."""
    value: float | None = None
    """Its value; None where no answer has one."""
    ci: tuple[float, float] | None = None
    """95 % interval of `value`, which ignores the selection of the best."""
    unanswered: float = 0.0
    """Share of the answers that it is not about, such as no numbers."""

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return sum(self.correct) / len(self.correct)

    @property
    def log_loss(self) -> float | None:
        """Mean loss, in nats; None where answers are generated."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, larger for better shots: by the metric, or else by log loss or accuracy."""
        if self.metric is not None:
            sign = measured(self.metric).sign
            if self.value is None or self.unanswered > UNANSWERED:
                return -math.inf, -self.unanswered
            return sign * self.value, self.accuracy
        if self.log_loss is None:
            return self.accuracy, 0.0
        return -self.log_loss, self.accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return the trial as JSON, with 95 % intervals that ignore the selection of the best."""
        data = {
            "shots": list(self.shots),
            "accuracy": self.accuracy,
            "accuracy_ci": _ends(wilson(self.correct)),
        }
        if self.losses is not None:
            data |= {"log_loss": encoded(self.log_loss), "log_loss_ci": _ends(self._around())}
        if self.metric is not None:
            data |= {self.metric: encoded(self.value), f"{self.metric}_ci": encoded(self.ci)}
        return data

    def _around(self) -> Interval:
        """Return the interval of the log loss."""
        if self.losses is None or not np.isfinite(self.losses).all():
            return Interval(0.0, math.inf)
        found = mean_interval(self.losses)
        return Interval(max(found.low, 0.0), found.high)

    def __str__(self) -> str:
        right = wilson(self.correct)
        value, around = (
            f"{100 * self.accuracy:.0f} %",
            f"{100 * right.low:.0f}, {100 * right.high:.0f}",
        )
        text = tr("{value} right [{around}]", value=value, around=around)
        if self.log_loss is not None:
            losses = self._around()
            text += tr(
                ", log loss {log_loss:.2f} [{low:.2f}, {high:.2f}]",
                log_loss=self.log_loss,
                low=losses.low,
                high=losses.high,
            )
        if self.metric in (None, "accuracy", "log_loss") or self.value is None:
            return text
        if self.unanswered:
            text += tr(
                ", {unanswered} without a {noun}",
                unanswered=percent(self.unanswered),
                noun=measured(self.metric).noun,
            )
        return f"{metric_text.said(measured(self.metric), self.value, self.ci)}, {text}"


def _ends(interval: Interval) -> list[float | None]:
    return [encoded(interval.low), encoded(interval.high)]


@dataclass(frozen=True)
class Optimised:
    """Shots that a search found, with their scores and all trials.

    `save` writes a file that `compare` takes as a selection.
    """

    task: str
    model: str
    template: str
    plan: SearchPlan
    found: Trial
    """Its scores are the best of many on the same queries, and so too good."""
    usual: Trial
    """As many shots that nobody chose, on the same queries."""
    trials: tuple[Trial, ...]
    """Everything that was tried, in order."""
    prompts: int
    """Prompts that were looked up or asked."""
    cached: int
    """How many of them the store had."""
    tokens: int
    """Tokens of all these prompts, one by one."""
    decoded_tokens: int
    """Tokens that the model read."""

    @property
    def shots(self) -> tuple[str, ...]:
        """The ids of the shots found, in the order in which they are shown.

        Fewer shots are the first of them.
        """
        return self.found.shots

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON; `shots` is what a selection is made of."""
        return {
            **self.found.to_dict(),
            "task": self.task,
            "model": self.model,
            "template": self.template,
            "usual": self.usual.to_dict(),
            "metric": self.found.metric,
            "plan": asdict(self.plan),
            "prompts": self.prompts,
            "cached": self.cached,
            "tokens": self.tokens,
            "decoded_tokens": self.decoded_tokens,
            "trials": [
                {"shots": list(t.shots), "accuracy": t.accuracy, "log_loss": encoded(t.log_loss)}
                | ({} if t.metric is None else {t.metric: encoded(t.value)})
                for t in self.trials
            ],
        }

    def save(self, file: str | Path) -> Path:
        """Write `to_dict()` as JSON. Raise OSError where it cannot be written."""
        file = Path(file)
        saving.write(file, json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n")
        return file

    def __str__(self) -> str:
        plan = self.plan
        level = "" if self.found.rank > self.usual.rank else tr(", which is no worse")
        lines = [
            tr(
                "{task} · {model} · {template} · {method}, {shots} shots",
                task=self.task,
                model=self.model,
                template=self.template,
                method=plan.method,
                shots=plan.shots,
            ),
            tr("found: {shots}", shots=", ".join(self.shots)),
            tr(
                "  {found}, of {count} held-out queries", found=self.found, count=len(plan.held_out)
            ),
            tr("  {usual} with shots drawn as usual{level}", usual=self.usual, level=level),
            tr(
                "{prompts:,} prompts, {cached:,} of them from the store; "
                "{decoded_tokens:,} tokens read, {tokens:,} one by one.",
                prompts=self.prompts,
                cached=self.cached,
                decoded_tokens=self.decoded_tokens,
                tokens=self.tokens,
            ),
            tr(
                "The best of {count:,} tries on the same queries looks better than it is: "
                "compare it on the tests.",
                count=len(self.trials),
            ),
        ]
        return "\n".join(map(escaped, lines))

    __repr__ = __str__
