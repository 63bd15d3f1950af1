"""`promptkit models`: the prepared weights of this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.text import Text

from promptkit.cli.console import Screen, err, say, write_json
from promptkit.cli.options import JsonFile
from promptkit.cli.repeated import Command
from promptkit.errors import ModelError, escaped
from promptkit.models.base import Weights
from promptkit.terminal_text import TextTable
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.models.prepare.record import Choice
    from promptkit.models.runtime.context import RuntimeSettings

app = typer.Typer(
    help=tr("List, prepare or remove the prepared weights of this machine."),
    rich_markup_mode=None,
    add_completion=False,
)

_KINDS = [weights for weights in get_args(Weights) if weights != "as-is"]


@app.callback(invoke_without_command=True)
def _models(context: typer.Context, json_file: JsonFile = None) -> None:
    if context.invoked_subcommand is None:
        list_models(json_file)


@app.command("list", cls=Command)
def list_models(json_file: JsonFile = None) -> None:
    """List the prepared weights, their speed and their size."""
    from promptkit.models.prepare.record import known, root

    choices = list(known())
    if json_file != "-":
        if choices:
            _print(_list(choices))
        total = sum({choice.made: choice.made_bytes for choice in choices}.values())
        say(tr("{size} in {root}", size=_size(total), root=root()))
    write_json(json_file, [_data(choice) for choice in choices])


@app.command(cls=Command)
def prepare(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help=tr("A .gguf file, smollm2, or hf:owner/repo/file.gguf.")
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help=tr(
                "auto, the fastest that is as precise as the file, or a type whatever its "
                "precision: {names}.",
                names=", ".join(_KINDS[1:]),
            ),
        ),
    ] = "auto",
    json_file: JsonFile = None,
) -> None:
    """Measure which weights and settings run a model fastest here, and keep them."""
    from promptkit.models.prepare.model_files import find, verify
    from promptkit.models.prepare.prepare import prepare

    if weights not in _KINDS:
        raise ModelError(
            tr("--weights {weights!r}: choose {KINDS}", weights=weights, KINDS=", ".join(_KINDS))
        )
    kind = cast(Weights, weights)
    try:
        with err.status(Text(tr("loading {model}", model=escaped(model)))) as status:
            file = verify(find(model))
            choice = prepare(file, kind, lambda message: status.update(Text(message)))
    except KeyboardInterrupt:
        err.print(tr("interrupted; nothing was kept"))
        raise typer.Exit(130) from None
    if json_file != "-":
        _print(_measured(choice))
        print(_outcome(choice))
    write_json(json_file, _data(choice))


@app.command(cls=Command)
def remove(
    model: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help=tr("Model, as it is listed."))
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=tr("Remove all."))] = False,
    json_file: JsonFile = None,
) -> None:
    """Delete prepared weights, never the models' own files."""
    from promptkit.models.prepare.record import digests, forget

    if bool(model) == everything:
        raise ModelError(tr("name the models to remove, or all of them with --all"))
    found = digests() if everything else [one for name in model or [] for one in _digests(name)]
    freed = sum(map(forget, dict.fromkeys(found)))
    if json_file != "-":
        print(tr("{size} freed", size=_size(freed)))
    write_json(json_file, {"freed_bytes": freed})


def _digests(name: str) -> list[str]:
    """Return the digests of the files that a name stands for."""
    from promptkit.models.prepare.model_files import digest, find
    from promptkit.models.prepare.record import digests, known

    listed = [choice.sha256 for choice in known() if choice.name == name]
    if not listed and (sha256 := digest(find(name))) in digests():
        listed = [sha256]
    if not listed:
        raise ModelError(tr("nothing is kept for {name}; see promptkit models", name=name))
    return listed


def _list(choices: Sequence[Choice]) -> TextTable:
    from promptkit.models.prepare.record import machine

    table = _table(tr("model"), tr("asked"), tr("runs as"), tr("times as fast"), tr("size"))
    here = machine()
    for choice in choices:
        elsewhere = "" if choice.machine == here else tr(" (measured on another machine)")
        table.add_row(
            escaped(choice.name),
            choice.asked,
            f"{choice.label}{elsewhere}",
            f"{choice.gain:.1f}",
            _size(choice.made_bytes),
        )
    return table


def _measured(choice: Choice) -> TextTable:
    table = _table(
        *(tr("weights"), tr("attention"), tr("cache"), tr("micro-batch"), tr("threads")),
        *(tr("tokens/s"), tr("nats from F32")),
    )
    told = set[str]()
    for one in choice.measured:
        distance = choice.distances.get(one.weights)
        shown = "" if distance is None or one.weights in told else f"{distance:.4f}"
        told.add(one.weights)
        settings = one.settings
        numbers = map(str, (settings.batch, settings.threads))
        kinds = (one.weights, _attention(settings), settings.cache.upper())
        table.add_row(*kinds, *numbers, f"{one.speed:,.0f}", shown)
    for kind, reason in choice.left_out.items():
        table.add_row(kind, tr("left out: {reason}", reason=escaped(reason)))
    return table


def _outcome(choice: Choice) -> str:
    settings = choice.settings
    runs = tr(
        "{label}, {attention} attention, {cache} cache, micro-batches of {batch}, "
        "{threads} threads",
        label=escaped(choice.label),
        attention=_attention(settings),
        cache=settings.cache.upper(),
        batch=settings.batch,
        threads=settings.threads,
    ) + (
        tr(", {gpu_layers} layers on a GPU", gpu_layers=settings.gpu_layers)
        if settings.gpu_layers
        else ""
    )
    where = f"\n{_size(choice.made_bytes)}: {escaped(str(choice.made))}" if choice.made else ""
    busy = "" if choice.settled else tr("The machine was busy, so the speeds had not settled.\n")
    return tr(
        "{busy}It runs as {runs}: {gain:.1f} times as fast as its file usually does.{where}",
        busy=busy,
        runs=runs,
        gain=choice.gain,
        where=where,
    )


def _attention(settings: RuntimeSettings) -> str:
    return tr("flash") if settings.flash_attention else tr("plain")


def _table(*columns: str) -> TextTable:
    first, *others = columns
    return TextTable(first, *(f"{name}:" for name in others))


def _print(table: TextTable) -> None:
    Screen(width=None if sys.stdout.isatty() else 120).print(table)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _data(choice: Choice) -> Any:
    made = choice.made
    return choice.model_dump(mode="json") | {"file": None if made is None else str(made)}
