"""Training of an adapter: epochs over groups of prompts, until the held-out loss rises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch

from promptkit.tuning.adam import Adam
from promptkit.tuning.decoder import Change, Decoder
from promptkit.tuning.hidden_states import HiddenStates
from promptkit.tuning.label_loss import batch_loss, candidate_scores
from promptkit.tuning.lora_parameters import LoraParameters
from promptkit.tuning.token_batches import BATCH_TOKENS, TokenBatch, batches_of, token_batch
from promptkit.tuning.token_trees import PromptGroup
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import Progress, TuningStep
from promptkit.tuning.tuning_state import TuningState

_WARM_UP = 0.06  # of all steps, in which the learning rate rises


class HeldOutFigures(NamedTuple):
    """Figures of the held-out prompts."""

    loss: float
    accuracy: float | None
    """None where answers are generated."""


@dataclass
class Trainer:
    """The decoder, the prompts, and the parameters that are trained."""

    decoder: Decoder
    parameters: LoraParameters
    groups: Sequence[PromptGroup]
    held_out: Sequence[PromptGroup]
    options: TuningOptions
    dtype: Any
    save: Callable[[TuningState], None]
    """Keeps a state, so that the training can go on from it."""
    progress: Progress = lambda _: None
    device: str = "cpu"
    _loss: float | None = field(default=None, init=False)
    _prepared: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        layers = sorted({layer for layer, _ in self.parameters.pairs})
        self._epochs = self.options.epochs or 3
        self._layers = range(layers[0], self.decoder.shape.layers)
        both = [*self.groups, *self.held_out]
        self._states = HiddenStates(self.decoder, both, layers[0], self.dtype)
        self._optimizer = Adam(self.parameters.tensors())
        self._began = monotonic()

    def run(self, state: TuningState) -> TuningState:
        """Train from a state on, and return the last one, with the best parameters.

        Args:
            state: The state to begin with.
        """
        self.prepare()
        state.restore(self.parameters, self._optimizer)
        seconds, patience = state.seconds, self.options.patience or 2
        while state.epoch < self._epochs and state.since_best < patience:
            self._epoch(state, seconds)
            change = self.parameters.change(self.dtype)
            found = self.held_out_figures(change, state.epoch + 1, state.best_loss)
            state.add_epoch(found.loss, self.parameters)
            self._save(state, seconds)
        return state

    def prepare(self) -> None:
        """Compute what is kept below the trained layers, once."""
        both = [*self.groups, *self.held_out]
        total, done = sum(len(group.trees) for group in both), 0
        if not self._states.keeps or self._prepared:
            return
        self._prepared = True

        def add(count: int) -> None:
            nonlocal done
            done += count
            self.progress(TuningStep("prepare", 0, done, total))

        for group in both:
            self._states.fill(group, BATCH_TOKENS, add)

    def _epoch(self, state: TuningState, seconds: float) -> None:
        """Train on each prompt once; a state that was saved within the epoch goes on there."""
        batches = self._shuffled(state.epoch)
        sizes = [len(members) for _, members in batches]
        steps, before = len(batches) * self._epochs, len(batches) * state.epoch
        first, began, saved = state.batch, monotonic(), monotonic()
        for place, (group, members) in enumerate(batches[first:], first):
            rate = _rate((before + place) / steps)
            loss = self._step(token_batch(self.decoder, group, members, self.device), rate)
            self._loss = loss if self._loss is None else 0.9 * self._loss + 0.1 * loss
            state.batch = place + 1
            each = (monotonic() - began) / (state.batch - first)
            self.progress(
                TuningStep(
                    "train",
                    state.epoch + 1,
                    sum(sizes[: state.batch]),
                    sum(sizes),
                    self._loss,
                    state.best_loss,
                    each * (steps - before - state.batch),
                )
            )
            if monotonic() - saved > SAVE_SECONDS:
                self._save(state, seconds)
                saved = monotonic()

    def _save(self, state: TuningState, seconds: float) -> None:
        """Keep a state, `seconds` of which had passed before."""
        state.seconds = seconds + monotonic() - self._began
        state.take(self.parameters, self._optimizer)
        self.save(state)

    def _shuffled(self, epoch: int) -> list[tuple[PromptGroup, list[int]]]:
        random = np.random.default_rng([self.options.seed, epoch])
        batches = [
            (group, members)
            for group in self.groups
            for members in batches_of(group, BATCH_TOKENS, self.options.batch, random)
        ]
        return [batches[place] for place in random.permutation(len(batches))]

    def _step(self, batch: TokenBatch, rate: float) -> float:
        """Change the parameters by the gradient of a batch; return its mean loss."""
        scores = self.scores(batch, self.parameters.change(self.dtype))
        loss = batch_loss(scores, batch, self.options.coverage).mean()
        loss.backward()
        self._optimizer.step(self.options.learning_rate * rate)
        return float(loss.detach())

    def scores(self, batch: TokenBatch, change: Change) -> torch.Tensor:
        """Return the log-probabilities of the candidates of a batch."""
        hidden = self.decoder.run(self._states.of(batch), batch.layout, self._layers, change)
        return candidate_scores(self.decoder, batch, hidden)

    def held_out_figures(self, change: Change, epoch: int, best: float | None) -> HeldOutFigures:
        """Return the mean loss of the held-out prompts, and how often the best answer is first.

        Args:
            change: The adapter.
            epoch: Number of epochs that are done.
            best: Least loss so far.
        """
        losses: list[float] = []
        right: list[bool] = []
        total = sum(len(group.trees) for group in self.held_out)
        with torch.no_grad():
            for batch in self._held_out_batches():
                scores = self.scores(batch, change)
                losses += batch_loss(scores, batch, self.options.coverage).tolist()
                if batch.candidates > 1:
                    right += (scores.argmax(1) == batch.target.argmax(1)).tolist()
                done = len(losses)
                self.progress(TuningStep("hold-out", epoch, done, total, self._loss, best))
        return HeldOutFigures(float(np.mean(losses)), float(np.mean(right)) if right else None)

    def _held_out_batches(self) -> Iterator[TokenBatch]:
        for group in self.held_out:
            for members in batches_of(group, 2 * BATCH_TOKENS, 64):
                yield token_batch(self.decoder, group, members, self.device)


SAVE_SECONDS = 60
"""Seconds after which a state is saved within an epoch."""


def _rate(done: float) -> float:
    """Return the factor of the learning rate after a share of the steps."""
    if done < _WARM_UP:
        return done / _WARM_UP + 1e-3
    return (1 - done) / (1 - _WARM_UP)
