"""A comparison as one self-contained HTML page, without scripts or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import jinja2

from promptkit.report.terminal import changed, percent, signed


def html(data: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The page: the cells, the paired differences, and every answer per shot count."""
    lines = [
        (key, [row for row in rows if row["seed"] is None])
        for key, rows in groupby(
            data["rows"], key=lambda row: (row["model"], row["template"], row["selection"])
        )
    ]
    return _template().render(
        data=data,
        lines=lines,
        pairs=data["pairs"],
        items=[_items(key, records) for key, _ in lines],
    )


def _items(key: tuple[str, str, str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One model's, template's and selection's answers: a line per query, a cell per shot count."""
    mine = [r for r in records if (r["model"], r["template"], r["selection"]) == key]
    moved = changed(mine)
    queries: dict[str, dict[str, Any]] = {}
    for record in mine:
        query = queries.setdefault(
            record["id"],
            {
                "input": " · ".join(str(value) for value in record["input"].values()),
                "gold": record["gold"],
                "changed": record["id"] in moved,
                "answers": {},
            },
        )
        query["answers"].setdefault(record["shots"], []).append(record)
    shots = sorted({record["shots"] for record in mine})
    return {"key": key, "shots": shots, "queries": queries}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "signed": signed}
    return environment.from_string(_SOURCE)


_SOURCE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ data.task.name }}: comparison</title>
<style>
  :root { color-scheme: light dark; --good: #1a7f37; --bad: #c62828; --line: #8884; }
  @media (prefers-color-scheme: dark) { :root { --good: #5fd07a; --bad: #ff8a80; } }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
    padding: 0 1rem }
  .wide { overflow-x: auto }
  table { border-collapse: collapse; margin: .5rem 0 1.5rem; font-variant-numeric: tabular-nums }
  th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left }
  td.n, th.n { text-align: right; white-space: nowrap }
  .good { color: var(--good) } .bad { color: var(--bad) } .bad::before { content: "✗ " }
  .good::before { content: "✓ " } small, caption { color: GrayText } caption { text-align: left }
  summary { cursor: pointer; font-weight: 600 }
</style>
<main>
<h1>{{ data.task.name }}</h1>
{% for model in data.models %}
<p><small>{{ model.name }}: {{ model.architecture }}, {{ model.weights }}, {{ model.runtime }},
context {{ model.context }}, SHA-256 {{ model.sha256[:16] }}…</small></p>
{% endfor %}
{% for key, rows in lines %}
<h2>{{ key | join(" · ") }}</h2>
<div class="wide" tabindex="0" role="region" aria-label="accuracy"><table>
<caption>Over {{ rows[0].n }} queries; intervals are 95 %.</caption>
<thead><tr><th class="n">shots<th class="n">accuracy<th class="n">interval<th class="n">macro F1
<th class="n">log loss<th class="n">calibration error<th class="n">coverage<th class="n">tokens
<th class="n">seconds</tr></thead>
<tbody>
{% for row in rows %}
<tr><td class="n">{{ row.shots }}<td class="n">{{ row.accuracy | percent }}
<td class="n">{{ row.accuracy_ci[0] | percent }} to {{ row.accuracy_ci[1] | percent }}
{% for value in (row.macro_f1, row.log_loss, row.ece, row.coverage) %}
<td class="n">{{ "–" if value is none else "%.2f" | format(value) }}
{% endfor %}
<td class="n">{{ "{:,}".format(row.tokens) }}<td class="n">{{ "%.1f" | format(row.seconds) }}</tr>
{% endfor %}
</tbody></table></div>
{% endfor %}
{% if pairs %}
<h2>Differences</h2>
<p>In accuracy, paired over the same queries; points with 95 % intervals.</p>
<div class="wide" tabindex="0" role="region" aria-label="differences"><table>
<thead><tr><th>from<th>to<th class="n">change<th class="n">interval<th class="n">p</tr></thead>
<tbody>
{% for pair in pairs %}
<tr><td>{{ pair.a.template }}, {{ pair.a.shots }} shots, {{ pair.a.model }}
<td>{{ pair.b.template }}, {{ pair.b.shots }} shots, {{ pair.b.model }}
<td class="n">{{ pair.delta | signed }}
<td class="n">{{ pair.ci[0] | signed }} to {{ pair.ci[1] | signed }}
<td class="n">{{ "%.3f" | format(pair.p) }}</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
<h2>Answers</h2>
{% for item in items %}
<details{{ " open" if loop.first }}><summary>{{ item.key | join(" · ") }}</summary>
<div class="wide" tabindex="0" role="region" aria-label="answers"><table>
<caption>One answer per seed; predictions.jsonl has the probabilities and the shots.</caption>
<thead><tr><th>query<th>gold{% for n in item.shots %}<th>{{ n }} shots{% endfor %}</tr></thead>
<tbody>
{% for id, query in item.queries.items() %}
<tr id="{{ id }}"><td>{{ query.input }}{{ " (changed)" if query.changed }}<td>{{ query.gold }}
{% for shots in item.shots %}
<td>{% for answer in query.answers[shots] %}<span class="{{ "good" if answer.correct else "bad" }}">
{{- "no answer" if answer.label is none else answer.label }}</span>{{ ", " if not loop.last }}
{% endfor %}
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div></details>
{% endfor %}
</main>
</html>
"""
