"""Runs of many predictors over the same queries: planned, batched and counted together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

from promptkit.inference.answering import Progress, answer, unique_tokens
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.reasoning import ModelRequests, Samples, generations, respond
from promptkit.inference.store import Result, Store
from promptkit.models.base import Generation, Model, Request, Sampling
from promptkit.tasks.asked_language import as_asked
from promptkit.tasks.examples import Example
from promptkit.templating.renderer import Renderer
from promptkit.translation import tr, trn

Announce = Callable[[str], None]
"""Called with a sentence on what a run will cost, before it begins."""

Predictions = Sequence[Sequence[Prediction]]
"""Predictions of each cell, over the same queries."""


class Stage(Protocol):
    """Requests that a run makes for its cells at one time, and what their results change.

    A run is a list of rounds, each of stages that need no results of each other: the requests of a
    round are planned and batched together, thoughts and rationales first where prompts ask for
    some. The first stage makes the predictions.
    """

    def requests(self, predictions: Predictions, /) -> Sequence[ModelRequests]:
        """Return what is asked, given the predictions of earlier rounds."""

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]], /
    ) -> Predictions:
        """Return the predictions, given the responses to `requests`, in their order."""


class CellRequests(NamedTuple):
    """Queries of one cell, as requests to its model."""

    predictor: Predictor
    queries: Sequence[Example[Any, Any]]
    requests: Sequence[Request]
    renderer: Renderer
    """The renderer of the prompts."""

    @property
    def reasons(self) -> bool:
        """Return whether a thought or rationale comes before an answer."""
        return any(one.prompt.then for one in self.requests)


def prepare(
    grid: Iterable[Predictor],
    queries: Sequence[Example[Any, Any]],
    known: Iterable[CellRequests] = (),
) -> list[CellRequests]:
    """Return the requests of all cells for the same queries.

    Args:
        grid: A predictor for each cell.
        queries: What is asked.
        known: Requests of cells that may be in the grid, for the same queries: not made again.
    """
    made = {one.predictor.cell: one for one in known}
    renderers = {_wording(one.predictor): one.renderer for one in made.values()}
    cells = []
    for one in grid:
        cell = made.get(one.cell)
        if cell is None:
            wording, asked = _wording(one), as_asked(one.task, queries)
            if wording not in renderers:
                renderers[wording] = one.template.renderer(one.task, one.verbalizer)
            renderer = renderers[wording]
            cell = CellRequests(one, asked, one.tokenize(asked, renderer), renderer)
        cells.append(cell)
    return cells


def _wording(one: Predictor) -> tuple[object, ...]:
    """Return what the prompts of predictors with one renderer share."""
    return one.template, one.verbalizer, one.task.asked_in


@dataclass
class AnswerStage:
    """The queries of each cell, whose results become its predictions."""

    cells: Sequence[CellRequests]
    """Cells; once they are answered, with the prompts of the answers."""
    before: Sequence[Generation] = ()
    """Thoughts and rationales of all cells, once they are generated."""

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return the requests of every cell."""
        return [one.predictor.model_requests(one.requests) for one in self.cells]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> list[list[Prediction]]:
        """Return the predictions of every cell."""
        made = [
            cell.predictor.join(cell.queries, own)
            for cell, own in zip(self.cells, responses, strict=True)
        ]
        self.before = generations(chain.from_iterable(responses))
        self.cells = [*map(_answered, self.cells, made, responses)]
        return made


def _answered(
    cell: CellRequests, predictions: Sequence[Prediction], responses: Sequence[Samples]
) -> CellRequests:
    """Return the cell with the prompt of each prediction."""
    if not cell.reasons:
        return cell
    requests = [
        next(r.request for r in samples if r.request.prompt.sha256 == one.prompt_sha256)
        for one, samples in zip(predictions, responses, strict=True)
    ]
    return cell._replace(requests=requests)


