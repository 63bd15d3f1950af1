"""Predictors that are loaded when they are first asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Prediction
from promptkit.inference.profile import Profile
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.examples import Example


@dataclass(frozen=True, eq=False)
class LazyPredictor:
    """A saved predictor whose identity and size are known before it is loaded."""

    path: Path
    """File or folder that it is loaded from."""
    identity: ModelIdentity
    profile: Profile
    load: Callable[[Path], AnyPredictor]

    @cached_property
    def loaded(self) -> AnyPredictor:
        """Predictor, loaded when it is first needed. Raises what loading raises."""
        return self.load(self.path)

    @property
    def usage(self) -> Usage:
        """Cost of its work so far."""
        return self.loaded.usage if "loaded" in self.__dict__ else Usage()

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> Sequence[Prediction]:
        """Return a prediction for each query; without any, nothing is loaded."""
        asked = [*queries]
        return self.loaded.predict(asked) if asked else []
