"""`promptkit import`: a file of another tool as a task folder."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from promptkit.cli.console import say, write_json
from promptkit.cli.options import JsonFile
from promptkit.importing import tools
from promptkit.translation import tr


def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=tr(
                "FewShotPromptTemplate of LangChain (JSON or YAML), templates of "
                "promptsource, or task of lm-evaluation-harness."
            ),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=tr("Folder that does not exist yet; by default the file's name.")
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Convert a prompt of another tool into a task folder.

    Lists what could not be carried over. No code of the file is run.
    """
    imported = tools.import_file(file)
    written = imported.write(out if out is not None else Path(file.stem))
    if json_file is not None:
        lost = [asdict(lost) for lost in imported.lost]
        files = [str(path) for path in written]
        write_json(json_file, {"tool": imported.tool, "files": files, "lost": lost})
    if json_file == "-":
        return
    for path in written:
        say(str(path))
    if imported.lost:
        say("")
        say(tr("Not carried over from {tool}, or not as it stands:", tool=imported.tool))
        for each in sorted(imported.lost, key=lambda lost: lost.do.startswith(tr("nothing to do"))):
            say(f"- {each}")
    tasks = [path.parent for path in written if path.name == "task.toml"]
    if tasks:
        say("")
        say(
            tr(
                "See what a model reads: promptkit render {quote} --query …",
                quote=shlex.quote(str(tasks[0])),
            )
        )
