"""HTTP with patience: retries, pace, limits, and secrets that are never shown."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from time import monotonic, sleep

import pytest
from fake_servers import Served, listed, served

from promptkit.errors import ModelError
from promptkit.models.remote.address import address_of
from promptkit.models.remote.client import Client, NoAnswerError, Patience, in_parallel

QUICK = Patience(seconds=5, attempts=4, first=0.01)


def client_of(server: Served, patience: Patience = QUICK, **environment: str) -> Client:
    return Client(address_of(server.url, environment), patience)


@pytest.mark.parametrize("trouble", [429, 500, 502, 503, 529, "cut"])
def test_trouble_that_passes_is_tried_again(trouble: object) -> None:
    with served(listed()) as server:
        client = client_of(server)
        server.troubles = [trouble, trouble]
        assert client.get("/v1/models")["object"] == "list"
        assert len(server.requests) == 3
        assert client.failures == 2
        client.close()


@pytest.mark.parametrize("status", [400, 401, 404, 422, 501])
def test_trouble_that_stays_is_not(status: int) -> None:
    with served(listed()) as server:
        client = client_of(server)
        server.troubles = [status]
        with pytest.raises(NoAnswerError) as found:
            client.get("/v1/models")
        assert found.value.status == status
        assert len(server.requests) == 1
        client.close()


def test_tries_come_to_an_end() -> None:
    with served(listed()) as server:
        client = client_of(server)
        server.troubles = [503] * 9
        with pytest.raises(NoAnswerError, match=r"503 trouble \(after 4 tries\)"):
            client.get("/v1/models")
        assert len(server.requests) == 4
        client.close()


def test_a_server_that_hangs_is_left() -> None:
    with served(listed()) as server:
        client = client_of(server, Patience(seconds=0.2, attempts=2, first=0.01))
        server.troubles = [0.6, None]
        assert client.get("/v1/models")["object"] == "list"
        server.troubles = [0.6, 0.6]
        with pytest.raises(NoAnswerError, match=r"no answer in 0.2 seconds \(after 2 tries\)"):
            client.get("/v1/models")
        client.close()


def test_nobody_answers() -> None:
    client = Client(address_of("http://127.0.0.1:9", {}), QUICK)
    with pytest.raises(NoAnswerError, match="nobody answers there; is the server running"):
        client.get("/v1/models")
    client.close()


def test_the_wait_that_a_server_asks_for_is_kept() -> None:
    with served(listed()) as server:
        client = client_of(server)
        server.troubles = [(429, {"Retry-After": "0.4"})]
        start = monotonic()
        client.get("/v1/models")
        assert 0.4 <= monotonic() - start < 5
        later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2))
        server.troubles = [(503, {"Retry-After": later})]
        start = monotonic()
        client.get("/v1/models")
        assert 0.5 <= monotonic() - start < 5
        server.troubles = [(429, {"Retry-After": "86400"})]
        with pytest.raises(NoAnswerError, match="asks to wait 86,400 seconds"):
            client.get("/v1/models")
        client.close()


def test_waits_grow_with_jitter_up_to_a_limit() -> None:
    patience = Patience(first=1, longest=10)
    waits = [[patience.wait(failures) for _ in range(50)] for failures in (1, 2, 3, 9)]
    for found, most in zip(waits, (1, 2, 4, 10), strict=True):
        assert all(most / 2 <= one <= most for one in found)
        assert len(set(found)) > 10


def test_a_rate_is_kept() -> None:
    with served(listed()) as server:
        client = client_of(server, Patience(rate=20))
        start = monotonic()
        for _ in range(5):
            client.get("/v1/models")
        assert monotonic() - start >= 0.2
        client.close()


def test_closing_ends_the_waits() -> None:
    with served(listed()) as server:
        client = client_of(server)
        server.troubles = [(503, {"Retry-After": "60"})]
        threading.Timer(0.2, client.close).start()
        start = monotonic()
        with pytest.raises(NoAnswerError, match="the model was closed"):
            client.get("/v1/models")
        assert monotonic() - start < 10


def test_what_is_no_json_is_said() -> None:
    page = "<html>Sign in to the portal</html>"
    with served({"GET /v1/models": lambda _: (200, page)}) as server:
        client = client_of(server)
        with pytest.raises(NoAnswerError, match="an answer that is no JSON: '<html>Sign in"):
            client.get("/v1/models")
        client.close()


def test_another_model_is_noticed() -> None:
    routes = {"POST /x": lambda body: (200, {"model": body["as"]})}
    with served(routes) as server:
        client = client_of(server)
        client.post("/x", {"as": "one"})
        client.post("/x", {"as": "one"})
        with pytest.raises(ModelError, match="changed while it was asked: its model was 'one'"):
            client.post("/x", {"as": "two"})
        client.close()


def test_secrets_are_sent_and_never_shown() -> None:
    key, password = "sk-very-secret", "pass:wor/d"

    def tells(body: object) -> tuple[int, object]:
        return 400, {"error": {"message": f"{key} and {password} are wrong"}}

    with served({"GET /v1/models": tells}) as server:
        where = server.url.replace("http://", "http://me:pass%3Awor%2Fd@")
        address = address_of(where, {"PROMPTKIT_API_KEY": key})
        client = Client(address, QUICK)
        with pytest.raises(NoAnswerError) as found:
            client.get("/v1/models")
        _, headers, _ = server.requests[0]
        assert "Authorization" in headers
        assert address.root == server.url
        for text in (str(found.value), repr(found.value), repr(client), repr(address)):
            assert key not in text
            assert password not in text
            assert "pass%3A" not in text
        client.close()


def test_a_redirect_is_not_followed() -> None:
    with served(listed()) as server:
        client = client_of(server, PROMPTKIT_API_KEY="sk")
        server.troubles = [(302, {"Location": "http://127.0.0.1:9/"})]
        with pytest.raises(NoAnswerError, match="sends elsewhere, which is not followed"):
            client.get("/v1/models")
        client.close()


def test_items_are_worked_on_side_by_side() -> None:
    def work(item: int) -> int:
        sleep(0.02)
        return item * item

    assert dict(in_parallel(work, range(20), 5)) == {one: one * one for one in range(20)}
    assert [*in_parallel(work, [], 5)] == []


def test_the_first_error_ends_the_work() -> None:
    seen = []

    def work(item: int) -> int:
        seen.append(item)
        if item == 3:
            raise ModelError("three")
        sleep(0.01)
        return item

    with pytest.raises(ModelError, match="three"):
        for _ in in_parallel(work, range(1000), 2):
            pass
    assert len(seen) < 100
