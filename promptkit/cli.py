"""The command line: each command calls the library and prints.

Exits with 0, with 1 where `lint` finds something or `check` fails, with 2 after an error of the
user's, and with 130 after Ctrl-C.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

import promptkit
from promptkit import (
    cli_check,
    cli_compare,
    cli_import,
    cli_models,
    cli_optimise,
    cli_render,
    cli_report,
    options,
)
from promptkit import cli_inputs as inputs
from promptkit.console import err, write_json
from promptkit.errors import PromptkitError, TaskError
from promptkit.orders import as_order
from promptkit.preview import plain
from promptkit.scaffold import write_task
from promptkit.task import Task
from promptkit.templates import Template

if TYPE_CHECKING:
    from promptkit.linting.findings import Finding


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


app = typer.Typer(
    cls=_Group,
    help="Does one example help, do eight? Few-shot prompts compared on a local model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def render(
    task: options.TaskName,
    shots: options.Shots = "2",
    query: Annotated[
        str | None,
        typer.Option(help="A test's id or text, or an input as JSON; by default the first test."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which draw of shots.")] = 0,
    selection: Annotated[str | None, typer.Option(help=options.SELECTION_HELP)] = None,
    embedder: options.Embedder = None,
    order: Annotated[str | None, typer.Option(help=options.ORDER_HELP)] = None,
    verbalizer: Annotated[str | None, typer.Option(help="Words for the labels, by name.")] = None,
    template: Annotated[str | None, typer.Option(help="A template by name or path.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Show what this model reads: its chat template, its tokens.")
    ] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="List the tokens.")] = False,
    spans: Annotated[bool, typer.Option("--spans", help="List where the text comes from.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every prompt of the grid of --shots and --seeds.")
    ] = False,
    seeds: options.Seeds = 3,
    context: options.Context = None,
    whitespace: options.Whitespace = False,
    watch: options.Watch = False,
    html_file: options.HtmlFile = None,
    json_file: options.JsonFile = None,
) -> None:
    """Show the exact prompt that a model would read: in colour on a terminal, else to the byte."""
    counts = inputs.numbers(shots)
    chosen = next(iter(inputs.selections([selection] if selection else [], embedder)), None)
    arranged = as_order(order) if order else None
    runtime = None

    def show() -> None:
        nonlocal runtime
        loaded = inputs.task_named(task)
        first = _query(loaded, query)
        asked = loaded.tests if every and query is None else [first]
        words = loaded.verbalizer(verbalizer) if verbalizer else None
        renderer = Template.of(loaded, template).renderer(loaded, words)
        prompts = [
            renderer.render(test, n, seed=s, selection=chosen, order=arranged)
            for n in counts
            for s in (range(seeds) if every else [seed])
            for test in asked
        ]
        if runtime is None and (model or tokens):
            runtime = inputs.model_named(model or "smollm2", context, "as-is")
        if json_file is not None:
            data = [plain.as_json(prompt, runtime) for prompt in prompts]
            write_json(json_file, data if every or len(data) > 1 else data[0])
        if html_file is not None:
            cli_render.write_page(html_file, loaded.name, prompts, runtime)
        if html_file is None and json_file is None:
            look = cli_render.Look(tokens=tokens, spans=spans, whitespace=whitespace)
            cli_render.show(prompts, runtime, look)

    if watch:
        cli_render.watch(cli_render.places(task, template), html_file, show)
    else:
        show()


@app.command()
def lint(
    task: options.TaskName,
    template: options.Templates = None,
    model: Annotated[str | None, typer.Option(help="Check the tokens of this model too.")] = None,
    shots: Annotated[int, typer.Option(min=0, help="The most shots that must fit.")] = 8,
    context: options.Context = None,
    ignore: Annotated[list[str] | None, typer.Option(help="A rule that is not checked.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Change templates where it is safe, and show how.")
    ] = False,
    json_file: options.JsonFile = None,
) -> None:
    """Check templates, labels and examples before any model runs.

    Exits with 1 where there is an error or a warning; docs/lint.md lists the rules.
    """
    from promptkit.linting import fixes, show

    is_folder = Path(task).exists() or ":" not in task
    subject = task if is_folder else inputs.task_named(task)
    loaded = inputs.model_named(model, context, "as-is") if model is not None else None
    console = Console(highlight=False)

    def find() -> Sequence[Finding]:
        return promptkit.lint(
            subject, templates=template or (), model=loaded, shots=shots, ignore=ignore or ()
        )

    findings = find()
    for _ in range(3 if fix else 0):  # one change may show the next
        changed = fixes.fix(findings)
        for diff in changed.values():
            err.print(Text(diff), soft_wrap=True, end="")
        findings = find() if changed else findings
    if json_file != "-":
        show.show(findings, console)
    if json_file is not None:
        write_json(json_file, {"findings": show.as_json(findings)})
    if show.fails(findings):
        raise typer.Exit(1)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
) -> None:
    """Write a task that runs as it is, with comments where to edit it."""
    for path in write_task(folder):
        print(path)
    print(f"Edit them, then run: promptkit compare {shlex.quote(str(folder))}")


app.command()(cli_compare.compare)
app.command()(cli_check.check)
app.command()(cli_optimise.optimise)
app.command("import")(cli_import.import_file)
app.command()(cli_report.report)
app.add_typer(cli_models.app, name="models")


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


def _fail(reason: str) -> NoReturn:
    err.print(Text.assemble(("error: ", "bold red"), reason), soft_wrap=True)
    raise typer.Exit(2) from None


def _query(task: Task[Any, Any], query: str | None) -> Any:
    """A test by id, an input as JSON, or the text of an input's only field."""
    if query is None:
        if not task.tests:
            raise TaskError(f"task {task.name!r} has no tests; name a --query")
        return task.tests[0]
    known = task.tests.by_id(query) or task.demos.by_id(query)
    if known is not None:
        return known
    if query.lstrip().startswith("{"):
        try:
            return task.as_query(json.loads(query))
        except json.JSONDecodeError as error:
            raise TaskError(f"--query is not JSON: {error}") from None
    fields = list(task.types()[0].model_fields)
    if len(fields) == 1:
        return task.as_query({fields[0]: query})
    raise TaskError(
        f"--query {query!r} is no id of a test; write the input as JSON, with {', '.join(fields)}"
    )


if __name__ == "__main__":
    main()
