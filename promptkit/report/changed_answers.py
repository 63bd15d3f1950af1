"""Answers that change with the number of shots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from promptkit.inference.cell import levels_of, line_title
from promptkit.report.cell_names import Data, Records
from promptkit.report.rich_tables import table, titled
from promptkit.terminal_text import TextTable
from promptkit.text import counted, shown, visible
from promptkit.translation import tr

SHOWN = 20
"""Number of queries in the table."""

Tally = Counter[str]
"""Answers to one query, each with the number of seeds that gave it."""


def changed(records: Records) -> dict[str, dict[int, Tally]]:
    """Return the queries whose most frequent answer changes, with their answers by shot count."""
    answers: dict[str, dict[int, Tally]] = {}
    for record in records:
        answer = "(none)" if record["failure"] is not None else shown(record["label"])
        answers.setdefault(record["id"], {}).setdefault(record["shots"], Counter())[answer] += 1
    return {
        id: counts
        for id, counts in answers.items()
        if len({count.most_common(1)[0][0] for count in counts.values()}) > 1
    }


def changed_answers(records: Records, width: int) -> Iterator[RenderableType]:
    """Yield a table of the changed answers of the first cell, if it has several shot counts."""
    first = [r for r in records if levels_of(r) == levels_of(records[0])]
    counts = sorted({r["shots"] for r in first})
    if len(counts) < 2:
        return
    found = list(changed(first).items())
    queries = {r["id"]: r for r in first}
    of = (
        tr(" of {names}", names=", ".join(line_title(levels_of(first[0]))))
        if len(first) < len(records)
        else ""
    )
    yield titled(
        tr(
            "{count} of {answers}{of} changed with the number of shots",
            count=len(found),
            answers=counted(len(queries), "answer", "answers"),
            of=of,
        )
    )
    if found:
        yield _table(found[:SHOWN], queries, counts, width)
        more = len(found) - SHOWN
        rest = tr("… and {more} more in predictions.jsonl. ", more=more) if more > 0 else ""
        legend = tr(
            "✓ is the gold answer; ~ seeds disagree, and the most frequent answer is shown."
        )
        yield Text(rest + legend, "dim")
    yield ""


def _table(
    found: Sequence[tuple[str, Mapping[int, Tally]]],
    queries: Mapping[str, Data],
    counts: Sequence[int],
    width: int,
) -> TextTable:
    query_room, gold_room = (18, 12) if width < 100 else (30, 18)
    # What these leave of the width, a gap and a ~ apart, and no more than reads well.
    left = (width - query_room - gold_room) // len(counts) - 4
    room = min(max(left, 4), 24)
    made = table(tr("query"), tr("gold"), *(counted(count, "shot", "shots") for count in counts))
    for id, answers in found:
        query, gold = shown(queries[id]["input"]), shown(queries[id]["gold"])
        made.add_row(
            Text(visible(query, query_room)),
            Text(visible(gold, gold_room)),
            *(_answer(answers[count], gold, room) for count in counts),
        )
    return made


def _answer(answers: Tally, gold: str, room: int) -> Text:
    label = answers.most_common(1)[0][0]
    doubt = "~" if len(answers) > 1 else ""
    if label == gold:
        return Text(f"✓{doubt}", "green")
    return Text(visible(label, room) + doubt, "red")
