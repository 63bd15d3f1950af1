"""Cards of tasks, comparisons, frozen prompts, students and adapters."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from card_page import HOSTILE, parsed, shown, texts_of
from comparisons import compared
from huggingface_hub import ModelCard, ModelCardData
from pupils import moods, pupil
from pydantic import create_model
from samples import COLON, parity_task

import promptkit as pk
from promptkit.errors import DataError, TaskError
from promptkit.students.student_card import lines_of
from promptkit.tasks.task_card import TaskCard
from promptkit.tuning.adapter_output import write_adapter

ROOT = Path(__file__).parents[2]
FRUIT = ROOT / "examples" / "fruit"
STATED = TaskCard(
    summary="Even or odd?",
    license="CC-BY-4.0",
    languages=["en", "hi-Latn"],
    authors="us",
    contact="us@example.org",
    intended_use="tests",
    not_for="use",
    personal_data="none",
    limits=["Words are made of one letter."],
    sources=[
        {
            "name": "words",
            "license": "CC0-1.0",
            "url": "https://huggingface.co/datasets/us/words",
            "languages": ["en"],
            "authors": "us",
            "about": "drawn",
        }
    ],
)


def front_matter(card: pk.Card) -> ModelCardData:
    """The metadata as the hub's own library reads it."""
    return ModelCard(card.markdown).data


def test_a_task_has_the_fields_of_the_hub() -> None:
    card = pk.card(pk.load_task(FRUIT))
    data = front_matter(card)
    assert data.to_dict() == card.metadata
    assert (data.license, data.language, data.library_name) == ("apache-2.0", ["en"], "promptkit")
    assert data.pipeline_tag == "text-classification"
    assert data.eval_results is None
    text = card.markdown
    for title in ("Details", "Uses", "Data", "Prompt", "Evaluation", "How it was made"):
        assert f"\n## {title}\n" in text
    assert "drupe 7" in text
    assert "Name the botanical type of each fruit." in text
    prompt = card.facts.prompt
    assert prompt is not None
    assert prompt.text in text
    assert prompt.text.endswith("lemon ->")


def test_what_is_not_stated_is_said_with_where_to_state_it() -> None:
    card = pk.card(parity_task())
    what = {one.what for one in card.not_stated}
    assert {"licence", "languages", "sources of the data", "results", "audit", "contact"} <= what
    assert "license" not in card.metadata
    assert "language" not in card.metadata
    assert card.markdown.count("*not stated*") > 5
    stated = pk.card(parity_task(card=STATED))
    assert {one.what for one in stated.not_stated} == {"results", "audit"}
    assert stated.metadata["license"] == "cc-by-4.0"
    assert stated.metadata["language"] == ["en", "hi"]
    assert stated.metadata["datasets"] == ["us/words"]
    assert "us&#64;example.org" in stated.markdown


def test_a_licence_that_the_hub_does_not_know_has_a_name() -> None:
    card = pk.card(parity_task(card={"license": "Garden-1.0"}))
    assert card.metadata["license"] == "other"
    assert card.metadata["license_name"] == "Garden-1.0"


def test_a_comparison_has_its_results_and_the_prompt_as_it_was_asked() -> None:
    result = compared(task=parity_task(card=STATED))
    card = pk.card(result, task=parity_task(card=STATED))
    found = front_matter(card).eval_results[0]
    best = result.best
    row = next(row for row in result.rows if row.cell == best.cell.at(seed=None))
    assert found.metric_value == pytest.approx(row.accuracy, abs=1e-4)
    assert found.metric_type == "accuracy"
    assert "6 queries" in found.metric_name
    assert found.dataset_revision == result.fingerprint
    prompt = card.facts.prompt
    assert prompt is not None
    assert prompt.asked
    assert prompt.text in {one.text for one in result.prompts.values()}
    assert prompt.text in card.markdown
    assert card.facts.tests["differences"] == len(result.pairs)
    assert {*result.warnings} <= {*card.limits}
    assert "Words are made of one letter." in card.limits
    zero = pk.card(result, cell={"shots": "0"})
    assert zero.facts.prompt is not None
    assert zero.facts.prompt.shots == ()


