"""Baselines that are trained on the pool of a task, by scikit-learn.

They say what the labels alone are worth: a linear model on the words of the input may well be
better than a prompt with a few shots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from math import isnan, log
from time import perf_counter
from typing import TYPE_CHECKING, Any

from promptkit.errors import TaskError
from promptkit.inference.any_predictor import prediction_of
from promptkit.inference.label_thresholds import decided, gold_of
from promptkit.inference.prediction import Prediction
from promptkit.inference.profile import Profile
from promptkit.models.base import ModelIdentity, Usage
from promptkit.students.input_texts import input_texts
from promptkit.tasks.examples import Example, canonical
from promptkit.tasks.measures import number_of
from promptkit.tasks.task import Task
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.baselines.pool_fits import Fit
    from promptkit.baselines.text_features import TextCounts
    from promptkit.baselines.training_rows import Training, TrainingRows

Examples = Sequence[Example[Any, Any]]

_KEPT = 64
"""Number of lists of queries whose counts are kept."""


def why_not(task: Task[Any, Any]) -> str | None:
    """Return why no baselines can be trained for a task; None where they can.

    Args:
        task: The task.
    """
    if task.options is not None:
        return tr("each query has options of its own")
    if not task.labels and not task.output_type.is_number:
        return tr("the outputs are neither labels nor numbers")
    if not any(demo.labelled for demo in task.demos):
        return tr("the pool has no labelled rows")
    return None


def trained_baselines(task: Task[Any, Any]) -> tuple[TrainedBaseline, ...]:
    """Return the baselines for a task; they are trained when they are first asked.

    For labels these are the majority class, TF-IDF with logistic regression, nearest neighbours and
    naive Bayes; for numbers the mean, the median and TF-IDF with ridge regression.

    Args:
        task: The task, whose pool they learn from.

    Raises:
        TaskError: No baselines can be trained for it.

    Example:
        >>> from promptkit import load_task
        >>> found = trained_baselines(load_task("examples/fruit"))
        >>> [one.identity.name for one in found]
        ['majority', 'tfidf-logreg', 'nearest-neighbour', 'naive-bayes']
    """
    from promptkit.baselines.pool_fits import LABELS, NUMBERS

    if reason := why_not(task):
        raise TaskError(
            tr(
                "no baselines can be trained for the task {name!r}: {reason}",
                name=task.name,
                reason=reason,
            )
        )
    pool = PoolTexts(task)
    return tuple([TrainedBaseline(pool, name) for name in (LABELS if task.labels else NUMBERS)])


class PoolTexts:
    """Labelled rows of a task's pool with their texts, for all models that are trained on them."""

    def __init__(self, task: Task[Any, Any]) -> None:
        self.task = task
        self._kept: dict[tuple[str, ...], Any] = {}

    @cached_property
    def rows(self) -> TrainingRows:
        """The rows, and which of them a query may be answered from."""
        from promptkit.baselines.training_rows import TrainingRows

        return TrainingRows(self.task)

    @cached_property
    def texts(self) -> TextCounts:
        """The texts of the rows."""
        from promptkit.baselines.text_features import TextCounts

        return TextCounts(input_texts(self.task, self.rows.examples))

    @cached_property
    def gold(self) -> Any:
        """Gold labels, (rows, labels), or gold numbers, (rows,)."""
        import numpy as np

        task, rows = self.task, self.rows.examples
        if task.many:
            return gold_of(task, rows)
        plain = task.output_type.plain
        if not task.labels:
            return np.array([number_of(plain(row.output)) for row in rows], np.float64)
        said = [task.output_type.text(row.output) for row in rows]
        return np.array([[label == one for label in task.labels] for one in said], np.bool_)

    def counts_of(self, queries: Examples) -> Any:
        """Return the counts of the features of some queries."""
        return self.texts.of(input_texts(self.task, queries))

    def kept_counts_of(self, queries: Examples) -> Any:
        """Return the same, kept for many models that are asked the same queries."""
        texts = tuple(input_texts(self.task, queries))
        if texts not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[texts] = self.texts.of(texts)
        return self._kept[texts]


