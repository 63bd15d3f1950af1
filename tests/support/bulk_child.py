"""A bulk prediction in a process of its own, by a fast predictor without a model."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from promptkit import Example, FakeModel, Prediction, PromptkitError, Store, Task, predict
from promptkit.inference.any_predictor import prediction_of
from promptkit.models.base import Usage


class Name(BaseModel):
    name: str


TASK = Task[Name, Literal["a", "b", "c"]](name="names")
CHUNK = 100


class ByDigest:
    """A predictor whose answers are digests of the queries; it counts what it is asked."""

    task = TASK

    def __init__(self, pause: float = 0.0) -> None:
        self.identity = FakeModel(name="by digest").identity
        self.usage = Usage()
        self.asked: list[str] = []
        self._pause = pause

    def predict(self, queries: Iterable[Example[Any, Any]]) -> list[Prediction]:
        time.sleep(self._pause)
        return [*map(self._one, queries)]

    def _one(self, query: Example[Any, Any]) -> Prediction:
        name = query.input.name
        self.asked.append(name)
        shares = hashlib.sha256(name.encode()).digest()[:3]
        total = sum(shares) + 3
        probs = {
            label: (1 + share) / total for label, share in zip(TASK.labels, shares, strict=True)
        }
        made = prediction_of(TASK, query, max(probs, key=probs.__getitem__), model="by digest")
        return replace(made, probs=probs, coverage=1.0)


def write_rows(file: Path, count: int) -> None:
    """Write a CSV file: every third name occurs before, and every 50th row does not fit."""
    with file.open("w", encoding="utf-8", newline="") as out:
        out.write("id,name\n")
        for number in range(count):
            name = f"name {number % (2 * count // 3)}"
            out.write(f"{number},{name}{',more' if number % 50 == 49 else ''}\n")


if __name__ == "__main__":
    inputs, out, pause = sys.argv[1:]
    print("begun", flush=True)
    try:
        predict(ByDigest(float(pause)), inputs, out=out, chunk_rows=CHUNK, store=Store())
    except (PromptkitError, OSError) as error:
        sys.exit(f"error: {error}")
