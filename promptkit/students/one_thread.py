"""One thread for numerical libraries, for as long as a small model is trained."""

from __future__ import annotations

from functools import cache
from typing import Any


def one_thread() -> Any:
    """Return a context in which numerical libraries run one thread.

    These models are small: threads cost more than they save, and many times as much on a machine
    that is busy. It holds for libraries that were imported before the first call.
    """
    return _threads().limit(limits=1)


@cache
def _threads() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
