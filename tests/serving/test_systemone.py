"""Decisions: the shape of requests and answers, and the client that is written for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from serving import Number, predictor, scores, serving, truths
from starlette.testclient import TestClient

import promptkit as pk
from promptkit.serving.application import service

LABELS = predictor().task.labels
QUESTION = {"type": "choice", "instructions": "Which?", "criteria": dict.fromkeys(LABELS)}


def decided(own: Any, state: Any, questions: Any) -> Any:
    with TestClient(service(own)) as client:
        return client.post("/v1/systemone", json={"state": state, "questions": questions})


def test_a_choice_is_answered_as_predicted() -> None:
    own = predictor()
    (known,) = own.predict([own.task.as_query({"name": "lemon"})])
    assert known.probs is not None
    for state in ("lemon", {"name": "lemon"}):
        said = decided(own, state, {"kind": QUESTION}).json()
        answer = said["answers"]["kind"]
        assert said["model"] == "fake"
        assert said["usage"] == {"input_tokens": known.tokens, "output_tokens": 0}
        assert (answer["type"], answer["choice"]) == ("choice", known.label)
        assert answer["probabilities"] == known.probs
        equal = 1 / len(LABELS)
        best = max(known.probs.values())
        assert answer["confidence"] == pytest.approx((best - equal) / (1 - equal))


def test_a_score_is_the_expected_level() -> None:
    task = scores()
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    (known,) = own.predict([task.as_query({"number": 5})])
    assert known.probs is not None
    question = {"type": "score", "instructions": "How?", "criteria": ["low", "middle", "high"]}
    answer = decided(own, 5, {"how": question})
    assert answer.status_code == 422  # the state is a text, an object or a list
    answer = decided(own, {"number": 5}, {"how": question}).json()["answers"]["how"]
    probs = [known.probs[str(level)] for level in range(3)]
    assert answer["score"] == pytest.approx(probs[1] + 2 * probs[2])
    assert answer["legend"] == {"0": "low", "1": "middle", "2": "high"}
    assert [*answer["probabilities"].values()] == probs
    best = max(range(3), key=probs.__getitem__)
    distance = sum(p * abs(level - best) for level, p in enumerate(probs))
    assert answer["confidence"] == pytest.approx(max(0, 1 - distance / (2 / 3)))


def test_a_noul_is_the_probability_of_true() -> None:
    task = truths()
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    (known,) = own.predict([task.as_query({"number": 5})])
    assert known.probs is not None
    said = decided(own, {"number": 5}, {"is": {"type": "noul", "instructions": "Is it?"}})
    assert said.json()["answers"]["is"] == {
        "type": "noul",
        "noul": known.probs["true"],
        "abstained": False,
    }


def test_options_of_a_question_are_those_of_the_input() -> None:
    class Quiz(Number):
        choices: Annotated[list[str], pk.Options()]

    task = pk.Task[Quiz, str](name="quiz")
    model = pk.FakeModel(lambda prompt: "nine")
    own = pk.Predictor(task, pk.Template.of(task), model)
    question = {"type": "choice", "instructions": "?", "criteria": {"one": None, "nine": None}}
    answer = decided(own, {"number": 9}, {"which": question}).json()["answers"]["which"]
    assert answer["choice"] == "nine"
    assert answer["probabilities"] == {
        "one": pytest.approx(0.1, abs=0.02),
        "nine": pytest.approx(0.9, abs=0.02),
    }


PLACE = ["questions", "q", "criteria"]
REFUSED: list[tuple[Any, Any, list[Any], str]] = [
    ("a", {"q": {**QUESTION, "criteria": {"drupe": None}}}, PLACE, "not the labels"),
    ("a", {"q": {"type": "noul"}}, PLACE, "not true and false"),
    ("a", {"q": {"type": "score", "criteria": ["a", "b"]}}, PLACE, "no such levels"),
    ("a", {"q": {"type": "box"}}, ["questions", "q"], "box"),
    ("a", {}, ["questions"], "at least 1"),
    (None, {"q": QUESTION}, ["state"], ""),
    ({"nam": "a"}, {"q": QUESTION}, ["state", "nam"], "no such field"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(service(predictor())) as found:
        yield found


@pytest.mark.parametrize(("state", "questions", "place", "reason"), REFUSED)
def test_another_question_is_refused(
    state: Any, questions: Any, place: list[Any], reason: str, client: TestClient
) -> None:
    said = client.post("/v1/systemone", json={"state": state, "questions": questions})
    assert said.status_code == 422
    assert any(
        one["loc"][1 : 1 + len(place)] == place and reason in one["msg"]
        for one in said.json()["detail"]
    )


@pytest.mark.slow
def test_the_client_that_is_written_for_it_works_unchanged() -> None:
    typesafe = pytest.importorskip("typesafe_sdk")
    with (
        serving() as server,
        typesafe.TypeSafeClient(api_key="none", base_url=server.address) as client,
    ):
        kind = typesafe.Choice(instructions="Which kind?", criteria=dict.fromkeys(LABELS))
        answer = client.system_one(state={"name": "lemon"}, questions={"kind": kind})
        assert answer.choices["kind"].choice in LABELS
        assert sum(answer.choices["kind"].probabilities.values()) == pytest.approx(1)
        other = typesafe.Choice(instructions="Which?", criteria={"good": None, "bad": None})
        with pytest.raises(typesafe.TypeSafeUnprocessableEntityError, match="not the labels"):
            client.system_one(state={"name": "lemon"}, questions={"kind": other})
