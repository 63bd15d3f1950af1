"""Runs that earlier versions saved, in `saved_runs/`: read, rendered, and gated against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from samples import COLON, Word, parity_task

from promptkit import Example, FakeModel, Store, Task, check, load_task
from promptkit.experiments.comparison import records
from promptkit.experiments.saved_runs import Run, read_run
from promptkit.report import page, terminal

SAVED = Path(__file__).with_name("saved_runs")
"""`parity`: two fake models, two selections. `fruit`: SmolLM2, two templates, verbalizers and
orders, one calibration. `antonyms`: SmolLM2, generated answers."""

NAMES = ("parity", "fruit", "antonyms")


def antonyms() -> Task[Any, Any]:
    pairs = {"happy": "sad", "tall": "short", "hot": "cold", "big": "small"}
    pairs |= {"day": "night", "up": "down", "fast": "slow", "wet": "dry"}
    examples = [Example(input=Word(word=word), output=other) for word, other in pairs.items()]
    return Task[Word, str](name="antonyms", demos=examples[:4], tests=examples[4:])


def task(name: str) -> Task[Any, Any]:
    if name == "fruit":
        return load_task(Path(__file__).parents[2] / "examples" / "fruit")
    return parity_task() if name == "parity" else antonyms()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_an_earlier_version_is_read_and_rendered(name: str) -> None:
    run = read_run(SAVED / name)
    assert run.task == name
    rendered(run)


def rendered(run: Run) -> None:
    """Asserts that the terminal and the page show the accuracies."""
    lines = records(run.predictions)
    prompts = json.loads((SAVED / run.task / "prompts.json").read_text("utf-8"))
    for text in (terminal.text(run.data, lines), page.html(run.data, lines, prompts)):
        for row in run.data["rows"]:
            if row["seed"] is None and row["calibration"] == "none":
                assert f"{100 * row['accuracy']:.0f} %" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_an_earlier_version_is_gated_against(name: str) -> None:
    best = read_run(SAVED / name).predictions[-1]
    model = FakeModel(lambda prompt: "other", name=best.model)
    grid: dict[str, Any] = {"templates": [COLON] if name != "fruit" else ["colon.j2"]}
    if name == "fruit":
        grid |= {"verbalizers": ["plain"], "orders": ["drawn"]}
    elif name == "parity":
        grid |= {"selections": ["similar"]}
    found = check(
        task(name), models=[model], no_worse_than=SAVED / name, store=Store(), limit=3, **grid
    )
    (gate,) = found.gates
    assert gate.queries == 3
    assert gate.cell.shots == 2
    assert found.moves is not None
    assert (found.moves.added, found.moves.removed, found.moves.moved) == ((), (), 0)
