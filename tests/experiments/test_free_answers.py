from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from comparisons import compared
from samples import ARROW, COLON, parity_task

from promptkit import FakeModel, LlamaModel, Store, compare
from promptkit.experiments.free_answers import ANSWERS, SAMPLING
from promptkit.inference.answering import unique_tokens
from promptkit.models.base import Generation, Sampling, Score
from promptkit.prompts.prompt import TokenizedPrompt


class Unwilling(FakeModel):
    """Hardly wants to say a label, and knows what it would rather say."""

    def __init__(self, **more: Any) -> None:
        super().__init__(lambda prompt: f"seen {len(prompt.shots)}", **more)
        self.freely: list[TokenizedPrompt] = []
        self.scored: list[TokenizedPrompt] = []
        self.batches = 0

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        self.scored += prompts
        for index, prompt in enumerate(prompts):
            count = len(prompt.candidates)
            logprobs = tuple(math.log(0.1 / count) - place for place in range(count))
            yield index, Score(logprobs, len(prompt.ids), 0.0)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        self.freely += prompts
        self.batches += 1
        assert sampling == SAMPLING
        return super().generate(prompts, sampling)


def test_a_model_that_wants_no_label_says_what_it_wants() -> None:
    model = Unwilling()
    result = compared(models=[model], shots=[0, 2], seeds=2)
    (free,) = result.free_answers
    longest = max(result.predictions, key=lambda one: (one.shots, one.tokens)).seed
    assert (free.model, free.template, free.shots, free.seed) == ("fake", "colon", 2, longest)
    assert free.texts == ("seen 2",) * ANSWERS
    rows = [row for row in result.rows if row.shots == 2 and row.seed == longest]
    assert free.coverage == rows[0].coverage
    assert len(model.freely) == ANSWERS
    assert not any(prompt.candidates for prompt in model.freely)
    assert result.to_dict()["free_answers"][0]["texts"] == ["seen 2"] * ANSWERS


def test_free_answers_are_stored() -> None:
    store = Store()
    for expected in (ANSWERS, 0):
        model = Unwilling()
        assert compared(models=[model], store=store).free_answers
        assert len(model.freely) == expected


def test_free_answers_of_all_templates_are_asked_at_once_and_counted() -> None:
    store, model, told = Store(), Unwilling(), list[str]()
    templates = [COLON, ARROW]
    result = compared(models=[model], templates=templates, store=store, announce=told.append)
    assert [free.template for free in result.free_answers] == ["colon", "arrow"]
    assert (len(model.freely), model.batches) == (2 * ANSWERS, 1)
    usage = result.usage
    assert usage.prompts == len(store) == 2 * (6 + 2 * 2 * 6) + 2 * ANSWERS
    assert usage.decoded_tokens == sum(prompt.tokens for prompt in model.freely)
    written = 2 * ANSWERS * len(" seen 4")
    asked = sum(prompt.naive_tokens for prompt in model.scored + model.freely)
    assert usage.naive_tokens == asked + written
    assert (
        usage.unique_tokens == unique_tokens(model.scored) + unique_tokens(model.freely) + written
    )
    assert [message.split(",")[0] for message in told] == [
        "fake: 60 prompts to ask",
        "fake: 10 prompts to ask",
    ]
    again = compared(models=[Unwilling()], templates=templates, store=store).usage
    assert (again.prompts, again.cached) == (usage.prompts, usage.prompts)


def test_a_model_that_wants_a_label_is_not_asked() -> None:
    assert compared().free_answers == ()


def test_free_answers_need_room() -> None:
    task = parity_task(tests=parity_task().tests[-1:])
    (prompt,) = Unwilling().tokenize([COLON.render(task, query=task.tests[0])])
    needed = prompt.tokens + max(prompt.candidate_tokens)
    for context, answers in ((needed, 0), (prompt.tokens + SAMPLING.max_tokens, 1)):
        result = compared(task=task, models=[Unwilling(context=context)], shots=[0])
        assert len(result.free_answers) == answers


@pytest.mark.model
def test_the_bundled_model_says_something(smollm2: LlamaModel) -> None:
    task = parity_task()
    result = compare(
        task, models=[smollm2], templates=[COLON], shots=[0], seeds=1, limit=2, store=Store()
    )
    (free,) = result.free_answers
    assert len(free.texts) == 2
    assert any(free.texts)
    assert free.coverage < 0.5
