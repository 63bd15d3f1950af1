"""Audits by swapped terms: figures by hand and by oracles, and bias that is found."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from swap_samples import ByText, remarks

from promptkit import Example, FakeModel, Predictor, Store, Task, Template
from promptkit.auditing.equal_shots import with_equal_shots
from promptkit.auditing.swap_results import SwapAudit
from promptkit.auditing.swap_table import swap_tables
from promptkit.auditing.swaps import swap_audit
from promptkit.cascades.cascade import Cascade
from promptkit.cascades.cascade_step import CascadeStep
from promptkit.errors import PromptkitError
from promptkit.tasks.swap_slots import Swaps, SwapTerm, slots_of

NAMES = {"name": ["Ann", "Ben", "Cem"]}
SENTENCES = ["{name} is here.", "I saw {name}.", "Call {name} now.", "Is {name} late?"]


def shown(audit: SwapAudit, width: int = 120) -> str:
    from rich.console import Console, Group

    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(Group(*swap_tables(audit, width)))
    return capture.get()


P = {
    "here": (0.2, 0.6, 0.3),
    "saw": (0.1, 0.1, 0.2),
    "Call": (0.4, 0.9, 0.6),
    "late": (0.5, 0.7, 0.5),
}
"""P(harsh) by sentence and name."""


def by_table(text: str) -> float:
    sentence = next(key for key in P if key in text)
    return P[sentence][next(i for i, name in enumerate(NAMES["name"]) if name in text)]


def test_figures_are_those_of_a_table_by_hand() -> None:
    task = remarks(*SENTENCES)
    audit = swap_audit(ByText(task, by_table), task, swaps=NAMES)
    (slot,) = audit.slots
    table = np.array([*P.values()])
    labels = table > 0.5
    pairs = [*combinations(range(3), 2)]
    flips = np.array([[row[a] != row[b] for a, b in pairs] for row in labels]).mean(axis=1)
    change = np.array([[abs(row[a] - row[b]) for a, b in pairs] for row in table])
    assert (slot.sentences, audit.inputs, audit.measure, audit.label) == (
        4,
        12,
        "probability",
        "harsh",
    )
    assert slot.flips == pytest.approx(flips.mean())
    assert slot.change == pytest.approx(change.mean())
    assert slot.worst == pytest.approx(0.5)
    assert slot.labels[1].mean == pytest.approx(change.mean())
    for number, term in enumerate(slot.terms):
        others = [other for other in range(3) if other != number]
        deltas = table[:, number] - table[:, others].mean(axis=1)
        answers = labels[:, number] - labels[:, others].mean(axis=1)
        (effect,) = term.effects
        assert effect.delta == pytest.approx(deltas.mean())
        assert effect.answers == pytest.approx(answers.mean())
        own = [labels[:, number] != labels[:, other] for other in others]
        assert term.flips == pytest.approx(np.mean(own))
        assert effect.ci is not None
        assert effect.ci[0] <= effect.delta <= effect.ci[1]
    p_values = [term.effects[0].p for term in slot.terms]
    holm = multipletests(p_values, method="holm")[1]
    assert [term.effects[0].p_holm for term in slot.terms] == pytest.approx(list(holm))
    assert audit.comparisons == 3


def test_p_values_are_students_where_effects_are_symmetric() -> None:
    """Of values without skew the transformation leaves Student's t."""
    shift = {"here": 0.1, "saw": 0.2, "Call": 0.3, "late": 0.4}

    def harsh(text: str) -> float:
        return 0.3 + (next(v for k, v in shift.items() if k in text) if "Ann" in text else 0.0)

    task = remarks(*SENTENCES)
    audit = swap_audit(ByText(task, harsh), task, swaps={"name": ["Ann", "Ben"]})
    first, second = (term.effects[0] for term in audit.slots[0].terms)
    expected = stats.ttest_1samp([*shift.values()], 0.0)
    assert first.p == pytest.approx(expected.pvalue)
    assert first.ci == pytest.approx(tuple(expected.confidence_interval()))
    assert (second.delta, second.p) == (pytest.approx(-first.delta), pytest.approx(first.p))
    assert audit.comparisons == 1  # one is the other with its sign turned
    assert first.p_holm == second.p_holm == pytest.approx(first.p)