class TrainedBaseline:
    """A model of the inputs' texts, trained on the pool of each query (`AnyPredictor`).

    Near-duplicates of the tests are left out of the pool, and with folds each fold has a model of
    its own, trained on the others.

    Example:
        >>> from promptkit import load_task
        >>> task = load_task("examples/fruit")
        >>> _, linear, *_ = trained_baselines(task)
        >>> linear.predict(task.tests[:1])[0].label in task.labels
        True
    """

    def __init__(self, pool: PoolTexts, name: str) -> None:
        self.pool, self.name = pool, name
        self.usage = Usage()
        self._fits: dict[Training, Fit] = {}

    @property
    def task(self) -> Task[Any, Any]:
        """Task of the queries."""
        return self.pool.task

    @cached_property
    def identity(self) -> ModelIdentity:
        """The kind of model, and a digest of the task."""
        library = f"scikit-learn {version('scikit-learn')}"
        parts = [self.name, library, self.task.fingerprint, self.task.near_duplicates]
        digest = hashlib.sha256(canonical(parts)).hexdigest()
        return ModelIdentity(self.name, digest, "trained baseline", "f64", library, 0)

    @property
    def profile(self) -> Profile:
        """Size and cost of the model; of several folds, that with the most rows."""
        if not self._fits:
            from promptkit.baselines.training_rows import Training

            self._trained(Training(None))
        return max([fit.profile for fit in self._fits.values()], key=lambda one: one.labels)

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> list[Prediction]:
        """Return a prediction for each query, by the model that is trained for it.

        Args:
            queries: The queries.
        """
        asked = [*queries]
        groups: dict[Training, list[int]] = {}
        for number, query in enumerate(asked):
            groups.setdefault(self.pool.rows.training(query), []).append(number)
        made: dict[int, Prediction] = {}
        for training, numbers in groups.items():
            some = [asked[number] for number in numbers]
            made |= zip(numbers, self._predicted(self._trained(training), some), strict=True)
        return [made[number] for number in range(len(asked))]

    def predict_from(self, rows: Examples, queries: Examples) -> list[Prediction]:
        """Return a prediction for each query, by a model that is trained on these rows alone.

        Args:
            rows: Examples of the pool, such as the shots of a prompt.
            queries: The queries.
        """
        fit = self._fit([*map(self.pool.rows.number_of, rows)])
        return [*self._answers(fit, queries, self.pool.kept_counts_of(queries))]

    def _trained(self, training: Training) -> Fit:
        if training not in self._fits:
            self._fits[training] = self._fit(self.pool.rows.numbers(training))
        return self._fits[training]

    def _fit(self, numbers: Sequence[int]) -> Fit:
        from promptkit.baselines.pool_fits import fit_labels, fit_numbers

        rows, gold = self.pool.texts.part(numbers), self.pool.gold[[*numbers]]
        if self.task.labels:
            return fit_labels(self.name, rows, gold, many=self.task.many)
        return fit_numbers(self.name, rows, gold)

    def _predicted(self, fit: Fit, queries: Examples) -> list[Prediction]:
        begun = perf_counter()
        made = [*self._answers(fit, queries, self.pool.counts_of(queries))]
        seconds = (perf_counter() - begun) / max(len(queries), 1)
        return [replace(one, seconds=seconds) for one in made]

    def _answers(self, fit: Fit, queries: Examples, counts: Any) -> Iterator[Prediction]:
        found = fit.answers(counts).tolist()
        for query, one in zip(queries, found, strict=True):
            yield self._scored(fit, query, one) if self.task.labels else self._number(query, one)

    def _scored(self, fit: Fit, query: Example[Any, Any], found: Sequence[float]) -> Prediction:
        """Return the prediction of labels with these probabilities."""
        task = self.task
        probs = dict(zip(task.labels, found, strict=True))
        logprobs = {label: log(p) for label, p in probs.items()}
        scores: dict[str, Any] = {"logprobs": logprobs, "probs": probs, "near_tie": False}
        if fit.cutoffs is not None:
            made = prediction_of(task, query, [], model=self.name)
            fields = decided(task, query, logprobs, fit.cutoffs, 0.0)
            return replace(made, **(fields | scores), coverage=1.0)
        ranked = sorted(logprobs.values(), reverse=True)
        best = max(probs, key=probs.__getitem__)
        made = prediction_of(task, query, task.output_type.values[best], model=self.name)
        margin = ranked[0] - ranked[1] if len(ranked) > 1 else None
        return replace(made, **scores, margin=margin, coverage=1.0)

    def _number(self, query: Example[Any, Any], found: float) -> Prediction:
        """Return the prediction of a number, a whole one where the outputs are."""
        output = self.task.output_type
        for value in () if isnan(found) else (found, round(found)):
            try:
                answer = output.validate(value)
            except ValueError:
                continue
            return prediction_of(self.task, query, answer, model=self.name)
        return prediction_of(self.task, query, None, model=self.name)
