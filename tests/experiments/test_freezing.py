"""The winner of a comparison is frozen, and answers as it did in the comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.experiments.freezing import cell_in, freeze_cell
from promptkit.experiments.saved_runs import read_run

THINKS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and "
    "enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


def _run(folder: Path, model: Any, **chosen: Any) -> tuple[Any, Any, pk.Store]:
    task, store = pk.load_task("examples/fruit"), pk.Store()
    result = pk.compare(
        task,
        models=[model],
        shots=[0, 2, 4],
        seeds=2,
        calibrations=["batch", "temperature"],
        store=store,
        lint=False,
        **chosen,
    )
    result.save(folder / "run")
    return task, result, store


def test_the_best_cell_answers_as_in_the_comparison(tmp_path: Path) -> None:
    model = pk.FakeModel()
    task, result, store = _run(tmp_path, model)
    best = result.best.cell
    predictor = result.predictor(store=store)
    own = [p for p in result.predictions if p.at(seed=None) == best.at(calibration="none")]
    first = {p.id: p for p in own if p.seed == 0}
    asked = len(store)
    for made in predictor.predict(task.tests, store=store):
        before = first[made.id]
        probs = before.probs if best.calibration == "none" else before.calibrated[best.calibration]
        assert made.probs == probs
    assert len(store) == asked


@pytest.mark.parametrize("method", ["none", "batch", "temperature"])
def test_a_saved_run_is_frozen(method: str, tmp_path: Path) -> None:
    model = pk.FakeModel()
    task, result, store = _run(tmp_path, model, selections=["random"])
    run = read_run(tmp_path / "run")
    cell = cell_in(run, {"shots": "2", "calibration": method})
    said: list[str] = []
    file = freeze_cell(
        run,
        cell,
        tmp_path / "fruit.promptkit",
        task=task,
        load=lambda name: model,
        seed=1,
        store=store,
        notify=said.append,
    )
    assert said == []
    frozen = pk.load_predictor(file, model=model)
    own = {p.id: p for p in result.predictions if (p.shots, p.seed) == (2, 1)}
    for made in frozen.predict(task.tests):
        before = own[made.id]
        wanted = before.probs if method == "none" else before.calibrated[method]
        assert (made.probs, made.shot_ids) == (wanted, before.shot_ids)
    assert frozen.evidence is not None
    row = next(r for r in result.rows if r.cell == cell)
    assert frozen.evidence["accuracy"] == row.accuracy


def test_the_threshold_of_the_run_is_kept(tmp_path: Path) -> None:
    task = pk.load_task("examples/fruit")
    right = {test.input.name: test.output for test in task.tests}
    model = pk.FakeModel(
        lambda prompt: " " + next((r for n, r in right.items() if f"\n{n} " in prompt.text), "")
    )
    result = pk.compare(
        task, models=[model], shots=[0], store=pk.Store(), max_error=0.5, lint=False
    )
    result.save(tmp_path / "run")
    run = read_run(tmp_path / "run")
    file = freeze_cell(
        run, cell_in(run, {}), tmp_path / "a.promptkit", task=task, load=lambda name: model
    )
    assert result.selective is not None
    assert pk.load_predictor(file, model=model).threshold == result.selective.threshold
    assert result.predictor().threshold == result.selective.threshold


def test_a_frozen_predictor_stands_in_a_comparison(tmp_path: Path) -> None:
    model = pk.FakeModel()
    task, result, store = _run(tmp_path, model)
    cell = replace(result.best.cell, shots=4, calibration="batch", seed=None)
    file = pk.freeze(result.predictor(cell, store=store), tmp_path / "winner.promptkit")
    frozen = pk.load_predictor(file, model=model)
    again = pk.compare(
        task, models=[model], shots=[0], seeds=1, store=store, predictors=[frozen], lint=False
    )
    own = next(r for r in again.rows if r.model == "winner" and r.seed is None)
    before = next(r for r in result.rows if r.at(seed=None) == cell and r.seed == 0)
    assert own.accuracy == before.accuracy
    assert own.log_loss == pytest.approx(before.log_loss)


def test_what_cannot_be_frozen_says_why(tmp_path: Path) -> None:
    model = pk.FakeModel()
    task, result, store = _run(tmp_path, model)
    run = read_run(tmp_path / "run")
    for levels, reason in (
        ({"shots": "3"}, "no cell has it"),
        ({"shots": "2"}, "3 cells have it"),
        ({"colour": "red"}, "no factor"),
    ):
        with pytest.raises(TaskError, match=reason):
            cell_in(run, levels)
    cell = cell_in(run, {})
    for changed, seed, reason in (
        (task.model_copy(update={"instruction": "Other."}), None, "has changed since the run"),
        (task, 7, "no prompts of"),
    ):
        changed.__dict__.pop("fingerprint", None)
        with pytest.raises(TaskError, match=reason):
            freeze_cell(
                run,
                cell,
                tmp_path / "a.promptkit",
                task=changed,
                load=lambda name: model,
                seed=seed,
            )
    with pytest.raises(TaskError, match="asked no prompts"):
        result.predictor(cell.at(shots=9), store=store)


@pytest.mark.parametrize(("samples", "think"), [(1, 0), (1, 8), (3, 0), (3, 8)])
@pytest.mark.parametrize("output", ["int", "label"])
def test_reasons_votes_and_thoughts_are_frozen(
    output: str, samples: int, think: int, tmp_path: Path
) -> None:
    task = _sums(tmp_path / "sums", output)
    model, store = pk.FakeModel(_reasoned, chat_template=THINKS), pk.Store()
    methods = ["none", "batch"] if output == "label" else ["none"]
    chosen: dict[str, Any] = {"rationales": samples, "think": think, "rationale_tokens": 7}
    asked: dict[str, Any] = {"models": [model], "templates": ["reasons.j2"], "lint": False}
    calibrations = ["batch"] if output == "label" else []
    result = pk.compare(
        task, shots=[2], seeds=1, calibrations=calibrations, store=store, **asked, **chosen
    )
    run = read_run(result.save(tmp_path / "run"))
    own = {one.id: one for one in result.predictions}
    assert len(own["q0"].votes or ()) == (samples if samples > 1 else 0)
    for method in methods:
        said: list[str] = []
        file = freeze_cell(
            run,
            cell_in(run, {"calibration": method}),
            tmp_path / "sums.promptkit",
            task=task,
            load=lambda name: model,
            store=store,
            notify=said.append,
        )
        assert said == []
        frozen = pk.load_predictor(file, model=model)
        assert (frozen.rationales, frozen.think, frozen.rationale_tokens) == (samples, think, 7)
        for made in frozen.predict(task.tests):
            before = own[made.id]
            assert made.probs == (before.probs if method == "none" else before.calibrated[method])
            assert (made.rationale, made.thought) == (before.rationale, before.thought)
            assert made.votes == before.votes
            if method == "none":
                assert (made.label, made.text) == (before.label, before.text)


def _sums(folder: Path, output: str) -> pk.Task[Any, Any]:
    (folder / "templates").mkdir(parents=True)
    kind = 'type = "int"' if output == "int" else 'labels = ["2", "3"]'
    (folder / "task.toml").write_text(
        f'name = "sums"\n[input]\ntext = "str"\n[output]\n{kind}\n'
        '[files]\ndemos = "demos.csv"\ntests = "tests.csv"\n',
        "utf-8",
    )
    demos = "".join(f"d{n},1+{n},{2 + n % 2},so it is {n}\n" for n in range(4))
    tests = "".join(f"q{n},3+{n},{2 + n % 2}\n" for n in range(6))
    (folder / "demos.csv").write_text(f"id,text,output,rationale\n{demos}", "utf-8")
    (folder / "tests.csv").write_text(f"id,text,output\n{tests}", "utf-8")
    (folder / "templates" / "reasons.j2").write_text(
        "{% example %}{% user %}{{ input.text }}{% enduser %}"
        "{% assistant %}Since {{ rationale }} So: {{ output }}{% endassistant %}{% endexample %}",
        "utf-8",
    )
    return pk.load_task(folder)


def _reasoned(prompt: pk.Prompt) -> str:
    """Return a thought, a rationale or an answer, each sample's its own."""
    digest = crc32(f"{prompt.text}{prompt.sample}".encode()) % 7
    if prompt.asks == "thought":
        return f"thought {digest}\n</think>"
    if prompt.asks == "rationale":
        return f"reason {digest}."
    return str(2 + digest % 2)
