"""Facts of frozen prompts, students and adapters, for their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptkit.auditing.card_facts import (
    CardFacts,
    FigureFacts,
    ModelFacts,
    PromptFacts,
    ResultFacts,
    RowFacts,
)
from promptkit.auditing.card_of_task import (
    header_facts,
    header_of,
    model_facts,
    prompt_of_task,
    task_facts,
)
from promptkit.calibration.frozen import FrozenPredictor, load_frozen
from promptkit.errors import DataError, Problem, PromptkitError
from promptkit.inference.cell import describe
from promptkit.inference.frozen_file import read_frozen
from promptkit.models.fake import FakeModel
from promptkit.models.gguf.file_size import card_in
from promptkit.models.gguf.header import Header, read_header
from promptkit.students.student_file import load_student
from promptkit.tasks.task import Task
from promptkit.tasks.task_card import TaskCard
from promptkit.translation import mark, tr

Data = Mapping[str, Any]


def facts_of_task(task: Task[Any, Any]) -> CardFacts:
    """Return the facts of a task that nothing was asked of yet."""
    return CardFacts(
        kind="task",
        name=task.name,
        stated=task.card,
        task=task_facts(task),
        prompt=prompt_of_task(task),
    )


def facts_of_frozen(path: Path, task: Task[Any, Any] | None) -> CardFacts:
    """Return the facts of a frozen prompt; its model is not loaded.

    Args:
        path: The file.
        task: The task that it was made for, with its tests; by default the one in the file.

    Raises:
        DataError: The file is missing or damaged.
        ModelError: It selects shots by an embedder that is not found.
    """
    data = read_frozen(path).data
    identity, origin = data["model"]["identity"], data["model"]["origin"]
    place = None if origin is None else origin["name"]
    header = header_of(place, identity["sha256"])
    turns = None if header is None else header.metadata.get("tokenizer.chat_template")
    stand_in = FakeModel(context=10**9, chat_template=None if turns is None else str(turns))
    predictor = load_frozen(path, stand_in, any_model=True)
    own, calibration = task or predictor.task, predictor.calibration
    evidence = data["evidence"]
    note = (evidence or {}).get("note")
    return CardFacts(
        kind="frozen prompt",
        name=predictor.task.name,
        stated=own.card if own.card != TaskCard() else predictor.task.card,
        task=task_facts(own),
        models=(model_facts(identity, place),),
        prompt=_prompt(predictor, identity["name"], data["shot_ids"] or ()),
        calibration=tr("none: the model's own probabilities")
        if calibration is None
        else tr("{method} calibration, fitted before it was frozen", method=calibration.method),
        results=tuple(_of_evidence(predictor, identity["name"], evidence)),
        metric=(evidence or {}).get("metric") or "",
        tests={"cells": evidence["cells"]} if evidence else {},
        warnings=(note,) if note else (),
        made={
            mark("made"): data["made"],
            "promptkit": data.get("promptkit"),
            mark("run"): (evidence or {}).get("run"),
            mark("threshold"): data["threshold"],
            mark("seed"): data["seed"],
        },
    )


def _prompt(predictor: FrozenPredictor, model: str, shots: Sequence[str]) -> PromptFacts | None:
    """Return the prompt of a query that is none of the shots; None if none can be made."""
    query = next((demo for demo in predictor.task.demos if demo.id not in shots), None)
    if query is None:
        return None
    try:
        asked = predictor.tokenize([query])[0].prompt
    except PromptkitError:  # such as turns, where the model's chat template is not known
        return None
    levels, source = predictor.cell.at(model=model).factors(), predictor.template.source
    return PromptFacts(asked.last.text, query.id, False, levels, asked.shots, source)


def _of_evidence(
    predictor: FrozenPredictor, model: str, evidence: Data | None
) -> list[ResultFacts]:
    if not evidence:
        return []
    names = dict.fromkeys((evidence["metric"], "accuracy"))
    values = {
        "accuracy": (evidence["accuracy"], evidence["accuracy_ci"]),
        evidence["metric"]: (evidence["value"], evidence["value_ci"]),
    }
    figures = [FigureFacts(name, *values[name]) for name in names if values[name][0] is not None]
    name = describe(predictor.cell.at(model=model, seed=None))
    return [ResultFacts(name, evidence["queries"], tuple(figures), of_subject=True)]


def facts_of_student(folder: Path, task: Task[Any, Any] | None) -> CardFacts:
    """Return the facts of a student.

    Args:
        folder: The folder.
        task: The task that it was made for, with its rows; by default the one in the folder.

    Raises:
        DataError: The folder is no student, or damaged.
    """
    student = load_student(folder)
    card, profile, own = student.card, student.profile, task or student.task
    pool, training = card.get("pool") or {}, card.get("training") or {}
    teacher, tests = card.get("teacher") or {}, card.get("tests") or {}
    left = ", ".join(f"{count:,} {why}" for why, count in (pool.get("dropped") or {}).items())
    facts = task_facts(own)
    if pool:
        row = RowFacts("pool", pool["rows"], file=pool["name"], sha256=pool["sha256"])
        facts = replace(facts, rows=(*facts.rows, row))
    identity = student.identity
    model = ModelFacts(
        identity.name,
        identity.sha256,
        identity.architecture,
        identity.weights,
        identity.runtime,
        parameters=student.parameters,
        bytes=profile.bytes,
    )
    return CardFacts(
        kind="student",
        name=identity.name,
        stated=own.card if own.card != TaskCard() else student.task.card,
        task=facts,
        models=(model,),
        results=tuple(_of_student(tests, teacher.get("name"))),
        metric=(tests.get("student") or {}).get("metric", ""),
        training={
            mark("teacher"): teacher.get("name"),
            mark("rows learnt from"): training.get("rows"),
            mark("rows with a gold output"): training.get("gold"),
            mark("weight of gold outputs"): training.get("gold_weight"),
            mark("temperature"): training.get("temperature"),
            mark("rows left out"): left,
            mark("regularisation (C)"): training.get("strength"),
            mark("seed"): training.get("seed"),
            mark("seconds of training"): training.get("seconds"),
            mark("seconds of the teacher"): pool.get("seconds"),
            mark("tokens of the teacher"): pool.get("tokens"),
        },
        made={mark("made"): card.get("made"), "promptkit": card.get("promptkit")},
    )


_METRICS = ("accuracy", "macro_f1", "log_loss", "brier", "ece", "mae", "rmse", "pearson")


def _of_student(tests: Data, teacher: str | None) -> list[ResultFacts]:
    return [
        ResultFacts(
            tr("student") if who == "student" else tr("teacher: {teacher}", teacher=teacher),
            own["n"],
            tuple(
                [
                    FigureFacts(name, own[name], own.get(f"{name}_ci"))
                    for name in _METRICS
                    if own.get(name) is not None
                ]
            ),
            of_subject=who == "student",
        )
        for who, own in ((who, tests.get(who)) for who in ("student", "teacher"))
        if own
    ]


def facts_of_adapter(path: Path, task: Task[Any, Any] | None) -> CardFacts:
    """Return the facts of a LoRA adapter.

    Args:
        path: The file.
        task: The task that it was trained on; None if it is not at hand.

    Raises:
        DataError: The file is a model and no adapter.
        ModelFileError: The file is missing or damaged.
    """
    header = read_header(path)
    if header.metadata.get("general.type") != "adapter":
        reason = tr(
            "a model and no adapter; name a task, a run, a frozen prompt, a student or an adapter"
        )
        raise DataError([Problem(reason, file=str(path))])
    card = card_in(header) or {}
    figures = card.get("figures") or {}
    known = {name: value for name, value in header_facts(header).items() if name != "parameters"}
    base = {"name": card.get("model", ""), "sha256": card.get("model_sha256", "")}
    return CardFacts(
        kind="adapter",
        name=str(card.get("name", path.stem)),
        stated=TaskCard() if task is None else task.card,
        task=None if task is None else task_facts(task),
        models=(_adapter(path, header, known), model_facts(base, base["name"] or None)),
        results=tuple(_of_adapter(card, figures)),
        metric="accuracy" if figures.get("accuracy") is not None else "",
        training={
            mark("task"): card.get("task"),
            mark("template"): card.get("template"),
            mark("teacher"): card.get("teacher"),
            mark("examples"): card.get("examples"),
            mark("held out"): card.get("held_out"),
            mark("shots in its prompts"): card.get("shots"),
            mark("epochs"): card.get("epochs"),
            mark("trained parameters"): card.get("trained"),
            mark("layers"): card.get("layers")
            and tr("{layers} of {every}", layers=card["layers"], every=card.get("all_layers")),
            **{f"option {name}": value for name, value in (card.get("options") or {}).items()},
            mark("held-out loss before"): figures.get("loss_before"),
            mark("held-out loss"): figures.get("loss"),
            mark("seconds of training"): card.get("seconds"),
        },
        made={"promptkit": card.get("promptkit")},
    )


def _adapter(path: Path, header: Header, known: Data) -> ModelFacts:
    from promptkit.models.prepare.model_files import digest

    parameters = header.elements
    return ModelFacts(path.name, digest(path), header.architecture, parameters=parameters, **known)


def _of_adapter(card: Data, figures: Data) -> list[ResultFacts]:
    n = card.get("held_out")
    pairs = (
        (tr("with the adapter"), "accuracy", True),
        (tr("without it"), "accuracy_before", False),
    )
    return [
        ResultFacts(
            tr("{name}, held-out rows", name=name), n, (FigureFacts("accuracy", figures[key]),), own
        )
        for name, key, own in pairs
        if n and figures.get(key) is not None
    ]
