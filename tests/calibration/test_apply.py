from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from samples import COLON, CountingModel, Word, asked_word, open_task, parity, parity_task

from promptkit import Comparison, FakeModel, Store, Template, compare
from promptkit.calibration.apply import methods_of, plan
from promptkit.calibration.methods import CALIBRATIONS
from promptkit.errors import TaskError
from promptkit.evaluation.results import Row
from promptkit.inference.batch import AnswerStage, prepare, run
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.models.base import Score
from promptkit.models.llama import LlamaModel
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.selection.strategies import as_selection
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import control


class Leaning(CountingModel):
    """Right about words of letters, but leans towards the first label, whatever it is asked."""

    lean = 4.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.calls = 0

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        self.calls += 1
        for index, prompt in enumerate(prompts):
            self.asked.append(prompt)
            word = asked_word(prompt.prompt)
            sure = (2.0 + len(word) % 3 / 10) * (word.isalpha() and len(word) > 1)
            labels = [text.strip() for text in prompt.prompt.candidates or ()]
            logits = [
                self.lean * (number == 0) + sure * (label == parity(word))
                for number, label in enumerate(labels)
            ]
            total = math.log(sum(map(math.exp, logits)))
            logprobs = tuple(logit - total - 0.1 for logit in logits)
            yield index, Score(logprobs, len(prompt.ids), 0.0)


def compared(**changed: Any) -> Comparison:
    arguments: dict[str, Any] = {
        "task": parity_task(pool=40, asked=20),
        "models": [Leaning()],
        "templates": [COLON],
        "shots": (0, 2),
        "seeds": 2,
        "store": Store(),
        "calibrations": "all",
    }
    arguments |= changed
    return compare(arguments.pop("task"), **arguments)


def rows_of(result: Comparison, **fields: Any) -> dict[str, Row]:
    """The rows with these fields, by calibration."""
    kept = [r for r in result.rows if all(getattr(r, k) == v for k, v in fields.items())]
    return {row.calibration: row for row in kept}


# What comes out.


def test_rows_and_pairs_stand_beside_the_raw_ones() -> None:
    result = compared()
    methods = ("none", *CALIBRATIONS)
    cells = [(r.calibration, r.shots, r.seed) for r in result.rows]
    assert sorted(map(str, cells)) == sorted(map(str, product(methods, (0, 2), (None, 0, 1))))
    pairs = {
        (p.a.calibration, p.b.calibration, p.b.shots): p
        for p in result.pairs
        if p.a.shots == p.b.shots
    }
    # Temperature changes no answer, so that there is nothing to compare.
    changing = [method for method in CALIBRATIONS if method != "temperature"]
    assert {*pairs} == {("none", method, shots) for method in changing for shots in (0, 2)}
    for shots in (0, 2):
        rows = rows_of(result, shots=shots, seed=None)
        for method in changing:
            difference = rows[method].accuracy - rows["none"].accuracy
            assert pairs["none", method, shots].delta == pytest.approx(difference)


def test_a_model_that_leans_is_set_upright() -> None:
    rows = rows_of(compared(), shots=2, seed=None)
    assert rows["none"].accuracy < 0.6
    assert rows["temperature"].accuracy == rows["none"].accuracy
    for method in ("contextual", "domain-context", "batch", "pmi", "vector"):
        assert rows[method].accuracy > 0.9, method
        assert (rows[method].log_loss or 9) < (rows["none"].log_loss or 0), method
    assert (rows["temperature"].ece or 9) < (rows["none"].ece or 0)


def test_every_prediction_has_probabilities_per_method() -> None:
    for prediction in compared().predictions:
        assert tuple(prediction.calibrated) == CALIBRATIONS
        for chances in prediction.calibrated.values():
            assert list(chances) == ["even", "odd"]
            assert sum(chances.values()) == pytest.approx(1)
        assert prediction.label == max(prediction.probs or {}, key=(prediction.probs or {}).get)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_notes_say_what_each_method_saw(tmp_path: Path) -> None:
    result = compared()
    saved = json.loads((result.save(tmp_path) / "comparison.json").read_text("utf-8"))
    assert len(saved["calibrations"]) == len(CALIBRATIONS) * 4
    notes = {
        n["calibration"]: n for n in saved["calibrations"] if n["shots"] == 2 and n["seed"] == 1
    }
    assert notes["contextual"]["saw"] == "content-free inputs"
    assert {name: (note["inputs"], note["prompts"]) for name, note in notes.items()} == {
        "contextual": (3, 3),
        "domain-context": (19, 19),  # one is a shot
        "batch": (20, 0),
        "pmi": (1, 1),
        "temperature": (38, 38),
        "vector": (38, 38),
    }
    assert notes["batch"]["saw"] == "tests of the cell, without their labels"
    assert notes["vector"]["saw"] == "labelled examples of the pool that are no shots"


