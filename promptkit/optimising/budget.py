"""Plan of a search for demonstrations, known before it runs: its split, trials and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from promptkit.errors import TaskError, shorten
from promptkit.selection.draw import ALLOW_NEAR
from promptkit.selection.pool import digest
from promptkit.tasks.examples import Example, output_key, texts_of
from promptkit.tasks.near_duplicates import alike, normal_form
from promptkit.tasks.task import Task
from promptkit.text import listed
from promptkit.translation import tr, trn

Method = Literal["greedy", "bootstrap"]
"""`greedy` adds one demonstration after the other; `bootstrap` tries random sets of those that the
model itself answers right."""

Examples = Sequence[Example[Any, Any]]

HELD_OUT = 100
"""Default for the largest number of held-out queries."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A search: which part of the pool is asked, which part is searched, and the most it costs."""

    method: Method
    shots: int
    seed: int
    held_out: tuple[str, ...]
    """The ids of the pool's examples that are asked, and never shown."""
    candidates: tuple[str, ...]
    """The ids of those that may be shown."""
    near: tuple[str, ...]
    """The ids of near-duplicates of one that is asked, which are never shown."""
    tries: int
    """Largest number of candidates that a round tries; or number of sets that are tried."""
    prompts: int
    """The most prompts that it takes."""
    budget: int
    """The most prompts that it may take."""

    def __str__(self) -> str:
        asked, offered = len(self.held_out), len(self.candidates)
        near = (
            tr(" ({count} left out, near-duplicates of a query)", count=len(self.near))
            if self.near
            else ""
        )
        if self.method == "greedy":
            rounds = trn("{n} round", "{n} rounds", self.shots)
            tries = tr(
                "{rounds} of {tries} of the {offered:,} candidates{near}",
                rounds=rounds,
                tries=self.tries,
                offered=offered,
                near=near,
            )
        else:
            tries = tr(
                "{tries} sets of {shots} of the {offered:,} candidates{near}",
                tries=self.tries,
                shots=self.shots,
                offered=offered,
                near=near,
            )
        return tr(
            "{method}: {tries} on {asked:,} held-out queries; {prompts:,} prompts at "
            "the most, {budget:,} allowed",
            method=self.method,
            tries=tries,
            asked=asked,
            prompts=self.prompts,
            budget=self.budget,
        )


