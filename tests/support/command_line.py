"""Commands run in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    """The outcome of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command of promptkit, given as words."""
    from promptkit.cli import app

    def run(*words: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            app([*map(str, words)], prog_name="promptkit")
        code = caught.value.code or 0
        assert isinstance(code, int)
        return Ran(code, *capfd.readouterr())

    return run
