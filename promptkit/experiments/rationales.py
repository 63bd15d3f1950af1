"""Thoughts and rationales before answers: how they are asked, and how many were cut."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.errors import TaskError
from promptkit.inference.batch import CellRequests
from promptkit.inference.reasoning import Reasoning
from promptkit.models.base import Generation, Sampling
from promptkit.text import counted
from promptkit.translation import tr


def described(
    reasoning: Reasoning, sampling: Sampling, cells: Sequence[CellRequests]
) -> str | None:
    """Return a sentence on the samples that vote; None where nothing is sampled.

    Args:
        reasoning: What may be generated before an answer.
        sampling: How answers are generated.
        cells: The requests of every cell.

    Raises:
        TaskError: Several samples are asked for, and nothing comes before an answer.
    """
    if reasoning.samples == 1:
        return None
    if not any(cell.reasons for cell in cells):
        raise TaskError(unsampled(reasoning.samples))
    warm = reasoning.sampling("rationale", sampling).temperature
    return tr(
        "{samples} samples of what comes before each answer, at a temperature of "
        "{warm:g}; the answers after them vote",
        samples=reasoning.samples,
        warm=warm,
    )


def unsampled(samples: int) -> str:
    """Return why several samples make no sense where nothing comes before an answer."""
    return tr(
        "rationales is {samples}, but no template prints {{{{ rationale }}}} and "
        "no model is to think, so that all samples would be the same; choose such "
        "a template, let the model think, or leave it at 1",
        samples=samples,
    )


def cut_off(generations: Sequence[Generation]) -> list[str]:
    """Return a warning of thoughts and rationales that were cut at their budget of tokens."""
    cut = sum(one.finish == "length" for one in generations)
    if not cut:
        return []
    return [
        tr(
            "{cut:,} of {texts} before answers were cut at their budget of tokens, and "
            "the answers asked after them all the same; allow more of them "
            "(rationale_tokens, think)",
            cut=cut,
            texts=counted(len(generations), "text", "texts"),
        )
    ]
