"""Rows of a pool that are a test of the task, or nearly one: no student learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.tasks.examples import canonical_text, texts_in
from promptkit.tasks.near_duplicates import alike, band_keys, normal_form
from promptkit.tasks.task import Task

_BLOCK = 4096  # rows that are compared at once

Fields = Sequence[Mapping[str, Any]]


def is_tested(task: Task[Any, Any], rows: Fields) -> NDArray[np.bool_]:
    """Return, for each row, whether it is a test or a near-duplicate of one.

    Args:
        task: Task of the tests; where it allows near-duplicates, only equal inputs count.
        rows: Inputs as JSON has their fields.
    """
    tests = [task.fields_of(test) for test in task.tests]
    keys = {canonical_text(test) for test in tests}
    found = np.array([canonical_text(row) in keys for row in rows], np.bool_)
    if task.near_duplicates == "allow" or not tests:
        return found
    texts = [normal_form(texts_in(test)) for test in tests]
    bands = [_by_key(column) for column in band_keys(texts).T.tolist()]
    for begin in range(0, len(rows), _BLOCK):
        forms = [normal_form(texts_in(row)) for row in rows[begin : begin + _BLOCK]]
        for place, (form, own) in enumerate(zip(forms, band_keys(forms).tolist(), strict=True)):
            near = {
                test for known, key in zip(bands, own, strict=True) for test in known.get(key, ())
            }
            found[begin + place] |= any(alike(texts[test], form) for test in near)
    return found


def _by_key(keys: Sequence[int]) -> dict[int, list[int]]:
    known: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        known.setdefault(key, []).append(place)
    return known
