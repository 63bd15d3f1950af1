"""A prompt as text, for a server that does not show its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from promptkit.errors import PromptError, shorten
from promptkit.prompts.prompt import TOKEN_BYTES, Prompt
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A prompt as text or turns (`promptkit.models.base.Request`); its tokens are estimates."""

    prompt: Prompt
    endings: tuple[str, ...] = ()
    """Per candidate, the text after the prompt whose probability tells it from the others."""

    @property
    def turns(self) -> list[dict[str, str]]:
        """The turns as chat endpoints take them."""
        return [{"role": one.role, "content": one.content} for one in self.prompt.messages]

    @property
    def tokens(self) -> int:
        """An estimate of the tokens of the prompt."""
        return _estimate(self.prompt.text)

    @property
    def candidate_tokens(self) -> tuple[int, ...]:
        """Estimates of the tokens of each candidate; empty where the answer is generated."""
        return tuple([_estimate(ending) for ending in self.endings])

    @property
    def naive_tokens(self) -> int:
        """An estimate of the tokens of a loop that reads the prompt anew for every candidate."""
        tokens = self.tokens
        return sum(tokens + count for count in self.candidate_tokens) or tokens

    @property
    def content(self) -> bytes:
        """The part of the key that says what is asked."""
        asked = self.turns or self.prompt.text
        return f"{json.dumps([asked, self.endings])}]".encode()

    def sequences(self) -> Iterator[bytes]:
        """Yield the text with each candidate, four bytes for a token."""
        for ending in self.endings or ("",):
            raw = (self.prompt.text + ending).encode("utf-8", "surrogatepass")
            yield raw.ljust(-(-len(raw) // TOKEN_BYTES) * TOKEN_BYTES)


def text_request(prompt: Prompt) -> TextRequest:
    """Return a prompt as text.

    Where one label begins another, as `plum` begins `plum tree`, both are taken with the stop.

    Raises:
        PromptError: One label begins another, and nothing ends an answer.
    """
    labels = prompt.candidates or ()
    clash = [a for a in labels if any(b != a and b.startswith(a) for b in labels)]
    if clash and not prompt.stop:
        raise PromptError(
            tr(
                "example {query}: the label {clash!r} begins another, and nothing in the "
                "template ends an answer; let a newline follow {{{{ output }}}}",
                query=shorten(prompt.query),
                clash=clash[0],
            )
        )
    begun = {b for a in clash for b in labels if b.startswith(a)}
    return TextRequest(prompt, tuple(a + prompt.stop if a in begun else a for a in labels))


def _estimate(text: str) -> int:
    return max(len(text.encode("utf-8", "surrogatepass")) // TOKEN_BYTES, 1)


def as_turns(prompt: Prompt) -> Prompt:
    """Return a prompt with turns only; raise where it has none, or begins the answer."""
    if not prompt.messages:
        raise PromptError(
            tr(
                "example {query}: this server takes turns only; use a template with {{% "
                "user %}}, such as --template chat",
                query=shorten(prompt.query),
            )
        )
    last = prompt.messages[-1]
    if last.role != "assistant":
        return prompt
    if last.content.strip():
        raise PromptError(
            tr(
                "example {query}: the template begins the answer with {beginning}, and this "
                "server does not go on from it; use a template that does not, such as "
                "--template chat",
                query=shorten(prompt.query),
                beginning=shorten(last.content.strip()),
            )
        )
    return replace(prompt, messages=prompt.messages[:-1])
