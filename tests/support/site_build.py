"""Builds the site of docs/ into site/: `make docs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cli_reference

ROOT = Path(__file__).parents[2]


def build(root: Path = ROOT) -> list[str]:
    """Build the site of a checkout, and return what is wrong with its pages and docstrings."""
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines if done.returncode else [line for line in lines if line.startswith("griffe")]


def main() -> None:
    cli_reference.PAGE.write_text(cli_reference.reference(), encoding="utf-8")
    if problems := build():
        sys.exit("\n".join(problems))
    print(f"Written to {ROOT / 'site' / 'index.html'}")


if __name__ == "__main__":
    main()
