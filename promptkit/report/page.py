"""A comparison as one self-contained HTML page, without network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY
from promptkit.evaluation.sentences import component_name
from promptkit.graphemes import cut
from promptkit.inference.cell import levels_of
from promptkit.report import (
    cell_names,
    confusion_matrices,
    cost_table,
    figure_tables,
    interval_text,
    page_data,
    pair_names,
    slice_tables,
)
from promptkit.report.calibration_table import learnt
from promptkit.report.cell_names import CellNames, Data, Records, has_prompt
from promptkit.report.changed_answers import changed
from promptkit.report.cost_lines import is_costed
from promptkit.report.learning_table import learning_rows
from promptkit.report.notes import cost, notes
from promptkit.report.page_environment import page_environment, page_file
from promptkit.report.page_script import translated_messages
from promptkit.report.promptless_tables import promptless_rows
from promptkit.report.svg_text import labelled
from promptkit.text import capital, counted, file_name, shown
from promptkit.translation import tr

CELLS = 20_000
"""Number of cells of all confusion tables together; comparison.json has them all."""

PLAIN = 100
"""Number of queries in the list for browsers without scripts."""

LONGEST_ITEM = 1000
"""Columns of a query's text there."""


def html(
    data: Data, records: Records, prompts: Data | None = None, audit: Markup | None = None
) -> str:
    """Return the page: the verdict, charts and tables, and the items with their prompts.

    Without the extra `report` there are tables and no charts.

    Args:
        data: A comparison, as `Comparison.to_dict()` or a saved run has it.
        records: Its predictions, as `Comparison.to_records()` has them.
        prompts: Its prompts, as `report.packed_prompts.packed` makes them; without them no prompt
            can be opened.
        audit: A section on an audit, as `audit.audit_section` makes it; None where there is none.
    """
    charts, no_charts = _charts(data)
    payload = page_data.payload(records, prompts)
    names, metric = CellNames(data["rows"]), interval_text.metric_of(data)
    context = {
        "task": data["task"],
        "metric": metric,
        "accuracy": ACCURACY,
        "unit": metric_text.unit(metric),
        "others": figure_tables.others(data["rows"], metric),
        "verdicts": data["verdicts"],
        "warnings": data["warnings"],
        "facts": _facts(data),
        "lines": _lines(data, names),
        "promptless": promptless_rows(data),
        "learning": learning_rows(data),
        "draws": interval_text.has_draws(cell_names.aggregates(data)),
        "brackets": interval_text.brackets(data),
        "scored": _is_scored(data),
        "scores": _scores(data),
        "pairs": [(*pair_names.compared(pair, names, 200), pair) for pair in data["pairs"]],
        "reliability": [(names.with_shots(cell), cell["bins"]) for cell in data["reliability"]],
        "learnt": [*learnt(data["calibrations"])],
        "confusion": _matrices(data, names),
        "matrices": len(data["confusion"]) + len(data["field_confusion"]),
        "variance": [
            (names.place(one), [source["sentence"] for source in one["sources"]])
            for one in data["variance"]
        ],
        "spreads": [
            (f"{capital(component_name(one['factor']))}, {names.place(one)}", [one["sentence"]])
            for one in data["spreads"]
        ],
        "slices": slice_tables.tables(data),
        "audit": audit,
        "selective": data["selective"],
        "selected": data["selective"] and names.with_shots(data["selective"]),
        "thresholds": [(names.with_shots(one), one) for one in data["thresholds"]],
        "notes": notes(data, records),
        "cost": cost(data["usage"]),
        "costs": cost_table.page_table(data),
        "costed": is_costed(data),
        "models": data["models"],
        "charts": charts,
        "no_charts": no_charts,
        "plain": _plain(records),
        "choices": _choices(data, payload),
        "data": Markup(page_data.embedded(payload)),
        "css": page_file("page.css"),
        "js": page_file("page.js"),
        "messages": translated_messages(),
    }
    return _template().render(**context, contents=_contents(context))


