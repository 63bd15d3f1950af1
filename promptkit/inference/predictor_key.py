"""Digest of everything that decides a predictor's answers."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Predictor
from promptkit.models.base import Model
from promptkit.selection.orders import Order
from promptkit.selection.strategies import Selection, selection_for
from promptkit.tasks.examples import canonical
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

_NAMES = ("name", "evidence")  # of a frozen predictor; they decide nothing


def predictor_key(predictor: AnyPredictor) -> str:
    """Return a digest that predictors of the same answers share; names do not count."""
    parts: Any = predictor.identity.key
    if isinstance(predictor, Predictor):
        named = [one.name for one in fields(predictor) if one.name not in _NAMES]
        parts = {name: _part(getattr(predictor, name)) for name in named}
        if predictor.scores == "all":
            del parts["scores"]  # as in keys from before there was another choice
        if predictor.language is None:
            del parts["language"]  # the same
        selection = selection_for(predictor.task, predictor.selection)
        parts["selection"] = selection.name
        if (origin := getattr(getattr(selection, "embed", None), "origin", None)) is not None:
            parts["embedder"] = origin.sha256
    return hashlib.sha256(canonical(parts)).hexdigest()


def _part(value: Any) -> Any:
    match value:
        case Task() | Template():
            return value.fingerprint
        case Model():
            return value.identity.key
        case Selection() | Order():
            return value.name
        case None | int() | float() | str():
            return value
    return value.to_dict() if hasattr(value, "to_dict") else repr(value)
