"""What a method of calibration learnt from."""

from __future__ import annotations

from dataclasses import dataclass

from promptkit.inference.cell import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationNote(Cell):
    """Inputs that a method of calibration learnt from, for one cell."""

    inputs: int
    """Number of inputs."""
    saw: str
    """Their kind, in words that go on from the number."""
    prompts: int
    """Number of probes that were asked beside the cell's own prompts; methods may share them."""
    tokens: int = 0
    """Number of tokens to decode for them that no prompt of the cell has decoded already."""
