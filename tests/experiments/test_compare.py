from __future__ import annotations

import json
import math
from collections import Counter
from enum import Enum
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from comparisons import compared, learner
from oracles import accuracy_interval, difference_interval, sign_flip_p
from samples import ARROW, COLON, CountingModel, open_task, parity, parity_task
from tiny_gguf import write_llama

import promptkit
from promptkit import Comparison, FakeModel, Sampling, Store, compare
from promptkit.errors import DataError, PromptkitError, TaskError, TemplateError
from promptkit.evaluation.results import Row
from promptkit.inference.cell import FIELDS
from promptkit.models.llama import LlamaModel

ROOT = Path(__file__).parents[2]


# The grid.


def test_every_cell_asks_the_same_queries_and_shots_are_nested() -> None:
    result = compared(models=[FakeModel(), FakeModel(name="b")], selections=["random", "first"])
    cells: dict[Any, list[promptkit.Prediction]] = {}
    for p in result.predictions:
        cells.setdefault((p.model, p.template, p.selection, p.seed, p.shots), []).append(p)
    assert len(cells) == 2 * 2 * 2 * 3
    tests = [example.id for example in parity_task().tests]
    assert all([p.id for p in cell] == tests for cell in cells.values())
    for (model, template, selection, seed, shots), cell in cells.items():
        most = cells[model, template, selection, seed, 4]
        for some, more in zip(cell, most, strict=True):
            assert some.shot_ids == more.shot_ids[:shots]


@pytest.mark.slow
def test_rows_are_aggregates_and_their_seeds_in_the_order_of_the_grid() -> None:
    models, templates = [FakeModel(), FakeModel(name="b")], [COLON, ARROW]
    result = compared(models=models, templates=templates, selections=["random", "first"])
    assert [(r.model, r.template, r.selection, r.shots, r.seed) for r in result.rows] == list(
        product(("fake", "b"), ("colon", "arrow"), ("random", "first"), (0, 1, 4), (None, 0, 1))
    )


def test_shot_counts_and_seeds_stand_once_and_shots_in_order() -> None:
    result = compared(shots=[4, 0, 4], seeds=[5, 3, 5], selections=["random", "random"])
    cells = [(r.selection, r.shots, r.seed) for r in result.rows]
    assert cells == list(product(["random"], (0, 4), (None, 5, 3)))


def test_limit_asks_the_first_tests() -> None:
    result = compared(limit=2)
    ids = [example.id for example in parity_task().tests[:2]]
    assert Counter(p.id for p in result.predictions) == dict.fromkeys(ids, 6)
    assert {row.n for row in result.rows} == {2}
    assert {row.n for row in compared(limit=99).rows} == {6}


# The numbers.


def of_row(result: Comparison, row: Row) -> list[promptkit.Prediction]:
    return [
        p
        for p in result.predictions
        if (p.model, p.template, p.selection, p.shots)
        == (row.model, row.template, row.selection, row.shots)
        and row.seed in (None, p.seed)
    ]


def f1(predictions: list[promptkit.Prediction], label: str) -> float:
    hits = sum(p.label == p.gold == label for p in predictions)
    named = sum((p.label == label) + (p.gold == label) for p in predictions)
    return 2 * hits / named


def test_rows_against_a_computation_by_hand() -> None:
    result = compared(models=[FakeModel()])
    for row in result.rows:
        mine = of_row(result, row)
        seeds = 2 if row.seed is None else 1
        assert (row.n, len(mine)) == (6, 6 * seeds)
        assert row.accuracy == pytest.approx(sum(p.label == p.gold for p in mine) / len(mine))
        table = np.array([p.label == p.gold for p in mine]).reshape(seeds, 6).T
        low, high = accuracy_interval(table)
        assert row.accuracy_ci_fixed == pytest.approx((low, high))
        if row.shots == 0:
            assert row.accuracy_ci == row.accuracy_ci_fixed
        elif row.seed is not None:
            assert row.accuracy_ci is None
        else:
            assert row.accuracy_ci is not None
            least, most = row.accuracy_ci
            assert (least, most) == pytest.approx((low, high)) or least < low < high < most
        each = [mine[start : start + 6] for start in range(0, len(mine), 6)]
        by_seed = [(f1(seed, "even") + f1(seed, "odd")) / 2 for seed in each]
        assert row.macro_f1 == pytest.approx(sum(by_seed) / seeds)
        losses = [-math.log(p.probs[p.gold]) for p in mine if p.probs]
        assert row.log_loss == pytest.approx(sum(losses) / len(losses))
        assert row.coverage == pytest.approx(0.99)
        assert row.tokens == sum(p.tokens for p in mine)
        assert (row.failures, row.calibration) == (0, "none")
        assert row.ece is not None
        assert 0 <= row.ece <= 1


