"""An adapter that was trained and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptkit.inference.profile import Profile
from promptkit.text import counted


@dataclass(frozen=True)
class TunedAdapter:
    """A LoRA adapter in a file, and what is known of it.

    Example:
        >>> TunedAdapter("fruit.gguf", {"trained": 9_216, "seconds": 3.0}).profile.trained
        9216
    """

    path: str | Path
    """The file, for `load_model(adapter=...)` and `--adapter`."""
    card: Mapping[str, Any]
    """Task, model, template, examples, options and figures, as the file has them."""

    @property
    def profile(self) -> Profile:
        """Size of the adapter with its model, and what it took to make."""
        card, figures = self.card, self.card.get("figures", {})
        shots = card.get("teacher_shots", 0) * card.get("teacher_draws", 0)
        return Profile(
            parameters=card.get("parameters"),
            trained=card.get("trained", 0),
            bytes=card.get("bytes"),
            seconds=card.get("seconds", 0.0) + figures.get("teacher_seconds", 0.0),
            tokens=figures.get("teacher_tokens", 0),
            labels=card.get("labels", 0) or shots,
        )

    def __str__(self) -> str:
        card = self.card
        figures = card["figures"]
        lines = [
            f"{self.path}: {card['trained']:,} trained parameters, rank {card['options']['rank']}, "
            f"{card['layers']} of {card['all_layers']} layers",
            f"trained on {counted(card['examples'], 'example')} with "
            f"{counted(card['shots'], 'shot')} in {card['seconds']:.0f} s, "
            f"{counted(card['epochs'], 'epoch')}; {card['held_out']} held out",
            f"held-out loss {figures['loss_before']:.3f} → {figures['loss']:.3f}",
        ]
        if figures.get("accuracy") is not None:
            lines[-1] += f", accuracy {figures['accuracy_before']:.3f} → {figures['accuracy']:.3f}"
        lines.append(
            f"largest difference from llama.cpp: {figures['difference']:.4f} nats "
            f"(F32 weights, {counted(figures['checked'], 'prompt')})"
        )
        if "agreement" in figures:
            lines += _compared(card)
        return "\n".join(lines)


def _compared(card: Mapping[str, Any]) -> list[str]:
    """Return how the adapter compares with the prompt that it learnt from."""
    figures = card["figures"]
    before, after = figures["tokens_before"], figures["tokens_after"]
    lines = [
        f"agrees with {card['teacher']} on {figures['agreement']:.1%} of {figures['compared']:,} "
        f"queries; tokens a query: {before:,.0f} → {after:,.0f} ({after / before - 1:+.0%})"
    ]
    if "accuracy_bound" in figures:
        lines.append(
            f"accuracy {figures['teacher_accuracy']:.3f} → {figures['student_accuracy']:.3f}: "
            f"{100 * figures['accuracy_difference']:+.1f} points, at least "
            f"{100 * figures['accuracy_bound']:+.1f} (one-sided 95 % bound)"
        )
    return lines
