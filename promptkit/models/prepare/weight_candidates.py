"""The weights that a model file could run with: written, verified, and compared in precision."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from promptkit.errors import ModelFileError
from promptkit.models.gguf.header import Header
from promptkit.models.gguf.header_cursor import GGML_TYPES
from promptkit.models.prepare.convert import convert
from promptkit.models.prepare.hardware import cores, free_memory
from promptkit.models.prepare.isolated import FailedError
from promptkit.models.prepare.model_files import ModelFile
from promptkit.models.prepare.precision import distances
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.translation import tr

WHOLE = "F32"
"""The weights that others are compared with."""

AS_PRECISE = 1e-4
"""Nats; models of whole precision agree to this."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The weights that can be measured."""

    paths: Mapping[str, Path]
    """The files by weights: the model's own first, then the small ones, the most precise first."""
    whole: Path | None
    """The file of whole precision, where there is one to compare with."""
    distances: Mapping[str, float]
    """By weights, the mean difference in nats from the log-probabilities of whole precision."""
    left_out: Mapping[str, str]
    """By weights, the reason why they cannot be had."""


def gather(file: ModelFile, forced: str | None, folder: Path) -> Candidates:
    """Write the candidates for a file into `folder`.

    Where no type is `forced`, they are those that are as precise as the file's own weights. Raises
    `FailedError` where there is no room for them, or the forced type cannot be had, and `OSError`.
    """
    header, own = file.header, file.header.weight_type
    kinds = [kind for kind in ([forced] if forced else _wider(own)) if kind != own]
    if not kinds:
        return Candidates({own: header.path}, header.path if own == WHOLE else None, {}, {})
    needed = [kind for kind in dict.fromkeys([*kinds, WHOLE]) if kind != own]
    shortage = _shortage(header, needed, folder)
    if shortage and forced:  # then nothing is said of its precision
        needed = kinds
        shortage = _shortage(header, needed, folder)
    if shortage:
        raise FailedError(shortage)
    files, left_out = {own: file}, dict[str, str]()
    for kind in needed:
        try:
            files[kind] = convert(file, kind, folder / f"{kind}.gguf")
        except (FailedError, ModelFileError) as error:
            left_out[kind] = getattr(error, "reason", str(error))
    found = _distances(files)
    for kind in kinds:
        reason = left_out.get(kind) or (None if forced else _loss(kind, files, found))
        if reason and forced:
            raise FailedError(reason)
        if reason:
            left_out[kind] = reason
    chosen = [own, *(kind for kind in kinds if kind not in left_out)]
    paths = {kind: files[kind].header.path for kind in files}
    return Candidates({kind: paths[kind] for kind in chosen}, paths.get(WHOLE), found, left_out)


def _distances(files: Mapping[str, ModelFile]) -> dict[str, float]:
    """Return the distances from whole precision, without weights whose numbers overflow."""
    if WHOLE not in files:
        return {}
    kinds = [WHOLE, *(kind for kind in files if kind != WHOLE)]
    found = distances([(files[kind].header.path, RuntimeSettings(cores())) for kind in kinds])
    return {kind: d for kind, d in zip(kinds, found, strict=True) if d is not None}


def _loss(kind: str, files: Mapping[str, ModelFile], found: Mapping[str, float]) -> str | None:
    """Return the reason why weights are less precise than the file's own, if they are."""
    own, *_ = files
    if kind not in found or own not in found:
        return tr("its numbers overflow, or cannot be compared with whole precision")
    if found[kind] > max(found[own], AS_PRECISE):
        return tr(
            "{found:.4f} nats from whole precision, {own} only {found_2:.4f}",
            found=found[kind],
            own=own,
            found_2=found[own],
        )
    before = {tensor.name: tensor.type for tensor in files[own].header.tensors}
    for tensor in files[kind].header.tensors:
        # Half precision is as good as integers of 8 bits, but not as what has more.
        more = {"F16": ("F32", "BF16"), "BF16": ("F32", "F16")}.get(tensor.type, ())
        if before[tensor.name] in more:
            return tr(
                "{name} would lose bits of its {before}",
                name=tensor.name,
                before=before[tensor.name],
            )
    return None


def _wider(own: str) -> list[str]:
    """Return the types that may be as precise as a file's own."""
    if own == WHOLE:
        return []
    return [WHOLE] if own in ("F16", "BF16") else ["F16", "BF16", WHOLE]


def _shortage(header: Header, kinds: Collection[str], folder: Path) -> str | None:
    """Return the reason why there is no room for files of these kinds, if there is none."""
    blocks = {name: (weights, nbytes) for name, weights, nbytes in GGML_TYPES.values()}
    needed = sum(header.elements * blocks[kind][1] // blocks[kind][0] for kind in kinds)
    for what, free in (("disk", shutil.disk_usage(folder).free), ("memory", free_memory())):
        if needed > free / 2:
            return tr(
                "it takes {needed:.2f} GB of {what} for a while, and of the {free:.2f} GB "
                "that are free half is left alone",
                needed=needed / 1000000000.0,
                what=what,
                free=free / 1000000000.0,
            )
    return None
