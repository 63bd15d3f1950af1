"""Charts of a comparison, and what `promptkit report` makes of a saved one."""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import altair as alt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import COLON, Word, open_task, parity_task
from typer.testing import CliRunner

from promptkit import Comparison, Example, FakeModel, Store, Task, Template, compare, load_task
from promptkit.cli import app
from promptkit.errors import MissingExtraError, TaskError
from promptkit.inference.cell import levels_of
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.report import page, page_data, pair_names
from promptkit.report.charts import accuracy_charts, plot, style
from promptkit.report.packed_prompts import packed
from promptkit.report.page import html

ROOT = Path(__file__).parents[2]
FORMS = ["colon.j2", "qa.j2", "lines.j2", "xml.j2", "json.j2", "arrow.j2", "letters.j2"]


def fruit(**more: Any) -> Comparison:
    task = load_task(ROOT / "examples" / "fruit")
    arguments = {"shots": [0, 1, 4], "seeds": 2, "limit": 12, **more}
    return compare(task, models=[FakeModel()], store=Store(), **arguments)


@pytest.fixture(scope="module")
def result() -> Comparison:
    return fruit(max_error=0.5)


def moved(result: Comparison) -> dict[str, Any]:
    """The comparison with what moves it, in figures that are easy to find again."""
    cell = {**result.to_dict()["pairs"][0]["b"], "seed": None}
    query = {"factor": "query", "sd": 0.06, "ci": [0.02, 0.08], "sentence": "Queries move it."}
    order = {"factor": "order", "sd": 0.0, "ci": [0.0, 0.05], "sentence": "Hardly, the order."}
    points = [
        {"labels": n, "value": 0.4, "ci": None, "ci_fixed": [0.3, 0.5], "draws": 2} for n in (0, 8)
    ]
    curve = {"name": "prompt", "kind": "prompt", "points": points}
    rows = [{**row, "items_per_second": 10 ** row["shots"]} for row in result.to_dict()["rows"]]
    return {
        **result.to_dict(),
        "rows": rows,
        "verdicts": ["Cannot tell with 5 % & <b>."],
        "warnings": ["Few queries."],
        "learning_curve": {"lines": [curve], "pairs": [], "sentences": ["Nothing crosses."]},
        "variance": [{**cell, "order": None, "n": 12, "sources": [query, order]}],
        "spreads": [
            {
                **cell,
                "order": None,
                "factor": "order",
                "levels": ["a", "b", "c"],
                "accuracies": [0.2, 0.5, 0.3],
                "observed": 0.3,
                "noise": 0.1,
                "estimate": 0.2,
                "ci": [0.1, 0.4],
                "sentence": "3 orders range.",
            }
        ],
    }


