"""A model without a runtime: deterministic, instant, for tests of what is built on models.

Its tokens are the bytes of the text, and its numbers are digests of what it was shown.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from promptkit.errors import PromptTooLongError
from promptkit.models.base import (
    Generation,
    ModelIdentity,
    Sampling,
    Score,
    Usage,
)
from promptkit.models.tokens.encoder import Encoder
from promptkit.models.tokens.reader import ControlToken
from promptkit.prompts import chat_template as chat
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class FakeModel:
    """Answers with `answer(prompt)`, or with what a digest of the prompt comes to.

    `answer` gets the prompt as raw text and returns the text it would write; a candidate that
    equals it gets nine tenths of the probability.
    """

    def __init__(
        self,
        answer: Callable[[Prompt], str] | None = None,
        *,
        name: str = "fake",
        context: int = 100_000,
        chat_template: str | None = CHATML,
    ) -> None:
        self._answer, self._chat_template = answer, chat_template
        self._encoder = Encoder(_Bytes())
        self.usage = Usage()
        self.identity = ModelIdentity(
            name=name,
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            architecture="fake",
            weights="none",
            runtime="promptkit",
            context=context,
        )

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TokenizedPrompt]:
        """The prompts as bytes. Raises `PromptError` for one longer than the context."""
        tokenized = [self._encoder.encode(chat.apply(p, self._chat_template)) for p in prompts]
        for prompt in tokenized:
            if len(prompt.ids) > self.identity.context:
                raise PromptTooLongError(
                    f"{len(prompt.ids)} tokens do not fit the context of {self.identity.context}"
                )
        return tokenized

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        return _Bytes().piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Scores every candidate of every prompt; yields (index, score) as they are made."""
        for index, prompt in enumerate(prompts):
            self.usage.decoded_tokens += len(prompt.ids)
            candidates = prompt.prompt.candidates or ()
            if self._answer is not None:
                answer = self._answer(prompt.prompt)
                others = max(len(candidates) - 1, 1)
                shares = [0.9 if c.strip() == answer else 0.09 / others for c in candidates]
            else:
                draws = [1 + _digest(prompt.ids, c) for c in prompt.candidates]
                shares = [0.99 * draw / sum(draws) for draw in draws]
            logprobs = tuple(math.log(share) for share in shares)
            yield index, Score(logprobs, len(prompt.ids), 0.0)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Writes an answer to every prompt; yields (index, generation) as they are made."""
        for index, prompt in enumerate(prompts):
            self.usage.decoded_tokens += len(prompt.ids)
            if self._answer is not None:
                text = prompt.prompt.lead + self._answer(prompt.prompt)
            else:
                text = str(_digest(prompt.ids, (sampling.seed,)) % 100)
            kept = text.split(prompt.prompt.stop)[0] if prompt.prompt.stop else text
            finish = "stop" if len(kept) < len(text) else "eos"
            yield index, Generation(kept, finish, len(prompt.ids), len(text), 0.0)  # type: ignore[arg-type]


class _Bytes:
    """UTF-8 bytes as tokens, and the control tokens of ChatML after them."""

    bos = None
    cuts = None
    controls: Mapping[str, ControlToken] = {
        "<|im_start|>": ControlToken(256),
        "<|im_end|>": ControlToken(257),
    }

    def plain(self, text: str) -> list[int]:
        return list(text.encode("utf-8"))

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else [*self.controls][token - 256].encode()


def _digest(ids: Sequence[int], more: Sequence[int]) -> int:
    raw = b"".join(token.to_bytes(4, "little") for token in (*ids, 2**32 - 1, *more))
    return int.from_bytes(hashlib.sha256(raw).digest()[:4], "little")
