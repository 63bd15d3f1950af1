"""Verdicts on swapped labels: a model that reads the demonstrations against one that knows words.

A model that reads the demonstrations follows them when the labels are swapped; one that knows what
the words mean does not (Wei et al., "Larger language models do in-context learning differently",
2023; Min et al., "Rethinking the role of demonstrations", EMNLP 2022).
"""

from __future__ import annotations

from collections.abc import Iterable

from promptkit.evaluation.results import Pair, Row
from promptkit.inference.cell import RAW, Cell
from promptkit.tasks.verbalizers import LABELS, SWAPPED
from promptkit.text import counted
from promptkit.translation import tr


def swap_verdicts(rows: Iterable[Row], pairs: Iterable[Pair], labels: int) -> list[str]:
    """Return a sentence for each model with the labels as they are and swapped.

    It is about the most shots, and the first template and selection among these.

    Args:
        rows: The rows of a comparison.
        pairs: Its pairs.
        labels: The number of labels.
    """
    known = {row.cell: row for row in rows if row.seed is None}
    found: dict[str, tuple[Cell, Cell, tuple[float, float]]] = {}
    for pair in pairs:
        plain, swapped, (low, high) = pair.a, pair.b, pair.ci or pair.ci_fixed
        if plain.verbalizer == SWAPPED:
            plain, swapped, low, high = swapped, plain, -high, -low
        if (plain.verbalizer, swapped.verbalizer) != (LABELS, SWAPPED):
            continue
        if plain.calibration != RAW or plain.shots == 0:  # nothing says what the words stand for
            continue
        if plain.model not in found or found[plain.model][0].shots < plain.shots:
            found[plain.model] = plain, swapped, (low, high)
    sentences = []
    for model, (plain, swapped, change) in found.items():
        sentence = swap_verdict(
            known[plain].accuracy,
            known[swapped].accuracy,
            swapped_ci=known[swapped].accuracy_ci or known[swapped].accuracy_ci_fixed,
            change=change,
            chance=1 / labels,
        )
        shots = counted(plain.shots, "shot", "shots")
        named = f"{model}, " if len(found) > 1 else ""
        sentences.append(f"{named}{shots}: {sentence}")
    return sentences


def swap_verdict(
    accuracy: float,
    swapped: float,
    *,
    swapped_ci: tuple[float, float],
    change: tuple[float, float],
    chance: float,
) -> str:
    """Return a sentence on a model whose labels were swapped.

    Args:
        accuracy: The accuracy with the labels as they are.
        swapped: That after the swap, with the same shots, at least one.
        swapped_ci: The interval of `swapped`.
        change: The interval of the paired difference, swapped minus unswapped.
        chance: The accuracy of a guess.
    """
    low, high = change
    falls, reads = high < 0, swapped_ci[0] > chance
    figures = {"accuracy": accuracy, "swapped": swapped}
    moved = (
        tr("falls from {accuracy:.2f} to {swapped:.2f}", **figures)
        if falls
        else tr("goes from {accuracy:.2f} to {swapped:.2f}", **figures)
    )
    if falls and reads:
        moved += tr(", above the {chance:.2f} of a guess", chance=chance)
        meaning = tr("the model reads the demonstrations, and leans on what the words mean")
    elif falls:
        meaning = tr("the model follows the words, not the demonstrations")
    else:
        moved += tr(", a change between {low:+.2f} and {high:+.2f}", low=low, high=high)
        meaning = (
            tr("the model reads the demonstrations, whatever the words mean")
            if reads
            else tr("too little to say whether the model reads the demonstrations")
        )
    return tr("with the labels swapped accuracy {moved}: {meaning}", moved=moved, meaning=meaning)
