"""A prompt's text to tokens: control tokens only where no data is, cut where it may be cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Literal, NamedTuple, Protocol

from promptkit.models.tokens.part_cache import Cuts, Parts
from promptkit.prompts.pieces import Piece

_SPACE = " \t\n\v\f\r"  # what C's isspace() strips
_AHEAD = 64  # characters; where two texts share fewer, it does not pay to keep more of them


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A token that only a template can ask for."""

    id: int
    strips_left: bool = False
    """The tokenizer drops white space in front of it."""
    strips_right: bool = False


class Tokenizer(Protocol):
    """What encoding needs of a model's vocabulary."""

    @property
    def controls(self) -> Mapping[str, ControlToken]:
        """The control tokens by their text."""
        ...

    @property
    def bos(self) -> int | None:
        """The token the model wants at the beginning, if it wants one."""
        ...

    @property
    def cuts(self) -> Cuts | None:
        """Where ordinary text may be cut; None where nowhere."""
        ...

    def plain(self, text: str) -> list[int]:
        """The tokens of ordinary text, never a control token."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for."""
        ...


Areas = tuple[tuple[int, int], ...]
"""Where ranges of a text begin and end, in order."""


class Source(NamedTuple):
    """A text to be tokenized."""

    text: str
    data: Areas | None = None
    """The ranges of it that are data; None where it has no control token at all."""
    place: Literal["start", "line", "control"] = "start"
    """What it begins: the prompt, or a line or a control token behind which the prompt was cut."""

    def before(self, cut: int) -> Source:
        """The text up to a cut."""
        data = self.data and tuple((a, min(b, cut)) for a, b in self.data if a < cut)
        return Source(self.text[:cut], data, self.place)

    def behind(self, cut: int, place: Literal["line", "control"]) -> Source:
        """The text from a cut on."""
        data = self.data and tuple((max(a - cut, 0), b - cut) for a, b in self.data if b > cut)
        return Source(self.text[cut:], data, place)

    def plus(self, text: str, *, is_data: bool = False) -> Source:
        """The text with more at its end."""
        end, whole, data = len(self.text), self.text + text, self.data
        if data is None and not is_data:
            data = ((0, end),)  # only what is added may have a control token
        elif data is not None and is_data:
            data = (*data, (end, len(whole)))
        return Source(whole, data, self.place)

    def begins(self, other: Source) -> bool:
        """Whether the other begins with this one, data and all."""
        if not other.text.startswith(self.text):
            return False
        if self.data is None or other.data is None:
            return True
        inside = len(self.data)
        following = other.data[inside : inside + 1]
        return other.data[:inside] == self.data and all(a >= len(self.text) for a, _ in following)

    def shared(self, other: Source) -> Source:
        """What both begin with."""
        length = _shared(self.text, other.text)
        if self.data is not None and other.data is not None:
            for ours, theirs in zip_longest(self.data, other.data):
                if ours != theirs or ours[1] > length:
                    length = min(length, *(area[0] for area in (ours, theirs) if area))
                    break
        return self.before(length)


class _Run(NamedTuple):
    """A control token, if there is one, and the ordinary text behind it."""

    control: ControlToken | None
    start: int
    end: int


class _Trunk(NamedTuple):
    """What many texts begin with, and its tokens up to a cut."""

    source: Source = Source("")
    cut: int = 0
    place: Literal["line", "control"] = "line"
    ids: Sequence[int] = ()


