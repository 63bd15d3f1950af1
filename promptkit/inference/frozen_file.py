"""Predictors as files: one zip of JSON and text, with everything but the model.

It holds the task with its pool, the template with the files that it loads, the way in which shots
are drawn, the words for labels, the calibration, the threshold, the model's identity, the evidence,
and the digest of every part. There is no code and no pickle in it, and templates run in their
sandbox as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.sealed_zip import SealedKind, SealedZip, seal, unseal
from promptkit.inference.frozen_manifest import manifest_problem
from promptkit.inference.prediction import Predictor
from promptkit.models.runtime.prefix_state import PrefixState
from promptkit.models.tokens.encoder import common_prefix
from promptkit.selection.orders import as_order
from promptkit.selection.pool import Pool
from promptkit.selection.saved_selection import selection_to_dict
from promptkit.selection.strategies import Fixed, selection_for
from promptkit.tasks.asked_language import own_task
from promptkit.tasks.measures import Scoring
from promptkit.tasks.task import Task
from promptkit.tasks.writing import save_task
from promptkit.templating.loaded_files import loaded_files, placed
from promptkit.translation import mark, tr

SUFFIX = ".promptkit"
"""Suffix of the files."""

KIND = SealedKind(
    mark("frozen predictor"),
    "frozen.json",
    1,
    mark("freeze the predictor again, or restore the file"),
)
"""The kind of file."""

STATE = "state.bin"
_TRIED = 6  # queries among which two with the same shots are found

FrozenFile = SealedZip
"""A file that was read and checked."""


def freeze(
    predictor: Predictor,
    path: str | Path,
    evidence: Mapping[str, Any] | None = None,
    *,
    with_state: bool = False,
) -> Path:
    """Write a predictor to a file, which `promptkit.load_predictor` reads.

    Args:
        predictor: The predictor.
        path: The file; its suffix is `.promptkit`.
        evidence: What is known of its answers, such as its accuracy and the interval.
        with_state: Whether the file holds the state of the model after what all prompts begin with,
            so that the first answer comes quickly; some 10 MB.

    Returns:
        The file.

    Example:
        >>> import promptkit as pk
        >>> task, model = pk.load_task("examples/fruit"), pk.FakeModel()
        >>> freeze(pk.Predictor(task, pk.Template.of(task), model, 4), "fruit.promptkit").name
        'fruit.promptkit'

    Raises:
        TaskError: The task is one that only Python can hold, or the suffix is another.
        PromptError: The selection is one that only Python can hold.
        TemplateError: The template loads files by names that it computes.
        OSError: The file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise TaskError(
            tr(
                "{path}: the file of a frozen predictor is named like fruit{SUFFIX}",
                path=path,
                SUFFIX=SUFFIX,
            )
        )
    task = _lasting(own_task(predictor.task))
    files = task_files(task)
    template = predictor.template
    for file, source in loaded_files(template).items():
        files[f"templates/{placed(file, template.folders)}"] = source.encode()
    files["template.j2"] = template.source.encode()
    state = _state(predictor) if with_state else None
    if state is not None:
        files[STATE] = state.data
    data: dict[str, Any] = {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "task": {"name": task.name, "fingerprint": task.fingerprint},
        "template": {
            "name": template.name,
            "place": placed(Path(template.place), template.folders),
            "folders": len(template.folders),
        },
        **_settings(predictor),
        "model": _model(predictor),
        "state": None if state is None else list(state.tokens),
        "evidence": dict(evidence) if evidence is not None else None,
    }
    seal(path, KIND, data, files, stored=[STATE])  # numbers that hardly compress
    return path


def read_frozen(path: str | Path) -> FrozenFile:
    """Return the parts of a frozen predictor.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing, damaged, of another kind or of a later version.
    """
    frozen = unseal(path, KIND)
    if problem := manifest_problem(frozen.data):
        reason = tr(
            "its manifest cannot be read ({problem}); {again}",
            problem=problem,
            again=tr(KIND.again),
        )
        raise DataError([Problem(reason, file=str(path))])
    return frozen


def _lasting(task: Task[Any, Any]) -> Task[Any, Any]:
    """Return a task as a frozen predictor needs it: without tests, and without its own scorer."""
    plain = task.scoring.scorer is None
    if task.folds and plain:
        return task
    return type(task)(
        name=task.name,
        instruction=task.instruction,
        demos=task.demos,
        near_duplicates=task.near_duplicates,
        scoring=task.scoring if plain else Scoring(),
        verbalizers=task.verbalizers,
        folds=task.folds,
        rationale=task.rationale,
        card=task.card,
        language=task.language,
        languages=task.languages,
        swaps=task.swaps,
    )


def task_files(task: Task[Any, Any]) -> dict[str, bytes]:
    """Return the files of a task's folder as `save_task` writes it, below `task/`."""
    with TemporaryDirectory(prefix="promptkit-") as folder:
        save_task(task, folder)
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        return {f"task/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def _settings(predictor: Predictor) -> dict[str, Any]:
    selection = selection_for(predictor.task, predictor.selection)
    order = None if predictor.order is None else as_order(predictor.order)
    words, calibration = predictor.verbalizer, predictor.calibration
    return {
        "shots": predictor.shots,
        "seed": predictor.seed,
        "selection": selection_to_dict(selection),
        "order": None if order is None else asdict(order),
        "shot_ids": _shot_ids(predictor, selection),
        "verbalizer": None if words is None else {"name": words.name, "words": dict(words.words)},
        "fit": predictor.fit,
        "sampling": asdict(predictor.sampling),
        "rationale_tokens": predictor.rationale_tokens,
        "rationales": predictor.rationales,
        "think": predictor.think,
        "calibration": None if calibration is None else calibration.to_dict(),
        "threshold": predictor.threshold,
        "scores": predictor.scores,
        **(
            {} if predictor.task.asked_in is None else {"language": asdict(predictor.task.asked_in)}
        ),
    }


def _shot_ids(predictor: Predictor, selection: Any) -> list[str] | None:
    """Return the shots of a query that is near none of them; None if each query has its own."""
    if not isinstance(selection, Fixed):
        return None
    pool = Pool(predictor.task.demos)
    ranked = selection.ranked(pool, predictor.seed, predictor.shots)[: predictor.shots]
    return [predictor.task.demos[index].id for index in ranked]


def _model(predictor: Predictor) -> dict[str, Any]:
    origin = getattr(predictor.model, "origin", None)
    return {
        "identity": asdict(predictor.model.identity),
        "origin": asdict(origin) if is_dataclass(origin) and not isinstance(origin, type) else None,
    }


def _state(predictor: Predictor) -> PrefixState:
    """Return the state of the model after what the prompts of two different queries share."""
    task = predictor.task
    of_state = getattr(predictor.model, "prefix_state", None)
    if of_state is None or len(task.demos) < 2:
        raise TaskError(
            tr("only a GGUF model has a state, and only with a pool to make prompts of")
        )
    # The shots of a query that is a demonstration are others if it is among them.
    shown = set(_shot_ids(predictor, selection_for(task, predictor.selection)) or ())
    apart = [demo for demo in task.demos if demo.id not in shown][:_TRIED]
    prompts: list[Any] = predictor.tokenize(apart if len(apart) > 1 else task.demos[:_TRIED])
    pair = max(combinations(prompts, 2), key=lambda two: common_prefix([one.ids for one in two]))
    state: PrefixState = of_state(pair)
    return state
