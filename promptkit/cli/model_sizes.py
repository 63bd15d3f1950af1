"""Models of growing numbers of labels: their option, and the table of what was made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptkit.cli.console import Screen, say
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.report.rich_tables import table
from promptkit.students.student_card import shown_figure
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.students.student import Student
    from promptkit.tuning.tuned_adapter import TunedAdapter

SeedCount = Annotated[
    int,
    typer.Option(
        "--seeds",
        metavar="N",
        min=1,
        help=tr("Number of draws of the examples, from --seed on; several make --out a folder."),
    ),
]


def counts_option(what: str) -> typer.models.OptionInfo:
    """Return the option --examples: a number of examples, or several.

    Args:
        what: What they are.
    """
    option: typer.models.OptionInfo = typer.Option(
        "--examples", metavar="N,…", callback=listed, help=what
    )
    return option


def counts_of(texts: Sequence[str] | None, least: int) -> list[int]:
    """Return the numbers of --examples. Raises `TaskError`."""
    try:
        counts = [int(text) for text in texts or ()]
    except ValueError:
        counts = [-1]
    if any(count < least for count in counts):
        given = ",".join(texts or ())
        raise TaskError(
            tr(
                "--examples {given!r}: write numbers of {least} or more, such as 50,100,200",
                given=given,
                least=least,
            )
        )
    return counts


def show_adapters(made: Sequence[TunedAdapter]) -> None:
    """Print a table of adapters."""
    _show(
        (
            *(tr("adapter"), tr("labels:"), tr("held out:"), tr("epochs:"), tr("made in:")),
            *(tr("held-out loss:"), tr("held-out accuracy:")),
        ),
        map(_adapter, made),
    )


def _adapter(made: TunedAdapter) -> Iterator[str]:
    card, figures = made.card, made.card["figures"]
    yield Path(made.path).name
    yield from (f"{card[name]:,}" for name in ("labels", "held_out", "epochs"))
    yield f"{card['seconds']:,.0f} s"
    yield f"{figures['loss_before']:.3f} → {figures['loss']:.3f}"
    before, after = figures["accuracy_before"], figures["accuracy"]
    yield "–" if after is None else f"{before:.3f} → {after:.3f}"


def show_students(made: Sequence[Student]) -> None:
    """Print a table of students, with their metric on the tests."""
    tests = [one.card["tests"] for one in made if one.card["tests"]]
    metric = tests[0]["student"]["metric"] if tests else ""
    columns = (
        tr("student"),
        tr("gold labels:"),
        tr("rows:"),
        tr("made in:"),
        *([f"{metric}:"] if metric else []),
    )
    _show(columns, (_student(one, metric) for one in made))


def _student(made: Student, metric: str) -> Iterator[str]:
    training = made.card["training"]
    yield made.name
    yield f"{made.profile.labels:,}"
    yield f"{training['rows']:,}"
    yield f"{made.profile.seconds:,.1f} s"
    if metric:
        yield shown_figure(metric, made.card["tests"]["student"])


def _show(columns: Sequence[str], rows: Iterator[Iterator[str]]) -> None:
    shown = table(*columns)
    for row in rows:
        shown.add_row(*row)
    Screen(width=None if sys.stdout.isatty() else 120).print("", shown, "", sep="\n")


def say_compare(task: str, shots: int, model: str, folder: Path) -> None:
    """Print the command that compares the models of a folder with prompts."""
    counts = ",".join(dict.fromkeys(["0", str(shots or 4)]))
    named = tr(" --model {model}", model=model) if model != "smollm2" else ""
    say(
        tr(
            "Compare them: promptkit compare {task} --shots {counts}{named} "
            "--learning-curve --with {folder}",
            task=task,
            counts=counts,
            named=named,
            folder=folder,
        )
    )
