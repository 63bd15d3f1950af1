"""A task whose tests are of groups, and a predictor that is worse to some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

import promptkit as pk
from promptkit.models.base import ModelIdentity, Usage
from promptkit.students.soft_predictions import label_predictions


class Comment(BaseModel):
    text: str


def comments(
    sizes: dict[str, int], *, labels: Sequence[str] = ("fine", "rude"), seed: int = 0
) -> pk.Task[Any, Any]:
    """Return a task of as many comments of each group, with labels drawn at random."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "input": {"text": f"{group} {number}"},
            "output": str(draw.choice(labels)),
            "metadata": {"group": group, "age": "old" if number % 3 else "young"},
        }
        for group, size in sizes.items()
        for number in range(size)
    ]
    kind: Any = Literal[tuple(labels)]  # type: ignore[valid-type]
    demos = [{"input": {"text": f"shown {i}"}, "output": labels[i % len(labels)]} for i in range(8)]
    return pk.Task[Comment, kind](name="comments", tests=rows, demos=demos)


@dataclass
class Noisy:
    """A predictor that is right as often as a number of each group says."""

    task: pk.Task[Any, Any]
    right: dict[str, float]
    name: str = "noisy"
    seed: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(self.name, "0" * 64, "noisy", "F32", "test", 0)

    def predict(self, queries: Iterable[pk.Example[Any, Any]], /) -> list[pk.Prediction]:
        queries = [*queries]
        draw = np.random.default_rng(self.seed)
        labels = self.task.labels
        odds = draw.normal(0, 1, (len(queries), len(labels)))
        for row, query in zip(odds, queries, strict=True):
            gold = labels.index(str(query.output))
            right = draw.random() < self.right.get(str(query.metadata.get("group")), 0.8)
            chosen = gold if right else (gold + 1) % len(labels)
            row[chosen] = row.max() + abs(draw.normal()) + 0.1
        logprobs = odds - np.log(np.exp(odds).sum(axis=1, keepdims=True))
        return label_predictions(self.task, queries, logprobs, model=self.name)
