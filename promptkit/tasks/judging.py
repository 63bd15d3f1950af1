"""Judgement of one answer against the gold outputs: right or wrong, and its measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from promptkit.errors import DataError, Problem, TaskError
from promptkit.tasks import label_sets
from promptkit.tasks.answer_texts import token_f1
from promptkit.tasks.measures import Scorer, Scoring
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.record_fields import (
    OutputField,
    check_names,
    field_measures,
    output_fields,
    right_fields,
)
from promptkit.translation import tr

OfLabel = Callable[[str, Any], Mapping[str, float]]
"""Measures by name of a label, or of an option, against a gold output as a prediction holds it."""


class Judgement(NamedTuple):
    """Correctness of an answer and its measures by name."""

    correct: bool
    measures: dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Judges the answers of a task.

    Raises:
        TaskError: The scoring does not fit the output type.
    """

    scoring: Scoring
    output: OutputType
    options: bool = False
    """Whether answers are chosen from options, which are equal or not, as labels are."""

    def __post_init__(self) -> None:
        self.scoring.check(self.output)
        if self.options and self.scoring.match != "exact":
            raise TaskError(
                tr(
                    'match = "{match}" compares generated texts, not options',
                    match=self.scoring.match,
                )
            )
        if self.scoring.counted or self.scoring.tolerances:
            check_names("counted", self.scoring.counted, self.fields)
            check_names("tolerances", self.scoring.tolerances, self.fields)

    @property
    def _is_closed(self) -> bool:
        return self.options or bool(self.output.labels)

    @cached_property
    def fields(self) -> tuple[OutputField, ...]:
        """The fields of outputs; none where they are no records."""
        return output_fields(self.output)

    @cached_property
    def _within(self) -> Mapping[str, float]:
        names = [one.name for one in self.fields]
        return {**dict.fromkeys(names, self.scoring.within or 0.0), **self.scoring.tolerances}

    def __call__(
        self,
        value: Any,
        golds: Sequence[Any],
        *,
        failed: bool = False,
        example: str | None = None,
    ) -> Judgement:
        """Return the judgement of an answer.

        Args:
            value: The answer, of the output type.
            golds: The gold outputs, any of which is right; the best of them gives each measure.
            failed: Whether there is no answer, whatever the value is.
            example: The id of the query, for messages.

        Raises:
            DataError: A scorer raised an exception, or returned no number from 0 to 1.
        """
        scorer = self.scoring.scorer
        found = [self._against(gold, value, failed) for gold in golds]
        correct = any(one.correct for one in found)
        measures = {n: max(one.measures[n] for one in found) for n in found[0].measures}
        if scorer is None:
            return Judgement(correct, measures)
        score = max(0.0 if failed else _score(scorer, value, gold, example) for gold in golds)
        # Calibrated labels are compared with the gold label alone, and raw ones as they are.
        return Judgement(correct if self._is_closed else score == 1, measures | {"score": score})

    @cached_property
    def of_label(self) -> OfLabel | None:
        """The measures of labels that no prediction has judged; None where there are none."""
        if not self._is_closed or (self.scoring.within is None and self.scoring.scorer is None):
            return None
        values, label_of = self.output.values, self.output.label_of

        def judged(label: str, gold: str) -> Mapping[str, float]:
            return self(values.get(label, label), [values.get(gold, gold)]).measures

        known = cache(judged)
        return lambda label, gold: known(label, label_of.get(gold, gold))

    def form(self, value: Any) -> str:
        """Return the form of an answer that is equal for equal answers; texts are normalised."""
        if self.output.is_text and not self._is_closed:
            return self.scoring.form(value)
        return self.output.key(value)

    def _against(self, gold: Any, value: Any, failed: bool) -> Judgement:
        """Return the judgement of an answer against one gold output."""
        same = not failed and self.output.same(value, gold)
        if self._is_closed and self.scoring.within is None:
            return Judgement(same, {})
        said, form = None if failed else self.output.plain(value), self.output.plain(gold)
        if self.output.items is not None:
            return Judgement(same, {**label_sets.measures(said, form, self.output.items.labels)})
        measures = self.scoring.measures(said, form)
        if self.output.is_text and not self._is_closed:
            found = self._text(said, form, same)
            return Judgement(found.correct, measures | found.measures)
        if not self.fields or not isinstance(form, Mapping):
            return Judgement(same, measures)
        right = right_fields(self.fields, said, form, self._within)
        measures |= field_measures(self.fields, right, said, form)
        if not self.scoring.counted:
            return Judgement(same, measures)
        return Judgement(all(right[name] for name in self.scoring.counted), measures)

    def _text(self, said: str | None, gold: str, same: bool) -> Judgement:
        """Return the judgement of a text, of which `same` says whether it equals the gold one."""
        f1 = 0.0 if said is None else token_f1(said, gold, self.scoring.language)
        if self.scoring.match == "exact":
            return Judgement(same, {"token_f1": f1})
        correct = said is not None and self.scoring.matches(said, gold)
        return Judgement(correct, {"token_f1": f1, "exact_match": float(same)})


def _score(scorer: Scorer, value: Any, gold: Any, example: str | None) -> float:
    name = getattr(scorer, "__name__", type(scorer).__name__)
    try:
        score = float(scorer(value, gold))
    except Exception as error:
        reason = tr(
            "the scorer {name!r} raised {kind}: {error}",
            name=name,
            kind=type(error).__name__,
            error=error,
        )
        raise DataError([Problem(reason, example=example, value=value)]) from error
    if not 0 <= score <= 1 or math.isnan(score):
        reason = tr(
            "the scorer {name!r} returned {score}; a score is a number from 0 to 1",
            name=name,
            score=score,
        )
        raise DataError([Problem(reason, example=example, value=value)])
    return score
