"""Servers of models that behave as documented, or as observed, on loopback.

Their model is a toy whose numbers are digests of the tokens before, so that a test knows them.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from string import printable
from time import sleep
from typing import Any

Answer = tuple[int, Any]
Route = Callable[[Mapping[str, Any]], Answer]
Routes = dict[str, Route]

WORDS = (
    *(" drupe", " po", "me", " be", "rry", " pe", "po", " hes", "peri", "dium", " leg", "ume"),
    *(" aggre", "gate", " The", " capital", " of", " Spain", " is", " Madrid", " Fruit", " Kind"),
    *("<bos>", "<|im_start|>", "<|im_end|>", "user", "assistant"),
)
VOCABULARY = (*WORDS, *printable)
CONTROLS = ("<bos>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Toy:
    """A model of a few words and all printable characters."""

    def __init__(self, seed: str = "toy", *, bos: bool = False) -> None:
        self.seed, self.bos = seed, VOCABULARY.index("<bos>") if bos else None

    def tokens(self, text: str, *, special: bool = True, bos: bool = False) -> list[int]:
        """Return the longest token that fits, again and again."""
        ids = [self.bos] if bos and self.bos is not None else []
        allowed = [word for word in VOCABULARY if special or word not in CONTROLS]
        while text:
            word = max((one for one in allowed if text.startswith(one)), key=len)
            ids.append(VOCABULARY.index(word))
            text = text[len(word) :]
        return ids

    def text(self, ids: Sequence[int]) -> str:
        return "".join(VOCABULARY[one] for one in ids)

    def logprobs(self, ids: Sequence[int]) -> list[float]:
        """Return the log-probability of each token after some."""
        raw = [self._number(ids, token) for token in range(len(VOCABULARY))]
        total = math.log(sum(map(math.exp, raw)))
        return [one - total for one in raw]

    def score(self, ids: Sequence[int], after: Sequence[int]) -> float:
        """Return the log-probability of tokens after others."""
        whole = [*ids, *after]
        return sum(self.logprobs(whole[:end])[whole[end]] for end in range(len(ids), len(whole)))

    def top(self, ids: Sequence[int], count: int) -> list[tuple[int, float]]:
        numbers = [*enumerate(self.logprobs(ids))]
        return sorted(numbers, key=lambda one: -one[1])[:count]

    def _number(self, ids: Sequence[int], token: int) -> float:
        raw = hashlib.sha256(f"{self.seed} {list(ids)[-6:]} {token}".encode()).digest()
        return int.from_bytes(raw[:4], "big") / 2**32 * 6


def listed(name: str = "toy-Q4_1", owner: str = "me", **more: Any) -> Routes:
    """Return the route of `/v1/models`."""
    entry = {"id": name, "object": "model", "owned_by": owner, **more}
    return {"GET /v1/models": lambda _: (200, {"object": "list", "data": [entry]})}


def llama_cpp(toy: Toy) -> Routes:
    """Return the routes of llama.cpp's own server."""

    def tokenize(body: Mapping[str, Any]) -> Answer:
        if "content" not in body:
            return 200, {"tokens": []}
        special = body.get("parse_special", True)
        ids = toy.tokens(body["content"], special=special, bos=body.get("add_special", False))
        return 200, {"tokens": ids}

    def completion(body: Mapping[str, Any]) -> Answer:
        ids = body["prompt"]
        written, probs = [], []
        for _ in range(body["n_predict"]):
            top = toy.top(ids + written, body.get("n_probs", 0))
            bias = dict(map(tuple, body.get("logit_bias", [])))
            numbers = toy.logprobs(ids + written)
            token = max(range(len(numbers)), key=lambda one: numbers[one] + bias.get(one, 0))
            probs.append({**_said(token, numbers[token]), "top_logprobs": [_said(*t) for t in top]})
            written.append(token)
        return 200, {
            "content": toy.text(written),
            "completion_probabilities": probs,
            "stop_type": "limit",
            "tokens_predicted": len(written),
            "tokens_evaluated": len(ids),
        }

    def complete(body: Mapping[str, Any]) -> Answer:
        if body.get("echo"):
            return 400, {"error": {"message": "Only no echo is supported"}}
        return 404, {}

    props = {
        "default_generation_settings": {"n_ctx": 2048},
        "total_slots": 2,
        "chat_template": CHATML,
        "build_info": "b1-toy",
    }
    return {
        **listed(owner="llamacpp", meta={"n_params": 1}),
        "GET /props": lambda _: (200, props),
        "POST /tokenize": tokenize,
        "POST /detokenize": lambda body: (200, {"content": toy.text(body["tokens"])}),
        "POST /completion": completion,
        "POST /v1/completions": complete,
    }


