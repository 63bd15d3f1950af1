"""The server of a predictor: it listens, and stops when the requests in flight are answered."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from promptkit.errors import PromptkitError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.serving.application import LOCAL, service
from promptkit.serving.bounded_connection import bounded
from promptkit.serving.service_limits import ServiceLimits
from promptkit.translation import tr

_STOPPING = (signal.SIGINT, signal.SIGTERM)


def run_server(
    predictor: AnyPredictor,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    names: Sequence[str] = (),
    limits: ServiceLimits = ServiceLimits(),
    ready: Callable[[str], None] = lambda address: None,
    notify: Callable[[str], None] = lambda message: None,
) -> None:
    """Serve a predictor until the process is told to stop (SIGTERM, Ctrl-C).

    Args:
        predictor: A predictor with a task.
        host: The address to listen on.
        port: The port; 0 for one that is free.
        names: Names under which clients may ask, beside those of this machine; without any, and
            with another address than its own, all of them.
        limits: What requests may hold, take and wait.
        ready: A function that is called with the address, once the server listens.
        notify: A function that is called with errors that no client caused.

    Raises:
        PromptkitError: The address cannot be listened on.
        TaskError: The predictor has no task.
    """
    with _listening(host, port) as listener:
        hosts = (*LOCAL, *names) if names or host in LOCAL else None
        application = service(predictor, limits=limits, hosts=hosts, notify=notify)
        config = uvicorn.Config(
            application,
            http=bounded(limits.seconds),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_graceful_shutdown=round(limits.seconds) + 1,
        )
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{listener.getsockname()[1]}")
        with _unraised():
            asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where the protocol is named.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1024)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PromptkitError(
                tr(
                    "{host}:{port}: {reason}; choose another with --host or --port",
                    host=host,
                    port=port,
                    reason=reason,
                )
            ) from None
        yield listener


@contextmanager
def _unraised() -> Iterator[None]:
    """Let the signals that stop the server do nothing more when it has stopped."""
    handlers: dict[int, Any] = {}
    for number in _STOPPING:
        handlers[number] = signal.signal(number, lambda number, frame: None)
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
