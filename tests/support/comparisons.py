"""Comparisons of the parity task by a fake model."""

from __future__ import annotations

from typing import Any

from samples import COLON, asked_word, parity, parity_task

from promptkit import Comparison, FakeModel, Prompt, Store, compare


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
