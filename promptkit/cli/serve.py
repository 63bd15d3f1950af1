"""`promptkit serve`: a predictor behind HTTP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptkit.cli import options
from promptkit.cli.console import note, say
from promptkit.cli.predictors import is_saved, predictor_named
from promptkit.cli.repeated import listed
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.frozen_file import SUFFIX
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.lookup.lookup import Lookup

Name = Annotated[
    str,
    typer.Argument(
        metavar="FROZEN|STUDENT|LOOKUP",
        help=tr(
            "Frozen predictor, such as fruit{SUFFIX}, folder of a student, or lookup "
            "table, such as names.lookup.",
            SUFFIX=SUFFIX,
        ),
    ),
]
Default = Annotated[
    str | None,
    typer.Option(metavar="LABEL", help=tr("Label of inputs that the lookup table does not have.")),
]
Fallback = Annotated[
    str | None,
    typer.Option(
        metavar="FROZEN|STUDENT",
        help=tr(
            "Frozen predictor or student that is asked about inputs that the lookup "
            "table does not have."
        ),
    ),
]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS", help=tr("Address to listen on; 0.0.0.0 for all of this machine.")
    ),
]
HostNames = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        metavar="NAME",
        callback=listed,
        help=tr(
            "Host name under which clients reach it, such as api.example.org; requests "
            "to others are refused. By default those of this machine; with another "
            "--host, any."
        ),
    ),
]
Port = Annotated[
    int, typer.Option(metavar="N", min=0, max=65535, help=tr("Port; 0 for one that is free."))
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="M", help=tr("The same model in another place."))
]
EmbedderName = Annotated[
    str | None,
    typer.Option("--embedder", metavar="M", help=tr("The same embedder in another place.")),
]
AnyModel = Annotated[
    bool,
    typer.Option("--any-model", help=tr("Answer with another model than the frozen one, too.")),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help=tr("Threads that compute; by default the fastest number.")
    ),
]
MaxBody = Annotated[
    int, typer.Option(metavar="BYTES", min=1, help=tr("Largest body of a request."))
]
MaxInputs = Annotated[
    int, typer.Option(metavar="N", min=1, help=tr("Longest list of inputs in a request."))
]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0.1, help=tr("Time to read a request, and to answer it.")),
]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0.001,
        help=tr("Requests of one client in a second; by default any number."),
    ),
]


def serve(
    predictor: Name,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    name: HostNames = None,
    model: ModelName = None,
    any_model: AnyModel = False,
    threads: Threads = None,
    gpu_layers: options.FrozenGpuLayers = None,
    embedder: EmbedderName = None,
    max_body: MaxBody = 1_000_000,
    max_inputs: MaxInputs = 1_000,
    timeout: Timeout = 60.0,
    rate: Rate = None,
    default: Default = None,
    fallback: Fallback = None,
) -> None:
    """Answer over HTTP with a saved predictor or a lookup table, until SIGTERM or Ctrl-C.

    Routes: /predict, /v1/systemone, /health, /metrics, and a page of them at /docs
    (docs/serving.md).
    """
    from promptkit.serving.application import LOCAL
    from promptkit.serving.http_server import run_server
    from promptkit.serving.service_limits import ServiceLimits

    limits = ServiceLimits(body_bytes=max_body, inputs=max_inputs, seconds=timeout, rate=rate)
    load = partial(
        predictor_named,
        model=model,
        any_model=any_model,
        threads=threads,
        gpu_layers=gpu_layers,
        embedder=embedder,
    )
    loaded: AnyPredictor
    if is_saved(predictor):
        if default is not None or fallback is not None:
            raise TaskError(tr("--default and --fallback are for lookup tables"))
        loaded = load(predictor)
    else:
        loaded = _table(predictor, default, None if fallback is None else load(fallback))

    if host not in LOCAL:
        note(tr("{host}: others can reach this address, and nobody is asked for a key", host=host))

    def ready(address: str) -> None:
        say(
            tr(
                "{name} at {address} (page: {address}/docs)",
                name=loaded.identity.name,
                address=address,
            )
        )

    run_server(
        loaded,
        host=host,
        port=port,
        names=name or (),
        limits=limits,
        ready=ready,
        notify=note,
    )


def _table(file: str, default: str | None, fallback: Any) -> Lookup:
    from promptkit.lookup.lookup import REFUSED, Lookup

    task = None if fallback is None else fallback.task
    label = REFUSED if default is None else default
    return Lookup(file, default=label, fallback=fallback, task=task)
