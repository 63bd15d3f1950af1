"""`python -m promptkit.models.prepare.embedding_trial FILE`: embeds a text, and says what failed.

Run in a process of its own, because llama.cpp ends the process for some damaged files. Exits with
0, or with 1 after printing the reason; a crash is for the caller to see.
"""

from __future__ import annotations

from pathlib import Path

from promptkit.models.embedding import Embedder
from promptkit.models.prepare.isolated import serve
from promptkit.models.runtime.library import library, load


def main(path: str) -> str:
    """Raises `PromptkitError` for a file that cannot be used."""
    library().llama_model_free(load(path, check=True))
    Embedder(Path(path), name=Path(path).name, threads=1)(["a 1\n", "a", ""])
    return ""


if __name__ == "__main__":
    serve(main)
