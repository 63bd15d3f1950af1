"""An answer while it is written: sampled token by token, up to its stop."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from promptkit.models.base import Generation, Sampling
from promptkit.models.engine import Logits, check_finite
from promptkit.prompts import TokenizedPrompt


class Pieces(Protocol):
    """What writing needs of a model's vocabulary."""

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for."""
        ...

    def ends(self, token: int) -> bool:
        """Whether the model ends its text with this token."""
        ...


class Answer:
    """The answer to one prompt.

    What is drawn depends on the prompt and the seed only, not on what else is being written.
    """

    def __init__(self, prompt: TokenizedPrompt, vocabulary: Pieces, sampling: Sampling) -> None:
        self._prompt, self._vocabulary, self._sampling = prompt, vocabulary, sampling
        self._random = np.random.default_rng([sampling.seed, *prompt.ids])
        self._stop = prompt.prompt.stop.encode("utf-8")
        self._written = b""
        self._tokens = 0
        self._finish: Literal["stop", "eos", "length"] = "length"

    def go_on(self, logits: Logits) -> int | None:
        """The next token, given the logits after what there is; None where nothing goes on."""
        token = self._draw(logits)
        if self._vocabulary.ends(token):
            self._finish = "eos"
            return None
        searched = max(len(self._written) - len(self._stop) + 1, 0)
        self._written += self._vocabulary.piece(token)
        self._tokens += 1
        if self._stop and (at := self._written.find(self._stop, searched)) >= 0:
            self._written, self._finish = self._written[:at], "stop"
            return None
        return token if self._tokens < self._sampling.max_tokens else None

    def generation(self, seconds: float) -> Generation:
        """What was written."""
        return Generation(
            text=self._written.decode("utf-8", "replace"),
            finish=self._finish,
            tokens=len(self._prompt.ids),
            generated=self._tokens,
            seconds=seconds,
        )

    def _draw(self, logits: Logits) -> int:
        if self._sampling.temperature > 0:
            # Gumbel-max: adding Gumbel noise and taking the largest draws from the softmax.
            noise = self._random.gumbel(size=logits.shape)
            token = int((logits + self._sampling.temperature * noise).argmax())
        else:
            token = int(logits.argmax())
        check_finite(logits[token])  # a NaN counts as the largest
        return token
