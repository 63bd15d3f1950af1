"""Training data is what the template prints, split at the answer, without the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from command_line import runner
from samples import COLON, parity_task

import promptkit as pk
from promptkit.errors import TaskError

KINDS = ["extraction", "fruit", "quiz", "ratings", "remarks", "routing", "topics", "word-problems"]


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("name", KINDS)
def test_prompt_and_completion_are_a_shot_of_the_template(
    name: str, shots: int, tmp_path: Path
) -> None:
    """The next prompt, whose last shot is the row, begins with both to the letter."""
    task = pk.load_task(f"examples/{name}")
    template = pk.Template.of(task)
    made = pk.export_training_data(task, tmp_path / "a.jsonl", shots=shots, validation=0)
    rows = lines(made.files[0])
    assert len(rows) == len(task.demos)
    for demo, row in zip(task.demos, rows, strict=True):
        prompt = template.render(task, query=demo, shots=shots)
        assert row["prompt"] == prompt.text
        before = [task.demos.by_id(id) for id in prompt.shots]
        after = template.render(task, query=task.tests[0], shots=[*before, demo])
        assert after.text.startswith(row["prompt"] + row["completion"].rstrip("\n"))


@pytest.mark.parametrize("name", KINDS)
def test_turns(name: str, tmp_path: Path) -> None:
    task = pk.load_task(f"examples/{name}")
    template = pk.Template.of(task, "chat.j2")
    how: Any = {"template": template, "shots": 1, "validation": 0}
    pk.export_training_data(task, tmp_path / "a.jsonl", format="chat", **how)
    pk.export_training_data(task, tmp_path / "b.jsonl", **how)
    both = zip(lines(tmp_path / "a.jsonl"), lines(tmp_path / "b.jsonl"), strict=True)
    for demo, (chat, pair) in zip(task.demos, both, strict=True):
        assert flaws(chat) == []
        assert [one["role"] for one in chat["messages"]] == [
            *("system", "user", "assistant", "user", "assistant"),
        ]
        assert [one.get("weight") for one in chat["messages"]] == [None, None, 0, None, None]
        plain = [{"role": one["role"], "content": one["content"]} for one in chat["messages"]]
        assert [*pair["prompt"], *pair["completion"]] == plain
        shot = template.render(task, query=task.tests[0], shots=[demo]).messages
        assert plain[-2:] == [{"role": one.role, "content": one.content} for one in shot[1:3]]


ROLES = ("system", "user", "assistant")


def flaws(line: Mapping[str, Any]) -> list[str]:
    """Return what hosted services refuse in a line of chat data, by their documented rules."""
    found = []
    messages = line.get("messages")
    if {*line} != {"messages"} or not isinstance(messages, list) or not messages:
        return ["no list of messages, or keys beside it"]
    for one in messages:
        if not {"role", "content"} <= {*one} <= {"role", "content", "weight"}:
            found.append(f"keys {sorted(one)}")
        if one["role"] not in ROLES:
            found.append(f"role {one['role']}")
        if not isinstance(one["content"], str) or not one["content"].strip():
            found.append("no content")
        if "weight" in one and (one["role"] != "assistant" or one["weight"] not in (0, 1)):
            found.append("a weight that is not 0 or 1, or of another role")
    if messages[-1]["role"] != "assistant" or messages[-1].get("weight") == 0:
        found.append("no answer to learn at the end")
    if any(one["role"] == "system" for one in messages[1:]):
        found.append("a system message that is not the first")
    return found


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    task = parity_task()
    chat = pk.Template.load("chat.j2")
    out = tmp_path / "a.jsonl"
    with pytest.raises(TaskError, match="makes no turns"):
        pk.export_training_data(task, out, format="chat", template=COLON)
    with pytest.raises(TaskError, match="makes turns"):
        pk.export_training_data(task, out, format="segments", template=chat)
    with pytest.raises(TaskError, match="JSON Lines"):
        pk.export_training_data(task, tmp_path / "a.csv")
    with pytest.raises(TaskError, match="unknown format 'xml'"):
        pk.export_training_data(task, out, format="xml")  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="gold answers have neither"):
        pk.export_training_data(task, out, min_confidence=0.5)
    with pytest.raises(TaskError, match="validation 1"):
        pk.export_training_data(task, out, validation=1.0)
    numbers = {demo.id: number % 2 for number, demo in enumerate(task.demos)}
    folds = parity_task(tests=task.demos, folds=numbers)
    with pytest.raises(TaskError, match="every row of its pool is a test"):
        pk.export_training_data(folds, out)
    assert not out.exists()


def test_sides_share_no_near_duplicates_and_no_shots(tmp_path: Path) -> None:
    base = "the parcel came late and nobody at the desk could say where it had been all week"
    texts = [base, f"{base}, really"]
    texts += [f"{n} quite another remark, about subject number {n * 7}" for n in range(18)]
    task = pk.load_task("examples/remarks")
    rows = [{"input": {"remark": text}, "output": "positive"} for text in texts]
    task = type(task)(name="two", demos=rows, template="lines.j2")
    for seed in range(5):
        made = pk.export_training_data(
            task, tmp_path / "a.jsonl", shots=2, validation=0.3, seed=seed
        )
        train, held_out = map(lines, made.files)
        assert len(train) + len(held_out) == 20
        own = {row["prompt"].split("Remark: ")[-1].split("\n")[0] for row in held_out}
        assert own
        for row in (*train, *held_out):
            asked = [part.split("\n")[0] for part in row["prompt"].split("Remark: ")[1:]]
            assert not own & {*asked[:-1]}
        assert len({text in own for text in texts[:2]}) == 1


def test_predictions_keep_their_probabilities(tmp_path: Path) -> None:
    task = parity_task()
    rows = [{"word": "d" * n} for n in range(1, 12)] + [{"word": "t"}, {"word": "T"}]
    predictor = pk.Predictor(task, COLON, pk.FakeModel(), 2)
    pk.predict(predictor, rows, out=tmp_path / "p.jsonl", store=pk.Store())
    predicted = {one["input"]["word"]: one for one in lines(tmp_path / "p.jsonl")}
    how: Any = {"template": COLON, "predictions": tmp_path / "p.jsonl", "validation": 0}
    made = pk.export_training_data(task, tmp_path / "a.jsonl", **how)
    assert made.rows == (11,)
    assert made.left_out == {"in the tests, or near-duplicates of one": 2}
    for row in lines(made.files[0]):
        one = predicted[row["prompt"].split(":")[0]]
        assert row["probs"] == one["probs"]
        assert row["completion"] == f" {one['label']}\n"
    sure = sorted(max(one["probs"].values()) for one in predicted.values())
    least = sure[len(sure) // 2]
    some = pk.export_training_data(task, tmp_path / "a.jsonl", min_confidence=least, **how)
    assert sum(some.left_out.values()) + some.rows[0] == 13
    assert all(max(row["probs"].values()) >= least for row in lines(some.files[0]))
    chat: Any = {**how, "template": pk.Template.load("chat.j2")}
    pk.export_training_data(task, tmp_path / "a.jsonl", format="chat", **chat)
    assert all(flaws(row) == [] for row in lines(tmp_path / "a.jsonl"))
    with pytest.raises(TaskError, match="no rows are left to train with; 13 below"):
        pk.export_training_data(task, tmp_path / "a.jsonl", min_confidence=1.0, **how)


def test_tests_are_left_out(tmp_path: Path) -> None:
    """Those of a saved run are all tests."""
    task = pk.load_task("examples/remarks")
    result = pk.compare(
        task, models=[pk.FakeModel()], shots=[0], seeds=1, limit=9, store=pk.Store()
    )
    folder = result.save(tmp_path / "run")
    with pytest.raises(TaskError, match="9 in the tests"):
        pk.export_training_data(
            task, tmp_path / "a.jsonl", predictions=folder / "predictions.jsonl"
        )


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    task = pk.load_task("examples/remarks")
    made = pk.export_training_data(task, tmp_path / "a.jsonl", shots=2, seed=3)
    card = json.loads(made.card.read_text("utf-8"))
    assert card["task"] == {"name": "remarks", "fingerprint": task.fingerprint}
    assert card["template"]["name"] == "lines.j2"
    assert (card["shots"], card["seed"], card["answers"]) == (2, 3, "gold")
    assert sum(card["labels"].values()) == len(task.demos)
    for file, count in zip(made.files, made.rows, strict=True):
        assert card["files"][file.name] == {
            "rows": count,
            "sha256": sha256(file.read_bytes()).hexdigest(),
        }
    assert str(made).startswith("30 rows: ")


@pytest.mark.parametrize(
    ("format", "template"), [("completion", None), ("chat", "chat.j2"), ("segments", None)]
)
def test_it_is_loaded_by_datasets(format: Any, template: str | None, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    task = pk.load_task("examples/remarks")
    how: Any = {"format": format, "template": pk.Template.of(task, template), "shots": 1}
    made = pk.export_training_data(task, tmp_path / "a.jsonl", **how)
    files = {"train": str(made.files[0]), "validation": str(made.files[1])}
    loaded = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert (loaded["train"].num_rows, loaded["validation"].num_rows) == made.rows
    first = lines(made.files[0])[0]
    key = next(iter(first))
    assert json.dumps(first[key])[:60] == json.dumps(loaded["train"][0][key])[:60]


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, out = runner(capfd), tmp_path / "a.jsonl"
    done = run("export", "examples/remarks", "--out", out, "--shots", 2)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("30 rows: ")
    frozen = tmp_path / "remarks.promptkit"
    task = pk.load_task("examples/remarks")
    pk.freeze(pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 2), frozen)
    again = run("export", frozen, "--out", tmp_path / "b.jsonl")
    assert (again.code, again.err) == (0, "")
    assert (tmp_path / "b.jsonl").read_text() == out.read_text()
    refused = run("export", frozen, "--out", out, "--shots", 1)
    assert refused.code == 2
    assert "--shots: a frozen predictor has its own" in refused.err
    wrong = run("export", "examples/remarks", "--out", out, "--format", "xml")
    assert "--format 'xml': choose completion, chat or segments" in wrong.err
