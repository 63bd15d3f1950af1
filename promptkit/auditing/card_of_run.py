"""Facts of a comparison, for the card of its best prompt or of another cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptkit.auditing.card_facts import (
    CardFacts,
    FigureFacts,
    ModelFacts,
    PromptFacts,
    ResultFacts,
)
from promptkit.auditing.card_of_task import model_facts, task_facts
from promptkit.evaluation.metric import BY_NAME
from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW, Cell
from promptkit.report.calibration_table import learnt
from promptkit.report.cell_names import CellNames, aggregates
from promptkit.tasks.task import Task
from promptkit.tasks.task_card import TaskCard
from promptkit.translation import mark, tr

Data = Mapping[str, Any]

CALIBRATED = ("macro_f1", "log_loss", "brier", "ece", "coverage")
"""Metrics of scored answers that a card has beside the accuracy."""


def run_facts(
    data: Data,
    records: Sequence[Data],
    prompts: Data | None,
    cell: Cell,
    task: Task[Any, Any] | None,
) -> CardFacts:
    """Return the facts of a comparison.

    Args:
        data: The comparison, as `Comparison.to_dict()` or a saved run has it.
        records: Its predictions, as `Comparison.to_records()` has them.
        prompts: Its prompts, as `report.packed_prompts.packed` makes them; None if not saved.
        cell: The cell that the card is about, without a seed.
        task: The task, with the content that it had; None if it is not at hand.
    """
    setup = data["setup"] or {}
    rows = [*aggregates(data)]
    names = CellNames(data["rows"])
    best = data["best"]
    return CardFacts(
        kind="run",
        name=data["task"]["name"],
        stated=TaskCard() if task is None else task.card,
        task=None if task is None else task_facts(task),
        models=tuple(_models(data, setup)),
        prompt=_prompt(data, records, prompts, cell, setup),
        calibration=_calibration(data, cell),
        results=tuple(
            [_result(row, names.with_shots(row), data["metric"], _is(row, cell)) for row in rows]
        ),
        metric=data["metric"],
        baseline=_baseline(best),
        tests=_tests(data, rows),
        verdicts=tuple(data["verdicts"]),
        warnings=tuple(data["warnings"]),
        made=_made(data, setup, rows),
    )


def prompted(data: Data, cell: Cell) -> Cell:
    """Return a cell with a prompt: the cell itself, or the best one that has a prompt."""
    if cell.template != NO_PROMPT:
        return cell
    metric = BY_NAME.get(data["metric"])
    sign = 1 if metric is None else metric.sign
    rows = [row for row in aggregates(data) if row["template"] != NO_PROMPT]
    if not rows:
        return cell
    best = max(rows, key=lambda row: sign * (row.get(data["metric"]) or -math.inf * sign))
    return Cell(**{name: best[name] for name in (*FACTORS, "shots")})


def _models(data: Data, setup: Data) -> Iterator[ModelFacts]:
    origins = setup.get("origins", {})
    for one in data["models"]:
        if one["architecture"] == "trained baseline":
            continue
        yield model_facts(one, origins.get(one["name"], {}).get("name"))


def _is(row: Data, cell: Cell) -> bool:
    return all(row[name] == getattr(cell, name) for name in (*FACTORS, "shots"))


def _prompt(
    data: Data, records: Sequence[Data], prompts: Data | None, cell: Cell, setup: Data
) -> PromptFacts | None:
    """Return the first prompt of a cell, as it was asked."""
    raw = cell.at(calibration=RAW)
    own = next((one for one in records if _is({**one, "calibration": RAW}, raw)), None)
    if own is None or prompts is None or own["prompt_sha256"] not in prompts["prompts"]:
        return None
    blocks = [prompts["blocks"][number] for number in prompts["prompts"][own["prompt_sha256"]]]
    text = "".join(text for _, passages in blocks for _, text in passages)
    sources = {one["name"]: one["source"] for one in data["templates"]}
    settings = {name: getattr(cell, name) for name in (*FACTORS, "shots")}
    words = setup.get("verbalizers", {}).get(cell.verbalizer)
    if words:
        settings[mark("words for labels")] = ", ".join(f"{k} = {v}" for k, v in words.items())
    settings["seed"] = own["seed"]
    shots = tuple(own["shot_ids"])
    return PromptFacts(text, own["id"], True, settings, shots, sources.get(cell.template, ""))


def _calibration(data: Data, cell: Cell) -> str:
    if cell.calibration == RAW:
        return tr("none: the model's own probabilities")
    notes = [one for one in data["calibrations"] if one["calibration"] == cell.calibration]
    return next(learnt(notes), tr("{calibration} calibration", calibration=cell.calibration))


def _result(row: Data, name: str, metric: str, of_subject: bool) -> ResultFacts:
    wanted = dict.fromkeys((metric, "accuracy", *CALIBRATED))
    figures = [
        FigureFacts(one, row[one], row.get(f"{one}_ci") or row.get(f"{one}_ci_fixed"))
        for one in wanted
        if row.get(one) is not None
    ]
    return ResultFacts(name, row["n"], tuple(figures), of_subject)


def _baseline(best: Data | None) -> tuple[str, float] | None:
    if best is None or best["baseline"] is None:
        return None
    return best["baseline_name"] or tr("answers without a model"), best["baseline"]


def _tests(data: Data, rows: Sequence[Data]) -> dict[str, int]:
    """Return the numbers of cells, of differences, and of significant ones."""
    significant = 0
    for pair in data["pairs"]:
        low, high = pair["ci"] or pair["ci_fixed"]
        significant += pair["p_holm"] <= 0.05 and (low > 0 or high < 0)
    return {"cells": len(rows), "differences": len(data["pairs"]), "significant": significant}


def _made(data: Data, setup: Data, rows: Sequence[Data]) -> dict[str, Any]:
    """Return how a comparison was made; its command is one with the same grid."""
    seeds = sorted({row["seed"] for row in data["rows"]} - {None})
    prompts = [row for row in rows if row["template"] != NO_PROMPT]
    levels = {
        name: [*dict.fromkeys(str(row[name]) for row in prompts)] for name in (*FACTORS, "shots")
    }
    return {
        "command": _command(setup, levels, len(seeds), data["metric"]),
        mark("seeds"): seeds,
        **{f"levels of {name}": ", ".join(each) for name, each in levels.items() if len(each) > 1},
        mark("tokens decoded"): data["usage"]["decoded_tokens"],
        mark("runtime"): ", ".join(dict.fromkeys(one["runtime"] for one in data["models"])),
    }


_DEFAULTS = {"order": "default", "verbalizer": "labels", "calibration": RAW}


def _command(setup: Data, levels: Mapping[str, Sequence[str]], seeds: int, metric: str) -> str:
    origins = {name: one.get("name", name) for name, one in setup.get("origins", {}).items()}
    models = [origins.get(name, name) for name in levels["model"]]
    words = ["promptkit compare", setup.get("task") or "TASK"]
    words += [f"--model {name}" for name in models]
    words += [f"--template {name}" for name in levels["template"]]
    words += [
        f"--shots {','.join(sorted(levels['shots'], key=int))}",
        f"--seeds {seeds}",
    ]
    flags = {"verbalizer": "verbalizer", "selection": "selection", "calibration": "calibrate"}
    for name, flag in flags.items():
        chosen = [one for one in levels[name] if one != _DEFAULTS.get(name)]
        if chosen and [*levels[name]] != ["balanced"]:
            all_of = levels[name] if name != "calibration" else chosen
            words += [f"--{flag} {one}" for one in all_of]
    words += [f"--metric {metric}"] if metric != "accuracy" else []
    return " ".join(words)
