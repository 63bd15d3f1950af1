"""`promptkit report`: the page and the plots of a comparison that was saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from promptkit.cli.console import note
from promptkit.errors import DataError, MissingExtraError, Problem

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A folder that compare wrote, such as runs/fruit.")
]
Png = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write each plot as PNG in this folder.")
]
Svg = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write each plot as SVG in this folder.")
]
Page = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Where the page goes; by default into DIR."),
]


def report(folder: Folder, png: Png = None, svg: Svg = None, html_file: Page = None) -> None:
    """Write the page of a saved comparison again, and its plots as pictures."""
    from promptkit.report import page, shape
    from promptkit.results import records
    from promptkit.runs import read_run

    run = read_run(folder)
    shape.check_comparison(run.data, folder / "comparison.json")
    prompts = _prompts(folder / "prompts.json")
    for place, kind in ((png, "png"), (svg, "svg")):
        if place is not None:
            _draw(run.data, place, kind)
    target = html_file or folder / "report.html"
    text = page.html(run.data, records(run.predictions), prompts)
    target.write_text(text, encoding="utf-8", errors="backslashreplace")
    print(f"Written to {target}")


def _prompts(file: Path) -> Mapping[str, Any] | None:
    """The prompts that were saved with a comparison; versions before 0.2 saved none."""
    from promptkit.report import shape

    if not file.exists():
        note(f"{file} is not there, so the page has no prompts; promptkit compare writes it")
        return None
    try:
        data = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        reason = f"not JSON ({error}); run promptkit compare again, or delete the file"
        raise DataError([Problem(reason, file=str(file), line=line)]) from None
    shape.check_prompts(data, file)
    return dict(data)


def _draw(data: Mapping[str, Any], folder: Path, kind: str) -> None:
    try:
        from promptkit.report import charts, draw
    except ImportError:
        raise MissingExtraError(f"--{kind}", "report") from None
    write: Callable[[Any], bytes] = draw.png if kind == "png" else lambda c: draw.svg(c).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for what, make in charts.PLOTS.items():
        if panels := make(data):
            file = folder / f"{what}.{kind}"
            file.write_bytes(write(charts.together(panels)))
            print(f"Written to {file}")
