"""Vocabularies of GGUF files whose weights are not loaded."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from promptkit.models.gguf.header import read_header
from promptkit.models.runtime.library import library
from promptkit.models.runtime.vocabulary import Vocabulary


def vocabulary_model(path: Path) -> Any:
    """A model without weights; its `pointer` is None where llama.cpp refuses the file."""
    lib = library()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    return SimpleNamespace(pointer=lib.llama_model_load_from_file(os.fsencode(path), params))


def load_vocabulary(path: Path) -> Vocabulary:
    return Vocabulary(vocabulary_model(path), read_header(path))


def single_tokens(vocabulary: Vocabulary) -> dict[bytes, int]:
    """Ordinary tokens that stand for one byte or one character."""
    controls = {control.id for control in vocabulary.controls.values()}
    pieces = {vocabulary.piece(token): token for token in range(vocabulary.size - 1, -1, -1)}
    return {piece: token for piece, token in pieces.items() if token not in controls}