def run(
    rounds: Sequence[Sequence[Stage]],
    store: Store,
    *,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> tuple[Predictions, Cost]:
    """Return the predictions after all rounds, and what they took.

    Args:
        rounds: Stages whose requests are asked together, round after round.
        store: Results that need not be asked again; new ones are added.
        progress: Called after each result, with counts of its round and model.
        announce: Called with what a model will be asked, and with what was damaged in the store.

    Returns:
        The predictions, and a cost whose `wall_seconds` are 0.
    """
    damaged = store.damaged
    predictions: Predictions = ()
    cost = Cost()

    def ask(asked: Sequence[ModelRequests]) -> list[list[Result]]:
        nonlocal cost
        results, more = _ask(asked, store, progress, announce)
        cost += more
        return results

    for stages in rounds:
        asked = [stage.requests(predictions) for stage in stages]
        rest = iter(respond([*chain(*asked)], ask))
        for stage, own in zip(stages, asked, strict=True):
            predictions = stage.apply(predictions, [*islice(rest, len(own))])
    tell_damaged(store.damaged - damaged, announce)
    return predictions, cost


def tell_damaged(count: int, announce: Announce | None) -> None:
    """Announce how many rows of a store were damaged, if any were."""
    if count and announce is not None:
        announce(
            trn(
                "{n:,} stored prediction was damaged and was asked again",
                "{n:,} stored predictions were damaged and were asked again",
                count,
            )
        )


def _ask(
    asked: Sequence[ModelRequests],
    store: Store,
    progress: Progress | None,
    announce: Announce | None,
) -> tuple[list[list[Result]], Cost]:
    """Return the results of all requests, each model's asked as one, since they share prefixes."""
    results: list[list[Result]] = [[] for _ in asked]
    cost = Cost()
    for (_, sampling), places in _groups(asked).items():
        model = asked[places[0]].model
        together = [request for place in places for request in asked[place].requests]
        found, more = _ask_model(model, sampling, together, store, progress, announce)
        cost += more
        rest = iter(found)
        for place in places:
            results[place] = [*islice(rest, len(asked[place].requests))]
    return results, cost


def _groups(asked: Sequence[ModelRequests]) -> dict[tuple[int, Sampling], list[int]]:
    """Return places by model and sampling; what is only scored joins any sampling of its model."""
    scored = [all(request.candidate_tokens for request in one.requests) for one in asked]
    samplings = {
        id(one.model): one.sampling for one, no in zip(asked, scored, strict=True) if not no
    }
    groups: dict[tuple[int, Sampling], list[int]] = {}
    for place, (one, any_will_do) in enumerate(zip(asked, scored, strict=True)):
        if one.requests:
            key = id(one.model)
            sampling = samplings.get(key, one.sampling) if any_will_do else one.sampling
            groups.setdefault((key, sampling), []).append(place)
    return groups


def _ask_model(
    model: Model,
    sampling: Sampling,
    requests: Sequence[Request],
    store: Store,
    progress: Progress | None,
    announce: Announce | None,
) -> tuple[list[Result], Cost]:
    before, unique = replace(model.usage), 0

    def begin(missing: Sequence[Request], stored: int) -> None:
        nonlocal unique
        unique = unique_tokens(missing)
        if announce is not None:
            known = tr(" ({stored:,} more are in the store)", stored=stored) if stored else ""
            announce(
                tr(
                    "{name}: {count:,} prompts to ask{known}, {unique:,} tokens to read",
                    name=model.identity.name,
                    count=len(missing),
                    known=known,
                    unique=unique,
                )
            )

    answers = answer(model, requests, sampling, store=store, progress=progress, begin=begin)
    return answers.results, Cost(
        prompts=len(answers.asked) + answers.stored,
        cached=answers.stored,
        naive_tokens=sum(one.naive_tokens for one in answers.asked) + answers.written,
        unique_tokens=unique + answers.written,
        decoded_tokens=model.usage.decoded_tokens - before.decoded_tokens,
        decode_seconds=model.usage.decode_seconds - before.decode_seconds,
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a comparison."""

    prompts: int = 0
    """Number of distinct prompts."""
    cached: int = 0
    """Number of them that the store already had."""
    naive_tokens: int = 0
    """Tokens of a loop that decodes each prompt anew for every candidate.

    In this and the next two, the tokens that a generated answer goes on from count as decoded.
    """
    unique_tokens: int = 0
    """Tokens that must be decoded at least once for the prompts that were asked."""
    decoded_tokens: int = 0
    """Tokens that were decoded."""
    decode_seconds: float = 0.0
    """Time inside the runtime."""
    wall_seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Return both costs together."""
        return Cost(*[getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)])
