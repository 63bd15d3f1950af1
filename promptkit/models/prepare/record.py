"""Records of the weights and settings that were chosen for model files, kept in the cache.

A file has a folder of its own, named by its digest. It holds the weights that were written for it
and a record for every request, such as `auto`, and machine.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from promptkit.models.prepare import cache
from promptkit.models.prepare.hardware import cores, processor
from promptkit.models.prepare.model_files import digest
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.models.runtime.library import features, runtime

ATTEMPTS = 3
"""Times that a model is measured until readings settle; then the last choice stays."""

RETRY_SECONDS = 3600
"""Seconds between two of these."""

TRIALS = 2
"""The version of what is measured: choices of earlier versions are measured again."""


class Measured(BaseModel):
    """The speed of some weights with some settings."""

    model_config = ConfigDict(frozen=True)

    weights: str
    settings: RuntimeSettings
    speed: float
    """Tokens a second of processor time, on all threads."""


class Choice(BaseModel):
    """The weights and settings that run for a model file."""

    model_config = ConfigDict(frozen=True)

    name: str
    """The file's name when it was measured."""
    sha256: str
    """The digest of that file."""
    own: str
    """Its own weight type."""
    asked: str
    """The weights that were asked for: `auto`, or a type."""
    machine: str
    weights: str
    """The type that was chosen: one that was written, or the file's own."""
    settings: RuntimeSettings
    made_sha256: str | None = None
    """The digest of the file that was written, if one was."""
    made_bytes: int = 0
    gain: float = 1.0
    """The speed, divided by that of the file itself with the usual settings."""
    measured: tuple[Measured, ...] = ()
    distances: Mapping[str, float] = {}
    """By weights, the mean difference in nats from the log-probabilities of whole precision."""
    left_out: Mapping[str, str] = {}
    """By weights, the reason why they could not be had."""
    settled: bool = False
    """False where the machine was too busy to measure; also in records of versions that only took
    three readings of each."""
    attempts: int = 0
    """Times that it was measured without settling."""
    measured_at: float = 0.0
    """The time of that, in seconds since 1970."""

    def is_due(self, now: float) -> bool:
        """Return whether it should be measured again, at the time `now`."""
        waited = now - self.measured_at > RETRY_SECONDS
        return not self.settled and self.attempts < ATTEMPTS and waited

    @property
    def made(self) -> Path | None:
        """The file that was written, if one was."""
        return None if self.made_sha256 is None else place(self.sha256) / f"{self.weights}.gguf"

    @property
    def label(self) -> str:
        """The weights as identities name them."""
        return self.own if self.made is None else f"{self.weights} from {self.own}"


def root() -> Path:
    """Return the folder of all the folders."""
    return cache.folder() / "prepared"


def place(sha256: str) -> Path:
    """Return the folder for the file with this digest."""
    return root() / sha256


def machine() -> str:
    """Return this machine and its llama.cpp, as far as they decide what is fast."""
    return f"{processor()}, {cores()} cores, {runtime()}, {features()}"


def recall(sha256: str, asked: str) -> Choice | None:
    """Return the choice on this machine, unless the file that it needs is gone or damaged."""
    choice = _read(_record(sha256, asked))
    with suppress(OSError):
        if choice and (choice.made is None or digest(choice.made) == choice.made_sha256):
            return choice
    return None


def remember(choice: Choice) -> None:
    """Write the record, and delete weights that no record of the file names. Raises `OSError`."""
    cache.write(_record(choice.sha256, choice.asked), choice.model_dump_json(indent=1))
    named = {one.made for one in known(choice.sha256)}
    for made in place(choice.sha256).glob("*.gguf"):
        if made not in named:
            made.unlink()


def known(sha256: str = "*") -> Iterator[Choice]:
    """Yield every choice for a file, by default for any, whatever the machine."""
    for file in sorted(root().glob(f"{sha256}/*.json")):
        if choice := _read(file):
            yield choice


def digests() -> list[str]:
    """Return the digests of the files for which something is kept."""
    return sorted(path.name for path in root().glob("*"))


def forget(sha256: str) -> int:
    """Delete all that is kept for a file; return the bytes that frees. Raises `OSError`."""
    folder = place(sha256)
    freed = sum(path.stat().st_size for path in folder.rglob("*.gguf"))
    if folder.exists():
        shutil.rmtree(folder)
    return freed


def sweep() -> None:
    """Delete what killed processes left half-written, and nothing that a live one is writing."""
    for partial in root().glob("*/partial-*"):
        from filelock import FileLock

        with suppress(OSError), FileLock(partial.with_name("lock"), timeout=0):
            shutil.rmtree(partial)


def _record(sha256: str, asked: str) -> Path:
    where = hashlib.sha256(f"{machine()}, {TRIALS}".encode()).hexdigest()[:16]
    return place(sha256) / f"{asked}-{where}.json"


def _read(file: Path) -> Choice | None:
    """Return a record, or None where there is none that this version can read."""
    try:
        return Choice.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