@pytest.fixture(scope="module")
def saved(result: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result.save(tmp_path_factory.mktemp("saved"))


# --- charts ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("what", plot.PLOTS)
def test_a_plot_is_an_altair_chart_and_a_picture(result: Comparison, what: str) -> None:
    chart = plot.plot(moved(result), what)
    assert isinstance(chart, alt.TopLevelMixin)
    assert "vega-lite" in chart.to_dict(validate=True)["$schema"]
    picture = style.svg(chart)
    assert picture.startswith("<svg ")
    assert not re.search(r"<(script|image|foreignObject|a) |href=", picture)
    assert style.png(chart)[:8] == b"\x89PNG\r\n\x1a\n"


def values_of(chart: Any) -> list[dict[str, Any]]:
    """The data that a chart of several layers draws."""
    made = chart.to_dict(validate=False)
    return list(made["datasets"][made["data"]["name"]])


def test_accuracy_has_the_numbers_of_the_rows(result: Comparison) -> None:
    (panel,) = plot.accuracy(result.to_dict())
    drawn = [(v["shots"], v["accuracy"], v["low"], v["high"]) for v in values_of(panel.chart)]
    whole = [row for row in result.rows if row.seed is None]
    assert drawn == [(row.shots, row.accuracy, *row.accuracy_ci) for row in whole]


def test_differences_have_the_numbers_of_the_pairs(result: Comparison) -> None:
    (panel,) = plot.differences(result.to_dict())
    drawn = [(v["low"], v["at"], v["high"]) for v in values_of(panel.chart)]
    assert drawn == [
        tuple(pytest.approx(100 * x) for x in (pair.ci[0], pair.delta, pair.ci[1]))
        for pair in result.pairs
    ]
    names = [v["name"] for v in values_of(panel.chart)]
    assert names == [f"{p.a.shots} → {p.b.shots} shot{'s' * (p.b.shots > 1)}" for p in result.pairs]


def test_reliability_and_confusion_have_the_counts(result: Comparison) -> None:
    data = result.to_dict()
    for panel, title in zip(plot.reliability(data), ("0 shots", "1 shot", "4 shots"), strict=True):
        assert panel.title == title
        shots = int(title.split(" ")[0])
        (curve,) = [one for one in result.reliability if one.shots == shots]
        assert [v["n"] for v in values_of(panel.chart)] == [one.n for one in curve.bins]
        (matrix,) = [one for one in result.confusion if one.shots == shots]
        (heat,) = [one for one in plot.confusion(data) if one.title == panel.title]
        assert [v["n"] for v in values_of(heat.chart)] == [n for row in matrix.counts for n in row]


@pytest.mark.slow
def test_seventy_labels_make_no_heavy_page(result: Comparison) -> None:
    labels = [f"label {i}" for i in range(77)]
    counts = [[[(i * 7) % 77, 1]] for i in range(77)]
    one = {**result.to_dict()["confusion"][0], "labels": labels, "counts": counts}
    one["per_class"] = {name: 77 * values[:1] for name, values in one["per_class"].items()}
    data = {**result.to_dict(), "confusion": [{**one, "shots": n} for n in range(8)]}
    panel = plot.PLOTS["confusion"](data)[0]
    drawn = {(v["gold"], v["said"]) for v in values_of(panel.chart) if v["n"]}
    assert drawn == {(i, (i * 7) % 77) for i in range(77)}
    assert "label 76" in style.svg(panel.chart)
    page = html(data, result.to_records())
    assert "5 more tables in comparison.json" in page
    assert len(page) < 1_500_000


@pytest.mark.slow
def test_what_moves_it_has_the_figures(result: Comparison) -> None:
    data = moved(result)
    (panel,) = plot.PLOTS["variance"](data)
    assert (panel.title, panel.alternative) == ("1 shot", "Queries move it. Hardly, the order.")
    drawn = [(v["name"], v["low"], v["at"], v["high"]) for v in values_of(panel.chart)]
    assert drawn == [("queries", 2, 6, 8), ("orders", 0, 0, 5)]
    (panel,) = plot.PLOTS["spread"](data)
    assert (panel.title, panel.alternative) == ("Orders", "3 orders range.")
    datasets = panel.chart.to_dict(validate=False)["datasets"].values()
    assert [[v["accuracy"] for v in values] for values in datasets if "accuracy" in values[0]] == [
        [0.2, 0.5, 0.3]
    ]
    page = html(data, result.to_records())
    for said in ("Queries move it.", "Hardly, the order.", "3 orders range.", "Few queries."):
        assert said in page
    assert "Cannot tell with 5\u00a0% &amp; &lt;b&gt;." in page


def test_what_a_pair_comes_to() -> None:
    sure = {"delta": 0.2, "ci": [0.1, 0.3], "p_holm": 0.01}
    assert pair_names.verdict(sure) == "better"
    assert pair_names.verdict({**sure, "delta": -0.2, "ci": [-0.3, -0.1]}) == "worse"
    assert pair_names.verdict({**sure, "ci": [-0.1, 0.3]}) == "not significant"
    assert pair_names.verdict({**sure, "p_holm": 0.2}) == "not significant"
    assert pair_names.verdict({**sure, "p_holm": 0.01}) == "better"


@pytest.mark.slow
def test_many_lines_are_panels_that_keep_their_colours() -> None:
    few = fruit(templates=FORMS[:3], selections=["balanced", "random"], limit=4)
    (panel,) = plot.accuracy(few.to_dict())
    assert len({v["line"] for v in values_of(panel.chart)}) == 6
    many = fruit(templates=FORMS, selections=["balanced", "random"], limit=4)
    panels = plot.accuracy(many.to_dict())
    assert [panel.title for panel in panels] == FORMS
    for panel in panels:
        assert {v["line"] for v in values_of(panel.chart)} == {"balanced", "random"}
    for make in plot.PLOTS.values():
        assert len(make(many.to_dict())) <= accuracy_charts.MANY
    lines = {levels_of(row) for row in many.to_dict()["rows"]}
    assert len(lines) == 14


@pytest.mark.slow
def test_hostile_names_are_only_text() -> None:
    options = Literal['it\'s "quoted"', "]); alert(1); ([", "<b>&"]
    task = Task[Word, options](
        name="t",
        demos=[Example(input=Word(word="a"), output="<b>&")],
        tests=[Example(input=Word(word="b"), output="<b>&")],
    )
    models = [FakeModel(), FakeModel()]
    models[0].identity = replace(models[0].identity, name="\x00<script>\udc80")
    templates = [COLON, Template(COLON.source, name="</svg>\n" + "long " * 40)]
    made = compare(task, models=models, templates=templates, shots=[0, 1], seeds=1, store=Store())
    for what in ("accuracy", "differences", "reliability", "confusion", "cost"):
        picture = style.svg(made.plot(what))
        assert "<script>" not in picture
        assert picture.count("</svg>") == 1
    assert "alert(1)" in style.svg(made.plot("confusion"))


def test_what_cannot_be_plotted(result: Comparison) -> None:
    with pytest.raises(TaskError, match="unknown plot 'acuracy'; choose one of: accuracy,"):
        result.plot("acuracy")
    generated = compare(
        open_task(int, 1, 2), models=[FakeModel()], templates=[COLON], shots=[0], store=Store()
    )
    assert isinstance(generated.plot(), alt.TopLevelMixin)
    with pytest.raises(TaskError, match="nothing to plot as 'confusion'"):
        generated.plot("confusion")


@pytest.mark.slow
def test_every_colour_is_one_that_the_page_knows(result: Comparison) -> None:
    css = Path(page.__file__).with_name("page.css").read_text("utf-8")
    known = set(re.findall(r'\[(?:fill|stroke)="(#[0-9a-f]{6})"\]', css))
    for make in plot.PLOTS.values():
        for panel in make(moved(result)):
            used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]+)"', style.svg(panel.chart)))
            assert used <= known
    palette = {
        *style.COLOURS,
        style.INK,
        style.DIM,
        style.LINE,
        style.PAPER,
        style.BETTER,
        style.WORSE,
    }
    assert palette == known


