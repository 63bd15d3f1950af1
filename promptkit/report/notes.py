"""Notes on the predictions of a comparison, and its cost, in sentences."""

from __future__ import annotations

from collections import Counter

from promptkit.report.cell_names import Data, Records
from promptkit.text import counted, visible


def notes(data: Data, records: Records) -> list[str]:
    """Return what a reader should know of the metrics and the predictions, a sentence each."""
    own = [visible(note, 1000) for note in data["notes"]]
    return [*own, *_left_out(records), *_failed(records), *_near_ties(records)]


def _left_out(records: Records) -> list[str]:
    fewer = sum(len(record["shot_ids"]) < record["shots"] for record in records)
    if not fewer:
        return []
    return [
        f"{fewer:,} of {counted(len(records), 'prediction')} saw fewer shots than asked, since "
        "more did not fit the context."
    ]


def _failed(records: Records) -> list[str]:
    reasons = Counter(r["failure"] for r in records if r["failure"] is not None)
    if not reasons:
        return []
    (reason, times), *_ = reasons.most_common(1)
    return [
        f"{sum(reasons.values()):,} of {counted(len(records), 'answer')} failed; "
        f"{times:,} of them: {visible(reason, 120)}"
    ]


def _near_ties(records: Records) -> list[str]:
    near = sum(bool(record["near_tie"]) for record in records)
    if not near:
        return []
    ties = "is a near-tie" if near == 1 else "are near-ties"
    return [
        f"{near:,} of {counted(len(records), 'answer')} {ties}: in another batch the second label "
        "may come first (near_tie in predictions.jsonl)."
    ]


def cost(usage: Data) -> list[str]:
    """Return the prompts, the time and the tokens of a comparison, in one or two sentences."""
    prompts, cached = usage["prompts"], usage["cached"]
    asked = prompts - cached
    where = f"{asked:,} asked, {cached:,} from the store" if asked else "all from the store"
    lines = [
        f"{counted(prompts, 'prompt')}: {where}; {usage['wall_seconds']:.1f} s, "
        f"{usage['decode_seconds']:.1f} s of it in the model."
    ]
    if asked:
        lines.append(
            f"{counted(usage['decoded_tokens'], 'token')} decoded; "
            f"{usage['naive_tokens']:,} without prefix sharing."
        )
    return lines