def plan_search(
    task: Task[Any, Any],
    *,
    shots: int,
    method: Method = "greedy",
    held_out: int | None = None,
    budget: int = 2000,
    seed: int = 0,
    per_query: int = 1,
) -> SearchPlan:
    """Split the pool, and spend the budget. The tests are not read.

    `held_out` queries are drawn by the seed, each label in proportion; unasked a third of the
    pool, but no more than 100, and few enough for ten candidates a round, down to ten. Their
    near-duplicates are no candidates, unless the task allows them. A query takes `per_query`
    prompts. Raises `TaskError` where the pool or the budget is too small.
    """
    _check(task, method, shots=shots, budget=budget, held_out=held_out or 1)
    queries = budget // per_query
    count = held_out or min(len(task.demos) // 3, HELD_OUT, max(10, queries // (10 * shots)))
    if not 0 < count < len(task.demos):
        raise TaskError(
            tr(
                "task {name!r}: {count} of {most} examples of the pool cannot be held "
                "out and leave some to show; add examples, or hold out fewer",
                name=task.name,
                count=count,
                most=len(task.demos),
            )
        )
    asked, rest = _split(list(task.demos), count, seed)
    # No search can try more of a large pool than this.
    rest = rest[: max(queries // count if method == "greedy" else queries // 2, shots + 1)]
    near = [] if task.near_duplicates == "allow" else _near(rest, asked)
    out = {example.id for example in near}
    candidates = [example.id for example in rest if example.id not in out]
    if len(candidates) < shots:
        left = tr(", since {count} are near-duplicates of those", count=len(near)) if near else ""
        allow = tr(", or {ALLOW_NEAR}", ALLOW_NEAR=tr(ALLOW_NEAR)) if near else ""
        raise TaskError(
            tr(
                "task {name!r}: {shots} shots asked, but beside the {count} examples held "
                "out the pool has only {most}{left}; add some, ask for fewer shots or "
                "hold out fewer{allow}",
                name=task.name,
                shots=shots,
                count=count,
                most=len(candidates),
                left=left,
                allow=allow,
            )
        )
    spend = _greedy if method == "greedy" else _bootstrap
    tries, prompts = spend(len(candidates), count, shots, budget, per_query)
    return SearchPlan(
        method,
        shots,
        seed,
        held_out=tuple([query.id for query in asked]),
        candidates=tuple(candidates),
        near=tuple([example.id for example in near]),
        tries=tries,
        prompts=prompts,
        budget=budget,
    )


def _check(task: Task[Any, Any], method: str, **numbers: object) -> None:
    """Raise `TaskError` for a task or numbers that no search can have."""
    if task.folds:
        raise TaskError(
            tr(
                "task {name!r}: with folds every example is a test, and a search would "
                "learn from the tests; split them (split = 0.5 in [files] of task.toml, or "
                "ExampleSet.split)",
                name=task.name,
            )
        )
    if method not in get_args(Method):
        known = listed(get_args(Method), "or")
        raise TaskError(
            tr("there is no method {method!r}; there is {known}", method=method, known=known)
        )
    for name, value in numbers.items():
        if not isinstance(value, int) or value < 1:
            raise TaskError(
                tr(
                    "{name} is {value}; it is a whole number, 1 or more",
                    name=name,
                    value=shorten(value),
                )
            )


def _split(pool: Examples, count: int, seed: int) -> tuple[Examples, Examples]:
    """`count` of the pool, each label in proportion, and the rest; both in a drawn order.

    A label's first are held out, so that an added row moves at most a row of each label.
    """
    drawn = sorted(pool, key=lambda example: digest("held out", seed, example.id))
    by_label: dict[str, list[Example[Any, Any]]] = {}
    for example in drawn:
        by_label.setdefault(output_key(example.output), []).append(example)
    shares = {
        example.id: (place + 0.5) / len(members)
        for members in by_label.values()
        for place, example in enumerate(members)
    }
    asked = {e.id for e in sorted(drawn, key=lambda example: shares[example.id])[:count]}
    return [e for e in drawn if e.id in asked], [e for e in drawn if e.id not in asked]


def _near(examples: Examples, asked: Examples) -> list[Example[Any, Any]]:
    """Return the examples that are near-duplicates of a query."""
    texts = [normal_form(texts_of(query.input)) for query in asked]
    forms = [(example, normal_form(texts_of(example.input))) for example in examples]
    return [example for example, form in forms if any(alike(form, text) for text in texts)]


def _greedy(
    candidates: int, asked: int, shots: int, budget: int, per_query: int
) -> tuple[int, int]:
    """Return how many candidates a round may try, and the cost of all rounds."""

    def cost(tries: int) -> int:
        # The shots drawn as usual, then in each round one candidate less than in the one before.
        sets = 1 + sum(min(tries, candidates - round) for round in range(shots))
        return per_query * asked * sets

    _check_budget(cost(min(2, candidates)), budget, asked)
    tries = max(n for n in range(1, candidates + 1) if cost(n) <= budget)
    return tries, cost(tries)


def _bootstrap(
    candidates: int, asked: int, shots: int, budget: int, per_query: int
) -> tuple[int, int]:
    """Return how many sets may be tried, and the cost of the candidates and the sets."""
    first = per_query * (candidates + asked)  # each candidate, and the shots drawn as usual
    each = per_query * asked
    _check_budget(first + 2 * each, budget, asked)
    sets = (budget - first) // each
    return sets, first + sets * each


def _check_budget(least: int, budget: int, asked: int) -> None:
    if least > budget:
        raise TaskError(
            tr(
                "a budget of {budget:,} prompts is too small: with {asked} held-out "
                "queries it takes {least:,} at the least; allow more, or hold out fewer",
                budget=budget,
                asked=asked,
                least=least,
            )
        )
