"""Commands run in this process, with their streams on a terminal or in a pipe."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from promptkit.cli import app


class Shown(NamedTuple):
    code: int
    out: str
    err: str


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


Run = Callable[..., Shown]


def run_on(kind: type[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch, *words: object) -> Shown:
    """Run a command with both streams of a kind."""
    streams = [kind(io.BytesIO(), "utf-8", "backslashreplace", newline="") for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        with pytest.raises(SystemExit) as ended:
            app([*map(str, words)], prog_name="promptkit")
    texts = [stream.detach().getvalue().decode("utf-8") for stream in streams]  # type: ignore[attr-defined]
    return Shown(ended.value.code or 0, *texts)  # type: ignore[arg-type]
