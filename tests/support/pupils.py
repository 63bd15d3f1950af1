"""Small students for tests, trained on what the labels of a task are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

import promptkit as pk
from promptkit.students.linear_head import fit_head
from promptkit.students.student import Student
from promptkit.students.tfidf_features import TfIdfFeatures


class Text(BaseModel):
    text: str


Mood = Literal["bad", "good", "mixed"]
WORDS = {"bad": ("dull", "slow", "awful"), "good": ("fine", "warm", "fun")}


def sentences(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return sentences and their moods: the words of one, or of both."""
    draw = np.random.default_rng(seed)
    texts, moods = [], []
    for number in range(count):
        mood = ("bad", "good", "mixed")[number % 3]
        kinds = ("bad", "good") if mood == "mixed" else (mood,)
        words = [str(draw.choice(WORDS[kind])) for kind in kinds]
        filling = [f"thing{draw.integers(9)}" for _ in range(3)]
        texts.append(" ".join(draw.permutation([*words, *filling]).tolist()))
        moods.append(mood)
    return texts, moods


def moods(count: int = 60, tests: int = 30) -> pk.Task[Text, Any]:
    """Return a task of moods."""
    pool, asked = sentences(count), sentences(tests, seed=1)
    known = {*pool[0]}

    def rows(pairs: Any) -> list[Any]:
        return [pk.Example(input=Text(text=text), output=mood) for text, mood in pairs.items()]

    return pk.Task[Text, Mood](
        name="moods",
        demos=rows(dict(zip(*pool, strict=True))),
        tests=rows({t: m for t, m in zip(*asked, strict=True) if t not in known}),
    )


def grades() -> pk.Task[Text, Any]:
    """Return a task of numbers from 0 to 5."""
    return pk.Task[Text, Annotated[float, Field(ge=0, le=5)]](name="grades")


def scale() -> pk.Task[Text, Any]:
    """Return a task of labels that are numbers."""
    value: Any = {"bad": 1, "mixed": 2, "good": 4}
    tests = {text: value[mood] for text, mood in zip(*sentences(30, seed=5), strict=True)}
    return pk.Task[Text, Literal[1, 2, 4]](
        name="scale",
        tests=[pk.Example(input=Text(text=text), output=gold) for text, gold in tests.items()],
    )


def pupil(task: pk.Task[Any, Any] | None = None, name: str = "pupil") -> Student:
    """Return a student of moods, or of numbers: how many letters there are."""
    task = moods() if task is None else task
    texts, said = sentences(60)
    features = TfIdfFeatures.of(texts, 1)
    if task.labels:
        targets = np.eye(len(task.labels))[[task.labels.index(mood) for mood in said]]
    else:
        targets = np.array([[len(text) / 10] for text in texts])
    head = fit_head(features.matrix(texts), targets, np.ones(len(texts)), strengths=(10.0,))
    return Student(task, features, head.weights, head.bias, name)
