"""Safe changes of templates: made, and shown as a diff. Data is never touched."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from difflib import unified_diff
from pathlib import Path

from promptkit.files import saving
from promptkit.files.paths import is_inside
from promptkit.linting.findings import Finding
from promptkit.templating.source import Edit
from promptkit.templating.template import BUILT_IN


def fix(findings: Iterable[Finding]) -> dict[Path, str]:
    """Apply the edits of findings, and return a diff per file; built-in files are not changed."""
    by_file: dict[Path, set[Edit]] = {}
    for finding in findings:
        for edit in finding.edits:
            path = Path(edit.file)
            if not is_inside(path, BUILT_IN):
                by_file.setdefault(path, set()).add(edit)
    return {path: _apply(path, edits) for path, edits in by_file.items()}


def _apply(path: Path, edits: Iterable[Edit]) -> str:
    raw = path.read_bytes()
    before = raw.decode("utf-8-sig")
    after, end = "", 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start >= end:  # what overlaps waits for the next time
            after += before[end : edit.start] + edit.text
            end = edit.end
    after += before[end:]
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    saving.write(path, mark + after.encode("utf-8"))
    return "".join(_diff(before, after, str(path)))


def _diff(before: str, after: str, name: str) -> Iterable[str]:
    """Return a diff in which white space is visible, since that is what changes."""
    old, new = ([_visible(line) for line in text.split("\n")] for text in (before, after))
    return (f"{line}\n" for line in unified_diff(old, new, name, name, lineterm="", n=1))


def _visible(line: str) -> str:
    shown = line.replace("\t", "→").replace("\r", "␍")
    ending = len(shown) - len(shown.rstrip(" "))
    return shown[: len(shown) - ending] + "·" * ending
