"""Small tasks and models for the tests of what is built on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from promptkit.models.base import Generation, Sampling, Score
from promptkit.models.fake import FakeModel
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

COLON = Template("{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n", "colon")
ARROW = Template("{% example %}\n{{ input.word }} -> {{ output }}\n{% endexample %}\n", "arrow")


class Word(BaseModel):
    word: str


Parity = Literal["even", "odd"]


def parity(word: str) -> str:
    return "odd" if len(word) % 2 else "even"


def parity_task(pool: int = 8, asked: int = 6, **changed: Any) -> Task[Word, Parity]:
    """Is the number of letters even or odd?"""

    def example(word: str) -> Example[Any, Any]:
        return Example(input=Word(word=word), output=parity(word))

    fields = {
        "name": "parity",
        "instruction": "Even or odd?",
        "demos": [example("d" * n) for n in range(1, pool + 1)],
        "tests": [example("t" * n) for n in range(1, asked + 1)],
    }
    return Task[Word, Parity](**{**fields, **changed})


def open_task(output: Any, *golds: Any) -> Task[Word, Any]:
    """A task whose answers have this type; its tests are `w0`, `w1`, …"""
    tests = [Example(input=Word(word=f"w{i}"), output=gold) for i, gold in enumerate(golds)]
    return Task[Word, output](name="open", tests=tests)


def asked_word(prompt: Prompt) -> str:
    """The word that a prompt of `COLON` or `ARROW` asks about."""
    return prompt.text.splitlines()[-1].split(" ")[0].rstrip(":")


class CountingModel(FakeModel):
    """Remembers the prompts that it was asked, and does as told before each answer."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.asked: list[TokenizedPrompt] = []

    def before(self, prompt: TokenizedPrompt) -> None:
        """Called with every prompt that is asked."""

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, prompt in enumerate(prompts):
            self.before(prompt)
            self.asked.append(prompt)
            for _, score in super().score([prompt]):
                yield index, score

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        for index, prompt in enumerate(prompts):
            self.before(prompt)
            self.asked.append(prompt)
            for _, generation in super().generate([prompt], sampling):
                yield index, generation
