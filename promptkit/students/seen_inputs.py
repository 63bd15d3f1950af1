"""Inputs that a predictor learnt from, by digests that its card can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

POOL_INPUTS = "pool_inputs"
"""Field of a student's card with the digest of each text that it learnt from, so that a comparison
can say where the tests are among them."""

MOST_INPUTS = 50_000
"""Largest number of texts whose digests a card holds."""


def text_digests(texts: Iterable[str]) -> list[str]:
    """Return a short digest of each text.

    Args:
        texts: Texts of inputs (`promptkit.students.input_texts`).

    Example:
        >>> text_digests(["lemon"])
        ['f464d7d71c06']
    """
    every = (text.encode("utf-8", "surrogatepass") for text in texts)
    return [hashlib.sha256(one).hexdigest()[:12] for one in every]
