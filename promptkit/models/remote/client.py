"""HTTP with patience: retries, a pace, time limits, and messages without secrets."""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from promptkit.errors import MissingExtraError, ModelError, shorten
from promptkit.models.remote.address import Address
from promptkit.translation import mark, tr

if TYPE_CHECKING:
    import httpx2

Item = TypeVar("Item")
Found = TypeVar("Found")

_PASSING = (408, 409, 425, 429)
_LASTING = (501, 505)  # statuses of 500 and more that another try cannot change
_LONGEST_ASKED = 600.0
"""The longest wait, in seconds, that a server may ask for."""
_LARGEST = 256 * 2**20
"""The largest answer, in bytes."""


class NoAnswerError(ModelError):
    """A request that a server refused, with its status; None where no answer came."""

    def __init__(self, message: str, status: int | None) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits, and how often it tries again."""

    seconds: float = 120.0
    """The longest time between two parts of an answer."""
    attempts: int = 6
    """The most tries of a request."""
    first: float = 0.5
    """The wait after the first failure, in seconds; it doubles with each more."""
    longest: float = 30.0
    rate: float | None = None
    """The most requests a second."""

    def wait(self, failures: int) -> float:
        """Return the wait after some failures, with jitter, so that clients do not meet again."""
        return min(self.first * 2.0 ** (failures - 1), self.longest) * random.uniform(0.5, 1)


class Client:
    """A client of one server, which threads may share.

    Args:
        address: The server.
        patience: How long to wait and how often to try again.
        stop: Ends the waits when it is set.
    """

    def __init__(self, address: Address, patience: Patience = Patience()) -> None:
        self._httpx = _library()
        self.address, self.patience = address, patience
        headers = {"User-Agent": "promptkit", "Accept": "application/json"}
        if address.key:
            headers["Authorization"] = f"Bearer {address.key}"
        self._http = self._httpx.Client(
            headers=headers,
            auth=address.login,
            timeout=self._httpx.Timeout(patience.seconds, connect=min(10.0, patience.seconds)),
            limits=self._httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,  # a key goes nowhere else
        )
        weakref.finalize(self, self._http.close)
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._answered: dict[tuple[str, str], str] = {}
        self._next = 0.0
        self.failures = 0
        """Requests that had to be tried again."""

    def __repr__(self) -> str:
        return f"<Client {self.address.root}>"

    def get(self, path: str) -> Any:
        """Return the answer to a GET, as JSON. Raises as `post` does."""
        return self._request("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the answer to a POST, as JSON; what is None in its body is left out.

        Raises:
            NoAnswerError: The server refuses it, or does not answer in time, as often as is tried.
        """
        given = {name: value for name, value in body.items() if value is not None}
        return self._request("POST", path, given)

    def trying_once(self) -> Client:
        """Return this client without retries: for requests whose refusal is the answer."""
        client = copy(self)
        client.patience = replace(self.patience, attempts=1)
        return client

    def close(self) -> None:
        """Close the connections, and end the waits."""
        self._closed.set()
        self._http.close()

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        patience, failures = self.patience, 0
        while True:
            self._keep_pace()
            wait, reason, status, passing = self._try(method, path, body)
            if passing is None:
                self._check_same(path, reason)
                return reason
            failures += 1
            said = f"{self.address.root}{path}: {reason}"
            if not passing or failures >= patience.attempts:
                tries = tr(" (after {failures} tries)", failures=failures) if failures > 1 else ""
                raise NoAnswerError(f"{said}{tries}", status)
            wait = patience.wait(failures) if wait is None else wait
            if wait > _LONGEST_ASKED:
                raise NoAnswerError(
                    tr("{said}; it asks to wait {wait:,.0f} seconds", said=said, wait=wait), status
                )
            self.failures += 1
            if status == 429:
                self._hold(wait)  # every thread, since the limit is of them all
            if self._closed.wait(wait):
                raise NoAnswerError(tr("{said}; the model was closed", said=said), status)

    def _try(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[float | None, Any, int | None, bool | None]:
        """Return the wait that is asked for, the answer or what is wrong, the status, and whether
        it may pass; None for an answer."""
        httpx = self._httpx
        try:
            with self._http.stream(method, self.address.root + path, json=body) as response:
                content = self._read(response)
                status, headers = response.status_code, response.headers
        except httpx.TimeoutException:
            return (
                None,
                tr("no answer in {seconds:g} seconds", seconds=self.patience.seconds),
                None,
                True,
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            return None, self.clean(f"{_KINDS.get(type(error).__name__, error)}"), None, True
        except httpx.InvalidURL as error:
            return None, self.clean(str(error)), None, False
        except RuntimeError as error:  # a client that was closed
            return None, self.clean(str(error)), None, False
        if 200 <= status < 300:
            try:
                return None, httpx.Response(200, content=content).json(), status, None
            except (ValueError, RecursionError):
                reason = tr("an answer that is no JSON: {shown}", shown=self._shown(content))
                return None, reason, status, False
        passing = status in _PASSING or (status >= 500 and status not in _LASTING)
        asked = _asked_wait(headers.get("Retry-After")) if passing else None
        return asked, f"{status} {self._said(content, status)}".strip(), status, passing

    @staticmethod
    def _read(response: httpx2.Response) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > _LARGEST:
                raise ModelError(
                    tr("an answer of more than {LARGEST} MiB", LARGEST=_LARGEST // 2**20)
                )
        return b"".join(parts)

    def _said(self, content: bytes, status: int) -> str:
        """Return what an error's body says, without secrets."""
        if status in (401, 403):
            return tr("it wants a key, or another one: put it into PROMPTKIT_API_KEY")
        if 300 <= status < 400:
            return tr("it sends elsewhere, which is not followed; use the URL of the server itself")
        try:
            said = self._httpx.Response(200, content=content).json()
        except (ValueError, RecursionError):
            return self._shown(content)
        for name in ("error", "detail", "message"):
            if isinstance(said, Mapping) and name in said:
                said = said[name]
        return self.clean(str(said)[:300])

    def _shown(self, content: bytes) -> str:
        return self.clean(shorten(content[:200].decode("utf-8", "replace"), 100))

    def clean(self, text: str) -> str:
        """Return a text without the server's secrets."""
        for secret in self.address.secrets:
            text = text.replace(secret, "***")
        return text

    def _check_same(self, path: str, said: Any) -> None:
        """Raise `ModelError` where another model answers than before."""
        for name in ("model", "system_fingerprint"):
            value = said.get(name) if isinstance(said, Mapping) else None
            if isinstance(value, str):
                before = self._answered.setdefault((path, name), value)
                if before != value:
                    raise ModelError(
                        tr(
                            "{root}: the server changed while it was asked: its {name} was "
                            "{before} and is {value}; load it anew",
                            root=self.address.root,
                            name=name,
                            before=shorten(before),
                            value=shorten(value),
                        )
                    )

    def _keep_pace(self) -> None:
        """Wait for the next moment at which a request may be sent."""
        with self._lock:
            now = monotonic()
            at = max(now, self._next)
            self._next = at + (1 / self.patience.rate if self.patience.rate else 0.0)
        if at > now:
            self._closed.wait(at - now)

    def _hold(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, monotonic() + seconds)


_KINDS = {
    "ConnectError": mark("nobody answers there; is the server running?"),
    "RemoteProtocolError": mark("the server cut the connection"),
    "ReadError": mark("the server cut the connection"),
    "WriteError": mark("the server cut the connection"),
}


def _library() -> Any:
    try:
        import httpx2
    except ImportError:
        raise MissingExtraError(tr("a model behind a server"), "remote") from None
    return httpx2


def _asked_wait(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number, or a date."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max((date - datetime.now(timezone.utc)).total_seconds(), 0.0)


def in_parallel(
    work: Callable[[Item], Found], items: Sequence[Item], threads: int
) -> Iterator[tuple[int, Found]]:
    """Yield (index, result) of each item as they are made, by so many threads at most.

    The first error ends the work and is raised. The threads end with the process.
    """
    results: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    stop, lock, left = threading.Event(), threading.Lock(), iter(range(len(items)))

    def run() -> None:
        while not stop.is_set():
            with lock:
                index = next(left, None)
            if index is None:
                return
            try:
                results.put((index, work(items[index]), None))
            except BaseException as error:
                results.put((index, None, error))
                return

    for _ in range(min(threads, len(items))):
        threading.Thread(target=run, daemon=True, name="promptkit-server").start()
    try:
        for _ in items:
            index, found, error = results.get()
            if error is not None:
                raise error
            yield index, found
    finally:
        stop.set()
