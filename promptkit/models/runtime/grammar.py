"""Grammars that keep an answer to its format while it is written.

What is written is a value of the format, then the beginning of what follows it in the prompt, or
the model's own end.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from promptkit.errors import PromptError, shorten
from promptkit.models.base import Finish
from promptkit.models.runtime import grammar_source
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.prompts.answer_format import literals
from promptkit.prompts.prompt import Prompt
from promptkit.translation import tr

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_CONTINUATIONS = (range(0x80, 0x90), range(0x90, 0xA0), range(0xA0, 0xC0))
"""Bytes that continue a character; after some first bytes only one of these ranges may follow."""

_JSON = json.JSONDecoder()

_CLOSING = tuple(bytes([byte]) for byte in b'}]"el')
"""The ends of an object, an array, a string, true or false, and null: of all JSON but numbers."""


class Grammars:
    """The grammars of one vocabulary, each compiled when it is first asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._made: dict[object, Grammar | None] = {}

    def of(self, prompt: Prompt) -> Grammar | None:
        """Return the grammar of a prompt's answer; None where the answer may be any text.

        A text whose constraints cannot be expressed is left to validation. Raises `PromptError`
        where no grammar can express another format, or this vocabulary cannot write it.
        """
        if prompt.format is None:
            return None
        key = (prompt.format, prompt.lead, prompt.stop)
        if key not in self._made:
            try:
                self._made[key] = Grammar(prompt, self._vocabulary, self._tokenizer)
            except PromptError:
                if prompt.format.kind == "json":
                    raise
                self._made[key] = None
        return self._made[key]

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        from llguidance import LLTokenizer

        tokens = _Tokens(self._vocabulary)
        tokenizer = LLTokenizer(tokens)  # type: ignore[arg-type]
        tokens.tokens.clear()  # the library has its own
        return tokenizer


