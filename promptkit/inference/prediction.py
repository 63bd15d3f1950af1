"""Predictions: a task, a template, a selection and a model, asked about some queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, get_args

from promptkit.errors import PromptError, PromptTooLongError, TaskError
from promptkit.inference.answer_fields import answered, held_back, most_probable_fields
from promptkit.inference.answering import Progress, answer
from promptkit.inference.best_label import ScoredLabels, check_scores
from promptkit.inference.cell import RAW, Cell
from promptkit.inference.label_thresholds import decide, pool_requests, pool_rows
from promptkit.inference.profile import Profile, prompt_profile
from promptkit.inference.reasoning import (
    RATIONALE_TOKENS,
    ModelRequests,
    Reasoning,
    Samples,
    respond,
    text_of,
)
from promptkit.inference.store import Result, Store
from promptkit.inference.voting import Vote, elected, pooled
from promptkit.models.base import Model, ModelIdentity, Request, Sampling, Usage, check_fits
from promptkit.prompts.prompt import Prompt
from promptkit.selection.draw import Shots, left_out
from promptkit.selection.orders import DEFAULT, AnyOrder, Order, as_order
from promptkit.selection.strategies import AnySelection, Fixed, Selection, selection_for
from promptkit.tasks.asked_language import as_asked, task_in
from promptkit.tasks.examples import Example
from promptkit.tasks.languages import OWN, Languages
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import LABELS, Verbalizer
from promptkit.templating.renderer import Renderer
from promptkit.templating.template import Template
from promptkit.translation import tr

Fit = Literal["error", "drop-shots"]
"""Rule for a prompt that does not fit the context: an error, or fewer shots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Cell):
    """Answer of one model to one query in one cell; `cell` is the cell alone.

    Example:
        >>> from promptkit import FakeModel, Predictor, Template, load_task
        >>> task = load_task("examples/fruit")
        >>> predictor = Predictor(task, Template.of(task), FakeModel(), shots=2)
        >>> (prediction,) = predictor.predict(task.tests[:1])
        >>> prediction.shots, len(prediction.shot_ids), prediction.label in task.labels
        (2, 2, True)
    """

    id: str
    """Id of the query."""
    input: Mapping[str, Any]
    """Fields of the query."""
    gold: Any
    """Gold output, None where it is not known."""
    label: Any
    """Answer: a label, or the validated value of a generated text; None after a failure."""
    correct: bool | None
    """Whether the answer is right: equality with the gold output, or what the task's scoring
    declares; None where the gold output is not known."""
    logprobs: Mapping[str, float] | None
    """Log-probability of each label, in nats; None for generated answers."""
    probs: Mapping[str, float] | None
    """Probability of each label, normalised over the labels; of several labels each one's own.
    Where samples of a generated answer voted, the share of the votes of each answer, of those that
    are counted together one."""
    margin: float | None
    """Difference between the log-probabilities of the best label and the second, in nats; of
    several labels the smallest distance of one from its threshold."""
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
    """Digest of the prompt's text."""
    tokens: int
    """Number of tokens of the prompt."""
    seconds: float
    """Share of the prompt in the time of its batches."""
    calibrated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Probabilities of the labels under each method of calibration."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """Measures of the answer against the gold output, beside equality, by name."""
    rationale: str | None = None
    """Text that the model generated before the answer, where the template asks for one."""
    abstained: bool = False
    """The answer was held back: its probability is not above the predictor's threshold."""
    thought: str | None = None
    """Thought of the model before that, where it was let to think."""
    votes: tuple[Vote, ...] = ()
    """Answers of all samples, where several voted; `rationale`, `thought` and the prompt are those
    of one that gave the answer."""


Ask = Callable[[Sequence[Request]], Sequence[Samples]]
"""Returns the responses to requests, stored or new."""


class Calibrator(Protocol):
    """A calibration that has learnt; `promptkit.calibration.fitted.FittedCalibration` is one."""

    @property
    def method(self) -> str: ...

    def calibrated(
        self, predictor: Predictor, asked: Asked, predictions: Sequence[Prediction], ask: Ask, /
    ) -> Sequence[Mapping[str, float]]:
        """Return the calibrated probabilities of the labels of each query."""

    def to_dict(self) -> dict[str, Any]: ...


class Asked(NamedTuple):
    """Queries with their requests."""

    queries: Sequence[Example[Any, Any]]
    requests: Sequence[Request]
    renderer: Renderer
    """The renderer of the prompts."""


