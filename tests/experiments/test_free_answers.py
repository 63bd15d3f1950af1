from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from comparisons import compared
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import ARROW, COLON, parity_task

from promptkit import FakeModel, LlamaModel, Store, compare, load_task
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


# -- Together with the scores ----------------------------------------------------------------------


class Various(Unwilling):
    """Wants labels after some numbers of shots and draws, not after others."""

    def __init__(self, low: Callable[[TokenizedPrompt], bool]) -> None:
        super().__init__()
        self.low = low

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, score in super().score(prompts):
            more = 0.0 if self.low(prompts[index]) else math.log(9)
            yield index, replace(score, logprobs=tuple(one + more for one in score.logprobs))


class Joint(Various):
    """Scores and generates in one call."""

    shares_batches = True

    def __init__(self, low: Callable[[TokenizedPrompt], bool] = lambda _: True) -> None:
        super().__init__(low)
        self.joint = 0

    def answer(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Score | Generation]]:
        self.joint += 1
        for index, prompt in enumerate(prompts):
            one = self.score([prompt]) if prompt.candidates else self.generate([prompt], sampling)
            yield index, next(iter(one))[1]


MANY: dict[str, Any] = {"shots": (0, 2, 4), "seeds": 10}
"""Cells with more than `SCORES` prompts for each free-form answer."""


def few_draws(low: Sequence[bool]) -> Callable[[TokenizedPrompt], bool]:
    """Low coverage, or not, by a digest of the shots: by the number of shots, and their draw."""

    def is_low(prompt: TokenizedPrompt) -> bool:
        shots = prompt.prompt.shots
        return low[zlib.crc32("".join(shots).encode()) % len(low)]

    return is_low


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_free_answers_do_not_depend_on_when_they_are_asked(low: list[bool]) -> None:
    found = []
    for kind in (Various, Joint):
        store = Store()
        for seeds in (10, 12):  # where some is in the store
            model = kind(few_draws(low))
            result = compared(
                models=[model], templates=[COLON, ARROW], store=store, **{**MANY, "seeds": seeds}
            )
            found.append((result.free_answers, result.warnings, result.rows, result.predictions))
    assert found[:2] == found[2:]


def test_free_answers_are_asked_together_with_the_scores() -> None:
    model, told, store = Joint(), list[str](), Store()
    result = compared(models=[model], store=store, announce=told.append, **MANY)
    assert (model.joint, model.batches, len(model.freely)) == (1, ANSWERS, ANSWERS)
    assert result.free_answers[0].shots == 4
    scores = 6 * (1 + 2 * 10)
    assert [message.split(",")[0] for message in told] == [f"fake: {scores + 5} prompts to ask"]
    assert result.usage.prompts == len(store) == scores + ANSWERS
    written = ANSWERS * len(" seen 4")
    asked = [*model.scored, *model.freely]
    assert result.usage.unique_tokens == unique_tokens(asked) + written
    assert result.usage.naive_tokens == sum(one.naive_tokens for one in asked) + written
    again = Joint()
    repeated = compared(models=[again], store=store, **MANY)
    assert repeated.free_answers == result.free_answers
    assert (again.joint, again.freely, again.scored) == (0, [], [])
    assert repeated.usage.cached == repeated.usage.prompts == scores + ANSWERS


def test_another_cell_is_asked_where_the_largest_has_coverage() -> None:
    model = Joint(lambda prompt: len(prompt.prompt.shots) == 2)
    (free,) = compared(models=[model], **MANY).free_answers
    assert (free.shots, free.texts) == (2, ("seen 2",) * ANSWERS)
    assert [len(prompt.prompt.shots) for prompt in model.freely] == [4] * 5 + [2] * 5


def test_the_smallest_cell_is_asked_early_beside_enough_scores() -> None:
    model = Joint(lambda prompt: not prompt.prompt.shots)
    (free,) = compared(models=[model], **{**MANY, "seeds": 20}).free_answers
    assert (free.shots, free.texts) == (0, ("seen 0",) * ANSWERS)
    assert (model.joint, len(model.freely)) == (1, 2 * ANSWERS)


def test_what_is_asked_early_is_not_shown_where_it_is_not_needed() -> None:
    model = Joint(lambda _: False)
    assert compared(models=[model], **MANY).free_answers == ()
    assert len(model.freely) == ANSWERS


@pytest.mark.parametrize("reason", ["few scores", "alone", "stored", "two calls"])
def test_free_answers_are_not_asked_early_for_nothing(reason: str) -> None:
    store, grid, model = Store(), MANY, Joint(lambda _: False)
    if reason == "few scores":
        grid = {"shots": (0, 2, 4), "seeds": 2}
    elif reason == "alone":
        model.shares_batches = False
    elif reason == "stored":
        compared(models=[Various(lambda _: False)], store=store, **MANY)
    else:
        model = Various(lambda _: False)  # type: ignore[assignment]
    assert compared(models=[model], store=store, **grid).free_answers == ()
    assert model.freely == []


@pytest.mark.model
def test_the_bundled_model_answers_early(smollm2: LlamaModel) -> None:
    task = load_task("examples/fruit")
    how: dict[str, Any] = {"templates": ["colon"], "shots": [0, 1], "seeds": 2, "store": Store()}
    told = list[str]()
    result = compare(task, models=[smollm2], announce=told.append, **how)
    (free,) = result.free_answers
    later = compare(task, models=[smollm2], **how)
    assert later.free_answers == result.free_answers
    assert len(free.texts) == ANSWERS
    assert sum("prompts to ask" in message for message in told) == 1


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
