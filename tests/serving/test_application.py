"""The application: what it accepts, what it says of the rest, and how it describes itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf, nan
from typing import Any

import jsonschema
import pytest
from serving import EXAMPLE, predictor
from starlette.testclient import TestClient

import promptkit as pk
from promptkit.serving.application import service
from promptkit.serving.service_limits import RateLimiter, ServiceLimits


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(service(predictor())) as found:
        yield found


FLAWS: list[tuple[str, list[tuple[list[Any], str]]]] = [
    ('{"name": 1}', [(["body", "name"], "Input should be a valid string")]),
    ("{}", [(["body", "name"], "missing")]),
    ('{"name": "a", "age": 1}', [(["body", "age"], "the input has no such field")]),
    ('"lemon"', [(["body"], "valid dictionary")]),
    ("null", [(["body"], "valid dictionary")]),
    ("[]", [(["body"], "an empty list")]),
    ('[{"name": "a"}, {"name": null}, 1]', [(["body", 1, "name"], ""), (["body", 2], "")]),
    ('{"name": "a", "\\ud800": 1}', [(["body", "\ud800"], "the input has no such field")]),
    ('{"name": "\\ud800"}', [(["body", "name"], "half of a surrogate pair")]),
]


@pytest.mark.parametrize(("body", "flaws"), FLAWS)
def test_an_input_that_does_not_fit_is_told(
    body: str, flaws: list[tuple[list[Any], str]], client: TestClient
) -> None:
    said = client.post("/predict", content=body)
    assert said.status_code == 422
    for found, (place, reason) in zip(said.json()["detail"], flaws, strict=True):
        assert found["loc"] == place
        assert reason in found["msg"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe{", b"[" * 200_000, b'{"name": ' + b"9" * 10_000 + b"}", b"name=lemon"],
)
def test_a_body_that_is_no_json_is_told(body: bytes, client: TestClient) -> None:
    said = client.post("/predict", content=body)
    assert said.status_code in (400, 422)
    assert said.json()["detail"][:7] == "no JSON"


def test_no_more_than_twenty_flaws_are_listed(client: TestClient) -> None:
    said = client.post("/predict", json=[{"name": 1}] * 500)
    assert len(said.json()["detail"]) == 20


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/predict", 405), ("get", "/nothing", 404), ("post", "/health", 405)],
)
def test_other_requests_are_refused_as_json(
    method: str, path: str, status: int, client: TestClient
) -> None:
    said = client.request(method, path)
    assert said.status_code == status
    assert isinstance(said.json()["detail"], str)


def test_the_document_describes_the_answers(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"])
    schema = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    whole = {**document, **schema["application/json"]["schema"]}
    validator = jsonschema.Draft202012Validator(whole)
    validator.validate(client.post("/predict", json={"name": "lemon"}).json())
    validator.validate(client.post("/predict", json=[{"name": "lemon"}]).json())
    assert not validator.is_valid({"label": "stone", "predictor": {}})
    label = document["components"]["schemas"]["InputAnswer"]["properties"]["label"]
    assert label["anyOf"][0]["enum"] == [*predictor().task.labels]
    for reference in set(_references(document)):
        kind = reference.removeprefix("#/components/schemas/")
        assert kind in document["components"]["schemas"]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "$ref")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from _references(item)


def test_answers_that_are_held_back_say_so() -> None:
    own = predictor()
    held = pk.Predictor(own.task, own.template, own.model, shots=2, threshold=0.99)
    with TestClient(service(held)) as client:
        said = client.post("/predict", json={"name": "lemon"}).json()
        assert (said["label"], said["abstained"]) == (None, True)
        assert said["failure"].startswith("held back: a probability of")
        assert sum(said["probs"].values()) == pytest.approx(1)
        assert 'promptkit_answers_total{kind="abstained"} 1.0' in client.get("/metrics").text


def test_generated_answers_have_a_text_and_no_decisions() -> None:
    task = pk.load_task(EXAMPLE.parent / "extraction")
    model = pk.FakeModel(lambda prompt: "no answer of this type")
    with TestClient(service(pk.Predictor(task, pk.Template.of(task), model))) as client:
        query = dict(task.fields_of(next(iter(task.tests))))
        said = client.post("/predict", json=query).json()
        assert (said["label"], said["probs"]) == (None, None)
        assert said["failure"]
        assert said["text"]
        assert client.post("/v1/systemone", json={}).status_code == 404
        assert "/v1/systemone" not in client.get("/openapi.json").json()["paths"]


def test_a_predictor_without_a_task_is_an_error() -> None:
    class Bare:
        identity = pk.FakeModel().identity
        usage = pk.FakeModel().usage

        def predict(self, queries: Any, /) -> Any:
            return [pk.Prediction for _ in queries]

    with pytest.raises(pk.PromptkitError, match="fake: a service needs its task"):
        service(Bare())


def test_a_limit_is_above_zero() -> None:
    with pytest.raises(pk.PromptkitError, match="inputs is 0; it is above 0"):
        ServiceLimits(inputs=0)


def test_requests_come_at_the_rate_in_the_long_run() -> None:
    now = 0.0
    limiter = RateLimiter(4, lambda: now)
    allowed = 0
    for step in range(1000):
        now = step / 100
        allowed += limiter.wait("one") == 0
    assert 40 <= allowed <= 44  # ten seconds of them, and a burst
    assert limiter.wait("another") == 0
    wait = limiter.wait("one")
    assert wait > 0
    now += wait
    assert limiter.wait("one") == 0


def test_what_json_cannot_hold_is_null() -> None:
    own = predictor()

    class Sure:
        task, identity, usage = own.task, own.identity, own.usage

        def predict(self, queries: Any, /) -> list[pk.Prediction]:
            return [replace(one, margin=inf, coverage=nan) for one in own.predict(queries)]

    with TestClient(service(Sure())) as client:
        said = client.post("/predict", json={"name": "lemon"}).json()
        assert (said["margin"], said["coverage"]) == (None, None)
