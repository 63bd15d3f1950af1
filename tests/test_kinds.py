"""A task of each kind, by the commands from lint to optimise, with the bundled model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Run

from promptkit import LlamaModel

ROOT = Path(__file__).parents[1]

TOML = """
name = "{name}"
instruction = "Answer."
template = "qa.j2"
[input]
text = "str"
[output]
{output}
[files]
demos = "demos.jsonl"
tests = "tests.jsonl"
"""

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
OUTPUTS = {
    "whole": ('type = "int"\nmin = 0\nmax = 9', lambda n: n % 9),
    "text": ('type = "str"\nmatch = "normalised"', lambda n: f"the {WORDS[n % 8]}"),
}
EXAMPLES = {
    "quiz": ("accuracy", "chance", "qa-labels"),
    "ratings": ("mae", "mae_of_mean", "qa-labels"),
    "extraction": ("fields_micro", "field.price", "order"),
    "topics": ("micro_f1", "ranking_precision", "qa-labels"),
}
KINDS = {
    **EXAMPLES,
    "whole": ("mae", "rmse", "qa"),
    "text": ("token_f1", "exact_match", "qa"),
}


def folder_of(kind: str, place: Path) -> Path:
    if kind in EXAMPLES:
        return Path(shutil.copytree(ROOT / "examples" / kind, place / kind))
    output, gold = OUTPUTS[kind]
    (place / "task.toml").write_text(TOML.format(name=kind, output=output), "utf-8")
    for name, begin in (("demos", 0), ("tests", 10)):
        rows = [
            {"text": f"{name} {WORDS[n % 8]} {WORDS[n % 3]}", "output": gold(n)}
            for n in range(begin, begin + 6)
        ]
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (place / f"{name}.jsonl").write_text(text, "utf-8")
    return place


@pytest.mark.model
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_takes_every_kind(
    kind: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smollm2: LlamaModel
) -> None:
    metric, beside, template = KINDS[kind]
    folder = folder_of(kind, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("promptkit.cli.arguments.models_named", lambda *_, **__: [smollm2])
    asked = ["--template", template, "--metric", metric, "--store", "store.db", "--max-tokens", 32]
    asked += ["--rationale-tokens", 12]
    assert run("lint", folder).code in (0, 1)
    rendered = run("render", folder, "--template", template, "--shots", 1)
    assert (rendered.code, bool(rendered.out.strip())) == (0, True)

    few = ["--limit", 3, "--seeds", 1]
    ran = run("compare", folder, *asked, *few, "--shots", "0,1", "--out", "run", "--json", "c.json")
    assert ran.code == 0, ran.err
    found = json.loads(Path("c.json").read_text("utf-8"))
    assert found["metric"] == metric
    for row in found["rows"]:
        assert row["n"] == 3
        assert metric in row
        constant = row["predictor"] != "prompt"  # such as a mean, which has no correlation
        assert beside in row or beside == "chance" or constant

    sign = "--max" if metric == "mae" else "--min"
    bound = f"{metric}={1e9 if metric == 'mae' else 0}"
    gates = run("check", folder, *asked, *few, "--shots", 1, sign, bound, "--json", "g.json")
    checked = json.loads(Path("g.json").read_text("utf-8"))
    assert gates.code == (0 if checked["passed"] else 1), gates.err
    assert checked["gates"][0]["metric"] == metric
    # Any value keeps such a bound, so that only answers without one can fail it.
    assert checked["passed"] is (checked["gates"][0]["unanswered"] <= 0.05)

    page = run("report", "run", "--html", "page.html")
    assert page.code == 0, page.err
    html = Path("page.html").read_text("utf-8")
    assert found["task"]["name"] in html
    searched = run(
        "optimise", folder, "--template", template, "--store", "store.db", "--shots", 1,
        "--budget", 6, "--held-out", 2, "--max-tokens", 32, "--rationale-tokens", 12,
    )  # fmt: skip
    assert searched.code == 0, searched.err
