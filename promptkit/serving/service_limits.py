"""Limits of a service: how much a request may hold, take and wait, and how often one may come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from promptkit.errors import TaskError
from promptkit.translation import tr

MOST_CLIENTS = 10_000
"""Number of clients whose last requests are remembered."""


@dataclass(frozen=True)
class ServiceLimits:
    """Limits of a service.

    Raises:
        TaskError: A limit is not above 0.

    Example:
        >>> ServiceLimits(inputs=100).inputs
        100
    """

    body_bytes: int = 1_000_000
    """Size of the body of a request."""
    inputs: int = 1_000
    """Number of inputs of a request."""
    seconds: float = 60.0
    """Time to read a request, and time to answer it."""
    rate: float | None = None
    """Requests of one client in a second, in bursts of as many; None for any number."""
    waiting: int = 10_000
    """Number of inputs that wait for an answer at once."""
    connections: int = 1_000
    """Number of open connections."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise TaskError(tr("{name} is {value}; it is above 0", name=name, value=value))


class RateLimiter:
    """Counts the requests of each client: a bucket that fills at the rate and holds a second's."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._most = max(1.0, rate)
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, client: str) -> float:
        """Return the seconds until a client may send a request; 0 counts this one."""
        now = self._clock()
        left, then = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - then) * self._rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_CLIENTS:  # the one whose last request is the oldest
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if allowed else (1 - left) / self._rate
