"""Notes on the predictions of a comparison, and its cost, in sentences."""

from __future__ import annotations

from collections import Counter

from promptkit.report.cell_names import Data, Records
from promptkit.text import counted, visible
from promptkit.translation import tr


def notes(data: Data, records: Records) -> list[str]:
    """Return what a reader should know of the metrics and the predictions, a sentence each."""
    lines = [visible(note, 1000) for note in data["notes"]]
    answers = counted(len(records), "answer", "answers")
    if fewer := sum(len(record["shot_ids"]) < record["shots"] for record in records):
        lines.append(
            tr(
                "{fewer:,} of {predictions} saw fewer shots than asked, since more did not "
                "fit the context.",
                fewer=fewer,
                predictions=counted(len(records), "prediction", "predictions"),
            )
        )
    reasons = Counter(r["failure"] for r in records if r["failure"] is not None)
    for reason, times in reasons.most_common(1):
        lines.append(
            tr(
                "{total:,} of {answers} failed; {times:,} of them: {reason}",
                total=reasons.total(),
                answers=answers,
                times=times,
                reason=visible(reason, 120),
            )
        )
    if near := sum(bool(record["near_tie"]) for record in records):
        ties = tr("is a near-tie") if near == 1 else tr("are near-ties")
        other = (
            tr("a label may be given or not")
            if data["thresholds"]
            else tr("the second label may come first")
        )
        lines.append(
            tr(
                "{near:,} of {answers} {ties}: in another batch {other} (near_tie in "
                "predictions.jsonl).",
                near=near,
                answers=answers,
                ties=ties,
                other=other,
            )
        )
    return lines


def cost(usage: Data) -> list[str]:
    """Return the prompts, the time and the tokens of a comparison, in one or two sentences."""
    prompts, cached = usage["prompts"], usage["cached"]
    asked = prompts - cached
    where = (
        tr("{asked:,} asked, {cached:,} from the store", asked=asked, cached=cached)
        if asked
        else tr("all from the store")
    )
    lines = [
        tr(
            "{prompts}: {where}; {seconds:.1f} s, {decoding:.1f} s of it in the model.",
            prompts=counted(prompts, "prompt", "prompts"),
            where=where,
            seconds=usage["wall_seconds"],
            decoding=usage["decode_seconds"],
        )
    ]
    if asked:
        lines.append(
            tr(
                "{tokens} decoded; {alone:,} without prefix sharing.",
                tokens=counted(usage["decoded_tokens"], "token", "tokens"),
                alone=usage["naive_tokens"],
            )
        )
    return lines