def test_without_calibrations_nothing_changes() -> None:
    raw, beside = compared(calibrations=()), compared()
    assert [r for r in beside.rows if r.calibration == "none"] == list(raw.rows)
    assert raw.calibrations == ()
    assert all(not prediction.calibrated for prediction in raw.predictions)
    assert {**beside.prompts} == {**raw.prompts}


# What is asked.


def test_probes_are_asked_in_the_same_call_after_the_same_shots() -> None:
    model = Leaning()
    result = compared(models=[model])
    assert model.calls == 1
    tests = {example.id for example in parity_task(pool=40, asked=20).tests}
    cells = {p.shot_ids for p in result.predictions}
    probes = [prompt.prompt for prompt in model.asked if prompt.prompt.query not in tests]
    assert {prompt.shots for prompt in probes} == cells
    assert not {p.query for p in probes} & {p.id for p in result.predictions}
    shown = {p.shot_ids: result.prompts[p.prompt_sha256].text for p in result.predictions}
    for probe in probes:
        beginning = probe.text[: probe.text.rindex(asked_word(probe) or ":")]
        assert shown[probe.shots].startswith(beginning.rpartition("\n")[0])


@pytest.mark.slow
def test_trying_all_costs_the_probes_and_batch_calibration_costs_nothing() -> None:
    raw, batch, all_of_them = (compared(calibrations=c).usage for c in ((), ("batch",), "all"))
    assert batch.prompts == raw.prompts
    assert all_of_them.prompts - raw.prompts <= sum(
        note.prompts for note in compared().calibrations if note.calibration != "vector"
    )
    held = compared(calibrations=("temperature",)).usage.prompts
    assert compared(calibrations=("temperature", "vector")).usage.prompts == held


@pytest.mark.slow
def test_what_is_stored_is_not_asked_again() -> None:
    store = Store()
    first, second = compared(store=store), compared(store=store)
    assert second.usage.cached == second.usage.prompts == first.usage.prompts
    assert [p.calibrated for p in second.predictions] == [p.calibrated for p in first.predictions]


# Leakage.


@pytest.mark.slow
def test_gold_labels_of_tests_are_never_seen() -> None:
    """With every gold label turned round, every calibrated probability stays as it is."""
    task = parity_task(pool=40, asked=20)
    other = {"even": "odd", "odd": "even"}
    turned = [test.model_copy(update={"output": other[str(test.output)]}) for test in task.tests]
    right, wrong = compared(), compared(task=parity_task(pool=40, tests=turned))
    assert [p.calibrated for p in right.predictions] == [p.calibrated for p in wrong.predictions]


@pytest.mark.slow
def test_only_batch_calibration_sees_other_tests() -> None:
    few, many = compared(limit=5), compared()
    kept = {(p.id, p.shots, p.seed): p.calibrated for p in many.predictions}
    for prediction in few.predictions:
        there = kept[prediction.id, prediction.shots, prediction.seed]
        same = {name for name in CALIBRATIONS if prediction.calibrated[name] == there[name]}
        assert same == {*CALIBRATIONS} - {"batch"}


def test_held_out_examples_are_no_shots_of_the_same_draw() -> None:
    model = Leaning()
    result = compared(models=[model], shots=(0, 2, 8), calibrations=("temperature",), seeds=3)
    demos = {example.id for example in parity_task(pool=40).demos}
    for seed in range(3):
        shown = {id for p in result.predictions if p.seed == seed for id in p.shot_ids}
        first = {p.shot_ids for p in result.predictions if p.seed == seed and p.shots == 8}
        held = {
            prompt.prompt.query
            for prompt in model.asked
            if prompt.prompt.shots in first and prompt.prompt.query in demos
        }
        assert len(held) == 32
        assert not held & shown


# Cells of many kinds.


def worded(words: Sequence[str], ending: str = "") -> list[Example[Any, Any]]:
    return [
        Example(input=Word(word=f"{word}{ending} {number}"), output=parity(word))
        for number, word in enumerate(words)
    ]


def planned(*predictors: Predictor, methods: Any = CALIBRATIONS) -> list[list[Prediction]]:
    task = predictors[0].task
    cells = prepare(predictors, task.tests)
    calibration, left_out = plan(methods, cells)
    assert not left_out
    return [[*made] for made in run([[AnswerStage(cells), calibration]], Store())[0]]


def test_where_shots_depend_on_the_query_probes_do_too() -> None:
    kinds = ["apple", "bread", "cider"]
    task = parity_task(demos=worded(kinds * 10), tests=worded(kinds, "s"))
    predictor = Predictor(task, COLON, Leaning(), 2, selection=as_selection("similar"))
    (cell,) = cells = prepare([predictor], task.tests)
    calibration, _ = plan(("contextual", "temperature"), cells)
    (probes,) = calibration.probes
    contextual = probes["contextual"]
    choices = {request.prompt.shots for request in cell.requests}
    assert len(contextual.parts) == len(choices) > 1
    assert (contextual.inputs, len(contextual.requests)) == (3, 3 * len(choices))
    for queries, requests in contextual.parts:
        (shots,) = {cell.requests[number].prompt.shots for number in queries}
        assert {request.prompt.shots for request in requests} == {shots}
    shown = set().union(*choices)
    held = {request.prompt.query for request in probes["temperature"].requests}
    assert not held & shown
    (made,), _ = run([[AnswerStage(cells), calibration]], Store())
    assert all({*p.calibrated} == {"contextual", "temperature"} for p in made)


