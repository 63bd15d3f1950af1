"""What words for the labels say of a model, and what a reader must know of them, in sentences.

A model that reads the demonstrations follows them when the labels are swapped; one that knows what
the words mean does not (Wei et al., "Larger language models do in-context learning differently",
2023; Min et al., "Rethinking the role of demonstrations", EMNLP 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptkit.errors import shorten
from promptkit.evaluation.results import Pair, Row
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.prediction import Predictor
from promptkit.selection.draw import ALLOW_NEAR
from promptkit.tasks.examples import Example
from promptkit.tasks.verbalizers import LABELS, SWAPPED
from promptkit.text import counted


def swap_verdicts(rows: Iterable[Row], pairs: Iterable[Pair], labels: int) -> list[str]:
    """A sentence per model that was asked with the labels as they are and swapped.

    It is about the most shots, and the first template and selection among these. `labels` is the
    number of labels.
    """
    known = {row.cell: row for row in rows if row.seed is None}
    found: dict[str, tuple[Cell, Cell, tuple[float, float]]] = {}
    for pair in pairs:
        low, high = pair.ci or pair.ci_fixed
        plain, swapped, change = pair.a, pair.b, (low, high)
        if (plain.verbalizer, swapped.verbalizer) == (SWAPPED, LABELS):
            plain, swapped, change = swapped, plain, (-high, -low)
        if (plain.verbalizer, swapped.verbalizer) != (LABELS, SWAPPED):
            continue
        if plain.calibration != RAW or plain.shots == 0:  # nothing says what the words stand for
            continue
        if plain.model not in found or found[plain.model][0].shots < plain.shots:
            found[plain.model] = plain, swapped, change
    sentences = []
    for model, (plain, swapped, change) in found.items():
        sentence = swap_verdict(
            known[plain].accuracy,
            known[swapped].accuracy,
            swapped_ci=known[swapped].accuracy_ci or known[swapped].accuracy_ci_fixed,
            change=change,
            chance=1 / labels,
        )
        shots = counted(plain.shots, "shot")
        named = f"{model}, " if len(found) > 1 else ""
        sentences.append(f"{named}{shots}: {sentence}")
    return sentences


def near_warning(predictors: Iterable[Predictor], queries: Sequence[Example[Any, Any]]) -> str:
    """Return a sentence on near-duplicates that shots leave out; empty where there are none.

    Of predictors that differ in their number of shots alone, the one with the most counts.
    """
    most: dict[object, Predictor] = {}
    for one in predictors:
        key = id(one.task), one.selection, one.seed
        if key not in most or most[key].shots < one.shots:
            most[key] = one
    found: dict[str, dict[str, None]] = {}
    for one in most.values():
        for query in queries:
            for demo in one.left_out(query):
                found.setdefault(query.id, {})[demo.id] = None
    return near_sentence(found, len(queries))


def near_sentence(found: Mapping[str, Iterable[str]], queries: int) -> str:
    """Return which near-duplicates were left out for which queries; empty where there are none."""
    if not found:
        return ""
    query, demos = next(iter(found.items()))
    count = len({demo for ids in found.values() for demo in ids})
    return (
        f"{counted(count, 'near-duplicate')} left out of the shots of {len(found):,} of "
        f"{counted(queries, 'query', 'queries')}, such as {shorten(next(iter(demos)))} "
        f"for {shorten(query)}; to show them, {ALLOW_NEAR}"
    )


def swap_verdict(
    accuracy: float,
    swapped: float,
    *,
    swapped_ci: tuple[float, float],
    change: tuple[float, float],
    chance: float,
) -> str:
    """What a swap of the labels says of a model, in a sentence.

    `accuracy` is with the labels as they are and `swapped` after the swap, both with the same
    shots, at least one. `change` is the interval of their paired difference, swapped minus
    unswapped, and `chance` the accuracy of a guess. All are shares of 1.
    """
    low, high = change
    moved = f"from {accuracy:.2f} to {swapped:.2f}"
    if high < 0 and swapped_ci[0] > chance:
        return (
            f"with the labels swapped accuracy falls {moved}, above the {chance:.2f} of a guess: "
            "the model reads the demonstrations, and leans on what the words mean"
        )
    if high < 0:
        return (
            f"with the labels swapped accuracy falls {moved}: the model follows the words, not the "
            "demonstrations"
        )
    if swapped_ci[0] > chance:
        return (
            f"with the labels swapped accuracy goes {moved}, a change between {low:+.2f} and "
            f"{high:+.2f}: the model reads the demonstrations, whatever the words mean"
        )
    return (
        f"with the labels swapped accuracy goes {moved}, a change between {low:+.2f} and "
        f"{high:+.2f}: too little to say whether the model reads the demonstrations"
    )
