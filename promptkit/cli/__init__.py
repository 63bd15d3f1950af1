"""The command line.

Exits with 0, with 1 where `lint` finds something or `check` fails, with 2 after an error, with
130 after Ctrl-C, and with 143 where it was terminated.
"""

from __future__ import annotations

import sys

from promptkit.translation import tr

TYPE_CHECKING = False  # importing typing takes long enough to press Ctrl-C meanwhile

if TYPE_CHECKING:
    from promptkit.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the `promptkit` command."""
    try:
        _speak()
        if sys.argv[1:2] == ["lookup"]:
            from promptkit.cli.answers import answered

            if answered(sys.argv[2:]):
                return
        from promptkit.cli.commands import run  # takes long enough to press Ctrl-C meanwhile

        run()
    except KeyboardInterrupt:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is about to end
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def _speak() -> None:
    """Take the language from the arguments or the environment."""
    from promptkit.cli.language_option import speak, taken
    from promptkit.errors import PromptkitError

    sys.argv[1:], tag = taken(sys.argv[1:])
    try:
        speak(tag)
    except PromptkitError as error:
        sys.stderr.write(tr("error:") + f" {error}\n")
        sys.exit(2)


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from promptkit.cli.commands import app

    return app
