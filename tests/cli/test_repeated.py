"""Options that are given several times, or with commas, or both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from samples import CountingModel

import promptkit
from promptkit.cli import app
from promptkit.cli.repeated import Command, listed, unparted

pytestmark = pytest.mark.slow

FRUIT = str(Path(__file__).parents[2] / "examples" / "fruit")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder, with models that are not real."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    monkeypatch.setattr(
        promptkit, "load_model", lambda name="smollm2", **_: CountingModel(name=name)
    )

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            app([*map(str, words)], prog_name="promptkit")
        out, err = capfd.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def varied(run: Run, field: str, *words: object) -> list[Any]:
    """The values of a field of the rows of a small comparison."""
    few = ("--seeds", 1, "--limit", 2, "--no-baselines", "--json", "-")
    shots = () if "--shots" in words else ("--shots", 2)
    code, out, err = run("compare", FRUIT, *few, *shots, *words)
    assert code == 0, err
    return [*dict.fromkeys(row[field] for row in json.loads(out)["rows"])]


@pytest.mark.parametrize(
    ("option", "field", "values"),
    [
        ("--calibrate", "calibration", ["contextual", "batch", "vector"]),
        ("--shots", "shots", [0, 1, 3]),
        ("--selection", "selection", ["balanced", "random", "first"]),
        ("--order", "order", ["drawn", "reversed", "rotated"]),
        ("--verbalizer", "verbalizer", ["labels", "upper", "title"]),
        ("--model", "model", ["one", "two", "three"]),
        ("--template", "template", ["colon.j2", "qa.j2", "lines.j2"]),
    ],
)
def test_repeats_and_commas_mean_the_same(
    option: str, field: str, values: list[Any], run: Run
) -> None:
    a, b, c = values
    found = {
        tuple(varied(run, field, *words))
        for words in (
            (option, a, option, b, option, c),
            (option, f"{a}, {b}", option, f"{c},"),
        )
    }
    (only,) = found
    assert [value for value in only if value != "none"] == values


def test_all_and_a_method_are_all(run: Run) -> None:
    every = varied(run, "calibration", "--calibrate", "all")
    assert varied(run, "calibration", "--calibrate", "batch", "--calibrate", "all") == every
    assert varied(run, "calibration", "--calibrate", "all,vector") == every
    code, _, err = run("compare", FRUIT, "--calibrate", "all", "--calibrate", "btach")
    assert (code, "no calibration 'btach'" in err) == (2, True)


def test_gates_are_repeated_too(run: Run) -> None:
    few = ("--seeds", 1, "--limit", 2, "--shots", "1", "--shots", "0,2", "--json", "-")
    for words in (
        ("--min", "accuracy=0", "--min", "coverage=0", "--max", "log_loss=99"),
        ("--min", "accuracy=0,coverage=0", "--max", "log_loss=99"),
        ("--min", "accuracy=0, coverage=0", "--max", "log_loss=99,"),
    ):
        _, out, err = run("check", FRUIT, *few, *words)
        gates = json.loads(out)["gates"]
        assert {gate["cell"]["shots"] for gate in gates} == {0, 1, 2}, err
        assert {gate["metric"] for gate in gates} == {"accuracy", "coverage", "log_loss"}
    code, _, err = run("check", FRUIT, "--min", "accuracy=0.1,accuracy=0.2")
    assert (code, "accuracy is bounded twice" in err) == (2, True)


def test_rules_that_lint_ignores(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "t"
    run("new", "t")
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "x.j2").write_text("{{ query.nmae }} {{ query.other }}")
    rules = {
        one["rule"]
        for one in json.loads(run("lint", "t", "--template", "x.j2", "--json", "-")[1])["findings"]
    }
    assert rules
    for words in (
        [part for rule in sorted(rules) for part in ("--ignore", rule)],
        ["--ignore", ",".join(rules)],
    ):
        code, out, _ = run("lint", "t", "--template", "x.j2", "--json", "-", *words)
        assert (code, json.loads(out)["findings"]) == (0, [])


@pytest.mark.parametrize(
    "words",
    [
        ("compare", FRUIT, "--seeds", 1, "--seeds", 2),
        ("compare", FRUIT, "--limit", 1, "--limit=2"),
        ("compare", FRUIT, "--out", "a", "--out", "b"),
        ("compare", FRUIT, "--json", "-", "--json", "x.json"),
        ("compare", FRUIT, "--orders", 2, "--orders", 3),
        ("check", FRUIT, "--margin", 0.1, "--margin", 0.2),
        ("check", FRUIT, "--no-worse-than", "a", "--no-worse-than", "b"),
        ("optimise", FRUIT, "--shots", 2, "--shots", 4),
        ("render", FRUIT, "--template", "colon.j2", "--template", "qa.j2"),
        ("render", FRUIT, "--selection", "random", "--selection", "first"),
        ("models", "prepare", "x.gguf", "--weights", "f16", "--weights", "f32"),
    ],
)
def test_options_with_one_value_refuse_another(words: tuple[object, ...], run: Run) -> None:
    code, out, err = run(*words)
    option = str(words[3] if words[0] == "models" else words[2])
    assert (code, out) == (2, "")
    assert err == f"error: {option} is given 2 times, and takes one value\n"


def test_flags_may_stand_twice(run: Run) -> None:
    code, _, err = run("render", FRUIT, "--whitespace", "--whitespace")
    assert code == 0, err


def commands(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from commands(command)
        else:
            yield command


def test_no_option_of_any_command_drops_a_value() -> None:
    for command in commands(typer.main.get_command(app)):
        assert isinstance(command, Command), command.name
        for param in command.params:
            if param.param_type_name == "option" and param.multiple:
                assert param.callback is not None, (command.name, param.name)


def test_files_with_commas_stay_whole(tmp_path: Path) -> None:
    file = tmp_path / "a,b.gguf"
    file.write_text("")
    assert listed([str(file), "c,d"]) == [str(file), "c", "d"]
    assert listed([file, Path("c,d")]) == [file, Path("c"), Path("d")]
    assert listed(["", ",", " , ", "a\0,b", "x" * 5000]) == ["", ",", " , ", "a\0", "b", "x" * 5000]
    assert listed([]) == []
    assert listed(None) is None


def test_values_with_parts_stay_whole() -> None:
    given = ["hi,en", "instruction=en,shots=hi,labels=hi"]
    assert unparted(given) == ["hi", "en", "instruction=en,shots=hi,labels=hi"]
    assert unparted(None) is None
