"""`promptkit import`: a file of another tool as a task folder."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from promptkit.importing.peers import import_file


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A FewShotPromptTemplate of LangChain (JSON, YAML), templates of promptsource, or "
            "a task of lm-evaluation-harness.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A folder that is not there yet; by default the file's name."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written and what was lost as JSON.")
    ] = False,
) -> None:
    """Turn a prompt of another tool into a task folder, and say what could not be carried over.

    No code in it is run.
    """
    imported = import_file(file)
    folder = out if out is not None else Path(file.stem)
    written = imported.write(folder)
    if as_json:
        lost = [
            {"what": x.what, "file": x.file, "line": x.line, "why": x.why, "do": x.do}
            for x in imported.lost
        ]
        data = {"tool": imported.tool, "files": [str(path) for path in written], "lost": lost}
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    for path in written:
        print(path)
    if imported.lost:
        print(f"\nNot carried over from {imported.tool}, or not as it stands:")
        for lost in imported.lost:
            print(f"- {lost}")
    if any(path.name == "task.toml" for path in written):
        task = next(path.parent for path in written if path.name == "task.toml")
        print(f"\nSee what a model would read: promptkit render {shlex.quote(str(task))} --query …")
