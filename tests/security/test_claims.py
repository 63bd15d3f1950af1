"""Each claim of the page on security names the tests that show it, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NODE = re.compile(r"`([\w/]+\.py)::(\w+)`")
CLAIMS = [
    line
    for table in re.findall(r"^\|[^\n]*\btest \|\n\|[-|]+\n((?:\|[^\n]*\n)+)", PAGE, re.M)
    for line in table.splitlines()
]


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_table_of_claims_is_found() -> None:
    assert len(CLAIMS) > 50
    assert len(NODE.findall("".join(CLAIMS))) == len(NODE.findall(PAGE))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim[2:50])
def test_a_claim_names_tests_that_exist(claim: str) -> None:
    *_, tests, _ = claim.split("|")
    named = NODE.findall(tests)
    assert named, "a claim without a test"
    assert len(named) == tests.count("::")
    for file, name in named:
        assert name in functions(file), f"{file} has no {name}"


def test_the_tests_of_this_folder_are_claims() -> None:
    """A test of a hostile text that no claim names shows that the page lacks something."""
    named = {file for file, _ in NODE.findall(PAGE)}
    own = {f"security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert own - named == {"security/test_claims.py"}


def test_the_policy_leads_to_the_page() -> None:
    policy = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "docs/security.md" in policy
    assert "private vulnerability reporting" in policy
    assert "@" not in policy  # nobody's address is made up
