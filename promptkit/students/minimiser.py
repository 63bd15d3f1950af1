"""Minimisation of smooth convex functions of many numbers: L-BFGS.

SciPy's own hands its vectors to threads of a linear algebra library, which on machines that do
other work too cost more than they save; this one uses none.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
Programming 45, 1989.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_MEMORY = 10
_ENOUGH, _HALVINGS = 1e-4, 30  # share of the decrease that the slope promises; steps tried


def minimise(
    function: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    *,
    tolerance: float,
    rounds: int = 300,
) -> Vector:
    """Return the numbers at which a function is least.

    Args:
        function: Returns the value and the slopes at some numbers.
        start: Numbers to begin at.
        tolerance: Decrease, as a share of the value, below which it ends.
        rounds: Number of steps at the most.
    """
    at = start
    value, slopes = function(at)
    steps: deque[tuple[Vector, Vector, float]] = deque(maxlen=_MEMORY)
    for _ in range(rounds):
        direction = _direction(slopes, steps)
        promised = _dot(slopes, direction)
        length = 1.0 if steps else min(1.0, 1 / max(np.sqrt(_dot(slopes, slopes)), 1e-12))
        for _ in range(_HALVINGS):
            found = at + length * direction
            new_value, new_slopes = function(found)
            if new_value <= value + _ENOUGH * length * promised:
                break
            length /= 2
        else:
            return at
        step, change = found - at, new_slopes - slopes
        if (curvature := _dot(step, change)) > 1e-12 * _dot(change, change):
            steps.append((step, change, curvature))
        decrease, scale = value - new_value, max(abs(value), abs(new_value), 1.0)
        at, value, slopes = found, new_value, new_slopes
        if decrease <= tolerance * scale:
            return at
    return at


def _direction(slopes: Vector, steps: deque[tuple[Vector, Vector, float]]) -> Vector:
    """Return the slopes through the inverse curvature that the last steps have shown, negated."""
    direction, shares = -slopes, list[float]()
    for step, change, curvature in reversed(steps):
        shares.append(_dot(step, direction) / curvature)
        direction -= shares[-1] * change
    if steps:
        _, change, curvature = steps[-1]
        direction *= curvature / _dot(change, change)
    for (step, change, curvature), share in zip(steps, reversed(shares), strict=True):
        direction += (share - _dot(change, direction) / curvature) * step
    return direction


def _dot(one: Vector, other: Vector) -> float:
    return float(np.einsum("i,i->", one, other))
