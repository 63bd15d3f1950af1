"""The audit of dependencies fails for what an update mends, and never for want of a network."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, with a place of its own."""
    spec = importlib.util.spec_from_file_location("audit_deps", ROOT / ".ci" / "audit_deps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HOME", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    return module


def said(module: Any, monkeypatch: pytest.MonkeyPatch, **answers: tuple[int, str, str]) -> int:
    """Run the audit with programs that answer as told: pip, and pip-audit."""

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        name = "audit" if command[0].endswith("pip-audit") else "pip"
        code, out, err = answers.get(name, (0, "", ""))
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(module, "run", run)
    code: int = module.main()
    return code


def answer(*vulnerabilities: dict[str, Any]) -> str:
    package = {"name": "starlette", "version": "0.1", "vulns": [*vulnerabilities]}
    return json.dumps({"dependencies": [package, {"name": "x", "skip_reason": "not found"}]})


@pytest.mark.parametrize(
    ("answers", "code", "line"),
    [
        ({"pip": (1, "", "ERROR: No matching distribution")}, 0, "skipped: pip-audit cannot be"),
        ({"audit": (1, "", "ConnectionError: x")}, 0, "skipped: the advisory database cannot be"),
        ({"audit": (1, "[]", "")}, 0, "skipped: the advisory database cannot be reached"),
        ({"audit": (0, answer(), "")}, 0, "nothing that an update mends"),
        ({"audit": (1, answer({"id": "A-1", "fix_versions": []}), "")}, 0, "note: starlette 0.1"),
        ({"audit": (1, answer({"id": "A-1", "fix_versions": ["2"]}), "")}, 1, "A-1: update to 2"),
    ],
)
def test_what_an_audit_says(
    answers: Any,
    code: int,
    line: str,
    audit: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said(audit, monkeypatch, **answers) == code
    assert line in capsys.readouterr().out


def test_what_users_install_is_audited(audit: Any) -> None:
    found = dict(audit.installed(audit.PROJECT, audit.NOT_FOR_USERS))
    assert {"jinja2", "pydantic", "llama-cpp-python", "starlette"} <= {*found}
    assert "markupsafe" in found  # of Jinja
    assert not {"pytest", "ruff", "zensical"} & {*found}


def test_a_program_that_is_not_there_has_failed(audit: Any, tmp_path: Path) -> None:
    assert audit.run([str(tmp_path / "none")]).returncode == 1
    done = audit.run([sys.executable, "-c", "print('a'); print('b')"])
    assert audit.last(done) == "b"


def test_ci_audits() -> None:
    assert "make audit-deps" in (ROOT / ".ci" / "run").read_text("utf-8")
