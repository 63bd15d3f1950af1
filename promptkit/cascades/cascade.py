"""Cascades: a cheap predictor answers where it may, and the rest goes up to the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from promptkit.cascades.cascade_evidence import CascadeEvidence
from promptkit.cascades.cascade_saving import ARCHITECTURE, save_cascade
from promptkit.cascades.cascade_step import CascadeStep, confidence_of
from promptkit.inference.any_predictor import uncalibrated
from promptkit.inference.cell import NO_PROMPT, Cell
from promptkit.inference.prediction import Prediction
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.profile import Profile, profile_of, together
from promptkit.models.base import ModelIdentity, Usage
from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.task import Task
from promptkit.translation import mark, tr


@dataclass(frozen=True, eq=False)
class Cascade:
    """Predictors in a row: each answers where its confidence is above its threshold.

    `promptkit.cascade` chooses the thresholds, `save` writes it to a file, and
    `promptkit.load_predictor` reads that.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> small, large = (
        ...     pk.Predictor(task, pk.Template.of(task), pk.FakeModel(name=name), shots)
        ...     for name, shots in (("small", 0), ("large", 4))
        ... )
        >>> both = Cascade([CascadeStep(small, 1.0), CascadeStep(large, None)], task)
        >>> [one.label for one in both.predict(task.tests[:1])] == [
        ...     one.label for one in large.predict(task.tests[:1])
        ... ]
        True
    """

    steps: Sequence[CascadeStep]
    """Predictors with their thresholds, the first one asked first."""
    task: Task[Any, Any] = field(repr=False)
    """Task of the queries."""
    name: str = "cascade"
    """Name in tables."""
    evidence: CascadeEvidence | None = None
    """Evidence on its answers: error, share of each step, time."""

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> list[Prediction]:
        """Return a prediction for each query, of the first step that may answer it.

        Args:
            queries: Queries of the task.
        """
        queries = [self._own(query) for query in queries]
        made: dict[int, Prediction] = {}
        spent = [0.0] * len(queries)
        left = [*range(len(queries))]
        for step in self.steps:
            asked = [queries[place] for place in left]
            found = step.predictor.predict(asked) if asked else ()
            going_up = []
            for place, one in zip(left, found, strict=True):
                spent[place] += one.seconds
                made[place] = one
                if step.threshold is not None and confidence_of(one) <= step.threshold:
                    going_up.append(place)
            left = going_up
        for place in left:  # which no step answers
            made[place] = _held_back(made[place])
        own = Cell(model=self.name, template=NO_PROMPT, selection=NO_PROMPT, shots=0, seed=0)
        levels = own.factors()
        return [
            replace(uncalibrated(made[place]), **levels, seconds=spent[place])
            for place in range(len(queries))
        ]

    @cached_property
    def identity(self) -> ModelIdentity:
        """Identity: that of its steps, with their thresholds."""
        parts = [[one.key or predictor_key(one.predictor), one.threshold] for one in self.steps]
        digest = sha256(canonical(parts)).hexdigest()
        return ModelIdentity(self.name, digest, ARCHITECTURE, "", "promptkit", 0)

    @property
    def usage(self) -> Usage:
        """Cost of the work of all steps so far."""
        every = [one.predictor.usage for one in self.steps]
        return Usage(
            sum(one.decoded_tokens for one in every), sum(one.decode_seconds for one in every)
        )

    @property
    def profile(self) -> Profile:
        """Size of all steps together, a model that they share counted once, and what they took.

        Rows that thresholds were chosen on count as labels.
        """
        tested = 0 if self.evidence is None else self.evidence.learnt + self.evidence.rows
        every = together([profile_of(one.predictor) for one in self.steps])
        return replace(every, labels=every.labels + tested)

    def save(self, path: str | Path) -> Path:
        """Write the cascade to a file, which `promptkit.load_predictor` reads.

        Args:
            path: The file; its suffix is `.cascade`.

        Returns:
            The file.

        Raises:
            TaskError: The suffix is another, or a step cannot be saved.
            OSError: The file cannot be written; what was there before is unchanged.
        """
        return save_cascade(self.steps, self.task, self.evidence, path)

    def query(self, fields: Mapping[str, Any]) -> Example[Any, Any]:
        """Return a query out of the fields of its input. Raises `DataError`."""
        return self.task.as_query(fields)

    def _own(self, query: Example[Any, Any]) -> Example[Any, Any]:
        """Return a query whose input is of the task's type, which a file may have made anew."""
        if type(query.input) is self.task.types()[0]:
            return query
        known: dict[str, Any] = {"id": query.id, "metadata": query.metadata}
        if query.labelled:
            known |= {"output": query.output, "alternatives": query.alternatives}
        return self.query(self.task.fields_of(query)).model_copy(update=known)

    def __str__(self) -> str:
        from promptkit.cascades.cascade_table import text

        if self.evidence is None:
            return tr(
                "cascade of {names}",
                names=" → ".join(one.predictor.identity.name for one in self.steps),
            )
        return text(self.evidence)


def _held_back(made: Prediction) -> Prediction:
    """Return a prediction without its answer."""
    if made.failure is not None:
        return made
    return replace(
        made,
        label=None,
        correct=None if made.correct is None else False,
        failure=mark("held back: no step of the cascade is confident enough"),
        measures={},
        abstained=True,
    )