def test_without_the_extra(result: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("promptkit.report.charts.plot", "promptkit.report.charts.style"):
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(f"{name}", raising=False)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingExtraError, match=r"promptkit-fewshot\[report\]"):
        result.plot()
    page = html(result.to_dict(), result.to_records(), packed(result.prompts))
    assert "For charts, install promptkit-fewshot[report]" in page
    assert "<figure>" not in page
    assert "<table>" in page


# --- what is kept of prompts and predictions ------------------------------------------------------

PIECES = st.builds(
    Piece,
    text=st.text(max_size=5),
    kind=st.sampled_from(["template", "data", "chat"]),
    example=st.sampled_from([None, "a", "b"]),
)


@pytest.mark.slow
@given(st.lists(st.tuples(st.booleans(), st.lists(PIECES, max_size=8)), max_size=4))
def test_packed_prompts_hold_every_character(prompts: list[tuple[bool, list[Piece]]]) -> None:
    made = {
        str(number): Prompt(messages=(Message("user", tuple(pieces)),))
        if turns
        else Prompt(tuple(pieces))
        for number, (turns, pieces) in enumerate(prompts)
    }
    data = json.loads(json.dumps(packed(made)))
    for name, prompt in made.items():
        blocks = [data["blocks"][place] for place in data["prompts"][name]]
        assert "".join(text for _, runs in blocks for _, text in runs) == prompt.text
    assert len({json.dumps(block) for block in data["blocks"]}) == len(data["blocks"])


@pytest.mark.slow
def test_what_the_page_embeds_is_what_was_predicted(result: Comparison) -> None:
    page = html(result.to_dict(), result.to_records(), packed(result.prompts))
    (found,) = re.findall(r'id="data">([^<]*)</script>', page)
    data = json.loads(gzip.decompress(base64.b64decode(found)))
    columns, labels = data["columns"], data["labels"]
    assert data["size"] == len(result.predictions)
    for at, prediction in enumerate(result.predictions):
        query = data["queries"][columns["query"][at]]
        assert query[:2] == [prediction.id, prediction.input["name"]]
        assert labels[query[2]] == prediction.gold
        assert labels[columns["said"][at]] == prediction.label
        shown = [data["ids"][one] for one in data["draws"][columns["draw"][at]]]
        assert shown == list(prediction.shot_ids)
        blocks = [data["blocks"][one] for one in data["prompts"][columns["prompt"][at]]]
        text = "".join(text for _, runs in blocks for _, text in runs)
        assert text == result.prompts[prediction.prompt_sha256].text
        flat = columns["probs"][at]
        probs = {labels[a]: p / 1000 for a, p in zip(flat[::2], flat[1::2], strict=True)}
        assert probs == {
            k: pytest.approx(v, abs=0.0006) for k, v in (prediction.probs or {}).items()
        }


def test_only_the_likeliest_of_many_labels_are_kept() -> None:
    probs = {f"l{i}": i / 1000 for i in range(80)}
    records = [{**fruit(limit=1, shots=[0]).to_records()[0], "probs": probs, "gold": "l3"}]
    data = page_data.payload(records, None)
    flat = data["columns"]["probs"][0]
    names = [data["labels"][number] for number in flat[::2]]
    assert names == [*(f"l{i}" for i in range(79, 79 - page_data.MOST_LABELS, -1)), "l3"]


