"""Look for known vulnerabilities of what promptkit's users install.

pip-audit is installed for that, in a place of its own. Fails where an advisory names a version in
which a vulnerability is mended; says so, and passes, where the advisories cannot be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
NOT_FOR_USERS = ("bench", "dev", "docs")
HOME = Path(sys.prefix) / "audit"
SECONDS = 300


def main() -> int:
    """Print what is known, and return the exit code."""
    packages = dict(installed(PROJECT, NOT_FOR_USERS))
    if reason := prepared():
        return skipped(reason)
    try:
        found = audited(packages)
    except ValueError as error:
        return skipped(str(error))
    return told(found, len(packages))


def installed(project: Path, without: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what a project and its extras need, with the versions that are installed here."""
    said = tomllib.loads(project.read_text("utf-8"))["project"]
    extras = [needs for name, needs in said["optional-dependencies"].items() if name not in without]
    waiting = [(text, "") for text in [*said["dependencies"], *chain.from_iterable(extras)]]
    seen = set[tuple[str, str]]()
    while waiting:
        text, extra = waiting.pop()
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": extra}):
            continue
        try:
            found = distribution(need.name)
        except PackageNotFoundError:
            continue
        yield canonicalize_name(need.name), found.version.partition("+")[0]
        for one in {(need.name, wanted) for wanted in ("", *need.extras)} - seen:
            seen.add(one)
            waiting += [(text, one[1]) for text in found.requires or ()]


def prepared() -> str | None:
    """Install pip-audit; return why it cannot be."""
    python = HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    quietly = ["--disable-pip-version-check", "--quiet", "--timeout", "15", "--retries", "1"]
    done = run([str(python), "-m", "pip", "install", *quietly, "pip-audit"])
    return None if done.returncode == 0 else f"pip-audit cannot be installed: {last(done)}"


def audited(packages: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return packages with their vulnerabilities. Raises ValueError where nothing can be known."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{name}=={packages[name]}\n" for name in sorted(packages)))
        pinned = ["--requirement", str(file), "--no-deps", "--disable-pip"]
        shown = ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
        done = run([str(HOME / "bin" / "pip-audit"), *pinned, *shown])
    try:
        found: list[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the advisory database cannot be reached: {last(done)}") from None
    return found


def told(found: Sequence[Mapping[str, Any]], count: int) -> int:
    """Print the vulnerabilities; return 1 for one that an update mends."""
    code = 0
    for package in found:
        for one in package.get("vulns", ()):
            fixes = ", ".join(one.get("fix_versions", ()))
            what = f"{package['name']} {package['version']}: {one['id']}"
            print(f"{what}: update to {fixes}" if fixes else f"note: {what}: no version mends it")
            code |= bool(fixes)
    print(f"{count} packages: {'update those above' if code else 'nothing that an update mends'}")
    return code


def skipped(reason: str) -> int:
    print(f"skipped: {reason}")
    return 0


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command; one that takes too long, or is not there, has failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (subprocess.TimeoutExpired, OSError) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def last(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what a command said."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"exit code {done.returncode}"


if __name__ == "__main__":
    sys.exit(main())
