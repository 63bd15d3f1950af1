"""Profiles of predictors."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from samples import COLON, parity_task

from promptkit import FakeModel, Predictor
from promptkit.inference.profile import Profile, profile_of, together
from promptkit.models.gguf.file_size import AdapterSize, ModelSize
from promptkit.selection.strategies import Similar


def test_the_profile_of_a_predictor_is_its_own() -> None:
    own = Profile(parameters=12, trained=2, bytes=48, labels=5)
    assert profile_of(SimpleNamespace(profile=own)) == own


def test_nothing_is_known_of_a_predictor_without_one() -> None:
    assert profile_of(SimpleNamespace()) == Profile()
    assert profile_of(SimpleNamespace(profile="large")) == Profile()


def sized(**size: Any) -> FakeModel:
    model: Any = FakeModel()
    model.size = ModelSize(**{"parameters": 1000, "bytes": 4000, **size})
    return model  # type: ignore[no-any-return]


def test_prompts_leave_a_model_as_it_is_and_take_labels_for_their_shots() -> None:
    prompt = Predictor(parity_task(), COLON, sized(), shots=4)
    assert profile_of(prompt) == Profile(parameters=1000, bytes=4000, labels=4)
    assert profile_of(replace(prompt, shots=0)).labels == 0
    assert profile_of(replace(prompt, model=FakeModel())) == Profile(labels=4)


def test_shots_for_each_query_are_chosen_from_the_labels_of_the_whole_pool() -> None:
    prompt = Predictor(parity_task(pool=8), COLON, sized(), shots=2, selection=Similar())
    assert profile_of(prompt).labels == 8
    assert profile_of(replace(prompt, shots=0)).labels == 0


def test_adapters_add_what_was_trained_and_what_their_cards_say() -> None:
    card = {"trained": 48, "seconds": 12.5, "teacher_tokens": 900, "labels": 80}
    taught = {"teacher_shots": 16, "teacher_draws": 2, "figures": {"teacher_seconds": 4}}
    other = AdapterSize(7, 28, {"seconds": "long", "labels": -1, "figures": []})
    adapters = AdapterSize(50, 200, card), other, AdapterSize(3, 12, taught)
    prompt = Predictor(parity_task(), COLON, sized(adapters=adapters), shots=1)
    assert profile_of(prompt) == Profile(
        parameters=1000, trained=48 + 7 + 3, bytes=4240, seconds=16.5, tokens=900, labels=81 + 32
    )


def test_parts_that_are_shared_are_counted_once() -> None:
    adapter = AdapterSize(48, 200, {"trained": 48, "seconds": 12.5, "labels": 80})
    bare = Predictor(parity_task(), COLON, sized(), shots=2)
    adapted_model = sized(adapters=(adapter,))
    adapted_model.identity = replace(adapted_model.identity, adapter="ad")
    adapted = replace(bare, model=adapted_model, shots=0)
    student = Profile(parameters=7, trained=7, bytes=28, seconds=3.0, labels=2)
    found = together(map(profile_of, (bare, adapted, bare, adapted)))
    assert found == Profile(
        parameters=1000, trained=48, bytes=4200, seconds=12.5, labels=2 + 80 + 2
    )
    both = together([found, profile_of(adapted), student])
    assert (both.parameters, both.bytes, both.trained) == (1007, 4228, 55)
    assert together([student, Profile()]).parameters is None
    other = replace(bare, model=sized())
    other.model.identity = replace(other.model.identity, sha256="0e" * 32)  # type: ignore[misc]
    assert together(map(profile_of, (bare, other))).parameters == 2000


def test_profiles_are_kept_as_json() -> None:
    for one in (
        Profile(parameters=3, seconds=1.5),
        profile_of(Predictor(parity_task(), COLON, sized())),
    ):
        again = Profile.from_dict(json.loads(json.dumps(one.to_dict())))
        assert (again, again.shared) == (one, one.shared)
    assert "shared" not in Profile().to_dict()
