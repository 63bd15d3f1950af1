"""A model behind an HTTP server, as a model like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, NoReturn

from promptkit.errors import ModelError, PromptError
from promptkit.models.base import (
    Generation,
    Request,
    Sampling,
    Score,
    Usage,
    check_fits,
)
from promptkit.models.remote.address import address_of
from promptkit.models.remote.client import Client, Patience, in_parallel
from promptkit.models.remote.probing import KNOWN, probe, why_not
from promptkit.models.remote.reported import check_same, read_report
from promptkit.models.remote.server_identity import connected_to, identity_of, short_name
from promptkit.models.remote.server_tokens import find_tokens
from promptkit.models.remote.text_request import TextRequest, as_turns, text_request
from promptkit.models.tokens.encoder import Encoder
from promptkit.prompts import chat_template as chat
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt
from promptkit.translation import tr

Notify = Callable[[str], None]

log = logging.getLogger("promptkit")

_THREADS = 4
_LONGEST = 12
"""The tokens of the text that tells models apart."""


def load_server(
    url: str,
    model: str | None = None,
    *,
    context: int | None = None,
    chat_template: str | None = None,
    concurrency: int | None = None,
    rate: float | None = None,
    timeout: float = 120.0,
    attempts: int = 6,
    notify: Notify = log.info,
) -> ServerModel:
    """Connect to a server of models: llama.cpp's, vLLM's, Ollama's or any like OpenAI's.

    A known prompt finds out what the server can do, and the most exact way is taken
    (`docs/servers.md`). The key is read from `PROMPTKIT_API_KEY`.

    Args:
        url: The server, such as `http://127.0.0.1:8080`; a model may be named after `#`.
        model: The name of the model there; by default the only one.
        context: The longest prompt with its answer, in tokens, where the server does not say it.
        chat_template: The chat template, as Jinja, where the server does not say it.
        concurrency: Requests that are sent at once; by default as many as the server works on.
        rate: The most requests a second; by default as many as it answers.
        timeout: The longest wait for an answer, in seconds.
        attempts: The most tries of a request that fails in passing.
        notify: A function that is called with a sentence on what the server can do.

    Returns:
        The model, ready to run.

    Raises:
        ModelError: Nobody answers, the key is refused, or the server's numbers are no
            log-probabilities.
        MissingExtraError: The HTTP library is not installed.
        ValueError: A number is out of its range.

    Example:
        >>> from promptkit import PromptkitError, load_server
        >>> try:
        ...     load_server("http://127.0.0.1:9", attempts=1)
        ... except PromptkitError as error:
        ...     print(error)
        http://127.0.0.1:9/v1/models: nobody answers there; is the server running?
    """
    for name, value in (("context", context), ("concurrency", concurrency), ("attempts", attempts)):
        if value is not None and value < 1:
            raise ValueError(tr("{name} is {value}; it is 1 or more", name=name, value=value))
    for name, number in (("rate", rate), ("timeout", timeout)):
        if number is not None and not 0 < number < float("inf"):
            raise ValueError(tr("{name} is {number}; it is more than 0", name=name, number=number))
    client = Client(address_of(url), Patience(timeout, attempts, rate=rate))
    try:
        return ServerModel(
            client,
            model or client.address.model,
            context=context,
            chat_template=chat_template,
            concurrency=concurrency,
            notify=notify,
        )
    except BaseException:
        client.close()
        raise


class ServerModel:
    """A model behind a server (`promptkit.models.base.Model`); `load_server` makes one.

    Threads may share it.

    Args:
        client: The connection to the server.
        model: The name of the model there.
        context: The longest prompt with its answer, in tokens.
        chat_template: The chat template, as Jinja.
        concurrency: Requests that are sent at once.
        notify: A function that is called with a sentence on what the server can do.

    Raises:
        ModelError: The server cannot be used.

    Example:
        >>> from promptkit import ServerModel
        >>> ServerModel.__name__
        'ServerModel'
    """

    def __init__(
        self,
        client: Client,
        model: str | None = None,
        *,
        context: int | None = None,
        chat_template: str | None = None,
        concurrency: int | None = None,
        notify: Notify = log.info,
    ) -> None:
        if client.address.sends_openly:
            notify(
                tr(
                    "{root}: the key crosses the network unencrypted; use https",
                    root=client.address.root,
                )
            )
        self._client, self._notify = client, notify
        self._reported = read_report(client, model)
        self.origin = connected_to(client.address, self._reported.model)
        """How to connect to it again."""
        self.chat_template = chat_template or self._reported.chat_template
        """The chat template that the server says, or that was given."""
        self.vocabulary = find_tokens(client, self._reported.model, self.chat_template or "")
        """The tokenizer of the server; None where it shows none."""
        self._can = probe(client, self._reported.model, self.vocabulary)
        self._check_usable()
        if self.vocabulary is not None:
            self.vocabulary.bos_text = self._reported.bos
            self.vocabulary.eos_text = self._reported.eos
        self._encoder = Encoder(self.vocabulary) if self.vocabulary is not None else None
        self._threads = concurrency or self._reported.slots or _THREADS
        self.usage = Usage()
        """The cost of the work so far."""
        self.identity = identity_of(
            client.address, self._reported, self._can, context, self._fingerprint()
        )
        notify(f"{client.address.root}: {self._sentence()}")

    @property
    def way(self) -> str | None:
        """The way in which labels are scored; None where the server cannot."""
        return self._can.way.name if self._can.way is not None else None

    @property
    def is_exact(self) -> bool:
        """True where each label has the log-probability of all its tokens."""
        return self._can.way is not None and self._can.way.exact

    @property
    def shows_tokens(self) -> bool:
        """True where prompts are asked as the tokens that the server shows."""
        return self.vocabulary is not None and self._can.reads == "tokens"

    def close(self) -> None:
        """Close the connections; the model cannot be used afterwards."""
        self._client.close()

    def __repr__(self) -> str:
        return f"<ServerModel {self.identity.name} ({self.way or tr('no log-probabilities')})>"

    def __reduce__(self) -> NoReturn:
        raise ModelError(
            tr(
                "{name}: a connection cannot be pickled; load the server in each process",
                name=self.identity.name,
            )
        )

    def tokenize(self, prompts: Sequence[Prompt]) -> list[Request]:
        """Return the prompts as requests to the server: as tokens where it shows them.

        Args:
            prompts: Rendered prompts, raw or with roles.

        Returns:
            A request for each.

        Raises:
            PromptError: A prompt does not fit the context, or cannot be asked of this server.
            ModelError: The server scores no labels, or does not answer.
        """
        made = dict(in_parallel(self._request, prompts, self._threads))
        requests = [made[index] for index in range(len(prompts))]
        for request in requests:
            check_fits(request, self.identity.context)
        return requests

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token stands for."""
        if self.vocabulary is None:
            raise ModelError(
                tr("{name}: this server does not show its tokens", name=self.identity.name)
            )
        return self.vocabulary.piece(token)

    def score(self, requests: Sequence[Any]) -> Iterator[tuple[int, Score]]:
        """Score every candidate of every prompt, several prompts at a time.

        Args:
            requests: Requests that this model made, with candidates.

        Yields:
            (index, score) of a prompt, as soon as it is scored.

        Raises:
            ModelError: The server fails, or has changed.
        """
        way = self._can.way
        if way is None:
            raise ModelError(self._no_way())
        unknown = 0
        for index, found, seconds in self._run(way.score, requests):
            unknown += bool(found.unknown)
            yield index, Score(found.logprobs, requests[index].tokens, seconds, found.unknown)
        if unknown:
            self._notify(
                tr(
                    "{name}: in {unknown:,} of {count:,} prompts the server did not list the "
                    "tokens of some labels; those are unknown and have the most that they can "
                    "have, so the probabilities of the others are lower bounds, and there is "
                    "no answer where an unknown label could be the best",
                    name=self.identity.name,
                    unknown=unknown,
                    count=len(requests),
                )
            )

    def generate(
        self, requests: Sequence[Any], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        """Write an answer to every prompt, several at a time.

        Args:
            requests: Requests that this model made.
            sampling: The way to choose tokens; greedy by default.

        Yields:
            (index, generation) of a prompt, as soon as it is written.

        Raises:
            ModelError: The server fails, or has changed.
        """
        write = self._can.write
        if write is None:
            raise ModelError(tr("{name}: this server writes no answers", name=self.identity.name))
        for request in requests:
            check_fits(request, self.identity.context, sampling.max_tokens)
        for index, found, seconds in self._run(lambda one: write(one, sampling), requests):
            self.usage.decoded_tokens += found.generated
            yield (
                index,
                Generation(found.text, found.finish, found.tokens, found.generated, seconds),
            )

    def _run(
        self, work: Callable[[Any], Any], requests: Sequence[Any]
    ) -> Iterator[tuple[int, Any, float]]:
        """Yield results with their share of the time; the server must be the same at the end."""
        last = perf_counter()
        for index, found in in_parallel(work, requests, self._threads):
            now = perf_counter()
            self.usage.decoded_tokens += requests[index].tokens
            self.usage.decode_seconds += now - last
            yield index, found, now - last
            last = perf_counter()
        now_reported = read_report(self._client, self._reported.model)
        check_same(self._reported, now_reported, self._client.address.root)

    def _request(self, prompt: Prompt) -> Request:
        """Return one prompt as this server is asked it."""
        way = self._can.way
        if prompt.candidates is not None and way is None:
            raise ModelError(self._no_way())
        reads = self._can.reads
        if reads == "turns":
            return text_request(as_turns(prompt))
        words, known = self.vocabulary, self._reported
        bos = known.bos if words is not None and words.endpoints.keeps_controls_apart else ""
        if prompt.messages and self.chat_template is None:
            raise PromptError(
                tr(
                    "{name}: the template makes turns, and the server does not say its chat "
                    "template; use a template without turns, or load_server(…, chat_template=…)",
                    name=self.identity.name,
                )
            )
        raw = chat.apply(prompt, self.chat_template, bos=bos, eos=known.eos)
        if words is None or self._encoder is None or reads == "text":
            return text_request(raw)
        if not words.endpoints.keeps_controls_apart:
            for piece in raw.pieces:
                if piece.kind == "data":
                    words.check_data(piece.text)
        return self._encoder.encode(raw)

    def _check_usable(self) -> None:
        """Raise where the server's numbers are none, or it can do nothing at all."""
        root, can = self._client.address.root, self._can
        if can.way is None and can.is_stubbed:
            raise ModelError(
                tr(
                    "{root}: the server's log-probabilities are none, so that every answer "
                    "would be wrong; it is refused. Tried:{why_not}",
                    root=root,
                    why_not=why_not(can.refused),
                )
            )
        if can.way is None and can.write is None:
            raise ModelError(
                tr(
                    "{root}: the server neither shows log-probabilities nor writes answers. "
                    "Tried:{why_not}",
                    root=root,
                    why_not=why_not(can.refused),
                )
            )

    def _no_way(self) -> str:
        return tr(
            "{name}: this server shows no log-probabilities of labels, so that it can "
            "only write answers. Tried:{why_not}",
            name=self.identity.name,
            why_not=why_not(self._can.refused),
        )

    def _fingerprint(self) -> str:
        """Return what the model writes after the known prompt: another model writes another."""
        if self._can.write is None or self._can.reads == "turns":
            return ""  # hosted models do not write the same again and again
        prompt = Prompt((Piece(KNOWN, "template"),))
        request: Request = TextRequest(prompt)
        if self._encoder is not None:
            request = self._encoder.encode(prompt)
        return self._can.write(request, Sampling(_LONGEST)).text

    def _sentence(self) -> str:
        """Return what is connected to, and how it is used."""
        way, shown = self._can.way, self._reported
        if way is None:
            how = tr("no log-probabilities, so that it only writes answers")
        else:
            how = tr("labels are scored by {name}", name=way.name) + (
                "" if way.exact else tr(" (not exact)")
            )
        tokens = tr("tokens shown") if self.vocabulary is not None else tr("tokens hidden")
        template = tr("chat template known") if self.chat_template else tr("no chat template")
        return tr(
            "{short_name} on {runtime}; {how}; {tokens}; {template}; {threads} requests at once",
            short_name=short_name(shown.model),
            runtime=shown.runtime,
            how=how,
            tokens=tokens,
            template=template,
            threads=self._threads,
        )