def test_groups_of_terms_are_compared_with_each_other() -> None:
    task = remarks(*SENTENCES)
    terms = {"name": {"f": ["Ann", "Eva"], "m": ["Ben", "Tom"]}}
    found = swap_audit(
        ByText(task, lambda t: 0.9 if "B" in t or "T" in t else 0.2), task, swaps=terms
    )
    women, men = found.slots[0].groups
    assert women.flips == men.flips == 1.0
    assert men.effects[0].delta == pytest.approx(0.7)
    assert found.slots[0].flips == pytest.approx(4 / 6)
    assert "all m" in shown(found)


def test_equal_inputs_are_asked_once_and_are_no_pair() -> None:
    she, he = {"subject": "she"}, {"subject": "he"}
    terms = [SwapTerm("Ann", she), SwapTerm("Eva", she), SwapTerm("Ben", he)]
    task = remarks("Is {name.subject} here?", "Was {name.subject} there?")
    predictor = ByText(task, lambda text: 0.9 if " he " in text else 0.1)
    audit = swap_audit(predictor, task, swaps={"name": terms})
    assert sorted(predictor.asked) == [
        "Is he here?",
        "Is she here?",
        "Was he there?",
        "Was she there?",
    ]
    assert audit.slots[0].flips == 1.0  # Ann and Eva make one text, which is compared with Ben's


def test_the_worst_items_are_flips_then_changes() -> None:
    task = remarks(*SENTENCES)
    audit = swap_audit(ByText(task, by_table), task, swaps=NAMES)
    assert [(one.flipped, round(abs(one.change or 0), 2)) for one in audit.items] == [
        (True, 0.5),
        (True, 0.4),
        (True, 0.2),
        (False, 0.1),
    ]
    worst = audit.items[0]
    assert worst.sentence == {"text": "Call {name} now."}
    assert {worst.first.term, worst.second.term} == {"Ann", "Ben"}
    assert worst.first.input["text"] in ("Call Ann now.", "Call Ben now.")
    text = shown(audit)
    assert "Call {name} now." in text
    assert "A swap is a diagnostic, not proof" in text


def test_answers_without_probabilities_have_shares() -> None:
    task = remarks(*SENTENCES)
    audit = swap_audit(ByText(task, by_table, probs=False), task, swaps=NAMES)
    assert (audit.measure, audit.slots[0].change, audit.slots[0].worst) == ("share", None, None)
    ben = audit.slots[0].terms[1].effects[0]
    assert ben.delta == ben.answers == pytest.approx(np.mean([1, 0, 0.5, 1]))
    assert shown(audit)


def test_numbers_have_changes_of_the_value() -> None:
    from swap_samples import Remark

    from promptkit.inference.any_predictor import prediction_of

    task = Task[Remark, float](
        name="scores",
        tests=[Example(input=Remark(text=text), output=1.0) for text in SENTENCES],
    )

    class Scores(ByText):
        def predict(self, queries: Any, /) -> Any:
            return [
                prediction_of(self.task, one, 2.0 + ("Ben" in one.input.text), model="scores")
                for one in queries
            ]

    audit = swap_audit(Scores(task, lambda text: 0.0), task, swaps=NAMES)
    (slot,) = audit.slots
    assert (audit.measure, slot.worst, slot.labels[0].label) == ("value", 1.0, None)
    assert slot.terms[1].effects[0].delta == 1.0
    assert slot.change == slot.flips == pytest.approx(2 / 3)
    assert 'The answer with "Ben"' in shown(audit)


def test_generated_texts_are_compared_with_their_terms_as_slots() -> None:
    from swap_samples import Remark

    task = Task[Remark, str](
        name="echo", tests=[Example(input=Remark(text=t), output="x") for t in SENTENCES]
    )
    model = FakeModel(lambda prompt: re.findall("Ann|Ben|Cem", prompt.text)[-1] + " is meant")
    predictor = Predictor(task, Template.of(task), model)
    audit = swap_audit(predictor, task, swaps=NAMES, store=Store())
    assert audit.slots[0].flips == 0.0
    assert audit.slots[0].terms[0].effects == ()
    assert shown(audit)


# Which sentences are filled.


