"""The rules that need a model: each finds its bad example and nothing in its good one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lint_cases import Case, write_case
from lint_examples import EXAMPLES
from tiny_gguf import CHATML, write_llama

from promptkit.linting.catalogue import RULES
from promptkit.linting.findings import Rule
from promptkit.linting.lint import lint
from promptkit.models.llama import LlamaModel, load_model

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + CHATML
)
TINY: dict[str, Callable[[Path], Path]] = {
    "cannot-ask": lambda path: write_llama(path, chat_template=NO_SYSTEM),
    "base-model-chat": write_llama,
    "system-in-user": lambda path: write_llama(path, chat_template=NO_SYSTEM),
    "double-bos": lambda path: write_llama(path, tokenizer="spm"),
    "label-round-trip": lambda path: write_llama(path, tokenizer="spm"),
    "label-merges": lambda path: write_llama(path, words=["::"]),
    "too-long": lambda path: write_llama(path, n_ctx=256),
}
"""The model that shows a rule; the others are shown by the bundled one."""

BY_MODEL = [rule for rule in RULES if rule.needs_model]
BUNDLED = [rule for rule in BY_MODEL if rule.id not in TINY]


def found(rule: Rule, case: Case, model: LlamaModel, folder: Path) -> list[str]:
    findings = lint(write_case(case, folder), model=model, shots=4)
    for finding in findings:
        if finding.rule == rule.id:
            assert finding.severity == rule.severity
    return [finding.rule for finding in findings]


@pytest.mark.slow
@pytest.mark.parametrize("rule", [r for r in BY_MODEL if r.id in TINY], ids=lambda rule: rule.id)
def test_a_tiny_model_shows_a_rule(rule: Rule, tmp_path: Path) -> None:
    model = load_model(TINY[rule.id](tmp_path / "model.gguf"), threads=1)
    assert rule.id in found(rule, EXAMPLES[rule.id].bad, model, tmp_path / "bad")
    assert rule.id not in found(rule, EXAMPLES[rule.id].good, model, tmp_path / "good")


@pytest.mark.model
@pytest.mark.parametrize("rule", BUNDLED, ids=lambda rule: rule.id)
def test_the_bundled_model_shows_a_rule(rule: Rule, tmp_path: Path, smollm2: LlamaModel) -> None:
    assert rule.id in found(rule, EXAMPLES[rule.id].bad, smollm2, tmp_path / "bad")
    assert rule.id not in found(rule, EXAMPLES[rule.id].good, smollm2, tmp_path / "good")
