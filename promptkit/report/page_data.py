"""Predictions in compact form for a page: 20,000 of them take about a megabyte."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from promptkit.inference.cell import levels_of
from promptkit.report.cell_names import CellNames, Data, Records
from promptkit.text import shown

MOST_LABELS = 12
"""Number of labels that keep their probability: the most probable, and the gold one besides."""


def payload(records: Records, prompts: Data | None) -> dict[str, Any]:
    """Return the predictions as columns of numbers, and tables of what the numbers stand for.

    `prompts` is what `packed_prompts.packed` makes, or None where the prompts were not saved.
    """
    labels, lines, ids, draws, shas = (defaultdict[Any, int](count().__next__) for _ in range(5))
    queries: dict[str, list[Any]] = {}
    methods = list(dict.fromkeys(m for r in records for m in r.get("calibrated") or ()))
    measured = list(dict.fromkeys(name for r in records for name in r.get("measures") or ()))
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for record in records:
        gold = None if record["correct"] is None else labels[shown(record["gold"])]
        query = record["id"]
        queries.setdefault(query, [len(queries), query, shown(record["input"]), gold])
        said = None if record["failure"] is not None else labels[shown(record["label"])]
        calibrated, measures = record.get("calibrated") or {}, record.get("measures") or {}
        values = (
            queries[query][0],
            lines[levels_of(record)],
            record["shots"],
            record["seed"],
            said,
            int(bool(record["correct"])),
            _rounded(record["margin"], 3),
            int(bool(record["near_tie"])),
            _rounded(record["coverage"], 4),
            record["tokens"],
            shas[record["prompt_sha256"]],
            draws[tuple(ids[id] for id in record["shot_ids"])],
            _probabilities(record["probs"], gold, labels),
            [_probabilities(calibrated.get(method), gold, labels) for method in methods],
            record["failure"] or record["text"],
            [_rounded(measures.get(name), 3) for name in measured] if measures else None,
            record.get("rationale"),
            record.get("thought"),
            [_vote(vote, labels) for vote in record.get("votes") or ()],
        )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    names = CellNames(records)
    return {
        "labels": [*labels],
        "lines": [names.of(line) for line in lines],
        "methods": methods,
        "measured": measured,
        "queries": [query[1:] for query in queries.values()],
        "ids": [*ids],
        "draws": [*draws],
        "shas": [sha[:16] for sha in shas],
        **_of_these(prompts, shas),
        "size": len(records),
        "names": COLUMNS,
        "columns": {name: column for name, column in columns.items() if any(column)},
    }


COLUMNS = (
    *("query", "line", "shots", "seed", "said", "right", "margin", "nearTie", "coverage"),
    *("tokens", "prompt", "draw", "probs", "calibrated", "text", "measures"),
    *("rationale", "thought", "votes"),
)
"""Columns with a value per prediction; one of nothing but nulls and zeros is left out."""


def embedded(data: Mapping[str, Any]) -> str:
    """Return a value as text that needs no escaping in HTML: JSON, compressed, in base 64."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII, so that any text survives
    return base64.b64encode(gzip.compress(text.encode("ascii"), 6, mtime=0)).decode("ascii")


def _of_these(prompts: Data | None, shas: Iterable[str]) -> dict[str, Any]:
    if prompts is None:
        return {"blocks": [], "prompts": []}
    places = prompts["prompts"]
    return {"blocks": prompts["blocks"], "prompts": [places.get(sha) for sha in shas]}


def _probabilities(
    probs: Data | None, gold: int | None, labels: defaultdict[Any, int]
) -> list[int] | None:
    """Return label, thousandths, label, thousandths, …, the most probable first."""
    if probs is None:
        return None
    ranked = sorted(
        ((labels[name], p) for name, p in probs.items()), key=lambda one: -(one[1] or 0)
    )
    kept = [one for i, one in enumerate(ranked) if i < MOST_LABELS or one[0] == gold]
    return [number for label, p in kept for number in (label, round(1000 * (p or 0)))]


def _vote(vote: Data, labels: defaultdict[Any, int]) -> list[Any]:
    """Return the answer of a sample, and what was generated before it."""
    said = None if vote["failure"] is not None else labels[shown(vote["label"])]
    return [said, vote["failure"], vote["thought"], vote["rationale"]]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
