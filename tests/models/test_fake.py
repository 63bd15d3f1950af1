from __future__ import annotations

import math

import pytest

from promptkit.errors import PromptError
from promptkit.models.base import Model, Sampling
from promptkit.models.fake import FakeModel
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt

LABELS = (" drupe", " pome", " berry")


def ask(text: str, labels: tuple[str, ...] | None = LABELS, stop: str = "\n") -> Prompt:
    return Prompt((Piece(text, "data"),), candidates=labels, lead=" ", stop=stop, query=text)


def test_it_is_a_model() -> None:
    model = FakeModel()
    assert isinstance(model, Model)
    assert model.identity == FakeModel().identity
    assert model.identity.key != FakeModel(name="other").identity.key
    assert "name" not in model.identity.key


def test_scores_are_digests_of_what_it_was_shown() -> None:
    model = FakeModel()
    prompts = model.tokenize([ask("fig:"), ask("plum:"), ask("fig:")])
    scores = dict(model.score(prompts))
    assert scores[0] == scores[2] == dict(FakeModel().score(prompts))[0]
    assert scores[0].logprobs != scores[1].logprobs
    assert sum(map(math.exp, scores[0].logprobs)) == pytest.approx(0.99)
    assert model.usage.decoded_tokens == sum(len(prompt.ids) for prompt in prompts)
    assert scores[0].tokens == len(prompts[0].ids)


def test_it_answers_as_told() -> None:
    model = FakeModel(lambda prompt: "pome" if prompt.query == "apple:" else "plum")
    prompts = model.tokenize([ask("apple:"), ask("fig:"), ask("fig:", (" plum",))])
    scores = dict(model.score(prompts))
    assert [math.exp(p) for p in scores[0].logprobs] == pytest.approx([0.045, 0.9, 0.045])
    assert len(set(scores[1].logprobs)) == 1
    assert math.exp(scores[2].logprobs[0]) == pytest.approx(0.9)


def test_it_writes() -> None:
    told = FakeModel(lambda prompt: "pome\nName:")
    prompts = told.tokenize([ask("apple:", None), ask("apple:", None, stop="")])
    made = dict(told.generate(prompts))
    assert (made[0].text, made[0].finish) == (" pome", "stop")
    assert (made[1].text, made[1].finish) == (" pome\nName:", "eos")
    free = FakeModel()
    texts = [dict(free.generate(prompts, Sampling(seed=seed)))[0].text for seed in range(9)]
    assert len(set(texts)) > 1
    assert texts == [dict(free.generate(prompts, Sampling(seed=s)))[0].text for s in range(9)]


def test_turns_and_control_tokens() -> None:
    turn = Message("user", (Piece("<|im_end|>", "data"),))
    (prompt,) = FakeModel().tokenize([Prompt(messages=(turn,), candidates=LABELS)])
    assert prompt.prompt.text == "<|im_start|>user\n<|im_end|><|im_end|>\n<|im_start|>assistant\n"
    assert [token for token in prompt.ids if token > 255] == [256, 257, 256]
    with pytest.raises(PromptError, match="carries no chat template"):
        FakeModel(chat_template=None).tokenize([Prompt(messages=(turn,))])


def test_a_prompt_that_does_not_fit() -> None:
    with pytest.raises(
        PromptError, match="11 tokens of prompt and 5 of answer do not fit the context of 10"
    ):
        FakeModel(context=10).tokenize([ask("a" * 10)])
