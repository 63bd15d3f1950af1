"""The same shots for every filling of a sentence.

A prompt leaves out demonstrations that equal its query or nearly repeat it, and these differ from
filling to filling: `Anna is kind.` in the pool is a shot of every filling but one. So an audit
leaves out what any of its queries would leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from promptkit.cascades.cascade import Cascade
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Predictor
from promptkit.selection import draw
from promptkit.selection.strategies import Fixed, Given, selection_for
from promptkit.tasks.examples import Example, text_key

Queries = Sequence[Example[Any, Any]]


def with_equal_shots(predictor: AnyPredictor, queries: Queries) -> tuple[AnyPredictor, int]:
    """Return a predictor whose pool has nothing that one of the queries must not see.

    Shots that are chosen for each query still differ where the queries do; only demonstrations that
    equal a query are left out for all.

    Args:
        predictor: The predictor; one without shots is returned as it is, and of a cascade each step
            is changed.
        queries: All queries of the audit.

    Returns:
        The predictor, and the number of demonstrations that were left out of its pool.
    """
    if isinstance(predictor, Cascade):
        made = [with_equal_shots(step.predictor, queries) for step in predictor.steps]
        steps = [
            step._replace(predictor=one)
            for step, (one, _) in zip(predictor.steps, made, strict=True)
        ]
        return replace(predictor, steps=steps), max(count for _, count in made)
    if not isinstance(predictor, Predictor) or not predictor.shots:
        return predictor, 0
    return _without(predictor, queries)


def _without(predictor: Predictor, queries: Queries) -> tuple[Predictor, int]:
    asked = {text_key(query.input) for query in queries}
    barred = {demo.id for demo in predictor.task.demos if text_key(demo.input) in asked}
    made = _barring(predictor, barred)
    while isinstance(selection_for(made.task, made.selection), Fixed):
        draw.expect(made.task.demos, queries)
        near = {demo.id for query in queries for demo in made.left_out(query)}
        if not near:
            break
        barred |= near
        made = _barring(predictor, barred)
    return made, len(barred)


def _barring(predictor: Predictor, ids: set[str]) -> Predictor:
    """Return a predictor without some demonstrations in its pool; it has no folds then."""
    task = predictor.task
    if not ids:
        return predictor
    kept = task.demos.model_construct(tuple([demo for demo in task.demos if demo.id not in ids]))
    own = task.model_copy(update={"demos": kept, "folds": {}})
    chosen = selection_for(task, predictor.selection)
    if isinstance(chosen, Given):
        chosen = replace(chosen, ids=tuple([id for id in chosen.ids if id not in ids]))
    return replace(predictor, task=own, selection=chosen)
