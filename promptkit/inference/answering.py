"""Requests to results: each distinct request is asked once, and stored when it is answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import NamedTuple

from promptkit.errors import ModelError, shorten
from promptkit.inference.store import Result, Store, key_of
from promptkit.models.base import Generation, JointModel, Model, Request, Sampling, Score, Usage
from promptkit.prompts.prompt import TOKEN_BYTES
from promptkit.text import shared_length
from promptkit.translation import tr

Progress = Callable[[int, int], None]
"""Called with the number of requests that are done, and with the number of all."""

COMMIT_SECONDS = 1.0
"""How much work may be lost when the process is ended."""

Requests = Mapping[bytes, Request]
"""Distinct requests by their keys."""

_ROUNDING = 0.01
"""How far above 0 rounding may lift a log-probability, in nats."""

_reused: ContextVar[Usage | None] = ContextVar("promptkit_reused", default=None)


@contextmanager
def counting_reused() -> Iterator[Usage]:
    """Count what answers from stores took when they were made; yield the counts, which grow."""
    usage = Usage()
    token = _reused.set(usage)
    try:
        yield usage
    finally:
        _reused.reset(token)


class RequestResults(NamedTuple):
    """Results of many requests."""

    results: list[Result]
    """One for each request, in their order."""
    asked: list[Request]
    """The distinct requests that the model was asked."""
    stored: int
    """Number of distinct requests that the store already had."""
    written: int
    """Number of tokens that were generated for `asked` and decoded to go on from."""


def answer(
    model: Model,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
    begin: Callable[[Sequence[Request], int], None] | None = None,
) -> RequestResults:
    """Score the candidates of requests that have some, and generate the answers of the others.

    A request that occurs twice is asked once. New results are stored as they are made.

    Args:
        model: The model that made the requests.
        requests: What is asked.
        sampling: How answers are generated.
        store: Results that need not be asked again; new ones are added.
        progress: Called after each result.
        begin: Called before the model runs with the requests it will be asked, and with the number
            of those that the store has.

    Raises:
        ModelError: A result cannot be an answer, such as a log-probability that is no number.
    """
    keys = [
        key_of(one, model.identity, None if one.candidate_tokens else sampling) for one in requests
    ]
    distinct = dict(zip(keys, requests, strict=True))
    known = _stored(store, distinct) if store is not None else {}
    stored = len(known)
    missing = {key: one for key, one in distinct.items() if key not in known}
    made = _results(model, missing, sampling)
    asked = [*missing.values()]
    if begin is not None:
        begin(asked, stored)
    unsaved: dict[bytes, Result] = {}
    saved_at = monotonic()
    try:
        for done, (key, result) in enumerate(made, start=1):
            if reason := _flaw(missing[key], result):
                raise ModelError(
                    tr("{name}: {reason}, try another one", name=model.identity.name, reason=reason)
                )
            known[key] = unsaved[key] = result
            if store is not None and monotonic() - saved_at >= COMMIT_SECONDS:
                store.put(unsaved)
                unsaved, saved_at = {}, monotonic()
            if progress is not None:
                progress(done, len(asked))
    finally:
        if store is not None and unsaved:
            store.put(unsaved)
    written = _written(known[key] for key in missing)
    return RequestResults([known[key] for key in keys], asked, stored, written)


def _results(
    model: Model, requests: Requests, sampling: Sampling
) -> Iterator[tuple[bytes, Result]]:
    """Yield the results by their keys: of one call, or those of candidates first."""
    scored = [key for key, one in requests.items() if one.candidate_tokens]
    if 0 < len(scored) < len(requests) and isinstance(model, JointModel):
        keys = [*requests]
        for index, result in model.answer([*requests.values()], sampling):
            yield keys[index], result
        return
    if scored:
        for index, score in model.score([requests[key] for key in scored]):
            yield scored[index], score
    if generated := [key for key, one in requests.items() if not one.candidate_tokens]:
        for index, generation in model.generate([requests[key] for key in generated], sampling):
            yield generated[index], generation


def _stored(store: Store, requests: Requests) -> dict[bytes, Result]:
    """Return the results that the store has for these requests, without damaged ones."""
    known = store.get(requests)
    for key in [key for key, result in known.items() if _flaw(requests[key], result)]:
        store.distrust(key)
        del known[key]
    if (usage := _reused.get()) is not None:
        usage.decode_seconds += math.fsum(one.seconds for one in known.values())
        usage.decoded_tokens += unique_tokens(requests[key] for key in known)
        usage.decoded_tokens += _written(known.values())
    return known


def _written(results: Iterable[Result]) -> int:
    """Return the number of tokens that were generated and decoded to go on from."""
    generated = [one for one in results if isinstance(one, Generation)]
    # Nothing goes on from an answer's last token.
    return sum(one.generated - (one.finish != "eos") for one in generated)


def _flaw(request: Request, result: Result) -> str | None:
    """Return why a result cannot be an answer to this request; None where it can."""
    candidates = len(request.candidate_tokens)
    if not 0 <= result.seconds < math.inf:
        reason = tr("{seconds} seconds", seconds=result.seconds)
    elif isinstance(result, Score) and max(result.unknown, default=0) >= candidates:
        reason = tr("unknown labels that are not there")
    elif isinstance(result, Score) and len(result.logprobs) == candidates:
        highest = max(result.logprobs)
        if -math.inf < highest <= _ROUNDING and not math.isnan(sum(result.logprobs)):
            return None
        reason = tr("its log-probabilities are no numbers (NaN or all -inf), or above 0,")
    elif isinstance(result, Score):
        reason = tr(
            "{count} log-probabilities of {candidates} labels",
            count=len(result.logprobs),
            candidates=candidates,
        )
    elif candidates:
        reason = tr("a generated answer where labels are scored")
    else:
        return None
    return tr(
        "{reason} for example {query}; the file may be damaged",
        reason=reason,
        query=shorten(request.prompt.query),
    )


def unique_tokens(requests: Iterable[Request]) -> int:
    """Return the fewest tokens to decode: the distinct beginnings of all sequences."""
    total = 0
    before = b""
    # In sorted order a sequence follows the one with which it shares most.
    for sequence in sorted({one for request in requests for one in request.sequences()}):
        total += len(sequence) // TOKEN_BYTES - shared_length(before, sequence, TOKEN_BYTES)
        before = sequence
    return total
