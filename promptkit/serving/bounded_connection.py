"""Connections with bounds: what uvicorn waits for without end, and reads without limit.

A client may open a connection and say nothing, send its request byte by byte, never end its
headers, or never read the answer. Enough of them would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from promptkit.serving.refusal import RefusalError
from promptkit.translation import tr

MOST_HEAD = 64 << 10
"""Bytes of the request line and the headers of a request."""


class BoundedConnection(HttpToolsProtocol):
    """A connection on which a request comes, and a response goes, within limits.

    The head of a request has `seconds` from the opening of the connection, or from its own
    beginning; the whole request has twice as long, since the application reads the body when the
    one before is answered. A response that the client does not read has `seconds`, too.
    """

    seconds = 60.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._arrival: TimerHandle | None = None
        self._departure: TimerHandle | None = None
        self._head: int | None = 0
        super().connection_made(transport)
        self._expect(self.seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self._depart(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:  # it has not ended yet
            self._head += len(data)
            if self._head > MOST_HEAD:
                self._refuse(
                    431, tr("the headers are larger than {MOST_HEAD:,} bytes", MOST_HEAD=MOST_HEAD)
                )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._expect(self.seconds)

    def on_headers_complete(self) -> None:
        self._head = None
        self._expect(2 * self.seconds)
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is not None:  # trailers are of no use, and would be kept
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        self._expect(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._arrival is None:  # empty lines begin no request, and end no pause
            self._expect(self.seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._depart(self.seconds)

    def resume_writing(self) -> None:
        self._depart(None)
        super().resume_writing()

    def _expect(self, seconds: float | None) -> None:
        """Give the request some seconds to come; None for no end."""
        if self._arrival is not None:
            self._arrival.cancel()
        self._arrival = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _depart(self, seconds: float | None) -> None:
        """Give the response some seconds to go; None for no end."""
        if self._departure is not None:
            self._departure.cancel()
        abort = self.transport.abort
        self._departure = None if seconds is None else self.loop.call_later(seconds, abort)

    def _late(self) -> None:
        if self._head:
            self._refuse(
                408, tr("the headers did not come within {seconds:g} s", seconds=self.seconds)
            )
        else:  # nothing was asked, or the answer is there already
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what never became a request, and close the connection."""
        if self.transport.is_closing():
            return
        response = RefusalError(status, reason).response()
        headers = [*response.raw_headers, (b"connection", b"close")]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()


def bounded(seconds: float) -> type[asyncio.Protocol]:
    """Return the connection of a server whose clients have so many seconds."""
    kind: Any = type("BoundedConnection", (BoundedConnection,), {"seconds": seconds})
    return kind  # type: ignore[no-any-return]
