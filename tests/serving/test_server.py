"""A real server on loopback: clients that are many, slow, too large, or gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Server, predictor, serving
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from promptkit.errors import PromptkitError
from promptkit.serving.http_server import run_server

pytestmark = pytest.mark.slow

NAMES = [f"fruit {number}" for number in range(16)]


def metrics(server: Server) -> dict[str, float]:
    """The metrics of a server; those with labels by their values."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    return {
        " ".join([one.name, *one.labels.values()]): one.value
        for family in families
        for one in family.samples
    }


def raw(server: Server, text: str) -> socket.socket:
    """A connection on which a part of a request was sent."""
    place = urlsplit(server.address)
    assert place.hostname is not None
    found = socket.create_connection((place.hostname, place.port or 0), timeout=60)
    found.sendall(text.encode())
    return found


def head(length: int) -> str:
    return (
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )


def test_answers_are_those_of_the_predictor() -> None:
    own = predictor()
    queries = [own.task.as_query({"name": name}) for name in NAMES]
    with serving() as server, ThreadPoolExecutor(16) as clients:
        made = [*clients.map(lambda name: server.post({"name": name}).json(), NAMES)]
        listed = server.post([{"name": name} for name in NAMES]).json()
        assert server.get("/health").json()["predictor"] == listed["predictor"]
        code, errors = server.stop()
    assert (code, errors) == (0, "")
    for answers in (made, listed["answers"]):
        for answer, known in zip(answers, own.predict(queries), strict=True):
            assert answer["label"] == known.label
            assert answer["probs"] == known.probs
            assert (answer["margin"], answer["coverage"]) == (known.margin, known.coverage)
            assert (answer["abstained"], answer["failure"]) == (False, None)
    assert made[0]["predictor"]["name"] == "fake"
    assert made[0]["predictor"]["sha256"] == own.identity.sha256


def test_concurrent_requests_are_joined() -> None:
    """Sixteen that wait together take a few batches, each of which takes as long as one."""
    own = predictor()
    own.predict([own.task.as_query({"name": name}) for name in NAMES])
    with serving(delay=0.5) as server, ThreadPoolExecutor(16) as clients:
        answers = [*clients.map(lambda name: server.post({"name": name}), NAMES)]
        found = metrics(server)
    assert {answer.status_code for answer in answers} == {200}
    assert found["promptkit_batch_requests_sum"] == 16
    assert found["promptkit_batch_requests_count"] <= 5
    assert found["promptkit_requests_total /predict 200"] == 16
    assert found["promptkit_request_seconds_count /predict"] == 16
    assert found["promptkit_answers_total given"] == 16
    assert found["promptkit_tokens_total"] == own.usage.decoded_tokens
    assert found["promptkit_waiting_inputs"] == 0


def test_a_client_that_goes_away_stops_no_other() -> None:
    body = json.dumps([{"name": f"{name} {n}"} for name in NAMES for n in range(40)])
    with serving(delay=0.3) as server:
        gone = raw(server, head(len(body)) + body)
        time.sleep(0.2)
        gone.close()
        assert server.post({"name": "lemon"}).status_code == 200
        found = metrics(server)
        assert found["promptkit_errors_total /predict 499"] == 1
        assert found["promptkit_batch_inputs_sum"] < 640
        assert server.stop() == (0, "")


def test_a_slow_client_is_refused_and_stops_no_other() -> None:
    with serving({"seconds": 1}) as server:
        slow = raw(server, head(100) + '{"name"')
        assert server.post({"name": "lemon"}).status_code == 200
        said = slow.recv(10_000).decode()
        assert said.startswith("HTTP/1.1 408")
        slow.close()
        assert server.stop() == (0, "")


def test_what_is_too_large_is_refused() -> None:
    with serving({"body_bytes": 2_000, "inputs": 3}) as server:
        for content in (b"x" * 3_000, (b"x" * 1_000 for _ in range(10_000))):  # known size and not
            try:
                said = httpx2.post(f"{server.address}/predict", content=content, timeout=60)
            except httpx2.WriteError:  # the connection is closed while it is sent
                continue
            assert said.status_code == 413
            assert said.json() == {
                "detail": "the body is larger than 2,000 bytes; send fewer inputs at once"
            }
        said = server.post([{"name": "a"}] * 4)
        assert said.status_code == 413
        assert said.json()["detail"] == "4 inputs; send at most 3 at once"
        assert server.post([{"name": "a"}] * 3).status_code == 200


