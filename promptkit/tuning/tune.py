"""`promptkit.tune`: a LoRA adapter for a task, trained from the model's own GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from promptkit.errors import MissingExtraError, ModelError, ModelFileError, TaskError
from promptkit.files import saving
from promptkit.inference.prediction import Predictor
from promptkit.models.remote.address import is_url
from promptkit.selection.strategies import AnySelection
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.ranked_pool import ranked_pool
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.template import Template
from promptkit.translation import tr
from promptkit.tuning.adapter_output import adapter_card
from promptkit.tuning.tuned_adapter import TunedAdapter
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import Progress, TuningRun

if TYPE_CHECKING:
    from promptkit.models.gguf.header import Header
    from promptkit.models.llama import LlamaModel
    from promptkit.models.prepare.model_files import ModelFile

Examples = Sequence[Example[Any, Any]]


def tune(
    task: Task[Any, Any],
    out: str | Path,
    *,
    model: str | Path = "smollm2",
    template: str | None = None,
    shots: int = 0,
    verbalizer: Verbalizer | None = None,
    selection: AnySelection | None = None,
    options: TuningOptions = TuningOptions(),
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> TunedAdapter:
    """Train a LoRA adapter on the pool of a task, with the prompts that a comparison asks.

    The weights are those of the GGUF file, dequantised, and the tokens are llama.cpp's. A part of
    the pool is held out, and the epoch with the least loss on it is kept. The file appears once
    llama.cpp with the adapter gives the log-probabilities of the trained model. What is done is
    kept in `OUT.tuning`: the same call goes on from there after any end of the process.

    Args:
        task: The task; its tests are not looked at, and near-duplicates of them are left out.
        out: The adapter's file, which ends in `.gguf`.
        model: A path, `smollm2`, or `hf:owner/repo/file.gguf`.
        template: The template, by name or path; by default the task's.
        shots: The number of shots of the prompts, drawn from the rest of the pool.
        verbalizer: Other words for the labels.
        selection: The selection of the shots; by default the task's.
        options: Rank, epochs, learning rate and the like.
        threads: The threads that compute; by default one for each core. Where other work keeps the
            cores busy, fewer are faster.
        overwrite: Whether to replace an adapter, or a training, of something else.
        progress: A function that is called as it goes on.

    Returns:
        The adapter, with its card.

    Raises:
        MissingExtraError: torch or gguf is not installed.
        ModelFileError: The architecture cannot be trained.
        ModelError: llama.cpp's log-probabilities differ from those that were trained.
        TaskError: The task cannot be trained on, or the file is there and of something else.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> pk.tune(task, "fruit.bin")
        Traceback (most recent call last):
        ...
        promptkit.errors.TaskError: fruit.bin: the file of an adapter is named like fruit.gguf
    """
    path = check_adapter_file(out)
    check_extra()
    train, held_out = split(ranked_pool(task, options.seed, options.examples), options)
    worded = Template.of(task, template)
    facts = {
        "shots": shots,
        "verbalizer": None if verbalizer is None else verbalizer.name,
        "selection": None if selection is None or not shots else str(selection),
        **_facts(task, worded),
    }
    own = task.model_copy(
        update={
            "demos": task.demos.model_construct(tuple(train)),
            "tests": ExampleSet(()),
            "folds": {},
        }
    )

    def prompts(llama: LlamaModel, folder: Path) -> tuple[Any, Any]:
        from promptkit.tuning.training_prompts import training_prompts

        asked = Predictor(own, worded, llama, shots, 0, selection, verbalizer=verbalizer)
        return training_prompts(asked, train), training_prompts(asked, held_out, draws=False)

    how = TuningRun(options, threads, overwrite, progress)
    return trained_adapter(model, path, facts, prompts, how)


def trained_adapter(
    model: str | Path,
    out: Path,
    facts: Mapping[str, Any],
    prompts: Callable[[LlamaModel, Path], tuple[Any, Any]],
    how: TuningRun,
    figures: Callable[[Path], Mapping[str, Any]] = lambda _: {},
) -> TunedAdapter:
    """Return the adapter of some facts: that of an earlier call, or a new one.

    Args:
        model: The model's name.
        out: The adapter's file.
        facts: Everything but the model that decides the training.
        prompts: A function from the model, and a folder for its own use, to the prompts to train
            on, and those held out.
        how: Options, threads and the like.
        figures: A function from the adapter's file to further figures of the card.
    """
    from promptkit.models.prepare.model_files import find, verify
    from promptkit.tuning.decoder_shape import decoder_shape
    from promptkit.tuning.tuning_job import TuningJob, run_job
    from promptkit.tuning.tuning_state import TuningFolder

    if is_url(str(model)):
        raise ModelError(
            tr("{model}: an adapter is trained from a GGUF file, not from a server", model=model)
        )
    file = verify(find(model))
    decoder_shape(file.header)
    card = {
        "model": str(model),
        "model_sha256": file.sha256,
        **facts,
        "options": asdict(how.options),
    }
    if (done := _done(out, card, how.overwrite)) is not None:
        return done
    folder = TuningFolder(out)
    folder.check(card, overwrite=how.overwrite)
    with exact_model(file, folder.path, how.threads) as (llama, header):
        job = TuningJob(file, header, *prompts(llama, folder.path), how.options, card)
        made = run_job(job, out, llama, folder, how, figures)
    folder.remove()
    return made


@contextmanager
def exact_model(
    file: ModelFile, folder: Path, threads: int | None = None
) -> Iterator[tuple[LlamaModel, Header]]:
    """Run a model whose weights llama.cpp dequantised to F32; yield it and the header of its file.

    That file is deleted in the end.
    """
    from promptkit.models.gguf.header import read_header
    from promptkit.models.llama import LlamaModel
    from promptkit.models.prepare.convert import convert
    from promptkit.models.prepare.isolated import FailedError

    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "weights.gguf"
    path = file.header.path
    if {info.type for info in file.header.tensors} != {"F32"}:
        whole.unlink(missing_ok=True)
        try:
            convert(file, "F32", whole)
        except FailedError as error:
            raise ModelFileError(
                path,
                tr(
                    "its weights cannot be dequantised: {error}; take another quantization of it",
                    error=error,
                ),
            ) from None
        path = whole
    model = LlamaModel(
        path, name=file.header.path.name, threads=threads, weights="as-is", gpu_layers=0
    )
    try:
        yield model, read_header(path)
    finally:
        model.close()
        whole.unlink(missing_ok=True)


def check_adapter_file(out: str | Path) -> Path:
    """Return the path of an adapter's file. Raises `TaskError` where it cannot be written."""
    path = Path(out)
    if path.suffix != ".gguf":
        raise TaskError(tr("{path}: the file of an adapter is named like fruit.gguf", path=path))
    if reason := saving.unwritable(path.parent):
        raise TaskError(f"{path}: {reason}")
    return path


