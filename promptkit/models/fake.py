"""A model without a runtime: deterministic and instant, for tests of code that uses models.

Its tokens are the bytes of the text, and its numbers are digests of the prompt.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from promptkit.models.base import Generation, ModelIdentity, Sampling, Score, Usage, check_fits
from promptkit.models.tokens.encoder import Encoder
from promptkit.models.tokens.reader import ControlToken
from promptkit.prompts import chat_template as chat
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class FakeModel:
    """A model that answers with `answer(prompt)`, or with a digest of the prompt.

    Args:
        answer: A function from a prompt, as raw text, to the text of its answer; a candidate that
            equals it gets nine tenths of the probability.
        name: The name of the model; models of different names give different numbers.
        context: The longest prompt, in bytes.
        chat_template: The template of prompts with roles; None for a model without one.

    Example:
        >>> from promptkit import FakeModel
        >>> from promptkit.prompts.pieces import Piece
        >>> from promptkit.prompts.prompt import Prompt
        >>> model = FakeModel(lambda prompt: "pome" if "apple" in prompt.text else "drupe")
        >>> prompt = Prompt((Piece("apple:", "data"),), candidates=(" drupe", " pome"))
        >>> ((index, score),) = model.score(model.tokenize([prompt]))
        >>> [round(logprob, 2) for logprob in score.logprobs]
        [-2.41, -0.11]
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
        """Return the prompts as bytes. Raises `PromptTooLongError` for one beyond the context."""
        tokenized = [self._encoder.encode(chat.apply(p, self._chat_template)) for p in prompts]
        for prompt in tokenized:
            check_fits(prompt, self.identity.context)
        return tokenized

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        return _Bytes().piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        """Score every candidate of every prompt; yield (index, score) of each prompt."""
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
        """Write an answer to every prompt; yield (index, generation) of each prompt."""
        for index, prompt in enumerate(prompts):
            self.usage.decoded_tokens += len(prompt.ids)
            if self._answer is not None:
                text = prompt.prompt.lead + self._answer(prompt.prompt)
            else:
                more = (sampling.seed, *([prompt.prompt.sample] if prompt.prompt.sample else ()))
                text = str(_digest(prompt.ids, more) % 100)
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
