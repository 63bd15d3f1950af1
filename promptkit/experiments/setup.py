"""The parts of a comparison by name, so that a predictor of any cell can be made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from promptkit.errors import PromptError, TaskError, TemplateError
from promptkit.files.paths import is_inside
from promptkit.inference.cell import Cell
from promptkit.inference.prediction import Fit, Predictor
from promptkit.inference.reasoning import RATIONALE_TOKENS
from promptkit.models.base import Model, Sampling
from promptkit.selection.orders import Order, as_order
from promptkit.selection.saved_selection import selection_from_dict, selection_to_dict
from promptkit.selection.strategies import selection_for
from promptkit.tasks.languages import Languages
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.template import BUILT_IN, Template
from promptkit.translation import tr


@dataclass(frozen=True)
class Setup:
    """What a comparison was made of; names are those of the rows."""

    task: str | None = None
    """Folder of the task; None for a task that was not loaded from one."""
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How each model was loaded, where that is known."""
    selections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Selections of shots that a file can hold."""
    orders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verbalizers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fit: Fit = "error"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    rationale_tokens: int = RATIONALE_TOKENS
    rationales: int = 1
    think: int = 0
    languages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Languages of the parts of a prompt, by their name."""

    def predictor(
        self, cell: Cell, task: Task[Any, Any], model: Model, templates: Mapping[str, str]
    ) -> Predictor:
        """Return the predictor of a cell, without its calibration.

        Args:
            cell: A cell with a seed.
            task: The task of the comparison.
            model: The model of the cell.
            templates: Sources of the templates by name.

        Raises:
            TaskError: The selection of the cell is one that only Python can hold.
            TemplateError: The template has changed since.
        """
        if cell.selection not in self.selections:
            raise TaskError(
                tr(
                    "selection {selection}: no file can hold it; in Python, take the predictor "
                    "from the comparison itself (Comparison.predictor)",
                    selection=cell.selection,
                )
            )
        words = self.verbalizers.get(cell.verbalizer or "")
        order = self.orders.get(cell.order or "")
        spoken = self.languages.get(cell.language or "")
        return Predictor(
            task,
            _template(task, cell.template or "", templates),
            model,
            cell.shots,
            cell.seed or 0,
            selection_from_dict(self.selections[cell.selection]),
            self.fit,
            Sampling(**self.sampling),
            None if words is None else Verbalizer(cell.verbalizer or "", words),
            None if order is None else Order(**order),
            self.rationale_tokens,
            rationales=self.rationales,
            think=self.think,
            language=None if spoken is None else Languages(**spoken),
        )


def setup_of(task: Task[Any, Any], predictors: Sequence[Predictor]) -> Setup:
    """Return the setup of a comparison of some predictors."""
    first = predictors[0]
    return Setup(
        None if task.folder is None else str(task.folder),
        dict(_origins(one.model for one in predictors)),
        dict(_selections(predictors)),
        {
            as_order(one.order).name: asdict(as_order(one.order))
            for one in predictors
            if one.order is not None
        },
        {
            one.verbalizer.name: dict(one.verbalizer.words)
            for one in predictors
            if one.verbalizer is not None
        },
        first.fit,
        asdict(first.sampling),
        first.rationale_tokens,
        first.rationales,
        first.think,
        {
            one.language.name: asdict(one.language)
            for one in predictors
            if isinstance(one.language, Languages)
        },
    )


def _origins(models: Iterable[Model]) -> Iterable[tuple[str, dict[str, Any]]]:
    for model in models:
        origin = getattr(model, "origin", None)
        if is_dataclass(origin) and not isinstance(origin, type):
            yield model.identity.name, asdict(origin)


def _selections(predictors: Iterable[Predictor]) -> Iterable[tuple[str, dict[str, Any]]]:
    for selection in {selection_for(one.task, one.selection): None for one in predictors}:
        try:
            yield selection.name, selection_to_dict(selection)
        except PromptError:
            continue  # one that only Python can hold


def _template(task: Task[Any, Any], name: str, templates: Mapping[str, str]) -> Template:
    """Return a template by its name and source: a file, a built-in one, or a variant of one."""
    source = templates.get(name)
    if source is None:
        raise TemplateError(tr("the run has no template {name!r}", name=name))
    base = name.partition(" [")[0]
    try:
        found = Template.of(task, base)
    except TemplateError:
        found = None
    if found is not None and found.source == source and base == name:
        return found
    if found is not None and base != name:
        return Template(source, name, found.folders, made_from=found.place)
    if found is not None and is_inside(found.folders[0], BUILT_IN):
        raise TemplateError(
            tr("the built-in template {name!r} has changed since the run", name=name)
        )
    raise TemplateError(
        tr(
            "template {name!r} has changed since the run, or is not found; run "
            "promptkit compare again",
            name=name,
        )
    )
