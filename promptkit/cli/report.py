"""`promptkit report`: the page and the plots of a saved run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from promptkit.cli.console import note, say
from promptkit.cli.outputs import check_file, check_folder, checked
from promptkit.errors import MissingExtraError
from promptkit.files import saving
from promptkit.translation import tr


def _plots(kind: str) -> Any:
    return typer.Option(
        metavar="FOLDER",
        help=tr("Write each plot as {kind} in this folder.", kind=kind.upper()),
        callback=checked(check_folder, f"--{kind}"),
    )


Folder = Annotated[Path, typer.Argument(metavar="DIR", help=tr("Saved run, such as runs/fruit."))]
Png = Annotated[Path | None, _plots("png")]
Svg = Annotated[Path | None, _plots("svg")]
Page = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help=tr("File of the page; by default DIR/report.html."),
        callback=checked(check_file, "--html"),
    ),
]


def report(folder: Folder, png: Png = None, svg: Svg = None, html_file: Page = None) -> None:
    """Write the page of a saved run again, or its plots as pictures."""
    from promptkit.experiments.comparison import records
    from promptkit.experiments.saved_runs import read_prompts, read_run
    from promptkit.report import page

    run = read_run(folder)
    prompts = read_prompts(run)
    if prompts is None:
        file = folder / "prompts.json"
        note(
            tr(
                "{file} does not exist, so the page has no prompts; promptkit compare writes it",
                file=file,
            )
        )
    for place, kind in ((png, "png"), (svg, "svg")):
        if place is not None:
            _draw(run.data, place, kind)
    target = html_file or folder / "report.html"
    text = page.html(run.data, records(run.predictions), prompts, _audit(folder))
    saving.write(target, text)
    say(tr("Written to {target}", target=target))


def _draw(data: Mapping[str, Any], folder: Path, kind: str) -> None:
    try:
        from promptkit.report.charts import plot, style
    except ImportError:
        raise MissingExtraError(f"--{kind}", "report") from None
    write: Callable[[Any], bytes] = style.png if kind == "png" else lambda c: style.svg(c).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for what, make in plot.PLOTS.items():
        if panels := make(data):
            file = folder / f"{what}.{kind}"
            saving.write(file, write(plot.together(panels)))
            say(tr("Written to {file}", file=file))


def _audit(folder: Path) -> Any:
    """Return the section on the audit in a run's folder; None where there is none."""
    from promptkit.auditing.audit import FILE
    from promptkit.auditing.audit_section import audit_section
    from promptkit.auditing.saved_audits import load_audit

    return audit_section(load_audit(folder)) if (folder / FILE).is_file() else None
