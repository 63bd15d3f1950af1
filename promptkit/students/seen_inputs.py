"""Inputs that a predictor learnt from, by digests that its card can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FIELD = "pool_inputs"
"""Field of a student's card with the digests of the texts that it learnt from, one after another,
so that a comparison can say where the tests are among them."""

MOST_INPUTS = 50_000
"""Largest number of texts whose digests a card holds."""

_SIZE = 12


def text_digests(texts: Iterable[str]) -> list[str]:
    """Return a short digest of each text.

    Args:
        texts: Texts of inputs (`promptkit.students.input_texts`).

    Example:
        >>> text_digests(["lemon"])
        ['f464d7d71c06']
    """
    every = (text.encode("utf-8", "surrogatepass") for text in texts)
    return [hashlib.sha256(one).hexdigest()[:_SIZE] for one in every]


def learnt_from(texts: Sequence[str]) -> dict[str, str]:
    """Return the field of a card about the texts that a student learnt from; none for too many."""
    if len(texts) > MOST_INPUTS:
        return {}
    return {FIELD: "".join(sorted({*text_digests(texts)}))}


def digests_in(card: Any) -> frozenset[str]:
    """Return the digests of a card; none where it has no such field."""
    found = card.get(FIELD) if isinstance(card, Mapping) else None
    if not isinstance(found, str):
        return frozenset()
    return frozenset(found[at : at + _SIZE] for at in range(0, len(found), _SIZE))