def check_extra() -> None:
    """Raise `MissingExtraError` where torch or gguf is missing."""
    if find_spec("torch") is None or find_spec("gguf") is None:
        raise MissingExtraError(tr("training an adapter"), "lora")


def refuse_full(name: str) -> NoReturn:
    """Raise `TaskError` for training all weights, with what to do instead.

    Args:
        name: The task.
    """
    raise TaskError(
        tr(
            "full fine-tuning is not done here: it takes some 16 bytes of memory for "
            "each weight, and makes another model file, not an adapter. Train one "
            "(without --full), or export the data and train elsewhere: promptkit "
            "export {name} --out train.jsonl",
            name=name,
        )
    )


def _done(out: Path, card: Mapping[str, Any], overwrite: bool) -> TunedAdapter | None:
    """Return an adapter that was made of the same; raise `TaskError` for another file."""
    if not out.exists():
        return None
    found = adapter_card(out) or {}
    if all(found.get(key) == value for key, value in card.items()):
        return TunedAdapter(out, found)
    if overwrite:
        return None
    other = sorted(key for key in card if found.get(key) != card[key]) if found else []
    about = (
        tr("made with another {other}", other=", ".join(other))
        if other
        else tr("not made by promptkit")
    )
    raise TaskError(
        tr("{out} is there, {about}; name another --out, or give --overwrite", out=out, about=about)
    )


def split(examples: Examples, options: TuningOptions) -> tuple[Examples, Examples]:
    """Return the examples to train on, and those held out."""
    count = max(2, round(len(examples) * options.held_out))
    return examples[count:], examples[:count]


def _facts(task: Task[Any, Any], template: Template) -> dict[str, Any]:
    """Return what a card says of the task and the prompts."""
    return {
        "name": f"{task.name} adapter",
        "task": task.name,
        "fingerprint": task.fingerprint,
        "template": template.name,
        "template_sha256": saving.digest(template.source),
    }
