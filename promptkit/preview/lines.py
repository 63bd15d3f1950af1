"""A prompt to the byte, as lines of tokens or spans, and as JSON."""

from __future__ import annotations

from typing import Any

from promptkit.models.base import Model
from promptkit.preview.tokenized import read_by, token_ids, tokenize
from promptkit.prompts.invisible import on_one_line
from promptkit.prompts.prompt import Prompt


def as_json(prompt: Prompt, model: Model | None = None) -> dict[str, Any]:
    """Return the prompt with its spans; with a model also its tokens and its candidates'."""
    data: dict[str, Any] = {"query": prompt.query, "shots": prompt.shots}
    if prompt.messages:
        data["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
    if model is not None:
        data["token_ids"] = token_ids(prompt, model)
        tokenized = tokenize(prompt, model)
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


def token_lines(prompt: Prompt, model: Model) -> str:
    """Return the prompt's tokens, one a line: the number, and the bytes it stands for."""
    tokens = token_ids(prompt, model)
    return "".join(f"{token:>8}  {model.piece(token)!r}\n" for token in tokens)


def span_lines(prompt: Prompt, model: Model | None) -> str:
    """Return the origins of the text, one span a line."""
    raw = read_by(prompt, model)
    whole, lines = raw.text, ""
    for span in raw.spans:
        where = ":".join(str(part) for part in (span.file, span.line) if part is not None)
        where = on_one_line(where)
        what = on_one_line(" ".join(filter(None, (span.source, span.example, span.field))))
        text = whole[span.start : span.end]
        lines += f"{span.start:>6}-{span.end:<6} {what}  {where}  {text!r}\n"
    return lines
