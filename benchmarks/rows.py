"""Bulk prediction: its memory and its own time per row, and its rate beside that of the engine."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import promptkit as pk
from promptkit.bulk.bulk_run import CHUNK_ROWS
from promptkit.inference.any_predictor import prediction_of
from promptkit.models.base import Usage

TASK = "examples/routing"


class Instant:
    """A predictor that takes nearly no time: its probabilities are digests of the inputs."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.identity = pk.FakeModel(name="instant").identity
        self.usage = Usage()

    def predict(self, queries: Iterable[Any]) -> list[pk.Prediction]:
        return [*map(self._one, queries)]

    def _one(self, query: Any) -> pk.Prediction:
        labels = self.task.labels
        shares = hashlib.sha256(query.id.encode()).digest()[: len(labels)]
        total = sum(shares) + len(labels)
        probs = {label: (1 + x) / total for label, x in zip(labels, shares, strict=True)}
        best = max(probs, key=probs.__getitem__)
        made = prediction_of(self.task, query, best, model="instant")
        return replace(made, probs=probs, coverage=1.0)


def memory() -> None:
    """Print the memory and the time of rows that differ, by a predictor that takes no time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk memory")
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    task = pk.load_task(TASK)
    predictor, field = Instant(task), next(iter(task.types()[0].model_fields))
    with TemporaryDirectory() as folder:
        pk.predict(predictor, [{field: "a"}], out=Path(folder, "first.jsonl"), store=pk.Store())
        before, begun, used = _peak(), perf_counter(), process_time()
        rows = _rows(field, count)
        pk.predict(predictor, rows, out=Path(folder, "rows.jsonl"), store=pk.Store())
        seconds, used = perf_counter() - begun, process_time() - used
        size = Path(folder, "rows.jsonl").stat().st_size
    print(f"{count:,} rows: {_peak() - before:.0f} MB beyond what the process had")
    print(f"{used / count * 1e3:.2f} ms of CPU a row, {count / seconds:,.0f} rows/s")
    print(f"{size / 1e6:,.0f} MB of JSON")


def _rows(field: str, count: int) -> Iterator[dict[str, str]]:
    return ({field: f"a message that is number {number} of many"} for number in range(count))


def _peak() -> float:
    """Return the peak of this process in MB; it must not be the child of a larger one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate() -> None:
    """Print rates of SmolLM2 on the same prompts, asked at once and in bulk."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk rate")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--chunk-rows", type=int, default=100)
    given = parser.parse_args()
    predictor, rows = _routed(given.rows)
    queries = [*map(predictor.task.as_query, rows)]
    predictor.predict(queries[:8])  # warms up
    for name in ("at once", "in bulk", "at once", "in bulk"):
        begun, tokens = perf_counter(), predictor.usage.decoded_tokens
        if name == "at once":
            predictor.predict(queries)
        else:
            _in_bulk(predictor, rows, given.chunk_rows)
        seconds = perf_counter() - begun
        decoded = predictor.usage.decoded_tokens - tokens
        print(f"{name}: {given.rows / seconds:6.1f} rows/s, {decoded:,} tokens decoded")


def best() -> None:
    """Print rates of SmolLM2 in bulk, with all labels scored and with only the best wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk best")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--chunk-rows", type=int, default=CHUNK_ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    predictor, rows = _routed(given.rows)
    predictor.predict([*map(predictor.task.as_query, rows[:8])])  # warms up
    labels: dict[str, list[Any]] = {}
    ratios = []
    for _ in range(given.rounds):
        taken = {}
        for scores in ("all", "best"):
            asked: Any = replace(predictor, scores=scores)
            begun, tokens = perf_counter(), predictor.usage.decoded_tokens
            labels[scores] = _in_bulk(asked, rows, given.chunk_rows)
            taken[scores] = seconds = perf_counter() - begun
            decoded = predictor.usage.decoded_tokens - tokens
            print(f"{scores:4}: {given.rows / seconds:6.1f} rows/s, {decoded:,} tokens decoded")
        ratios.append(taken["all"] / taken["best"])
    same = sum(a == b for a, b in zip(labels["all"], labels["best"], strict=True))
    print(
        f"best: {median(ratios):.2f} times the rate of all, {same:,} of {given.rows:,} same labels"
    )


def _routed(count: int) -> tuple[pk.Predictor, list[dict[str, str]]]:
    """Return a prompt for SmolLM2, and rows that differ."""
    task = pk.load_task(TASK)
    predictor = pk.Predictor(task, pk.Template.of(task), pk.load_model("smollm2"), shots=4)
    field = next(iter(task.types()[0].model_fields))
    texts = [getattr(test.input, field) for test in task.tests]
    rows = [{field: f"{texts[n % len(texts)]} (message {n})"} for n in range(count)]
    return predictor, rows


def _in_bulk(predictor: pk.Predictor, rows: list[dict[str, str]], chunk_rows: int) -> list[Any]:
    """Predict rows into a file; return their labels."""
    with TemporaryDirectory() as folder:
        out = Path(folder, "rows.jsonl")
        pk.predict(predictor, rows, out=out, chunk_rows=chunk_rows, store=pk.Store())
        return [json.loads(line)["label"] for line in out.read_text().splitlines()]
