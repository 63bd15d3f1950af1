"""A frozen prompt's answers as an adapter: the same model answers alike without the shots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptkit.calibration.frozen import FrozenPredictor
from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.inference.any_predictor import apart
from promptkit.inference.prediction import Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.store import Store
from promptkit.models.llama import LlamaModel
from promptkit.students.pool_labels import PoolSource
from promptkit.tasks.ranked_pool import apart_from_tests
from promptkit.translation import tr
from promptkit.tuning.frozen_teacher import (
    Examples,
    FrozenTeacher,
    frozen_draws,
    labelled_rows,
)
from promptkit.tuning.tune import (
    check_adapter_file,
    check_extra,
    split,
    trained_adapter,
)
from promptkit.tuning.tuned_adapter import TunedAdapter
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import Progress, TuningRun


def tune_from(
    frozen: FrozenPredictor,
    pool: str | Path,
    out: str | Path,
    *,
    tests: str | Path | None = None,
    draws: int = 1,
    shots: int = 0,
    options: TuningOptions = TuningOptions(),
    threads: int | None = None,
    overwrite: bool = False,
    store: Store | str | Path | None = None,
    progress: Progress = lambda _: None,
) -> TunedAdapter:
    """Train an adapter with which the prompt without shots answers as a frozen prompt does.

    The frozen predictor, calibration and all, labels the pool with probabilities by bulk
    prediction, and the adapter learns them. Gold labels are not needed.

    Args:
        frozen: The frozen predictor of a GGUF model, whose task has labels.
        pool: Rows without labels: a .csv, .jsonl or .parquet file.
        out: The adapter's file, which ends in `.gguf`.
        tests: A file of labelled rows on which both are compared in the end; near-duplicates of
            them in the pool are left out. By default, the held-out part of the pool.
        draws: The number of draws of shots, the frozen one first, whose probabilities are averaged.
        shots: The number of shots of the prompts with the adapter.
        options: Rank, epochs, learning rate and the like.
        threads: The threads that train; by default one for each core.
        overwrite: Whether to replace an adapter, or a training, of something else.
        store: The prediction store, or its path; by default `.promptkit/predictions.sqlite`.
        progress: A function that is called as it goes on.

    Returns:
        The adapter; its card says how often both agree, and how many tokens each prompt takes.

    Raises:
        MissingExtraError: torch or gguf is not installed.
        ModelFileError: The architecture cannot be trained.
        ModelError: llama.cpp's log-probabilities differ from those that were trained.
        TaskError: The predictor has no labels or no GGUF file, or a file is of something else.

    Example:
        >>> import promptkit as pk
        >>> task, model = pk.load_task("examples/fruit"), pk.FakeModel()
        >>> file = pk.freeze(pk.Predictor(task, pk.Template.of(task), model, 4), "fruit.promptkit")
        >>> tune_from(pk.load_predictor(file, model), "rows.csv", "fruit.gguf")
        Traceback (most recent call last):
        ...
        promptkit.errors.TaskError: fruit: its model is no GGUF file of this machine
    """
    path = check_adapter_file(out)
    name = _check_teacher(frozen)
    check_extra()
    facts = _facts(frozen, Path(pool), draws, shots)
    queries = [] if tests is None else labelled_rows(frozen.task, Path(tests))
    teacher = FrozenTeacher(frozen_draws(frozen, draws), store, progress)
    base: Any = frozen.model
    held: Examples = ()

    def prompts(llama: LlamaModel, folder: Path) -> tuple[Any, Any]:
        from promptkit.tuning.training_prompts import training_prompts

        nonlocal held
        teacher.label(Path(pool), folder, options.examples)
        examples = [apart(frozen.task, one) for one in teacher.examples]
        train, held = split(apart_from_tests(examples, queries), options)
        asked, soft = _student(frozen, llama, shots), teacher.shares
        return (
            training_prompts(asked, train, soft),
            training_prompts(asked, held, soft, draws=False),
        )

    def figures(file: Path) -> Mapping[str, Any]:
        student = _student(frozen, base.adapted(file), shots)
        cost = {"teacher_tokens": teacher.tokens, "teacher_seconds": teacher.seconds}
        return cost | teacher.compared(student, queries or held)

    how = TuningRun(options, threads, overwrite, progress)
    return trained_adapter(name, path, facts, prompts, how, figures)


def _check_teacher(frozen: FrozenPredictor) -> str:
    """Return the file of a frozen predictor's model. Raises `TaskError`."""
    if not isinstance(frozen, FrozenPredictor):
        raise TaskError(
            tr(
                "an adapter learns from a frozen prompt (FILE.promptkit); from other "
                "predictors a student does: promptkit distill"
            )
        )
    if not frozen.task.labels or frozen.task.many:
        raise TaskError(
            tr(
                "{name}: its answers have no probabilities of labels, which an adapter "
                "learns; train on gold answers: promptkit tune TASK",
                name=frozen.name,
            )
        )
    if not isinstance(frozen.model, LlamaModel):
        raise TaskError(tr("{name}: its model is no GGUF file of this machine", name=frozen.name))
    if frozen.model.origin.adapters:
        raise TaskError(
            tr("{name}: its model has an adapter already; freeze it without", name=frozen.name)
        )
    return frozen.model.origin.name


def _student(frozen: FrozenPredictor, model: Any, shots: int) -> Predictor:
    """Return the prompt that is to answer as a frozen one does."""
    return Predictor(
        frozen.task, frozen.template, model, shots, frozen.seed, verbalizer=frozen.verbalizer
    )


def _facts(frozen: FrozenPredictor, pool: Path, draws: int, shots: int) -> dict[str, Any]:
    """Return everything that decides the training, and what a card says of it."""
    return {
        "name": f"{frozen.name} adapter",
        "task": frozen.task.name,
        "fingerprint": frozen.task.fingerprint,
        "teacher": frozen.name,
        "teacher_key": predictor_key(frozen),
        "teacher_shots": frozen.shots,
        "teacher_draws": draws,
        "calibration": frozen.cell.calibration,
        "pool_sha256": PoolSource.of(pool).sha256,
        "template": frozen.template.name,
        "template_sha256": saving.digest(frozen.template.source),
        "shots": shots,
    }
