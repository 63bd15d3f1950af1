"""Prompts to token ids: prompt and label together, one BOS, no control token from data.

A tokenizer may merge the end of a prompt with the beginning of a label, so every candidate is
tokenized together with its prompt, and the branch point is the longest token prefix that all
candidates share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise

from promptkit.errors import PromptError, shorten
from promptkit.models.tokens.part_cache import KEPT, PROBE, Parts
from promptkit.models.tokens.reader import MarkedText, Reader, Tokenizer
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.translation import tr

_FIRST, _EVERY = 4, 512
"""The first prompts, and every so many, are encoded whole as well, as a check."""

Tokens = tuple[int, ...]


class Encoder:
    """An encoder of prompts for one tokenizer, which keeps the tokens of what they share.

    Where the tokenizer allows it, a text is cut, so that no part is tokenized twice. Now and then
    a prompt is encoded whole as well; should the two ever differ, nothing is cut from then on.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._whole = Reader(tokenizer, Parts(tokenizer.plain, None))
        self._kept_ending = lru_cache(KEPT)(self._ending)
        self._one_of_equals = lru_cache(KEPT)(lambda after: after)  # many labels take memory
        self._encoded = 0

    def encode(self, prompt: Prompt) -> TokenizedPrompt:
        """Return a prompt with its tokens and its candidates'.

        Raises `PromptError` where labels have the same tokens, or a text is not Unicode.
        """
        if not self.cuts:
            return self.encode_whole(prompt)
        self._encoded += 1
        try:
            reader = self._reader
            head, rest = reader.cut(reader.source(prompt.pieces))
            ending = self._kept_ending if head else self._ending
            shared, candidates = ending(rest, prompt.candidates, prompt.stop, reader)
        except (UnicodeEncodeError, PromptError):
            return self.encode_whole(prompt)  # which names the prompt and shows its text
        tokenized = TokenizedPrompt(prompt, (*head, *shared), candidates)
        if self._encoded <= _FIRST or self._encoded % _EVERY == 0:
            whole = self.encode_whole(prompt)
            if whole != tokenized:
                self._reader = self._whole
            return whole
        return tokenized

    def encode_all(self, prompts: Iterable[Prompt]) -> list[TokenizedPrompt]:
        """Encode many prompts."""
        prompts, reader = list(prompts), self._reader
        tokenized = [self.encode(prompt) for prompt in prompts]
        if self._reader is not reader:  # its tokens are not to be relied on
            tokenized = [self.encode(prompt) for prompt in prompts]
        return tokenized

    @cached_property
    def _reader(self) -> Reader:
        """The reader that cuts texts, unless a text that is hard to cut proves it wrong."""
        if self._tokenizer.cuts is None:
            return self._whole
        parts = Parts(self._tokenizer.plain, self._tokenizer.cuts)
        try:
            holds = parts.tokens(PROBE) == self._tokenizer.plain(PROBE)
        except PromptError:  # a vocabulary that cannot even write it
            holds = False
        return Reader(self._tokenizer, parts) if holds else self._whole

    @property
    def cuts(self) -> bool:
        """True where texts are cut, and no prompt has shown that they must not be."""
        return self._reader is not self._whole

    def encode_whole(self, prompt: Prompt) -> TokenizedPrompt:
        """Return, or raise, what `encode` does, without cutting any text."""
        try:
            source = self._whole.source(prompt.pieces)
            ending = self._ending(source, prompt.candidates, prompt.stop, self._whole)
            return TokenizedPrompt(prompt, *ending)
        except UnicodeEncodeError as error:
            raise PromptError(
                tr(
                    "{name}: {object!r} in {object_2} is half of a surrogate pair, not a character",
                    name=_name(prompt),
                    object=error.object[error.start : error.end],
                    object_2=shorten(error.object),
                )
            ) from None
        except PromptError as error:
            raise PromptError(f"{_name(prompt)}: {error}") from None

    def _ending(
        self,
        source: MarkedText,
        candidates: tuple[str, ...] | None,
        stop: str,
        reader: Reader,
    ) -> tuple[Tokens, tuple[Tokens, ...]]:
        """Return the tokens that all candidates share, and each candidate's own after them.

        Where one label begins another, as `plum` begins `plum tree`, each is taken with the stop's
        first token, so that both end somewhere.
        """
        ids = reader.tokens(source)
        least = 1 if source.place == "start" else 0
        if candidates is None:
            if len(ids) < least:
                raise PromptError(tr("the prompt is empty"))
            return tuple(ids), ()
        whole = [reader.tokens_with(source, label) for label in candidates]
        if _clash(whole):
            if not stop:
                raise PromptError(
                    tr(
                        "one label begins another, and nothing in the template ends an answer; let "
                        "a newline follow {{ output }}"
                    )
                )
            labelled = [source.plus(label, is_data=True) for label in candidates]
            stopped = [reader.tokens(each.plus(stop)) for each in labelled]
            whole = [
                self._up_to_stop(ids, longer, stop)
                for ids, longer in zip(whole, stopped, strict=True)
            ]
            if pair := _clash(whole):
                first, second = (candidates[index] for index in pair)
                raise PromptError(
                    tr(
                        "this model's tokens cannot tell the labels {first!r} and {second!r} "
                        "apart; rename one",
                        first=first,
                        second=second,
                    )
                )
        branch = common_prefix([*whole, ids]) if len(whole) == 1 else common_prefix(whole)
        branch = min(branch, min(map(len, whole)) - 1)
        if branch < least:
            raise PromptError(
                tr(
                    "nothing stands in front of the answer, and this model has no token for a "
                    "beginning; put some text before {{ output }}"
                )
            )
        after = tuple(tuple(sequence[branch:]) for sequence in whole)
        return tuple(whole[0][:branch]), self._one_of_equals(after)

    def _up_to_stop(self, ids: list[int], longer: list[int], stop: str) -> list[int]:
        """Return a label's tokens with the stop's first, which marks the label's end."""
        shared = common_prefix([longer, ids])
        # Where label and stop merge, the first token past the label's last byte is the stop's.
        rest = sum(len(self._tokenizer.piece(token)) for token in ids[shared:])
        for end in range(shared, len(longer)):
            rest -= len(self._tokenizer.piece(longer[end])) or 1
            if rest < 0:
                return longer[: end + 1]
        raise PromptError(tr("the stop {stop!r} has no token of its own", stop=stop))


def common_prefix(sequences: Sequence[list[int]] | Sequence[tuple[int, ...]]) -> int:
    """Return the number of leading tokens that all sequences share."""
    first, last = min(sequences), max(sequences)  # the two that differ soonest
    for index, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return index
    return min(len(first), len(last))


def _clash(sequences: Sequence[list[int]]) -> tuple[int, int] | None:
    """Return two sequences of which one is a prefix of the other, if there are any."""
    # Sorted, a sequence stands directly in front of those that it is a prefix of.
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    for i, j in pairwise(order):
        if sequences[j][: len(sequences[i])] == sequences[i]:
            return min(i, j), max(i, j)
    return None


def _name(prompt: Prompt) -> str:
    return tr(
        "example {query}, {count} shots", query=shorten(prompt.query), count=len(prompt.shots)
    )
