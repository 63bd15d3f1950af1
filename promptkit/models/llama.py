"""GGUF models in this process, through llama.cpp.

All prompts and candidates of a call become one plan (`promptkit.models.planning.prefix_trie`), in
which everything they have in common is read once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import NoReturn, TypeVar

from promptkit.errors import ModelError, ModelFileError, PromptError, PromptTooLongError, shorten
from promptkit.models.base import (
    Generation,
    Memory,
    ModelIdentity,
    Sampling,
    Score,
    Usage,
    Weights,
)
from promptkit.models.planning import executor
from promptkit.models.planning.batches import Schedule
from promptkit.models.planning.prefix_trie import Item, Plan
from promptkit.models.prepare.model_files import find, verify
from promptkit.models.prepare.prepare import Notify, log, prepared
from promptkit.models.runtime.access import Access
from promptkit.models.runtime.adapter import Adapter, load_adapter
from promptkit.models.runtime.context import Context, Settings
from promptkit.models.runtime.generation import Answer
from promptkit.models.runtime.grammar import Grammars
from promptkit.models.runtime.library import (
    errors,
    forget_errors,
    held_interrupts,
    library,
    runtime,
)
from promptkit.models.runtime.resources import Resources, Usages
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.models.runtime.watched_file import WatchedFile
from promptkit.models.tokens.encoder import Encoder
from promptkit.prompts import chat_template
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

DEFAULT_CONTEXT = 4096
"""The context, in tokens, where nobody asks for another and the model was trained for as many."""

TOLERANCES = {"F32": 1e-3, "F16": 0.05, "BF16": 0.3}
"""`ModelIdentity.tolerance` by the type of the weights that run; two to three times the most that
was measured. A difference in the last bit grows where activations are rounded, and most where
kernels for integers round them to 8 bits."""

_OF_INTEGERS = 1.0

T = TypeVar("T")


def load_model(
    name: str | Path = "smollm2",
    *,
    context: int | None = None,
    threads: int | None = None,
    exact: bool = False,
    adapter: str | Path | None = None,
    weights: Weights = "auto",
    notify: Notify = log.info,
) -> LlamaModel:
    """Loads a GGUF model by path, `smollm2`, or `hf:owner/repo/file.gguf`.

    `context` is the longest prompt with its answer, in tokens. An `exact` model reads every prompt
    alone, which is slower, so that no result depends on what else is asked. `adapter` is a LoRA
    adapter in a GGUF file (`LlamaModel.adapted`). `weights` says what runs: with `auto`, the
    fastest on this machine that are as precise as the file's, which takes some seconds to find out
    at first use, and `notify` is told; with `as-is`, the file, and nothing is written.

    Raises `ModelFileError` for a file that is missing, damaged or of an unknown kind, `ModelError`
    for what cannot be fetched or made, and `MissingExtraError` where a name needs a package that is
    not installed.
    """
    model = LlamaModel(
        find(name),
        name=str(name),
        context=context,
        threads=threads,
        exact=exact,
        weights=weights,
        notify=notify,
    )
    return model.adapted(adapter) if adapter is not None else model


class LlamaModel:
    """A GGUF model (`promptkit.models.base.Model`), for the process that loaded it.

    Threads may share it: a run waits until those of other threads are over.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        context: int | None = None,
        threads: int | None = None,
        exact: bool = False,
        weights: Weights = "as-is",
        notify: Notify = log.info,
    ) -> None:
        since = os.stat(path) if os.path.exists(path) else None
        file = verify(path)
        source = prepared(file, weights, notify)
        watched = WatchedFile(source.path, since if source.path == path else None)
        lib = library()
        forget_errors()
        params = lib.llama_model_default_params()
        with held_interrupts() as interrupted:
            goes_on = lib.llama_progress_callback(lambda _share, _data: not interrupted())
            params.progress_callback = goes_on
            model = lib.llama_model_load_from_file(os.fsencode(source.path), params)
        if not model:
            reason = errors() or "no reason given"
            raise ModelFileError(source.path, f"llama.cpp cannot load it: {reason}")
        self._resources = Resources(lib, model, name or path.name, watched)
        watched.check_loaded()
        trained: int = lib.llama_model_n_ctx_train(model)
        context = min(trained, DEFAULT_CONTEXT) if context is None else context
        self._usage, self._usages = Usage(), Usages()
        if not 0 < context <= trained:
            raise ModelError(
                f"a context of {context} tokens: {path.name} was trained for {trained}"
            )
        settings = replace(source.settings, threads=threads or source.settings.threads)
        self._context = self._resources.add(
            Context(
                model,
                length=context,
                settings=settings,
                usage=self._usage,
                cache_width=file.header.cache_width,
            )
        )
        if not self._context.has_memory or lib.llama_model_has_encoder(model):
            raise ModelFileError(path, "not a model that continues text")
        self.vocabulary = Vocabulary(model, file.header, owner=self._resources)
        self._encoder = Encoder(self.vocabulary)
        self._grammars = Grammars(self.vocabulary)
        self._exact = exact
        self._file, self._pointer = source.path, model
        self._adapters: tuple[Adapter, ...] = ()
        template = lib.llama_model_chat_template(model, None)
        self.chat_template: str | None = template.decode("utf-8") if template else None
        """The chat template that the file carries."""
        self.identity = ModelIdentity(
            name=name or path.name,
            sha256=file.sha256,
            architecture=file.header.architecture,
            weights=source.weights,
            runtime=runtime(),
            context=self._context.length,
            settings=f"{settings}, each prompt alone" if exact else str(settings),
            tolerance=0.0 if exact else _tolerance(source.weights, settings),
        )

    @property
    def usage(self) -> Usage:
        """What the work of this thread cost so far, with that of models that share the memory."""
        return self._usages.usage

    @property
    def memory(self) -> Memory:
        """What it takes while it runs, in bytes; no run takes more."""
        return self._context.memory

    def adapted(self, path: str | Path, *, scale: float = 1.0) -> LlamaModel:
        """This model with a LoRA adapter, `scale` times; the model itself stays as it is.

        The two share their memory, and may be compared with each other. Raises `ModelFileError`
        for a file that is missing, damaged or not an adapter for this model.
        """
        with self._access.use(), self._access.lock:
            adapter = load_adapter(self._pointer, self._file, Path(path), scale)
        model = object.__new__(type(self))
        model.__dict__ |= self.__dict__
        model._adapters = (*self._adapters, adapter)
        name = f"{self.identity.name}+{Path(path).stem}"
        applied = ", ".join(one.identity for one in model._adapters)
        model.identity = replace(self.identity, name=name, adapter=applied)
        return model

    def close(self) -> None:
        """Frees the model's memory; it is of no use afterwards, in any thread."""
        self._access.close()

    def __reduce__(self) -> NoReturn:
        self._access.refuse_pickling()

    def __repr__(self) -> str:
        return f"<LlamaModel {self.identity.name} ({self.identity.weights})>"

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TokenizedPrompt]:
        """The prompts as this model reads them.

        Raises `PromptError` for a prompt that does not fit, labels that its tokens cannot tell
        apart, turns that its chat template refuses, or an answer's format without a grammar.
        """
        with self._access.use(), self._access.lock:
            vocabulary = self.vocabulary
            bos, eos = vocabulary.bos_text, vocabulary.eos_text
            raw = [
                chat_template.apply(prompt, self.chat_template, bos=bos, eos=eos)
                for prompt in prompts
            ]
            tokenized = self._encoder.encode_all(raw)
            for prompt in tokenized:
                self._check_fits(prompt)
                self._grammars.of(prompt.prompt)
            return tokenized

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        with self._access.use():
            return self.vocabulary.piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Scores every candidate of every prompt; yields (index, score) as they are made.

        What prompts and candidates have in common is read once, or, for an `exact` model, each
        prompt alone.
        """
        for prompt in prompts:
            self._check_fits(prompt)
            if not prompt.candidates:
                name = shorten(prompt.prompt.query)
                raise PromptError(f"example {name}: no candidates to score; generate its answer")

        def begin(indices: Sequence[int]) -> Iterator[list[tuple[int, tuple[float, ...]]]]:
            items = [Item(prompts[i].ids, prompts[i].candidates) for i in indices]
            plan = Plan(items, self._context.limits)
            return executor.score(plan, self._schedule(plan), self._context)

        for index, logprobs, seconds in self._run(len(prompts), begin):
            yield index, Score(logprobs, len(prompts[index].ids), seconds)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Writes an answer to every prompt; yields (index, generation) as they are made.

        The answer to a prompt depends on the prompt and the seed, not on its neighbours, except
        where two tokens are as good as equal.
        """
        for prompt in prompts:
            self._check_fits(prompt, sampling.max_tokens)

        def begin(indices: Sequence[int]) -> Iterator[list[tuple[int, Answer]]]:
            items = [Item(prompts[i].ids, budget=sampling.max_tokens) for i in indices]
            with self._access.lock:
                grammars = [self._grammars.of(prompts[i].prompt) for i in indices]
            answers = [
                Answer(prompts[i], self.vocabulary, sampling, grammar)
                for i, grammar in zip(indices, grammars, strict=True)
            ]
            plan = Plan(items, self._context.limits)
            writers = [answer.go_on for answer in answers]
            for done in executor.write(self._schedule(plan), self._context, writers):
                yield [(item, answers[item]) for item in done]

        for index, answer, seconds in self._run(len(prompts), begin):
            yield index, answer.generation(seconds)

    def _run(
        self, count: int, begin: Callable[[Sequence[int]], Iterator[list[tuple[int, T]]]]
    ) -> Iterator[tuple[int, T, float]]:
        """Results as they are made, with their share of the time.

        Where another run on this model comes between, what is left begins anew.
        """
        left = dict.fromkeys(range(count))
        run, seconds = object(), 0.0
        steps: Iterator[list[tuple[int, T]]] | None = None
        try:
            while left:
                with self._access.turn(run) as continues:
                    start = perf_counter()
                    if steps is None or not continues:
                        indices = list(left)[: 1 if self._exact else None]
                        steps = begin(indices)
                    done = self._next(steps)
                    seconds += perf_counter() - start
                if done is None:
                    steps = None
                elif done:
                    share, seconds = seconds / len(done), 0.0
                    for item, result in done:
                        del left[indices[item]]
                        yield indices[item], result, share
                        self._access.check()
        finally:
            self._access.end(run)

    def _next(self, steps: Iterator[T]) -> T | None:
        """The next of the steps, None after the last; errors say whose they are."""
        self._resources.file.check()
        before, own = replace(self._usage), self.usage
        try:
            return next(steps, None)
        except ModelError as error:
            raise ModelError(f"{self.identity.name}: {error}") from error
        finally:
            own.decoded_tokens += self._usage.decoded_tokens - before.decoded_tokens
            own.decode_seconds += self._usage.decode_seconds - before.decode_seconds

    def _schedule(self, plan: Plan) -> Schedule:
        """The batches of a plan; what its prompts share with those before is not read again."""
        self._context.adapt(self._adapters)
        if self._exact:
            self._context.clear()
        stem = plan.stem.tokens.tolist() if plan.stem is not None else []
        wants = plan.stem is not None and plan.stem.wants
        return Schedule(plan, read=self._context.begin(stem, wants=wants))

    @property
    def _access(self) -> Access:
        return self._resources.access

    def _check_fits(self, prompt: TokenizedPrompt, answer: int | None = None) -> None:
        """Refuses what the context has no room for; `answer` is a budget of tokens."""
        longest = max(map(len, prompt.candidates), default=0) if answer is None else answer
        if len(prompt.ids) + longest > self._context.length:
            asked = prompt.prompt
            name = f"example {shorten(asked.query)} with {len(asked.shots)} shots"
            raise PromptTooLongError(
                f"{name}: {len(prompt.ids)} tokens of prompt and {longest} of answer do not fit "
                f"the context of {self._context.length}; ask for fewer shots or a larger context"
            )


def _tolerance(weights: str, settings: Settings) -> float:
    """Return the tolerance of weights such as `Q4_1`, or `F16 from Q4_1`.

    In front of flash attention llama.cpp casts keys and values to F16, whatever the weights are.
    """
    halves = settings.flash_attention or settings.cache != "f32"
    least = TOLERANCES["F16"] if halves else 0.0
    return max(TOLERANCES.get(weights.split()[0], _OF_INTEGERS), least)
