"""What commands say to people, on standard error, and to machines, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

err = Console(stderr=True, highlight=False)


def note(message: str) -> None:
    """Tells something that is no error."""
    err.print(Text(f"note: {message}"), soft_wrap=True)


def write_json(file: str, data: Any) -> None:
    """Writes a value to a file, or to standard output for `-`."""
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    Path(file).write_text(text, encoding="utf-8", errors="backslashreplace")
