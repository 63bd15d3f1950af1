"""The command line: each command calls the library and prints.

Exits with 0, with 1 where `lint` finds something or `check` fails, with 2 after an error, and with
130 after Ctrl-C.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text
from typer.core import TyperGroup

import promptkit
from promptkit.cli import (
    check,
    compare,
    importing,
    lint,
    models,
    new,
    optimise,
    render,
    report,
)
from promptkit.cli.console import err
from promptkit.errors import PromptkitError

TRACEBACK = "PROMPTKIT_TRACEBACK"
"""The environment variable with which an unexpected error shows where it comes from."""


# What Typer handles itself. Click's own class is found from one of its kinds, since some versions
# of Typer hold a copy of Click.
_TYPERS_OWN: tuple[type[Exception], ...] = (
    *typer.BadParameter.__bases__[0].__bases__,
    typer.Abort,
    typer.Exit,
)


class _Group(TyperGroup):
    """Runs a command; says in a line or two why it stopped, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except PromptkitError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            err.print("interrupted; what was computed is stored")
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            _fail(f"{error.filename or 'output'}: {error.strerror or error}")
        except _TYPERS_OWN:
            raise
        except Exception as error:  # 1 would say that a check failed
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            _fail(_unexpected(error))


app = typer.Typer(
    cls=_Group,
    help="Does one example help, do eight? Few-shot prompts compared on a local model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(render.render)
app.command()(lint.lint)
app.command()(new.new)
app.command()(compare.compare)
app.command()(check.check)
app.command()(optimise.optimise)
app.command("import")(importing.import_file)
app.command()(report.report)
app.add_typer(models.app, name="models")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        print(f"promptkit {promptkit.__version__}")
        raise typer.Exit


def main() -> None:
    """The `promptkit` command."""
    # A closed stream is None to Python, and somewhere below somebody writes to it.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # what is shown is what a file would hold
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


def _unexpected(error: Exception) -> str:
    """Return one line about an error that is a fault of promptkit's, or of the user's own code."""
    *_, last = traceback.extract_tb(error.__traceback__)
    said = str(error).strip().partition("\n")[0]
    return (
        f"{type(error).__name__}{': ' if said else ''}{said[:200]} "
        f"({Path(last.filename).name}:{last.lineno}); this was not expected: please report it, "
        f"with the traceback that {TRACEBACK}=1 shows"
    )


def _fail(reason: str) -> NoReturn:
    err.print(Text.assemble(("error: ", "bold red"), reason), soft_wrap=True)
    raise typer.Exit(2) from None
