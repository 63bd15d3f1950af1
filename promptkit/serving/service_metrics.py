"""Metrics of a service, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    exposition,
)
from starlette.responses import Response

from promptkit.models.base import Usage
from promptkit.serving.joined_batches import JoinedBatch
from promptkit.serving.served import InputAnswer

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServiceMetrics:
    """Counts requests, answers and batches.

    Args:
        usage: A function that returns the cost of the predictor's work so far.
        waiting: A function that returns the number of inputs without an answer.
    """

    def __init__(self, usage: Callable[[], Usage], waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "promptkit_requests", "Requests.", ("route", "status"), registry=registry
        )
        self._errors = Counter(
            "promptkit_errors",
            "Requests refused or failed.",
            ("route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "promptkit_request_seconds",
            "Time from a request to its response.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._answers = Counter("promptkit_answers", "Answers.", ("kind",), registry=registry)
        self._batch_inputs = Histogram(
            "promptkit_batch_inputs", "Inputs of a batch.", buckets=SIZES, registry=registry
        )
        self._batch_requests = Histogram(
            "promptkit_batch_requests",
            "Requests joined in a batch.",
            buckets=SIZES,
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "promptkit_batch_seconds", "Time of a batch.", buckets=SECONDS, registry=registry
        )
        tokens = Counter("promptkit_tokens", "Tokens that the model read.", registry=registry)
        self._tokens, self._usage, self._counted = tokens, usage, usage().decoded_tokens
        gauge = Gauge("promptkit_waiting_inputs", "Inputs without an answer.", registry=registry)
        gauge.set_function(waiting)

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if status >= 400:
            self._errors.labels(route, str(status)).inc()

    def answered(self, answers: Iterable[InputAnswer]) -> None:
        """Count answers: given, held back, and failed."""
        for one in answers:
            kind = "abstained" if one.abstained else "failed" if one.failure else "given"
            self._answers.labels(kind).inc()

    def batched(self, batch: JoinedBatch) -> None:
        """Count a batch, and the tokens that it took."""
        self._batch_inputs.observe(batch.inputs)
        self._batch_requests.observe(batch.requests)
        self._batch_seconds.observe(batch.seconds)
        tokens = self._usage().decoded_tokens
        self._tokens.inc(max(0, tokens - self._counted))
        self._counted = tokens

    def response(self, accepted: str) -> Response:
        """Return the metrics in the format that a client accepts."""
        encoder, content_type = exposition.choose_encoder(accepted)
        return Response(encoder(self._registry), headers={"content-type": content_type})
