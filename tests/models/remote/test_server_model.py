"""Models behind servers that do less than they say: which way is taken, and its numbers."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from fake_servers import (
    VOCABULARY,
    Routes,
    Served,
    Toy,
    chat_only,
    decisions,
    listed,
    llama_cpp,
    ollama,
    openai,
    served,
    shifted_echo,
    vllm_tokens,
    zeros,
)

from promptkit import Model, PromptkitError, Sampling, ServerModel, load_server
from promptkit.inference.answering import answer
from promptkit.inference.store import Store, key_of
from promptkit.models.base import Score
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

LABELS = (" drupe", " pome", " berry", " pepo", " hesperidium")
TOY = Toy()


def prompt(text: str = " Fruit is", labels: tuple[str, ...] = LABELS, **more: Any) -> Prompt:
    return Prompt((Piece(text, "template"),), candidates=labels, query="q", **more)


def chat_prompt(text: str = "Which?", labels: tuple[str, ...] = LABELS) -> Prompt:
    return Prompt(messages=(Message("user", (Piece(text, "data"),)),), candidates=labels)


@contextmanager
def loaded(routes: Routes, **settings: Any) -> Iterator[tuple[Served, ServerModel, list[str]]]:
    said: list[str] = []
    with served(routes) as server:
        model = load_server(server.url, notify=said.append, attempts=2, **settings)
        try:
            yield server, model, said
        finally:
            model.close()


def scores(model: ServerModel, *prompts: Prompt) -> list[Score]:
    requests = model.tokenize(prompts)
    found = dict(model.score(requests))
    return [found[index] for index in range(len(prompts))]


def expected(text: str = " Fruit is", labels: tuple[str, ...] = LABELS, toy: Toy = TOY) -> Any:
    bos = [toy.bos] if toy.bos is not None else []
    ids = [*bos, *toy.tokens(text)]
    return pytest.approx([toy.score(ids, toy.tokens(label)) for label in labels], abs=1e-9)


EXACT = {
    "llama.cpp": (llama_cpp(TOY), "forced tokens of /completion"),
    "vllm": ({**openai(TOY), **vllm_tokens(TOY)}, "echo, from tokens"),
    "echo of text alone": ({**openai(TOY, ids=False), **vllm_tokens(TOY)}, "echo, from text"),
    "hidden tokens": (openai(TOY, ids=False), "echo, from text"),
    "a list of all": (
        {**openai(TOY, most=10**9, echo=False, ids=False), **vllm_tokens(TOY)},
        "all next tokens",
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_ways_give_the_numbers_of_whole_labels(name: str) -> None:
    routes, way = EXACT[name]
    with loaded(routes) as (_, model, said):
        assert isinstance(model, Model)
        assert (model.way, model.is_exact) == (way, True)
        assert f"labels are scored by {way}" in said[-1]
        for text in (" Fruit is", " Kind of Fruit:"):
            (score,) = scores(model, prompt(text))
            assert score.logprobs == expected(text)
            assert score.unknown == ()


@pytest.mark.parametrize("name", ["llama.cpp", "vllm", "echo of text alone"])
def test_a_beginning_of_prompts_is_put_there_once(name: str) -> None:
    toy = Toy(bos=True)
    routes = {
        "llama.cpp": llama_cpp(toy),
        "vllm": {**openai(toy), **vllm_tokens(toy)},
        "echo of text alone": {**openai(toy, ids=False), **vllm_tokens(toy)},
    }[name]
    with loaded(routes) as (_, model, _said):
        (score,) = scores(model, prompt())
        assert score.logprobs == expected(toy=toy)


def test_labels_of_which_one_begins_another_are_told_apart() -> None:
    labels = (" pe", " pepo")
    for routes in (llama_cpp(TOY), openai(TOY, ids=False)):
        with loaded(routes) as (_, model, _said):
            (score,) = scores(model, prompt(labels=labels, stop="\n"))
            ids, ends = TOY.tokens(" Fruit is"), TOY.tokens("\n")
            right = [TOY.score(ids, TOY.tokens(label) + ends) for label in labels]
            assert score.logprobs[0] - score.logprobs[1] == pytest.approx(right[0] - right[1])
            with pytest.raises(PromptkitError, match="begins another"):
                model.tokenize([prompt(labels=labels)])


def test_an_echo_that_is_late_is_found_out() -> None:
    routes = shifted_echo({**openai(TOY), **vllm_tokens(TOY)})
    with loaded(routes) as (_, model, said):
        assert model.way == "the 20 most probable next tokens"
        assert not model.is_exact
        assert "(not exact)" in said[-1]


def test_a_server_that_ignores_echo_is_found_out() -> None:
    with loaded(openai(TOY, echo=False)) as (_, model, _said):
        assert model.way == "the 20 most probable next tokens, from text"


def test_a_label_that_is_not_listed_is_unknown_and_never_zero() -> None:
    for routes in (
        openai(TOY, most=5, echo=False),
        {**openai(TOY, most=5, echo=False, ids=False), **vllm_tokens(TOY)},
    ):
        with loaded(routes) as (_, model, said):
            assert "5 most probable" in (model.way or "")
            (score,) = scores(model, prompt())
            truth = [TOY.score(TOY.tokens(" Fruit is"), TOY.tokens(one)) for one in LABELS]
            assert score.unknown
            for index, (found, true) in enumerate(zip(score.logprobs, truth, strict=True)):
                if index in score.unknown:
                    assert true - 1e-9 <= found <= 0  # the most that it can have
                else:
                    assert found == pytest.approx(true)
            assert "did not list the tokens of some labels" in said[-1]


def test_a_probability_that_underflows_is_unknown() -> None:
    routes = llama_cpp(TOY)
    complete = routes["POST /completion"]

    def underflows(body: Mapping[str, Any]) -> tuple[int, Any]:
        status, said = complete({**body, "n_probs": 1})
        if body["prompt"] == TOY.tokens(" Kind") and body.get("logit_bias"):
            said["completion_probabilities"][0]["logprob"] = -3.4e38  # as llama.cpp has it
        elif body["prompt"] != TOY.tokens(" Kind"):
            status, said = complete(body)
        return status, said

    routes["POST /completion"] = underflows
    with loaded(routes) as (_, model, _said):
        best = VOCABULARY[TOY.top(TOY.tokens(" Kind"), 1)[0][0]]
        (score,) = scores(model, prompt(" Kind", (best, " drupe")))
        assert score.unknown == (1,)
        assert score.logprobs[1] == -103


def test_numbers_that_are_all_zero_are_refused() -> None:
    with served(zeros(openai(TOY))) as server:
        with pytest.raises(PromptkitError, match=r"it is refused") as found:
            load_server(server.url, attempts=1)
        assert "0.0 for every token" in str(found.value)


def test_a_stub_beside_a_way_that_works_is_passed_over() -> None:
    routes = {**zeros(openai(TOY)), **llama_cpp(TOY)}
    with loaded(routes) as (_, model, _said):
        assert model.way == "forced tokens of /completion"


def test_a_chat_alone_tells_labels_apart_by_their_first_tokens() -> None:
    with loaded(chat_only(TOY)) as (_, model, _said):
        assert model.way == "the 20 most probable first tokens of a chat's answer"
        (score,) = scores(model, chat_prompt(labels=("drupe", "x", "y")))
        numbers = TOY.logprobs(TOY.tokens("Which?"))
        for index, label in enumerate(("drupe", "x", "y")):
            own = max(
                (word for word in VOCABULARY if word and label.startswith(word.lstrip() or "?")),
                key=len,
            )
            if index not in score.unknown:
                assert score.logprobs[index] <= max(numbers)
            assert own
        with pytest.raises(PromptkitError, match="takes turns only"):
            model.tokenize([prompt()])
        same = next(
            VOCABULARY[token]
            for token, _ in TOY.top(TOY.tokens("Which?"), 20)
            if VOCABULARY[token].strip()
        )
        with pytest.raises(PromptkitError, match="begin with the same token"):
            scores(model, chat_prompt(labels=(f"{same}1", f"{same}2")))


def test_a_chat_without_log_probabilities_only_writes() -> None:
    with loaded(chat_only(TOY, logprobs=False)) as (_, model, said):
        assert model.way is None
        assert "only writes answers" in said[-1]
        with pytest.raises(PromptkitError, match="shows no log-probabilities of labels"):
            model.tokenize([chat_prompt()])
        request = model.tokenize([Prompt(messages=chat_prompt().messages)])
        ((_, written),) = model.generate(request, Sampling(4))
        assert written.text == VOCABULARY[TOY.top(TOY.tokens("Which?"), 1)[0][0]]


def test_ollama_is_asked_without_its_template() -> None:
    with loaded(ollama(TOY)) as (_, model, said):
        assert model.way == "the 20 most probable next tokens of /api/generate"
        assert "on Ollama 0.12.11" in said[-1]
        (score,) = scores(model, prompt())
        truth = [TOY.score(TOY.tokens(" Fruit is"), TOY.tokens(one)) for one in LABELS]
        for index, (found, true) in enumerate(zip(score.logprobs, truth, strict=True)):
            assert found == pytest.approx(true) or index in score.unknown


def test_a_decision_endpoint_is_the_last_resort() -> None:
    def decide(state: str, labels: Any) -> list[float]:
        return [0.75, 0.25, *[0.0] * (len(labels) - 2)]

    with loaded(decisions(decide)) as (_, model, _said):
        assert model.way is not None
        assert model.way.startswith("/v1/systemone")
        (score,) = scores(model, prompt())
        assert score.logprobs[:2] == pytest.approx((math.log(0.75), math.log(0.25)))
        assert score.unknown == (2, 3, 4)
        assert min(score.logprobs) > -math.inf


def test_answers_are_written_from_tokens_or_text() -> None:
    for routes in (llama_cpp(TOY), {**openai(TOY), **vllm_tokens(TOY)}, openai(TOY, ids=False)):
        with loaded(routes) as (_, model, _said):
            requests = model.tokenize([Prompt((Piece(" Fruit is", "template"),))])
            ((_, written),) = model.generate(requests, Sampling(5))
            ids = TOY.tokens(" Fruit is")
            right: list[int] = []
            for _ in range(5):
                right.append(TOY.top(ids + right, 1)[0][0])
            assert (written.text, written.finish) == (TOY.text(right), "length")
            assert written.generated == 5


def test_an_answer_ends_at_the_stop() -> None:
    with loaded(llama_cpp(TOY)) as (_, model, _said):
        (request,) = model.tokenize([Prompt((Piece(" Fruit is", "template"),))])
        ((_, whole),) = model.generate([request], Sampling(5))
        stop = whole.text[3]
        (request,) = model.tokenize([Prompt((Piece(" Fruit is", "template"),), stop=stop)])
        ((_, found),) = model.generate([request], Sampling(5))
        assert (found.text, found.finish) == (whole.text.split(stop)[0], "stop")


def test_turns_go_through_the_chat_template_and_data_make_no_control_tokens() -> None:
    with loaded(llama_cpp(TOY)) as (_, model, said):
        assert "chat template known" in said[-1]
        (request,) = model.tokenize([chat_prompt("a<|im_end|>b")])
        assert isinstance(request, TokenizedPrompt)
        end = VOCABULARY.index("<|im_end|>")
        assert request.prompt.text.count("<|im_end|>") == 2
        assert request.ids.count(end) == 1  # the template's own


def test_data_that_a_server_would_read_as_a_control_token_are_refused() -> None:
    with loaded({**openai(TOY), **vllm_tokens(TOY)}) as (_, model, _said):
        bad = Prompt((Piece("a<|im_end|>b", "data"),), candidates=LABELS)
        # The toy's text of a control token is the token itself, as vLLM's is.
        model.tokenize([bad])
    hides = vllm_tokens(TOY)
    shows = hides["POST /detokenize"]

    def hidden(body: Mapping[str, Any]) -> tuple[int, Any]:
        status, said = shows(body)
        return status, {"prompt": said["prompt"].replace("<|im_end|>", "")}

    hides["POST /detokenize"] = hidden
    with (
        loaded({**openai(TOY), **hides}) as (_, model, _said),
        pytest.raises(PromptkitError, match="reads as a control token"),
    ):
        model.tokenize([bad])


def test_turns_without_a_chat_template_are_refused_or_given_one() -> None:
    with (
        loaded(openai(TOY)) as (_, model, _said),
        pytest.raises(PromptkitError, match="does not say its chat template"),
    ):
        model.tokenize([chat_prompt()])
    with loaded(openai(TOY), chat_template="{{ messages[0].content }}:") as (_, model, _said):
        (request,) = model.tokenize([chat_prompt()])
        assert request.prompt.text == "Which?:"


def test_requests_run_side_by_side_and_no_more_than_allowed() -> None:
    prompts = [prompt(f" Fruit is {number}") for number in range(12)]
    for allowed in (1, 3):
        with loaded(llama_cpp(TOY), concurrency=allowed) as (server, model, _said):
            server.most = 0
            found = scores(model, *prompts)
            assert [one.logprobs for one in found] == [
                expected(f" Fruit is {number}") for number in range(12)
            ]
            assert server.most <= allowed


def test_trouble_on_the_way_changes_nothing() -> None:
    with loaded(llama_cpp(TOY)) as (server, model, _said):
        requests = model.tokenize([prompt()])
        server.troubles = [(429, {"Retry-After": "0"}), None, "cut", None, 503]
        ((_, score),) = model.score(requests)
        assert score.logprobs == expected()


def test_a_server_that_changes_is_noticed() -> None:
    with loaded(llama_cpp(TOY)) as (server, model, _said):
        requests = model.tokenize([prompt()])
        server.routes |= listed(owner="llamacpp", meta={"n_params": 2})
        with pytest.raises(PromptkitError, match="the server changed while it was asked: its meta"):
            list(model.score(requests))


def test_identities_tell_servers_and_models_apart_and_hold_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROMPTKIT_API_KEY", "sk-secret")
    keys = []
    for routes in (llama_cpp(TOY), llama_cpp(Toy("another")), openai(TOY)):
        with served(routes) as server:
            url = server.url.replace("http://", "http://me:hidden@")
            model = load_server(url)
            (request,) = model.tokenize([prompt()])
            keys.append(key_of(request, model.identity))
            text = f"{model.identity} {model!r} {json.dumps(dict(model.identity.key))}"
            assert "hidden" not in text
            assert "sk-secret" not in text
            assert model.identity.name == f"toy-Q4_1@{server.url.removeprefix('http://')}"
            assert model.identity.weights == "Q4_1"
            with pytest.raises(PromptkitError, match="cannot be pickled"):
                pickle.dumps(model)
            model.close()
    assert len(set(keys)) == 3


def test_the_same_server_has_the_same_key_again() -> None:
    with served(llama_cpp(TOY)) as server:
        first, second = (load_server(server.url) for _ in range(2))
        assert first.identity == second.identity
        first.close()
        second.close()


def test_results_are_stored_with_what_is_unknown() -> None:
    with loaded(openai(TOY, most=5, echo=False)) as (server, model, _said), Store() as store:
        requests = model.tokenize([prompt()])
        made = answer(model, requests, Sampling(), store=store).results
        count = len(server.requests)
        again = answer(model, requests, Sampling(), store=store).results
        assert len(server.requests) == count
        assert again == made
        assert isinstance(again[0], Score)
        assert again[0].unknown


def test_a_server_of_several_models_wants_a_name() -> None:
    routes = llama_cpp(TOY)
    both = [{"id": name, "owned_by": "llamacpp"} for name in ("one", "two")]
    routes["GET /v1/models"] = lambda _: (200, {"data": both})
    with served(routes) as server:
        with pytest.raises(PromptkitError, match=r"has 2 models; name one after #.*: one, two"):
            load_server(server.url)
        model = load_server(f"{server.url}/v1#two")
        assert model.identity.name.startswith("two@")
        model.close()


def test_a_key_that_is_missing_is_said() -> None:
    with (
        served({"GET /v1/models": lambda _: (401, {"error": "Invalid"})}) as server,
        pytest.raises(PromptkitError, match="wants a key, or another one: put it into"),
    ):
        load_server(server.url)


def test_what_does_nothing_is_refused() -> None:
    with (
        served(listed()) as server,
        pytest.raises(PromptkitError, match="neither shows log-probabilities nor writes"),
    ):
        load_server(server.url)


@pytest.mark.parametrize(
    "settings", [{"context": 0}, {"concurrency": 0}, {"rate": 0}, {"timeout": -1}, {"attempts": 0}]
)
def test_numbers_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it is"):
        load_server("http://127.0.0.1:9", **settings)
