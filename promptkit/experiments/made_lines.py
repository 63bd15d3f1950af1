"""Adapters and students as lines of learning curves: points by their number of labelled rows.

Those that differ in nothing but the rows that they learnt from are one line. Several of one size,
from several seeds, are the draws of one point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.experiments.comparison import Comparison
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.cell import RAW
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.profile import profile_of
from promptkit.models.gguf.file_size import ModelSize
from promptkit.students.student import Student
from promptkit.tasks.examples import canonical_text
from promptkit.tasks.task import Task
from promptkit.text import shared_length
from promptkit.translation import tr

ADAPTER, STUDENT = "adapter", "student"
"""Kinds of lines."""

_NAMES = {ADAPTER: "LoRA", STUDENT: "student"}

_OF_ONE = ("name", "fingerprint", "model", "promptkit", "examples", "held_out", "labels", "epochs",
           "seconds", "bytes", "figures", "options")  # fmt: skip
"""Fields of an adapter's card that may differ along a line."""

_OF_ONE_STUDENT = ("rows", "gold", "seed", "seconds", "strength")
"""Fields of the training of a student that may."""


@dataclass(frozen=True)
class MadePoint:
    """An adapter or a student, with its answers to the queries of a comparison."""

    kind: str
    name: str
    """Its name in the comparison."""
    setting: str
    """Everything that decided it, but for the rows that it learnt from and the seed."""
    labels: int
    """Number of gold labels that it was made from."""
    seed: int
    draws: Sequence[Sequence[Prediction]]
    """Its answers, of each draw of shots."""


@dataclass(frozen=True)
class MadeLine:
    """Points of one setting."""

    name: str
    kind: str
    points: Mapping[int, Outcomes]
    """Outcomes by the number of labelled rows, ascending, a column for each draw."""


def adapted_models(result: Comparison) -> frozenset[str]:
    """Return the names of the models with an adapter that has a card; none where all have one."""
    return _adapted(result.predictors)


def _adapted(predictors: Iterable[Predictor]) -> frozenset[str]:
    models = {one.cell.model: bool(_card(one)) for one in predictors}
    made = {name for name, has_card in models.items() if has_card}
    return frozenset(made if len(made) < len(models) else ())


def own_prompts(predictors: Sequence[Predictor]) -> list[Predictor]:
    """Return predictors without the prompts that an adapter was not trained for.

    Those of an adapter that was trained for none of them are kept, as are all where every model has
    an adapter.

    Args:
        predictors: The predictors of a grid.
    """
    models = _adapted(predictors)
    own = {one.cell.model for one in predictors if _is_own(one, _card(one))} & models
    return [one for one in predictors if one.cell.model not in own or _is_own(one, _card(one))]


def made_lines(
    task: Task[Any, Any], result: Comparison, others: Iterable[AnyPredictor]
) -> tuple[list[MadeLine], list[str]]:
    """Return the lines of adapters and students, and sentences on those without a place in them.

    Args:
        task: The task of the comparison.
        result: The comparison, with its predictors and predictions.
        others: What was compared with its prompts.
    """
    points = [*_adapters(result), *_students(result, others)]
    groups: dict[tuple[str, str], list[MadePoint]] = {}
    for one in points:
        groups.setdefault((one.kind, one.setting), []).append(one)
    names = _names([*groups.values()])
    lines = [_line(task, name, group) for name, group in zip(names, groups.values(), strict=True)]
    placed = {one.name for one in points}
    missing = sorted(adapted_models(result) - placed)
    said = tr("has no point: the prompts that it was trained for are not compared.")
    return lines, [f"{name.rpartition('/')[2]} {said}" for name in missing]


def _card(one: Predictor) -> Mapping[str, Any]:
    """Return the card of the one adapter of a predictor's model; empty without one."""
    size = getattr(one.model, "size", None)
    if not isinstance(size, ModelSize) or len(size.adapters) != 1:
        return {}
    card = size.adapters[0].card
    return card if isinstance(card.get("options"), Mapping) else {}


