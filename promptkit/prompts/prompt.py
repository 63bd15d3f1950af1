"""A rendered prompt as a value: its text, the origin of every character, and possible answers.

A template renders into *pieces*; a `Prompt` keeps them. The text before the answer slot is
what the model reads, the text after it is the stop. A model makes a `TokenizedPrompt` of it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from promptkit.prompts.answer_format import AnswerFormat
from promptkit.prompts.html import fragment
from promptkit.prompts.pieces import Message, Piece, Span, spans_of
from promptkit.prompts.view import Preview, PromptTokens, build_preview
from promptkit.translation import tr

Asks = Literal["thought", "rationale", "answer"]
"""Text that a prompt asks for: a model's own thought, a rationale where the template prints one, or
the answer."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for a model to read, and the possible answers.

    A raw prompt has `pieces` only. A prompt with roles has `messages`, which become pieces once
    the model's chat template is known (`promptkit.prompts.chat_template.apply`).

    Example:
        >>> from typing import Literal
        >>> from pydantic import create_model
        >>> from promptkit import Task, Template
        >>> Animal = create_model("Animal", name=(str, ...))
        >>> task = Task[Animal, Literal["bird", "fish"]](name="animals")
        >>> template = Template("{{ query.name }}:{% example %} {{ output }}{% endexample %}")
        >>> prompt = template.render(task, query={"name": "owl"})
        >>> prompt.text, prompt.candidates
        ('owl:', (' bird', ' fish'))
        >>> [(span.source, span.field) for span in prompt.spans]
        [('data', 'input.name'), ('template', None)]
    """

    pieces: tuple[Piece, ...] = ()
    """Text before the answer."""
    messages: tuple[Message, ...] = ()
    """Turns before the answer; empty for a raw prompt."""
    candidates: tuple[str, ...] | None = None
    """Possible answers, each with the space in front of it; None where the answer is generated."""
    lead: str = ""
    """Space in front of the answer, as a part of the answer."""
    stop: str = ""
    """Text that ends an answer."""
    stop_is_chat: bool = False
    """True if the stop comes from a chat template, so that it may be a control token."""
    format: AnswerFormat | None = None
    """Format of a generated answer; None where it may be any text."""
    shots: tuple[str, ...] = ()
    """Ids of the shots, in order."""
    query: str | None = None
    """Id of the query."""
    asks: Asks = "answer"
    """Text that is asked for."""
    then: Callable[[str], Prompt] | None = field(default=None, compare=False, repr=False)
    """Function from a thought or rationale to the prompt that comes after it; None where the answer
    is asked for."""
    thinks: bool = False
    """True for turns before whose answer the model is to think, as its chat template has it."""
    thought: str | None = None
    """Thought that the model has ended before its turn goes on; None where it had none."""
    sample: int = 0
    """Number of the sample, where one text is sampled several times."""
    best: bool = False
    """True where only the best candidate is wanted, so that others need not be read in full."""

    @property
    def text(self) -> str:
        """The prompt; for turns without a chat template yet, their contents one after another."""
        if self.messages:
            return "".join([message.content for message in self.messages])
        return "".join([piece.text for piece in self.pieces])

    @property
    def spans(self) -> tuple[Span, ...]:
        """Spans of `text`, without gaps, cut where the template line changes."""
        if self.messages:
            return tuple(spans_of(p for message in self.messages for p in message.pieces))
        return tuple(spans_of(self.pieces))

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()

    def after(self, text: str) -> Prompt:
        """Return the prompt that comes after a thought or rationale, of the same sample.

        Args:
            text: The thought or rationale, as it was generated.
        """
        if self.then is None:
            raise ValueError(tr("the prompt of {query} asks for the answer", query=self.query))
        made = self.then(text.strip())
        thought = self.thought if made.thought is None else made.thought
        return replace(made, thought=thought, sample=self.sample, best=self.best)

    @property
    def last(self) -> Prompt:
        """The prompt of the answer, as after an empty thought and rationale."""
        prompt = self
        while prompt.then is not None:
            prompt = prompt.after("")
        return prompt

    def with_pieces(self, pieces: Sequence[Piece], *, stop: str, stop_is_chat: bool) -> Prompt:
        """Return the same prompt as raw text."""
        return replace(
            self, pieces=tuple(pieces), messages=(), stop=stop, stop_is_chat=stop_is_chat
        )

    def preview(self, tokens: PromptTokens | None = None) -> Preview:
        """Return what a reader sees of the prompt: its parts with their origins and costs."""
        return build_preview(
            self.text,
            self.spans,
            self.messages,
            query=self.query,
            shots=self.shots,
            candidates=self.candidates or (),
            stop=self.stop,
            tokens=tokens,
        )

    def _repr_html_(self) -> str:
        """Return the prompt as HTML for a notebook, in the colours of its parts."""
        return fragment(self.preview())

    def __str__(self) -> str:
        if not self.messages:
            return self.text
        return "\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)


TOKEN_BYTES = array("i").itemsize
"""Bytes of one token in `TokenizedPrompt.sequences`."""


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as token ids: a request to a model that has a vocabulary."""

    prompt: Prompt
    """The prompt as raw text, the model's chat template applied."""
    ids: tuple[int, ...]
    """Tokens that all candidates share, at least one."""
    candidates: tuple[tuple[int, ...], ...] = ()
    """Per candidate, its tokens after the shared ones; empty where the answer is generated."""

    @property
    def tokens(self) -> int:
        """Number of tokens before the branch point."""
        return len(self.ids)

    @property
    def candidate_tokens(self) -> tuple[int, ...]:
        """Per candidate, the number of its tokens; empty where the answer is generated."""
        return tuple([len(candidate) for candidate in self.candidates])

    @property
    def naive_tokens(self) -> int:
        """Number of tokens of a loop that decodes the prompt anew for every candidate."""
        return sum(len(self.ids) + count for count in self.candidate_tokens) or len(self.ids)

    @property
    def content(self) -> bytes:
        """The part of the key that says what is asked: lengths and token ids."""
        head = f"{len(self.ids)}, {[*self.candidate_tokens]}]".encode()
        return head + b"".join([array("q", ids) for ids in (self.ids, *self.candidates)])

    def sequences(self) -> Iterator[bytes]:
        """Yield the sequences to decode, `TOKEN_BYTES` a token.

        The last token of a candidate is predicted, and never decoded.
        """
        ids = array("i", self.ids).tobytes()
        for inner in {candidate[:-1] for candidate in self.candidates} or {()}:
            yield ids + array("i", inner).tobytes()
