"""A comparison as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from promptkit.errors import escaped
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.inference.cell import FACTORS, RAW, levels_of, line_title
from promptkit.report import cell_names, conclusions, interval_text, pair_names
from promptkit.report.calibration_table import calibrated
from promptkit.report.cell_names import Data, Key, Records, has_prompt
from promptkit.report.changed_answers import changed_answers
from promptkit.report.cost_lines import is_costed
from promptkit.report.cost_table import costs
from promptkit.report.figure_tables import beside
from promptkit.report.learning_table import learning_curves
from promptkit.report.notes import cost, notes
from promptkit.report.promptless_tables import promptless
from promptkit.report.rich_tables import change, table, titled
from promptkit.report.slice_tables import sliced
from promptkit.terminal_text import text_console
from promptkit.text import counted, file_name, percent, visible
from promptkit.translation import tr

MAX_TABLES = 3
"""Largest number of cells, shots and seeds aside, that have a table each."""

MAX_PAIRS = 12
"""Largest number of differences from the first level that are listed."""


def text(data: Data, records: Records, width: int = 110) -> str:
    """Return the report without colours."""
    console = text_console(StringIO(), width)
    with console.capture() as capture:
        console.print(render(data, records, width))
    lines = capture.get().split("\n")
    return "\n".join(escaped(line.rstrip()) for line in lines).rstrip()


def render(
    data: Data, records: Records, width: int = 110, *, show_costs: bool = False
) -> RenderableType:
    """Return the report: accuracies, conclusions, differences, answers that change, the cost.

    Texts from data are never read as markup.

    Args:
        data: A comparison in JSON.
        records: Its predictions.
        width: Width in characters.
        show_costs: Whether there is a table of sizes, speeds and costs of making; always where
            something else than prompts is compared.
    """
    parts: list[RenderableType] = [*_accuracies(data, width), *map(Text, notes(data, records)), ""]
    parts += conclusions.verdicts(data)
    parts += conclusions.selective(data)
    parts += learning_curves(data)
    parts += costs(data, width) if show_costs or is_costed(data) else ()
    parts += _differences(data["pairs"], interval_text.metric_of(data), width)
    parts += calibrated(data)
    parts += sliced(data, width)
    parts += conclusions.spreads(data)
    parts += changed_answers(records, width)
    parts += conclusions.warnings(data)
    parts += map(Text, cost(data["usage"]))
    return Group(*parts)


def _accuracies(data: Data, width: int) -> Iterator[RenderableType]:
    """Yield a table per cell, shots and seeds aside, or one of all where they are many."""
    raw = [row for row in data["rows"] if row["calibration"] == RAW and has_prompt(row)]
    cells = {key: list(rows) for key, rows in groupby(raw, key=levels_of)}
    if len(cells) > MAX_TABLES:
        yield from _overview(cells, data, width)
    for key, rows in cells.items() if len(cells) <= MAX_TABLES else ():
        yield from _accuracy(key, rows, data)
        if key != [*cells][-1]:
            yield ""
    yield from promptless(data)
    yield Text(interval_text.brackets(data, as_drawn=len(cells) <= MAX_TABLES), "dim")


def _overview(cells: Mapping[Key, Records], data: Data, width: int) -> Iterator[RenderableType]:
    """Yield one table: a row per cell, a column per number of shots."""
    first = next(iter(cells.values()))
    n = counted(first[0]["n"], "query", "queries")
    varied = cell_names.varied(cells)
    shared = line_title(next(iter(cells)), [i for i in range(len(FACTORS)) if i not in varied])
    metric = interval_text.metric_of(data)
    of = [] if metric == ACCURACY else [metric.noun]
    yield titled(" · ".join([data["task"]["name"], *shared, n, *of]))
    counts = sorted({row["shots"] for rows in cells.values() for row in rows})
    made = table(
        *(tr(FACTORS[i]) for i in varied), *(f"{counted(c, 'shot', 'shots')}:" for c in counts)
    )
    left = width - 16 * len(counts)
    room = max(left // len(varied) - 2, 10)
    for key, rows in cells.items():
        by_shots = {row["shots"]: row for row in rows if row["seed"] is None}
        made.add_row(
            *(Text(visible(file_name(key[i]), room)) for i in varied),
            *(interval_text.figure(metric, by_shots.get(count, {})) for count in counts),
        )
    yield made


def _accuracy(key: Key, rows: Records, data: Data) -> Iterator[RenderableType]:
    """Yield the table of one cell: a row per number of shots."""
    identity = next(m for m in data["models"] if m["name"] == key[0])
    model, *others = line_title(key)
    yield titled(
        f"{data['task']['name']} · {model} ({identity['weights']}) · {' · '.join(others)} · "
        f"{counted(rows[0]['n'], 'query', 'queries')}"
    )
    whole = [row for row in rows if row["seed"] is None]
    scored = any(row["coverage"] is not None for row in whole)
    draws = interval_text.has_draws(whole)
    metric = interval_text.metric_of(data)
    made = table(
        tr("shots:"),
        f"{metric.noun}:",
        *([tr("as drawn:")] if draws else []),
        tr("change:"),
        tr("draws"),
        *([tr("accuracy:")] if metric != ACCURACY else []),
        tr("coverage:") if scored else tr("failed:"),
        tr("tokens:"),
        tr("time:"),
    )
    changes = pair_names.changes_of(data["pairs"], key)
    seeds, failed = cell_names.by_draw(data), interval_text.failed(data)
    for row in whole:
        made.add_row(
            str(row["shots"]),
            interval_text.figure(metric, row),
            *([interval_text.fixed(metric, row)] if draws else []),
            change(changes.get(row["shots"]), metric),
            interval_text.range_of(metric, seeds[key, row["shots"]]),
            *([percent(row["accuracy"])] if metric != ACCURACY else []),
            f"{row['coverage']:.2f}" if scored else failed[key, row["shots"]],
            f"{row['tokens']:,}",
            f"{row['seconds']:.1f} s",
        )
    yield made
    yield from beside(whole, metric)


def _differences(pairs: Sequence[Data], metric: Metric, width: int) -> Iterator[RenderableType]:
    """Yield a table of the differences of levels from the first level, calibrations aside."""
    pairs = [
        pair
        for pair in pairs
        if pair["a"]["shots"] == pair["b"]["shots"]
        and pair["b"]["calibration"] == RAW
        and has_prompt(pair["b"])
    ]
    if not 0 < len(pairs) <= MAX_PAIRS:
        return
    varied = cell_names.varied(levels_of(pair[side]) for pair in pairs for side in "ab")
    yield titled(
        tr("Against the first, in {unit} over the same queries", unit=metric_text.unit(metric))
    )
    made = table(
        "", tr("against"), *([tr("with")] if len(varied) > 1 else []), tr("shots:"), tr("change:")
    )
    room = 18 if width < 100 else 28
    for factor in varied:
        for pair in pairs:
            a, b = ([*map(file_name, levels_of(pair[side]))] for side in "ab")
            if a[factor] != b[factor]:
                others = ", ".join(b[i] for i in varied if i != factor)
                cells = [b[factor], a[factor], *([others] if len(varied) > 1 else [])]
                texts = [Text(visible(cell, room)) for cell in cells]
                made.add_row(*texts, str(pair["b"]["shots"]), change(pair, metric))
    yield made
    yield ""
