"""One training from a model's file to an adapter's: read, trained, checked, written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from promptkit.errors import ModelError
from promptkit.models.gguf.header import Header
from promptkit.models.llama import LlamaModel
from promptkit.models.prepare.hardware import cores
from promptkit.models.prepare.model_files import ModelFile
from promptkit.translation import tr
from promptkit.tuning.adapter_check import CHECKED, MOST_NATS, largest_difference
from promptkit.tuning.adapter_output import write_adapter
from promptkit.tuning.decoder import Decoder
from promptkit.tuning.decoder_weights import fastest_type, read_weights
from promptkit.tuning.lora_parameters import LoraParameters, new_parameters
from promptkit.tuning.token_trees import prompt_groups
from promptkit.tuning.trainer import Trainer
from promptkit.tuning.training_prompts import TrainingPrompt
from promptkit.tuning.tuned_adapter import TunedAdapter
from promptkit.tuning.tuning_options import TuningOptions
from promptkit.tuning.tuning_progress import Progress, TuningRun
from promptkit.tuning.tuning_state import TuningFolder, TuningState

Figures = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class TuningJob:
    """What is trained on, and what the card says of it."""

    file: ModelFile
    """The model's file."""
    header: Header
    """Header of the file of its weights in F32."""
    train: Sequence[TrainingPrompt]
    held_out: Sequence[TrainingPrompt]
    options: TuningOptions
    card: Mapping[str, Any]
    """Everything that decides the training, and is written to the card."""


def run_job(
    job: TuningJob,
    out: Path,
    model: LlamaModel,
    folder: TuningFolder,
    how: TuningRun,
    figures_of: Figures,
) -> TunedAdapter:
    """Train an adapter, compare it with llama.cpp, and write it.

    Args:
        job: The training.
        out: The file.
        model: The weights in F32 in llama.cpp.
        folder: The folder of the training.
        how: Threads, and a function that is called as it goes on.
        figures_of: A function from the adapter's file to further figures of the card.

    Raises:
        ModelFileError: The model cannot be trained.
        ModelError: llama.cpp's log-probabilities differ from those that were trained.
    """
    torch.set_num_threads(how.threads or cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    began = monotonic()
    state = folder.load()
    exact = Decoder(read_weights(job.header, torch.float32))
    checked = _checked(job.held_out)
    difference = largest_difference(exact, {}, model, checked)
    if difference > MOST_NATS:
        raise ModelError(
            tr(
                "{path}: this model is computed otherwise in llama.cpp than here (label "
                "log-probabilities differ by {difference:.3f} nats before any training); "
                "an adapter of it cannot be trained",
                path=job.file.header.path,
                difference=difference,
            )
        )
    dtype = fastest_type(device)
    decoder = exact if (dtype, device) == (torch.float32, "cpu") else None
    if decoder is None:
        del exact
        decoder = Decoder(read_weights(job.header, dtype, device))
    trainer = _trainer(job, decoder, dtype, device, folder, how.progress)
    trainer.prepare()
    before = trainer.held_out_figures({}, 0, None)
    earlier = state.seconds
    state = trainer.run(state)
    trainer.parameters.load(state.best)
    change = trainer.parameters.change(dtype)
    after = trainer.held_out_figures(change, state.epoch, state.best_loss)
    figures = {
        "loss_before": before.loss,
        "loss": after.loss,
        "accuracy_before": before.accuracy,
        "accuracy": after.accuracy,
        "held_out_losses": state.losses,
    }
    trained = _Outcome(trainer.parameters, state, figures, decoder.parameters, began - earlier)
    del trainer, decoder
    return _written(job, out, model, folder, trained, figures_of)


@dataclass(frozen=True)
class _Outcome:
    parameters: LoraParameters
    state: TuningState
    figures: Mapping[str, Any]
    count: int
    """Number of parameters of the model."""
    began: float
    """Time at which all of the training would have begun."""


def _checked(prompts: Sequence[TrainingPrompt]) -> list[TrainingPrompt]:
    """Return the prompts that are compared with llama.cpp."""
    return [*prompts[:CHECKED]]


def _trainer(
    job: TuningJob,
    decoder: Decoder,
    dtype: Any,
    device: str,
    folder: TuningFolder,
    progress: Progress,
) -> Trainer:
    options = job.options.resolved(len(job.train), decoder.shape.layers)
    assert options.layers is not None
    parameters = new_parameters(decoder, options.layers, options.rank, options.scale, options.seed)
    return Trainer(
        decoder,
        parameters,
        prompt_groups([prompt.tree for prompt in job.train], options.batch),
        prompt_groups([prompt.tree for prompt in job.held_out], options.batch),
        options,
        dtype,
        lambda state: folder.save(state, job.card),
        progress,
        device,
    )


def _written(
    job: TuningJob,
    out: Path,
    model: LlamaModel,
    folder: TuningFolder,
    trained: _Outcome,
    figures_of: Figures,
) -> TunedAdapter:
    """Check an adapter against llama.cpp, and put it into its place."""
    partial = folder.path / "adapter.gguf"
    parameters = trained.parameters
    exact = Decoder(read_weights(job.header, torch.float32))

    def write(card: Mapping[str, Any]) -> None:
        alpha, name = parameters.alpha, exact.shape.architecture
        write_adapter(partial, trained.state.best, architecture=name, alpha=alpha, card=card)

    write({})
    change = parameters.change(torch.float32, "cpu")
    checked = _checked(job.held_out)
    difference = largest_difference(exact, change, model.adapted(partial), checked)
    if difference > MOST_NATS:
        raise ModelError(
            tr(
                "{out}: not written: with the adapter, llama.cpp's label log-probabilities "
                "differ by {difference:.3f} nats from those of the trained model "
                "({MOST_NATS} at the most); the training is kept in {path}",
                out=out,
                difference=difference,
                MOST_NATS=MOST_NATS,
                path=folder.path,
            )
        )
    card = {
        **job.card,
        "examples": len(job.train),
        "held_out": len(job.held_out),
        "labels": 0 if "teacher" in job.card else len(job.train) + len(job.held_out),
        "parameters": trained.count,
        "trained": parameters.count,
        "layers": len({layer for layer, _ in parameters.pairs}),
        "all_layers": exact.shape.layers,
        "epochs": trained.state.epoch,
        "seconds": round(monotonic() - trained.began, 1),
        "bytes": job.file.header.file_size + partial.stat().st_size,
        "figures": {
            **trained.figures,
            "difference": difference,
            "checked": len(checked),
            **figures_of(partial),
        },
    }
    write(card)
    out.parent.mkdir(parents=True, exist_ok=True)
    os.replace(partial, out)
    return TunedAdapter(out, card)
