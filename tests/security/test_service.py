"""Clients that mean harm: pages of other sites, connections that never end, places outside."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from serving import Server, predictor, serving
from starlette.testclient import TestClient

import promptkit as pk
from promptkit.serving.application import LOCAL

INPUT = {"name": "lemon"}


@pytest.fixture(scope="module")
def local() -> Iterator[TestClient]:
    """A service as `serve` has it on 127.0.0.1."""
    application = pk.service(predictor(), hosts=LOCAL)
    with TestClient(application, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture(scope="module")
def anywhere() -> Iterator[TestClient]:
    """A service as `serve --host 0.0.0.0` has it."""
    with TestClient(pk.service(predictor()), base_url="http://10.0.0.5:8000") as client:
        yield client


@pytest.fixture(scope="module")
def quick() -> Iterator[Server]:
    with serving({"seconds": 1, "body_bytes": 2_000}) as server:
        yield server


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://127.0.0.1:8000", 200),
        ("http://localhost:3000", 200),
        ("http://[::1]:8000", 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://localhost@evil.example", 403),
        ("http://[", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_sites_are_refused(
    origin: str | None, status: int, local: TestClient
) -> None:
    """A form, or a script, of any page can send text to a service on its visitor's machine."""
    headers = {"content-type": "text/plain"} | ({} if origin is None else {"origin": origin})
    said = local.post("/predict", content=json.dumps(INPUT), headers=headers)
    assert said.status_code == status
    assert "access-control-allow-origin" not in said.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "x@y"])
def test_names_that_were_made_to_point_here_are_refused(host: str, local: TestClient) -> None:
    for method, path in (("POST", "/predict"), ("GET", "/metrics"), ("GET", "/openapi.json")):
        said = local.request(method, path, json=INPUT, headers={"host": host})
        assert said.status_code == 421, path


def test_elsewhere_only_its_own_pages_ask(anywhere: TestClient) -> None:
    for origin, status in (("http://10.0.0.5:8000", 200), ("http://10.0.0.5:3000", 403)):
        said = anywhere.post("/predict", json=INPUT, headers={"origin": origin})
        assert said.status_code == status


def test_a_service_may_have_names() -> None:
    application = pk.service(predictor(), hosts=[*LOCAL, "api.example.org"])
    with TestClient(application, base_url="http://api.example.org") as client:
        assert client.post("/predict", json=INPUT).status_code == 200
        named = {"origin": "https://api.example.org"}
        assert client.post("/predict", json=INPUT, headers=named).status_code == 200
        assert client.get("/health", headers={"host": "b.example.org"}).status_code == 421


def test_no_page_is_told_that_it_may_read(local: TestClient) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    said = local.options("/predict", headers=asked)
    assert said.status_code == 405
    assert not [name for name in said.headers if name.startswith("access-control")]


PLACES = (
    "/docs/../../pyproject.toml",
    "/docs/..%2f..%2f..%2fetc%2fpasswd",
    "/docs/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/docs/..%5c..%5cwindows",
    "/docs//etc/passwd",
    "/docs/%00",
    "/docs/" + "a" * 5_000,
    "/docs/",
    "/docs/images/",
)


@pytest.mark.parametrize("place", PLACES)
def test_no_place_outside_and_no_list_of_files(place: str, local: TestClient) -> None:
    said = local.get(place)
    assert said.status_code in (404, 405)
    assert "root:" not in said.text


def test_an_error_is_no_traceback() -> None:
    own = predictor(fails="lemon")
    told: list[str] = []
    with TestClient(pk.service(own, notify=told.append), raise_server_exceptions=False) as client:
        said = client.post("/predict", json=INPUT)
    assert said.status_code == 500
    assert said.json() == {"detail": "the predictor failed; its log says why"}
    assert told == ["/predict: RuntimeError: 'this model fails'"]


def test_metrics_hold_no_text(local: TestClient) -> None:
    secret = "sk-secret-0123456789"
    for body in ({"name": secret}, {secret: 1}, [{"name": secret}], secret):
        local.post("/predict", json=body, headers={"user-agent": secret})
    local.post("/v1/systemone", json={"state": secret, "questions": {secret: {"type": secret}}})
    for path in (f"/{secret}", f"/predict?key={secret}", f"/docs/{secret}"):
        local.get(path)
    assert secret not in local.get("/metrics").text


@pytest.mark.slow
def test_nothing_of_a_request_is_logged() -> None:
    secret = "sk-secret-0123456789"
    with serving() as server:
        server.post({"name": secret})
        server.post({secret: secret})
        server.get(f"/{secret}?key={secret}", headers={"authorization": secret})
        with closing(opened(server)) as one:
            one.sendall(f"{secret}\r\n\r\n".encode())
            one.recv(1000)
        code, errors = server.stop()
    assert code == 0
    assert secret not in errors


