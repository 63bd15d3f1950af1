"""Random hostile programs end in time, with a text or an error of promptkit's, and no address.

`PROMPTKIT_FUZZ_SECONDS=3600` tries more of them than the minute of a usual run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import count
from time import monotonic

import pytest
from child import Child
from template_programs import program

from promptkit.sandbox.limits import MAX_STEPS

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("PROMPTKIT_FUZZ_SECONDS", "40"))
ENOUGH = 40  # programs in that time, on the slowest machine
ENDS_WITHIN = 20  # seconds, with a part of the steps


@pytest.mark.parametrize(("kind", "share"), [("template", 0.7), ("chat", 0.15), ("lint", 0.15)])
def test_programs_end(kind: str, share: float) -> None:
    child, begun = Child(), monotonic()
    became: Counter[str] = Counter()
    try:
        for seed in count():
            if monotonic() - begun > SECONDS * share:
                break
            source, files = program(seed)
            asked = {"kind": kind, "source": source, "files": files, "steps": MAX_STEPS // 40}
            try:
                answer = child.ask(ENDS_WITHIN, **asked)
            except (AssertionError, pytest.fail.Exception) as failure:
                pytest.fail(f"program {seed}: {failure}\n{source}")
            error = answer.get("error")
            assert error in (None, "TemplateError", "PromptError"), f"program {seed}: {answer}"
            text = answer.get("text", "") + answer.get("message", "")
            assert not re.search(r"(at|object) 0x[0-9a-f]{6}", text), f"program {seed}: {text}"
            became[error or "text"] += 1
    finally:
        child.end()
    assert became.total() >= ENOUGH * share
    if kind == "template":
        assert became["text"] > became.total() // 20, "the programs are no good"
