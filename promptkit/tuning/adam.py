"""Adam (Kingma and Ba, 2015) with a state of plain tensors; torch's own loads its compiler."""

from __future__ import annotations

from collections.abc import Sequence

import torch

_DECAYS, _EPS = (0.9, 0.999), 1e-8


class Adam:
    """An optimizer of some tensors.

    Args:
        tensors: The tensors, with gradients when `step` is called.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = [*tensors]
        self.steps = 0
        """Number of steps so far."""
        self.means = [torch.zeros_like(one) for one in tensors]
        """Moving averages of the gradients."""
        self.squares = [torch.zeros_like(one) for one in tensors]
        """Moving averages of their squares."""

    def step(self, rate: float, longest: float = 1.0) -> None:
        """Change the tensors by their gradients, and forget these.

        Args:
            rate: The learning rate.
            longest: The norm of all gradients together to which longer ones are shortened.
        """
        with torch.no_grad():
            self._step(rate, longest)

    def _step(self, rate: float, longest: float) -> None:
        self.steps += 1
        grads = [one.grad for one in self.tensors]
        norm = torch.stack([grad.norm() for grad in grads]).norm()
        torch._foreach_mul_(grads, torch.clamp(longest / (norm + 1e-6), max=1.0))
        first, second = _DECAYS
        torch._foreach_lerp_(self.means, grads, 1 - first)
        torch._foreach_mul_(self.squares, second)
        torch._foreach_addcmul_(self.squares, grads, grads, 1 - second)
        roots = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(roots, (1 - second**self.steps) ** 0.5)
        torch._foreach_add_(roots, _EPS)
        size = -rate / (1 - first**self.steps)
        torch._foreach_addcdiv_(self.tensors, self.means, roots, size)
        for one in self.tensors:
            one.grad = None