def test_accuracy_where_it_is_known() -> None:
    rows = [row for row in compared().rows if row.seed is None]
    assert [(r.shots, r.accuracy) for r in rows] == [(0, 1 / 6), (1, 2 / 6), (4, 5 / 6)]


def test_pairs_follow_the_shots() -> None:
    pairs = compared().pairs
    assert [(p.a.shots, p.b.shots, p.delta) for p in pairs] == [
        (0, 1, pytest.approx(1 / 6)),
        (1, 4, pytest.approx(1 / 2)),
        (0, 4, pytest.approx(2 / 3)),
    ]
    assert {p.a.seed for p in pairs} == {p.b.seed for p in pairs} == {None}


def test_pairs_compare_with_the_first_model_template_and_selection() -> None:
    models = [FakeModel(learner), FakeModel(lambda p: "odd", name="odd")]
    result = compared(
        models=models, templates=[COLON, ARROW], selections=["first", "random"], shots=[2]
    )
    factors = ("model", "template", "selection")
    first = result.pairs[0].a
    changed = [[f for f in factors if getattr(p.a, f) != getattr(p.b, f)] for p in result.pairs]
    assert all(len(names) == 1 for names in changed)  # one thing at a time
    assert all(
        getattr(p.a, name) == getattr(first, name)
        for p, (name,) in zip(result.pairs, changed, strict=True)
    )
    assert len({(p.a, p.b) for p in result.pairs}) == len(result.pairs) == 3 * 4


def test_a_pair_against_a_computation_by_hand() -> None:
    result = compared(models=[FakeModel()])
    for pair in result.pairs:
        tables = []
        for cell in (pair.a, pair.b):
            mine = [p.correct for p in result.predictions if p.shots == cell.shots]
            tables.append(np.array(mine).reshape(2, 6).T)
        before, after = tables
        assert pair.delta == pytest.approx(after.mean() - before.mean())
        # Resampled with other random numbers, so a step of the bootstrap's apart at the most.
        assert pair.ci_fixed == pytest.approx(difference_interval(before, after), abs=1 / 16)
        assert pair.p_fixed == pytest.approx(sign_flip_p(before, after))
        assert pair.ci is not None
        assert pair.ci[0] <= pair.ci_fixed[0] <= pair.ci_fixed[1] <= pair.ci[1]
        assert pair.p is not None
        assert pair.p >= pair.p_fixed


def test_one_draw_says_nothing_of_others() -> None:
    result = compared(models=[FakeModel()], seeds=1)
    for row in result.rows:
        assert (row.accuracy_ci is None) == (row.shots > 0)
        assert (row.log_loss_ci is None) == (row.shots > 0)
    for pair in result.pairs:
        assert (pair.ci, pair.p) == (None, None)
        assert pair.verdict.endswith("for this draw of shots.")
    again = compared(models=[FakeModel()], seeds=1, selections=["first"])
    assert all(row.accuracy_ci == row.accuracy_ci_fixed for row in again.rows)
    assert all(pair.ci == pair.ci_fixed for pair in again.pairs)


def test_one_cell_has_no_pairs() -> None:
    assert compared(shots=[1], seeds=1).pairs == ()


# What it took.


