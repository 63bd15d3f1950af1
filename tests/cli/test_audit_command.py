"""`promptkit audit`, and gaps as gates of `promptkit check`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from grouped import comments

import promptkit as pk
from promptkit.students.linear_head import fit_head
from promptkit.students.tfidf_features import TfIdfFeatures


@pytest.fixture
def student(here: Path) -> None:
    """A task with groups, and a student of it."""
    pk.save_task(comments({"red": 60, "green": 50, "grey": 4}), "comments")
    texts = [f"{word} {number}" for word in ("red", "green") for number in range(30)]
    features = TfIdfFeatures.of(texts, 1)
    targets = np.eye(2)[[number % 2 for number in range(60)]]
    head = fit_head(features.matrix(texts), targets, np.ones(60), strengths=(10.0,))
    pk.Student(pk.load_task("comments"), features, head.weights, head.bias).save("student")


@pytest.mark.usefixtures("student")
def test_a_student_is_audited(run: Run) -> None:
    words = ("--task", "comments", "--groups", "group,age", "--four-fifths")
    made = run("audit", "student", *words, "--out", "found", "--json", "audit.json")
    assert (made.code, made.err) == (0, "")
    for line in (
        "Audit of student",
        "Groups by group, positive: rude",
        "Gaps by age",
        "Four-fifths rule",
        "1 group by group has fewer than 20 queries",
        "What these figures cannot show",
        "Written to found: audit.json",
    ):
        assert line in made.out
    said = json.loads(Path("audit.json").read_text())
    assert said == json.loads(Path("found/audit.json").read_text())
    assert [one["by"] for one in said["groups"]["groupings"]] == ["group", "age"]
    assert pk.load_audit("found").predictor == "student"


@pytest.mark.usefixtures("student")
def test_terms_and_another_predictor(run: Run) -> None:
    Path("terms.txt").write_text("red\ngreen: green, greens\n")
    words = ("--task", "comments", "--groups", "group", "--terms", "terms.txt")
    made = run("audit", "student", *words, "--against", "student", "--json", "-")
    assert (made.code, made.err) == (0, "")
    said = json.loads(made.out)
    assert {one["name"] for one in said["unintended"][0]["subgroups"]} == {"red", "green"}
    assert said["changes"]["against"] == "student"
    shown = run("audit", "student", *words)
    assert "Unintended bias by terms, scores of rude" in shown.out
    assert "generalised mean, p = -5" in shown.out


@pytest.mark.usefixtures("student")
def test_rows_of_a_file_are_asked(run: Run) -> None:
    lines = [f"red {n},{'rude' if n % 2 else 'fine'},{'ab'[n % 2]}" for n in range(60)]
    Path("rows.csv").write_text("\n".join(["text,output,side", *lines]) + "\n")
    words = ("--task", "comments", "--rows", "rows.csv", "--groups", "side", "--json", "-")
    made = run("audit", "student", *words)
    assert made.code == 0, made.err
    assert json.loads(made.out)["queries"] == 60


@pytest.mark.usefixtures("student")
def test_what_cannot_be_is_refused(run: Run) -> None:
    for words, reason in (
        (("student", "--groups", "group"), "no tests to audit"),
        (("student", "--task", "comments"), "nothing to audit"),
        (("student", "--task", "comments", "--groups", "grp"), "did you mean 'group'"),
        (("student", "--groups", "group", "--shots", 4), "--shots: a saved predictor has its own"),
        (("comments", "--task", "comments", "--groups", "group"), "--task: of a saved predictor"),
        (("comments", "--groups", "group", "--positive", "bad"), "not a label of comments"),
        (("student", "--task", "comments", "--groups", "group", "--against", "no"), "no such file"),
    ):
        refused = run("audit", *words)
        assert refused.code == 2, words
        assert reason in refused.err
        assert "Traceback" not in refused.err


@pytest.mark.usefixtures("student")
def test_a_lookup_table_is_audited(run: Run) -> None:
    tests = pk.load_task("comments").tests
    rows = [{"input": {"text": test.input.text}, "label": test.output} for test in tests[:100]]
    pk.build_lookup(rows, "answers.lookup")
    words = ("--task", "comments", "--groups", "group", "--json", "-")
    made = run("audit", "answers.lookup", *words)
    assert made.code == 0, made.err
    figures = json.loads(made.out)["groups"]["overall"]["figures"]
    assert figures["accuracy"]["value"] == pytest.approx(100 / 114)
    assert "brier" not in figures
    scored = run("audit", "answers.lookup", "--task", "comments", "--subgroups", "group")
    assert scored.code == 2
    assert "no scores of the labels" in scored.err


@pytest.mark.usefixtures("student")
def test_check_has_gates_on_gaps(run: Run) -> None:
    for words, reason in (
        (("--max-gap", "0.1,0.2", "--groups", "group"), "--max-gap '0.1,0.2': write one number"),
        (("--max-gap", "0.1"), "max_gap: name the columns"),
        (("--max-gap", "0.1", "--groups", "grup"), "did you mean 'group'"),
    ):
        refused = run("check", "comments", *words)
        assert refused.code == 2
        assert reason in refused.err
