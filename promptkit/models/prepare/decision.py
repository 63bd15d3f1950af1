"""Decisions about weights and settings, from readings of their speed.

Everything here is a function of numbers, so that it can be tested without a model or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

WORTH_A_FILE = 1.2
"""The least speed of weights that get a file of their own, against the model's own weights."""

WORTH_TWICE_THE_BYTES = 1.1
"""The least speed of a file, against a smaller one that also had to be written."""

WORTH_A_CHANGE = 1.05
"""The least speed of settings, or of a file of about the same size, against the ones before."""

ROUNDS = 2
"""Rounds without an improvement after which readings are settled."""

IMPROVEMENT = 1.02
"""The least factor by which the best reading must shorten to count as improved."""

CONFIRMED = 1.05
"""The most that two other readings may exceed the best one, so that no single one decides."""

Candidate = TypeVar("Candidate")


def read_until_settled(
    read: Callable[[int], float], count: int, *, clock: Callable[[], float], limit: float
) -> list[list[float]]:
    """Return the readings, in seconds, of so many candidates, taken in rounds.

    A round reads every candidate once, there and back again, so that none always follows the same
    other one. Rounds end when all readings are settled, or after `limit` seconds of `clock`.
    """
    readings: list[list[float]] = [[] for _ in range(count)]
    turn = list(range(count))
    start = clock()
    while not readings[0] or (not is_settled(readings) and clock() - start < limit):
        for index in turn:
            readings[index].append(read(index))
        turn.reverse()
    return readings


def is_settled(readings: Sequence[Sequence[float]]) -> bool:
    """Return whether more rounds would hardly shorten the best reading of any candidate.

    What else the machine does only lengthens a reading, so the shortest is the best estimate. It is
    trusted once it has not improved for some rounds and two other readings have come close to it.
    """
    for seconds in readings:
        if len(seconds) <= ROUNDS:
            return False
        best, _, third = sorted(seconds)[:3]
        if min(seconds[:-ROUNDS]) > IMPROVEMENT * best or third > CONFIRMED * best:
            return False
    return True


def fastest_weights(speeds: Mapping[str, float], sizes: Mapping[str, int]) -> str:
    """Return the weights that are worth their file.

    `speeds` has tokens a second by weights, the model's own first, then those that need a file of
    their own, small ones first; `sizes` has their bytes. Against the model's own weights, a file
    must be `WORTH_A_FILE` times as fast. Between two that both need a file, the difference need
    only be more than noise, or worth the bytes where the later one is much larger.
    """
    own, *others = speeds
    best = own
    for kind in others:
        worth = WORTH_TWICE_THE_BYTES if sizes[kind] > 1.5 * sizes[best] else WORTH_A_CHANGE
        if speeds[kind] > (WORTH_A_FILE if best == own else worth) * speeds[best]:
            best = kind
    return best


def fastest_settings(speeds: Mapping[Candidate, float]) -> Candidate:
    """Return the first candidate, unless another is `WORTH_A_CHANGE` times as fast."""
    first, *others = speeds
    best = first
    for other in others:
        if speeds[other] > WORTH_A_CHANGE * speeds[best]:
            best = other
    return best
