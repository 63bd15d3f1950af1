"""An adapter that was trained and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptkit.inference.profile import Profile
from promptkit.text import counted
from promptkit.translation import tr


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
            tr(
                "{path}: {trained:,} trained parameters, rank {rank}, "
                "{layers} of {all_layers} layers",
                path=self.path,
                trained=card["trained"],
                rank=card["options"]["rank"],
                layers=card["layers"],
                all_layers=card["all_layers"],
            ),
            tr(
                "trained on {examples} with {shots} in {seconds:.0f} s, {epochs}; "
                "{held_out} held out",
                examples=counted(card["examples"], "example", "examples"),
                shots=counted(card["shots"], "shot", "shots"),
                seconds=card["seconds"],
                epochs=counted(card["epochs"], "epoch", "epochs"),
                held_out=card["held_out"],
            ),
            tr(
                "held-out loss {before:.3f} → {after:.3f}",
                before=figures["loss_before"],
                after=figures["loss"],
            ),
        ]
        if figures.get("accuracy") is not None:
            lines[-1] += tr(
                ", accuracy {before:.3f} → {after:.3f}",
                before=figures["accuracy_before"],
                after=figures["accuracy"],
            )
        lines.append(
            tr(
                "largest difference from llama.cpp: {difference:.4f} nats (F32 weights, {prompts})",
                difference=figures["difference"],
                prompts=counted(figures["checked"], "prompt", "prompts"),
            )
        )
        if "agreement" in figures:
            lines += _compared(card)
        return "\n".join(lines)


def _compared(card: Mapping[str, Any]) -> list[str]:
    """Return how the adapter compares with the prompt that it learnt from."""
    figures = card["figures"]
    before, after = figures["tokens_before"], figures["tokens_after"]
    lines = [
        tr(
            "agrees with {name} on {agreement:.1%} of {queries:,} queries; tokens a "
            "query: {before:,.0f} → {after:,.0f} ({change:+.0%})",
            name=card["teacher"],
            agreement=figures["agreement"],
            queries=figures["compared"],
            before=before,
            after=after,
            change=after / before - 1,
        )
    ]
    if "accuracy_bound" in figures:
        lines.append(
            tr(
                "accuracy {before:.3f} → {after:.3f}: {difference:+.1f} points, at least "
                "{bound:+.1f} (one-sided 95 % bound)",
                before=figures["teacher_accuracy"],
                after=figures["student_accuracy"],
                difference=100 * figures["accuracy_difference"],
                bound=100 * figures["accuracy_bound"],
            )
        )
    return lines
