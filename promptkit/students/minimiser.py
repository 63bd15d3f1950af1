"""Minimisation of smooth convex functions of many numbers: SciPy's L-BFGS-B in one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from promptkit.students.one_thread import one_thread

Vector = NDArray[np.float64]


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
    from scipy.optimize import minimize

    how = {"ftol": tolerance, "gtol": 0.0, "maxiter": rounds}
    with one_thread():
        found: Vector = minimize(function, start, jac=True, method="L-BFGS-B", options=how).x
    return found
