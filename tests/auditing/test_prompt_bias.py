"""Prompt bias: leans that are built in are found by shot count, last label, order and group."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console, Group
from scipy import stats
from swap_samples import ByText, Remark, Tone, remarks

from promptkit import Example, FakeModel, Predictor, Task, Template, load_task
from promptkit.auditing.prompt_bias import prompt_bias, shot_counts
from promptkit.auditing.prompt_bias_results import PromptBias
from promptkit.auditing.prompt_bias_table import prompt_bias_tables
from promptkit.auditing.prompt_leans import distance
from promptkit.auditing.swaps import swap_audit
from promptkit.errors import PromptkitError
from promptkit.models.base import Score
from promptkit.prompts.prompt import TokenizedPrompt

if TYPE_CHECKING:
    from promptkit.models.llama import LlamaModel

LINES = Template("{% example %}\n{{ input.text }} => {{ output }}\n{% endexample %}\n", "lines")


class Leaning(FakeModel):
    """P(harsh) is a function of the labels of the shots, in order, and of the query."""

    def __init__(self, harsh: Callable[[list[str], str], float]) -> None:
        super().__init__()
        self._harsh = harsh

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, prompt in enumerate(prompts):
            lines = re.findall(r"^(.*) =>(.*)$", prompt.prompt.text, re.MULTILINE)
            labels = [label.strip() for _, label in lines[:-1]]
            p = self._harsh(labels, lines[-1][0])
            share = {"harsh": p, "mild": 1 - p}
            scores = [math.log(share[c.strip()]) for c in prompt.prompt.candidates or ()]
            yield index, Score(tuple(scores), len(prompt.ids), 0.0)


def prompt(harsh: Callable[[list[str], str], float], shots: int = 4, tests: int = 12) -> Predictor:
    words = ["alpha", "beta", "gamma", "delta", "kappa", "sigma", "omega", "theta", "zeta", "iota"]
    demos: list[tuple[str, Tone]] = [
        (f"{word} {tone}", tone)  # type: ignore[misc]
        for word in words
        for tone in ("mild", "harsh")
    ]
    made = [
        Example(
            input=Remark(text=f"{'old' if n % 2 else 'young'} number {n}"),
            output=("mild", "harsh")[n // 2 % 2],
            metadata={"age": "old" if n % 2 else "young"},
        )
        for n in range(tests)
    ]
    pool = [Example(input=Remark(text=text), output=tone) for text, tone in demos]
    task = Task[Remark, Tone](name="remarks", demos=pool, tests=made)
    return Predictor(task, LINES, Leaning(harsh), shots)


def shown(bias: PromptBias) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(Group(*prompt_bias_tables(bias, 120)))
    return capture.get()


def test_shot_counts_double() -> None:
    assert [shot_counts(most) for most in (0, 1, 4, 6)] == [
        [0],
        [0, 1],
        [0, 1, 2, 4],
        [0, 1, 2, 4, 6],
    ]


def test_the_lean_by_shot_count_is_that_of_the_model() -> None:
    bias = prompt_bias(prompt(lambda labels, _: 0.5 + 0.1 * len(labels)), draws=3)
    assert [(one.shots, round(one.probs["harsh"], 6)) for one in bias.by_shots] == [
        (0, 0.5),
        (1, 0.6),
        (2, 0.7),
        (4, 0.9),
    ]
    assert [one.draws for one in bias.by_shots] == [1, 3, 3, 3]
    assert [round(one.lean, 6) for one in bias.by_shots] == [0.0, 0.1, 0.2, 0.4]
    assert bias.by_shots[0].probs_ci == {}
    low, high = bias.by_shots[3].probs_ci["harsh"]
    assert low <= 0.9 <= high
    assert (
        "With 4 shots a draw of shots leans by 40 points on average; content-free inputs are 90 % "
        '"harsh" over draws.'
    ) in " ".join(shown(bias).split())


def test_recency_is_found_as_the_label_of_the_last_shot() -> None:
    rng = np.random.default_rng(0)
    noise: dict[str, float] = {}

    def harsh(labels: list[str], text: str) -> float:
        if not labels:
            return 0.5
        own = noise.setdefault(" ".join(labels) + text, rng.uniform(-0.03, 0.03))
        return 0.5 + own + (0.2 if labels[-1] == "harsh" else -0.2)

    bias = prompt_bias(prompt(harsh))
    mild, last = bias.by_last
    assert last.label == "harsh"
    assert last.draws == 8
    assert last.delta == pytest.approx(0.4, abs=0.05)
    assert last.significant
    assert mild.delta == pytest.approx(last.delta, abs=1e-9)
    assert (mild.p_holm, last.p_holm) == (mild.p, last.p)  # a single comparison
    assert bias.by_order[1].mean >= 0.3
    assert "A label is more probable where the last shot has it: +" in shown(bias)


def test_no_recency_is_found_where_there_is_none() -> None:
    bias = prompt_bias(prompt(lambda labels, _: 0.4 + 0.05 * labels.count("harsh")))
    assert [one.delta for one in bias.by_last] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert not any(one.significant for one in bias.by_last)
    assert [one.worst for one in bias.by_order] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert "The label of the last shot makes no significant difference." in shown(bias)


def test_calibration_removes_a_constant_lean() -> None:
    """The model multiplies the odds of harsh by 4, whatever it is asked."""

    def harsh(labels: list[str], text: str) -> float:
        odds = 4.0
        if text.startswith(("old", "young")):
            odds *= 2.0 if int(text.split()[-1]) // 2 % 2 else 0.5
        return odds / (1 + odds)

    bias = prompt_bias(prompt(harsh), draws=2)
    found = {one.method: one for one in bias.calibrations}
    assert [*found] == ["none", "contextual", "domain-context", "batch"]
    assert found["none"].content_free == pytest.approx(0.3)
    assert found["none"].random_words == pytest.approx(0.3)
    assert found["none"].answers == pytest.approx(0.5)
    assert found["contextual"].content_free is None
    assert found["contextual"].random_words == pytest.approx(0.0, abs=1e-9)
    assert found["domain-context"].content_free == pytest.approx(0.0, abs=1e-9)
    assert found["batch"].answers == pytest.approx(0.0)
    text = shown(bias)
    assert "learnt from" in text
    assert "The answers are 50 points off the frequencies of the gold labels; with" in text


def test_a_group_that_shots_move_is_found() -> None:
    rng = np.random.default_rng(4)
    noise: dict[str, float] = {}

    def harsh(labels: list[str], text: str) -> float:
        pull = labels.count("harsh") / len(labels) - 0.5 if labels else 0.0
        own = noise.setdefault(text, rng.uniform(-0.1, 0.1))
        return 0.5 + own + pull * (0.5 if text.startswith("old") else 0.1)

    bias = prompt_bias(prompt(harsh, tests=24), groups="age", draws=3)
    shifts = {(one.label, one.group): one for one in bias.groups}
    assert len(shifts) == 4
    old, young = shifts["harsh", "old"], shifts["harsh", "young"]
    assert (old.queries, old.delta) == (12, pytest.approx(0.25))
    assert young.delta == pytest.approx(0.05)
    assert old.from_rest == pytest.approx(0.2)
    assert old.apart
    assert young.from_rest == pytest.approx(-0.2)
    assert '"old" by +25' in shown(bias)


def test_no_group_is_found_apart_where_all_move_alike() -> None:
    rng = np.random.default_rng(5)
    apart = 0
    for _ in range(12):
        noise: dict[tuple[str, int], float] = {}

        def harsh(
            labels: list[str], text: str, noise: dict[tuple[str, int], float] = noise
        ) -> float:
            key = text, labels.count("harsh")
            return 0.3 + 0.05 * key[1] + noise.setdefault(key, rng.uniform(-0.1, 0.1))

        bias = prompt_bias(prompt(harsh, tests=24), groups="age", draws=2, methods=())
        apart += any(one.apart for one in bias.groups)
        assert "No group by age moves" in shown(bias) or apart
    assert apart <= stats.binom.ppf(0.999, 12, 0.05)


def test_a_label_with_too_few_demonstrations_is_told() -> None:
    bias = prompt_bias(prompt(lambda labels, _: 0.4, shots=12), groups="age", draws=1)
    assert bias.groups == ()
    assert bias.notes[0] == (
        "groups: no shots that are all 'mild', since the pool has 10 demonstrations of it, and 12 "
        "are shown"
    )


def test_a_prompt_without_shots_has_no_order() -> None:
    bias = prompt_bias(prompt(lambda labels, _: 0.4, shots=0))
    assert (bias.by_last, bias.by_order, len(bias.by_shots)) == ((), (), 1)
    assert shown(bias)


def test_what_has_no_prompt_or_no_labels_is_an_error() -> None:
    task = remarks("a", "b")
    with pytest.raises(PromptkitError, match="by text has no prompt, whose shots could lean"):
        prompt_bias(ByText(task, lambda text: 0.2), task)
    open_task = Task[Remark, str](name="open", tests=[])
    predictor = Predictor(open_task, Template.of(open_task), FakeModel())
    with pytest.raises(PromptkitError, match="open: what a prompt leans to is measured by"):
        prompt_bias(predictor)


def test_distances_are_the_mass_that_moves() -> None:
    assert distance(np.array([0.5, 0.5])) == 0.0
    assert distance(np.array([0.9, 0.1])) == pytest.approx(0.4)
    assert distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0


@pytest.mark.model
def test_the_bundled_model_leans_to_the_label_of_the_last_shot(smollm2: LlamaModel) -> None:
    """And what a swap and a prompt's bias are, from end to end."""
    task = load_task(Path(__file__).parents[2] / "examples" / "remarks")
    predictor = Predictor(task, Template.of(task), smollm2, 4)
    bias = prompt_bias(predictor, draws=4, limit=4, methods=["contextual"])
    assert [one.shots for one in bias.by_shots] == [0, 1, 2, 4]
    for one in bias.by_shots:
        assert sum(one.probs.values()) == pytest.approx(1.0)
    assert bias.by_last[0].delta > 0
    assert shown(bias)
    rows = [task.as_query({"remark": f"{{name}} {end}"}) for end in ("is late.", "was here.")]
    audit = swap_audit(predictor, task, swaps={"name": ["Anna", "Ben"]}, rows=rows)
    assert (audit.inputs, audit.measure, audit.slots[0].sentences) == (4, "probability", 2)
    assert 0 < (audit.slots[0].worst or 0) < 1