def test_a_saved_run_has_the_same_card(tmp_path: Path) -> None:
    pk.save_task(parity_task(card=STATED), tmp_path / "task")
    result = compared(task=pk.load_task(tmp_path / "task"))
    saved = pk.card(result.save(tmp_path / "run"))
    assert saved.markdown == pk.card(result, task=pk.load_task(tmp_path / "task")).markdown
    assert saved.facts.task is not None
    assert f"promptkit compare {tmp_path / 'task'}" in saved.markdown
    (tmp_path / "task" / "task.toml").unlink()
    without = pk.card(tmp_path / "run")
    assert without.facts.task is None
    assert without.not_stated[0].what == "task and data"
    with pytest.raises(TaskError, match="not the task of the run"):
        pk.card(tmp_path / "run", task=parity_task(pool=7))


def test_a_frozen_prompt_has_its_prompt_without_its_model(tmp_path: Path) -> None:
    task = parity_task(card=STATED)
    predictor = pk.Predictor(task, COLON, pk.FakeModel(), shots=2)
    file = pk.freeze(predictor, tmp_path / "parity.promptkit")
    card = pk.card(file)
    prompt = card.facts.prompt
    assert prompt is not None
    query = task.demos.by_id(prompt.query)
    assert query is not None
    assert query.id not in prompt.shots
    assert prompt.text == predictor.tokenize([query])[0].prompt.text
    assert card.facts.stated == STATED
    assert card.facts.models[0].name == "fake"
    assert "results" in {one.what for one in card.not_stated}
    for found, parts in ((card, {"demos"}), (pk.card(file, task=task), {"demos", "tests"})):
        assert found.facts.task is not None
        assert {one.part for one in found.facts.task.rows} == parts


def test_a_student_has_its_teacher_and_its_figures(tmp_path: Path) -> None:
    task = moods()
    teacher = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=1)
    pool = [{"text": f"{size} {kind}"} for size in range(30) for kind in ("fine", "dull")]
    student = pk.distill(teacher, pool, out=tmp_path / "moods", curve=False, store=pk.Store())
    card = pk.card(tmp_path / "moods")
    own = student.card["tests"]["student"]
    (accuracy,) = [one for one in front_matter(card).eval_results if one.metric_type == "accuracy"]
    assert accuracy.metric_value == pytest.approx(own["accuracy"], abs=1e-4)
    assert next(iter(lines_of(student.card))).removeprefix("Teacher: ")[:4] in card.markdown
    assert "## Prompt" not in card.markdown
    assert "## Training" in card.markdown
    assert student.sha256 in card.markdown


def test_a_student_without_a_card_has_one(tmp_path: Path) -> None:
    card = pk.card(pupil().save(tmp_path / "pupil"))
    assert "results" in {one.what for one in card.not_stated}
    assert front_matter(card).library_name == "promptkit"


def test_an_adapter_has_its_options(tmp_path: Path) -> None:
    import numpy as np

    file = tmp_path / "fruit.gguf"
    made = {
        "name": "fruit adapter",
        "model": "hf:owner/repo/model.gguf",
        "model_sha256": "ab" * 32,
        "task": "fruit",
        "options": {"rank": 4},
        "examples": 40,
        "held_out": 8,
        "layers": 2,
        "all_layers": 4,
        "figures": {"loss_before": 1.5, "loss": 1.0, "accuracy_before": 0.25, "accuracy": 0.5},
    }
    ones = np.ones((2, 4), np.float32)
    tensors = {"blk.0.attn_q.weight.lora_a": ones, "blk.0.attn_q.weight.lora_b": ones}
    write_adapter(file, tensors, architecture="llama", alpha=4, card=made)
    card = pk.card(file, task=pk.load_task(FRUIT))
    data = front_matter(card)
    assert data.base_model == ["owner/repo"]
    assert data.to_dict()["base_model_relation"] == "adapter"
    assert [one.metric_value for one in data.eval_results] == [0.5]
    assert "option rank" in card.markdown
    assert "licence of the model hf:owner/repo/model.gguf" in {one.what for one in card.not_stated}