def opened(server: Server, sent: bytes = b"") -> socket.socket:
    place = urlsplit(server.address)
    assert place.hostname is not None
    one = socket.create_connection((place.hostname, place.port or 0), timeout=30)
    one.sendall(sent)
    return one


def ended(one: socket.socket) -> bytes:
    """Return what comes until the other side closes, which it does."""
    said = b""
    with suppress(ConnectionResetError):
        while part := one.recv(65536):
            said += part
    return said


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"

SLOW = {
    "nothing": (b"", b""),
    "a beginning": (b"POST /pre", b"HTTP/1.1 408"),
    "headers": (HEAD, b"HTTP/1.1 408"),
    "an empty line": (b"\r\n", b""),
    "a body": (HEAD + b"Content-Length: 90\r\n\r\n{", b"HTTP/1.1 408"),
    "a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b"HTTP/1.1 408"),
    "a pause": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLOW)
def test_a_connection_that_says_no_more_is_closed(kind: str, quick: Server) -> None:
    sent, answer = SLOW[kind]
    start = time.monotonic()
    with closing(opened(quick, sent)) as one:
        said = ended(one)
    assert said.startswith(answer)
    assert time.monotonic() - start < 15


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", HEAD, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_byte_now_and_then_keeps_no_connection(sent: bytes, quick: Server) -> None:
    start = time.monotonic()
    with closing(opened(quick, sent)) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - start < 20:
                one.sendall(b"a" if sent == HEAD else b"\r\n")
                time.sleep(0.2)
        assert time.monotonic() - start < 15


@pytest.mark.slow
def test_a_body_that_was_refused_may_not_go_on_for_ever(quick: Server) -> None:
    start = time.monotonic()
    with closing(opened(quick, HEAD + b"Content-Length: 999999999\r\n\r\n")) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - start < 20:
                one.sendall(b"a")
                time.sleep(0.2)
        assert time.monotonic() - start < 15


ENDLESS = {
    "a header": HEAD + b"x: " + b"a" * 10_000_000,
    "headers": HEAD + b"x: y\r\n" * 2_000_000,
    "an address": b"GET /" + b"a" * 10_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDLESS)
def test_headers_without_end_are_refused(kind: str, quick: Server) -> None:
    with closing(opened(quick)) as one:
        with suppress(BrokenPipeError, ConnectionResetError):
            one.sendall(ENDLESS[kind])
        said = ended(one)
    assert said == b"" or said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert quick.post(INPUT).status_code == 200


@pytest.mark.slow
def test_trailers_are_not_kept(quick: Server) -> None:
    body = json.dumps(INPUT).encode()
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    trailers = b"x: y\r\n" * 1000
    with closing(
        opened(quick, head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers))
    ) as it:
        assert it.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_answers_that_are_not_read_are_given_up(quick: Server) -> None:
    """Their client gets as much as fits into the buffers on the way."""
    asked, size = 60, len(quick.get("/docs/swagger-ui-bundle.js").content)
    assert size > 1_000_000
    sent = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * asked
    with closing(opened(quick, sent)) as one:
        time.sleep(8)
        said = ended(one)
    assert len(said) < asked * size
    assert quick.post(INPUT).status_code == 200


@pytest.mark.slow
def test_by_default_only_this_machine_is_listened_to() -> None:
    import inspect

    from promptkit.cli.serve import serve
    from promptkit.serving.http_server import run_server

    for function in (run_server, serve):
        assert inspect.signature(function).parameters["host"].default == "127.0.0.1"
    with serving() as server:
        assert server.address.startswith("http://127.0.0.1:")
        port = urlsplit(server.address).port or 0
        own = {one[4][0] for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in own - {"127.0.0.1"}:
            with pytest.raises(OSError):  # noqa: PT011 - refused, or no route, by the machine
                socket.create_connection((address, port), timeout=2)


BOMBS: dict[str, Any] = {
    "nested": b"[" * 500_000,
    "objects": b'{"a":' * 200_000,
    "a number": b"9" * 900_000,
    "an exponent": b'{"name": 1e999999999}',
    "not a number": b'{"name": NaN}',
    "one key": b'{"name": "a", ' + b'"name": "b", ' * 50_000 + b'"name": "c"}',
    "escapes": b'{"name": "' + b"\\u0000" * 100_000 + b'"}',
    "surrogates": b'{"name": "\\ud800"}',
    "bytes": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bodies_that_explode_are_answered(kind: str, local: TestClient) -> None:
    start = time.monotonic()
    said = local.post("/predict", content=BOMBS[kind])
    assert said.status_code in (200, 400, 422)
    assert len(said.content) < 20_000
    assert time.monotonic() - start < 20