def _said(token: int, logprob: float) -> dict[str, Any]:
    text = VOCABULARY[token]
    return {"id": token, "token": text, "bytes": [*text.encode()], "logprob": logprob}


def openai(toy: Toy, *, most: int = 20, echo: bool = True, ids: bool = True) -> Routes:
    """Return `/v1/completions` with log-probabilities, as vLLM has it.

    `most` is the most tokens it lists; without `echo` it ignores that, without `ids` it takes text.
    """

    def complete(body: Mapping[str, Any]) -> Answer:
        prompts = body["prompt"]
        if isinstance(prompts, str) or isinstance(prompts[0], int):
            prompts = [prompts]
        if not ids and not isinstance(prompts[0], str):
            return 400, {"error": {"message": "prompt: a string, please"}}
        count = body.get("logprobs")
        if count is not None and count > most:
            return 400, {"error": {"message": f"at most {most} logprobs"}}
        choices = [
            _choice(toy, index, prompt, body, echo=echo and bool(body.get("echo")))
            for index, prompt in enumerate(prompts)
        ]
        written = body["max_tokens"] * len(choices)
        usage = {"prompt_tokens": 1, "completion_tokens": written}
        return 200, {"model": "toy-Q4_1", "choices": choices, "usage": usage}

    return {**listed(owner="vllm", max_model_len=2048), "POST /v1/completions": complete}


def _choice(
    toy: Toy, index: int, prompt: Any, body: Mapping[str, Any], *, echo: bool
) -> dict[str, Any]:
    before = toy.tokens(prompt, bos=True) if isinstance(prompt, str) else list(prompt)
    written: list[int] = []
    for _ in range(body["max_tokens"]):
        written.append(toy.top(before + written, 1)[0][0])
    whole = before + written
    start = 0 if echo else len(before)
    numbers = [
        None if end == 0 else toy.logprobs(whole[:end])[whole[end]]
        for end in range(start, len(whole))
    ]
    tops = [
        {VOCABULARY[t]: n for t, n in toy.top(whole[:end], body.get("logprobs") or 0)}
        for end in range(start, len(whole))
    ]
    found = {
        "tokens": [VOCABULARY[one] for one in whole[start:]],
        "token_logprobs": numbers,
        "top_logprobs": tops,
    }
    return {
        "index": index,
        "text": toy.text(whole[start:]),
        "logprobs": found if body.get("logprobs") is not None else None,
        "finish_reason": "length",
    }


def vllm_tokens(toy: Toy) -> Routes:
    """Return the tokenizer of vLLM's server."""

    def tokenize(body: Mapping[str, Any]) -> Answer:
        if "prompt" not in body:
            return 400, {"error": "prompt is missing"}
        ids = toy.tokens(body["prompt"], bos=body.get("add_special_tokens", True))
        return 200, {"count": len(ids), "max_model_len": 2048, "tokens": ids}

    return {
        "POST /tokenize": tokenize,
        "POST /detokenize": lambda body: (200, {"prompt": toy.text(body["tokens"])}),
    }


def shifted_echo(routes: Routes) -> Routes:
    """Return routes whose echo has each number one token late."""
    complete = routes["POST /v1/completions"]

    def shifted(body: Mapping[str, Any]) -> Answer:
        status, said = complete(body)
        if body.get("echo") and status == 200:
            for choice in said["choices"]:
                numbers = choice["logprobs"]["token_logprobs"]
                choice["logprobs"]["token_logprobs"] = [None, *(a for a, _ in pairwise(numbers))]
                choice["logprobs"]["token_logprobs"][1] = -9.0
        return status, said

    return {**routes, "POST /v1/completions": shifted}


def zeros(routes: Routes) -> Routes:
    """Return routes whose log-probabilities are all 0.0."""
    complete = routes["POST /v1/completions"]

    def stubbed(body: Mapping[str, Any]) -> Answer:
        status, said = complete(body)
        for choice in said.get("choices", ()) if status == 200 else ():
            if found := choice["logprobs"]:
                found["token_logprobs"] = [0.0 for _ in found["token_logprobs"]]
                found["top_logprobs"] = [dict.fromkeys(one, 0.0) for one in found["top_logprobs"]]
        return status, said

    return {**routes, "POST /v1/completions": stubbed}


