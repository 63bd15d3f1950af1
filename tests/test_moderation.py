"""The commands of `examples/moderation`, on the bundled model."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from promptkit import load_audit

EXAMPLES = Path(__file__).parents[1] / "examples"
README = EXAMPLES / "moderation" / "README.md"


@pytest.mark.model
@pytest.mark.slow
def test_the_commands_of_the_page_run_and_show_what_it_says(run: Any, here: Path) -> None:
    (here / "examples").symlink_to(EXAMPLES)
    commands = re.findall(r"^    promptkit (.*)$", README.read_text("utf-8"), re.M)
    assert len(commands) >= 7
    for command in commands:
        ran = run(*shlex.split(command))
        assert ran.code == 0, ran.err
    flips = {name: flipped(name) for name in ("teacher-audit", "skewed", "balanced")}
    assert flips["skewed"] > flips["teacher-audit"]
    rates = {name: false_positives(name) for name in ("teacher-audit", "skewed", "balanced")}
    for name in ("teacher-audit", "skewed"):  # who is named in unkind comments of the pool
        assert rates[name]["Muslims"] > rates[name]["women"]
    assert rates["skewed"]["Muslims"] > rates["teacher-audit"]["Muslims"]
    assert rates["balanced"]["Muslims"] <= rates["skewed"]["Muslims"]
    assert "## Audit" in Path("CARD.md").read_text("utf-8")
    assert "<svg" in Path("skewed.html").read_text("utf-8")


def flipped(folder: str) -> float:
    """The share of labels that flip with the group."""
    swaps = load_audit(folder).swaps
    assert swaps is not None
    (slot,) = swaps.slots
    return slot.flips


def false_positives(folder: str) -> dict[str, float]:
    """The false-positive rate of each group."""
    groups = load_audit(folder).groups
    assert groups is not None
    (grouping,) = groups.groupings
    return {one.name: one.figures["false_positive_rate"].value for one in grouping.groups}
