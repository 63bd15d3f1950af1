"""Prompts to token ids: prompt and label together, one BOS, no control token out of data.

A tokenizer may merge the end of a prompt with the beginning of a label, so every candidate is
tokenized together with its prompt, and the branch point is the longest token prefix that all
candidates share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol

from promptkit.errors import PromptError, shorten
from promptkit.parts import KEPT, PROBE, Cuts, Parts
from promptkit.prompts import Piece, Prompt, TokenizedPrompt

_FIRST, _EVERY = 4, 256  # which prompts are encoded whole as well

Tokens = tuple[int, ...]


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


class Encoder:
    """Encodes prompts for one tokenizer, and keeps the tokens of what they share.

    Where the tokenizer allows it, a text is cut, so that no part is tokenized twice. Now and then
    a prompt is encoded whole as well; should the two ever differ, nothing is cut from then on.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._uncut = Parts(tokenizer.plain, None)
        self._kept_ending = lru_cache(KEPT)(self._ending)
        self._encoded = 0

    def encode(self, prompt: Prompt) -> TokenizedPrompt:
        """The prompt's tokens and its candidates'.

        Raises `PromptError` for labels that clash, and for text that is not Unicode.
        """
        if self._parts is self._uncut:
            return self._encode_whole(prompt)
        self._encoded += 1
        try:
            tokenized = self._encode_cut(prompt)
        except (UnicodeEncodeError, PromptError, _RefusalError):
            return self._encode_whole(prompt)  # which names the prompt and shows its text
        if self._encoded <= _FIRST or self._encoded % _EVERY == 0:
            whole = self._encode_whole(prompt)
            if whole != tokenized:
                self._parts = self._uncut
            return whole
        return tokenized

    def encode_all(self, prompts: Iterable[Prompt]) -> list[TokenizedPrompt]:
        """`encode` for many prompts."""
        prompts, parts = list(prompts), self._parts
        tokenized = [self.encode(prompt) for prompt in prompts]
        if self._parts is not parts:  # its tokens are not to be relied on
            tokenized = [self.encode(prompt) for prompt in prompts]
        return tokenized

    @cached_property
    def _parts(self) -> Parts:
        """What cuts texts, unless a text that is hard to cut shows that it must not."""
        if self._tokenizer.cuts is None:
            return self._uncut
        parts = Parts(self._tokenizer.plain, self._tokenizer.cuts)
        try:
            holds = parts.tokens(PROBE) == self._tokenizer.plain(PROBE)
        except PromptError:  # a vocabulary that cannot even write it
            holds = False
        return parts if holds else self._uncut

    def _encode_whole(self, prompt: Prompt) -> TokenizedPrompt:
        try:
            source = self._source(prompt.pieces)
            ending = self._ending(source, prompt.candidates, prompt.stop, self._uncut)
            return TokenizedPrompt(prompt, *ending)
        except UnicodeEncodeError as error:
            raise PromptError(
                f"{_name(prompt)}: {error.object[error.start : error.end]!r} in "
                f"{shorten(error.object)} is half of a surrogate pair, not a character"
            ) from None
        except _RefusalError as error:
            raise PromptError(f"{_name(prompt)}: {error}") from None

    def _encode_cut(self, prompt: Prompt) -> TokenizedPrompt:
        head, rest = self._cut(self._source(prompt.pieces))
        ending = self._kept_ending if head else self._ending
        shared, candidates = ending(rest, prompt.candidates, prompt.stop, self._parts)
        return TokenizedPrompt(prompt, (*head, *shared), candidates)

    def _source(self, pieces: Iterable[Piece]) -> _Source:
        text = "".join([piece.text for piece in pieces])
        if self._pattern is None or not self._pattern.search(text):
            return _Source(text)  # no control token, so it does not matter what is data
        data: list[tuple[int, int]] = []
        start = 0
        for piece in pieces:
            end = start + len(piece.text)
            if piece.kind == "data" and piece.text:
                data.append((start, end))
            start = end
        return _Source(text, tuple(data))

    def _cut(self, source: _Source) -> tuple[list[int], _Source]:
        """The tokens in front of the last part, and the last part.

        It begins with a line, or with a control token that leaves the space before it alone.
        """
        text, parts, runs = source.text, self._parts, self._runs(source)
        last = runs[-1]
        cut = parts.last_line(text, last.start)
        if cut is not None:
            ids = self._ids(text, [*runs[:-1], last._replace(end=cut)], parts, before=text[cut])
            rest = source.behind(cut, "line")
        elif last.control is not None and not last.control.strips_left:
            ids = self._ids(text, runs[:-1], parts)
            rest = source.behind(runs[-2].end, "control")
        else:
            return [], source
        return (self._with_bos(ids), rest) if ids else ([], source)

    def _ending(
        self,
        source: _Source,
        candidates: tuple[str, ...] | None,
        stop: str,
        parts: Parts,
    ) -> tuple[Tokens, tuple[Tokens, ...]]:
        """The tokens that all candidates share, and what each has after them."""
        ids = self._tokens(source, parts)
        least = 1 if source.place == "start" else 0
        if candidates is None:
            if len(ids) < least:
                raise _RefusalError("the prompt is empty")
            return tuple(ids), ()
        labelled = [source.plus(label, is_data=True) for label in candidates]
        last = source.text[-1:] if self._ends_in_text(source) else ""
        whole = [
            [*ids, *parts.tokens(label, after=last)]
            if parts.may_part(last, label)
            else self._tokens(each, parts)
            for label, each in zip(candidates, labelled, strict=True)
        ]
        if _clash(whole):
            if not stop:
                raise _RefusalError(
                    "one label begins another, and nothing in the template ends an "
                    "answer; let a newline follow {{ output }}"
                )
            stopped = [self._tokens(each.plus(stop), parts) for each in labelled]
            whole = [
                self._up_to_stop(ids, longer, stop)
                for ids, longer in zip(whole, stopped, strict=True)
            ]
            if pair := _clash(whole):
                first, second = (candidates[index] for index in pair)
                raise _RefusalError(
                    f"this model's tokens cannot tell the labels {first!r} and {second!r} apart; "
                    "rename one"
                )
        branch = common_prefix([*whole, ids]) if len(whole) == 1 else common_prefix(whole)
        branch = min(branch, min(map(len, whole)) - 1)
        if branch < least:
            raise _RefusalError(
                "nothing stands in front of the answer, and this model has no token for a "
                "beginning; put some text before {{ output }}"
            )
        return tuple(whole[0][:branch]), tuple(tuple(sequence[branch:]) for sequence in whole)

    def _up_to_stop(self, ids: list[int], longer: list[int], stop: str) -> list[int]:
        """A label's tokens and the stop's first, so that a label ends where it ends."""
        shared = common_prefix([longer, ids])
        # Where label and stop merge, the first token past the label's last byte is the stop's.
        rest = sum(len(self._tokenizer.piece(token)) for token in ids[shared:])
        for end in range(shared, len(longer)):
            rest -= len(self._tokenizer.piece(longer[end])) or 1
            if rest < 0:
                return longer[: end + 1]
        raise _RefusalError(f"the stop {stop!r} has no token of its own")

    def _tokens(self, source: _Source, parts: Parts) -> list[int]:
        """The tokens of a text: control tokens only where no data is."""
        after = "\n" if source.place == "line" else ""
        ids = self._ids(source.text, self._runs(source), parts, after=after)
        return self._with_bos(ids) if source.place == "start" else ids

    def _with_bos(self, ids: list[int]) -> list[int]:
        bos = self._tokenizer.bos
        return [bos, *ids] if bos is not None and ids[:1] != [bos] else ids

    def _ids(
        self,
        text: str,
        runs: Sequence[_Run],
        parts: Parts,
        *,
        after: str = "",
        before: str = "",
    ) -> list[int]:
        """The tokens of runs, of which the first may begin and the last end at a cut."""
        ids: list[int] = []
        for run in runs:
            if run.control is not None:
                ids.append(run.control.id)
            if run.start < run.end:
                ids += parts.tokens(
                    text[run.start : run.end],
                    after=after if run is runs[0] else "",
                    before=before if run is runs[-1] else "",
                )
        return ids

    def _runs(self, source: _Source) -> list[_Run]:
        """The text cut at its control tokens, which may swallow the white space beside them."""
        text = source.text
        runs: list[_Run] = []
        start, before = 0, None
        for begin, end, control in self._controls_in(source):
            left = text[start:begin]
            if control.strips_left:
                left = left.rstrip(_SPACE)
            runs.append(_Run(before, start, start + len(left)))
            start, before = end, control
            if control.strips_right:
                start += len(text[end:]) - len(text[end:].lstrip(_SPACE))
        return [*runs, _Run(before, start, len(text))]

    def _ends_in_text(self, source: _Source) -> bool:
        last = self._runs(source)[-1]
        return last.start < last.end

    def _controls_in(self, source: _Source) -> Iterator[tuple[int, int, ControlToken]]:
        """The control tokens that stand wholly in text of templates, between the data."""
        if self._pattern is None:
            return
        text, begin = source.text, 0
        for start, end in (*source.data, (len(text), len(text))):
            for match in self._pattern.finditer(text, begin, start):
                yield *match.span(), self._tokenizer.controls[match[0]]
            begin = end

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        longest_first = sorted(filter(None, self._tokenizer.controls), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


class _Source(NamedTuple):
    """A text to be tokenized."""

    text: str
    data: tuple[tuple[int, int], ...] = ()
    """The ranges of it that are data; not needed where it holds no control token at all."""
    place: Literal["start", "line", "control"] = "start"
    """What it begins: the prompt, or a line or a control token behind which the prompt was cut."""

    def behind(self, cut: int, place: Literal["line", "control"]) -> _Source:
        data = tuple((max(start - cut, 0), end - cut) for start, end in self.data if end > cut)
        return _Source(self.text[cut:], data, place)

    def plus(self, text: str, *, is_data: bool = False) -> _Source:
        whole = self.text + text
        data = (*self.data, (len(self.text), len(whole))) if is_data else self.data
        return _Source(whole, data, self.place)


class _Run(NamedTuple):
    """A control token, if there is one, and the ordinary text behind it."""

    control: ControlToken | None
    start: int
    end: int


class _RefusalError(Exception):
    """Why a prompt cannot be encoded, without its name."""


_SPACE = " \t\n\v\f\r"  # what C's isspace() strips


def common_prefix(sequences: Sequence[list[int]] | Sequence[tuple[int, ...]]) -> int:
    """How many leading tokens all sequences share."""
    first, last = min(sequences), max(sequences)  # the two that differ soonest
    for index, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return index
    return min(len(first), len(last))


def _clash(sequences: Sequence[list[int]]) -> tuple[int, int] | None:
    """Two sequences of which one begins the other, if there are any."""
    # In order, a sequence stands right in front of those that it begins.
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    for i, j in pairwise(order):
        if sequences[j][: len(sequences[i])] == sequences[i]:
            return min(i, j), max(i, j)
    return None


def _name(prompt: Prompt) -> str:
    return f"example {shorten(prompt.query)}, {len(prompt.shots)} shots"
