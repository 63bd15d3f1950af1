"""A GGUF model's vocabulary: ordinary text to tokens, never to control tokens, and back.

llama.cpp ends the process for some texts that a vocabulary cannot write, and some tokenizers
build a control token out of ordinary text; both are prevented here.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Mapping
from functools import cached_property
from itertools import repeat
from typing import Any

from promptkit.errors import ModelError, PromptError, shorten
from promptkit.models.gguf.header import Header
from promptkit.models.runtime.big_stack import with_stack
from promptkit.models.runtime.library import library, merges_newlines
from promptkit.models.runtime.loaded_model import LoadedModel
from promptkit.models.runtime.split_points import BYTE_LETTERS, find_cuts
from promptkit.models.tokens.part_cache import Cuts
from promptkit.models.tokens.reader import ControlToken
from promptkit.translation import tr

_WHOLE = ("gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace")
"""The pre-tokenizers with which BPE merges characters as they are, not letters for their bytes."""

_UNKNOWN = {"t5": 2, "bert": 100}
"""The token for unknown text of these tokenizers, where a file does not name it."""

_NEWLINES = re.compile(r"\n{2,}")


class Vocabulary:
    """The tokenizer of a loaded model (`promptkit.models.tokens.encoder.Tokenizer`)."""

    def __init__(self, model: LoadedModel, header: Header) -> None:
        self._model = model  # whose memory is freed when nothing refers to it
        self._lib = library()
        self._vocab = self._lib.llama_model_get_vocab(model.pointer)
        self._type = self._lib.llama_vocab_type(self._vocab)
        if self._type == self._lib.LLAMA_VOCAB_TYPE_NONE:
            raise ModelError(tr("{path}: the file has no vocabulary", path=header.path))
        kinds = [header.metadata.get(f"tokenizer.ggml.{name}") for name in ("model", "pre")]
        is_bpe = self._type == self._lib.LLAMA_VOCAB_TYPE_BPE
        self._splits, self._is_byte_level = is_bpe, is_bpe and not set(kinds) & set(_WHOLE)
        self.size: int = self._lib.llama_vocab_n_tokens(self._vocab)
        self._texts = _strings(header.metadata["tokenizer.ggml.tokens"])
        self._chat_template = str(header.metadata.get("tokenizer.chat_template", ""))
        self._buffers = _Buffers(self._lib.llama_token)
        self._pieces: dict[int, bytes] = {}
        self.cuts = self._find_cuts(header)
        default = _UNKNOWN.get(str(kinds[0]))
        self._unknown = header.metadata.get("tokenizer.ggml.unknown_token_id", default)
        lossy = (self._lib.LLAMA_VOCAB_TYPE_UGM, self._lib.LLAMA_VOCAB_TYPE_WPM)
        self._loses_unknown = self._type in lossy

    @cached_property
    def controls(self) -> Mapping[str, ControlToken]:
        """The control tokens by their text.

        Some files declare the marks of their turns as the user's own tokens, which llama.cpp finds
        in any text; one that stands in the chat template is a control token here.
        """
        lib, found = self._lib, {}
        control = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        for token, attributes in enumerate(self._attributes):
            mark = attributes & lib.LLAMA_TOKEN_ATTR_USER_DEFINED and self._is_mark(token)
            if attributes & control or mark:
                text = self._text(token)
                found[text] = ControlToken(
                    token,
                    bool(attributes & lib.LLAMA_TOKEN_ATTR_LSTRIP),
                    bool(attributes & lib.LLAMA_TOKEN_ATTR_RSTRIP),
                )
        return found

    @cached_property
    def bos(self) -> int | None:
        """The token the model wants at the beginning, if it wants one."""
        wanted = self._lib.llama_vocab_get_add_bos(self._vocab)
        token: int = self._lib.llama_vocab_bos(self._vocab)
        return token if wanted and 0 <= token < self.size else None

    @cached_property
    def bos_text(self) -> str:
        """The `bos_token` of chat templates; empty where there is none."""
        return self._text_of_special(self._lib.llama_vocab_bos(self._vocab))

    @cached_property
    def eos_text(self) -> str:
        """The `eos_token` of chat templates; empty where there is none."""
        return self._text_of_special(self._lib.llama_vocab_eos(self._vocab))

    def ends(self, token: int) -> bool:
        """Return whether the model ends its text with this token."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def endings(self) -> frozenset[int]:
        """The tokens with which the model ends its text."""
        return frozenset(token for token in range(self.size) if self.ends(token))

    def plain(self, text: str) -> list[int]:
        """Return the tokens of ordinary text, never a control token.

        Raises `PromptError` for a text that this vocabulary cannot write.
        """
        self._check_writable(text)
        raw = text.encode("utf-8")
        length = len(raw) if self._splits else 0
        tokens = with_stack(length, lambda: self._tokenize(raw))
        if self._loses_unknown and self._unknown in tokens:
            alone = (char for char in text if self._unknown in self._tokenize(char.encode("utf-8")))
            raise self._no_token(next(alone, text), text)  # a word may be unknown only as a whole
        if self._control_ids.isdisjoint(tokens):
            return tokens
        return [
            part
            for token in tokens
            for part in (self._spelled(token) if token in self._control_ids else (token,))
        ]

    def whole(self, text: str) -> list[int]:
        """Return the tokens of a text with those that the model wants around it, like `plain`."""
        self._check_writable(text)
        return self._tokenize(text.encode("utf-8"), ends=True)

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        if token not in self._pieces:
            self._pieces[token] = self._read_piece(token)
        return self._pieces[token]

    def _is_mark(self, token: int) -> bool:
        text = self._text(token)
        return len(text) > 1 and not text.isspace() and text in self._chat_template

    def _tokenize(self, raw: bytes, *, ends: bool = False) -> list[int]:
        buffers = self._buffers
        while True:
            buffer = buffers.tokens
            count = self._lib.llama_tokenize(
                self._vocab, raw, len(raw), buffer, len(buffer), ends, False
            )
            if count >= 0:
                return buffer[:count]  # type: ignore[no-any-return]
            if count == -(2**31):
                raise PromptError(
                    tr("a text of {count:,} bytes has more tokens than fit a count", count=len(raw))
                )
            buffers.tokens = (self._lib.llama_token * -count)()

    def _spelled(self, control: int) -> list[int]:
        """Return a control token's text as ordinary tokens: one per character, or per byte."""
        tokens: list[int] = []
        for char in self._text(control):
            raw = char.encode()
            parts = [raw] if raw in self._single else [raw[i : i + 1] for i in range(len(raw))]
            for part in parts:
                if part not in self._single:
                    raise PromptError(
                        tr(
                            "the data contains {text!r}, which this vocabulary can only write as a "
                            "control token",
                            text=self._text(control),
                        )
                    )
                tokens.append(self._single[part])
        return tokens

    def _check_writable(self, text: str) -> None:
        """Raise `PromptError` for text that llama.cpp would lose, or end the process on."""
        if self._splits and not self._is_byte_level and not merges_newlines():
            for run in _NEWLINES.findall(text):
                if run not in self._known:
                    raise PromptError(
                        tr(
                            "this model's vocabulary has no token for {count} newlines in a row, "
                            "on which this llama.cpp ends the process; write fewer, or install a "
                            "newer llama-cpp-python",
                            count=len(run),
                        )
                    )
        if not self._unwritable:
            return
        shown = text.replace(" ", "\u2581") if self._keeps_characters else text
        raw = shown.encode("utf-8")
        if len(raw.translate(None, bytes(self._unwritable))) == len(raw):
            return
        for char in dict.fromkeys(shown):
            known = self._keeps_characters and char in self._known
            if not known and not self._unwritable.isdisjoint(char.encode("utf-8")):
                char = " " if char == "\u2581" and " " in text else char
                raise self._no_token(char, text)

    @staticmethod
    def _no_token(what: str, text: str) -> PromptError:
        return PromptError(
            tr(
                "this model's vocabulary has no token for {what} (in {text})",
                what=shorten(what),
                text=shorten(text),
            )
        )

    @cached_property
    def _unwritable(self) -> frozenset[int]:
        """Bytes for which a vocabulary has no token of their own; a complete one has them all."""
        known = self._known
        if self._is_byte_level:
            return frozenset(byte for byte in range(256) if BYTE_LETTERS[byte] not in known)
        if not self._keeps_characters:
            return frozenset()
        # SentencePiece alone takes the token of an ASCII character for its byte.
        last = 0 if self._splits else 128
        return frozenset(
            byte
            for byte in range(256)
            if f"<0x{byte:02X}>" not in known and not (byte < last and chr(byte) in known)
        )

    @property
    def _keeps_characters(self) -> bool:
        """True where a character may be a token as it is, a space as U+2581."""
        is_spm: bool = self._type == self._lib.LLAMA_VOCAB_TYPE_SPM
        return is_spm or (self._splits and not self._is_byte_level)

    def _find_cuts(self, header: Header) -> Cuts | None:
        """Return the cuts of ordinary text; None for a tokenizer of which they are not known.

        The user's own tokens are found first. Some drop the white space beside them, and in
        SentencePiece a space is put after them.
        """
        lib, kind = self._lib, header.metadata.get("tokenizer.ggml.model")
        if kind != ("gpt2" if self._is_byte_level else "llama"):
            return None
        own = [
            (text, attributes)
            for text, attributes in zip(self._texts, self._attributes, strict=True)
            if attributes & lib.LLAMA_TOKEN_ATTR_USER_DEFINED and text
        ]
        strips = lib.LLAMA_TOKEN_ATTR_LSTRIP | lib.LLAMA_TOKEN_ATTR_RSTRIP
        if any(attributes & strips for _, attributes in own):
            return None
        puts_space = self._type == lib.LLAMA_VOCAB_TYPE_SPM and header.metadata.get(
            "tokenizer.ggml.add_space_prefix", True
        )
        return find_cuts(
            self._texts,
            _strings(header.metadata.get("tokenizer.ggml.merges")),
            byte_level=self._is_byte_level,
            spaced=[text for text, _ in own] if puts_space else (),
        )

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._texts)

    @cached_property
    def _attributes(self) -> list[int]:
        return list(map(self._lib.llama_vocab_get_attr, repeat(self._vocab), range(self.size)))

    @cached_property
    def _control_ids(self) -> frozenset[int]:
        return frozenset(control.id for control in self.controls.values())

    @cached_property
    def _single(self) -> Mapping[bytes, int]:
        """Ordinary tokens that stand for one character or one byte; characters before bytes."""
        found: dict[bytes, int] = {}
        byte = self._lib.LLAMA_TOKEN_ATTR_BYTE
        order = sorted(range(self.size), key=lambda token: not self._attributes[token] & byte)
        for token in order:
            piece = self.piece(token)
            if token not in self._control_ids and 1 <= len(piece) <= 4:
                found[piece] = token
        return found

    def _read_piece(self, token: int) -> bytes:
        buffer = self._buffers.piece
        count = self._lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        if count < 0:
            self._buffers.piece = ctypes.create_string_buffer(-count)
            return self._read_piece(token)
        return buffer.raw[:count]

    def _text(self, token: int) -> str:
        raw: bytes = self._lib.llama_vocab_get_text(self._vocab, token)
        return raw.decode("utf-8", "replace")

    def _text_of_special(self, token: int) -> str:
        return self._text(token) if 0 <= token < self.size else ""


class _Buffers(threading.local):
    """The buffers that llama.cpp writes into, for each thread."""

    def __init__(self, token: Any) -> None:
        self.piece = ctypes.create_string_buffer(64)
        self.tokens: Any = (token * 4096)()


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