def chat_only(toy: Toy, *, logprobs: bool = True) -> Routes:
    """Return `/v1/chat/completions` alone."""

    def complete(body: Mapping[str, Any]) -> Answer:
        if body.get("top_logprobs", 0) > 20:
            return 400, {"error": {"message": "top_logprobs: at most 20"}}
        ids = toy.tokens("".join(one["content"] for one in body["messages"]))
        token = toy.top(ids, 1)[0]
        found = {**_said(*token)}
        found["top_logprobs"] = [_said(*one) for one in toy.top(ids, body.get("top_logprobs", 0))]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": VOCABULARY[token[0]]},
            "logprobs": {"content": [found]} if logprobs and body.get("logprobs") else None,
            "finish_reason": "length",
        }
        return 200, {"choices": [choice], "usage": {"completion_tokens": 1, "prompt_tokens": 3}}

    return {**listed(owner="chat"), "POST /v1/chat/completions": complete}


def ollama(toy: Toy) -> Routes:
    """Return Ollama's own endpoint."""

    def generate(body: Mapping[str, Any]) -> Answer:
        assert body["raw"] is True
        assert body["stream"] is False
        if body.get("top_logprobs", 0) > 20:
            return 400, {"error": "top_logprobs must be between 0 and 20"}
        ids = toy.tokens(body["prompt"])
        written: list[int] = []
        for _ in range(body["options"].get("num_predict", 8)):
            written.append(toy.top(ids + written, 1)[0][0])
        numbers = toy.logprobs(ids)
        first = _said(written[0], numbers[written[0]])
        first["top_logprobs"] = [_said(*one) for one in toy.top(ids, body.get("top_logprobs", 0))]
        said = {"response": toy.text(written), "done_reason": "length", "eval_count": len(written)}
        return 200, said | ({"logprobs": [first]} if body.get("logprobs") else {})

    tags = {"models": [{"name": "toy:1b", "digest": "ab" * 32, "details": {}}]}
    return {
        **listed("toy:1b", "library"),
        "GET /api/tags": lambda _: (200, tags),
        "GET /api/version": lambda _: (200, {"version": "0.12.11"}),
        "POST /api/generate": generate,
    }


def decisions(probabilities: Callable[[str, Sequence[str]], Sequence[float]]) -> Routes:
    """Return the endpoint of decision models."""

    def decide(body: Mapping[str, Any]) -> Answer:
        labels = [*body["questions"]["answer"]["criteria"]]
        found = dict(zip(labels, probabilities(body["state"], labels), strict=True))
        return 200, {"answers": {"answer": {"type": "choice", "probabilities": found}}}

    return {**listed(owner="decider"), "POST /v1/systemone": decide}


class Served:
    """A server that runs, and what it was asked."""

    def __init__(self, url: str, routes: Routes) -> None:
        self.url, self.routes = url, routes
        self.requests: list[tuple[str, Mapping[str, str], Any]] = []
        self.troubles: list[Any] = []
        """What happens to the next requests: a status, (status, headers), `cut`, or seconds."""
        self.lock = threading.Lock()
        self.now = self.most = 0

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]


@contextmanager
def served(routes: Routes) -> Iterator[Served]:
    """Run a server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET", {})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer("POST", json.loads(raw or b"{}"))

        def log_message(self, *_: Any) -> None: ...

        def _answer(self, method: str, body: Any) -> None:
            route = f"{method} {self.path}"
            with state.lock:
                state.requests.append((route, dict(self.headers), body))
                trouble = state.troubles.pop(0) if state.troubles else None
                state.now += 1
                state.most = max(state.most, state.now)
            try:
                self._say(route, body, trouble)
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with state.lock:
                    state.now -= 1

        def _say(self, route: str, body: Any, trouble: Any) -> None:
            headers: Mapping[str, str] = {}
            if isinstance(trouble, float):
                sleep(trouble)
                trouble = None
            if trouble == "cut":
                self.close_connection = True
                return
            if trouble is not None:
                status, headers = trouble if isinstance(trouble, tuple) else (trouble, {})
                said: Any = {"error": {"message": "trouble"}}
            elif route in state.routes:
                status, said = state.routes[route](body)
            else:
                status, said = 404, {"error": {"message": "Not Found"}}
            content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Served(f"http://127.0.0.1:{server.server_address[1]}", routes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