class Reader:
    """Reads texts for one tokenizer; `parts` says where ordinary text is cut."""

    def __init__(self, tokenizer: Tokenizer, parts: Parts) -> None:
        self._tokenizer, self.parts = tokenizer, parts
        self._last = Source("")
        self._trunk = _Trunk()

    def source(self, pieces: Sequence[Piece]) -> Source:
        """The pieces as one text."""
        text = "".join([piece.text for piece in pieces])
        if self._pattern is None or not self._pattern.search(text):
            return Source(text)
        data: list[tuple[int, int]] = []
        start = 0
        for piece in pieces:
            end = start + len(piece.text)
            if piece.kind == "data" and piece.text:
                data.append((start, end))
            start = end
        return Source(text, tuple(data))

    def tokens(self, source: Source, *, before: str = "") -> list[int]:
        """The tokens of a text, `before` the character that follows where a cut is at its end."""
        after = "\n" if source.place == "line" else ""
        runs = self._runs(source)
        return self._with_bos(self._ids(source, runs, after=after, before=before), source)

    def tokens_with(self, source: Source, label: str) -> list[int]:
        """The tokens of a text and a label, cut between them where that may be."""
        last = self._runs(source)[-1]
        if last.start < last.end:  # the last character is ordinary text
            before = self.parts.joint(source.text[-1], label)
            if before is not None:
                ids = self.tokens(source, before=before)
                return ids + self.parts.tokens(label, after=source.text[-1])
        return self.tokens(source.plus(label, is_data=True))

    def cut(self, source: Source) -> tuple[list[int], Source]:
        """The tokens in front of the last part, and the last part.

        What a text shares with the one before is not read again.
        """
        if not self._trunk.source.begins(source):
            self._trunk = _Trunk()
        trunk = self._trunk
        rest = source.behind(trunk.cut, trunk.place) if trunk.ids else source
        ids, rest = self._cut(rest)
        ids = [*trunk.ids, *ids]
        self._lengthen_trunk(source)
        return ids, rest

    def _cut(self, source: Source) -> tuple[list[int], Source]:
        """The last part begins with a line, or a control token that leaves space before it."""
        text, runs = source.text, self._runs(source)
        last = runs[-1]
        after = "\n" if source.place == "line" else ""
        cut = self.parts.last_line(text, last.start)
        if cut is not None:
            runs[-1] = _Run(last.control, last.start, cut)
            ids = self._ids(source, runs, after=after, before=text[cut])
            rest = source.behind(cut, "line")
        elif last.control is not None and not last.control.strips_left:
            ids = self._ids(source, runs[:-1], after=after)
            rest = source.behind(runs[-2].end, "control")
        else:
            return [], source
        return (self._with_bos(ids, source), rest) if ids else ([], source)

    def _lengthen_trunk(self, source: Source) -> None:
        """Keeps what this text and the one before begin with, if it is more than is known."""
        last, self._last = self._last, source
        known = len(self._trunk.source.text)
        if source.text[known : known + _AHEAD] != last.text[known : known + _AHEAD]:
            return
        shared = source.shared(last)
        ids, rest = self._cut(shared)
        cut = len(shared.text) - len(rest.text)
        # At its end the text may be one beginning of several control tokens.
        while ids and len(shared.text) - cut < self._longest_control:
            ids, rest = self._cut(shared.before(cut))
            cut -= len(rest.text)
        self._trunk = _Trunk(shared, cut, "control" if rest.place == "control" else "line", ids)

    def _with_bos(self, ids: list[int], source: Source) -> list[int]:
        bos = self._tokenizer.bos
        if bos is None or source.place != "start" or ids[:1] == [bos]:
            return ids
        return [bos, *ids]

    def _ids(
        self, source: Source, runs: Sequence[_Run], *, after: str = "", before: str = ""
    ) -> list[int]:
        """The tokens of runs, of which the first may begin and the last end at a cut."""
        ids: list[int] = []
        for run in runs:
            if run.control is not None:
                ids.append(run.control.id)
            if run.start < run.end:
                ids += self.parts.tokens(
                    source.text[run.start : run.end],
                    after=after if run is runs[0] else "",
                    before=before if run is runs[-1] else "",
                )
        return ids

    def _runs(self, source: Source) -> list[_Run]:
        """The text cut at its control tokens, which may swallow the white space beside them."""
        text = source.text
        if source.data is None:
            return [_Run(None, 0, len(text))]
        runs: list[_Run] = []
        start, before = 0, None
        for begin, end, control in self._controls_in(text, source.data):
            left = text[start:begin]
            if control.strips_left:
                left = left.rstrip(_SPACE)
            runs.append(_Run(before, start, start + len(left)))
            start, before = end, control
            if control.strips_right:
                start += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        return [*runs, _Run(before, start, len(text))]

    def _controls_in(self, text: str, data: Areas) -> Iterator[tuple[int, int, ControlToken]]:
        """The control tokens that stand wholly in text of templates, between the data."""
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


def _shared(one: str, two: str) -> int:
    """How many leading characters two texts share."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
