"""Log-probabilities of candidates, and the loss of a batch."""

from __future__ import annotations

import torch

from promptkit.tuning.decoder import Decoder
from promptkit.tuning.token_batches import TokenBatch


def candidate_scores(decoder: Decoder, batch: TokenBatch, hidden: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each candidate of each prompt, minus infinity for none.

    Args:
        decoder: The decoder.
        batch: The prompts.
        hidden: The hidden states after the last layer.
    """
    logits = decoder.logits(hidden[batch.places])
    logprobs = logits.log_softmax(-1)[batch.rows, batch.scored]
    sums = logprobs.new_zeros(len(batch.members) * batch.candidates)
    scores = sums.index_add(0, batch.slots, logprobs).unflatten(0, (-1, batch.candidates))
    return scores.masked_fill(absent(batch), -torch.inf)


def absent(batch: TokenBatch) -> torch.Tensor:
    """Return where a prompt has fewer candidates than others."""
    numbers = torch.arange(batch.candidates, device=batch.counts.device)
    return numbers >= batch.counts[:, None]


def batch_loss(scores: torch.Tensor, batch: TokenBatch, coverage: float) -> torch.Tensor:
    """Return the loss of each prompt of a batch.

    It is the cross-entropy of the probabilities among the candidates, and `coverage` times that of
    any of them, per token: with 1 and one sure label it is the loss of a language model on it. A
    single candidate, as of a generated answer, has the latter only.

    Args:
        scores: Log-probabilities of the candidates.
        batch: The prompts.
        coverage: Weight of the probability of all candidates together.
    """
    total = scores.logsumexp(1)
    among = (scores - total[:, None]).masked_fill(absent(batch), 0.0)
    loss = -(batch.target * among).sum(1)
    weight = torch.where(batch.counts > 1, coverage, 1.0)
    return loss - weight * total / batch.lengths.amin(1)
