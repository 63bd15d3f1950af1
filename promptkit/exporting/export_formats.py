"""Formats of training data, as other tools read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from promptkit.errors import TaskError
from promptkit.exporting.export_texts import ExportText
from promptkit.translation import mark, tr

ExportFormat = Literal["completion", "chat", "segments"]
"""`completion` is TRL's prompt and completion, as texts or turns; `chat` is a list of messages, as
hosted services and Axolotl read them; `segments` are Axolotl's texts without a template."""

FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

_NEEDS_TURNS = mark(
    "the template makes no turns, and messages need some; train what you will "
    "ask: use a template with {% user %} and {% assistant %}, such as "
    "--template chat.j2 or chat-one-turn.j2"
)
_NEEDS_TEXT = mark(
    "the template makes turns, whose text is that of a model's chat template; "
    "use --format chat or completion, or a template without turns"
)


def exported(
    text: ExportText, format: ExportFormat, probs: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return a row in a format.

    Args:
        text: The prompt and its answer.
        format: The format.
        probs: Probability of each label, which stands beside; `chat` has no place for it.

    Raises:
        TaskError: The template makes turns where texts are needed, or none where turns are.
    """
    beside = {} if probs is None else {"probs": dict(probs)}
    if format == "chat":
        return {"messages": _messages(text)}
    if format == "segments":
        if text.has_turns:
            raise TaskError(tr(_NEEDS_TEXT))
        segments = [
            {"label": False, "text": text.prompt},
            {"label": True, "text": text.completion},
        ]
        return {"segments": segments, **beside}
    if text.has_turns:
        answer = [{"role": "assistant", "content": text.completion}]
        return {"prompt": text.prompt, "completion": answer, **beside}
    return {"prompt": text.prompt, "completion": text.completion, **beside}


def _messages(text: ExportText) -> list[dict[str, Any]]:
    """Return all turns; those that answer shots have no weight in training."""
    if isinstance(text.prompt, str):
        raise TaskError(tr(_NEEDS_TURNS))
    turns: list[dict[str, Any]] = [
        {**turn, "weight": 0} if turn["role"] == "assistant" else {**turn} for turn in text.prompt
    ]
    return [*turns, {"role": "assistant", "content": text.completion}]