class Grammar:
    """The grammar of one prompt's answers, compiled for one vocabulary."""

    def __init__(self, prompt: Prompt, vocabulary: Vocabulary, tokenizer: LLTokenizer) -> None:
        """Compile the grammar of a prompt that has a format. Raises `PromptError`."""
        from llguidance import LLMatcher

        assert prompt.format is not None
        self.kind, self.vocabulary = prompt.format.kind, vocabulary
        self.ending = grammar_source.ending(prompt.stop, vocabulary.controls)
        schema = json.loads(prompt.format.schema)
        for text in literals(schema):
            try:
                vocabulary.plain(text)
            except (PromptError, UnicodeEncodeError) as error:
                raise PromptError(tr("the output's JSON Schema: {error}", error=error)) from None
        if not prompt.stop and not vocabulary.endings:
            raise PromptError(
                tr(
                    "nothing ends an answer, neither in the template nor in the model's "
                    "vocabulary; let a newline follow {{ output }}"
                )
            )
        source = grammar_source.source(
            prompt.format.kind, schema, len(prompt.lead), self.ending, sorted(vocabulary.endings)
        )
        self._matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(source), log_level=0)
        if self._matcher.is_error():
            raise PromptError(grammar_source.explained(schema, self._matcher.get_error()))
        self.allowed: npt.NDArray[np.int32] = np.zeros((vocabulary.size + 32) // 32, np.int32)
        """The tokens that may come first, a bit for each, and one for the library's own end."""
        can_begin = fill(self._matcher, self.allowed)
        first = np.unpackbits(self.allowed.view(np.uint8), bitorder="little").nonzero()[0]
        # A value must be able to begin, and not only the spaces in front of it.
        if not can_begin or not any(vocabulary.piece(int(token)).strip(b" ") for token in first):
            raise PromptError(
                tr(
                    "no answer under the schema {schema} can begin: it contradicts itself, or "
                    "this model's vocabulary cannot write it; simplify the output type",
                    schema=shorten(schema),
                )
            )

    def start(self) -> Matcher:
        """Return a matcher for an answer that is about to be written."""
        return Matcher(self, self._matcher.deep_copy())


class Matcher:
    """The state of one answer while it is written."""

    def __init__(self, grammar: Grammar, matcher: LLMatcher) -> None:
        self._grammar, self._matcher = grammar, matcher
        self._allowed = grammar.allowed.copy()
        self._written = bytearray()
        self.finish: Finish = "length"
        """The reason why the answer ended; `length` for one that has not ended."""

    @property
    def finished(self) -> bool:
        """True once no token may follow."""
        return self.finish != "length"

    def allows(self, token: int) -> bool:
        """Return whether this token may come next."""
        return bool(self._allowed[token >> 5] >> (token & 31) & 1)

    def mask(self, logits: npt.NDArray[np.floating]) -> None:
        """Set the logits, (vocabulary,), of all tokens that may not come next to -inf."""
        bits = self._allowed.view(np.uint8)
        allowed = np.unpackbits(bits, count=len(logits), bitorder="little")
        np.copyto(logits, -np.inf, where=allowed == 0)

    def accept(self, token: int) -> None:
        """Continue with a token. Raises `ValueError` for one that may not come next."""
        if self.finished or not self.allows(token) or not self._matcher.consume_token(token):
            raise ValueError(tr("token {token} may not come next in this answer", token=token))
        vocabulary, control = self._grammar.vocabulary, self._grammar.ending.control
        if token in vocabulary.endings:
            self.finish = "eos"
        elif token == control:
            self.finish = "stop"
        else:
            piece = vocabulary.piece(token)
            self._written += piece
            if self._matcher.is_accepting() or self._is_closed(piece):
                self.finish = "stop"
            elif not fill(self._matcher, self._allowed):
                self.finish = "stuck"

    @property
    def text(self) -> str:
        """The answer as far as it is written, without its end."""
        text = self._written.decode("utf-8", "replace")
        if self._grammar.kind == "json":
            return text[: _value_end(text)]
        stop, control = self._grammar.ending
        if self.finish == "stop":
            return text.removesuffix(stop) if control is not None else text[: text.index(stop)]
        return text

    def _is_closed(self, piece: bytes) -> bool:
        """Return whether a JSON value is complete whatever comes, so that it needs no stop."""
        if self._grammar.kind == "text" or piece[-1:] not in _CLOSING:
            return False
        text = self._written.decode("utf-8", "replace")
        return _value_end(text) == len(text)


class _Tokens:
    """A vocabulary as llguidance reads it: texts, and a mark in front of special tokens."""

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids = ()

    def __init__(self, vocabulary: Vocabulary) -> None:
        special = {control.id for control in vocabulary.controls.values()} | vocabulary.endings
        pieces = [vocabulary.piece(token) for token in range(vocabulary.size)]
        single = {piece[0] for piece in pieces if len(piece) == 1}
        # Without a token for each such byte, a character that was begun might never be completed.
        if not all(single.intersection(group) for group in _CONTINUATIONS):
            pieces = [p if p.decode("utf-8", "ignore").encode() == p else b"" for p in pieces]
        self.tokens = [
            b"\xff<%d>" % token if token in special else piece for token, piece in enumerate(pieces)
        ]
        # Ends are part of a grammar, so the library's own is a token that no model has.
        self.eos_token_id = vocabulary.size
        self.tokens.append(b"\xff<end>")

    def __call__(self, text: str | bytes) -> list[int]:
        raise NotImplementedError  # asked only for forced tokens, which no grammar has


def fill(matcher: LLMatcher, allowed: npt.NDArray[np.int32]) -> bool:
    """Set a bit for every token that may come next; return False where none may."""
    matcher.unsafe_compute_mask_ptr(allowed.ctypes.data, allowed.nbytes)
    return not matcher.is_error()


def _value_end(text: str) -> int | None:
    """Return the end of the JSON value at the beginning of a text; None where it is incomplete."""
    try:
        return _JSON.raw_decode(text, len(text) - len(text.lstrip(" ")))[1]
    except (ValueError, RecursionError):
        return None
