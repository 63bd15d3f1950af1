"""Calls that need more of the stack than a thread has.

llama.cpp splits a text into words with regular expressions, most of them run by C++'s own library,
which calls itself for every character of a word. Some ten thousand letters, dashes or spaces in a
row are more than the usual stack of 8 MB holds, and end the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from promptkit.errors import PromptError
from promptkit.models.runtime.access import lock_of_process
from promptkit.translation import tr

LONGEST = 2**20
"""Bytes of text that are split at most."""

T = TypeVar("T")

_stack_size = lock_of_process()


def with_stack(length: int, call: Callable[[], T]) -> T:
    """Return the result of a call on so many bytes of text. Raises `PromptError` for too many."""
    if length <= 2_000:  # for which any stack is large enough
        return call()
    if length > LONGEST:
        raise PromptError(
            tr(
                "a text of {length:,} bytes without a line that could be read alone; this "
                "model's tokenizer splits at most {LONGEST:,}: shorten it, or break its "
                "lines",
                length=length,
                LONGEST=LONGEST,
            )
        )
    with ThreadPoolExecutor(1) as threads:
        with _stack_size:  # which is set for all new threads at once
            # A byte of text was measured to take between 256 and 512 bytes of stack.
            before = threading.stack_size(2**20 + 1024 * length)
            try:
                result = threads.submit(call)
            except RuntimeError:
                raise PromptError(
                    tr(
                        "a text of {length:,} bytes: no memory is left to split it into words; "
                        "shorten it",
                        length=length,
                    )
                ) from None
            finally:
                threading.stack_size(before)
        return result.result()
