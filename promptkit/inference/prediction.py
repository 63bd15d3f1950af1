"""Predictions: a task, a template, a selection and a model, asked about some queries."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Literal, NamedTuple, get_args

from promptkit.errors import ModelError, PromptTooLongError, TaskError, shorten
from promptkit.inference.cell import Cell
from promptkit.inference.store import Result, Store, keys_of
from promptkit.models.base import Generation, Model, Sampling, Score
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.selection.draw import Shots, left_out
from promptkit.selection.orders import DEFAULT, AnyOrder, Order, as_order
from promptkit.selection.strategies import AnySelection, Selection, selection_for
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import LABELS, Verbalizer
from promptkit.templating.renderer import Renderer
from promptkit.templating.template import Template

Progress = Callable[[int, int], None]
"""Told how many prompts are done, and of how many."""

Fit = Literal["error", "drop-shots"]
"""What happens to a prompt that does not fit the context."""

COMMIT_SECONDS = 1.0
"""How much work may be lost when the process is ended."""

_WIDTH = array("i").itemsize

_ROUNDING = 0.01
"""How far above 0 rounding may lift a log-probability, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Cell):
    """Answer of one model to one query in one cell; `cell` is the cell alone."""

    id: str
    """Id of the query."""
    input: Mapping[str, Any]
    gold: Any
    """Gold output, None where it is not known."""
    label: Any
    """Answer: a label, or the validated value of a generated text; None after a failure."""
    correct: bool | None
    """Equality of the answer with the gold output; None where that is not known."""
    logprobs: Mapping[str, float] | None
    """Log-probability of each label, in nats; None for generated answers."""
    probs: Mapping[str, float] | None
    """Probability of each label, normalised over the labels."""
    margin: float | None
    """Difference between the log-probabilities of the best label and the second, in nats."""
    near_tie: bool | None
    """A margin so small that rounding decides: in another batch the second label may come first.
    None for generated answers."""
    coverage: float | None
    """Probability mass on the labels together."""
    text: str | None
    """Generated text; None for scored labels."""
    failure: str | None
    """Reason why there is no answer; None where there is one."""
    shot_ids: tuple[str, ...]
    """Shots shown, in order; fewer than `shots` only where `fit` allows it."""
    prompt_sha256: str
    tokens: int
    """Number of tokens of the prompt."""
    seconds: float
    calibrated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Probabilities of the labels under each method of calibration."""


@dataclass(frozen=True)
class Predictor:
    """A prompt with k shots, put to a model."""

    task: Task[Any, Any]
    template: Template
    model: Model
    shots: int = 0
    seed: int = 0
    selection: AnySelection | None = None
    """How shots are drawn; None for the default of the task."""
    fit: Fit = "error"
    sampling: Sampling = field(default_factory=Sampling)
    verbalizer: Verbalizer | None = None
    """Other words for the labels; None for the labels themselves."""
    order: AnyOrder | None = None
    """How the shots are ordered; None for the order of the selection."""

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise TaskError(f"there is no fit {self.fit!r}; there is {', '.join(get_args(Fit))}")

    def predict(
        self,
        queries: Iterable[Example[Any, Any]],
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Answers every query, looking up what the store already has.

        Raises what rendering and tokenizing raise, before the model runs.
        """
        queries = list(queries)
        prompts = self.tokenize(queries)
        answers = answer(self.model, prompts, self.sampling, store=store, progress=progress)
        return self.join(queries, prompts, answers.results)

    @property
    def is_drawn(self) -> bool:
        """Whether another seed would draw other shots."""
        return self.shots > 0 and self._selection.seeded

    @property
    def _selection(self) -> Selection:
        return selection_for(self.task, self.selection)

    def left_out(self, query: Example[Any, Any]) -> Shots:
        """Return the near-duplicates of a query that its shots leave out."""
        return left_out(
            self.task.demos,
            query,
            self.shots,
            self.seed,
            self._selection,
            apart=self.task.is_test(query),
        )

    @property
    def _order(self) -> Order | None:
        return None if self.order is None else as_order(self.order)

    def tokenize(
        self, queries: Sequence[Example[Any, Any]], renderer: Renderer | None = None
    ) -> list[TokenizedPrompt]:
        """The queries' prompts as the model reads them.

        `renderer` is the template's for the task and verbalizer, where other predictors share it.
        """
        renderer = renderer or self.template.renderer(self.task, self.verbalizer)
        try:
            return self._tokenize(renderer, queries, self.shots)
        except PromptTooLongError:
            if self.fit == "error":
                raise
        return [self._fitting(renderer, query) for query in queries]

    @property
    def cell(self) -> Cell:
        """Cell of the predictions."""
        return Cell(
            model=self.model.identity.name,
            template=self.template.name,
            selection=self._selection.name,
            order=self._order.name if self._order is not None else DEFAULT,
            verbalizer=self.verbalizer.name if self.verbalizer is not None else LABELS,
            shots=self.shots,
            seed=self.seed,
        )

    def join(
        self,
        queries: Sequence[Example[Any, Any]],
        prompts: Sequence[TokenizedPrompt],
        results: Sequence[Result],
    ) -> list[Prediction]:
        """Return the predictions that the results of the queries' prompts make."""
        levels = self.cell.factors()
        return [
            self._prediction(query, prompt, result, levels)
            for query, prompt, result in zip(queries, prompts, results, strict=True)
        ]

    def _tokenize(
        self, renderer: Renderer, queries: Sequence[Example[Any, Any]], shots: int
    ) -> list[TokenizedPrompt]:
        renderer.expect(queries)
        draw: dict[str, Any] = {
            "seed": self.seed,
            "selection": self._selection,
            "order": self._order,
        }
        prompts = self.model.tokenize([renderer.render(query, shots, **draw) for query in queries])
        for prompt in prompts:
            if not prompt.candidates:
                self.check_room(prompt)
        return prompts

    def check_room(self, prompt: TokenizedPrompt) -> None:
        """Whether the longest answer fits too: a model finds out only once it runs.

        Raises `PromptTooLongError`.
        """
        context, answer = self.model.identity.context, self.sampling.max_tokens
        if len(prompt.ids) + answer > context:
            raise PromptTooLongError(
                f"example {shorten(prompt.prompt.query)} with {len(prompt.prompt.shots)} shots: "
                f"{len(prompt.ids)} tokens of prompt and {answer} of answer do not fit the context "
                f"of {context}; ask for fewer shots, a shorter answer or a larger context"
            )

    def _fitting(self, renderer: Renderer, query: Example[Any, Any]) -> TokenizedPrompt:
        """The prompt with as many of its shots as fit, the last ones left out."""
        for shots in range(self.shots, 0, -1):
            try:
                return self._tokenize(renderer, [query], shots)[0]
            except PromptTooLongError:
                continue
        return self._tokenize(renderer, [query], 0)[0]

    def _prediction(
        self,
        query: Example[Any, Any],
        prompt: TokenizedPrompt,
        result: Result,
        levels: Mapping[str, Any],
    ) -> Prediction:
        output = self.task.output_type
        if isinstance(result, Score):
            said = _scored(output.labels, result, self.model.identity.tolerance)
            value = output.values[said["label"]]
        else:
            format = prompt.prompt.format
            parse = partial(output.parse, as_json=format != output.format)
            said, value = _generated(parse, result, format is not None)
        known = query.labelled
        failed = said["failure"] is not None
        said["label"] = None if failed else output.plain(value)
        return Prediction(
            id=query.id,
            input=dict(self.task.fields_of(query)),
            gold=output.plain(query.output) if known else None,
            correct=(not failed and output.same(value, query.output)) if known else None,
            shot_ids=prompt.prompt.shots,
            prompt_sha256=prompt.prompt.sha256,
            tokens=result.tokens,
            seconds=result.seconds,
            **said,
            **levels,
        )


