"""Many cells asked as one: every prompt is made before a model runs, and each is asked once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

from promptkit.inference.prediction import Prediction, Predictor, Progress, answer, unique_tokens
from promptkit.inference.store import Result, Store
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.tasks.examples import Example
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.renderer import Renderer
from promptkit.templating.template import Template

Announce = Callable[[str], None]
"""Told what a run will cost, before it begins."""


class Beside(Protocol):
    """What else is asked for a predictor's sake, and what its predictions become by that."""

    @property
    def prompts(self) -> Sequence[TokenizedPrompt]: ...

    def apply(
        self, predictions: Sequence[Prediction], results: Sequence[Result]
    ) -> list[Prediction]:
        """The predictions, after what its prompts came to."""
        ...


class Asked(NamedTuple):
    """What one predictor is asked."""

    predictor: Predictor
    queries: Sequence[Example[Any, Any]]
    prompts: Sequence[TokenizedPrompt]
    renderer: Renderer
    """What made the prompts."""
    beside: Beside | None = None


def prepare(grid: Sequence[Predictor], queries: Sequence[Example[Any, Any]]) -> list[Asked]:
    """The prompts of all predictors for the same queries; what templates share is made once."""
    renderers: dict[tuple[Template, Verbalizer | None], Renderer] = {}
    asked = []
    for one in grid:
        wording = one.template, one.verbalizer
        if wording not in renderers:
            renderers[wording] = one.template.renderer(one.task, one.verbalizer)
        renderer = renderers[wording]
        asked.append(Asked(one, queries, one.tokenize(queries, renderer), renderer))
    return asked


def run(
    asked: Sequence[Asked],
    store: Store,
    *,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> tuple[list[list[Prediction]], Cost]:
    """The predictions of each, in their order. `wall_seconds` of the cost is left at 0."""
    damaged = store.damaged
    by_model: dict[int, list[int]] = {}
    for place, one in enumerate(asked):
        by_model.setdefault(id(one.predictor.model), []).append(place)
    made: dict[int, list[Prediction]] = {}
    costs: list[Cost] = []
    for places in by_model.values():
        predictions, cost = _run_model([asked[i] for i in places], store, progress, announce)
        made |= zip(places, predictions, strict=True)
        costs.append(cost)
    tell_damaged(store.damaged - damaged, announce)
    total = {name: sum(getattr(cost, name) for cost in costs) for name in Cost.__slots__}
    return [made[place] for place in range(len(asked))], Cost(**total)


def tell_damaged(count: int, announce: Announce | None) -> None:
    """Announce how many rows of a store were damaged, if any were."""
    if count and announce is not None:
        rows, were = ("prediction", "was") if count == 1 else ("predictions", "were")
        announce(f"{count:,} stored {rows} {were} damaged and {were} asked again")


def _run_model(
    asked: Sequence[Asked], store: Store, progress: Progress | None, announce: Announce | None
) -> tuple[list[list[Prediction]], Cost]:
    """One model's cells, asked together so that it can share what their prompts have in common."""
    first = asked[0].predictor
    model, before = first.model, asdict(first.model.usage)
    unique = 0

    def begin(missing: Sequence[TokenizedPrompt], stored: int) -> None:
        nonlocal unique
        unique = unique_tokens(missing)
        if announce is not None:
            known = f" ({stored:,} more are in the store)" if stored else ""
            announce(
                f"{model.identity.name}: {len(missing):,} prompts to ask{known}, "
                f"{unique:,} tokens to read"
            )

    prompts = [prompt for one in asked for prompt in (*one.prompts, *_beside(one))]
    answers = answer(model, prompts, first.sampling, store=store, progress=progress, begin=begin)
    results = iter(answers.results)
    predictions = [_join(one, results) for one in asked]
    after = asdict(model.usage)
    return predictions, Cost(
        prompts=len(answers.asked) + answers.stored,
        cached=answers.stored,
        naive_tokens=sum(prompt.naive_tokens for prompt in answers.asked) + answers.written,
        unique_tokens=unique + answers.written,
        decoded_tokens=after["decoded_tokens"] - before["decoded_tokens"],
        decode_seconds=after["decode_seconds"] - before["decode_seconds"],
        wall_seconds=0.0,
    )


def _beside(asked: Asked) -> Sequence[TokenizedPrompt]:
    return asked.beside.prompts if asked.beside is not None else ()


def _join(asked: Asked, results: Iterator[Result]) -> list[Prediction]:
    """The predictions out of what comes next."""
    own = [*islice(results, len(asked.prompts))]
    predictions = asked.predictor.join(asked.queries, asked.prompts, own)
    if asked.beside is None:
        return predictions
    return asked.beside.apply(predictions, [*islice(results, len(asked.beside.prompts))])


def prompts_of(asked: Sequence[Asked]) -> Mapping[str, Prompt]:
    """The prompts by their digest."""
    return {prompt.prompt.sha256: prompt.prompt for one in asked for prompt in one.prompts}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the comparison took."""

    prompts: int
    """Distinct prompts in the grid."""
    cached: int
    """How many of them the store already had."""
    naive_tokens: int
    """Tokens of a loop that reads each prompt anew for every candidate.

    In this and the next two, what a generated answer goes on from counts as read.
    """
    unique_tokens: int
    """Tokens that must be read at least once for the prompts that were asked."""
    decoded_tokens: int
    """Tokens that were read."""
    decode_seconds: float
    """Time inside the runtime."""
    wall_seconds: float
