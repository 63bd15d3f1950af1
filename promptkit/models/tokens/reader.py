"""A prompt's text to tokens: control tokens only outside data, and cut where it may be cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Literal, NamedTuple, Protocol

from promptkit.models.tokens.part_cache import Cuts, Parts
from promptkit.prompts.pieces import Piece
from promptkit.text import shared_length

_SPACE = " \t\n\v\f\r"  # the characters that C's isspace() strips

_AHEAD = 64
"""Characters; where two texts share fewer than these more, a longer prefix does not pay."""


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that only a template's text can become."""

    id: int
    strips_left: bool = False
    """True where the tokenizer drops white space in front of it."""
    strips_right: bool = False


class Tokenizer(Protocol):
    """The parts of a model's vocabulary that encoding needs."""

    @property
    def controls(self) -> Mapping[str, ControlToken]:
        """The control tokens by their text."""

    @property
    def bos(self) -> int | None:
        """The token the model wants at the beginning, if it wants one."""

    @property
    def cuts(self) -> Cuts | None:
        """The places where ordinary text may be cut; None where there are none."""

    def plain(self, text: str) -> list[int]:
        """Return the tokens of ordinary text, never a control token."""

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""


Areas = tuple[tuple[int, int], ...]
"""The beginnings and ends of ranges of a text, in order."""

Place = Literal["start", "line", "control"]
"""Where a text begins: with its prompt, or at a line or a control token at which it was cut."""


class MarkedText(NamedTuple):
    """A text to be tokenized, with its ranges of data marked."""

    text: str
    data: Areas | None = None
    """The ranges of it that are data; None where it has no control token at all."""
    place: Place = "start"

    def before(self, cut: int) -> MarkedText:
        """Return the text up to a cut."""
        data = self.data and tuple((a, min(b, cut)) for a, b in self.data if a < cut)
        return MarkedText(self.text[:cut], data, self.place)

    def behind(self, cut: int, place: Place) -> MarkedText:
        """Return the text from a cut on."""
        data = self.data and tuple((max(a - cut, 0), b - cut) for a, b in self.data if b > cut)
        return MarkedText(self.text[cut:], data, place)

    def plus(self, text: str, *, is_data: bool = False) -> MarkedText:
        """Return the text with more at its end."""
        end, whole, data = len(self.text), self.text + text, self.data
        if data is None and not is_data:
            data = ((0, end),)  # only what is added may have a control token
        elif data is not None and is_data:
            data = (*data, (end, len(whole)))
        return MarkedText(whole, data, self.place)

    def begins(self, other: MarkedText) -> bool:
        """Return whether the other text begins with this one, with the same marks."""
        if not other.text.startswith(self.text):
            return False
        if self.data is None or other.data is None:
            return True
        inside = len(self.data)
        following = other.data[inside : inside + 1]
        return other.data[:inside] == self.data and all(a >= len(self.text) for a, _ in following)

    def shared(self, other: MarkedText) -> MarkedText:
        """Return the prefix that both texts share, with the same marks."""
        length = shared_length(self.text, other.text)
        if self.data is not None and other.data is not None:
            for ours, theirs in zip_longest(self.data, other.data):
                if ours != theirs or ours[1] > length:
                    length = min(length, *(area[0] for area in (ours, theirs) if area))
                    break
        return self.before(length)


class _Stretch(NamedTuple):
    """A control token, if there is one, and the ordinary text after it."""

    control: ControlToken | None
    start: int
    end: int


class _KnownPrefix(NamedTuple):
    """A prefix of many texts, with its tokens up to a cut."""

    source: MarkedText = MarkedText("")
    cut: int = 0
    place: Place = "line"
    ids: Sequence[int] = ()


