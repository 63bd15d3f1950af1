"""What `promptkit render` shows of a prompt: its text, its tokens, its origins."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.text import Text

from promptkit.models.base import Model
from promptkit.prompts import Prompt


def as_json(prompt: Prompt, model: Model | None = None) -> dict[str, Any]:
    """The prompt with its spans; with a model also its tokens, and those of every candidate."""
    data: dict[str, Any] = {"query": prompt.query, "shots": prompt.shots}
    if prompt.messages:
        data["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
    if model is not None:
        data["token_ids"] = _ids(prompt, model)
        (tokenized,) = model.tokenize([prompt])
        prompt = tokenized.prompt
        data["sequences"] = [tokenized.ids + candidate for candidate in tokenized.candidates]
        data["branch"] = len(tokenized.ids)
    spans = [{name: getattr(span, name) for name in span.__slots__} for span in prompt.spans]
    return {
        "text": prompt.text,
        **data,
        "spans": spans,
        "candidates": prompt.candidates,
        "stop": prompt.stop,
        "sha256": prompt.sha256,
    }


def show(
    prompt: Prompt, model: Model | None = None, *, tokens: bool = False, spans: bool = False
) -> None:
    """Prints the prompt to the byte, or its tokens, or where its text comes from."""
    raw = model.tokenize([prompt])[0].prompt if model is not None else prompt
    if tokens and model is not None:
        for token in _ids(prompt, model):
            print(f"{token:>8}  {model.piece(token)!r}")
        return
    if spans:
        whole = raw.text
        for span in raw.spans:
            where = ":".join(str(part) for part in (span.file, span.line) if part is not None)
            what = " ".join(filter(None, (span.source, span.example, span.field)))
            text = whole[span.start : span.end]
            print(f"{span.start:>6}-{span.end:<6} {what}  {where}  {text!r}")
        return
    sys.stdout.write(str(raw))  # to the byte, for whoever redirects it
    if sys.stdout.isatty():
        sys.stdout.flush()
        follow = f"one of {list(raw.candidates)}" if raw.candidates else "generated"
        shown = Text(f"\nanswer: {follow}, up to {raw.stop!r}", "dim")
        Console(stderr=True, highlight=False).print(shown, soft_wrap=True)


def _ids(prompt: Prompt, model: Model) -> tuple[int, ...]:
    """The tokens of the prompt alone, whatever its candidates share."""
    (alone,) = model.tokenize([replace(prompt, candidates=None)])
    return alone.ids
