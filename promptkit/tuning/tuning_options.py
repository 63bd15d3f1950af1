"""Options of a training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from promptkit.errors import TaskError
from promptkit.translation import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """Options of training an adapter.

    Raises:
        TaskError: A value is out of its range.

    Example:
        >>> TuningOptions(epochs=2).rank
        8
    """

    examples: int | None = None
    """Number of examples of the pool, drawn by the seed, held-out ones included; None for all."""
    held_out: float = 0.1
    """Share of them that is not trained on; the epoch with the least loss on it is kept."""
    epochs: int | None = None
    """Number of times that each example is trained on, at the most; None for 3, or as many as make
    100 steps, 20 at the most."""
    patience: int | None = None
    """Number of epochs without a lower held-out loss after which training ends; None for 2, or a
    third of the epochs."""
    rank: int = 8
    """Rank of the change of each matrix."""
    alpha: float | None = None
    """Scale of the change, times its rank; None for twice the rank."""
    layers: int | None = None
    """Number of upper layers that are trained; None for the upper half."""
    learning_rate: float = 1e-3
    """Learning rate at its highest."""
    batch: int = 16
    """Number of prompts of a step, at the most."""
    coverage: float = 0.1
    """Weight of the labels' probability together (`label_loss.batch_loss`): 1 trains a language
    model on the labels, 0 only tells them apart."""
    seed: int = 0
    """Seed of the draw of examples, the first parameters and the order."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise TaskError(
                    tr(
                        "{name} is {value}; it is {least} or more",
                        name=name,
                        value=value,
                        least=least,
                    )
                )
        if not 0 < self.held_out < 1:
            raise TaskError(
                tr("held_out is {held_out}; it is above 0 and below 1", held_out=self.held_out)
            )
        if not 0 < self.learning_rate < 1:
            raise TaskError(
                tr(
                    "learning_rate is {learning_rate}; it is above 0 and below 1",
                    learning_rate=self.learning_rate,
                )
            )

    def resolved(self, examples: int, layers: int) -> TuningOptions:
        """Return the options with a number in place of each None.

        Args:
            examples: Number of examples that are trained on.
            layers: Number of layers of the model.
        """
        steps = ceil(examples / self.batch)
        epochs = self.epochs or min(max(3, ceil(_STEPS / steps)), _MOST_EPOCHS)
        return replace(
            self,
            epochs=epochs,
            patience=self.patience or max(2, epochs // 3),
            alpha=self.scale,
            layers=min(self.layers or ceil(layers / 2), layers),
        )

    @property
    def scale(self) -> float:
        """The alpha of the adapter."""
        return 2.0 * self.rank if self.alpha is None else self.alpha


_STEPS, _MOST_EPOCHS = 100, 20

_LEAST = {
    "examples": 4,
    "epochs": 1,
    "patience": 1,
    "rank": 1,
    "layers": 1,
    "batch": 1,
    "coverage": 0,
    "seed": 0,
}
