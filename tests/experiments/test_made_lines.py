"""Adapters and students as lines of learning curves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparisons import compared, learner
from samples import COLON, asked_word, parity, parity_task

import promptkit as pk
from promptkit.evaluation.learning_curve import aligned
from promptkit.evaluation.metric import ACCURACY
from promptkit.evaluation.outcomes import Outcomes
from promptkit.experiments.made_lines import made_lines
from promptkit.inference.cell import Cell
from promptkit.models.gguf.file_size import AdapterSize, ModelSize


def card(count: int, seed: int = 0, **more: Any) -> dict[str, Any]:
    options = {"examples": count, "rank": 8, "seed": seed}
    own = {"labels": count, "seconds": count / 10, "shots": 0, "template": COLON.name}
    return {"task": "parity", "verbalizer": None, "options": options, **own, **more}


def adapted(count: int, seed: int = 0, up_to: int = 3, **more: Any) -> pk.FakeModel:
    """A model with an adapter, which is right about words of some letters at most."""

    def answer(prompt: pk.Prompt) -> str:
        right = parity(word := asked_word(prompt))
        return right if len(word) <= up_to else {"odd": "even", "even": "odd"}[right]

    model: Any = pk.FakeModel(answer, name=f"fake+lora-{count}-seed{seed}")
    adapter = AdapterSize(10, 40, card(count, seed, **more))
    model.size = ModelSize(1000, 4000, (adapter,))
    model.identity = replace(model.identity, sha256="00", adapter=f"{count} {seed}")
    return model  # type: ignore[no-any-return]


def curve(*models: pk.FakeModel, **changed: Any) -> Any:
    how: dict[str, Any] = {"models": [pk.FakeModel(learner), *models], "learning_curve": True}
    return compared(**(how | changed)).learning_curve


def test_adapters_of_growing_numbers_of_rows_are_one_line() -> None:
    found = curve(adapted(4, up_to=1), adapted(8, up_to=5), adapted(8, seed=1, up_to=3))
    (line,) = [one for one in found.lines if one.kind == "adapter"]
    assert line.name == "LoRA"
    assert [(p.labels, p.draws) for p in line.points] == [(4, 1), (8, 2)]
    assert [p.value for p in line.points] == pytest.approx([1 / 6, (5 / 6 + 3 / 6) / 2])
    one, two = line.points
    assert one.ci is None  # of the draws of rows there is one
    assert two.ci is not None
    prompts = [one for one in found.lines if one.kind == "prompt"]
    assert [one.name for one in prompts] == ["prompt"]
    pairs = {(pair.name, pair.labels): pair for pair in found.pairs}
    assert pairs["LoRA", 4].delta == pytest.approx(1 / 6 - 5 / 6)
    assert pairs["LoRA", 8].shots == 4
    assert "LoRA" in " ".join(found.sentences)
    trained = next(one for one in found.lines if one.kind == "trained")
    assert {4, 8} <= {p.labels for p in trained.points}


def test_unlike_settings_stay_apart() -> None:
    other = {"template_sha256": "other"}
    found = curve(adapted(4), adapted(8), adapted(6, **other))
    lines = {
        one.name: [p.labels for p in one.points] for one in found.lines if one.kind == "adapter"
    }
    assert lines == {"LoRA lora": [4, 8], "LoRA lora-6-seed0": [6]}


def test_an_adapter_without_its_own_prompts_has_no_point() -> None:
    found = curve(adapted(4), adapted(8, shots=2))
    (line,) = [one for one in found.lines if one.kind == "adapter"]
    assert [p.labels for p in line.points] == [4]
    assert found.sentences[-1] == (
        "fake+lora-8-seed0 has no point: the prompts that it was trained for are not compared."
    )


def test_adapters_are_asked_the_prompts_that_they_were_trained_for() -> None:
    models = [pk.FakeModel(learner), adapted(4), adapted(8, shots=2)]
    asked = [{(p.model, p.shots) for p in compared(models=models, learning_curve=curve).predictions
              if "lora" in p.model} for curve in (True, False)]  # fmt: skip
    names = [model.identity.name for model in models[1:]]
    every = {(name, shots) for name in names for shots in (0, 1, 4)}
    assert asked == [every - {(names[0], 1), (names[0], 4)}, every]


def test_where_every_model_is_adapted_they_are_prompts() -> None:
    found = compared(models=[adapted(4)], learning_curve=True).learning_curve
    assert found is not None
    assert {line.kind for line in found.lines} == {"prompt", "trained"}


def test_students_of_gold_outputs_are_one_line() -> None:
    task = parity_task(pool=16)
    how: Any = {"task": task, "curve": False}
    made = [
        replace(pk.distill(None, examples=count, seed=seed, **how), name=f"s-{count}-{seed}")
        for count in (4, 8)
        for seed in (0, 1)
    ]
    found = curve(task=task, predictors=made)
    (line,) = [one for one in found.lines if one.kind == "student"]
    assert (line.name, [(p.labels, p.draws) for p in line.points]) == (
        "student",
        [(4, 2), (8, 2)],
    )
    static = replace(made[0], name="other", card={**made[0].card, "training": {
        **made[0].card["training"], "student": "static"}})  # fmt: skip
    lines, _ = made_lines(task, compared(task=task, predictors=[*made, static]), [*made, static])
    assert [one.name for one in lines] == ["student s", "student other"]


def outcomes(columns: int, drawn: bool) -> Outcomes:
    cell = Cell(model="m", template="t", selection="balanced", shots=1)
    correct = np.random.default_rng(columns).integers(0, 2, (5, columns))
    correct = correct if drawn else np.repeat(correct[:, :1], columns, axis=1)
    queries = {str(number): ({}, "odd") for number in range(5)}
    return Outcomes(cell, correct, drawn=drawn, queries=queries)


@pytest.mark.parametrize(
    ("prompt", "model", "columns"),
    [
        ((3, True), (3, True), 3),
        ((3, True), (1, True), 3),
        ((3, False), (1, True), 1),
        ((3, False), (2, True), 2),
        ((3, True), (2, True), 2),
        ((1, True), (4, True), 4),
    ],
)
def test_draws_are_paired(prompt: Any, model: Any, columns: int) -> None:
    first, second = aligned(outcomes(*prompt), outcomes(*model))
    assert first.correct.shape == second.correct.shape == (5, columns)
    assert ACCURACY.difference(first, second) is not None
