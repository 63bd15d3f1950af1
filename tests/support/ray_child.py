"""Bulk prediction by two actors of a Ray cluster on this machine, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
from bulk_child import CHUNK, ByDigest

from promptkit import RayWorkers, Store, predict
from promptkit.bulk.bulk_run import BulkProgress

KILLED_AT = 800
"""Number of rows that are done when a process is killed."""


def actors() -> list[psutil.Process]:
    """Return the processes of the actors that hold a predictor."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if "MapWorker" in " ".join(one.cmdline())]


def predict_and_kill(inputs: Path, out: Path, victim: str) -> None:
    """Predict, and kill an actor or this process once in the middle."""
    killed: list[int] = []

    def kill(now: BulkProgress) -> None:
        if now.rows >= KILLED_AT and not killed and victim != "nobody":
            pid = actors()[0].pid if victim == "actor" else os.getpid()
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    done = predict(
        ByDigest(0.05),
        inputs,
        out=out,
        chunk_rows=CHUNK,
        store=Store(),
        workers=RayWorkers(actors=2),
        progress=kill,
    )
    print(done.rows, done.rejects, done.asked, done.before > 0, len(killed))


if __name__ == "__main__":
    inputs, out, victim = sys.argv[1:]
    predict_and_kill(Path(inputs), Path(out), victim)