def test_what_has_no_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        pk.card(tmp_path / "nothing")
    with pytest.raises(DataError, match="no card can be made of it"):
        pk.card(tmp_path)


def hostile_task(text: str) -> pk.Task[Any, Any]:
    """A task all of whose texts are hostile."""
    odd = text.encode("utf-8", "replace").decode()
    model = create_model("Odd", word=(str, ...))
    label = squeezed(odd) or "label"
    task: Any = pk.Task[model, Literal[label, "other"]]  # type: ignore[valid-type]
    rows = [pk.Example(input=model(word=f"{odd} {n}"), output=label) for n in range(4)]
    return task(  # type: ignore[no-any-return]
        name=odd,
        instruction=odd,
        demos=rows[:2],
        tests=rows[2:],
        card={
            "summary": odd,
            "license": odd,
            "authors": odd,
            "contact": odd,
            "limits": [odd],
            "sources": [{"name": odd, "license": odd, "url": odd, "about": odd}],
        },
    )


def squeezed(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", " ", text).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_of_the_data_stay_texts(text: str) -> None:
    task = hostile_task(text)
    source = (
        "{{ task.instruction }}\n{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n"
    )
    template = pk.Template(source)
    result = pk.compare(
        task,
        models=[pk.FakeModel(name=task.name)],
        templates=[template],
        shots=[0, 1],
        seeds=1,
        store=pk.Store(),
    )
    for card in (pk.card(task), pk.card(result, task=task)):
        written = card.markdown
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)
        assert ModelCard(written).data.to_dict() == shown(card.metadata)
        tokens = parsed(ModelCard(written).text)
        assert {token.type for token in tokens} & {"html_block", "html_inline", "image"} == set()
        links = [token.attrs["href"] for token in tokens if token.type == "link_open"]
        assert all(str(link).startswith(("http://", "https://")) for link in links)
        titles = [each for each in texts_of(tokens) if each in ("Details", "Uses", "Data")]
        assert titles == ["Details", "Uses", "Data"]


def test_the_command_writes_a_card_and_says_what_is_missing(run: Any, here: Path) -> None:
    pk.save_task(parity_task(), "parity")
    ran = run("card", "parity", "--out", "CARD.md", "--json", "card.json")
    assert (ran.code, ran.out) == (0, "Written to CARD.md\n")
    assert "not stated: licence; to state it: [card] license" in ran.err
    assert Path("CARD.md").read_text("utf-8") == pk.card("parity").markdown
    found = json.loads(Path("card.json").read_text("utf-8"))
    assert found["kind"] == "task"
    assert found["task"]["name"] == "parity"
    assert {"metadata", "limits", "not_stated", "stated"} <= {*found}
    shown = run("card", "parity")
    assert shown.out == pk.card("parity").markdown
    missing = run("card", "nothing")
    assert missing.code == 2
    assert "nothing: not found" in missing.err


def test_a_task_keeps_its_card(tmp_path: Path) -> None:
    task = parity_task(card=STATED)
    assert task.fingerprint == parity_task().fingerprint
    pk.save_task(task, tmp_path)
    assert pk.load_task(tmp_path).card == STATED
    text = (tmp_path / "task.toml").read_text("utf-8")
    (tmp_path / "task.toml").write_text(text.replace("intended_use", "intended"), "utf-8")
    with pytest.raises(TaskError, match=r"card\.intended"):
        pk.load_task(tmp_path)
