"""Senders of requests: pages of other sites in a browser are refused, and told to keep out.

A page from anywhere can have its visitor's browser send requests to a service on the same machine,
or on the same network. It does so by the service's address, and says where it is from (`Origin`),
or by a name of its own that was made to point here (`Host`). It must not be answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptkit.errors import shorten
from promptkit.serving.refusal import RefusalError
from promptkit.translation import tr

HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Headers of every response that does not have its own."""


def check_sender(request: Request, hosts: Sequence[str] | None) -> None:
    """Raise `RefusalError` for a request to another name, or from a page of another site.

    Args:
        request: The request.
        hosts: Names of the service; None for any, which pages then must have themselves.
    """
    host = request.headers.get("host", request.url.netloc)
    if hosts is not None and (name := _hostname(f"//{host}")) not in hosts:
        raise RefusalError(421, tr("this service has another name than {name}", name=shorten(name)))
    origin = request.headers.get("origin")
    if origin is not None and not _is_own(origin, host, hosts):
        raise RefusalError(
            403, tr("a page of {origin} may not ask this service", origin=shorten(origin))
        )


def _is_own(origin: str, host: str, hosts: Sequence[str] | None) -> bool:
    """Return whether the origin of a page is this service."""
    if hosts is not None:
        return _hostname(origin) in hosts
    _, _, place = origin.partition("://")
    return place != "" and place.lower() == host.lower()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as a bracket without an end
        return None


class KeptApart:
    """An application whose responses tell browsers not to show or run them in other pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded if scope["type"] == "http" else send)
