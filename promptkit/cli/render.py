"""`promptkit render`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from promptkit.cli import arguments, options
from promptkit.cli.console import Screen, err, exact, fail, note, say, write_json
from promptkit.cli.repeated import listed
from promptkit.errors import PromptkitError, TaskError, escaped, shorten
from promptkit.experiments.prompt_warnings import near_sentence
from promptkit.files import saving
from promptkit.files.json_values import read_name
from promptkit.models.base import Model
from promptkit.preview import colour, lines
from promptkit.preview.tokenized import preview, read_by
from promptkit.preview.watch import changes
from promptkit.prompts import html
from promptkit.prompts.invisible import marked
from promptkit.prompts.prompt import Prompt
from promptkit.selection.draw import left_out
from promptkit.selection.orders import as_order
from promptkit.selection.strategies import selection_for
from promptkit.tasks.asked_language import task_in
from promptkit.tasks.task import Task
from promptkit.templating.template import Template
from promptkit.text import counted
from promptkit.translation import tr


def render(
    task: options.TaskName,
    shots: Annotated[
        list[str] | None,
        typer.Option(metavar="K,...", callback=listed, help=tr("Shot counts; by default 2.")),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            metavar="QUERY",
            help=tr(
                "A test's id, an input as JSON, or the text of the only input field; by "
                "default the first test."
            ),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help=tr("Number of the draw of shots."))] = 0,
    selection: Annotated[
        str | None, typer.Option(metavar="NAME", help=options.SELECTION_HELP)
    ] = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
    order: options.OneOrder = None,
    language: options.OneLanguage = None,
    verbalizer: options.OneVerbalizer = None,
    template: options.OneTemplate = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help=tr("Show the prompt as this model reads it, with its chat template."),
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help=tr("List the tokens, of smollm2 without --model."))
    ] = False,
    spans: Annotated[
        bool, typer.Option("--spans", help=tr("List the origin of every stretch of text."))
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help=tr("Render every prompt of the grid of --shots and --seeds.")),
    ] = False,
    seeds: options.Seeds = 3,
    think: options.Think = 0,
    context: options.Context = None,
    whitespace: options.Whitespace = False,
    watch: options.Watch = False,
    html_file: options.HtmlFile = None,
    json_file: options.JsonFile = None,
) -> None:
    """Show the exact prompt that a model would read.

    It is in colour on a terminal; redirected, it is the prompt to the byte.
    """
    counts = arguments.numbers(shots or ["2"])
    if think and not (model or tokens):
        raise TaskError(tr("--think: a model's own chat template has its thoughts; name a --model"))
    chosen = next(iter(arguments.selections([selection] if selection else [], embedder)), None)
    arranged = as_order(order) if order else None
    runtime = None

    def show() -> None:
        nonlocal runtime
        loaded = arguments.task_named(task, near_duplicates)
        loaded = task_in(loaded, language) if language else loaded
        first = _query(loaded, query)
        asked = loaded.tests if every and query is None else [first]
        words = loaded.verbalizer(verbalizer) if verbalizer else None
        renderer = Template.of(loaded, template).renderer(loaded, words)
        prompts = [
            replace(
                renderer.render(test, n, seed=s, selection=chosen, order=arranged),
                thinks=think > 0,
            )
            for n in counts
            for s in (range(seeds) if every else [seed])
            for test in asked
        ]
        if runtime is None and (model or tokens):
            runtime = arguments.model_named(model or "smollm2", context=context, weights="as-is")
        if json_file is not None:
            data = [lines.as_json(prompt, runtime) for prompt in prompts]
            write_json(json_file, data if every or len(data) > 1 else data[0])
        if html_file is not None:
            page = html.html(loaded.name, [preview(prompt, runtime) for prompt in prompts])
            saving.write(html_file, page)
            say(tr("Written to {html_file}", html_file=html_file))
        if html_file is None and json_file is None:
            _print(prompts, runtime, tokens=tokens, spans=spans, whitespace=whitespace)
        drawn = selection_for(loaded, chosen)
        found: dict[str, list[str]] = {}
        for s in range(seeds) if every else [seed]:
            for test in asked:
                pool, apart = loaded.pool_of(test), loaded.is_test(test)
                if out := left_out(pool, test, max(counts), s, drawn, apart):
                    found[test.id] = [demo.id for demo in out]
        if found:
            note(near_sentence(found, len(asked)))

    if watch:
        _watch(_sources(task, template), html_file, show)
    else:
        show()


def _query(task: Task[Any, Any], query: str | None) -> Any:
    """Return a test by its id, or an input given as JSON or as the text of its only field."""
    if query is None:
        if not task.tests:
            raise TaskError(tr("task {name!r} has no tests; name a --query", name=task.name))
        return task.tests[0]
    known = task.tests.by_id(query) or task.demos.by_id(query)
    if known is not None:
        return known
    fields = [read_name(name, info) for name, info in task.types()[0].model_fields.items()]
    reason = tr("is no id of a test")
    if query.lstrip().startswith("{"):
        try:
            return task.as_query(json.loads(query))
        except (json.JSONDecodeError, RecursionError) as error:
            reason = tr("is no id of a test, and not JSON: {error}", error=error)
    if len(fields) == 1:  # code in braces, for example, is an input's text
        return task.as_query({fields[0]: query})
    raise TaskError(
        tr(
            "--query {query} {reason}; write the input as JSON, with {fields}",
            query=shorten(query),
            reason=reason,
            fields=", ".join(fields),
        )
    )


def _print(
    prompts: Sequence[Prompt], model: Model | None, *, tokens: bool, spans: bool, whitespace: bool
) -> None:
    """Print prompts: in colour on a terminal, and to the byte where output is redirected."""
    for prompt in prompts:
        if len(prompts) > 1:
            sys.stdout.flush()
            number = counted(len(prompt.shots), "shot", "shots")
            err.print(Text(f"\n── {number}, {escaped(str(prompt.query))}", "dim"), soft_wrap=True)
        if tokens and model is not None:
            sys.stdout.write(lines.token_lines(prompt, model))
        elif spans:
            sys.stdout.write(lines.span_lines(prompt, model))
        elif sys.stdout.isatty():
            colour.show(Screen(), preview(prompt, model), whitespace=whitespace)
        elif whitespace:
            print(marked(str(read_by(prompt, model)), spaces=True))
        else:
            exact(str(read_by(prompt, model)))


def _sources(task: str, template: str | None) -> list[Path]:
    """Return the files and folders that a rendering is made of."""
    folder = Path(task)
    found = [folder.parent if folder.name == "task.toml" else folder]
    if template is not None and Path(template).parent != Path():
        found.append(Path(template).parent)
    return [place for place in found if place.exists()]


def _watch(watched: Sequence[Path], written: Path | None, show: Callable[[], None]) -> None:
    """Show again whenever something changes, errors too, until Ctrl-C."""
    try:
        for _ in changes(watched, written):
            if sys.stdout.isatty():
                Screen().clear()
            try:
                show()
            except PromptkitError as error:
                fail(str(error))
            sys.stdout.flush()
            if getattr(sys.stdout, "gone", False):
                return
            err.print(Text(tr("\nwatching for changes; Ctrl-C ends"), "dim"))
    except KeyboardInterrupt:
        err.print()
