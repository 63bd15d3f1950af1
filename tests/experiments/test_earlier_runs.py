"""Runs that earlier versions saved, in `saved_runs/`: read, rendered, and gated against."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from samples import COLON, Word, parity_task

from promptkit import Example, FakeModel, Store, Task, check, load_task
from promptkit.errors import DataError
from promptkit.experiments.comparison import records
from promptkit.experiments.saved_runs import Run, read_run
from promptkit.inference.cell import FACTORS
from promptkit.report import page, terminal
from promptkit.report.charts import plot

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


OPTIONAL = {"order", "verbalizer", "calibration", "calibrated"}
"""Fields of cells and predictions that the first versions did not save."""


def oldest(data: dict[str, Any]) -> dict[str, Any]:
    """A `comparison.json` with no more than the first versions saved."""

    def of_these(one: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: one.get(f"{name}_fixed", one[name]) for name in names}

    kept = {"model", "template", "selection", "shots", "seed", "n", "failures", "tokens", "seconds"}
    kept |= {"macro_f1", "log_loss", "ece", "coverage"}
    return {
        **{name: data[name] for name in ("task", "models", "usage")},
        "rows": [
            {name: row[name] for name in kept} | of_these(row, "accuracy", "accuracy_ci")
            for row in data["rows"]
        ],
        "pairs": [
            {side: without_optional(pair[side]) for side in "ab"}
            | of_these(pair, "delta", "ci", "p")
            for pair in data["pairs"]
        ],
    }


def without_optional(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name not in OPTIONAL}


def test_a_run_of_the_first_versions_is_read_and_rendered(tmp_path: Path) -> None:
    now = read_run(SAVED / "parity")
    saved = json.loads((SAVED / "parity" / "comparison.json").read_text("utf-8"))
    (tmp_path / "comparison.json").write_text(json.dumps(oldest(saved)), "utf-8")
    lines = (SAVED / "parity" / "predictions.jsonl").read_text("utf-8").splitlines()
    then = [json.dumps(without_optional(json.loads(line))) for line in lines]
    (tmp_path / "predictions.jsonl").write_text("\n".join([*then, ""]), "utf-8")
    run = read_run(tmp_path)
    assert run.pool is None
    assert run.predictions == now.predictions
    for kept in ("accuracy", "n", "shots", "log_loss"):
        assert [one[kept] for one in run.data["rows"]] == [one[kept] for one in now.data["rows"]]
    # Every difference is about these shots now, and corrected for the number of differences.
    least = min(pair["p_fixed"] for pair in run.data["pairs"])
    corrected = min(1.0, least * len(run.data["pairs"]))
    assert min(pair["p_holm"] for pair in run.data["pairs"]) == pytest.approx(corrected)
    rendered(run)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in a value of JSON."""
    if path:
        yield path
    items = dict(enumerate(value)) if isinstance(value, list) else value
    if isinstance(items, dict):
        for key, item in items.items():
            yield from places(item, (*path, key))


def damaged(data: Any, path: tuple[Any, ...], change: str) -> str:
    """JSON with one value replaced by other JSON, or without it."""
    copy = json.loads(json.dumps(data))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    if not change:
        del parent[path[-1]]
        return json.dumps(copy)
    parent[path[-1]] = "REPLACED"
    return json.dumps(copy).replace('"REPLACED"', change)


CHANGES = ("", "null", "-1", "7", "1e300", "1e999", "true", '"x"', "[]", "{}", "[[9, 9]]", "0.5")


@pytest.mark.slow
def test_whatever_is_damaged_is_an_error_or_can_be_rendered(tmp_path: Path) -> None:
    data = json.loads((SAVED / "parity" / "comparison.json").read_text("utf-8"))
    del data["files"]
    shutil.copy(SAVED / "parity" / "predictions.jsonl", tmp_path)
    kinds = {tuple(0 if isinstance(k, int) else k for k in path): path for path in places(data)}
    read = 0
    for path, change in Random(5).sample([*product(kinds.values(), CHANGES)], 250):
        (tmp_path / "comparison.json").write_text(damaged(data, path, change), "utf-8")
        try:
            run = read_run(tmp_path)
        except DataError:
            continue
        read += 1
        assert terminal.text(run.data, records(run.predictions))
        for make in plot.PLOTS.values():
            make(run.data)
    assert read


@pytest.mark.parametrize("factor", FACTORS)
def test_a_difference_between_cells_without_a_level_is_an_error(
    factor: str, tmp_path: Path
) -> None:
    data = json.loads((SAVED / "parity" / "comparison.json").read_text("utf-8"))
    shutil.copy(SAVED / "parity" / "predictions.jsonl", tmp_path)
    (tmp_path / "comparison.json").write_text(
        damaged(data, ("pairs", 8, "a", factor), "null"), "utf-8"
    )
    with pytest.raises(DataError, match=r"comparison\.json, field 'pairs\.8"):
        read_run(tmp_path)


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