# --- promptkit report -----------------------------------------------------------------------------


def run(*words: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["report", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


@pytest.mark.slow
def test_the_page_is_the_same_again(saved: Path, tmp_path: Path) -> None:
    code, said = run(saved, "--html", tmp_path / "again.html")
    assert (code, said) == (0, f"Written to {tmp_path / 'again.html'}\n")
    assert (tmp_path / "again.html").read_bytes() == (saved / "report.html").read_bytes()


@pytest.mark.slow
def test_plots_as_pictures(saved: Path, tmp_path: Path) -> None:
    code, said = run(saved, "--png", tmp_path / "png", "--svg", tmp_path / "svg")
    assert code == 0
    for what in ("accuracy", "differences", "reliability", "confusion", "cost"):
        assert (tmp_path / "png" / f"{what}.png").read_bytes()[:4] == b"\x89PNG"
        assert (tmp_path / "svg" / f"{what}.svg").read_text("utf-8").startswith("<svg ")
        assert f"{what}.png" in said


def copy(saved: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("comparison.json", "predictions.jsonl", "prompts.json"):
        (folder / name).write_bytes((saved / name).read_bytes())
    return folder


def changed_json(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = json.loads((folder / name).read_text("utf-8"))
        change(data)
        (folder / name).write_text(json.dumps(data), "utf-8")

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / name).read_bytes()
        half = text[: len(text) // 2].rstrip(b"\n")[:-1]  # inside a line
        (folder / name).write_bytes(half)

    return damage


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "comparison.json").unlink(), "comparison.json: No such file"),
        (cut("comparison.json"), r"comparison.json:\d+: not JSON"),
        (cut("predictions.jsonl"), r"predictions.jsonl:\d+: the file is cut short"),
        (cut("prompts.json"), r"prompts.json:1: not JSON .* run promptkit compare again"),
        (lambda folder: (folder / "comparison.json").write_text("[]"), "not a JSON object"),
        (changed_json("comparison.json", lambda d: d.pop("rows")), "no field 'rows'"),
        (
            changed_json("comparison.json", lambda d: d["rows"][0].pop("accuracy_ci")),
            "no field 'rows.0.accuracy_ci'; run promptkit compare again",
        ),
        (
            changed_json("comparison.json", lambda d: d["rows"][0].update(accuracy="much")),
            "field 'rows.0.accuracy', value 'much': Input should be a valid number",
        ),
        (
            changed_json("comparison.json", lambda d: d["rows"][0].update(brier="low")),
            "field 'rows.0.brier', value 'low'",
        ),
        (
            changed_json("comparison.json", lambda d: d["confusion"][0]["counts"].pop()),
            "counts need a row and a column per label",
        ),
        (
            changed_json("comparison.json", lambda d: d["pairs"][0].update(ci=[0])),
            "no field 'pairs.0.ci.1'",
        ),
        (
            changed_json("prompts.json", lambda d: d["blocks"].clear()),
            "a prompt names a block beyond the last one",
        ),
    ],
)
def test_what_is_damaged_is_named(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = copy(saved, tmp_path / "run")
    damage(folder)
    code, said = run(folder)
    assert code == 2
    assert re.search(reason, re.sub(r"\s+", " ", said))
    assert "Traceback" not in said
    assert not (folder / "report.html").exists()


def test_runs_of_earlier_versions(saved: Path, tmp_path: Path) -> None:
    folder = copy(saved, tmp_path / "old")
    (folder / "prompts.json").unlink()

    def age(data: dict[str, Any]) -> None:
        for name in set(data) - {"task", "models", "rows", "pairs", "usage"}:
            del data[name]
        for pair in data["pairs"]:
            for name in set(pair) - {"a", "b", "delta", "ci", "p"}:
                del pair[name]
        for one in (*data["rows"], *(pair[side] for pair in data["pairs"] for side in "ab")):
            del one["order"], one["verbalizer"]
        for row in data["rows"]:
            del row["brier"]

    changed_json("comparison.json", age)(folder)
    lines = (folder / "predictions.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        for name in ("order", "verbalizer", "calibrated"):
            del record[name]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "predictions.jsonl").write_text(text, "utf-8")
    code, said = run(folder)
    assert code == 0
    assert "prompts.json does not exist, so the page has no prompts" in re.sub(r"\s+", " ", said)
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="accuracy"' in page
    assert 'id="confusion"' not in page


def test_a_comparison_of_one_cell_has_no_differences(tmp_path: Path) -> None:
    made = compare(parity_task(), models=[FakeModel()], shots=[1], seeds=1, store=Store())
    page = (made.save(tmp_path) / "report.html").read_text("utf-8")
    assert 'id="differences"' not in page
    assert run(tmp_path)[0] == 0
