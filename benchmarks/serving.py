"""Servers on loopback: a lookup table, and a model asked by one client and by many at once.

Server and clients share the processors. The clients are one process of plain sockets, which takes
less of them than an HTTP library would. The same requests in one process, as many at once, show
what the model itself takes: no server can be faster.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import psutil
from rich.console import Console

import promptkit as pk
from benchmarks.lookup import predictions, text_of
from benchmarks.tables import Table, show

EXAMPLES = Path(__file__).parents[1] / "examples"
CLIENTS = 16
PATIENCE = 600
"""Seconds after which an answer counts as lost, also on a busy machine."""
GOALS = (
    "goal: a lookup table at 2,000 requests/s (5,000), p99 below 20 ms",
    "goal: a model asked by 16 clients 3 times as fast as by one (6)",
)


@dataclass(frozen=True, slots=True)
class Load:
    """Costs of a server under a load."""

    clients: str
    rate: float
    """Requests in a second."""
    median: float
    p99: float
    cpu: float
    """Processor time of the server for a request."""


@contextmanager
def server(file: Path) -> Iterator[tuple[psutil.Process, str, int]]:
    """Serve a file; yield the process, its address and its port."""
    command = [sys.executable, "-m", "promptkit", "serve", str(file)]
    command += ["--port", "0", "--timeout", str(PATIENCE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if not words:
            raise RuntimeError("the server did not start")
        place = urlsplit(next(word for word in words if word.startswith("http")))
        try:
            yield psutil.Process(process.pid), place.hostname or "", place.port or 0
        finally:
            process.terminate()


def load(running: tuple[psutil.Process, str, int], asked: Sequence[str], clients: int) -> Load:
    """Ask for each text, as many at once as there are clients, each on its connection."""
    process, host, port = running
    rest = iter([_request(text) for text in asked])
    begun: dict[socket.socket, float] = {}
    parts: dict[socket.socket, bytes] = {}
    times: list[float] = []
    before, start = sum(process.cpu_times()[:2]), perf_counter()
    with selectors.DefaultSelector() as ready:

        def send(connection: socket.socket) -> None:
            request = next(rest, None)
            if request is None:
                ready.unregister(connection)
                connection.close()
                return
            begun[connection], parts[connection] = perf_counter(), b""
            connection.sendall(request)

        for _ in range(clients):
            connection = socket.create_connection((host, port), timeout=PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(connection, selectors.EVENT_READ)
            send(connection)
        while ready.get_map():
            answered = ready.select(PATIENCE)
            if not answered:
                raise RuntimeError(f"no answer within {PATIENCE} s")
            for key, _ in answered:
                connection = key.fileobj  # type: ignore[assignment]
                received = connection.recv(1 << 16)
                if not received:
                    raise RuntimeError("the server closed a connection")
                parts[connection] += received
                if _is_whole(parts[connection]):
                    times.append(perf_counter() - begun[connection])
                    send(connection)
    seconds = perf_counter() - start
    cpu = (sum(process.cpu_times()[:2]) - before) / len(times)
    times.sort()
    p99 = times[int(len(times) * 0.99)]
    return Load(str(clients), len(times) / seconds, times[len(times) // 2], p99, cpu)


def _request(body: str) -> bytes:
    raw = body.encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def _is_whole(response: bytes) -> bool:
    head, end, body = response.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(response.decode(errors="replace"))
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return len(body) == int(lengths[0].split(b":")[1])


def lookups(folder: Path, rows: int, requests: int) -> list[Load]:
    """Serve a table of some rows to one client and to many."""
    file = folder / "table.lookup"
    pk.build_lookup(predictions(rows), file)
    asked = [json.dumps({"text": text_of(number * 7919 % rows)}) for number in range(requests)]
    with server(file) as running:
        load(running, asked[:200], 1)
        return [load(running, asked, clients) for clients in (1, CLIENTS)]


def model(folder: Path, name: str, requests: int, shots: int) -> list[Load]:
    """Serve a model to one client and to many; each input is another one."""
    task = pk.load_task(EXAMPLES / name)
    own = pk.Predictor(task, pk.Template.of(task), pk.load_model("smollm2"), shots=shots)
    file = pk.freeze(own, folder / f"{name}.promptkit", with_state=True)
    (field,) = task.types()[0].model_fields
    texts = [str(getattr(one.input, field)) for one in task.tests]
    found = []
    with server(file) as running:
        for clients in (1, CLIENTS):
            asked = [
                json.dumps({field: f"{texts[number % len(texts)]} (message {clients}.{number})"})
                for number in range(requests)
            ]
            load(running, asked[:2], 1)
            found.append(load(running, asked, clients))
    return [*found, in_process(file, asked)]


def in_process(file: Path, asked: Sequence[str]) -> Load:
    """Ask a frozen predictor without a server, as many at once as there are clients."""
    predictor, process = pk.load_predictor(file), psutil.Process()
    queries = [predictor.task.as_query(json.loads(body)) for body in asked]
    predictor.predict(queries[:1])
    times = []
    before = sum(process.cpu_times()[:2])
    for first in range(1, len(queries), CLIENTS):
        start = perf_counter()
        predictor.predict(queries[first : first + CLIENTS])
        times.append(perf_counter() - start)
    count = len(queries) - 1
    cpu = (sum(process.cpu_times()[:2]) - before) / count
    times.sort()
    return Load("in process", count / sum(times), times[len(times) // 2], times[-1], cpu)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bulk serve", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="Rows of the lookup table.")
    parser.add_argument("--lookups", type=int, default=20_000, help="Requests to it.")
    parser.add_argument("--requests", type=int, default=160, help="Requests to the model.")
    parser.add_argument("--shots", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measured = {
            "lookup table": lookups(Path(name), options.rows, options.lookups),
            "model, names": model(Path(name), "fruit", options.requests, options.shots),
            "model, sentences": model(Path(name), "routing", options.requests, options.shots),
        }
    lines = [
        (
            what,
            one.clients,
            f"{one.rate:,.1f}",
            f"{one.rate / found[0].rate:.1f} ×",
            f"{one.median * 1e3:,.1f}",
            f"{one.p99 * 1e3:,.1f}",
            f"{one.cpu * 1e3:,.2f}",
        )
        for what, found in measured.items()
        for one in found
    ]
    columns = ("", "clients:", "requests/s:", "to one:", "median ms:", "p99 ms:", "CPU ms each:")
    show(Table("Servers on loopback", columns, lines, GOALS), Console(highlight=False))


if __name__ == "__main__":
    main()
