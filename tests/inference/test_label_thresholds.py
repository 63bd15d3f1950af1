"""Thresholds of labels: chosen on the pool, with shots from the rest of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sklearn.metrics import f1_score

from promptkit import FakeModel, ManyLabels, Predictor, Prompt, Store, Task, Template
from promptkit.errors import TaskError
from promptkit.inference import label_thresholds
from promptkit.inference.batch import AnswerStage, prepare, run
from promptkit.inference.threshold_stage import ThresholdStage

LABELS = ("network", "login", "email")
Topics = Annotated[list[Literal["network", "login", "email"]], ManyLabels()]


class Note(BaseModel):
    text: str


def rows(count: int, name: str) -> list[dict[str, object]]:
    gold = [["network"], ["login", "email"], [], ["email"], ["network", "login"]]
    return [
        {"id": f"{name}{i}", "input": {"text": f"{name} note {i} {'xyzuvw'[i % 6] * 9}"}}
        | {"output": gold[i % 5]}
        for i in range(count)
    ]


def topics(**more: object) -> Task[Note, object]:
    return Task[Note, Topics](name="topics", demos=rows(12, "d"), tests=rows(6, "t"), **more)  # type: ignore[arg-type,return-value]


@given(st.integers(4, 30), st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_threshold_has_the_highest_f1(count: int, seed: int, tied: bool) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(count, 1))
    scores = scores.round() if tied else scores
    gold = random.random((count, 1)) < 0.6
    if gold.sum() < label_thresholds.LEAST_ROWS:
        return
    (cutoff,) = label_thresholds.chosen(scores, gold)
    ours = f1_score(gold, scores > cutoff, zero_division=0)
    known = np.unique(scores)
    others = [known[0] - 1, *[(a + b) / 2 for a, b in pairwise(known)]]
    best = max(f1_score(gold, scores > other, zero_division=0) for other in others)
    assert ours == pytest.approx(best)


def test_labels_of_few_rows_share_a_threshold() -> None:
    scores = np.array([[-1.0, -4.0], [-2.0, -5.0], [-3.0, -1.5], [-9.0, -8.0]])
    gold = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], dtype=bool)
    own, shared = label_thresholds.chosen(scores, gold)
    assert own == -6.0  # between -3 and -9
    assert shared == -3.5  # of all eight scores, the four gold ones are the highest
    assert np.isinf(label_thresholds.chosen(scores, gold & False)).all()


def test_answers_are_the_labels_above_the_thresholds() -> None:
    task, store = topics(), Store()
    predictor = Predictor(task, Template.of(task), FakeModel(), shots=2)
    made = predictor.predict(task.tests, store=store)
    demos = [*task.demos]
    scores = Predictor(task, Template.of(task), FakeModel(), shots=2)
    renderer = scores.template.renderer(task)
    (pool,) = label_thresholds.pool_rows(scores, [*task.tests], renderer)
    assert {row.id for row in pool.rows} == {demo.id for demo in demos}
    for row, request in zip(pool.rows, pool.requests, strict=True):
        assert row.id not in request.prompt.shots
        assert len(request.prompt.shots) == 2
    table = np.array([one.logprobs for _, one in sorted(FakeModel().score(pool.requests))])
    cutoffs = label_thresholds.chosen(table, label_thresholds.gold_of(task, pool.rows))
    for one in made:
        assert one.logprobs is not None
        assert one.probs is not None
        above = [
            name for name, cut in zip(LABELS, cutoffs, strict=True) if one.logprobs[name] > cut
        ]
        assert one.label == above
        assert one.correct == ({*above} == {*one.gold})
        assert sum(one.probs.values()) == pytest.approx(one.coverage)


def test_a_stage_gives_the_same_answers_and_its_cost() -> None:
    task, store = topics(), Store()
    predictor = Predictor(task, Template.of(task), FakeModel(), shots=2)
    cells = prepare([predictor], [*task.tests])
    stage = ThresholdStage.of(cells)
    (made,), cost = run([[AnswerStage(cells), stage]], store)
    alone = predictor.predict(task.tests)
    assert [one.label for one in made] == [one.label for one in alone]
    (found,) = stage.found
    assert (found.rows, found.prompts, found.labels) == (12, 12, LABELS)
    assert cost.prompts == 6 + 12


def test_the_tests_have_no_part_in_the_thresholds() -> None:
    task = topics()
    other = Task[Note, Topics](  # the same inputs with other gold outputs
        name="topics", demos=rows(12, "d"), tests=[{**row, "output": []} for row in rows(6, "t")]
    )
    said = [
        [
            one.label
            for one in Predictor(each, Template.of(each), FakeModel(), 2).predict(each.tests)
        ]
        for each in (task, other)
    ]
    assert said[0] == said[1]


def test_with_folds_thresholds_come_from_the_other_folds() -> None:
    demos = rows(12, "d")
    task = Task[Note, Topics](
        name="topics", demos=demos, folds={str(row["id"]): i % 3 for i, row in enumerate(demos)}
    )
    predictor = Predictor(task, Template.of(task), FakeModel(), shots=2)
    renderer = predictor.template.renderer(task)
    pools = label_thresholds.pool_rows(predictor, [*task.tests], renderer)
    assert len(pools) == 3
    for part in pools:
        own = {task.folds[task.tests[number].id] for number in part.queries}
        assert len(own) == 1
        assert own.isdisjoint({task.folds[row.id] for row in part.rows})
        for request in part.requests:  # whose shots are not of the queries' fold either
            assert own.isdisjoint({task.folds[id] for id in request.prompt.shots})


def test_given_shots_are_not_asked() -> None:
    task = topics()
    predictor = Predictor(task, Template.of(task), FakeModel(), 2, selection=["d0", "d1"])
    renderer = predictor.template.renderer(task)
    (pool,) = label_thresholds.pool_rows(predictor, [*task.tests], renderer)
    assert {"d0", "d1"}.isdisjoint({row.id for row in pool.rows})
    assert len(pool.rows) == 10


def test_a_pool_is_needed() -> None:
    task = Task[Note, Topics](name="topics", tests=rows(3, "t"))
    with pytest.raises(TaskError, match="thresholds of labels are chosen on rows of the pool"):
        Predictor(task, Template.of(task), FakeModel()).predict(task.tests)


def test_rows_of_the_pool_have_rationales_of_their_own() -> None:
    task, asked = topics(), set[str]()

    def answer(prompt: Prompt) -> str:
        asked.add(f"{prompt.query} {prompt.asks}")
        return "why So: it is"

    source = "{% example %}{{ input.text }} {{ rationale }} So: {{ output }}\n{% endexample %}"
    predictor = Predictor(task, Template(source), FakeModel(answer))
    made = predictor.predict(task.tests)
    assert {one.rationale for one in made} == {"why"}
    assert {f"{demo.id} rationale" for demo in task.demos} <= asked


@pytest.mark.parametrize(
    ("source", "shot", "candidates"),
    [
        ("{{ output }}", "login, email", ("network", "login", "email")),
        ("{{ output | tojson }}", '["login", "email"]', ('["network"', '["login"', '["email"')),
    ],
)
def test_candidates_are_beginnings_of_what_shots_write(
    source: str, shot: str, candidates: tuple[str, ...]
) -> None:
    task = topics()
    template = Template(f"{{% example %}}{{{{ input.text }}}}={source};{{% endexample %}}")
    prompt = template.render(task, shots=[task.demos[1]], query=task.tests[0])
    assert f"={shot};" in prompt.text
    assert prompt.candidates == candidates


def test_verbalizers_write_the_words_of_all_labels() -> None:
    words = {"plain": {"network": "net", "login": "sign-in", "email": "mail"}}
    task = topics(verbalizers=words)
    prompt = Template.of(task).render(
        task, shots=[task.demos[1]], query=task.tests[0], verbalizer=task.verbalizer("plain")
    )
    assert ": sign-in, mail\n" in prompt.text
    assert prompt.candidates == (" net", " sign-in", " mail")
