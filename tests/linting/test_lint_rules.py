"""Every rule finds its bad example and nothing in its good one."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_cases import Case, write_case
from lint_examples import EXAMPLES

from promptkit.linting.catalogue import RULES
from promptkit.linting.findings import Finding, Rule
from promptkit.linting.lint import lint

PLAIN = [rule for rule in RULES if not rule.needs_model]


def found(case: Case, folder: Path) -> tuple[Finding, ...]:
    return lint(write_case(case, folder))


@pytest.mark.slow
@pytest.mark.parametrize("rule", PLAIN, ids=lambda rule: rule.id)
def test_a_rule_finds_its_bad_example(rule: Rule, tmp_path: Path) -> None:
    findings = [f for f in found(EXAMPLES[rule.id].bad, tmp_path / "task") if f.rule == rule.id]
    assert findings
    for finding in findings:
        assert finding.severity == rule.severity
        assert finding.message
        assert finding.fix
        assert finding.file is not None
        assert Path(finding.file).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("rule", PLAIN, ids=lambda rule: rule.id)
def test_a_rule_finds_nothing_in_its_good_example(rule: Rule, tmp_path: Path) -> None:
    assert found(EXAMPLES[rule.id].good, tmp_path / "task") == ()


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.id for rule in RULES]
    assert len(set(names)) == len(names)
    assert set(names) == set(EXAMPLES)
    assert all(rule.reason.endswith(".") and "\n" not in rule.reason for rule in RULES)
