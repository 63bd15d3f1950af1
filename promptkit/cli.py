"""The command line: each command calls the library and prints.

Exits with 0, with 1 where `lint` finds something, with 2 after an error of the user's, and with 130
after Ctrl-C.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

import promptkit
from promptkit import cli_import, cli_models, cli_render, cli_report, options
from promptkit.console import err, note, write_json
from promptkit.errors import PromptkitError, TaskError
from promptkit.files import load_task
from promptkit.models.base import Model, Sampling, Weights
from promptkit.predict import Fit, Progress
from promptkit.preview import plain
from promptkit.scaffold import write_task
from promptkit.selection import Selection
from promptkit.task import Task
from promptkit.templates import Template

if TYPE_CHECKING:
    from promptkit.linting.findings import Finding
    from promptkit.models.llama import LlamaModel


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
def compare(
    task: options.TaskName,
    model: options.Models = None,
    template: options.Templates = None,
    selection: options.Selections = None,
    shots: options.Shots = "0,1,2,4,8",
    seeds: options.Seeds = 3,
    limit: options.Limit = None,
    out: options.Out = None,
    store: options.StoreFile = None,
    fit: options.Fitting = "error",
    max_tokens: options.MaxTokens = 64,
    temperature: options.Temperature = 0.0,
    context: options.Context = None,
    threads: options.Threads = None,
    weights: options.WeightsName = "auto",
    adapter: options.Adapters = None,
    exact: options.Exact = False,
    json_file: options.JsonFile = None,
) -> None:
    """Ask every test after 0, 1, 2, … shots, and show what changes.

    Interrupt it at any time: what was computed is stored, and running it again goes on from there.
    """
    chosen: dict[str, Any] = {
        "selections": _choices("selection", selection or [], Selection),
        "shots": _numbers(shots),
        "fit": _choices("fit", [fit], Fit)[0],
        "sampling": _sampling(max_tokens, temperature),
    }
    kind = _choices("weights", [weights], Weights)[0]
    loaded = _load_task(task)
    folder = out or Path("runs") / _folder_name(loaded.name)
    _check_writable(folder, json_file)
    models = [
        one
        for name in dict.fromkeys(model or ["smollm2"])
        for one in _with_adapters(_load_model(name, context, kind, threads, exact), adapter or [])
    ]
    with _progress("asking", models) as progress:
        result = promptkit.compare(
            loaded,
            models=models,
            templates=template or (),
            seeds=seeds,
            limit=limit,
            store=store,
            progress=progress,
            announce=None if json_file == "-" else note,
            **chosen,
        )
    result.save(folder)
    data = result.to_dict()
    if json_file != "-":
        from promptkit.report import terminal

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        console.print(terminal.render(data, result.to_records(), console.width))
        print(f"Written to {folder}: comparison.json, predictions.jsonl, report.html")
    if json_file is not None:
        write_json(json_file, data)


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
    counts = _numbers(shots)
    chosen = _choices("selection", [selection], Selection)[0] if selection else None
    runtime = None

    def show() -> None:
        nonlocal runtime
        loaded = _load_task(task)
        first = _query(loaded, query)
        asked = loaded.tests if every and query is None else [first]
        renderer = Template.of(loaded, template).renderer(loaded)
        prompts = [
            renderer.render(test, n, seed=s, selection=chosen)
            for n in counts
            for s in (range(seeds) if every else [seed])
            for test in asked
        ]
        if runtime is None and (model or tokens):
            runtime = _load_model(model or "smollm2", context, "as-is")
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
    subject = task if is_folder else _load_task(task)
    loaded = _load_model(model, context, "as-is") if model is not None else None
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


def _folder_name(task: str) -> str:
    """A task's name as the name of a folder, in any script, on any system."""
    return re.sub(r'[\\/:*?"<>|\s\0-\x1f]+', "-", task).strip(".-") or "task"


def _fail(reason: str) -> NoReturn:
    err.print(Text.assemble(("error: ", "bold red"), reason), soft_wrap=True)
    raise typer.Exit(2) from None


def _load_task(name: str) -> Task[Any, Any]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute.isidentifier()) or Path(name).exists():
        return load_task(name, notify=note)
    sys.path.insert(0, os.getcwd())
    try:
        task = getattr(importlib.import_module(module), attribute)
    except PromptkitError:
        raise
    except Exception as error:  # whatever the module raises
        raise TaskError(f"{name}: {type(error).__name__}: {error}{_place(error)}") from error
    if not isinstance(task, Task):
        raise TaskError(f"{name} is a {type(task).__name__}, not a Task")
    return task


def _place(error: BaseException) -> str:
    """Where in a module of the user's an error was raised, if it was there."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames[1:] else ""


def _load_model(
    name: str,
    context: int | None,
    weights: Weights,
    threads: int | None = None,
    exact: bool = False,
) -> LlamaModel:
    doing = Text(f"loading {name} (the first time, it is tried in a process of its own)")
    with err.status(doing):
        return promptkit.load_model(
            name, context=context, threads=threads, exact=exact, weights=weights, notify=note
        )


def _with_adapters(model: LlamaModel, adapters: list[Path]) -> list[Model]:
    return [model, *(model.adapted(adapter) for adapter in adapters)]


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


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise TaskError(f"--shots {text!r}: write numbers of shots with commas, such as 0,1,2,4,8")
    return numbers


def _choices(name: str, values: list[str], kind: Any) -> list[Any]:
    for value in values:
        if value not in get_args(kind):
            raise TaskError(f"--{name} {value!r}: choose {' or '.join(get_args(kind))}")
    return values


def _sampling(max_tokens: int, temperature: float) -> Sampling:
    try:
        return Sampling(max_tokens, temperature)
    except ValueError as error:
        raise TaskError(str(error)) from None


def _check_writable(out: Path, json_file: str | None) -> None:
    """Whether results can be written: better known before the work than after it."""
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise TaskError(f"--out {out}: {place} is no folder that can be written; name another")
    file = Path(json_file or "-")
    if file.is_dir() or not file.parent.is_dir():
        raise TaskError(f"--json {file}: not a file in a folder that is there; name another")


@contextmanager
def _progress(what: str, models: Sequence[Model]) -> Iterator[Progress]:
    """A bar with the time left, and how many tokens a second the models read."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[speed]}"), TimeRemainingColumn()),
    )
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        job = bar.add_task(what, total=None, speed="")

        def update(done: int, total: int) -> None:
            tokens = sum(model.usage.decoded_tokens for model in models)
            seconds = sum(model.usage.decode_seconds for model in models)
            speed = f"{tokens / seconds:,.0f} tokens/s" if seconds else ""
            bar.update(job, completed=done, total=total, speed=speed)

        yield update


if __name__ == "__main__":
    main()
