"""The cells of a comparison: a predictor for each, all over the same queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.formatting.variants import Notify, variants
from promptkit.inference.prediction import Fit, Predictor
from promptkit.inference.reasoning import Reasoning
from promptkit.models.base import Model, Sampling
from promptkit.selection.orders import Order, as_order
from promptkit.selection.strategies import Selection, default_selection, selection_for
from promptkit.tasks.asked_language import task_in
from promptkit.tasks.languages import Languages
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import LABELS, Verbalizer
from promptkit.templating.template import Template
from promptkit.translation import tr


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is compared; see `promptkit.compare`."""

    models: Sequence[Model]
    templates: Sequence[Template | str] = ()
    formats: int = 1
    verbalizers: Sequence[Verbalizer | str] = ()
    selections: Sequence[Selection | str | Sequence[str]] = ()
    orders: Sequence[Order | str] = ()
    shots: Sequence[int]
    seeds: Sequence[int]
    fit: Fit = "error"
    sampling: Sampling = field(default_factory=Sampling)
    reasoning: Reasoning = field(default_factory=Reasoning)
    languages: Sequence[Languages | str] = ()

    def __post_init__(self) -> None:
        needed = ("models", "shots", "seeds")
        for name in (*needed, "templates", "languages", "verbalizers", "selections", "orders"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise TaskError(
                    tr(
                        "{name}: {values} is no list; write [{values}]",
                        name=name,
                        values=shorten(values),
                    )
                )
            if not values and name in needed:
                raise TaskError(tr("{name}: at least one is needed", name=name))
        for model in self.models:
            if not isinstance(model, Model):
                raise TaskError(
                    tr("models: {model} is no model; load_model() makes one", model=shorten(model))
                )

    def originals(self, task: Task[Any, Any]) -> list[Template]:
        """Return the compared templates, each in its own format. Raises `TemplateError`."""
        given: Sequence[Template | str | None] = self.templates or [None]
        templates = [one if isinstance(one, Template) else Template.of(task, one) for one in given]
        names = Counter(template.name for template in templates)
        # Templates from files of one name are told apart by their paths.
        return [
            replace(one, name=one.file or one.name) if names[one.name] > 1 else one
            for one in templates
        ]

    def predictors(self, task: Task[Any, Any], notify: Notify | None = None) -> list[Predictor]:
        """Return one for each cell and seed; the seeds of a cell side by side, its shot counts too.

        `notify` is told of templates with fewer formats than are asked. Raises `PromptkitError`.
        """
        templates = [
            one
            for template in self.originals(task)
            for one in variants(task, template, self.formats, notify)
        ]
        selections = [selection_for(task, one) for one in self.selections]
        selections = selections or [default_selection(task)]
        orders: list[Order | None] = [as_order(one) for one in self.orders] or [None]
        tasks = self.tasks(task)
        worded = [(one, words) for one in tasks for words in dict.fromkeys(self._verbalizers(one))]
        check_distinct("models", [model.identity.name for model in self.models])
        check_distinct("templates", [template.name for template in templates])
        check_distinct("selections", [one.name for one in dict.fromkeys(selections)])
        cells = product(
            self.models,
            templates,
            worded,
            dict.fromkeys(selections),
            dict.fromkeys(orders),
            sorted(set(self.shots)),
            dict.fromkeys(self.seeds),
        )
        how = self.fit, self.sampling
        return [
            Predictor(
                own,
                template,
                model,
                shots,
                seed,
                selection,
                *how,
                verbalizer,
                order,
                self.reasoning.rationale_tokens,
                rationales=self.reasoning.samples,
                think=self.reasoning.think,
                language=own.asked_in,
            )
            for model, template, (own, verbalizer), selection, order, shots, seed in cells
        ]

    def tasks(self, task: Task[Any, Any]) -> list[Task[Any, Any]]:
        """Return the task in each language, itself where none is named. Raises `TaskError`."""
        asked = [Languages.of(one, task.language) for one in self.languages]
        check_distinct("languages", [one.name for one in dict.fromkeys(asked)])
        return [task_in(task, one) for one in dict.fromkeys(asked)] or [task]

    def _verbalizers(self, task: Task[Any, Any]) -> list[Verbalizer | None]:
        """Return the verbalizers of a task in one language."""
        found = [_verbalizer(task, one) for one in self.verbalizers] or [None]
        check_distinct("verbalizers", [one.name for one in dict.fromkeys(found) if one])
        return found


def check_distinct(what: str, names: Sequence[str]) -> None:
    """Raise `TaskError` where two of a factor's levels have one name."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TaskError(
            tr(
                "two {what} are called {twice!r}; they need different names",
                what=what,
                twice=min(twice),
            )
        )


def _verbalizer(task: Task[Any, Any], verbalizer: Verbalizer | str) -> Verbalizer | None:
    """None where the labels are their own words."""
    if isinstance(verbalizer, Verbalizer):
        return verbalizer
    return None if verbalizer == LABELS else task.verbalizer(verbalizer)