def test_a_client_that_asks_too_often_is_told_when_to_try_again() -> None:
    with serving({"rate": 0.05}) as server:
        assert server.post({"name": "a"}).status_code == 200
        said = server.post({"name": "a"})
        assert said.status_code == 429
        assert 1 <= int(said.headers["retry-after"]) <= 20
        assert said.json()["detail"] == "more than 0.05 requests/s"
        assert server.get("/health").status_code == 200


def test_what_takes_too_long_is_refused() -> None:
    with serving({"seconds": 0.2, "waiting": 3}, delay=1) as server:
        said = server.post({"name": "a"})
        assert (said.status_code, said.headers["retry-after"]) == (503, "1")
        assert said.json() == {"detail": "not answered within 0.2 s"}
        said = server.post([{"name": "a"}] * 4)
        assert said.json() == {"detail": "too many inputs wait for an answer"}


def test_an_error_of_one_request_is_not_that_of_others() -> None:
    """Both wait while the first batch runs, and would be asked together."""
    with serving(delay=0.5, context=700) as server, ThreadPoolExecutor(3) as clients:
        first = clients.submit(server.post, {"name": "a"})
        time.sleep(0.2)
        long = clients.submit(server.post, {"name": "long " * 200})
        other = clients.submit(server.post, {"name": "lemon"})
        assert [one.result().status_code for one in (first, long, other)] == [200, 422, 200]
        (said,) = long.result().json()["detail"]
        assert said["loc"] == ["body"]
        assert "context" in said["msg"]
        assert server.stop() == (0, "")


def test_an_unexpected_error_is_answered_and_noted() -> None:
    with serving(fails="durian") as server:
        said = server.post({"name": "durian"})
        assert said.status_code == 500
        assert said.json() == {"detail": "the predictor failed; its log says why"}
        assert server.post({"name": "lemon"}).status_code == 200
        code, errors = server.stop()
    assert code == 0
    assert errors == "/predict: RuntimeError: 'this model fails'\n"


def test_requests_in_flight_are_answered_before_the_end() -> None:
    with serving(delay=1) as server, ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(server.post, {"name": name}) for name in NAMES[:4]]
        time.sleep(0.6)
        assert server.stop() == (0, "")
        assert [one.result().status_code for one in asked] == [200] * 4
        with pytest.raises(httpx2.ConnectError):
            server.get("/health")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:8000", 200), ("example.com:8000", 421)],
)
def test_only_requests_to_this_machine_are_answered(host: str, status: int, server: Server) -> None:
    """A name of another page may be made to point to this machine."""
    assert server.get("/health", headers={"host": host}).status_code == status


@pytest.fixture(scope="module")
def server() -> Any:
    with serving() as found:
        yield found


def test_the_page_needs_nothing_from_elsewhere(server: Server) -> None:
    page = server.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text
    for place in ("docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/page.js"):
        assert place in page.text
        assert server.get(f"/{place}").status_code == 200
    assert server.get("/").headers["location"] == "docs"
    assert server.get("/docs/../../secret").status_code == 404


def test_an_address_that_is_taken_is_an_error(server: Server) -> None:
    port = urlsplit(server.address).port or 0
    with pytest.raises(PromptkitError, match=f"127.0.0.1:{port}: Address already in use; choose"):
        run_server(predictor(), port=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_responses_are_sent_at_once(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections have TCP_NODELAY: a body does not wait for the acknowledgement of its head."""
    found: list[int] = []
    made = HttpToolsProtocol.connection_made

    def watched(self: HttpToolsProtocol, transport: Any) -> None:
        accepted = transport.get_extra_info("socket")
        found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    def ask(address: str) -> None:
        try:
            assert httpx2.get(f"{address}/health", timeout=60).status_code == 200
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(HttpToolsProtocol, "connection_made", watched)
    with ThreadPoolExecutor(1) as clients:
        asked: list[Future[None]] = []
        ready: Callable[[str], None] = lambda at: asked.append(clients.submit(ask, at))  # noqa: E731
        run_server(predictor(), host=host, port=0, ready=ready)
        asked[0].result(60)
    assert found == [1]
