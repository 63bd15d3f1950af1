"""GGUF models in this process, through llama.cpp.

All prompts and candidates of a call become one plan (`promptkit.models.planning.prefix_trie`), in
which everything they have in common is decoded once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

from promptkit.errors import ModelError
from promptkit.models.base import (
    Generation,
    GpuLayers,
    LoadedFrom,
    Memory,
    ModelIdentity,
    Sampling,
    Score,
    Usage,
    UsageByThread,
    Weights,
    check_fits,
    check_scored,
)
from promptkit.models.gguf.file_size import model_size
from promptkit.models.planning import executor
from promptkit.models.planning.best_candidate import scored_item
from promptkit.models.planning.candidate_trie import Sums
from promptkit.models.planning.prefix_trie import Item, Plan
from promptkit.models.prepare.adapter_file import load_adapter
from promptkit.models.prepare.model_files import find, verify
from promptkit.models.prepare.prepare import Notify, log, prepared
from promptkit.models.runtime.context import Context
from promptkit.models.runtime.generation import AnswerWriter
from promptkit.models.runtime.gpu import layers
from promptkit.models.runtime.grammar import Grammars
from promptkit.models.runtime.library import library, runtime
from promptkit.models.runtime.loaded_model import Adapter, LoadedModel
from promptkit.models.runtime.prefix_state import PrefixState
from promptkit.models.runtime.turns import Batches, in_turns
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.models.tokens.encoder import Encoder, common_prefix
from promptkit.prompts import chat_template
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.translation import tr

DEFAULT_CONTEXT = 4096
"""The context, in tokens, by default, where the model was trained for as many."""

T = TypeVar("T")


def load_model(
    name: str | Path = "smollm2",
    *,
    context: int | None = None,
    threads: int | None = None,
    exact: bool = False,
    adapter: str | Path | None = None,
    weights: Weights = "auto",
    gpu_layers: GpuLayers = "auto",
    notify: Notify = log.info,
) -> LlamaModel:
    """Load a GGUF model.

    Args:
        name: A path, `smollm2`, or `hf:owner/repo/file.gguf`.
        context: The longest prompt with its answer, in tokens; by default 4096, or fewer where the
            model was trained for fewer.
        threads: The threads that compute; by default as many as were measured to be fastest.
        exact: Decode every prompt alone, so that no result depends on what else is asked. Slower.
        adapter: A LoRA adapter in a GGUF file (`LlamaModel.adapted`).
        weights: `auto` runs the fastest weights on this machine that are as precise as the file's;
            measuring takes some seconds at first use. `as-is` runs the file and writes nothing.
            Any other value is a type of weights.
        gpu_layers: The layers that run on a GPU, where llama.cpp was built for one: `auto` for what
            was measured to be fastest, or a number, 0 for none.
        notify: A function that is called with a sentence when something is measured.

    Returns:
        The model, ready to run.

    Raises:
        ModelFileError: The file is missing, damaged or of an unknown kind.
        ModelError: The file cannot be fetched, or weights that were named cannot be made.
        MissingExtraError: The name needs a package that is not installed.

    Example:
        >>> load_model("smollm2", weights="as-is")
        <LlamaModel smollm2 (Q4_1)>
    """
    model = LlamaModel(
        find(name),
        name=str(name),
        context=context,
        threads=threads,
        exact=exact,
        weights=weights,
        gpu_layers=gpu_layers,
        notify=notify,
    )
    return model.adapted(adapter) if adapter is not None else model


class LlamaModel:
    """A GGUF model (`promptkit.models.base.Model`), for the process that loaded it.

    Threads may share it: a run waits until those of other threads are over.

    Args:
        path: The model file.
        name: The model's name in messages and reports; by default the file's.
        context: As for `load_model`, like all that follow.
        threads: See there.
        exact: See there.
        weights: See there.
        gpu_layers: See there.
        notify: See there.

    Raises:
        ModelFileError: The file is missing, damaged or of an unknown kind.
        ModelError: The context is longer than the model allows, or needs too much memory.

    Example:
        >>> load_model("smollm2", weights="as-is", context=1024).identity.context
        1024
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
        gpu_layers: GpuLayers = "auto",
        notify: Notify = log.info,
    ) -> None:
        since = os.stat(path) if os.path.exists(path) else None
        file = verify(path)
        source = prepared(file, weights, notify)
        settings, unchanged = source.settings, since if source.path == path else None
        on_gpu = layers(gpu_layers, settings.gpu_layers, file.header.layers)
        settings = replace(settings, threads=threads or settings.threads, gpu_layers=on_gpu)
        model = LoadedModel(source.path, name=name or path.name, since=unchanged, gpu_layers=on_gpu)
        self._model, self._access, self._exact = model, model.access, exact
        self._usage, self._usages = Usage(), UsageByThread()
        self._context = Context(
            model,
            length=model.context_length(context, DEFAULT_CONTEXT),
            settings=settings,
            usage=self._usage,
            cache_width=file.header.cache_width,
        )
        self.vocabulary = Vocabulary(model, file.header)
        self._encoder = Encoder(self.vocabulary)
        self._grammars = Grammars(self.vocabulary)
        self._adapters: tuple[Adapter, ...] = ()
        self.size = model_size(file.header)
        """Its parameters and bytes, and those of its adapters."""
        self.origin = LoadedFrom(name or str(path), weights, exact, gpu_layers=on_gpu)
        """How to load it again."""
        self.shares_batches = not exact
        """True where the prompts of a call are decoded together."""
        template = library().llama_model_chat_template(model.pointer, None)
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
            tolerance=0.0 if exact else settings.tolerance(source.weights),
        )

    @property
    def usage(self) -> Usage:
        """The cost of this thread's work so far, on all models that share the memory."""
        return self._usages.usage

    @property
    def memory(self) -> Memory:
        """The memory that it takes while it runs, in bytes; no run takes more."""
        return self._context.memory

    def adapted(self, path: str | Path, *, scale: float = 1.0) -> LlamaModel:
        """Return this model with a LoRA adapter; the model itself stays as it is.

        The two share their memory, and may be compared with each other.

        Args:
            path: The adapter's GGUF file.
            scale: The factor of the adapter's change to the weights.

        Returns:
            A model whose identity names the adapter.

        Raises:
            ModelFileError: The file is missing, damaged or not an adapter for this model.
            ModelError: The scale is not a number other than 0.
        """
        with self._access.use(), self._access.lock:
            adapter = load_adapter(self._model, Path(path), scale)
        model = object.__new__(type(self))
        model.__dict__ |= self.__dict__
        model._adapters = (*self._adapters, adapter)
        model.size = self.size.adapted(adapter.size)
        name = f"{self.identity.name}+{Path(path).stem}"
        applied = ", ".join(one.identity for one in model._adapters)
        model.identity = replace(self.identity, name=name, adapter=applied)
        model.origin = self.origin.adapted(str(path), scale)
        return model

    def prefix_state(self, prompts: Sequence[TokenizedPrompt]) -> PrefixState:
        """Return the state of the model after the tokens that its prompts have in common.

        Raises `ModelError` where they have none.
        """
        if not (tokens := common_prefix([prompt.ids for prompt in prompts])):
            raise ModelError(tr("the prompts have no tokens in common, and so no state"))
        with self._access.alone():
            self._context.adapt(self._adapters)
            return self._context.state(prompts[0].ids[:tokens])

    def restore(self, state: PrefixState) -> None:
        """Take up a state of this model, whose tokens are then not decoded again.

        From then on every run begins after the tokens that it shares with the one before it, which
        is quicker, and moves scores within the model's tolerance. Raises `ModelError` for a state
        of another model, settings or version of llama.cpp.
        """
        with self._access.alone():
            self._context.adapt(self._adapters)
            self._context.restore(state)

    def close(self) -> None:
        """Free the model's memory; it cannot be used afterwards, in any thread."""
        self._access.close()

    def __reduce__(self) -> NoReturn:
        self._access.refuse_pickling()

    def __repr__(self) -> str:
        return f"<LlamaModel {self.identity.name} ({self.identity.weights})>"

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TokenizedPrompt]:
        """Return the prompts as tokens of this model.

        Args:
            prompts: Rendered prompts, raw or with roles.

        Returns:
            A tokenized prompt for each.

        Raises:
            PromptError: A prompt does not fit the context, its labels have the same tokens, its
                turns are refused by the chat template, or its answer's format has no grammar.
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
                check_fits(prompt, self._context.length)
                self._grammars.of(prompt.prompt)
            return tokenized

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        with self._access.use():
            return self.vocabulary.piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Score every candidate of every prompt, or only those that can be the best.

        What prompts and candidates have in common is decoded once; an `exact` model decodes each
        prompt alone.

        Args:
            prompts: Prompts that this model tokenized, with candidates.

        Yields:
            (index, score) of a prompt, as soon as it is scored.

        Raises:
            PromptError: A prompt does not fit the context, or has no candidates.
            ModelError: llama.cpp fails, or its numbers are not finite.
        """
        for prompt in prompts:
            check_scored(prompt, self._context.length)
        for index, made in self._answers(prompts):
            assert isinstance(made, Score)
            yield index, made

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Write an answer to every prompt.

        An answer depends on its prompt and the seed, not on the other prompts, except where two
        tokens are nearly tied.

        Args:
            prompts: Prompts that this model tokenized.
            sampling: The way to choose tokens; greedy by default.

        Yields:
            (index, generation) of a prompt, as soon as it is written.

        Raises:
            PromptError: A prompt with its answer does not fit the context.
            ModelError: llama.cpp fails, or its numbers are not finite.
        """
        for prompt in prompts:
            check_fits(prompt, self._context.length, sampling.max_tokens)
        for index, made in self._answers(prompts, sampling, range(len(prompts))):
            assert isinstance(made, Generation)
            yield index, made

    def answer(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Score | Generation]]:
        """Score prompts that have candidates, and answer the others, all in the same batches.

        Args:
            prompts: Prompts that this model tokenized.
            sampling: The way to choose tokens of answers; greedy by default.

        Yields:
            (index, score or generation) of a prompt, as soon as it is made.

        Raises:
            PromptError: A prompt with its answer does not fit the context.
            ModelError: llama.cpp fails, or its numbers are not finite.
        """
        written = {index for index, prompt in enumerate(prompts) if not prompt.candidates}
        for index, prompt in enumerate(prompts):
            check_fits(prompt, self._context.length, (index in written) * sampling.max_tokens)
        yield from self._answers(prompts, sampling, written)

    def _answers(
        self,
        prompts: Sequence[TokenizedPrompt],
        sampling: Sampling = Sampling(),
        written: Collection[int] = (),
    ) -> Iterator[tuple[int, Score | Generation]]:
        """Yield an answer to each prompt of `written`, and scores of the others."""

        def begin(indices: Sequence[int]) -> Batches[Sums | AnswerWriter]:
            writers: dict[int, AnswerWriter] = {}
            items: list[Item] = []
            for place, index in enumerate(indices):
                prompt = prompts[index]
                if index in written:
                    writers[place] = self._writer(prompt, sampling)
                    items.append(Item(prompt.ids, budget=sampling.max_tokens))
                else:
                    items.append(scored_item(prompt, self.identity.tolerance))
            self._context.adapt(self._adapters)
            if self._exact:
                self._context.clear()
            plan = Plan(items, self._context.limits)
            go_on = {place: writer.go_on for place, writer in writers.items()}
            for done in executor.answer(plan, self._context.schedule(plan), self._context, go_on):
                yield [(item, writers[item] if sums is None else sums) for item, sums in done]

        made = in_turns(self._access, len(prompts), begin, self._next, alone=self._exact)
        for index, found, seconds in made:
            if isinstance(found, AnswerWriter):
                yield index, found.generation(seconds)
            else:
                yield index, Score(found.logprobs, len(prompts[index].ids), seconds, found.unknown)

    def _writer(self, prompt: TokenizedPrompt, sampling: Sampling) -> AnswerWriter:
        with self._access.lock:
            grammar = self._grammars.of(prompt.prompt)
        return AnswerWriter(prompt, self.vocabulary, sampling, grammar)

    def _next(self, steps: Iterator[T]) -> T | None:
        """Return the next of the steps, None after the last; errors name the model."""
        self._model.file.check()
        try:
            with self._usages.counting(self._usage):
                return next(steps, None)
        except ModelError as error:
            raise ModelError(f"{self.identity.name}: {error}") from error