class Answers(NamedTuple):
    """What came of many prompts."""

    results: list[Result]
    """One for each prompt, in their order."""
    asked: list[TokenizedPrompt]
    """The distinct prompts that the model was asked."""
    stored: int
    """The distinct prompts that the store already had."""
    written: int
    """The tokens that were written in answer to `asked`, and read to go on from."""


def answer(
    model: Model,
    prompts: Sequence[TokenizedPrompt],
    sampling: Sampling,
    *,
    store: Store | None = None,
    progress: Progress | None = None,
    begin: Callable[[Sequence[TokenizedPrompt], int], None] | None = None,
) -> Answers:
    """The results of many prompts.

    A prompt that occurs twice is asked once. New results are stored as they are made. `begin` is
    told, before the model runs, what it will be asked and how many prompts the store has.
    """
    scored = all(prompt.candidates for prompt in prompts)
    keys = keys_of(prompts, model.identity, None if scored else sampling)
    known = _stored(store, dict(zip(keys, prompts, strict=True))) if store is not None else {}
    stored = len(known)
    missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
    order, asked = list(missing), list(missing.values())
    if begin is not None:
        begin(asked, stored)
    made: Iterator[tuple[int, Result]] = (
        model.score(asked) if scored else model.generate(asked, sampling)
    )
    unsaved: dict[bytes, Result] = {}
    saved_at = monotonic()
    try:
        for done, (index, result) in enumerate(made, start=1):
            if reason := _flaw(asked[index], result):
                raise ModelError(f"{model.identity.name}: {reason}, try another one")
            known[order[index]] = unsaved[order[index]] = result
            if store is not None and monotonic() - saved_at >= COMMIT_SECONDS:
                store.put(unsaved)
                unsaved, saved_at = {}, monotonic()
            if progress is not None:
                progress(done, len(asked))
    finally:
        if store is not None and unsaved:
            store.put(unsaved)
    written = sum(_written(known[key]) for key in order)
    return Answers([known[key] for key in keys], asked, stored, written)


