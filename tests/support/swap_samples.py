"""A task of remarks, and predictors whose bias is known, for the tests of audits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.prediction import Prediction
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task


class Remark(BaseModel):
    text: str


Tone = Literal["mild", "harsh"]


def remarks(*texts: str, demos: Iterable[tuple[str, Tone]] = (), **more: Any) -> Task[Remark, Tone]:
    """A task with these tests, all of which are mild."""
    return Task[Remark, Tone](
        name="remarks",
        demos=[Example(input=Remark(text=text), output=tone) for text, tone in demos],
        tests=[Example(input=Remark(text=text), output="mild") for text in texts],
        **more,
    )


class ByText:
    """A predictor without a prompt: P(harsh) is a function of the text."""

    usage = Usage()
    identity = ModelIdentity("by text", "0" * 64, "function", "none", "promptkit", 0)

    def __init__(
        self, task: Task[Any, Any], harsh: Callable[[str], float], *, probs: bool = True
    ) -> None:
        self.task, self._harsh, self._probs = task, harsh, probs
        self.asked: list[str] = []

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> Sequence[Prediction]:
        made = []
        for query in queries:
            text = query.input.text
            self.asked.append(text)
            p = self._harsh(text)
            one = prediction_of(
                self.task, query, "harsh" if p > 0.5 else "mild", model=self.identity.name
            )
            if self._probs:
                probs = {"mild": 1 - p, "harsh": p}
                logprobs = {label: float(np.log(q)) for label, q in probs.items()}
                one = replace(one, probs=probs, logprobs=logprobs, coverage=1.0)
            made.append(one)
        return made
