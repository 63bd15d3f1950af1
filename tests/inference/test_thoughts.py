"""Models that think before they answer, as far as a budget lets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from tiny_gguf import CHATML, write_llama

import promptkit as pk
from promptkit.errors import PromptError, PromptTooLongError, TaskError
from promptkit.experiments.saved_runs import read_run
from promptkit.models.llama import load_model
from promptkit.report.page_data import payload


class Sum(BaseModel):
    text: str


THINKS = (
    CHATML + "{% if add_generation_prompt and enable_thinking is defined and enable_thinking is "
    "false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
)
"""A template like Qwen3's: thoughts are left to the model unless they are switched off."""

BEGINS = CHATML.replace("assistant\n", "assistant\n<think>\n")
"""A template that always begins a thought, like DeepSeek-R1's."""

TURNS = pk.Template(
    "{% example %}{% user %}{{ input.text }}{% enduser %}"
    "{% assistant %}{{ output }}{% endassistant %}{% endexample %}",
    name="turns",
)
REASONS = pk.Template(
    "{% example %}{% user %}{{ input.text }}{% enduser %}"
    "{% assistant %}Since {{ rationale }} So: {{ output }}{% endassistant %}{% endexample %}",
    name="reasons",
)
RAW = pk.Template(
    "{% example %}\nQ: {{ input.text }}\nA: {{ output }}\n{% endexample %}", name="raw"
)


def task(output: Any = Literal["2", "5"]) -> pk.Task[Any, Any]:
    golds: tuple[Any, ...] = (5, 2) if output is int else ("5", "2")
    texts = ("2+3", "0+2")
    tests = [{"input": {"text": t}, "output": g} for t, g in zip(texts, golds, strict=True)]
    demo = {"input": {"text": "1+1"}, "output": golds[1], "metadata": {"rationale": "it is so."}}
    return pk.Task[Sum, output](name="sums", demos=[demo], tests=tests)


def thinks(prompt: pk.Prompt) -> str:
    """Return a thought with its mark, a rationale, or the sum that stands in the thought."""
    if prompt.asks == "thought":
        total = sum(map(int, prompt.text.rpartition("user\n")[2].partition("<")[0].split("+")))
        return f"the sum is {total}\n</think>\n\nmore that is never read"
    if prompt.asks == "rationale":
        return "they make it. So: never read"
    thought = prompt.text.rpartition("the sum is ")[2]
    return thought.partition("\n")[0] or "2"


def model(answer: Any = thinks, template: str | None = THINKS, **more: Any) -> pk.FakeModel:
    return pk.FakeModel(answer, chat_template=template, **more)


OPEN = "<|im_start|>assistant\n<think>\n"


@pytest.mark.parametrize("output", [Literal["2", "5"], int])
@pytest.mark.parametrize(
    "template", [THINKS, CHATML.replace("assistant\n", "assistant\n<think>\n")]
)
def test_a_thought_comes_before_the_answer(output: Any, template: str) -> None:
    seen: list[pk.Prompt] = []

    def answer(prompt: pk.Prompt) -> str:
        seen.append(prompt)
        return thinks(prompt)

    predictor = pk.Predictor(task(output), TURNS, model(answer, template), think=32)
    first, second = predictor.predict(predictor.task.tests)
    assert (first.correct, second.correct) == (True, True)
    assert (first.thought, first.rationale) == ("the sum is 5", None)
    assert [prompt.asks for prompt in seen] == ["thought", "thought", "answer", "answer"]
    assert seen[0].text.endswith(OPEN)
    assert (seen[0].stop, seen[0].candidates) == ("</think>", None)
    assert seen[2].text.endswith(f"{OPEN}the sum is 5\n</think>\n\n")
    spans = [span for span in seen[2].spans if span.field == "thought"]
    assert [span.source for span in spans] == ["data"]


def test_the_best_label_alone_comes_after_a_thought() -> None:
    model = pk.FakeModel(thinks, chat_template=THINKS)
    predictor = pk.Predictor(task(), TURNS, model, think=50, scores="best")
    for made in predictor.predict(predictor.task.tests):
        assert (made.correct, made.probs) == (True, None)
        assert made.thought


def test_without_a_budget_nothing_is_different() -> None:
    plain, quiet = (
        pk.Predictor(task(), TURNS, model()),
        pk.Predictor(task(), TURNS, model(), think=0),
    )
    (request, _) = quiet.tokenize(quiet.task.tests)
    assert request.prompt.text.endswith("<think>\n\n</think>\n\n")
    assert plain.predict(plain.task.tests) == quiet.predict(quiet.task.tests)
    assert plain.predict(plain.task.tests)[0].thought is None


