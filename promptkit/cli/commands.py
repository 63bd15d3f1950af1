"""The `promptkit` command and its subcommands."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import promptkit
from promptkit.cli import console, lookup, models, store, translated_help
from promptkit.cli.audit import audit
from promptkit.cli.card import card
from promptkit.cli.cascade import cascade
from promptkit.cli.check import check
from promptkit.cli.compare import compare
from promptkit.cli.distill import distill
from promptkit.cli.export import export
from promptkit.cli.freeze import freeze
from promptkit.cli.importing import import_file
from promptkit.cli.language_option import OPTION, speak
from promptkit.cli.lint import lint
from promptkit.cli.new import new
from promptkit.cli.optimise import optimise
from promptkit.cli.predict import merge, predict
from promptkit.cli.render import render
from promptkit.cli.repeated import Command
from promptkit.cli.report import report
from promptkit.cli.serve import serve
from promptkit.cli.translated_help import Translated
from promptkit.cli.tune import tune
from promptkit.errors import PromptkitError, shorten
from promptkit.translation import SOURCE, language, languages, tr

TRACEBACK = "PROMPTKIT_TRACEBACK"
"""The environment variable with which an unexpected error shows where it comes from."""

# What Typer handles itself. Click's own class is found from one of its kinds, since some versions
# of Typer hold a copy of Click.
_TYPERS_OWN: tuple[type[Exception], ...] = (
    *typer.BadParameter.__bases__[0].__bases__,
    typer.Abort,
    typer.Exit,
)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Let errors of usage be shown in the language in use."""
    try:
        yield
    except _TYPERS_OWN as error:
        if hasattr(error, "show") and language() != SOURCE:
            error.show = partial(translated_help.show, error)
        raise


class _Group(Translated, TyperGroup):
    """A group that reports why a command stopped in a line or two, never with a traceback."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        try:
            with _usage_errors():
                return super().make_context(*arguments, **more)
        except KeyboardInterrupt:  # which typer would call an abort
            raise typer.Exit(130) from None

    def main(self, *args: Any, **more: Any) -> Any:
        with console.streams():
            try:
                try:
                    return super().main(*args, **more)
                finally:
                    sys.stdout.flush()
            except OSError as error:  # of --help too, which no command prints
                sys.exit(_stopped(error))

    def invoke(self, ctx: Any) -> Any:
        try:
            with _usage_errors():
                result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except PromptkitError as error:
            console.fail(str(error))
        except KeyboardInterrupt:
            console.err.print(tr("interrupted; what was computed is stored"))
            raise typer.Exit(130) from None
        except (OSError, MemoryError, UnicodeEncodeError) as error:
            raise typer.Exit(_stopped(error)) from None
        except _TYPERS_OWN:
            raise
        except Exception as error:  # 1 would say that a check failed
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            console.fail(_unexpected(error))
        raise typer.Exit(2)


def _stopped(error: Exception) -> int:
    """Print what the system refused, and return the exit code."""
    match error:
        case OSError(filename=None):
            console.drop(sys.stdout)  # what is left of it would be an error again
            console.fail(tr("standard output: {strerror}", strerror=error.strerror or error))
        case OSError():
            console.fail(str(PromptkitError(f"{error.filename}: {error.strerror or error}")))
        case UnicodeEncodeError():
            name = shorten(error.object)
            console.fail(
                tr(
                    "{name}: no name of a file in this locale, whose encoding is {encoding}; "
                    "set LC_ALL=C.UTF-8, or PYTHONUTF8=1",
                    name=name,
                    encoding=error.encoding,
                )
            )
        case _:
            console.fail(tr("out of memory; use fewer or shorter rows"))
    return 2


app = typer.Typer(
    cls=_Group,
    help=tr("Compare few-shot prompts on a local model: does one example help, do eight?"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    *(render, lint, new, compare, check, optimise, freeze, predict, merge, serve, export),
    *(cascade, distill, tune, audit, card),
)
for command in _COMMANDS:
    app.command(cls=Command)(command)
app.command("import", cls=Command)(import_file)
app.command(cls=Command)(report)
app.add_typer(models.app, name="models")
app.add_typer(lookup.app, name="lookup")
app.add_typer(store.app, name="store")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help=tr("Show the version."))] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            OPTION,
            metavar="TAG",
            help=tr(
                "Language of messages, help and pages: {known}; by default that of the "
                "environment. It may stand behind a command too.",
                known=", ".join(languages()),
            ),
        ),
    ] = None,
) -> None:
    if lang is not None:
        speak(lang)
    if version:
        print(f"promptkit {promptkit.__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command that the arguments of this process name."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    _open_closed()
    for stream in (sys.stdout, sys.stderr):  # what is shown is what a file would hold
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


def _terminate(number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C: half-written files are deleted, and predictions are stored."""
    said = tr("terminated; what was computed is stored")
    os.write(2, f"{said}\n".encode())
    raise SystemExit(128 + number)


def _unexpected(error: Exception) -> str:
    """Return one line about an error in promptkit or in the user's own code."""
    *_, last = traceback.extract_tb(error.__traceback__)
    said = str(error).strip().partition("\n")[0]
    line = tr(
        "{name}{colon}{said} ({file}:{lineno}); this was not expected: please "
        "report it, with the traceback that {variable}=1 shows",
        name=type(error).__name__,
        colon=": " if said else "",
        said=said[:200],
        file=Path(last.filename).name,
        lineno=last.lineno,
        variable=TRACEBACK,
    )
    return str(PromptkitError(line))


def _open_closed() -> None:
    """Open the standard streams that are closed, or the next file would take their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # A closed stream is None to Python, and somewhere below somebody writes to it.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
