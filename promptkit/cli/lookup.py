"""`promptkit lookup`: answers that were predicted before, without a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promptkit.cli.answers import COMMANDS, input_of, line
from promptkit.cli.console import Screen, err, fail, note, say, write_json
from promptkit.cli.outputs import check_file
from promptkit.cli.repeated import Command, unsplit
from promptkit.cli.translated_help import Translated
from promptkit.errors import LookupMissError, PromptkitError
from promptkit.lookup.lookup import REFUSED, Lookup
from promptkit.text import counted
from promptkit.translation import mark, tr

if TYPE_CHECKING:
    from promptkit.lookup.lookup_build import Built
    from promptkit.lookup.lookup_entries import StoredAnswer
    from promptkit.lookup.lookup_table import Version

_DEFAULT = "find"


class _Finding(Translated, TyperGroup):
    """A group that looks inputs up where its first argument is no command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*COMMANDS, *ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Finding,
    help=tr(
        "Look inputs up in a table of predictions, without a model, or build such "
        "a table. `promptkit lookup FILE VALUE...` is `promptkit lookup find FILE "
        "VALUE...`."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help=tr("Lookup table."))]
_Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help=tr("Write the results as JSON; - is standard output.")
    ),
]


@app.command(_DEFAULT, cls=Command)
def find(
    file: _File,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE...",
            help=tr(
                "Inputs: texts, or JSON objects where the table has several input fields; "
                "by default the lines of standard input."
            ),
        ),
    ] = None,
    default: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help=tr("Label of inputs that the table does not have.")),
    ] = None,
    fallback: Annotated[
        Path | None,
        typer.Option(
            metavar="FROZEN|STUDENT",
            help=tr(
                "Frozen predictor or student that is asked about inputs that the table "
                "does not have."
            ),
        ),
    ] = None,
    json_file: _Json = None,
) -> None:
    """Look inputs up; exits with 2 where one is not found."""
    if default is not None and fallback is not None:
        raise PromptkitError(tr("--default and --fallback exclude each other; choose one"))
    table = Lookup(file, default=REFUSED if default is None else default)
    written = values or [row.rstrip("\r\n") for row in sys.stdin]
    inputs = [input_of(table, text) for text in written]
    found: list[StoredAnswer | None] = []
    for value in inputs:
        try:
            found.append(table.find(value))
        except LookupMissError as error:
            found.append(None)
            if fallback is None:
                fail(str(error))
    if fallback is not None and None in found:
        found = _completed(file, fallback, inputs, found)
    if json_file != "-":
        for text, answer in zip(written, found, strict=True):
            if answer is not None:
                say(line(text, answer))
    write_json(
        json_file,
        [
            {"input": value, **(_data(answer) if answer is not None else {"match": None})}
            for value, answer in zip(inputs, found, strict=True)
        ],
    )
    if None in found:
        raise typer.Exit(2)


@app.command(cls=Command)
def build(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help=tr("A .jsonl or .parquet file."))
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help=tr("Lookup table, made or refreshed."))],
    normalise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FIELD=]RULE,...",
            callback=unsplit,
            help=tr(
                "How inputs are compared that are not there as they are: nfc or nfkc, case "
                "and space, or none; by default those of the table, or nfc,case,space. "
                "Repeatable."
            ),
        ),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help=tr("Keep the inputs that PREDICTIONS does not have."))
    ] = False,
    keep: Annotated[
        int, typer.Option(metavar="N", min=0, help=tr("Versions that can be brought back."))
    ] = 1,
    json_file: _Json = None,
) -> None:
    """Build a lookup table of predictions, or a new version of one that is there."""
    check_file("--out", out)
    how: Any = {"normalise": normalise or (), "add": add, "keep": keep}
    made = write_table(predictions, out, quiet=json_file == "-", **how)
    write_json(json_file, _version_data(made.version) | _counts(made))


def write_table(predictions: Path, out: Path, *, quiet: bool = False, **how: Any) -> Built:
    """Build a table, and say what came of it; `how` is that of `promptkit.build_lookup`."""
    from promptkit.lookup.lookup_build import build_lookup

    made = build_lookup(predictions, out, **how)
    if not quiet:
        say(f"{out}: {_summary(made.version)}; {_size(out)}")
        if made.unanswered:
            note(
                tr(
                    "{predictions} without an answer left out",
                    predictions=counted(made.unanswered, "prediction", "predictions"),
                )
            )
        if made.collisions:
            note(
                tr(
                    "{collisions}: inputs that are the same after normalisation and have "
                    "different answers are only found as they are written",
                    collisions=counted(made.collisions, "collision", "collisions"),
                )
            )
            for text in made.collided:
                err.print(f"  {text}", soft_wrap=True)
    return made


