"""Address of a server: its URL without secrets, the model that it names, and the keys to send."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from promptkit.errors import ModelError, shorten
from promptkit.translation import tr

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OPENAI = "api.openai.com"


@dataclass(frozen=True)
class Address:
    """A server's URL, taken apart; its secrets are in no `repr`."""

    root: str
    """The URL without user, password, `/v1` and fragment."""
    host: str
    """The host and the port."""
    model: str | None
    """The model that the URL's fragment names."""
    login: tuple[str, str] | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        user = self.login or ()
        return tuple(filter(None, (self.key, *user[1:])))

    @property
    def sends_openly(self) -> bool:
        """True where a secret would cross a network unencrypted."""
        here = urlsplit(self.root)
        return bool(self.secrets) and here.scheme == "http" and here.hostname not in _LOOPBACK


def is_url(name: str) -> bool:
    """Return whether the name of a model is the URL of a server."""
    return name.lower().startswith(("http://", "https://"))


def address_of(url: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Return an address from a URL such as `http://127.0.0.1:8080#MODEL`.

    The key is `PROMPTKIT_API_KEY`. `OPENAI_API_KEY` is sent to OpenAI, or where `OPENAI_BASE_URL`
    leads, and nowhere else.

    Raises:
        ModelError: It is no URL of a server, or holds a query, which may be a secret.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ModelError(tr("the URL of the server is malformed: {error}", error=error)) from None
    if not is_url(url) or not host:
        raise ModelError(
            tr(
                "the URL of a server begins with http:// or https:// and a host, such as "
                "http://127.0.0.1:8080"
            )
        )
    if parts.query:
        raise ModelError(
            tr(
                "{host}: the URL of a server has no ?query; put a key into "
                "PROMPTKIT_API_KEY, and name a model after #",
                host=host,
            )
        )
    shown = f"[{host}]" if ":" in host else host
    shown += f":{port}" if port is not None else ""
    path = parts.path.rstrip("/").removesuffix("/v1")
    login = None
    if parts.username is not None:
        login = unquote(parts.username), unquote(parts.password or "")
    key = environment.get("PROMPTKIT_API_KEY")
    if not key and host in (_OPENAI, _host(environment.get("OPENAI_BASE_URL", ""))):
        key = environment.get("OPENAI_API_KEY")
    root = f"{parts.scheme.lower()}://{shown}{path}"
    return Address(root, shown, unquote(parts.fragment) or None, login, key or None)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def check_named_by_file(url: str, environment: Mapping[str, str] = os.environ) -> None:
    """Check a URL that a file names, such as a frozen predictor: inputs and the key would go there.

    Hosts in `PROMPTKIT_SERVERS` (with commas) may be named, and those of this machine.

    Raises:
        ModelError: The host is another.
    """
    host = _host(url) or ""
    known = map(str.strip, environment.get("PROMPTKIT_SERVERS", "").lower().split(","))
    if host not in {*_LOOPBACK, *filter(None, known)}:
        raise ModelError(
            tr(
                "the file names the server {host}, and inputs would be sent there; if you "
                "trust it, name its URL as the model (--model), or its host in "
                "PROMPTKIT_SERVERS",
                host=shorten(host),
            )
        )