def _scores(data: Data) -> list[tuple[str, str]]:
    """Return the columns of scored answers, as title and field; options share no macro-F1."""
    f1 = [(tr("macro F1"), "macro_f1")] if _has_shared_labels(data) else []
    return [
        *f1,
        (tr("log loss"), "log_loss"),
        (tr("Brier score"), "brier"),
        (tr("calibration error"), "ece"),
        (tr("coverage"), "coverage"),
    ]


def _is_scored(data: Data) -> bool:
    return any(row["coverage"] is not None for row in data["rows"])


def _has_shared_labels(data: Data) -> bool:
    return any(row["macro_f1"] is not None for row in data["rows"])


def _contents(context: Data) -> list[tuple[str, str]]:
    titles = {
        "accuracy": capital(context["metric"].noun),
        "learning": tr("Learning curves") if context["learning"] else "",
        "differences": tr("Differences") if context["pairs"] else "",
        "slices": tr("Slices") if context["slices"] else "",
        "audit": tr("Audit") if context["audit"] else "",
        "selective": tr("Selective answering") if context["selective"] else "",
        "reliability": tr("Calibration") if context["reliability"] else "",
        "confusion": tr("Confusion") if context["confusion"] else "",
        "variance": tr("Variance") if context["variance"] or context["spreads"] else "",
        "cost": tr("Cost"),
        "answers": tr("Items"),
        "models": tr("Models"),
    }
    return [(id, title) for id, title in titles.items() if title]


