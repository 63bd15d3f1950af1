"""The benchmark counts right, its loops agree, and it runs from one end to the other."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_gguf import write_llama

from benchmarks import (
    engine,
    first_answer,
    limit,
    peers,
    ray_actors,
    scale,
    selection,
    tables,
)
from benchmarks.contest import Run, Survey
from benchmarks.meter import Taken
from benchmarks.peers import Answer
from benchmarks.results import Failure, Goal, Result
from benchmarks.work import FRUIT, prompts
from promptkit import Predictor, Template, load_model
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

pytestmark = pytest.mark.slow

Ids = st.lists(st.integers(0, 2), min_size=1, max_size=5).map(tuple)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "tiny.gguf", n_ctx=4096)


@given(st.lists(st.tuples(Ids, st.lists(Ids, min_size=1, max_size=3).map(tuple)), min_size=1))
def test_the_load_is_what_sets_of_beginnings_come_to(
    asked: list[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]],
) -> None:
    load = limit.load_of(TokenizedPrompt(Prompt(), ids, labels) for ids, labels in asked)
    read = {
        (*ids, *label[:-1])[: end + 1]
        for ids, labels in asked
        for label in labels
        for end in range(len(ids) + len(label) - 1)
    }
    wanted = {
        (*ids, *label[:end])
        for ids, labels in asked
        for label in labels
        for end in range(len(label))
    }
    assert (load.tokens, load.rows) == (len(read), len(wanted))
    assert load.depth == pytest.approx(sum(len(each) - 1 for each in read) / len(read))


@given(st.floats(0, 3000), st.sampled_from(limit.BATCHES))
def test_the_limit_is_as_deep_as_the_load(depth: float, batch: int) -> None:
    load = limit.Load(1, 1, depth, 1, 1)
    found = list(islice(limit.depths_of(load, batch), 4000))
    assert max(found) + batch <= limit.cells_of(load, batch)
    mean = sum(found) / len(found) + batch / 2
    assert mean == pytest.approx(max(depth, batch / 2), abs=2 + depth / 50)


def test_the_loops_agree_with_the_engine(tiny: Path) -> None:
    grid = FRUIT.first(2)
    asked = list(prompts(grid))
    llama = peers.stock(str(tiny), context=400, threads=1, flash_attention=False)
    reused = peers.loglikelihood(llama, asked)
    anew = peers.loglikelihood_anew(llama, asked)
    llama.close()
    task, model = grid.task(), load_model(tiny, threads=1)
    ours = [
        (prediction.label, prediction.margin)
        for shots in grid.shots
        for prediction in Predictor(task, Template.of(task), model, shots).predict(task.tests[:2])
    ]
    assert [(a.label, pytest.approx(a.margin, abs=1e-2)) for a in reused] == ours
    assert [(a.label, pytest.approx(a.margin, abs=1e-2)) for a in anew] == ours


def test_a_first_token_is_only_for_labels_of_one(tiny: Path) -> None:
    llama = peers.stock(str(tiny), context=400, threads=1, flash_attention=False)
    with pytest.raises(ValueError, match="' hesperidium' is 11 tokens"):
        peers.first_token(llama, list(prompts(FRUIT.first(1))))
    llama.close()


def test_it_runs(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--only", "fruit", "--limit", "2", "--threads", "1", "--repeats", "1"]
    engine.main([*options, "--model", str(tiny), "--json", str(tmp_path / "all.json")])
    assert FRUIT.title in capsys.readouterr().out
    data = json.loads((tmp_path / "all.json").read_text("utf-8"))
    (grid,) = data["grids"]
    load, runs = grid["survey"]["load"], grid["runs"]
    assert set(runs) == set(FRUIT.contestants)
    (bound,), (ours,), (theirs,) = (
        runs[name] for name in ("limit", "promptkit as-is", "log-likelihood")
    )
    assert (bound["taken"]["tokens"], bound["taken"]["rows"]) == (load["tokens"], load["rows"])
    assert ours["taken"]["tokens"] >= load["tokens"]
    labels = [[answer["label"] for answer in run["answers"]] for run in (ours, theirs)]
    assert labels[0] == labels[1]
    assert {goal["name"].split(":")[0] for goal in data["goals"]} == {"fruit"}


def test_large_grids_are_measured(tiny: Path) -> None:
    figure = scale.measure("large", str(tiny), 100)
    assert (figure.prompts, set(figure.seconds)) == (
        100,
        {"render and tokenize", "plan", "schedule"},
    )
    assert scale.measure("stored", str(tiny), 100).total > 0


def test_finding_shots_is_measured() -> None:
    figures = [
        selection.measured(name, 60, 6) for name in selection.CONTESTANTS if "langchain" not in name
    ]
    assert {figure.asked for figure in figures} == {6}
    shown = selection.table(figures, 60, 6)
    assert next(row[3] for row in shown.rows if row[0].startswith("promptkit similar")) == "1.00"


def made_up() -> Result:
    """Three rounds, of which one failed."""

    def run(seconds: float, times: float = 1.0, label: str = "pome") -> Run:
        answers = (Answer("drupe", 1.5), Answer(label, 0.25))
        return Run(Taken(seconds, seconds / 2, 1, 10, 1), 100.0, answers, times)

    survey = Survey(
        limit.Load(1, 1, 0.0, 1, 1), limit.Setting("F16"), {}, True, {"on": 1.0, "off": 2.0}
    )
    runs: dict[str, list[Run | Failure]] = {
        "log-likelihood": [run(9)],
        "generate": [run(2, times=3.0)],
        "guidance select": [Failure("it is not installed")],
        "promptkit as-is": [run(3, label="pepo")],
        "promptkit prepared": [run(2), Failure("no memory"), run(8)],
        "limit": [run(1), run(4), run(6)],
    }
    return Result(FRUIT, survey, runs)


def test_ratios_are_taken_round_by_round() -> None:
    result = made_up()
    assert result.ours == "promptkit prepared"
    assert result.ratio("limit", result.ours) == (1 / 2 + 6 / 8) / 2
    assert result.ratio("generate", result.ours) == 3
    assert result.ratio("guidance select", "promptkit as-is") is None
    assert result.outside("limit") == 0.5


def test_the_page_says_what_was_measured() -> None:
    figure = scale.Figure("render and plan", 1000, {"plan": 1.5}, 300.0, 200.0, (60, 20), 250)
    text = engine.section(["a machine"], [made_up()], [figure])
    assert "- a machine\n" in text
    assert "| Llama, greedy to the newline | 6.0 |  | 3.00 | 30 | 3 | 50.0% | 100 | 2 / 2 |" in text
    assert "| guidance select | failed |" in text
    assert "guidance select: failed: it is not installed." in text
    assert "ahead by 0.25 nats at most" in text
    assert "| fruit: share of the limit | 0.62 | 0.8 | 0.95 | no |" in text
    assert "| 1,000 prompts: render and plan | 1.5 s | 60 s | 20 s | aim |" in text
    assert "| 1,000 prompts: peak memory | 300 MB | 250 MB | 250 MB | no |" in text


def test_goals_know_which_way_is_better() -> None:
    assert [Goal("", found, 2.5, 3).reached for found in (2, 2.5, 3)] == ["no", "yes", "aim"]
    fewer = [Goal("", found, 5, 2, larger_is_better=False).reached for found in (6, 5, 1)]
    assert fewer == ["no", "yes", "aim"]


def test_tables_go_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN} old {tables.END}\nafter\n", "utf-8")
    table = tables.Table("A table", ("", "seconds:"), [["a|b", "1.0"]], ["A note."])
    for _ in range(2):
        tables.write(page, tables.markdown([table]))
    assert page.read_text("utf-8").splitlines() == [
        *("before", tables.BEGIN, "", "### A table", "", "|  | seconds |", "| --- | --: |"),
        *("| a/b | 1.0 |", "", "A note.", "", tables.END, "after"),
    ]
    page.write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="no <!-- results -->"):
        tables.write(page, "")


def test_the_page_has_its_marks() -> None:
    text = engine.PAGE.read_text("utf-8")
    assert text.index(tables.BEGIN) < text.index(tables.END)


def test_first_answers_are_measured(tiny: Path) -> None:
    shown = first_answer.table(str(tiny), shots=4, processes=1)
    with_state, without = (row[-1].split(" of ") for row in shown.rows)
    assert with_state[1] == without[1]
    assert int(with_state[0]) < int(without[0]) / 2


def test_actors_are_measured_beside_one_process(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    ray_actors.main(["--model", str(tiny), "--rows", "12", "--chunk-rows", "2", "--rounds", "1"])
    shown = capsys.readouterr().out
    assert "one process of 2 threads" in shown
    assert "two Ray actors of 1 thread" in shown