def test_sentences_of_the_audit_come_before_the_tests() -> None:
    swaps = Swaps(slots_of({"name": ["Ann", "Ben"], "place": ["Rome", "Oslo"]}), ())
    task = remarks("Ann is late.", "Rome is far.", "Oslo is far.", swaps=swaps)
    sentence = task.as_query({"text": "{name} is {{here}}."})
    own = task.model_copy(update={"swaps": Swaps(swaps.slots, (sentence,))})
    predictor = ByText(own, lambda text: 0.2)
    audit = swap_audit(predictor, own)
    assert sorted(predictor.asked) == [
        "Ann is {here}.",
        "Ben is {here}.",
        "Oslo is far.",
        "Rome is far.",
    ]
    assert [slot.sentences for slot in audit.slots] == [1, 1]
    assert audit.slots[0].flips_ci is None  # one sentence says nothing of others


@pytest.mark.parametrize(
    ("swaps", "reason"),
    [
        ({}, "no terms to swap; write"),
        ({"name": ["Zoe", "Max"]}, r"neither a sentence of the audit nor a test has \{name\}"),
        ({"name": ["Ann"]}, "swaps: name: only the term 'Ann'"),
        ({"name": ["Ann", "Ben"], "x": ["1", "2"]}, r"audit\.swap\.x: neither"),
    ],
)
def test_slots_that_cannot_be_audited_are_errors(swaps: Any, reason: str) -> None:
    task = remarks("Ann is late.")
    with pytest.raises(PromptkitError, match=reason):
        swap_audit(ByText(task, lambda text: 0.2), task, swaps=swaps)


def test_an_unknown_label_is_an_error() -> None:
    task = remarks("Ann is late.")
    with pytest.raises(PromptkitError, match="unknown label 'hars'; did you mean 'harsh'"):
        swap_audit(ByText(task, lambda text: 0.2), task, swaps=NAMES, label="hars")


def test_effects_are_about_the_label_that_is_named() -> None:
    task = remarks(*SENTENCES)
    mild = swap_audit(ByText(task, by_table), task, swaps=NAMES, label="mild")
    harsh = swap_audit(ByText(task, by_table), task, swaps=NAMES)
    one, other = (each.slots[0].terms[1].effects[0] for each in (mild, harsh))
    assert (one.label, other.label) == ("mild", "harsh")
    assert one.delta == pytest.approx(-other.delta)


def test_of_too_many_inputs_some_sentences_are_drawn() -> None:
    task = remarks(*(f"{{name}} {number}" for number in range(40)))
    audit = swap_audit(ByText(task, lambda text: 0.2), task, swaps=NAMES, most=30)
    assert (audit.inputs, audit.slots[0].sentences) == (30, 10)
    assert audit.notes[0] == (
        "10 of 40 sentences drawn with seed 0, since all make 120 inputs, and at most 30 are asked"
    )


def test_terms_that_stand_in_no_input_are_told() -> None:
    task = remarks("Ann is late.", "Ben is late.", "Ann met Cem.")
    audit = swap_audit(ByText(task, lambda text: 0.2), task, swaps=NAMES)
    assert audit.notes == (
        "name: 1 input left out: it has several terms of name",
        "name: 1 term of 3 stand in no input, and are only put in place of others: 'Cem'",
    )


# Shots.

POOL = [
    ("Ann is very late again today.", "harsh"),
    ("Rain.", "mild"),
    ("Snow.", "harsh"),
    ("Sun.", "mild"),
]


def shots_by_text(predictor: Predictor, audit_of: Task[Any, Any]) -> tuple[SwapAudit, set[Any]]:
    """An audit, and the shots that its prompts show."""
    seen: set[Any] = set()

    class Looking(FakeModel):
        def tokenize(self, prompts: Any) -> Any:
            seen.update(prompt.shots for prompt in prompts)
            return super().tokenize(prompts)

    own = Predictor(
        predictor.task,
        predictor.template,
        Looking(),
        predictor.shots,
        selection=predictor.selection,
        order=predictor.order,
    )
    return swap_audit(own, audit_of, swaps=NAMES, store=Store()), seen


