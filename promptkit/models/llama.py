"""GGUF models in this process, through llama.cpp.

Prompts are read in the order of their tokens, so that each begins where it parts from the one
before; the candidates of a prompt are read side by side as forks of it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from promptkit import chat
from promptkit.encode import Encoder, common_prefix
from promptkit.errors import ModelError, ModelFileError, PromptTooLongError, shorten
from promptkit.models.base import (
    Generation,
    ModelIdentity,
    Sampling,
    Score,
    Usage,
)
from promptkit.models.context import Context, Logits, log_softmax
from promptkit.models.library import errors, forget_errors, library, runtime
from promptkit.models.vocabulary import Vocabulary
from promptkit.models.weights import find, verify
from promptkit.prompts import Prompt, TokenizedPrompt

DEFAULT_CONTEXT = 4096
"""The context, in tokens, where nobody asks for another and the model was trained for as many."""

_BATCH = 512


def load_model(
    name: str | Path = "smollm2", *, context: int | None = None, threads: int | None = None
) -> LlamaModel:
    """Loads a GGUF model by path, `smollm2`, or `hf:owner/repo/file.gguf`.

    `context` is the longest prompt with its answer, in tokens. Raises `ModelFileError` for a file
    that is missing, damaged or of an unknown kind, `ModelError` for what cannot be fetched, and
    `MissingExtraError` where a name needs a package that is not installed.
    """
    return LlamaModel(find(name), name=str(name), context=context, threads=threads)


class LlamaModel:
    """A GGUF model (`promptkit.models.base.Model`). Not safe for threads."""

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        context: int | None = None,
        threads: int | None = None,
    ) -> None:
        file = verify(path)
        lib = library()
        forget_errors()
        model = lib.llama_model_load_from_file(os.fsencode(path), lib.llama_model_default_params())
        if not model:
            raise ModelFileError(path, f"llama.cpp cannot load it: {errors() or 'no reason given'}")
        trained: int = lib.llama_model_n_ctx_train(model)
        context = min(trained, DEFAULT_CONTEXT) if context is None else context
        self.usage = Usage()
        resources = _Resources(lib, model)
        self._finalizer = weakref.finalize(self, resources.close)
        if not 0 < context <= trained:
            raise ModelError(
                f"a context of {context} tokens: {path.name} was trained for {trained}"
            )
        self._context = resources.context = Context(
            model, cells=context, batch=_BATCH, threads=threads or _cores(), usage=self.usage
        )
        if not self._context.has_memory or lib.llama_model_has_encoder(model):
            raise ModelFileError(path, "not a model that continues text")
        self.vocabulary = Vocabulary(model, file.header)
        self._encoder = Encoder(self.vocabulary)
        self._trunk: tuple[int, ...] = ()
        template = lib.llama_model_chat_template(model, None)
        self.chat_template: str | None = template.decode("utf-8") if template else None
        """The chat template that the file carries."""
        self.identity = ModelIdentity(
            name=name or path.name,
            sha256=file.sha256,
            architecture=file.header.architecture,
            weights=file.header.weight_type,
            runtime=runtime(),
            context=self._context.cells,
        )

    def close(self) -> None:
        """Frees the model's memory; it is of no use afterwards."""
        self._finalizer()

    def __repr__(self) -> str:
        return f"<LlamaModel {self.identity.name} ({self.identity.weights})>"

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TokenizedPrompt]:
        """The prompts as this model reads them.

        Raises `PromptError` for a prompt that does not fit, labels that its tokens cannot tell
        apart, or turns that its chat template refuses.
        """
        tokenized = []
        vocabulary = self.vocabulary
        for prompt in prompts:
            raw = chat.apply(
                prompt, self.chat_template, bos=vocabulary.bos_text, eos=vocabulary.eos_text
            )
            tokenized.append(self._encoder.encode(raw))
            self._check_fits(tokenized[-1], 0)
        return tokenized

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        return self.vocabulary.piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Scores every candidate of every prompt; yields (index, score) as they are made."""
        for index in sorted(range(len(prompts)), key=lambda i: prompts[i].ids):
            start = perf_counter()
            prompt = prompts[index]
            self._check_fits(prompt, 0)
            first = log_softmax(self._read(prompt.ids))[0]
            inner = self._inner_rows(prompt)
            logprobs = []
            for candidate in prompt.candidates:
                total = first[candidate[0]]
                for depth in range(1, len(candidate)):
                    total += inner[candidate[:depth]][candidate[depth]]
                logprobs.append(float(total))
            seconds = perf_counter() - start
            yield index, Score(tuple(logprobs), len(prompt.ids), seconds)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Writes an answer to every prompt; yields (index, generation) as they are made.

        The answer to a prompt depends on the prompt and the seed only, not on its neighbours.
        """
        for prompt in prompts:
            self._check_fits(prompt, sampling.max_tokens)
        for index in sorted(range(len(prompts)), key=lambda i: prompts[i].ids):
            yield index, self._write(prompts[index], sampling)

    def _write(self, prompt: TokenizedPrompt, sampling: Sampling) -> Generation:
        start = perf_counter()
        random = np.random.default_rng([sampling.seed, *prompt.ids])
        stop = prompt.prompt.stop.encode("utf-8")
        row = self._read(prompt.ids)
        written = b""
        finish = "length"
        tokens: list[int] = []
        for _ in range(sampling.max_tokens):
            token = _sample(row, sampling.temperature, random)
            if self.vocabulary.ends(token):
                finish = "eos"
                break
            written += self.vocabulary.piece(token)
            tokens.append(token)
            if stop and (at := written.find(stop)) >= 0:
                written, finish = written[:at], "stop"
                break
            if len(tokens) < sampling.max_tokens:
                position = len(prompt.ids) + len(tokens) - 1
                row = self._context.decode([token], [position], [0], [0])
                self._trunk = (*self._trunk, token)
        return Generation(
            text=written.decode("utf-8", "replace"),
            finish=finish,  # type: ignore[arg-type]
            tokens=len(prompt.ids),
            generated=len(tokens),
            seconds=perf_counter() - start,
        )

    def _read(self, ids: tuple[int, ...]) -> Logits:
        """The logits after `ids`, (1, vocabulary); what sequence 0 holds is not read again."""
        shared = min(common_prefix([self._trunk, ids]), len(ids) - 1)
        trunk, self._trunk = self._trunk, ()  # unknown, should the runtime fail half-way
        if len(trunk) != shared and not self._context.rewind(shared):
            self._context.rewind(shared := 0)
        rows: Logits | None = None
        for start in range(shared, len(ids), self._context.batch):
            tokens = ids[start : start + self._context.batch]
            end = start + len(tokens)
            outputs = [len(tokens) - 1] if end == len(ids) else []
            rows = self._context.decode(tokens, range(start, end), [0] * len(tokens), outputs)
        assert rows is not None
        self._trunk = ids
        return rows

    def _inner_rows(self, prompt: TokenizedPrompt) -> dict[tuple[int, ...], Any]:
        """The log-probabilities after every candidate's beginnings, by the beginning."""
        paths = sorted({c[:-1] for c in prompt.candidates if len(c) > 1}, reverse=True)
        # A beginning of another path needs no sequence of its own.
        paths = [p for i, p in enumerate(paths) if i == 0 or paths[i - 1][: len(p)] != p]
        rows: dict[tuple[int, ...], Any] = {}
        waiting = iter(paths)
        for first in waiting:
            wave = [first]
            room = min(self._context.batch, self._context.cells - len(prompt.ids)) - len(first)
            for path in islice(waiting, self._context.sequences - 2):
                wave.append(path)
                room -= len(path)
                if room < max(map(len, paths)):
                    break
            rows.update(self._decode_forks(len(prompt.ids), wave))
        return rows

    def _decode_forks(
        self, depth: int, paths: Sequence[tuple[int, ...]]
    ) -> dict[tuple[int, ...], Any]:
        context = self._context
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        nodes: list[tuple[int, ...]] = []
        for sequence, path in enumerate(paths, start=1):
            context.fork(sequence)
            tokens += path
            positions += range(depth, depth + len(path))
            sequences += [sequence] * len(path)
            nodes += [path[: end + 1] for end in range(len(path))]
        try:
            rows = log_softmax(context.decode(tokens, positions, sequences, range(len(tokens))))
        finally:
            for sequence in range(1, len(paths) + 1):
                context.drop(sequence)
        return dict(zip(nodes, rows, strict=True))

    def _check_fits(self, prompt: TokenizedPrompt, answer: int) -> None:
        longest = max(map(len, prompt.candidates), default=answer)
        needed = len(prompt.ids) + longest
        if needed > self._context.cells:
            raise PromptTooLongError(
                f"example {shorten(prompt.prompt.query)} with {len(prompt.prompt.shots)} shots: "
                f"{len(prompt.ids)} tokens of prompt and {longest} of answer do not fit the "
                f"context of {self._context.cells}; ask for fewer shots or a larger context"
            )


class _Resources:
    """What must be freed, in this order, when a model goes away."""

    def __init__(self, lib: Any, model: Any) -> None:
        self._lib, self._model = lib, model
        self.context: Context | None = None

    def close(self) -> None:
        if self.context is not None:
            self.context.close()
        self._lib.llama_model_free(self._model)


def _sample(row: Logits, temperature: float, random: np.random.Generator) -> int:
    logits = row[0]
    if temperature == 0:
        return int(logits.argmax())
    # Gumbel-max: adding Gumbel noise and taking the largest draws from the softmax.
    noise = random.gumbel(size=logits.shape)
    return int((logits / temperature + noise).argmax())


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1
