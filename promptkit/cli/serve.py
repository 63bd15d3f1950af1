"""`promptkit serve`: a predictor behind HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from promptkit.cli.console import note, say
from promptkit.cli.predictors import frozen_named
from promptkit.errors import MissingExtraError
from promptkit.inference.frozen_file import SUFFIX

Name = Annotated[
    str, typer.Argument(metavar="FROZEN", help=f"Frozen predictor, such as fruit{SUFFIX}.")
]
Host = Annotated[
    str,
    typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all of this machine."),
]
Port = Annotated[
    int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 for one that is free.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="M", help="The same model in another place.")
]
AnyModel = Annotated[
    bool, typer.Option("--any-model", help="Answer with another model than the frozen one, too.")
]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Threads that compute; by default the fastest number."),
]
MaxBody = Annotated[int, typer.Option(metavar="BYTES", min=1, help="Largest body of a request.")]
MaxInputs = Annotated[
    int, typer.Option(metavar="N", min=1, help="Longest list of inputs in a request.")
]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0.1, help="Time to read a request, and to answer it."),
]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N", min=0.001, help="Requests of one client in a second; by default any number."
    ),
]


def serve(
    predictor: Name,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    model: ModelName = None,
    any_model: AnyModel = False,
    threads: Threads = None,
    max_body: MaxBody = 1_000_000,
    max_inputs: MaxInputs = 1_000,
    timeout: Timeout = 60.0,
    rate: Rate = None,
) -> None:
    """Answer over HTTP with a frozen predictor, until SIGTERM or Ctrl-C.

    Routes: /predict, /v1/systemone, /health, /metrics, and a page of them at /docs
    (docs/serving.md).
    """
    try:
        from promptkit.serving.http_server import run_server
        from promptkit.serving.service_limits import ServiceLimits
    except ImportError as error:
        if (error.name or "").startswith("promptkit"):
            raise
        raise MissingExtraError("serve", "server") from None
    limits = ServiceLimits(body_bytes=max_body, inputs=max_inputs, seconds=timeout, rate=rate)
    loaded = frozen_named(predictor, model, any_model=any_model, threads=threads)

    def ready(address: str) -> None:
        say(f"{loaded.identity.name} at {address} (page: {address}/docs)")

    run_server(loaded, host=host, port=port, limits=limits, ready=ready, notify=note)