@pytest.mark.parametrize("order", [None, "rotated"])
@pytest.mark.parametrize("selection", [None, "first", ["Ann is very late again today.", "r"]])
def test_all_fillings_of_a_sentence_have_the_same_shots(selection: Any, order: Any) -> None:
    task = remarks("{name} is very late again today.", demos=POOL)  # type: ignore[arg-type]
    if isinstance(selection, list):
        selection = [demo.id for demo in task.demos][:3]
    predictor = Predictor(task, Template.of(task), FakeModel(), 2, selection=selection, order=order)
    audit, seen = shots_by_text(predictor, task)
    assert len({shots for shots in seen if shots}) == 1
    assert any("1 demonstration that equal" in note for note in audit.notes)


def test_shots_that_are_chosen_by_query_are_told() -> None:
    task = remarks("{name} is late.", demos=POOL)  # type: ignore[arg-type]
    predictor = Predictor(task, Template.of(task), FakeModel(), 2, selection="similar")
    audit, _ = shots_by_text(predictor, task)
    assert any("chooses shots for each query" in note for note in audit.notes)


def test_steps_of_a_cascade_have_equal_shots_too() -> None:
    task = remarks("Hail.", demos=POOL)  # type: ignore[arg-type]
    prompt = Predictor(task, Template.of(task), FakeModel(), 2)
    other = Predictor(task, Template.of(task), FakeModel(name="other"), 0)
    both = Cascade([CascadeStep(other, 0.5), CascadeStep(prompt, None)], task)
    query = task.as_query({"text": "Ann is very late again today."})
    made, barred = with_equal_shots(both, [query])
    assert barred == 1
    assert isinstance(made, Cascade)
    (first, second) = made.steps
    assert first.predictor is other
    assert len(second.predictor.task.demos) == 3  # type: ignore[attr-defined]


# What is found, and what is not.


def noisy(random: np.random.Generator, effect: float, sentences: int) -> SwapAudit:
    """An audit of a predictor with noise by sentence and term, and an effect of one term."""
    task = remarks(*(f"{{name}} in sentence {number}" for number in range(sentences)))
    noise: dict[str, float] = {}

    def harsh(text: str) -> float:
        base = noise.setdefault(text.split(" ", 1)[1], random.uniform(0.3, 0.7))
        own = noise.setdefault(text, random.normal(0, 0.08))
        return float(np.clip(base + own + effect * text.startswith("Ben"), 0.01, 0.99))

    return swap_audit(ByText(task, harsh), task, swaps=NAMES)


def test_an_effect_is_found_where_there_is_one() -> None:
    random = np.random.default_rng(1)
    audits = [noisy(random, 0.15, 30) for _ in range(10)]
    assert all(audit.slots[0].terms[1].effects[0].significant for audit in audits)
    assert 'P(harsh) with "Ben" against the other terms: +1' in shown(audits[0])


def test_no_effect_is_found_where_there_is_none() -> None:
    """Of 120 audits at most 5 % may name a term, within the error of the simulation."""
    random = np.random.default_rng(2)
    audits = [noisy(random, 0.0, 25) for _ in range(120)]
    named = [any(e.significant for t in a.slots[0].terms for e in t.effects) for a in audits]
    covered = [
        e.ci[0] <= 0 <= e.ci[1] for a in audits for t in a.slots[0].terms for e in t.effects if e.ci
    ]
    assert sum(named) <= stats.binom.ppf(0.999, len(named), 0.05)
    assert np.mean(covered) >= 0.91
    assert "No term of name has a significant effect." in shown(audits[named.index(False)])


def test_the_smallest_effect_that_is_found_is_found_with_its_power() -> None:
    random = np.random.default_rng(3)
    size = float(np.median([noisy(random, 0.0, 25).slots[0].detectable or 0.0 for _ in range(10)]))
    assert 0.02 < size < 0.12
    audits = [noisy(random, size, 25) for _ in range(60)]
    found = [audit.slots[0].terms[1].effects[0].significant for audit in audits]
    assert 0.6 < np.mean(found) <= 1.0


def test_no_change_at_all_is_told_as_such() -> None:
    task = remarks(*SENTENCES)
    audit = swap_audit(ByText(task, lambda text: 0.2), task, swaps=NAMES)
    (slot,) = audit.slots
    assert (slot.flips, slot.change, slot.worst, slot.detectable) == (0.0, 0.0, 0.0, None)
    assert slot.flips_ci is not None
    assert slot.flips_ci[1] == pytest.approx(1 - 0.05 ** (1 / 4))
    assert audit.items == ()
    assert shown(audit)
