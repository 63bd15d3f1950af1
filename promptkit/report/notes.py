"""Notes on the predictions of a comparison, and its cost, in sentences."""

from __future__ import annotations

from collections import Counter

from promptkit.report.cell_names import Data, Records
from promptkit.text import counted, visible


def notes(data: Data, records: Records) -> list[str]:
    """Return what a reader should know of the metrics and the predictions, a sentence each."""
    lines = [visible(note, 1000) for note in data["notes"]]
    answers = counted(len(records), "answer")
    if fewer := sum(len(record["shot_ids"]) < record["shots"] for record in records):
        lines.append(
            f"{fewer:,} of {counted(len(records), 'prediction')} saw fewer shots than asked, since "
            "more did not fit the context."
        )
    reasons = Counter(r["failure"] for r in records if r["failure"] is not None)
    for reason, times in reasons.most_common(1):
        lines.append(
            f"{reasons.total():,} of {answers} failed; {times:,} of them: {visible(reason, 120)}"
        )
    if near := sum(bool(record["near_tie"]) for record in records):
        ties = "is a near-tie" if near == 1 else "are near-ties"
        other = (
            "a label may be given or not"
            if data["thresholds"]
            else "the second label may come first"
        )
        lines.append(
            f"{near:,} of {answers} {ties}: in another batch {other} "
            "(near_tie in predictions.jsonl)."
        )
    return lines


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
