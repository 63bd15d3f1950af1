"""`promptkit lookup`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run, runner
from processes import environment
from tiny_gguf import write_llama

from promptkit import (
    FakeModel,
    Lookup,
    Predictor,
    Template,
    build_lookup,
    freeze,
    load_model,
    load_predictor,
    load_task,
)
from promptkit.cli import arguments

pytest.importorskip("lmdb")

ANSWERS = {"Azafrán": "saffron", "Aspirin": "acid", "aSPIRIN": "brand"}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(capfd)


@pytest.fixture
def file(run: Run, tmp_path: Path) -> Path:
    rows = [{"input": {"name": name}, "label": label} for name, label in ANSWERS.items()]
    rows.append({"input": {"name": "x"}, "label": None, "failure": "cut"})
    predictions = tmp_path / "p.jsonl"
    predictions.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ran = run("lookup", "build", predictions, "--out", tmp_path / "names.lookup")
    assert ran.code == 0
    assert "version 1, 3 inputs (3 added)" in ran.out
    assert "note: 1 prediction without an answer left out\nnote: 1 collision: " in ran.err
    assert "line 3: 'aSPIRIN' is answered 'brand'" in ran.err
    return tmp_path / "names.lookup"


def test_inputs_are_looked_up(run: Run, file: Path) -> None:
    ran = run("lookup", file, "azafrán", "Aspirin")
    assert ran == (0, "azafrán: saffron (normalised)\nAspirin: acid\n", "")
    ran = run("lookup", file, "Azafrán", "pepper", "--json", "-")
    assert ran.code == 2
    assert ran.err == f"error: {file}: no answer to 'pepper', as it is or normalised\n"
    found = json.loads(ran.out)
    assert [(one["input"], one["match"]) for one in found] == [
        *(("Azafrán", "exact"), ("pepper", None))
    ]
    ran = run("lookup", file, "pepper", "--default", "unknown")
    assert ran.out == "pepper: unknown (default)\n"
    ran = run("lookup", file, "pepper", "--default", "a", "--fallback", "b")
    assert (ran.code, "exclude each other" in ran.err) == (2, True)


def test_versions_are_shown_and_brought_back(run: Run, file: Path) -> None:
    info = run("lookup", "info", file, "--json", "-")
    assert json.loads(info.out)["inputs"] == 3
    assert "field name: nfc, case, space" in run("lookup", "info", file).out
    (file.parent / "p.jsonl").write_text('{"input": {"name": "Azafrán"}, "label": "safran"}\n')
    ran = run("lookup", "build", file.parent / "p.jsonl", "--out", file)
    assert "version 2, 1 inputs (1 changed, 2 removed)" in ran.out
    ran = run("lookup", "rollback", file)
    assert "version 3, 3 inputs (2 added, 1 changed" in ran.out
    assert "it restores version 1" in ran.out
    listed = run("lookup", "versions", file, "--json", "-")
    assert [one["restores"] for one in json.loads(listed.out)] == [None, None, 1]
    assert "restores 1" in run("lookup", "versions", file).out
    assert run("lookup", "rollback", file, "--to", "9").code == 2


def test_errors_are_told_in_a_line(run: Run, file: Path, tmp_path: Path) -> None:
    ran = run("lookup", tmp_path / "p.jsonl", "a")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "not a lookup table" in ran.err
    ran = run("lookup", "build", tmp_path / "p.jsonl", "--out", tmp_path / "none" / "a.lookup")
    assert (ran.code, "name a file in a folder that exists" in ran.err) == (2, True)
    rows = '{"input": {"a": 1, "b": "c"}, "label": "odd"}\n'
    (tmp_path / "two.jsonl").write_text(rows)
    two = tmp_path / "two.lookup"
    assert run("lookup", "build", tmp_path / "two.jsonl", "--out", two).code == 0
    assert run("lookup", two, '{"a": 1, "b": "C"}').out.endswith(": odd (normalised)\n")
    assert '{"a": "…", "b": "…"}' in run("lookup", two, "c").err


def by_itself(*words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "promptkit", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        input=stdin,
    )


def test_the_short_way_says_the_same(run: Run, file: Path) -> None:
    for values in (["azafrán", "Aspirin"], ["aspirin\x1b"]):
        alone, ran = by_itself("lookup", file, *values), run("lookup", file, *values)
        assert (alone.returncode, alone.stdout, alone.stderr) == ran
    assert by_itself("lookup", file, stdin="Azafrán\naspirin\n").stdout == "Azafrán: saffron\n"


def test_the_short_way_imports_no_command(file: Path) -> None:
    code = (
        "import sys; sys.argv[1:] = ['lookup', sys.argv[1], 'AZAFRÁN']; import promptkit.cli;"
        "promptkit.cli.main(); print({'typer', 'rich', 'pydantic', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert done.stdout == "AZAFRÁN: saffron (normalised)\nset()\n"


FRUIT = Path(__file__).parents[2] / "examples" / "fruit"


def test_predictions_go_on_into_a_lookup_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arguments, "models_named", lambda *_, **__: [FakeModel()])
    words = ("predict", FRUIT, FRUIT / "tests.csv", "--out", "a.jsonl", "--lookup", "a.lookup")
    ran = run(*words)
    assert (ran.code, ran.err) == (0, "")
    assert "a.lookup: version 1, 51 inputs (51 added)" in ran.out
    (version,) = json.loads(run("lookup", "versions", "a.lookup", "--json", "-").out)
    assert (version["model"], version["template"]) == ("fake", "arrow.j2")
    assert len(version["predictor"]) == 64
    first = json.loads(Path("a.jsonl").read_text().splitlines()[0])
    assert Lookup("a.lookup").find(first["input"]).label == first["label"]
    assert "version 2, 51 inputs (51 as before)" in run(*words).out
    assert "a shard is not all" in run(*words, "--shard", "1/2").err
    Path("a.lookup").write_text("something else")
    assert "not a lookup table" in run(*words, "--overwrite").err
    assert "ends in .jsonl" in run("predict", *words[1:4], "a.csv", *words[5:]).err


LOADING = """
import sys
from promptkit import cli
try:
    cli.main()
finally:
    print("llama_cpp" in sys.modules)
"""


def test_a_miss_goes_to_a_frozen_predictor(tmp_path: Path) -> None:
    """Only a miss loads the model."""
    model = load_model(write_llama(tmp_path / "tiny.gguf", n_ctx=512), weights="as-is", threads=1)
    task = load_task(FRUIT)
    frozen = freeze(Predictor(task, Template.of(task), model), tmp_path / "fruit.promptkit")
    build_lookup([{"input": {"name": "Plum"}, "label": "drupe"}], tmp_path / "a.lookup")
    (wanted,) = load_predictor(frozen, model).predict([task.as_query({"name": "quince"})])

    def looked_up(*words: object) -> list[str]:
        words = ("lookup", tmp_path / "a.lookup", *words, "--fallback", frozen)
        command = [sys.executable, "-c", LOADING, *map(str, words)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment()
        )
        return done.stdout.splitlines()

    assert looked_up("plum") == ["plum: drupe (normalised)", "False"]
    hit, miss, loaded = looked_up("Plum", "quince")
    assert hit == "Plum: drupe"
    assert miss.startswith(f"quince: {wanted.label} (")
    assert loaded == "True"
    frozen.unlink()
    assert looked_up("plum") == ["plum: drupe (normalised)", "False"]
