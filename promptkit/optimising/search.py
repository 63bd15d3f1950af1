"""The search for demonstrations: scored on a held-out part of the pool, never on the tests.

The score of what a search finds is the best of many tries on the same queries, and so too good;
only the tests say what it is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from promptkit.errors import TaskError
from promptkit.evaluation.chosen_metric import chosen_metric
from promptkit.evaluation.metric import ACCURACY, BY_NAME, Metric
from promptkit.evaluation.outcomes import Outcomes, outcomes
from promptkit.evaluation.results import Ends
from promptkit.experiments.rationales import unsampled
from promptkit.inference.answering import Progress, answer
from promptkit.inference.batch import tell_damaged
from promptkit.inference.label_thresholds import crossed
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.reasoning import RATIONALE_TOKENS, ModelRequests, Reasoning, respond
from promptkit.inference.store import Result, Store, opened
from promptkit.linting.screening import screen
from promptkit.models.base import Model, Sampling
from promptkit.optimising.budget import Method, SearchPlan, plan_search
from promptkit.optimising.found_shots import Optimised, Trial
from promptkit.selection.draw import draw, expect
from promptkit.selection.strategies import default_selection
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

Shots = tuple[Example[Any, Any], ...]


def optimise(
    task: Task[Any, Any],
    model: Model,
    *,
    shots: int,
    method: Method = "greedy",
    held_out: int | None = None,
    budget: int = 2000,
    template: Template | str | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
    announce: Callable[[str], None] | None = None,
    lint: bool = True,
    metric: str | None = None,
    rationale_tokens: int = RATIONALE_TOKENS,
    rationales: int = 1,
    think: int = 0,
) -> Optimised:
    """Search the pool for `shots` demonstrations that serve this model and template well.

    A part of the pool is held out and asked; the tests are never read. Of equals the first tried
    stands, and the same arguments give the same result.

    Args:
        task: The task, whose pool is searched.
        model: The model that is asked.
        shots: Number of demonstrations to find.
        method: `greedy` adds, in each round, the demonstration with which the log loss is lowest
            (for generated answers, the accuracy highest), behind those that it has; a round tries a
            random part of the candidates, as many as the budget allows (Mirzasoleiman et al.,
            "Lazier than lazy greedy", AAAI 2015). `bootstrap` asks the model about each candidate,
            after shots drawn by default, and tries random sets of those that it answers right,
            filled up with others where they are too few (BootstrapFewShotWithRandomSearch of DSPy:
            Khattab et al., arXiv 2310.03714, 2023).
        held_out: Number of queries that are held out; see `plan_search` for the default.
        budget: The most prompts that are asked or looked up.
        template: The template or its name; the task's own by default.
        seed: Seed of the split and of all draws.
        sampling: How answers are generated.
        store: Prediction store, or its path; by default the one in the current folder.
        progress: Called after each result, with counts of the whole search.
        announce: Called with the plan before it runs, and with warnings.
        lint: Whether the template is checked first: errors are raised, warnings announced.
        metric: Metric that the search improves; by default the log loss of labels, the "mae" of
            numbers, the "ranking_precision" of lists of labels and the accuracy of other answers.
        rationale_tokens: Budget of tokens of a rationale, where the template prints
            {{ rationale }}.
        rationales: Number of rationales (and thoughts) per query, whose answers vote.
        think: Budget of tokens of a thought before each answer; 0 for none.

    Returns:
        The demonstrations, their scores on the held-out queries, and everything that was tried.

    Raises:
        TaskError: The pool or the budget is too small.
        PromptkitError: The template or a prompt is wrong, before the model runs.

    Example:
        >>> from promptkit import FakeModel, Store, load_task
        >>> task = load_task("examples/fruit")
        >>> found = optimise(task, FakeModel(), shots=1, budget=200, store=Store())
        >>> found.task
        'fruit'
    """
    improved = search_metric(task, metric, votes=rationales > 1)
    chosen = template if isinstance(template, Template) else Template.of(task, template)
    reasoning = Reasoning(rationale_tokens, rationales, think)
    plan = plan_search(
        task,
        shots=shots,
        method=method,
        held_out=held_out,
        budget=budget,
        seed=seed,
        per_query=prompts_per_query(task, chosen, reasoning),
    )
    pool_only = task.model_copy(update={"tests": ExampleSet(())})
    said = screen(pool_only, [chosen], [shots]) if lint else []
    if announce is not None:
        announce(str(plan))
        for message in said:
            announce(message)
    predictor = Predictor(
        task,
        chosen,
        model,
        shots,
        seed,
        sampling=sampling or Sampling(),
        rationale_tokens=rationale_tokens,
        rationales=rationales,
        think=think,
    )
    read = model.usage.decoded_tokens
    with opened(store) as kept:
        damaged = kept.damaged
        search = _Search(predictor, plan, kept, progress, improved)
        (usual,) = search.try_all([search.usual(search.asked[0])])
        found = search.greedy() if method == "greedy" else search.bootstrap()
        tell_damaged(kept.damaged - damaged, announce)
    return Optimised(
        task.name,
        model.identity.name,
        chosen.name,
        plan,
        found,
        usual,
        tuple(search.trials),
        search.prompts,
        search.cached,
        search.tokens,
        model.usage.decoded_tokens - read,
    )


def prompts_per_query(task: Task[Any, Any], template: Template, reasoning: Reasoning) -> int:
    """Return the number of prompts that one query takes, with what comes before its answer.

    Args:
        task: The task.
        template: The template of the prompts.
        reasoning: What may be generated before an answer.

    Raises:
        TaskError: Several samples are asked for, and nothing comes before an answer.
    """
    query = next(iter(task.demos), None)
    asks = template.render(task, query=query).asks if query is not None else "answer"
    before = (asks == "rationale") + (reasoning.think > 0)
    if reasoning.samples > 1 and not before:
        raise TaskError(unsampled(reasoning.samples))
    return reasoning.samples * (1 + before)


def search_metric(task: Task[Any, Any], name: str | None, *, votes: bool = False) -> Metric | None:
    """Return the metric that a search improves; None for the log loss, or else the accuracy.

    The tests are not read.

    Args:
        task: The task.
        name: The name of the metric; None for the default of the kind.
        votes: Whether samples vote, so that generated answers have probabilities.

    Raises:
        TaskError: Its answers have no such metric, or none of its values is the best.
    """
    pool_only = task.model_copy(update={"tests": ExampleSet(())})
    metric = chosen_metric(pool_only, name, votes=votes)
    if name is None and task.many:
        return BY_NAME["ranking_precision"]  # as fine as a log loss, without thresholds
    return None if name is None and metric == ACCURACY else metric


class _Search:
    """State of a search: its trials and its cost so far."""

    def __init__(
        self,
        predictor: Predictor,
        plan: SearchPlan,
        store: Store,
        progress: Progress | None,
        metric: Metric | None,
    ) -> None:
        self._metric = metric
        self._predictor, self._plan = predictor, plan
        self._store, self._progress = store, progress
        self._renderer = predictor.template.renderer(predictor.task)
        self._demos = {demo.id: demo for demo in predictor.task.demos}
        self.asked = [self._demos[id] for id in plan.held_out]
        self._candidates = ExampleSet(tuple([self._demos[id] for id in plan.candidates]))
        self._labels = predictor.task.output_type.label_of
        self.trials: list[Trial] = []
        self.prompts = self.cached = self.tokens = 0

    def usual(self, query: Example[Any, Any]) -> Shots:
        """Return the shots that the default selection draws from the other candidates."""
        others = len(self._candidates) - (self._candidates.by_id(query.id) is not None)
        count = min(self._plan.shots, others)
        return self._draw(self._candidates, query, count, self._plan.seed)

    def greedy(self) -> Trial:
        """Return the trial of demonstrations added one by one, each the best of those tried."""
        chosen: Shots = ()
        while len(chosen) < self._plan.shots:
            ids = {demo.id for demo in chosen}
            left = [demo for demo in self._candidates if demo.id not in ids]
            count = min(self._plan.tries, len(left))
            seed = self._seed(len(chosen))
            tried = self._draw(ExampleSet(tuple(left)), self.asked[0], count, seed)
            sets = [(*chosen, demo) for demo in tried]
            trials = self.try_all(sets)
            best = max(trials, key=lambda trial: trial.rank)
            chosen = sets[trials.index(best)]
        return best

    def bootstrap(self) -> Trial:
        """Return the best trial of random sets of candidates that the model answers right."""
        expect(self._candidates, self._candidates)
        answers = self._ask([(demo, self.usual(demo)) for demo in self._candidates])
        answers = [*self._decided([*self._candidates], answers)]
        said = list(zip(self._candidates, answers, strict=True))
        right = ExampleSet(tuple([demo for demo, answer in said if answer.correct]))
        wrong = ExampleSet(tuple([demo for demo, answer in said if not answer.correct]))
        count = min(len(right), self._plan.shots)
        sets = []
        for draw_seed in range(self._plan.tries):
            seed = self._seed(draw_seed)
            first = self._draw(right, self.asked[0], count, seed)
            sets.append(first + self._draw(wrong, self.asked[0], self._plan.shots - count, seed))
        self.try_all(list({tuple([shot.id for shot in shots]): shots for shots in sets}.values()))
        return max(self.trials, key=lambda trial: trial.rank)

    def _seed(self, turn: int) -> int:
        """Return the seed of one of the many draws of a search."""
        return self._plan.seed * 1_000_003 + turn

    def try_all(self, sets: Sequence[Shots]) -> list[Trial]:
        """Return the trial of each set; all are asked together, since they share prefixes."""
        predictions = iter(self._ask([(query, shots) for shots in sets for query in self.asked]))
        trials = [self._trial(shots, [*islice(predictions, len(self.asked))]) for shots in sets]
        self.trials += trials
        return trials

    def _trial(self, shots: Shots, predictions: Sequence[Prediction]) -> Trial:
        (found,) = outcomes(self._decided(self.asked, predictions), self._labels).values()
        losses = found.log_losses
        return Trial(
            tuple([shot.id for shot in shots]),
            tuple(found.correct[:, 0].astype(bool).tolist()),
            None if losses is None else tuple(losses[:, 0].tolist()),
            *self._value(found),
        )

    def _decided(
        self, queries: Sequence[Example[Any, Any]], predictions: Sequence[Prediction]
    ) -> Sequence[Prediction]:
        """Return predictions with the labels above thresholds that other queries give.

        Those of one label stay as they are.
        """
        task, tolerance = self._predictor.task, self._predictor.model.identity.tolerance
        if not task.many:
            return predictions
        logprobs = [one.logprobs or {} for one in predictions]
        fields = crossed(task, queries, logprobs, tolerance)
        return [replace(one, **own) for one, own in zip(predictions, fields, strict=True)]

    def _value(self, found: Outcomes) -> tuple[str | None, float | None, Ends | None, float]:
        """Return the metric that is improved, its value and interval, and what it leaves out."""
        if self._metric is None:
            return None, None, None, 0.0
        around = self._metric.intervals(found)
        ends = None if around is None else around.ends[1]
        left_out = self._metric.unanswered(found)
        return self._metric.name, self._metric.value(found), ends, left_out

    def _ask(self, asked: Sequence[tuple[Example[Any, Any], Shots]]) -> list[Prediction]:
        requests = self._predictor.requests(
            [self._renderer.render(query, shots) for query, shots in asked]
        )

        def ask(parts: Sequence[ModelRequests]) -> list[list[Result]]:
            return [self._results(part) for part in parts]

        (responses,) = respond([self._predictor.model_requests(requests)], ask)
        return self._predictor.join([query for query, _ in asked], responses)

    def _results(self, part: ModelRequests) -> list[Result]:
        """Return the results of requests, and count them."""
        before = self.prompts

        def told(done: int, _: int) -> None:
            if self._progress is not None:
                self._progress(before + done, self._plan.prompts)

        asked = part.model, part.requests, part.sampling
        found = answer(*asked, store=self._store, progress=told)
        self.prompts += len(found.asked) + found.stored
        self.cached += found.stored
        self.tokens += sum(request.tokens for request in part.requests)
        return found.results

    def _draw(
        self, pool: ExampleSet[Any, Any], query: Example[Any, Any], count: int, seed: int
    ) -> Shots:
        selection = default_selection(self._predictor.task)
        drawn = draw(pool, query, count, seed=seed, selection=selection)
        return tuple([self._demos[demo.id] for demo in drawn])  # a set holds copies