def _adapters(result: Comparison) -> Iterator[MadePoint]:
    """Yield the adapters whose own prompts were compared."""
    models = adapted_models(result)
    own: dict[str, Predictor] = {}
    for one in result.predictors:
        if one.cell.model in models and _is_own(one, _card(one)):
            own.setdefault(one.cell.model, one)
    for name, one in own.items():
        card, options = _card(one), dict(_card(one)["options"])
        seed, _ = options.pop("seed", 0), options.pop("examples", None)
        seed = seed if isinstance(seed, int) else 0
        rest = {key: value for key, value in card.items() if key not in _OF_ONE}
        parts = [one.identity.sha256, one.identity.weights, rest, options]
        cell = one.cell.at(seed=None)
        made = [
            made
            for made in result.predictions
            if (made.model, made.shots) == (name, one.shots)
            and made.at(seed=None, calibration=RAW) == cell
        ]
        labels = profile_of(one).labels
        yield MadePoint(ADAPTER, name, canonical_text(parts), labels, seed, _by_seed(made))


def _is_own(one: Predictor, card: Mapping[str, Any]) -> bool:
    """Return whether a prompt is the one that the adapter of its model was trained for."""
    words = None if one.verbalizer is None else one.verbalizer.name
    return (one.shots, one.template.name, words) == (
        card.get("shots"),
        card.get("template"),
        card.get("verbalizer"),
    )


def _students(result: Comparison, others: Iterable[AnyPredictor]) -> Iterator[MadePoint]:
    for one in others:
        if not isinstance(one, Student) or "training" not in one.card:
            continue
        card, training = one.card, dict(one.card["training"])
        teacher, rows, seed = card.get("teacher"), training["rows"], training["seed"]
        taught = [teacher["keys"], card["pool"]["sha256"], rows] if teacher else []
        for name in _OF_ONE_STUDENT:
            training.pop(name, None)
        made = [p for p in result.predictions if p.model == one.name]
        setting = canonical_text([card.get("task"), training, taught])
        draws = _by_seed(made)[:1]  # no seed of a comparison changes a student
        yield MadePoint(STUDENT, one.name, setting, profile_of(one).labels, seed, draws)


def _by_seed(made: Iterable[Prediction]) -> list[list[Prediction]]:
    found: dict[int | None, list[Prediction]] = {}
    for one in made:
        found.setdefault(one.seed, []).append(one)
    every = [*found.values()]
    same = len({tuple([p.prompt_sha256 for p in own]) for own in every}) == 1
    return every[:1] if same else every


def _line(task: Task[Any, Any], name: str, group: Sequence[MadePoint]) -> MadeLine:
    sizes: dict[int, list[MadePoint]] = {}
    for one in sorted(group, key=lambda one: (one.labels, one.seed)):
        sizes.setdefault(one.labels, []).append(one)
    points = {labels: _pooled(task, name, own) for labels, own in sizes.items()}
    return MadeLine(name, group[0].kind, points)


def _pooled(task: Task[Any, Any], name: str, points: Sequence[MadePoint]) -> Outcomes:
    """Return the outcomes of models of one size, a column for each.

    Where there is one, it has a column for each draw of its shots; of several, each has one draw.
    """
    columns = points[0].draws
    if len(points) > 1:
        columns = [one.draws[place % len(one.draws)] for place, one in enumerate(points)]
    made = [
        replace(one, model=name, seed=seed, calibrated={})
        for seed, own in enumerate(columns)
        for one in own
    ]
    (found,) = outcomes(made, task.output_type.label_of, task.judge.of_label).values()
    return replace(found, drawn=True)


def _names(groups: Sequence[Sequence[MadePoint]]) -> list[str]:
    """Return a name for each line: that of its kind, where no other line is of it."""
    kinds = [group[0].kind for group in groups]
    names: list[str] = []
    for kind, group in zip(kinds, groups, strict=True):
        name = _NAMES[kind]
        if kinds.count(kind) > 1:
            name = f"{name} {_stem([one.name for one in group])}"
        twice = sum(one == name or one.startswith(f"{name} (") for one in names)
        names.append(f"{name} ({twice + 1})" if twice else name)
    return names


def _stem(names: Sequence[str]) -> str:
    """Return what names have in common, without numbers at the end."""
    own = [name.rpartition("+")[2] for name in names]
    shared = own[0][: min(shared_length(own[0], one) for one in own)]
    return shared if len({*own}) == 1 else re.sub(r"[-_.\d]+(seed)?$", "", shared) or own[0]
