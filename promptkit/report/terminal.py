"""A comparison in a terminal: what each shot count came to, and whose answers changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import groupby
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from promptkit.errors import escaped
from promptkit.inference.cell import FACTORS, levels_of, line_title
from promptkit.text import counted, file_name, number, percent, shown, signed, visible

MAX_CHANGED = 20
"""How many queries the table of changed answers shows."""

MAX_TABLES = 3
"""Up to how many lines of the grid have a table of their own."""

MAX_PAIRS = 12
"""Up to how many differences from the first are listed; the verdicts speak of all."""

ALPHA = 0.05
"""The p-value up to which a difference is sure."""

Data = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]


def text(data: Data, records: Records, width: int = 110) -> str:
    """The report without colours."""
    console = Console(
        file=StringIO(), width=width, color_system=None, markup=False, emoji=False, highlight=False
    )
    with console.capture() as capture:
        console.print(render(data, records, width))
    lines = capture.get().split("\n")
    return "\n".join(escaped(line.rstrip()) for line in lines).rstrip()


def render(data: Data, records: Records, width: int = 110) -> RenderableType:
    """The whole report: a table per model, template and selection, what differs, the cost.

    Texts from data are never read as markup.
    """
    from promptkit.report import conclusions
    from promptkit.report.calibration_table import calibrated

    parts: list[RenderableType] = [*_cells(data, width), *map(Text, notes(data, records)), ""]
    parts += conclusions.verdicts(data)
    parts += _differences(data["pairs"], width)
    parts += calibrated(data)
    parts += conclusions.spreads(data)
    parts += _changed_answers(records, width)
    parts += conclusions.warnings(data)
    parts += map(Text, cost(data["usage"]))
    return Group(*parts)


def _cells(data: Data, width: int) -> Iterator[RenderableType]:
    """A table per line of the grid, or one of all where they are many."""
    raw = [row for row in data["rows"] if row["calibration"] == "none"]
    lines = {key: list(rows) for key, rows in groupby(raw, key=levels_of)}
    if len(lines) > MAX_TABLES:
        yield from _overview(lines, data, width)
    for key, rows in lines.items() if len(lines) <= MAX_TABLES else ():
        yield from _accuracy(key, rows, data)
        if key != [*lines][-1]:
            yield ""
    yield Text(brackets(data), "dim")


def brackets(data: Data) -> str:
    """Return what the intervals of a comparison are about, in a sentence or two."""
    whole = [row for row in data["rows"] if row["seed"] is None]
    paired = "A change is paired over the same queries."
    if any(row["accuracy_ci"] is None for row in whole):
        return (
            "Brackets are 95 % intervals for new queries and these shots: of k shots in general "
            f"one draw says nothing. {paired}"
        )
    if not has_draws(whole):
        return f"Brackets are 95 % intervals for new queries. {paired}"
    return (
        "Brackets are 95 % intervals for new queries and new draws of shots; under “as drawn”, "
        f"for new queries and just the shots that were drawn. {paired}"
    )


def has_draws(rows: Sequence[Data]) -> bool:
    """Return whether some rows have an interval for new draws and another one for these shots."""
    return any(row["accuracy_ci"] not in (None, row["accuracy_ci_fixed"]) for row in rows)


def _overview(
    lines: Mapping[tuple[str, ...], Records], data: Data, width: int
) -> Iterator[RenderableType]:
    """The accuracy of every line after each number of shots."""
    first = next(iter(lines.values()))
    n = counted(first[0]["n"], "query", "queries")
    varied = [i for i in range(len(FACTORS)) if len({key[i] for key in lines}) > 1]
    shared = line_title(next(iter(lines)), [i for i in range(len(FACTORS)) if i not in varied])
    yield _title(" · ".join([data["task"]["name"], *shared, n]))
    counts = list(dict.fromkeys(row["shots"] for row in first))
    table = _table(*(FACTORS[i] for i in varied), *(f"{counted(c, 'shot')}:" for c in counts))
    left = width - 16 * len(counts)
    room = max(left // len(varied) - 2, 10)
    for key, rows in lines.items():
        by_shots = {row["shots"]: row for row in rows if row["seed"] is None}
        table.add_row(
            *(Text(visible(file_name(key[i]), room)) for i in varied),
            *(_interval(by_shots[count]) for count in counts),
        )
    yield table


def _interval(row: Data) -> str:
    low, high = ends_of(row, "accuracy_ci")
    return f"{percent(row['accuracy'])} [{number(low)}, {number(high)}]"


def ends_of(values: Data, name: str = "ci") -> Sequence[float]:
    """Return an interval: for new draws of shots, or for these shots where there is one draw."""
    general: Sequence[float] | None = values[name]
    if general is not None:
        return general
    these: Sequence[float] = values[f"{name}_fixed"]
    return these


def _accuracy(key: tuple[str, ...], rows: Records, data: Data) -> Iterator[RenderableType]:
    identity = next(m for m in data["models"] if m["name"] == key[0])
    model, *others = line_title(key)
    yield _title(
        f"{data['task']['name']} · {model} ({identity['weights']}) · {' · '.join(others)} · "
        f"{counted(rows[0]['n'], 'query', 'queries')}"
    )
    whole = [row for row in rows if row["seed"] is None]
    scored = any(row["coverage"] is not None for row in whole)
    draws = has_draws(whole)
    table = _table(
        "shots:",
        "accuracy:",
        *(["as drawn:"] if draws else []),
        "change:",
        "draws",
        "coverage:" if scored else "failed:",
        "tokens:",
        "time:",
    )
    changes = changes_of(data["pairs"], key)
    for row in whole:
        seeds = [
            r["accuracy"] for r in rows if r["shots"] == row["shots"] and r["seed"] is not None
        ]
        table.add_row(
            str(row["shots"]),
            _interval(row),
            *([_these(row)] if draws else []),
            change(changes.get(row["shots"])),
            drawn(seeds),
            f"{row['coverage']:.2f}" if scored else str(row["failures"]),
            f"{row['tokens']:,}",
            f"{row['seconds']:.1f} s",
        )
    yield table


def changes_of(pairs: Sequence[Data], line: tuple[str, ...]) -> dict[int, Data]:
    """Along a line, each number of shots against the one before."""
    along = [pair for pair in pairs if levels_of(pair["a"]) == levels_of(pair["b"]) == line]
    changes: dict[int, Data] = {}
    for pair in along:
        known = changes.setdefault(pair["b"]["shots"], pair)
        if pair["a"]["shots"] > known["a"]["shots"]:
            changes[pair["b"]["shots"]] = pair
    return changes


def _these(row: Data) -> str:
    if not row["shots"]:  # nothing is drawn
        return ""
    low, high = row["accuracy_ci_fixed"]
    return f"[{number(low)}, {number(high)}]"


def drawn(accuracies: Sequence[float]) -> str:
    """Return the range of accuracies over draws of shots."""
    low, high = number(min(accuracies)), number(max(accuracies))
    return low if low == high else f"{low}–{high}"


def change(pair: Data | None) -> Text:
    """A paired difference, coloured where it is sure."""
    if pair is None:
        return Text()
    low, high = ends_of(pair)
    style = ("", "green", "red")[surely(pair)]
    return Text(f"{signed(pair['delta'])} [{signed(low)}, {signed(high)}]", style)


def surely(pair: Data) -> int:
    """1 where b is better, -1 where it is worse, 0 where that is open.

    The p-value, corrected for the number of pairs where a comparison has that, and the interval
    have to agree.
    """
    low, high = ends_of(pair)
    if pair.get("p_holm", 0.0) > ALPHA:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _differences(pairs: Sequence[Data], width: int) -> Iterator[RenderableType]:
    """Models, templates, selections, orders and verbalizers against the first."""
    pairs = [
        pair
        for pair in pairs
        if pair["a"]["shots"] == pair["b"]["shots"] and pair["b"]["calibration"] == "none"
    ]
    if not 0 < len(pairs) <= MAX_PAIRS:
        return
    lines = [levels_of(pair[side]) for pair in pairs for side in ("a", "b")]
    varied = [i for i in range(len(FACTORS)) if len({line[i] for line in lines}) > 1]
    yield _title("Against the first, in points of accuracy over the same queries")
    table = _table("", "against", *(["with"] if len(varied) > 1 else []), "shots:", "change:")
    room = 18 if width < 100 else 28
    for what in varied:
        for pair in pairs:
            a, b = ([*map(file_name, levels_of(pair[side]))] for side in ("a", "b"))
            if a[what] != b[what]:
                others = ", ".join(b[i] for i in varied if i != what)
                cells = [b[what], a[what], *([others] if len(varied) > 1 else [])]
                texts = [Text(visible(cell, room)) for cell in cells]
                table.add_row(*texts, str(pair["b"]["shots"]), change(pair))
    yield table
    yield ""


def _changed_answers(records: Records, width: int) -> Iterator[RenderableType]:
    """The answers per shot count, of the first model, template and selection."""
    first = [r for r in records if levels_of(r) == levels_of(records[0])]
    counts = sorted({r["shots"] for r in first})
    if len(counts) < 2:
        return
    moved = list(changed(first).items())
    queries = {r["id"]: r for r in first}
    line = ", ".join(line_title(levels_of(first[0])))
    of = f" of {line}" if len(first) < len(records) else ""
    yield _title(
        f"{len(moved)} of {counted(len(queries), 'answer')}{of} changed with the number of shots"
    )
    if moved:
        yield _changed_table(moved[:MAX_CHANGED], queries, counts, width)
        more = len(moved) - MAX_CHANGED
        rest = f"… and {more} more in predictions.jsonl. " if more > 0 else ""
        legend = "✓ is the gold answer; ~ seeds disagree, and the commonest answer stands here."
        yield Text(rest + legend, "dim")
    yield ""


def _changed_table(
    moved: Sequence[tuple[str, Mapping[int, Counter[str]]]],
    queries: Mapping[str, Data],
    counts: Sequence[int],
    width: int,
) -> Table:
    query_room, gold_room = (18, 12) if width < 100 else (30, 18)
    # What these leave of the width, a gap and a ~ apart, and no more than reads well.
    left = (width - query_room - gold_room) // len(counts) - 4
    room = min(max(left, 4), 24)
    table = _table("query", "gold", *(counted(count, "shot") for count in counts))
    for id, answers in moved:
        query, gold = shown(queries[id]["input"]), shown(queries[id]["gold"])
        table.add_row(
            Text(visible(query, query_room)),
            Text(visible(gold, gold_room)),
            *(_answer(answers[count], gold, room) for count in counts),
        )
    return table


def changed(records: Records) -> dict[str, dict[int, Counter[str]]]:
    """The queries whose commonest answer changes with the shots: their answers per shot count."""
    answers: dict[str, dict[int, Counter[str]]] = {}
    for record in records:
        answer = "(none)" if record["failure"] is not None else shown(record["label"])
        answers.setdefault(record["id"], {}).setdefault(record["shots"], Counter())[answer] += 1
    return {
        id: counts
        for id, counts in answers.items()
        if len({count.most_common(1)[0][0] for count in counts.values()}) > 1
    }


def _answer(answers: Counter[str], gold: str, room: int) -> Text:
    """The commonest answer over the seeds, and whether there are others."""
    label = answers.most_common(1)[0][0]
    doubt = "~" if len(answers) > 1 else ""
    if label == gold:
        return Text(f"✓{doubt}", "green")
    return Text(visible(label, room) + doubt, "red")


def notes(data: Data, records: Records) -> list[str]:
    """What a reader should know of the answers and the predictions, in a sentence each."""
    said = [visible(note, 1000) for note in data.get("notes", ())]
    return [*said, *_left_out(records), *_failed(records), *_near_ties(records)]


def _left_out(records: Records) -> list[str]:
    """Whether some prompts hold fewer shots than were asked, in one sentence or none."""
    fewer = sum(len(record["shot_ids"]) < record["shots"] for record in records)
    if not fewer:
        return []
    return [
        f"{fewer:,} of {counted(len(records), 'prediction')} saw fewer shots than asked, since "
        "more did not fit the context."
    ]


def _failed(records: Records) -> list[str]:
    """How many answers are none, and the commonest reason, in one sentence or none."""
    reasons = Counter(r["failure"] for r in records if r["failure"] is not None)
    if not reasons:
        return []
    (reason, times), *_ = reasons.most_common(1)
    return [
        f"{sum(reasons.values()):,} of {counted(len(records), 'answer')} failed; "
        f"{times:,} of them: {visible(reason, 120)}"
    ]


def _near_ties(records: Records) -> list[str]:
    """How many answers rounding could change, in one sentence or none."""
    near = sum(bool(record["near_tie"]) for record in records)
    if not near:
        return []
    ties = "is a near-tie" if near == 1 else "are near-ties"
    return [
        f"{near:,} of {counted(len(records), 'answer')} {ties}: read beside other prompts, the "
        "second label may come first (near_tie in predictions.jsonl)."
    ]


def cost(usage: Data) -> list[str]:
    """What it took, in one or two sentences."""
    prompts, cached = usage["prompts"], usage["cached"]
    asked = prompts - cached
    where = f"{asked:,} asked, {cached:,} from the store" if asked else "all from the store"
    lines = [
        f"{counted(prompts, 'prompt')}: {where}; {usage['wall_seconds']:.1f} s, "
        f"{usage['decode_seconds']:.1f} s of it in the model."
    ]
    if asked:
        lines.append(
            f"Tokens: {usage['decoded_tokens']:,} read, {usage['unique_tokens']:,} at the least, "
            f"{usage['naive_tokens']:,} one by one."
        )
    return lines


def _title(line: str) -> Text:
    return Text(visible(line, 300), "bold")


def _table(*columns: str) -> Table:
    """An empty table; a column whose name ends in a colon is one of numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Any = "right" if name.endswith(":") else "left"
        table.add_column(name.rstrip(":"), justify=justify, overflow="fold")
    return table