def test_usage_adds_up() -> None:
    store, model = Store(), CountingModel()
    first = compared(models=[model], store=store).usage
    distinct = {(p.ids, p.candidates) for p in model.asked}
    assert first.prompts == len(model.asked) == len(distinct) == len(store) == 6 * (1 + 2 + 2)
    assert first.cached == 0
    assert first.decoded_tokens == sum(len(p.ids) for p in model.asked)
    assert first.naive_tokens == sum(p.naive_tokens for p in model.asked)
    assert 0 < first.unique_tokens < first.naive_tokens
    assert first.wall_seconds > 0
    again = compared(models=[model], store=store).usage
    assert (again.prompts, again.cached) == (first.prompts, first.prompts)
    assert again.decoded_tokens == again.unique_tokens == again.naive_tokens == 0
    more = compared(models=[model], store=store, shots=(0, 1, 2, 4)).usage
    assert (more.prompts, more.cached) == (first.prompts + 12, first.prompts)


def test_usage_is_summed_over_models_and_is_of_this_run() -> None:
    models = [FakeModel(), FakeModel(name="b")]
    one = compared(models=models[:1]).usage
    two = compared(models=models).usage
    assert two.prompts == 2 * one.prompts
    assert two.unique_tokens == 2 * one.unique_tokens
    assert two.decoded_tokens == 2 * one.decoded_tokens


@pytest.mark.slow
def test_written_answers_count_as_read(tmp_path: Path) -> None:
    model = LlamaModel(write_llama(tmp_path / "m.gguf"))
    task = open_task(str, "a", "b", "c")
    usage = compared(task=task, models=[model], shots=[0], sampling=Sampling(max_tokens=9)).usage
    assert 0 < usage.unique_tokens == usage.decoded_tokens <= usage.naive_tokens


def test_progress_counts_every_models_prompts() -> None:
    told: list[tuple[int, int]] = []
    compared(seeds=1, progress=lambda *at: told.append(at))
    assert told[-1] == (18, 18)


# Out.

PAIR = [
    *("a", "b", "delta", "ci", "ci_fixed", "p", "p_fixed", "p_holm", "verdict"),
    *("log_loss", "brier", "n"),
]
ROW = [
    *("model", "template", "selection", "shots", "seed", "calibration", "n", "accuracy"),
    *("macro_f1", "log_loss", "brier", "ece", "tokens", "seconds", "predictor"),
    *("parameters", "trained_parameters", "bytes", "items_per_second"),
    *("making_seconds", "making_tokens", "making_labels"),
    *(
        f"{name}_{ci}"
        for name in ("accuracy", "macro_f1", "log_loss", "brier", "coverage")
        for ci in ("ci", "ci_fixed")
    ),
]
FIGURES = [
    f"{name}{end}"
    for name in ("balanced_accuracy", "mcc", "kappa", "auroc", "aurc")
    for end in ("", "_ci", "_ci_fixed")
]
PREDICTION = [
    *("id", "input", "gold", "label", "logprobs", "probs", "margin", "near_tie"),
    *("coverage", "shots", "seed"),
    *("template", "model", "prompt_sha256"),
]


def test_the_fields_are_those_of_the_contract() -> None:
    data = compared().to_dict()
    assert {"task", "models", "rows", "pairs", "usage"} <= set(data)
    task = parity_task()
    assert data["task"] == {"name": "parity", "fingerprint": task.fingerprint}
    assert data["models"][0]["sha256"] == FakeModel().identity.sha256
    extra = {"coverage", "failures", "language", "order", "verbalizer"}
    assert all(set(row) == {*ROW, *FIGURES, *extra} for row in data["rows"])
    assert all(list(pair) == PAIR for pair in data["pairs"])
    assert all(list(pair["a"]) == list(FIELDS) for pair in data["pairs"])
    assert set(data["usage"]) == {
        *("prompts", "naive_tokens", "unique_tokens", "decoded_tokens", "decode_seconds"),
        *("wall_seconds", "cached"),
    }
    extra = {"correct", "text", "failure", "shot_ids", "selection", "tokens", "seconds"}
    extra |= {"language", "order", "verbalizer", "calibrated", "measures", "rationale"}
    extra |= {"abstained", "thought", "votes"}
    assert all(set(record) == {*PREDICTION, *extra} for record in compared().to_records())


class Sure(FakeModel):
    """Leaves nothing to any label but the first."""

    def score(self, prompts: Any) -> Any:
        for index, score in super().score(prompts):
            rest = [-math.inf] * (len(score.logprobs) - 1)
            yield index, promptkit.models.base.Score((0.0, *rest), score.tokens, 0.0)


