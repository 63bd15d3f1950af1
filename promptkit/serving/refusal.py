"""Requests that are refused: a status with the reason as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from starlette.responses import Response

from promptkit.errors import DataError, Problem, shorten

MOST_FLAWS = 20
"""Number of flaws of a request that an answer lists."""


class RefusalError(Exception):
    """Reason why a request is not answered.

    Args:
        status: Status of the response.
        detail: Reason, or the flaws of the request, each with its place.
        retry: Seconds after which the request may be sent again; None to say nothing of it.
    """

    def __init__(self, status: int, detail: Any, retry: float | None = None) -> None:
        self.status, self.detail, self.retry = status, detail, retry
        super().__init__(f"{status}: {detail}")

    def response(self) -> Response:
        """Return the refusal as it is sent; ASCII, since a name in it may be no text at all."""
        headers = {} if self.retry is None else {"retry-after": str(max(1, ceil(self.retry)))}
        said = json.dumps({"detail": self.detail})
        return Response(said, self.status, headers, media_type="application/json")


def flaw(place: Iterable[str | int], reason: str, value: object = None) -> Mapping[str, Any]:
    """Return one flaw of a request, as web frameworks write it."""
    said: dict[str, Any] = {"loc": ["body", *place], "msg": reason, "type": "value_error"}
    return said if value is None else {**said, "input": shorten(value)}


def unfit(place: Iterable[str | int], error: DataError) -> list[Mapping[str, Any]]:
    """Return the flaws of an input at some place of a request."""
    return [_of_input([*place], problem) for problem in error.problems]


def _of_input(place: list[str | int], problem: Problem) -> Mapping[str, Any]:
    field = [] if problem.field in (None, "input") else str(problem.field).split(".")
    return flaw([*place, *field], problem.reason, problem.value)
