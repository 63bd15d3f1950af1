"""Comparison of the log-probabilities of the trained model with those of llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from promptkit.models.llama import LlamaModel
from promptkit.tuning.decoder import Change, Decoder
from promptkit.tuning.label_loss import candidate_scores
from promptkit.tuning.token_batches import BATCH_TOKENS, TokenBatch, batches_of, token_batch
from promptkit.tuning.token_trees import prompt_groups
from promptkit.tuning.training_prompts import TrainingPrompt

MOST_NATS = 0.02
"""Largest difference of a candidate's log-probability at which an adapter counts as verified."""

CHECKED = 16
"""Number of prompts that are compared."""


def largest_difference(
    decoder: Decoder, change: Change, model: LlamaModel, prompts: Sequence[TrainingPrompt]
) -> float:
    """Return the largest difference between two models' log-probabilities of candidates, in nats.

    Args:
        decoder: The weights in F32.
        change: The adapter.
        model: The same weights in F32 in llama.cpp, with the adapter.
        prompts: The prompts that are compared.
    """
    theirs = dict(model.score([prompt.request for prompt in prompts]))
    groups = prompt_groups([prompt.tree for prompt in prompts], len(prompts))
    places = {id(prompt.tree): number for number, prompt in enumerate(prompts)}
    most = 0.0
    for group in groups:
        for members in batches_of(group, BATCH_TOKENS, len(prompts)):
            batch = token_batch(decoder, group, members)
            for row, member in zip(_scores(decoder, change, batch), members, strict=True):
                of_model = theirs[places[id(group.trees[member])]].logprobs
                ours = row[: len(of_model)].double()
                difference = ours - torch.tensor(of_model, dtype=torch.float64)
                most = max(most, float(difference.abs().max()))
    return most


def _scores(decoder: Decoder, change: Change, batch: TokenBatch) -> torch.Tensor:
    hidden, layers = decoder.embed(batch.tokens), range(decoder.shape.layers)
    with torch.no_grad():
        return candidate_scores(decoder, batch, decoder.run(hidden, batch.layout, layers, change))