def _charts(data: Data) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Return the panels of every chart as SVG; or none, and the reason."""
    try:
        from promptkit.report.charts import plot, style
    except ImportError:
        return {}, (
            tr(
                "For charts, install promptkit-fewshot[report], and write this page again "
                "with: promptkit report FOLDER"
            )
        )
    drawn = {
        what: [
            {"title": panel.title, "svg": labelled(style.svg(panel.chart), panel.alternative)}
            for panel in make(data)
        ]
        for what, make in plot.PLOTS.items()
    }
    return drawn, ""


def _facts(data: Data) -> str:
    """Return the size of the comparison and the levels of its factors, in a line."""
    rows = [row for row in cell_names.aggregates(data) if has_prompt(row)]
    asked = {row["model"] for row in rows}
    models = [
        f"{file_name(model['name'])} ({model['weights']})"
        for model in data["models"]
        if model["name"] in asked
    ]
    shots = sorted({row["shots"] for row in rows})
    seeds = {row["seed"] for row in data["rows"]} - {None}
    templates, selections = (
        [*dict.fromkeys(row[name] for row in rows)] for name in ("template", "selection")
    )
    return " · ".join(
        (
            counted(rows[0]["n"], "query", "queries"),
            _few(models, tr("models")),
            _few(templates, tr("templates")),
            tr(
                "{few} shots: {shots}",
                few=_few(selections, tr("selections")),
                shots=", ".join(map(str, shots)),
            ),
            counted(len(seeds), "seed", "seeds"),
        )
    )


def _few(names: Sequence[str], many: str) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} {many}"


def _lines(data: Data, names: CellNames) -> list[dict[str, Any]]:
    """Return the rows of the table, a group per cell, shots and seeds aside."""
    metric, seeds = interval_text.metric_of(data), cell_names.by_draw(data)
    failed = interval_text.failed(data)
    named = []
    prompts = filter(has_prompt, cell_names.aggregates(data))
    for key, rows in cell_names.grouped(prompts, levels_of).items():
        changes = pair_names.changes_of(data["pairs"], key)
        cells = []
        for row in rows:
            drawn = seeds.get((key, row["shots"]), [])
            spread = interval_text.range_of(metric, drawn) if len(drawn) > 1 else ""
            shown = {**row, "failed": failed[key, row["shots"]]}
            cells.append((shown, changes.get(row["shots"]), spread))
        named.append({"name": names.of(key, limit=200), "rows": cells})
    return named


def _matrices(data: Data, names: CellNames) -> list[tuple[str, Sequence[str], Any, Any]]:
    """Return confusion matrices of at most `CELLS` together, fewest and most shots first.

    The first one is always there. Each is followed by the metrics of its labels.
    """
    kept: list[tuple[str, Sequence[str], Any, Any]] = []
    cells = 0
    matrices = cell_names.fewest_and_most(data["confusion"])
    for field in dict.fromkeys(one["field"] for one in data["field_confusion"]):
        own = [one for one in data["field_confusion"] if one["field"] == field]
        matrices += cell_names.fewest_and_most(own)
    for one in matrices:
        drawn = confusion_matrices.cut(one)
        cells += len(drawn["labels"]) ** 2
        if kept and cells > CELLS:
            break
        counts, figures = confusion_matrices.dense(drawn), confusion_matrices.per_class(one, drawn)
        field = f"{one['field']}, " if "field" in one else ""
        kept.append((field + names.with_shots(one), drawn["labels"], counts, figures))
    return kept


def _choices(data: Data, payload: Data) -> list[tuple[str, str, str, list[tuple[Any, str]]]]:
    """Return the filters: name, title, first option and values; none with one value only."""
    golds = dict.fromkeys(query[2] for query in payload["queries"] if query[2] is not None)
    labels = [(gold, payload["labels"][gold]) for gold in sorted(golds)]
    shots = sorted({row["shots"] for row in data["rows"]})
    filtered = len(labels) <= 200 and (_has_shared_labels(data) or not _is_scored(data))
    every = [
        ("gold", tr("Gold label"), tr("any"), labels if filtered else []),
        ("line", tr("Cell"), tr("all"), [*enumerate(payload["lines"])]),
        (
            "shots",
            tr("Shots"),
            tr("all"),
            [(count, counted(count, "shot", "shots")) for count in shots],
        ),
    ]
    chosen = [
        (name, title, first, values) for name, title, first, values in every if len(values) > 1
    ]
    if payload["methods"]:
        chosen.append(("method", tr("Probabilities"), tr("raw"), [*enumerate(payload["methods"])]))
    sorts: list[tuple[Any, str]] = [
        ("wrong", tr("most often wrong first")),
        ("margin", tr("least margin first")),
    ]
    return [*chosen, ("sort", tr("Order"), tr("as in the tests"), sorts)]


def _plain(records: Records) -> dict[str, Any]:
    """Return the first queries, with the number of seeds of each answer by shot count."""
    records = [*filter(has_prompt, records)]
    changes = changed(records)
    queries: dict[str, dict[str, Any]] = {}
    for record in records:
        new = {
            "text": cut(shown(record["input"]), LONGEST_ITEM),
            "gold": "" if record["correct"] is None else shown(record["gold"]),
            "changed": record["id"] in changes,
            "tally": {},
        }
        tally = queries.setdefault(record["id"], new)["tally"]
        answer = None if record["label"] is None else shown(record["label"])
        tally.setdefault(record["shots"], Counter())[answer, bool(record["correct"])] += 1
    counts = sorted({record["shots"] for record in records})
    listed = list(queries.values())[:PLAIN]
    for item in listed:
        tally = item["tally"]
        item["answers"] = [tally[n].most_common() if n in tally else [] for n in counts]
    rest = len(queries) - len(listed)
    more = (
        tr("{queries} more in predictions.jsonl.", queries=counted(rest, "query", "queries"))
        if rest > 0
        else ""
    )
    return {"counts": counts, "items": listed, "more": more}


@cache
def _template() -> jinja2.Template:
    environment = page_environment()
    environment.filters |= {
        "verdict": pair_names.verdict,
        "figure": lambda row, metric: interval_text.figure(metric, row).partition(" ["),
        "fixed": lambda row, metric: interval_text.fixed(metric, row),
        "moved": lambda pair, metric: metric_text.change(
            metric, pair["delta"], *interval_text.ends_of(pair)
        ).partition(" "),
        "ends": interval_text.ends_of,
    }
    return environment.from_string(page_file("page.html"))
