"""Profiles of predictors."""

from __future__ import annotations

from types import SimpleNamespace

from promptkit.inference.profile import Profile, profile_of


def test_the_profile_of_a_predictor_is_its_own() -> None:
    own = Profile(parameters=12, trained=2, bytes=48, labels=5)
    assert profile_of(SimpleNamespace(profile=own)) == own


def test_nothing_is_known_of_a_predictor_without_one() -> None:
    assert profile_of(SimpleNamespace()) == Profile()
    assert profile_of(SimpleNamespace(profile="large")) == Profile()
