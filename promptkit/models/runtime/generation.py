"""An answer while it is written: sampled token by token, up to its end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from promptkit.models.base import Finish, Generation, Sampling
from promptkit.models.planning.executor import Logits, check_finite
from promptkit.models.runtime.grammar import Grammar
from promptkit.models.runtime.vocabulary import Vocabulary
from promptkit.prompts.prompt import TokenizedPrompt


class AnswerWriter:
    """The answer to one prompt while it is written, under a grammar where its format has one.

    The tokens depend on the prompt, the seed and the number of the sample only, not on the other
    answers being written.
    """

    def __init__(
        self,
        prompt: TokenizedPrompt,
        vocabulary: Vocabulary,
        sampling: Sampling,
        grammar: Grammar | None = None,
    ) -> None:
        self._prompt, self._sampling = prompt, sampling
        sample = prompt.prompt.sample
        stream = np.random.SeedSequence(
            [sampling.seed, *prompt.ids], spawn_key=(sample,) if sample else ()
        )
        self._random = np.random.default_rng(stream)
        self._matcher = grammar.start() if grammar is not None else None
        self._follower = self._matcher or _FreeText(prompt.prompt.stop, vocabulary)
        self._tokens = 0

    def go_on(self, logits: Logits) -> int | None:
        """Return the next token, given the logits after those so far; None at the answer's end."""
        token = self._draw(logits)
        self._follower.accept(token)
        self._tokens += self._follower.finish != "eos"
        if self._follower.finish != "length" or self._tokens == self._sampling.max_tokens:
            return None
        return token

    def generation(self, seconds: float) -> Generation:
        """Return the finished answer."""
        return Generation(
            text=self._follower.text,
            finish=self._follower.finish,
            tokens=len(self._prompt.ids),
            generated=self._tokens,
            seconds=seconds,
        )

    def _draw(self, logits: Logits) -> int:
        drawn: npt.NDArray[np.floating] = logits
        if self._sampling.temperature > 0:
            # Gumbel-max: adding Gumbel noise and taking the largest draws from the softmax.
            noise = self._random.gumbel(size=logits.shape)
            drawn = logits + self._sampling.temperature * noise
        token = _best(drawn)
        if self._matcher is not None and not self._matcher.allows(token):
            self._matcher.mask(drawn)
            token = _best(drawn)
        return token


def _best(logits: npt.NDArray[np.floating]) -> int:
    token = int(logits.argmax())
    check_finite(logits[token])  # a NaN counts as the largest
    return token


class _FreeText:
    """Any text up to its stop, which is searched for."""

    def __init__(self, stop: str, vocabulary: Vocabulary) -> None:
        self._stop, self._vocabulary = stop.encode("utf-8"), vocabulary
        self._written = b""
        self.finish: Finish = "length"

    @property
    def text(self) -> str:
        return self._written.decode("utf-8", "replace")

    def accept(self, token: int) -> None:
        if self._vocabulary.ends(token):
            self.finish = "eos"
            return
        searched = max(len(self._written) - len(self._stop) + 1, 0)
        self._written += self._vocabulary.piece(token)
        if self._stop and (at := self._written.find(self._stop, searched)) >= 0:
            self._written, self.finish = self._written[:at], "stop"
