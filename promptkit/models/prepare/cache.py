"""The user's cache folder: what promptkit knows about model files and would only compute again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def folder() -> Path:
    """Where it is: `PROMPTKIT_CACHE`, or where this system keeps caches."""
    return Path(os.environ.get("PROMPTKIT_CACHE") or platformdirs.user_cache_dir("promptkit"))


def write(file: Path, text: str) -> None:
    """Writes a small file whole or not at all. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
