"""Comparisons of the parity task by a fake model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from samples import COLON, asked_word, parity, parity_task

from promptkit import Comparison, FakeModel, Prediction, Prompt, Store, compare
from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.profile import Profile
from promptkit.models.base import ModelIdentity, Score, Usage
from promptkit.models.gguf.file_size import ModelSize


def learner(prompt: Prompt) -> str:
    """Right about short words, and with every shot about longer ones."""
    word = asked_word(prompt)
    right = parity(word)
    wrong = "odd" if right == "even" else "even"
    return right if len(word) <= 1 + len(prompt.shots) else wrong


def compared(**changed: Any) -> Comparison:
    arguments: dict[str, Any] = {
        "task": parity_task(),
        "models": [FakeModel(learner)],
        "templates": [COLON],
        "shots": (0, 1, 4),
        "seeds": 2,
        "store": Store(),
    }
    arguments |= changed
    return compare(arguments.pop("task"), **arguments)


class Timed(FakeModel):
    """A model of a known size, which takes a tenth of a second for a prompt."""

    size = ModelSize(1000, 4000)

    def score(self, prompts: Any) -> Any:
        for index, score in super().score(prompts):
            yield index, Score(score.logprobs, score.tokens, 0.1)


class Student:
    """Answers at once, and says what it took to make."""

    profile = Profile(parameters=12, trained=12, bytes=48, seconds=30.0, tokens=700, labels=8)

    def __init__(self, task: Any, seconds: float = 0.0, **card: Any) -> None:
        self.task, self.seconds, self.card = task, seconds, card
        self.usage = Usage()
        self.identity = ModelIdentity("student", "cd" * 32, "student", "", "none", 0)

    def predict(self, queries: Iterable[Any]) -> list[Prediction]:
        made = [prediction_of(self.task, query, "odd", model="student") for query in queries]
        return [replace(one, seconds=self.seconds) for one in made]
