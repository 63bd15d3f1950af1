"""Requests: what a model that has no token ids needs to be compared, and mixed lists of them."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from comparisons import compared
from samples import COLON, CountingModel, open_task, parity_task

from promptkit import LlamaModel, Predictor, Store
from promptkit.errors import ModelError
from promptkit.inference.answering import answer, unique_tokens
from promptkit.models.base import Generation, Model, ModelIdentity, Sampling, Score, Usage
from promptkit.preview.tokenized import token_ids
from promptkit.prompts.prompt import Prompt, TokenizedPrompt


@dataclass(frozen=True)
class TextRequest:
    """A prompt as a server is asked it, whose tokens are words."""

    prompt: Prompt

    @property
    def tokens(self) -> int:
        return len(self.prompt.text.split())

    @property
    def candidate_tokens(self) -> tuple[int, ...]:
        return tuple([len(text.split()) for text in self.prompt.candidates or ()])

    @property
    def naive_tokens(self) -> int:
        return sum(self.tokens + count for count in self.candidate_tokens) or self.tokens

    @property
    def content(self) -> bytes:
        return json.dumps([self.prompt.text, self.prompt.candidates]).encode()

    def sequences(self) -> Iterator[bytes]:
        yield b"".join(zlib.crc32(word.encode()).to_bytes(4) for word in self.prompt.text.split())


class Server:
    """Scores by text: the longer label is likelier."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.identity = ModelIdentity("server", "ab" * 32, "remote", "", "http", 1000)
        self.asked: list[TextRequest] = []

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TextRequest]:
        return [TextRequest(prompt) for prompt in prompts]

    def piece(self, token: int) -> bytes:
        raise NotImplementedError

    def score(self, requests: Sequence[TextRequest]) -> Iterator[tuple[int, Score]]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            self.usage.decoded_tokens += request.tokens
            sizes = [len(text) for text in request.prompt.candidates or ()]
            logprobs = tuple([math.log(size / sum(sizes)) for size in sizes])
            yield index, Score(logprobs, request.tokens, 0.0)

    def generate(
        self, requests: Sequence[TextRequest], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        for index, request in enumerate(requests):
            self.asked.append(request)
            yield index, Generation("7", "stop", request.tokens, 1, 0.0)


def test_a_model_without_token_ids_is_compared_and_stored() -> None:
    store, model = Store(), Server()
    assert isinstance(model, Model)
    first = compared(models=[model], store=store, calibrations=["contextual", "batch"])
    distinct = {request.content for request in model.asked}
    assert first.usage.prompts == len(model.asked) == len(distinct) == len(store)
    assert first.usage.decoded_tokens == sum(request.tokens for request in model.asked)
    assert first.usage.naive_tokens == sum(request.naive_tokens for request in model.asked)
    assert 0 < first.usage.unique_tokens < first.usage.decoded_tokens
    assert {p.label for p in first.predictions} == {"even"}
    again = Server()
    second = compared(models=[again], store=store, calibrations=["contextual", "batch"])
    assert (second.usage.cached, again.asked) == (first.usage.prompts, [])
    assert second.predictions == first.predictions


def test_a_model_without_token_ids_generates() -> None:
    task, store = open_task(int, 7, 8), Store()
    predictor = Predictor(task, COLON, Server())
    assert [p.label for p in predictor.predict(task.tests, store=store)] == [7, 7]
    assert len(store) == 2


def test_tokens_that_a_model_hides_are_an_error_where_they_are_shown() -> None:
    with pytest.raises(ModelError, match="server: this model does not show its tokens"):
        token_ids(COLON.render(parity_task(), query=parity_task().tests[0]), Server())


def mixed(model: Model) -> tuple[list[TokenizedPrompt], list[bool]]:
    """Requests to score and to generate, by turns, and whether each is scored."""
    scored, written = parity_task(), open_task(str, "a", "b", "c")
    requests = [
        request
        for pair in zip(
            Predictor(scored, COLON, model).tokenize(scored.tests[:3]),
            Predictor(written, COLON, model).tokenize(written.tests),
            strict=True,
        )
        for request in pair
        if isinstance(request, TokenizedPrompt)
    ]
    return requests, [True, False] * 3


def test_a_mixed_list_is_answered_as_each_request_asks() -> None:
    model, store, told = CountingModel(), Store(), list[tuple[int, int]]()
    requests, scored = mixed(model)
    done = answer(
        model, requests * 2, Sampling(4), store=store, progress=lambda *at: told.append(at)
    )
    assert [isinstance(result, Score) for result in done.results] == scored * 2
    assert (done.asked, done.stored, len(store)) == (requests, 0, 6)
    assert told == [(count, 6) for count in range(1, 7)]
    again = answer(model, requests, Sampling(4), store=store)
    assert (again.asked, again.stored, again.results) == ([], 6, done.results[:6])
    for request, result in zip(requests, done.results, strict=False):
        assert answer(model, [request], Sampling(4)).results == [result]


@pytest.mark.model
def test_a_mixed_list_is_answered_by_a_real_model(smollm2: LlamaModel) -> None:
    requests, scored = mixed(smollm2)
    done = answer(smollm2, requests, Sampling(4))
    assert [isinstance(result, Score) for result in done.results] == scored
    for request, result in zip(requests, done.results, strict=True):
        (alone,) = answer(smollm2, [request], Sampling(4)).results
        if isinstance(result, Score) and isinstance(alone, Score):
            assert result.logprobs == pytest.approx(alone.logprobs, abs=0.1)
        elif isinstance(result, Generation) and isinstance(alone, Generation):
            assert result.text == alone.text


def test_unique_tokens_of_texts_are_counted_by_their_words() -> None:
    requests = Server().tokenize(
        [COLON.render(parity_task(), query=t) for t in parity_task().tests]
    )
    assert unique_tokens(requests) == sum(request.tokens for request in requests)