def test_words_for_the_labels_are_calibrated_within_their_own_cell() -> None:
    task = parity_task(pool=40, asked=10)
    plain, swapped = planned(
        Predictor(task, COLON, Leaning(), 2),
        Predictor(task, COLON, Leaning(), 2, verbalizer=control("swapped", task.labels)),
    )
    for prediction in (*plain, *swapped):
        assert all([*chances] == ["even", "odd"] for chances in prediction.calibrated.values())
    right = [max(p.calibrated["batch"], key=p.calibrated["batch"].__getitem__) for p in plain]
    wrong = [max(p.calibrated["batch"], key=p.calibrated["batch"].__getitem__) for p in swapped]
    assert sum(a != b for a, b in zip(right, wrong, strict=True)) > 8


def test_prompts_with_fewer_shots_have_probes_with_fewer_shots() -> None:
    task = parity_task(pool=40, asked=20)
    model = Leaning(context=65)
    made = planned(Predictor(task, COLON, model, 3, fit="drop-shots"), methods=("batch", "pmi"))
    assert len({len(p.shot_ids) for p in made[0]}) > 1
    predictor = Predictor(task, COLON, model, 3, fit="drop-shots")
    (cell,) = cells = prepare([predictor], task.tests)
    (probes,) = plan(("contextual",), cells)[0].probes
    for queries, requests in probes["contextual"].parts:
        (shots,) = {cell.requests[number].prompt.shots for number in queries}
        assert {request.prompt.shots for request in requests} == {shots}


def test_probes_that_a_template_cannot_take_are_left_out() -> None:
    first = Template(
        "{% example %}\n{{ input.word[0] }}{{ input.word }}: {{ output }}\n{% endexample %}\n"
    )
    result = compared(templates=[first], calibrations=("contextual",))
    assert {note.inputs for note in result.calibrations} == {2}  # an empty text has no first letter


def test_only_one_label() -> None:
    rows = [Example(input=Word(word="x" * n), output="yes") for n in range(1, 30)]
    task: Task[Any, Any] = Task[Word, Literal["yes"]](name="one", demos=rows[:20], tests=rows[20:])
    result = compared(task=task, models=[FakeModel()])
    assert {row.accuracy for row in result.rows} == {1.0}
    assert {row.log_loss for row in result.rows} == {0.0}


# What is refused.


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        (["contextul"], "no calibration 'contextul'; there is contextual, domain-context, batch"),
        ("batch", "is no list; write \\['batch'\\], or 'all'"),
        ([["batch"]], "no calibration"),
    ],
)
def test_unknown_methods_are_refused(methods: Any, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        compared(calibrations=methods)


def test_methods_stand_once() -> None:
    assert methods_of(["pmi", "batch", "pmi"], parity_task()) == ("batch", "pmi")
    assert methods_of((), parity_task()) == ()


def test_generated_answers_are_not_calibrated() -> None:
    task = open_task(int, *range(5))
    with pytest.raises(TaskError, match="the answers of this task are generated"):
        compared(task=task, calibrations=["batch"], shots=[0])


def test_too_small_a_pool_is_an_error_unless_all_are_asked_for() -> None:
    task = parity_task(pool=8, asked=20)
    with pytest.raises(TaskError, match="need 10 examples"):
        compared(task=task, calibrations=["batch", "vector"])
    told: list[str] = []
    result = compared(task=task, announce=told.append)
    assert {n.calibration for n in result.calibrations} == {*CALIBRATIONS[:4]}
    assert told[0].startswith("temperature, vector left out: temperature and vector calibration")


# A real model.


@pytest.mark.model
def test_what_smollm2_says_of_nothing_becomes_uniform(smollm2: LlamaModel) -> None:
    from promptkit import load_task

    task = load_task(Path(__file__).parents[2] / "examples" / "fruit")
    result = compare(
        task, models=[smollm2], shots=[1], seeds=1, limit=4, calibrations="all", store=Store()
    )
    # One of the 20 random texts, which have one word here, is the shot itself.
    assert [note.inputs for note in result.calibrations] == [3, 19, 4, 1, 50, 50]
    for prediction in result.predictions:
        for chances in prediction.calibrated.values():
            assert sum(chances.values()) == pytest.approx(1)
            assert all(0 <= chance <= 1 for chance in chances.values())
    means = [
        math.fsum(math.log(p.calibrated["batch"][label]) for p in result.predictions)
        for label in task.labels
    ]
    assert means == pytest.approx([means[0]] * len(means))