def check_lookup(file: Path, predictions: Path, shard: str | None) -> None:
    """Raise where no lookup table can be written of predictions, before they are made.

    Raises:
        PromptkitError: The predictions are only a shard, or their format is not read.
        LookupFileError: The file is there, and no lookup table.
        MissingExtraError: LMDB is missing.
    """
    from promptkit.lookup.lookup_build import check_writable
    from promptkit.lookup.lookup_rows import SUFFIXES

    if shard is not None:
        raise PromptkitError(
            tr("--lookup: a shard is not all; merge the shards, then promptkit lookup build")
        )
    if predictions.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise PromptkitError(
            tr("--lookup: reads predictions whose --out ends in {known}", known=known)
        )
    check_writable(file)


@app.command(cls=Command)
def info(file: _File, json_file: _Json = None) -> None:
    """Show what a lookup table has, and what made it."""
    table = Lookup(file)
    version = table.version
    if json_file != "-":
        say(
            tr(
                "{file}: {inputs:,} inputs, {entries:,} after normalisation",
                file=file,
                inputs=version.inputs,
                entries=version.entries,
            )
        )
        for field in table.fields:
            say(
                tr(
                    "  field {name}: {rules}",
                    name=field.name,
                    rules=", ".join(field.rules) or tr("compared as it is"),
                )
            )
        for name, value in _origin(version):
            say(f"  {tr(name)}: {value}")
        say(
            tr(
                "  version {number}, {made}; {size}",
                number=version.number,
                made=version.made,
                size=_size(file),
            )
        )
    data = {"file": str(file), "bytes": file.stat().st_size, "sha256": table.sha256}
    write_json(json_file, data | _version_data(version))


@app.command(cls=Command)
def versions(file: _File, json_file: _Json = None) -> None:
    """List the versions of a lookup table."""
    from promptkit.terminal_text import TextTable

    table = Lookup(file)
    if json_file != "-":
        shown = TextTable(
            tr("version"), tr("made"), tr("model"), tr("template"), tr("inputs:"), tr("changes"), ""
        )
        for one in table.versions:
            shown.add_row(
                str(one.number),
                one.made,
                one.model or "",
                one.template or "",
                f"{one.inputs:,}",
                _changes(one),
                tr("restores {restores}", restores=one.restores)
                if one.restores is not None
                else "",
            )
        Screen(width=None if sys.stdout.isatty() else 120).print(shown)
    write_json(json_file, [_version_data(one) for one in table.versions])


@app.command(cls=Command)
def rollback(
    file: _File,
    to: Annotated[
        int | None, typer.Option(metavar="N", help=tr("Version; by default the one before."))
    ] = None,
    json_file: _Json = None,
) -> None:
    """Bring an earlier version of a lookup table back, as a new version."""
    from promptkit.lookup.lookup_build import roll_back

    made = roll_back(file, to)
    if json_file != "-":
        say(
            tr(
                "{file}: {summary}; it restores version {restores}",
                file=file,
                summary=_summary(made),
                restores=made.restores,
            )
        )
    write_json(json_file, _version_data(made))


def _completed(
    file: Path, saved: Path, inputs: Sequence[Any], found: Sequence[StoredAnswer | None]
) -> list[StoredAnswer | None]:
    """Return the answers, those of a saved predictor where there are none."""
    import promptkit

    predictor = promptkit.load_predictor(saved, notify=note)
    table = Lookup(file, fallback=predictor, task=predictor.task)
    missing = [value for value, one in zip(inputs, found, strict=True) if one is None]
    rest: Iterator[StoredAnswer] = iter(table.find_all(missing))
    return [next(rest) if one is None else one for one in found]


def _data(answer: StoredAnswer) -> dict[str, Any]:
    """Return an answer for JSON; probabilities with the digits that the table has."""
    data: dict[str, Any] = answer._asdict()
    for name in ("margin", "coverage"):
        data[name] = _rounded(data[name])
    if answer.probs is not None:
        data["probs"] = {name: _rounded(value) for name, value in answer.probs.items()}
    return data


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.7g}")


def _version_data(version: Version) -> dict[str, Any]:
    return version._asdict() | {"fields": [field._asdict() for field in version.fields]}


def _counts(made: Built) -> dict[str, Any]:
    names = ("unanswered", "repeated", "collisions", "collided")
    return {name: getattr(made, name) for name in names}


def _origin(version: Version) -> Iterator[tuple[str, str]]:
    """Yield what made a version, as far as it is known."""
    for name in (mark("model"), mark("template"), mark("predictor"), mark("source")):
        if value := getattr(version, name):
            yield name, value


def _summary(version: Version) -> str:
    return tr(
        "version {number}, {inputs:,} inputs ({changes})",
        number=version.number,
        inputs=version.inputs,
        changes=_changes(version),
    )


def _changes(version: Version) -> str:
    same = version.inputs - version.added - version.changed
    texts = (
        (version.added, tr("{count:,} added", count=version.added)),
        (version.changed, tr("{count:,} changed", count=version.changed)),
        (version.removed, tr("{count:,} removed", count=version.removed)),
        (same, tr("{count:,} as before", count=same)),
    )
    return ", ".join(text for count, text in texts if count) or tr("none")


def _size(file: Path) -> str:
    size = file.stat().st_size
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
