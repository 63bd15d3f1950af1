"""GGUF models in this process, through llama.cpp.

Prompts are read in the order of their tokens, so that each begins where it parts from the one
before; the candidates of a prompt are read side by side as forks of it.
"""

from __future__ import annotations

import os
import weakref
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from promptkit import chat
from promptkit.encode import Encoder, common_prefix
from promptkit.errors import ModelError, ModelFileError, PromptError, PromptTooLongError, shorten
from promptkit.models.base import (
    Generation,
    ModelIdentity,
    Sampling,
    Score,
    Usage,
)
from promptkit.models.context import Context, Logits, Settings, log_total
from promptkit.models.library import errors, forget_errors, held_interrupts, library, runtime
from promptkit.models.vocabulary import Vocabulary
from promptkit.models.weights import find, verify
from promptkit.prompts import Prompt, TokenizedPrompt

DEFAULT_CONTEXT = 4096
"""The context, in tokens, where nobody asks for another and the model was trained for as many."""

_LOGITS = 2**24
"""How many numbers a batch of candidates may come to, 64 MB; a large vocabulary makes many."""

Tokens = tuple[int, ...]


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
        params = lib.llama_model_default_params()
        with held_interrupts() as interrupted:
            goes_on = lib.llama_progress_callback(lambda _share, _data: not interrupted())
            params.progress_callback = goes_on
            model = lib.llama_model_load_from_file(os.fsencode(path), params)
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
        settings = Settings(threads or _cores())
        self._context = resources.context = Context(
            model, cells=context, settings=settings, usage=self.usage
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
            settings=str(settings),
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
        self._check_open()
        tokenized = []
        vocabulary = self.vocabulary
        for prompt in prompts:
            raw = chat.apply(
                prompt, self.chat_template, bos=vocabulary.bos_text, eos=vocabulary.eos_text
            )
            tokenized.append(self._encoder.encode(raw))
            self._check_fits(tokenized[-1])
        return tokenized

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        return self.vocabulary.piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Scores every candidate of every prompt; yields (index, score) as they are made."""
        for prompt in prompts:
            self._check_fits(prompt)
        for index in sorted(range(len(prompts)), key=lambda i: prompts[i].ids):
            start = perf_counter()
            prompt = prompts[index]
            steps = self._steps(prompt)
            logprobs = tuple(
                sum(steps[candidate[:end]] for end in range(1, len(candidate) + 1))
                for candidate in prompt.candidates
            )
            yield index, Score(logprobs, len(prompt.ids), perf_counter() - start)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Writes an answer to every prompt; yields (index, generation) as they are made.

        The answer to a prompt depends on the prompt and the seed, not on its neighbours, except
        where two tokens are as good as equal.
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
                row = self._read((*prompt.ids, *tokens))
        return Generation(
            text=written.decode("utf-8", "replace"),
            finish=finish,  # type: ignore[arg-type]
            tokens=len(prompt.ids),
            generated=len(tokens),
            seconds=perf_counter() - start,
        )

    def _read(self, ids: Tokens) -> Logits:
        """The logits after `ids`, (1, vocabulary); what sequence 0 holds is not read again."""
        self._check_open()
        shared = min(common_prefix([self._trunk, ids]), len(ids) - 1)
        trunk, self._trunk = self._trunk, ()  # unknown, should the runtime fail half-way
        if len(trunk) > shared and not self._context.rewind(shared):
            shared = 0
        if not shared:
            self._context.rewind(0)
        rows: Logits | None = None
        for start in range(shared, len(ids), self._context.batch):
            tokens = ids[start : start + self._context.batch]
            end = start + len(tokens)
            outputs = [len(tokens) - 1] if end == len(ids) else []
            rows = self._context.decode(tokens, range(start, end), [0] * len(tokens), outputs)
        assert rows is not None
        self._trunk = ids
        return rows

    def _steps(self, prompt: TokenizedPrompt) -> dict[Tokens, float]:
        """For every beginning of a candidate, the log-probability of its last token."""
        following: dict[Tokens, set[int]] = defaultdict(set)
        for candidate in prompt.candidates:
            for depth, token in enumerate(candidate):
                following[candidate[:depth]].add(token)
        steps: dict[Tokens, float] = {}

        def take(beginnings: Sequence[Tokens], rows: Logits) -> None:
            for beginning, row in zip(beginnings, rows, strict=True):
                total = log_total(row)
                for token in following[beginning]:
                    path = (*beginning, token)
                    steps[path] = float(row[token]) - total

        take([()], self._read(prompt.ids))
        trunk, self._trunk = self._trunk, ()  # unknown while it has forks
        for wave in self._waves(prompt):
            rows = self._fork(len(prompt.ids), wave)
            take([path[: end + 1] for path in wave for end in range(len(path))], rows)
        self._trunk = trunk
        return steps

    def _waves(self, prompt: TokenizedPrompt) -> Iterator[list[Tokens]]:
        """The candidates without their last tokens, in batches for which there is room."""
        context = self._context
        room = min(context.batch, context.cells - len(prompt.ids), _LOGITS // context.n_vocab)
        paths = sorted({c[:-1] for c in prompt.candidates if len(c) > 1}, reverse=True)
        wave: list[Tokens] = []
        used = 0
        for index, path in enumerate(paths):
            if index and paths[index - 1][: len(path)] == path:
                continue  # it is read as the beginning of another path
            if wave and (used + len(path) > room or len(wave) == context.sequences - 1):
                yield wave
                wave, used = [], 0
            wave.append(path)
            used += len(path)
        if wave:
            yield wave

    def _fork(self, depth: int, paths: Sequence[Tokens]) -> Logits:
        """The logits after every token of the paths, read side by side at `depth`."""
        context = self._context
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        for sequence, path in enumerate(paths, start=1):
            context.fork(sequence)
            tokens += path
            positions += range(depth, depth + len(path))
            sequences += [sequence] * len(path)
        rows = context.decode(tokens, positions, sequences, range(len(tokens)))
        for sequence in range(1, len(paths) + 1):
            context.drop(sequence)
        return rows

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise ModelError(f"the model {self.identity.name} is closed")

    def _check_fits(self, prompt: TokenizedPrompt, answer: int | None = None) -> None:
        """Refuses what the context has no room for; `answer` is a budget of tokens."""
        name = f"example {shorten(prompt.prompt.query)} with {len(prompt.prompt.shots)} shots"
        longest = max(map(len, prompt.candidates), default=0) if answer is None else answer
        if answer is None and longest > self._context.batch:
            raise PromptError(
                f"{name}: an answer of {longest} tokens; an answer that is scored has at most "
                f"{self._context.batch}"
            )
        if len(prompt.ids) + longest > self._context.cells:
            raise PromptTooLongError(
                f"{name}: {len(prompt.ids)} tokens of prompt and {longest} of answer do not fit "
                f"the context of {self._context.cells}; ask for fewer shots or a larger context"
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
    return int((logits + temperature * random.gumbel(size=logits.shape)).argmax())


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1
