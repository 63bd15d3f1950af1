"""Reasons before answers: two prompts for each query, the second with what the first one made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import promptkit as pk
from promptkit.errors import PromptTooLongError, TemplateError
from promptkit.experiments.saved_runs import read_run
from promptkit.report.page_data import payload


class Sum(BaseModel):
    text: str


SOURCE = """\
{% example %}
Q: {{ input.text }}
Why: {{ rationale }}
A: {{ output }}

{% endexample %}
"""
TEMPLATE = pk.Template(SOURCE)


def task(output: Any = Literal["2", "3", "5"], **more: Any) -> pk.Task[Any, Any]:
    demos = [
        {"input": {"text": "1+1"}, "output": 2, "metadata": {"rationale": "one and one"}},
        {"input": {"text": "1+2"}, "output": 3, "metadata": {"rationale": "one and two"}},
    ]
    tests = [{"input": {"text": "2+3"}, "output": 5}, {"input": {"text": "0+2"}, "output": 2}]
    rows = [
        [{**one, "output": one["output"] if output is int else str(one["output"])} for one in part]
        for part in (demos, tests)
    ]
    return pk.Task[Sum, output](name="sums", demos=rows[0], tests=rows[1], **more)


def thinks(prompt: pk.Prompt) -> str:
    """Return a rationale, or after one the sum in it."""
    query = prompt.text.rpartition("Q: ")[2]
    text = query.partition("\n")[0]
    total = str(sum(map(int, text.split("+"))))
    if prompt.text.endswith("Why:"):
        return f"they make\n{total}.\nA: and more that is never read"
    return total if f"they make\n{total}.\nA:" in query else "3"


def test_the_first_prompt_ends_where_the_rationale_goes() -> None:
    prompt = TEMPLATE.render(task(), shots=1, query={"text": "2+3"})
    assert prompt.text == "Q: 1+2\nWhy: one and two\nA: 3\n\nQ: 2+3\nWhy:"
    assert (prompt.candidates, prompt.stop, prompt.lead) == (None, "\nA:", " ")
    assert prompt.asks == "rationale"


@pytest.mark.parametrize("output", [Literal["2", "3", "5"], int])
def test_answers_come_after_what_was_generated(output: Any) -> None:
    store = pk.Store()
    predictor = pk.Predictor(task(output), TEMPLATE, pk.FakeModel(thinks), shots=2)
    first, second = predictor.predict(predictor.task.tests, store=store)
    assert (first.correct, second.correct) == (True, True)
    assert (first.rationale, second.rationale) == ("they make\n5.", "they make\n2.")
    assert predictor.predict(predictor.task.tests, store=store) == [first, second]


def test_the_best_label_alone_comes_after_one() -> None:
    predictor = pk.Predictor(task(), TEMPLATE, pk.FakeModel(thinks), shots=2, scores="best")
    for made in predictor.predict(predictor.task.tests):
        assert (made.correct, made.probs, made.near_tie) == (True, None, False)
        assert made.rationale is not None


def test_a_comparison_keeps_them_with_the_exact_prompts(tmp_path: Path) -> None:
    model = pk.FakeModel(thinks)
    made = pk.compare(
        task(), models=[model], templates=[TEMPLATE], shots=[0, 2], seeds=1, store=pk.Store()
    )
    assert [row.accuracy for row in made.rows if row.seed is None] == [1, 1]
    assert made.usage.prompts == 8
    predictions = read_run(made.save(tmp_path)).predictions
    assert {one.rationale for one in predictions} == {"they make\n5.", "they make\n2."}
    texts = [made.prompts[one.prompt_sha256].text for one in predictions]
    assert all("Why: they make\n" in text and text.endswith("\nA:") for text in texts)
    spans = made.prompts[predictions[0].prompt_sha256].spans
    assert ("data", "rationale") in [(span.source, span.field) for span in spans]
    page = payload(made.to_records(), None)
    assert page["columns"]["rationale"][0] == "they make\n5."


def test_turns_of_a_chat_hold_both() -> None:
    template = pk.Template(
        "{% example %}{% user %}{{ input.text }}{% enduser %}"
        "{% assistant %}{{ rationale }} So: {{ output }}{% endassistant %}{% endexample %}"
    )

    def answer(prompt: pk.Prompt) -> str:
        if prompt.candidates is None:
            assert prompt.text.endswith("<|im_start|>assistant\n")
            return "that makes So: five"
        assert prompt.text.endswith("<|im_start|>assistant\nthat makes So:")
        return "5"

    predictor = pk.Predictor(task(), template, pk.FakeModel(answer), shots=1)
    (one,) = predictor.predict(predictor.task.tests[:1])
    assert (one.label, one.rationale) == ("5", "that makes")


def test_the_column_can_have_another_name(tmp_path: Path) -> None:
    other = task(rationale="because")
    with pytest.raises(TemplateError, match="the metadata of this shot has no 'because'"):
        TEMPLATE.render(other, shots=1, query={"text": "2+3"})
    demos = [one.model_copy(update={"metadata": {"because": "so"}}) for one in other.demos]
    named = task().model_copy(update={"rationale": "because", "demos": type(other.demos)(demos)})
    pk.save_task(named, tmp_path / "sums")
    loaded = pk.load_task(tmp_path / "sums")
    assert loaded.rationale == "because"
    assert "Why: so\n" in TEMPLATE.render(loaded, shots=1, query={"text": "2+3"}).text


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ output }} {{ rationale }}\n", "twice or after {{ output }}"),
        ("{{ rationale }}\n{{ rationale }}\n{{ output }}\n", "twice or after {{ output }}"),
        ("{{ rationale }}{{ output }}\n", "no text follows {{ rationale }}"),
        ("{{ rationale | upper }}: {{ output }}\n", "can only be printed as it is"),
    ],
)
def test_a_rationale_in_a_wrong_place(source: str, reason: str) -> None:
    template = pk.Template("{% example %}{{ input.text }} " + source + "{% endexample %}")
    with pytest.raises(TemplateError) as caught:
        template.render(task(), query={"text": "2+3"})
    assert reason in str(caught.value)


def test_its_budget_is_part_of_the_context() -> None:
    model = pk.FakeModel(thinks, context=200)
    fits = pk.Predictor(task(), TEMPLATE, model, rationale_tokens=100)
    assert fits.predict(fits.task.tests)[0].correct
    with pytest.raises(PromptTooLongError):
        pk.Predictor(task(), TEMPLATE, model, rationale_tokens=150).predict(fits.task.tests)


@pytest.mark.parametrize("method", ["contextual", "pmi", "temperature"])
def test_probes_of_calibration_have_rationales_of_their_own(method: Any) -> None:
    asked: list[str] = []

    def answer(prompt: pk.Prompt) -> str:
        query = prompt.text.rpartition("Q: ")[2]
        if prompt.asks == "rationale":
            return "so it is\nA:"
        asked.append(query)
        return "3"

    demos = [
        {"input": {"text": f"1+{n}"}, "output": str(2 + n % 2), "metadata": {"rationale": "so"}}
        for n in range(24)
    ]
    tests = [{"input": {"text": "2+3"}, "output": "5"}, {"input": {"text": "0+2"}, "output": "2"}]
    more = pk.Task[Sum, Literal["2", "3", "5"]](name="sums", demos=demos, tests=tests)
    made = pk.compare(
        more,
        models=[pk.FakeModel(answer)],
        templates=[TEMPLATE],
        calibrations=[method],
        shots=[0],
        seeds=1,
        store=pk.Store(),
        lint=False,
    )
    assert {row.calibration for row in made.rows} == {"none", method}
    assert all("\nWhy: so it is\nA:" in text for text in asked)
    (note,) = made.calibrations
    assert len(asked) == 2 + note.prompts


def test_lint_knows_rationales(tmp_path: Path) -> None:
    pk.save_task(task(), tmp_path / "sums")
    (tmp_path / "sums" / "templates").mkdir()
    (tmp_path / "sums" / "templates" / "why.j2").write_text(SOURCE)
    found = pk.lint(tmp_path / "sums", templates=["why.j2"])
    assert [one.rule for one in found if one.rule.startswith(("unknown", "query", "glued"))] == []


def test_runs_without_rationales_are_read(tmp_path: Path) -> None:
    template = pk.Template("{% example %}{{ input.text }}: {{ output }}\n{% endexample %}")
    made = pk.compare(
        task(), models=[pk.FakeModel()], templates=[template], shots=[0], store=pk.Store()
    )
    file = made.save(tmp_path) / "predictions.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert {one.pop("rationale") for one in records} == {None}


@pytest.mark.model
def test_the_bundled_model_reasons(smollm2: Any) -> None:
    predictor = pk.Predictor(task(), TEMPLATE, smollm2, shots=2, rationale_tokens=16)
    for one in predictor.predict(predictor.task.tests):
        assert one.label in ("2", "3", "5")
        assert one.rationale
        assert "\nA:" not in one.rationale