@dataclass(frozen=True)
class Predictor:
    """A prompt with k shots, put to a model.

    Raises:
        TaskError: `fit` or `scores` is unknown, or what is asked for needs probabilities.

    Example:
        >>> from promptkit import FakeModel, Template, load_task
        >>> task = load_task("examples/fruit")
        >>> predictor = Predictor(task, Template.of(task), FakeModel(), shots=4)
        >>> len(predictor.predict(task.tests[:3]))
        3
    """

    task: Task[Any, Any]
    """Task whose pool the shots come from."""
    template: Template
    """Template of the prompts."""
    model: Model
    """Model that is asked."""
    shots: int = 0
    """Number of shots."""
    seed: int = 0
    """Seed of the draw of shots."""
    selection: AnySelection | None = None
    """Selection of the shots; None for the default of the task."""
    fit: Fit = "error"
    """Treatment of a prompt that does not fit the context: an error, or fewer shots."""
    sampling: Sampling = field(default_factory=Sampling)
    """Sampling of generated answers."""
    verbalizer: Verbalizer | None = None
    """Other words for the labels."""
    order: AnyOrder | None = None
    """Order of the shots; the selection's by default."""
    rationale_tokens: int = RATIONALE_TOKENS
    """Budget of tokens of a rationale, where the template asks for one."""
    calibration: Calibrator | None = None
    """Calibration of the answers; None for the model's own probabilities."""
    threshold: float | None = None
    """Probability that an answer must be above, or it is held back; None to give every answer."""
    rationales: int = 1
    """Number of samples of what comes before an answer, whose answers vote; 1 for the greedy one.
    Samples have the temperature of `sampling`, or 0.7 where that is greedy."""
    think: int = 0
    """Budget of tokens of a thought before the answer, of a model whose chat template has thoughts;
    0 for no thought."""
    scores: ScoredLabels = "all"
    """Labels that are scored: all, or only those that can be the `best`. That gives the same labels
    for fewer tokens, without log-probabilities, probabilities, margin and coverage."""
    language: str | Languages | None = None
    """Language of the prompts, or those of their parts: `hi`, `instruction=en,shots=hi,labels=hi`;
    None for that of the task. The task becomes itself in this language."""

    def __post_init__(self) -> None:
        if self.language is not None:
            object.__setattr__(self, "task", task_in(self.task, self.language))
            object.__setattr__(self, "language", self.task.asked_in)
        self.reasoning  # noqa: B018 - raises for numbers out of range
        if self.fit not in get_args(Fit):
            known, fit = ", ".join(get_args(Fit)), self.fit
            raise TaskError(tr("unknown fit {fit!r}; choose one of: {known}", fit=fit, known=known))
        check_scores(self)
        if self.task.many and (self.threshold is not None or self.calibration is not None):
            raise TaskError(tr("calibration and threshold are for answers of one label, not lists"))

    def predict(
        self,
        queries: Iterable[Example[Any, Any]],
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Answer every query, looking up what the store already has.

        Raises what rendering and tokenizing raise, before the model runs.
        """
        queries = as_asked(self.task, queries)
        renderer = self.template.renderer(self.task, self.verbalizer)
        prompts = self.tokenize(queries, renderer)
        ask = partial(self.ask, store=store, progress=progress)
        made = self.join(queries, ask(prompts))
        if pool := pool_rows(self, queries, renderer):
            made = decide(self, queries, made, pool, [*map(pooled, ask(pool_requests(pool)))])
        return self._decided(Asked(queries, prompts, renderer), made, ask)

    def ask(
        self,
        requests: Sequence[Request],
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> Sequence[Samples]:
        """Return the responses to requests, with what comes before each answer."""

        def results(parts: Sequence[ModelRequests]) -> list[list[Result]]:
            how: Any = {"store": store, "progress": progress}
            return [answer(self.model, one.requests, one.sampling, **how).results for one in parts]

        return respond([self.model_requests(requests)], results)[0]

    @property
    def reasoning(self) -> Reasoning:
        """What the model may generate before an answer."""
        return Reasoning(self.rationale_tokens, self.rationales, self.think)

    def model_requests(self, requests: Sequence[Request]) -> ModelRequests:
        """Return requests with the way in which the model is asked."""
        return ModelRequests(self.model, self.sampling, requests, self.reasoning)

    def _decided(
        self, asked: Asked, predictions: Sequence[Prediction], ask: Ask
    ) -> list[Prediction]:
        """Return the predictions after the calibration and the threshold."""
        made = [*predictions]
        if self.calibration is not None:
            probs = self.calibration.calibrated(self, asked, made, ask)
            made = [*map(self._calibrated, asked.queries, made, probs)]
        if self.threshold is None:
            return made
        return [held_back(one, self.threshold) for one in made]

    def _calibrated(
        self, query: Example[Any, Any], made: Prediction, probs: Mapping[str, float]
    ) -> Prediction:
        """Return a prediction of the most probable label under a calibration."""
        assert self.calibration is not None
        fields = most_probable_fields(self.task, query, probs, self.model.identity.tolerance)
        return replace(made, **fields, calibrated={self.calibration.method: probs})

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model."""
        return self.model.identity

    @property
    def usage(self) -> Usage:
        """Cost of the model's work so far."""
        return self.model.usage

    @property
    def profile(self) -> Profile:
        """Size of the model, and the labels that the shots are chosen from."""
        by_query = self.shots > 0 and not isinstance(self._selection, Fixed)
        whole_pool = by_query or self.task.many  # which has thresholds of its labels
        return prompt_profile(self.model, len(self.task.demos) if whole_pool else self.shots)

    @property
    def is_drawn(self) -> bool:
        """Dependence of the shots on the seed."""
        return self.shots > 0 and self._selection.seeded

    @property
    def _selection(self) -> Selection:
        return selection_for(self.task, self.selection)

    def left_out(self, query: Example[Any, Any]) -> Shots:
        """Return the near-duplicates of a query that its shots leave out."""
        (query,) = as_asked(self.task, [query])
        return left_out(
            self.task.pool_of(query),
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
    ) -> list[Request]:
        """Return the prompts of the queries as the model reads them.

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
            language=self.language.name if isinstance(self.language, Languages) else OWN,
            verbalizer=self.verbalizer.name if self.verbalizer is not None else LABELS,
            shots=self.shots,
            seed=self.seed,
            calibration=self.calibration.method if self.calibration is not None else RAW,
        )

    def join(
        self, queries: Sequence[Example[Any, Any]], responses: Sequence[Samples]
    ) -> list[Prediction]:
        """Return the predictions that the responses to the queries' prompts make."""
        levels, tolerance = self.cell.factors(), self.model.identity.tolerance
        predictions = []
        for query, samples in zip(queries, responses, strict=True):
            place, answer, votes = elected(self.task, query, samples, tolerance)
            chosen = samples[place]
            predictions.append(
                Prediction(
                    **answered(self.task, query, answer.value, failed=answer.failed),
                    shot_ids=chosen.request.prompt.shots,
                    prompt_sha256=chosen.request.prompt.sha256,
                    tokens=chosen.result.tokens,
                    seconds=math.fsum(one.seconds for one in samples),
                    rationale=text_of(chosen.rationale),
                    thought=text_of(chosen.thought),
                    votes=votes,
                    **answer.fields,
                    **levels,
                )
            )
        return predictions

    def _tokenize(
        self, renderer: Renderer, queries: Sequence[Example[Any, Any]], shots: int
    ) -> list[Request]:
        renderer.expect(queries)
        render = partial(
            renderer.render, seed=self.seed, selection=self._selection, order=self._order
        )
        return self.requests([render(query, shots) for query in queries])

    def requests(self, prompts: Sequence[Prompt]) -> list[Request]:
        """Return prompts as requests to the model.

        Raises:
            PromptTooLongError: A prompt and its longest answer do not fit the context.
        """
        thinks, best = self.think > 0, self.scores == "best"
        if thinks or best:
            prompts = [replace(one, thinks=thinks, best=best) for one in prompts]
        requests = [*self.model.tokenize(prompts)]
        for prompt, request in zip(prompts, requests, strict=True):
            if prompt.thinks and request.prompt.asks != "thought":
                raise PromptError(
                    tr("{name} has no thoughts; leave out think", name=self.model.identity.name)
                )
            budget = 0 if request.candidate_tokens else self.sampling.max_tokens
            budget += self.rationale_tokens if prompt.asks == "rationale" else 0
            check_fits(request, self.model.identity.context, budget + self.think)
        return requests

    def _fitting(self, renderer: Renderer, query: Example[Any, Any]) -> Request:
        """Return the prompt with as many of its shots as fit, the last ones left out."""
        for shots in range(self.shots, 0, -1):
            with suppress(PromptTooLongError):
                return self._tokenize(renderer, [query], shots)[0]
        return self._tokenize(renderer, [query], 0)[0]
