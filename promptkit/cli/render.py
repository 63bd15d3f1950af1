"""`promptkit render`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from promptkit.cli import arguments, options, shown
from promptkit.cli.console import note, write_json
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError, shorten
from promptkit.evaluation.label_swap import near_sentence
from promptkit.files.json_values import read_name
from promptkit.preview import lines
from promptkit.selection.draw import left_out
from promptkit.selection.orders import as_order
from promptkit.selection.strategies import selection_for
from promptkit.tasks.task import Task
from promptkit.templating.template import Template


def render(
    task: options.TaskName,
    shots: Annotated[
        list[str] | None,
        typer.Option(callback=listed, help="Numbers of shots, such as 0,1,2; by default 2."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            help="A test's id, an input as JSON, or the text of its only field; by default the "
            "first test."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which draw of shots.")] = 0,
    selection: Annotated[str | None, typer.Option(help=options.SELECTION_HELP)] = None,
    embedder: options.Embedder = None,
    near_duplicates: options.NearDuplicates = None,
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
    counts = arguments.numbers(shots or ["2"])
    chosen = next(iter(arguments.selections([selection] if selection else [], embedder)), None)
    arranged = as_order(order) if order else None
    runtime = None

    def show() -> None:
        nonlocal runtime
        loaded = arguments.task_named(task, near_duplicates)
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
            runtime = arguments.model_named(model or "smollm2", context, "as-is")
        if json_file is not None:
            data = [lines.as_json(prompt, runtime) for prompt in prompts]
            write_json(json_file, data if every or len(data) > 1 else data[0])
        if html_file is not None:
            shown.write_page(html_file, loaded.name, prompts, runtime)
        if html_file is None and json_file is None:
            look = shown.Look(tokens=tokens, spans=spans, whitespace=whitespace)
            shown.show(prompts, runtime, look)
        drawn = selection_for(loaded, chosen)
        found = {
            test.id: [demo.id for demo in out]
            for s in (range(seeds) if every else [seed])
            for test in asked
            if (out := left_out(loaded.demos, test, max(counts), s, drawn, loaded.is_test(test)))
        }
        if found:
            note(near_sentence(found, len(asked)))

    if watch:
        shown.watch(shown.places(task, template), html_file, show)
    else:
        show()


def _query(task: Task[Any, Any], query: str | None) -> Any:
    """A test by id, an input as JSON, or the text of an input's only field."""
    if query is None:
        if not task.tests:
            raise TaskError(f"task {task.name!r} has no tests; name a --query")
        return task.tests[0]
    known = task.tests.by_id(query) or task.demos.by_id(query)
    if known is not None:
        return known
    fields = [read_name(name, info) for name, info in task.types()[0].model_fields.items()]
    reason = "is no id of a test"
    if query.lstrip().startswith("{"):
        try:
            return task.as_query(json.loads(query))
        except (json.JSONDecodeError, RecursionError) as error:
            reason = f"is no id of a test, and not JSON: {error}"
    if len(fields) == 1:  # code in braces, for example, is an input's text
        return task.as_query({fields[0]: query})
    raise TaskError(
        f"--query {shorten(query)} {reason}; write the input as JSON, with {', '.join(fields)}"
    )
