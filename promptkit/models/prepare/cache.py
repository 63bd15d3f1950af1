"""The user's cache folder, with results about model files that could be computed again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def folder() -> Path:
    """Return the folder: `PROMPTKIT_CACHE`, or the place where this system keeps caches."""
    return Path(os.environ.get("PROMPTKIT_CACHE") or platformdirs.user_cache_dir("promptkit"))


def write(file: Path, text: str) -> None:
    """Write a small file whole or not at all. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