class Reader:
    """A reader of texts for one tokenizer; `parts` keeps the tokens of ordinary text."""

    def __init__(self, tokenizer: Tokenizer, parts: Parts) -> None:
        self._tokenizer, self.parts = tokenizer, parts
        self._last = MarkedText("")
        self._prefix = _KnownPrefix()

    def source(self, pieces: Sequence[Piece]) -> MarkedText:
        """Return the pieces as one text."""
        text = "".join([piece.text for piece in pieces])
        if self._pattern is None or not self._pattern.search(text):
            return MarkedText(text)
        data: list[tuple[int, int]] = []
        start = 0
        for piece in pieces:
            end = start + len(piece.text)
            if piece.kind == "data" and piece.text:
                data.append((start, end))
            start = end
        return MarkedText(text, tuple(data))

    def tokens(self, source: MarkedText, *, before: str = "") -> list[int]:
        """Return the tokens of a text; `before` is the character after a cut at its end."""
        return self._with_bos(self._ids(source, self._stretches(source), before), source)

    def tokens_with(self, source: MarkedText, label: str) -> list[int]:
        """Return the tokens of a text and a label, cut between them where that is allowed."""
        last = self._stretches(source)[-1]
        if last.start < last.end:  # the last character is ordinary text
            before = self.parts.joint(source.text[-1], label)
            if before is not None:
                ids = self.tokens(source, before=before)
                return ids + self.parts.tokens(label, after=source.text[-1])
        return self.tokens(source.plus(label, is_data=True))

    def cut(self, source: MarkedText) -> tuple[list[int], MarkedText]:
        """Return the tokens in front of the last part, and the last part.

        The prefix that a text shares with the one before is not read again: prompts come in the
        order of their shots, so that it is usually long.
        """
        if not self._prefix.source.begins(source):
            self._prefix = _KnownPrefix()
        prefix = self._prefix
        rest = source.behind(prefix.cut, prefix.place) if prefix.ids else source
        ids, rest = self._cut(rest)
        ids = [*prefix.ids, *ids]
        self._extend_prefix(source)
        return ids, rest

    def _cut(self, source: MarkedText) -> tuple[list[int], MarkedText]:
        """Cut a text at its last line, or at its last control token that leaves space before it."""
        text, stretches = source.text, self._stretches(source)
        last = stretches[-1]
        cut = self.parts.last_line(text, last.start)
        if cut is not None:
            stretches[-1] = _Stretch(last.control, last.start, cut)
            ids = self._ids(source, stretches, text[cut])
            rest = source.behind(cut, "line")
        elif last.control is not None and not last.control.strips_left:
            ids = self._ids(source, stretches[:-1])
            rest = source.behind(stretches[-2].end, "control")
        else:
            return [], source
        return (self._with_bos(ids, source), rest) if ids else ([], source)

    def _extend_prefix(self, source: MarkedText) -> None:
        """Keep the prefix of this text and the one before, if it is longer than the known one."""
        last, self._last = self._last, source
        known = len(self._prefix.source.text)
        if source.text[known : known + _AHEAD] != last.text[known : known + _AHEAD]:
            return
        shared = source.shared(last)
        ids, rest = self._cut(shared)
        cut = len(shared.text) - len(rest.text)
        # The shared text may end within a control token, a different one in each text. So the cut
        # must leave room for the longest of them.
        while ids and len(shared.text) - cut < self._longest_control:
            ids, rest = self._cut(shared.before(cut))
            cut -= len(rest.text)
        self._prefix = _KnownPrefix(shared, cut, rest.place, ids)

    def _with_bos(self, ids: list[int], source: MarkedText) -> list[int]:
        bos = self._tokenizer.bos
        if bos is None or source.place != "start" or ids[:1] == [bos]:
            return ids
        return [bos, *ids]

    def _ids(
        self, source: MarkedText, stretches: Sequence[_Stretch], before: str = ""
    ) -> list[int]:
        """Return the tokens of stretches; the first may begin and the last end at a cut."""
        after = "\n" if source.place == "line" else ""
        ids: list[int] = []
        for stretch in stretches:
            if stretch.control is not None:
                ids.append(stretch.control.id)
            if stretch.start < stretch.end:
                ids += self.parts.tokens(
                    source.text[stretch.start : stretch.end],
                    after=after if stretch is stretches[0] else "",
                    before=before if stretch is stretches[-1] else "",
                )
        return ids

    def _stretches(self, source: MarkedText) -> list[_Stretch]:
        """Return the text cut at its control tokens, which may drop the white space beside them."""
        text = source.text
        if source.data is None:
            return [_Stretch(None, 0, len(text))]
        stretches: list[_Stretch] = []
        start, before = 0, None
        for begin, end, control in self._controls_in(text, source.data):
            left = text[start:begin]
            if control.strips_left:
                left = left.rstrip(_SPACE)
            stretches.append(_Stretch(before, start, start + len(left)))
            start, before = end, control
            if control.strips_right:
                start += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        return [*stretches, _Stretch(before, start, len(text))]

    def _controls_in(self, text: str, data: Areas) -> Iterator[tuple[int, int, ControlToken]]:
        """Yield the control tokens that stand wholly in text of templates, between the data."""
        if self._pattern is None:
            return
        begin = 0
        for start, end in (*data, (len(text), len(text))):
            for match in self._pattern.finditer(text, begin, start):
                yield *match.span(), self._tokenizer.controls[match[0]]
            begin = end

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        longest_first = sorted(filter(None, self._tokenizer.controls), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    @cached_property
    def _longest_control(self) -> int:
        return max(map(len, self._tokenizer.controls), default=0)
