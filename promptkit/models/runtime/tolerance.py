"""The tolerance of a model's margins: how much they vary with what is decoded beside a prompt."""

from __future__ import annotations

from promptkit.models.runtime.context import RuntimeSettings

TOLERANCES = {"F32": 1e-3, "F16": 0.05, "BF16": 0.3}
"""`ModelIdentity.tolerance` by the type of the weights that run; two to three times the most that
was measured. A difference in the last bit grows where activations are rounded, and most where
kernels for integers round them to 8 bits."""

OF_INTEGERS = 1.0
"""The tolerance of all other types."""


def tolerance(weights: str, settings: RuntimeSettings) -> float:
    """Return the tolerance of weights such as `Q4_1`, or `F16 from Q4_1`.

    In front of flash attention llama.cpp casts keys and values to F16, whatever the weights are.
    """
    halves = settings.flash_attention or settings.cache != "f32"
    least = TOLERANCES["F16"] if halves else 0.0
    return max(TOLERANCES.get(weights.split()[0], OF_INTEGERS), least)