def test_a_rationale_follows_the_thought_in_the_same_turn() -> None:
    seen: list[str] = []

    def answer(prompt: pk.Prompt) -> str:
        seen.append(prompt.text)
        return thinks(prompt)

    predictor = pk.Predictor(task(), REASONS, model(answer), shots=1, think=32)
    (one,) = predictor.predict(predictor.task.tests[:1])
    assert (one.label, one.thought, one.rationale) == ("5", "the sum is 5", "they make it.")
    assert seen[1].endswith(f"{OPEN}the sum is 5\n</think>\n\nSince")
    assert seen[2].endswith("</think>\n\nSince they make it. So:")


def test_thoughts_are_sampled_and_their_answers_vote() -> None:
    def answer(prompt: pk.Prompt) -> str:
        if prompt.asks == "thought":
            return f"the sum is {'25'[prompt.sample % 2]}"
        return thinks(prompt)

    predictor = pk.Predictor(task(int), TURNS, model(answer), think=32, rationales=3)
    (one,) = predictor.predict(predictor.task.tests[:1])
    assert (one.label, one.thought) == (2, "the sum is 2")
    assert one.probs == {"2": 2 / 3, "5": 1 / 3}
    assert [vote.thought for vote in one.votes] == [f"the sum is {n}" for n in "252"]


def test_a_comparison_keeps_and_shows_thoughts(tmp_path: Path) -> None:
    made = pk.compare(
        task(),
        models=[model()],
        templates=[TURNS],
        calibrations=["batch"],
        shots=[0, 1],
        seeds=1,
        think=32,
        store=pk.Store(),
    )
    assert all(one.correct for one in made.predictions)
    assert {row.calibration for row in made.rows} == {"none", "batch"}
    assert read_run(made.save(tmp_path)).predictions == made.predictions
    columns = payload(made.to_records(), None)["columns"]
    assert columns["thought"][0] == "the sum is 5"
    assert made.prompts[made.predictions[0].prompt_sha256].text.endswith("</think>\n\n")


@pytest.mark.parametrize(
    ("template", "chat", "reason"),
    [
        (RAW, THINKS, "a model thinks in a turn of its own, and the template makes none"),
        (TURNS, CHATML, "the model's chat template has no thoughts"),
    ],
)
def test_where_nobody_can_think_nothing_runs(template: pk.Template, chat: str, reason: str) -> None:
    fake = model(template=chat)
    with pytest.raises(PromptError, match=reason):
        pk.compare(
            task(), models=[fake], templates=[template], shots=[0], think=8, store=pk.Store()
        )
    assert fake.usage.decoded_tokens == 0


def test_numbers_out_of_range() -> None:
    with pytest.raises(TaskError, match="think is -1; it is 0 or more"):
        pk.Predictor(task(), TURNS, model(), think=-1)
    predictor = pk.Predictor(task(), TURNS, model(context=150), think=120)
    with pytest.raises(PromptTooLongError):
        predictor.tokenize(predictor.task.tests)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "thinks.gguf", n_ctx=512, chat_template=THINKS)


@pytest.mark.parametrize("output", [Literal["2", "5"], int])
def test_a_model_of_random_weights_thinks(tiny: Path, output: Any) -> None:
    store = pk.Store()
    loaded = load_model(tiny, weights="as-is")
    predictor = pk.Predictor(task(output), TURNS, loaded, think=12, rationales=3)
    first = predictor.predict(predictor.task.tests, store=store)
    assert predictor.predict(predictor.task.tests, store=store) == first
    thoughts = [vote.thought for one in first for vote in one.votes]
    assert len(set(thoughts)) == 6
    greedy = pk.Predictor(task(output), TURNS, loaded, think=12)
    (one, _) = greedy.predict(greedy.task.tests)
    assert one.thought
    loaded.close()


def test_commands_take_the_budget(tiny: Path, tmp_path: Path) -> None:
    pk.save_task(task(), tmp_path / "sums")
    (tmp_path / "sums" / "templates").mkdir()
    (tmp_path / "sums" / "templates" / "turns.j2").write_text(TURNS.source)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "promptkit", words[0], "sums", "--template", "turns.j2"]
        more = [*words[1:], "--think", "8"]
        return subprocess.run([*command, *more], capture_output=True, text=True, cwd=tmp_path)

    done = run("render", "--shots", "0", "--model", str(tiny))
    assert done.stdout.endswith(OPEN), done.stderr
    assert "--think: a model's own chat template" in run("render").stderr
    asked = ("--shots", "0", "--seeds", "1", "--model", str(tiny), "--weights", "as-is")
    done = run("compare", *asked)
    assert done.returncode == 0, done.stderr
    assert "texts before answers were cut at their budget" in done.stdout.replace("\n  ", " ")
    done = run("check", "--min", "accuracy=0", *asked)
    assert done.returncode == 0, done.stderr