def _written(result: Result) -> int:
    if isinstance(result, Score):
        return 0
    return result.generated - (result.finish != "eos")  # nothing goes on from the last one


def _stored(store: Store, prompts: Mapping[bytes, TokenizedPrompt]) -> dict[bytes, Result]:
    """The results that the store has for these prompts, without damaged ones."""
    known = store.get(prompts)
    for key in [key for key, result in known.items() if _flaw(prompts[key], result)]:
        store.distrust(key)
        del known[key]
    return known


def _flaw(prompt: TokenizedPrompt, result: Result) -> str | None:
    """Why a result cannot be an answer to this prompt; None where it can."""
    if not 0 <= result.seconds < math.inf:
        reason = f"{result.seconds} seconds"
    elif isinstance(result, Score) and len(result.logprobs) == len(prompt.candidates):
        highest = max(result.logprobs)
        if -math.inf < highest <= _ROUNDING and not math.isnan(sum(result.logprobs)):
            return None
        reason = "its log-probabilities are no numbers (NaN or all -inf), or above 0,"
    elif isinstance(result, Score):
        reason = f"{len(result.logprobs)} log-probabilities of {len(prompt.candidates)} labels"
    elif prompt.candidates:
        reason = "a generated answer where labels are scored"
    else:
        return None
    return f"{reason} for example {shorten(prompt.prompt.query)}; the file may be damaged"


def unique_tokens(prompts: Iterable[TokenizedPrompt]) -> int:
    """The tokens that must be read at least once: the distinct beginnings of all sequences.

    A candidate's last token is never read, only predicted.
    """
    total = 0
    before = b""
    for sequence in sorted(set(_sequences(prompts))):
        total += len(sequence) // _WIDTH - _shared(before, sequence)
        before = sequence
    return total


def _sequences(prompts: Iterable[TokenizedPrompt]) -> Iterator[bytes]:
    """The sequences' ids, `_WIDTH` bytes each; in their order beginnings come first."""
    for prompt in prompts:
        ids = array("i", prompt.ids).tobytes()
        for inner in {candidate[:-1] for candidate in prompt.candidates} or {()}:
            yield ids + array("i", inner).tobytes()


def _shared(a: bytes, b: bytes) -> int:
    """How many leading tokens two sequences share."""
    length = min(len(a), len(b))
    differs = int.from_bytes(a[:length], "big") ^ int.from_bytes(b[:length], "big")
    return (8 * length - differs.bit_length()) // (8 * _WIDTH)


def _scored(labels: Sequence[str], score: Score, tolerance: float) -> dict[str, Any]:
    peak = max(score.logprobs)
    weights = [math.exp(logprob - peak) for logprob in score.logprobs]
    total = sum(weights)
    ranked = sorted(score.logprobs, reverse=True)
    margin = ranked[0] - ranked[1] if len(ranked) > 1 else None
    return {
        "label": labels[score.logprobs.index(peak)],
        "logprobs": dict(zip(labels, score.logprobs, strict=True)),
        "probs": {label: weight / total for label, weight in zip(labels, weights, strict=True)},
        "margin": margin,
        "near_tie": margin is not None and margin <= tolerance,
        "coverage": sum(map(math.exp, score.logprobs)),
        "text": None,
        "failure": None,
    }


_UNFINISHED = {
    "length": "the answer was cut at its budget of tokens before it was complete; "
    "allow more of them (max_tokens)",
    "stuck": "the model's vocabulary has no token with which the answer's format can go on",
}


def _generated(
    parse: Callable[[str], Any], generation: Generation, whole: bool
) -> tuple[dict[str, Any], Any]:
    """What was generated and its value; where it has to be `whole`, half a number is no value."""
    said: dict[str, Any] = {
        "logprobs": None,
        "probs": None,
        "margin": None,
        "near_tie": None,
        "coverage": None,
        "text": generation.text,
        "failure": None,
    }
    if whole and generation.finish in ("length", "stuck"):
        said["failure"] = _UNFINISHED[generation.finish]
        return said, None
    try:
        return said, parse(generation.text.strip())
    except ValueError as error:
        cut = (
            " (the answer was cut at its budget of tokens)" if generation.finish == "length" else ""
        )
        said["failure"] = f"{error}{cut}"
        return said, None
