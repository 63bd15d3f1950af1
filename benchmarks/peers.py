"""Other libraries on the same prompts: llama-cpp-python's own `Llama`, and guidance on top of it.

Every loop is the fastest honest one that we know: texts are rendered beforehand, the model reads in
batches of 512 on the same threads, and what the last prompt left in memory is used again.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.work import Asked


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a loop to one prompt."""

    label: str | None
    """None where it wrote something else."""
    margin: float | None = None
    """Difference between the best label and the second, in nats, if every label has a score."""


def stock(path: str, *, context: int, threads: int, flash_attention: bool) -> Any:
    """llama-cpp-python's `Llama`; `context` is the longest prompt with its answer."""
    from llama_cpp import Llama

    return Llama(
        path,
        n_ctx=-(-context // 256) * 256,
        n_batch=512,
        n_threads=threads,
        n_threads_batch=threads,
        flash_attn=flash_attention,
        verbose=False,
    )


def first_token(llama: Any, asked: Sequence[Asked]) -> list[Answer]:
    """One token is generated after each prompt; the likeliest label is read off its logits."""
    return [_first_token(llama, one.text, one) for one in asked]


def first_token_sorted(llama: Any, asked: Sequence[Asked]) -> list[Answer]:
    """The same in the order of the tokens, which shares the most between neighbours."""
    tokens = [llama.tokenize(one.text.encode()) for one in asked]
    answers: dict[int, Answer] = {}
    for index in sorted(range(len(asked)), key=tokens.__getitem__):
        answers[index] = _first_token(llama, tokens[index], asked[index])
    return [answers[index] for index in range(len(asked))]


def _first_token(llama: Any, prompt: str | list[int], asked: Asked) -> Answer:
    from llama_cpp import llama_get_logits_ith

    llama.create_completion(prompt, max_tokens=1, temperature=0.0)
    logits = llama_get_logits_ith(llama.ctx, -1)
    scores = [logits[_only_token(llama, answer)] for answer in asked.answers]
    return _best(asked, scores)


def _only_token(llama: Any, answer: str) -> int:
    tokens = llama.tokenize(answer.encode(), add_bos=False)
    if len(tokens) != 1:
        raise ValueError(f"{answer!r} is {len(tokens)} tokens for this model, not one")
    return int(tokens[0])


def written(llama: Any, asked: Sequence[Asked]) -> list[Answer]:
    """Each answer is generated greedily up to the stop, or to the length of the longest label."""
    answers = []
    for one in asked:
        longest = max(len(llama.tokenize(text.encode(), add_bos=False)) for text in one.answers)
        done = llama.create_completion(
            one.text, max_tokens=longest + 1, temperature=0.0, stop=[one.stop]
        )
        text = done["choices"][0]["text"].strip()
        answers.append(Answer(text if text in one.labels else None))
    return answers


def loglikelihood(llama: Any, asked: Sequence[Asked]) -> list[Answer]:
    """Each label's log-likelihood, label after label; only what is new is read.

    The prompt is read once, on from what it shares with the one before, and the row after it is
    kept; then each label is read behind it, except for its last token.
    """
    answers = []
    for one in asked:
        prompt = llama.tokenize(one.text.encode())
        depth, first, scores = 0, None, []
        for answer in one.answers:
            whole = llama.tokenize((one.text + answer).encode())
            start = _common(prompt, whole)
            if first is None or start != depth:  # where the answer's first token ate the prompt's
                llama.n_tokens = min(_common(llama.input_ids[: llama.n_tokens], whole), start - 1)
                llama.eval(whole[llama.n_tokens : start])
                depth, first = start, _rows(llama, 1).copy()
            inner = whole[start:-1]
            rows = [*first, *_read(llama, start, inner, outputs=len(inner))]
            scores.append(_logprob(rows, whole[start:]))
        answers.append(_best(one, scores))
    return answers


def loglikelihood_anew(llama: Any, asked: Sequence[Asked]) -> list[Answer]:
    """The same without reuse: all is read from the start, as by a server that keeps nothing."""
    answers = []
    for one in asked:
        prompt = llama.tokenize(one.text.encode())
        scores = []
        for answer in one.answers:
            whole = llama.tokenize((one.text + answer).encode())
            start = _common(prompt, whole)
            llama.reset()
            rows = _read(llama, 0, whole[:-1], outputs=len(whole) - start)
            scores.append(_logprob(rows, whole[start:]))
        answers.append(_best(one, scores))
    return answers


def _read(llama: Any, depth: int, tokens: list[int], outputs: int) -> npt.NDArray[np.float32]:
    """Reads tokens at `depth` in one batch; the logits after the last `outputs` of them.

    `Llama.eval` gives all rows or the last, so its parts are called here, as it calls them.
    """
    if not tokens:
        return np.empty((0, llama.n_vocab()), np.float32)
    if len(tokens) > llama.n_batch:
        raise ValueError(f"{len(tokens)} tokens do not fit a batch of {llama.n_batch}")
    llama._ctx.kv_cache_seq_rm(-1, depth, -1)
    llama._batch.set_batch(tokens, depth, False)
    for index in range(len(tokens) - outputs, len(tokens)):
        llama._batch.batch.logits[index] = True
    llama._ctx.decode(llama._batch)
    llama.n_tokens = depth + len(tokens)
    llama.input_ids[depth : llama.n_tokens] = tokens
    return _rows(llama, outputs)


def _rows(llama: Any, count: int) -> npt.NDArray[np.float32]:
    return np.ctypeslib.as_array(llama._ctx.get_logits(), (count, llama.n_vocab()))


def _logprob(rows: Iterable[npt.NDArray[np.float32]], tokens: Sequence[int]) -> float:
    total = 0.0
    for row, token in zip(rows, tokens, strict=True):
        peak = row.max()
        total += float(row[token] - peak - np.log(np.exp(row - peak).sum()))
    return total


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the length of the common prefix of two sequences."""
    length = min(len(a), len(b))
    (different,) = np.nonzero(np.not_equal(a[:length], b[:length]))
    return int(different[0]) if len(different) else length


def _best(asked: Asked, scores: Sequence[float]) -> Answer:
    ranked = sorted(scores, reverse=True)
    margin = next((a - b for a, b in pairwise(ranked)), None)
    return Answer(asked.labels[scores.index(ranked[0])], margin)


def guided(llama: Any) -> Any:
    """guidance on a `Llama`. Raises whatever it raises where the two do not fit."""
    from guidance import models

    with warnings.catch_warnings():  # of chat templates that it does not know; none is used here
        warnings.simplefilter("ignore")
        return models.LlamaCpp(llama, echo=False, enable_monitoring=False)


def selected(model: Any, asked: Sequence[Asked]) -> list[Answer]:
    """guidance's `select`, which walks the labels greedily and reads only what is new."""
    from guidance import select

    answers = []
    for one in asked:
        out = model + one.text + select(list(one.answers), name="answer")
        answers.append(Answer(one.labels[one.answers.index(out["answer"])]))
    return answers
