from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import COLON, open_task, parity_task

from promptkit import Comparison, FakeModel, Store, compare
from promptkit.errors import DataError
from promptkit.experiments.saved_runs import read_run


def saved(folder: Path, task: Any = None, **changed: Any) -> Comparison:
    arguments: dict[str, Any] = {"models": [FakeModel()], "templates": [COLON], "store": Store()}
    arguments |= {"shots": (0, 2), "seeds": 2, **changed}
    result = compare(task or parity_task(), **arguments)
    result.save(folder)
    return result


@pytest.mark.slow
def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    result = saved(tmp_path)
    run = read_run(tmp_path)
    assert run.predictions == result.predictions
    assert run.data == json.loads(json.dumps(result.to_dict()))
    assert (run.task, run.folder) == ("parity", tmp_path)


def test_generated_answers_and_odd_texts_too(tmp_path: Path) -> None:
    task, model = open_task(str, "a\nb\u2028c", "é"), FakeModel(name="é\u2028.gguf")
    result = saved(tmp_path, task, shots=[0], models=[model])
    assert read_run(tmp_path).predictions == result.predictions
    result = saved(tmp_path, open_task(float, 1.0, 2.5), shots=[0])
    assert read_run(tmp_path).predictions == result.predictions


@pytest.mark.slow
def test_a_probability_of_nothing_comes_back(tmp_path: Path) -> None:
    saved(tmp_path)
    lines = records(tmp_path)
    lines[0]["logprobs"]["even"] = None
    write(tmp_path, lines)
    first = read_run(tmp_path).predictions[0]
    assert first.logprobs is not None
    assert first.logprobs["even"] == float("-inf")


@pytest.mark.slow
def test_runs_of_earlier_versions_are_read(tmp_path: Path) -> None:
    result = saved(tmp_path)
    lines = records(tmp_path)
    for line in lines:
        for name in ("order", "verbalizer", "calibrated"):
            line.pop(name, None)
        line["from a later version"] = 1
    write(tmp_path, lines)
    assert read_run(tmp_path).predictions == result.predictions


def records(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "predictions.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def write(folder: Path, lines: list[Any]) -> None:
    """Writes predictions, in a run that has no digests, as earlier versions saved it."""
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "predictions.jsonl").write_text(text, "utf-8")
    file = folder / "comparison.json"
    data = json.loads(file.read_text("utf-8"))
    data.pop("files", None)
    file.write_text(json.dumps(data), "utf-8")


def without(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        lines = records(folder)
        del lines[2][name]
        write(folder, lines)

    return damage


def with_(**fields: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        lines = records(folder)
        lines[2] |= fields
        write(folder, lines)

    return damage


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / name
        file.write_bytes(change(file.read_bytes()))

    return damage


def twice(folder: Path) -> None:
    lines = records(folder)
    write(folder, [*lines, lines[3]])


def lines_lost(folder: Path) -> None:
    write(folder, records(folder)[:-6])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "comparison.json").unlink(), r"comparison\.json: No such file.*"),
        (lambda folder: (folder / "predictions.jsonl").unlink(), r"predictions\.jsonl: No such"),
        (bytes_of("predictions.jsonl", lambda b: b""), r"predictions\.jsonl: no predictions"),
        (bytes_of("predictions.jsonl", lambda b: b[:-40]), r"jsonl:24: the file is cut short"),
        (bytes_of("predictions.jsonl", lambda b: b[40:]), r"predictions\.jsonl:1: not JSON"),
        (bytes_of("predictions.jsonl", lambda b: b"\xff" + b), r"predictions\.jsonl:1: not JSON"),
        (bytes_of("predictions.jsonl", lambda b: b"[1]\n" + b), r"jsonl:1: not a JSON object"),
        (bytes_of("predictions.jsonl", lambda b: b"[" * 99_999 + b), r"jsonl:1: not JSON"),
        (bytes_of("comparison.json", lambda b: b[:-40]), r"comparison\.json:\d+: not JSON"),
        (bytes_of("comparison.json", lambda b: b"{}"), r"comparison\.json: no field 'task'"),
        (bytes_of("comparison.json", lambda b: b'{"task": {}}'), r"json: no field 'task.name'"),
        (without("gold"), r"predictions\.jsonl:3: no field 'gold'"),
        (with_(shots="many"), r"jsonl:3, field 'shots', value 'many': Input should be a valid int"),
        (with_(margin=float("nan")), r"jsonl:3: not JSON \(NaN is no number in JSON\)"),
        (with_(probs=[1]), r"jsonl:3, field 'probs', value \[1\]"),
        (twice, r"jsonl:25, example 't{4}-\w+': the same cell and example as line 4"),
        (lines_lost, r"predictions\.jsonl: 18 predictions, where comparison\.json has 24"),
    ],
)
def test_damage_is_named_with_its_place(damage: Any, reason: str, tmp_path: Path) -> None:
    saved(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=reason) as caught:
        read_run(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
