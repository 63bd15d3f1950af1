"""The commands: each calls the library and prints."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
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
from promptkit.cli.repeated import Command
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

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super().make_context(*arguments, **more)
        except KeyboardInterrupt:  # which typer would call an abort
            raise typer.Exit(130) from None

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


app.command(cls=Command)(render.render)
app.command(cls=Command)(lint.lint)
app.command(cls=Command)(new.new)
app.command(cls=Command)(compare.compare)
app.command(cls=Command)(check.check)
app.command(cls=Command)(optimise.optimise)
app.command("import", cls=Command)(importing.import_file)
app.command(cls=Command)(report.report)
app.add_typer(models.app, name="models")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        print(f"promptkit {promptkit.__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command that the arguments of this process name."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    # A closed stream is None to Python, and somewhere below somebody writes to it.
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # what is shown is what a file would hold
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


def _terminate(number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C: what is half-written is deleted, and what was computed is stored."""
    os.write(2, b"terminated; what was computed is stored\n")
    raise SystemExit(128 + number)


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