@pytest.mark.parametrize("model", [FakeModel(), Sure()])
def test_it_is_json_to_the_letter(model: FakeModel) -> None:
    result = compared(models=[model])
    for value in (result.to_dict(), result.to_records()):
        text = json.dumps(value, allow_nan=False)
        assert json.loads(text) == value


def test_generated_floats_are_json_to_the_letter() -> None:
    model = FakeModel(lambda p: "[1.5, NaN, Infinity]")
    result = compared(task=open_task(list[float], [1.0]), models=[model], shots=[0])
    (record, _) = result.to_records()
    assert (record["label"], record["failure"]) == (None, "not a finite number")
    json.dumps(record, allow_nan=False)


def test_a_data_frame() -> None:
    result = compared()
    frame = result.to_pandas()
    assert len(frame) == len(result.rows)
    extra = {"language", "order", "verbalizer", "coverage", "failures"}
    assert set(frame.columns) == {*ROW, *FIGURES, *extra}
    assert frame[frame.seed.isna()].accuracy.tolist() == [1 / 6, 2 / 6, 5 / 6]


@pytest.mark.slow
def test_saving(tmp_path: Path) -> None:
    result = compared()
    folder = result.save(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert {path.name for path in folder.iterdir()} == {
        *("comparison.json", "predictions.jsonl", "prompts.json", "report.html", "formats")
    }
    assert json.loads((folder / "comparison.json").read_text("utf-8")) == result.to_dict()
    lines = (folder / "predictions.jsonl").read_text("utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == result.to_records()
    assert '<h1 dir="auto">parity</h1>' in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_lines_hold_whatever_stands_in_the_data(tmp_path: Path) -> None:
    words = ["two\nlines", "a\u2028b", "\0", "é\U0001f34f", '"', "\ue000", "\x85"]
    task = parity_task(tests=[{"input": {"word": w}, "output": parity(w)} for w in words])
    result = compared(task=task, models=[FakeModel()])
    lines = (result.save(tmp_path) / "predictions.jsonl").read_text("utf-8").split("\n")[:-1]
    assert [json.loads(line)["input"]["word"] for line in lines] == words * 6


@pytest.mark.slow
def test_two_runs_write_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        compared().save(tmp_path / name)
    one, two = ((tmp_path / name / "predictions.jsonl").read_bytes() for name in ("a", "b"))
    assert one == two


def test_printing_is_the_report() -> None:
    result = compared()
    assert "parity" in str(result)
    assert str(result) == repr(result)


# Outputs of every kind.


class Size(Enum):
    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(
    ("output", "golds", "reply", "accuracy"),
    [
        (bool, [True, False, True], "true", 2 / 3),
        (Size, [Size.SMALL, Size.LARGE], "2", 1 / 2),
        (Literal["only"], ["only", "only"], "only", 1.0),
        (Literal[1, 2], [1, 2, 2], "1", 1 / 3),
    ],
)
def test_labels_of_every_kind(output: Any, golds: list[Any], reply: str, accuracy: float) -> None:
    result = compared(
        task=open_task(output, *golds), models=[FakeModel(lambda p: reply)], shots=[0], seeds=1
    )
    assert result.rows[0].accuracy == pytest.approx(accuracy)
    assert result.rows[0].log_loss is not None
    json.dumps([result.to_dict(), result.to_records()], allow_nan=False)
    assert str(result)


def test_generated_answers_have_no_losses() -> None:
    task = open_task(int, 1, 2, 3)
    result = compared(
        task=task,
        models=[FakeModel(lambda p: "1" if "w2" not in p.text else "many")],
        shots=[0],
        sampling=Sampling(max_tokens=4),
    )
    for row in result.rows:
        assert row.accuracy == pytest.approx(1 / 3)
        assert row.macro_f1 is row.log_loss is row.brier is row.ece is row.coverage is None
        assert row.failures == (2 if row.seed is None else 1)


def test_gold_labels_are_joined_when_they_are_read() -> None:
    store, model = Store(), CountingModel(lambda p: "odd")
    task = parity_task()
    before = compared(task=task, models=[model], store=store)
    assert before.rows[0].accuracy == 1 / 2
    tests = [{"input": e.input, "output": "odd"} for e in task.tests]
    asked = len(model.asked)
    after = compared(task=parity_task(tests=tests), models=[model], store=store)
    assert len(model.asked) == asked
    assert after.usage.cached == after.usage.prompts
    assert after.rows[0].accuracy == 1.0
    assert after.fingerprint != before.fingerprint


def test_the_store_may_be_a_path_or_the_one_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    compared(store=None)
    assert (tmp_path / ".promptkit" / "predictions.sqlite").is_file()
    compared(store="s.sqlite")
    assert compared(store=tmp_path / "s.sqlite").usage.cached == 30


def test_the_tasks_own_template_is_asked() -> None:
    task = promptkit.load_task(ROOT / "examples" / "fruit")
    result = compare(task, models=[FakeModel()], shots=[0], seeds=1, limit=2, store=Store())
    assert {p.template for p in result.predictions} == {task.template}


# What is wrong is said before any model runs.


@pytest.mark.parametrize(
    ("changed", "kind", "reason"),
    [
        ({"task": parity_task(tests=[])}, TaskError, "'parity' has no tests"),
        ({"task": parity_task(demos=[])}, PromptkitError, "pool has only 0"),
        ({"shots": [0, 9]}, PromptkitError, "9 shots asked, but the pool has only 8"),
        ({"shots": []}, TaskError, "shots"),
        ({"shots": [-1]}, PromptkitError, "-1 shots"),
        ({"shots": 4}, TaskError, r"shots.*\[4\]"),
        ({"shots": [0.5]}, PromptkitError, "0.5 shots.*whole number"),
        ({"shots": ["1"]}, PromptkitError, "'1' shots.*whole number"),
        ({"seeds": 0}, TaskError, "seeds"),
        ({"seeds": []}, TaskError, "seeds"),
        ({"limit": 0}, TaskError, "limit"),
        ({"limit": -1}, TaskError, "limit"),
        ({"models": []}, TaskError, "models"),
        ({"models": FakeModel()}, TaskError, "models"),
        ({"models": ["smollm2"]}, TaskError, r"'smollm2' is no model; load_model\(\)"),
        ({"models": [FakeModel(), FakeModel()]}, TaskError, "two models are called 'fake'"),
        ({"templates": [COLON, COLON]}, TaskError, "two templates are called 'colon'"),
        ({"templates": ["nosuch.j2"]}, TemplateError, "'nosuch.j2'"),
        ({"templates": "colon.j2"}, TaskError, r"templates.*\['colon.j2'\]"),
        ({"selections": ["best"]}, PromptkitError, "'best'"),
        ({"selections": "random"}, TaskError, r"selections.*\['random'\]"),
        ({"fit": "cut"}, TaskError, "'cut'"),
        ({"store": ROOT}, PromptkitError, "store"),
    ],
)
def test_mistakes(changed: dict[str, Any], kind: Any, reason: str) -> None:
    model = CountingModel()
    with pytest.raises(kind, match=reason) as caught:
        compared(**{"models": [model], **changed})
    assert len(str(caught.value).splitlines()) == 1
    assert model.asked == []


def test_a_mistake_in_the_last_cell_comes_before_the_first_answer() -> None:
    first, second = CountingModel(), CountingModel(name="small", context=20)
    with pytest.raises(PromptkitError, match="20"):
        compared(models=[first, second])
    assert first.asked == second.asked == []


def test_an_error_half_way_closes_the_store_and_keeps_what_was_made(tmp_path: Path) -> None:
    class Breaks(CountingModel):
        def before(self, prompt: Any) -> None:
            if len(self.asked) == 5:
                raise DataError([])

    with pytest.raises(DataError):
        compared(models=[Breaks()], store=tmp_path / "s.sqlite")
    assert compared(store=tmp_path / "s.sqlite").usage.cached == 5


def test_what_no_shots_cannot_show_is_not_compared() -> None:
    result = compared(selections=["first", "random"], orders=["drawn", "reversed"], shots=[0, 2])
    across = [pair for pair in result.pairs if pair.a.shots == pair.b.shots]
    assert {pair.b.shots for pair in across} == {2}
    assert {(p.b.selection, p.b.order) for p in across} == {
        *(("first", "reversed"), ("random", "drawn"), ("random", "reversed")),
    }
