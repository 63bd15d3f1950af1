"""A frozen predictor answers as the one that was frozen did."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_gguf import write_bert

import promptkit as pk
from promptkit.calibration.fitted import FittedCalibration
from promptkit.errors import DataError, ModelError, PromptkitError
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.selection.strategies import BlockSimilar, Diverse, KCentre, Similar
from promptkit.tasks.verbalizers import Verbalizer

FRUIT = "examples/fruit"


def _plain(predictions: list[Prediction]) -> list[Any]:
    return [replace(one, model="", seconds=0.0) for one in predictions]


def _both(predictor: Predictor, folder: Path) -> tuple[list[Any], list[Any]]:
    """Return the answers before and after freezing, of the tests and of the pool."""
    frozen = pk.load_predictor(
        pk.freeze(predictor, folder / "one.promptkit"), model=predictor.model
    )
    asked = [*predictor.task.tests, *predictor.task.demos[:3]]
    assert frozen.identity.name == "one"
    return _plain(predictor.predict(asked)), _plain(frozen.predict(asked))


@pytest.mark.parametrize("name", ["fruit", "quiz", "ratings", "extraction", "word-problems"])
def test_every_kind_of_task_is_frozen(name: str, tmp_path: Path) -> None:
    task = pk.load_task(f"examples/{name}")
    model = pk.FakeModel(lambda prompt: "3")
    before, after = _both(Predictor(task, pk.Template.of(task), model, 2, seed=1), tmp_path)
    assert before == after


@pytest.mark.parametrize("selection", ["random", "similar", "diverse", "k-centre", "block-similar"])
def test_every_selection_is_frozen(selection: str, tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    words = Verbalizer("loud", {label: label.upper() for label in task.labels})
    predictor = Predictor(
        task,
        pk.Template.of(task),
        pk.FakeModel(),
        4,
        seed=3,
        selection=selection,
        verbalizer=words,
        order="reversed",
        calibration=FittedCalibration("batch", {"": (tuple([-1.0] * len(task.labels)),)}),
        threshold=0.3,
    )
    before, after = _both(predictor, tmp_path)
    assert before == after
    assert any(one.abstained for one in after)


EMBEDDED: list[Callable[[Any], Any]] = [
    lambda embed: Similar(embed=embed),
    lambda embed: Diverse(embed=embed, relevance=0.7),
    lambda embed: BlockSimilar(embed=embed, nearest=1),
    lambda embed: KCentre(embed=embed),
]


@pytest.mark.parametrize("make", EMBEDDED)
def test_a_selection_by_an_embedder_is_frozen(make: Callable[[Any], Any], tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    file = write_bert(tmp_path / "tiny.gguf")
    embed = pk.load_embedder(file, threads=1, context=48)
    predictor = Predictor(task, pk.Template.of(task), pk.FakeModel(), 3, selection=make(embed))
    before, after = _both(predictor, tmp_path)
    assert before == after
    plain = replace(predictor, selection=make(None))
    assert [one.shot_ids for one in plain.predict(task.tests)] != [one.shot_ids for one in before]
    frozen = pk.load_predictor(tmp_path / "one.promptkit", model=predictor.model)
    assert frozen.selection.embed.origin == embed.origin  # type: ignore[union-attr]


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    task, model = pk.load_task(FRUIT), pk.FakeModel()
    file, other = write_bert(tmp_path / "a.gguf"), write_bert(tmp_path / "b.gguf", seed=1)
    embed = pk.load_embedder(file, threads=1)
    predictor = Predictor(task, pk.Template.of(task), model, 2, selection=Similar(embed=embed))
    frozen = pk.freeze(predictor, tmp_path / "one.promptkit")
    file.rename(tmp_path / "moved.gguf")
    with pytest.raises(ModelError, match=r"one\.promptkit: .*a\.gguf .* cannot be loaded: .*--emb"):
        pk.load_predictor(frozen, model)
    moved = pk.load_embedder(tmp_path / "moved.gguf", threads=1)
    again = pk.load_predictor(frozen, model, embedder=moved)
    assert _plain(again.predict(task.tests)) == _plain(predictor.predict(task.tests))
    other.rename(file)
    with pytest.raises(ModelError, match=r"and this is .*a\.gguf \(SHA-256 .*other shots"):
        pk.load_predictor(frozen, model)
    changed = replace(predictor, selection=Similar(embed=pk.load_embedder(file, threads=1)))
    assert predictor_key(changed) != predictor_key(predictor)
    own = replace(predictor, selection=Similar(embed=lambda texts: [[1.0]] * len(texts)))
    with pytest.raises(PromptkitError, match="a function in Python"):
        pk.freeze(own, tmp_path / "own.promptkit")


def test_shots_by_their_ids_and_a_template_with_parts(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    parts = tmp_path / "sub"
    parts.mkdir()
    (parts / "head.j2").write_text("{% include 'line.j2' %}\n")
    (tmp_path / "line.j2").write_text("Fruits.")
    (tmp_path / "own.j2").write_text(
        "{% include 'sub/head.j2' %}\n"
        "{% example %}\n{{ input.name }} -> {{ output }}\n{% endexample %}\n"
    )
    template = pk.Template.load(tmp_path / "own.j2")
    ids = [demo.id for demo in task.demos[5:8]]
    predictor = Predictor(task, template, pk.FakeModel(), 3, selection=ids)
    before, after = _both(predictor, tmp_path)
    assert before == after
    with zipfile.ZipFile(tmp_path / "one.promptkit") as archive:
        names = set(archive.namelist())
        data = json.loads(archive.read("frozen.json"))
    assert {"template.j2", "templates/0/sub/head.j2", "templates/0/line.j2"} <= names
    assert data["shot_ids"] == ids


def test_a_built_in_template_does_not_load_a_file_of_the_task(tmp_path: Path) -> None:
    """What the built-in one loaded when it was frozen is what it loads later."""
    task = pk.load_task(FRUIT)
    built_in = pk.Template.load("chat-labels")
    before, after = _both(Predictor(task, built_in, pk.FakeModel(), 1), tmp_path)
    assert before == after


def test_another_model_is_refused_unless_allowed(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    predictor = Predictor(task, pk.Template.of(task), pk.FakeModel())
    file = pk.freeze(predictor, tmp_path / "a.promptkit")
    other = pk.FakeModel(name="other")
    with pytest.raises(ModelError, match="frozen with fake"):
        pk.load_predictor(file, model=other)
    said: list[str] = []
    assert pk.load_predictor(file, model=other, any_model=True, notify=said.append).model is other
    assert "scores may differ" in said[0]
    with pytest.raises(ModelError, match="give the model"):
        pk.load_predictor(file)


def test_a_query_with_the_id_of_a_demonstration_is_another_example(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    predictor = Predictor(task, pk.Template.of(task), pk.FakeModel(), 2, selection="first")
    frozen = pk.load_predictor(
        pk.freeze(predictor, tmp_path / "a.promptkit"), model=predictor.model
    )
    demo = task.demos[0]
    query = task.as_query({"name": "a fruit of another kind"}).model_copy(update={"id": demo.id})
    (made,) = frozen.predict([query])
    assert made.id == demo.id
    assert made.shot_ids[0] == demo.id


def test_every_damage_is_one_clear_error(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    predictor = Predictor(task, pk.Template.of(task), pk.FakeModel(), 2)
    file = pk.freeze(predictor, tmp_path / "a.promptkit")
    whole = file.read_bytes()
    draw = random.Random(0)
    refused: list[str] = []
    for _ in range(300):
        raw = bytearray(whole)
        if draw.random() < 0.3:
            raw = raw[: draw.randrange(len(raw))]
        else:
            raw[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        file.write_bytes(raw)
        try:
            pk.load_predictor(file, model=predictor.model)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 250  # a few bits of a zip, such as times, say nothing
    assert all("a.promptkit" in reason for reason in refused)


def _written(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.promptkit"
    later = {"format": 2, "files": {}}
    for files, reason in (
        ({"../evil": b""}, "a file named"),
        ({"/evil": b""}, "a file named"),
        ({"x": b""}, "no frozen predictor"),
        ({"frozen.json": b"[]"}, "no frozen predictor"),
        ({"frozen.json": b"[" * 100_000}, "no frozen predictor"),
        ({"frozen.json": json.dumps(later).encode()}, "update promptkit"),
        ({"frozen.json": b'{"format": 1, "files": {}}'}, "changed after it was written"),
    ):
        with pytest.raises(DataError, match=reason):
            pk.load_predictor(_written(file, files), model=pk.FakeModel())
    for missing in (tmp_path / "none.promptkit", tmp_path):
        with pytest.raises(DataError):
            pk.load_predictor(missing, model=pk.FakeModel())


def test_what_only_python_can_hold_is_refused(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    computed = pk.Template("{% include name %}{% example %}{{ output }}{% endexample %}")
    for predictor, file in (
        (Predictor(task, computed, pk.FakeModel()), "a.promptkit"),
        (Predictor(task, pk.Template.of(task), pk.FakeModel()), "a.zip"),
    ):
        with pytest.raises(PromptkitError):
            pk.freeze(predictor, tmp_path / file)


@pytest.mark.model
def test_the_bundled_model_is_found_again(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    model = pk.load_model("smollm2", exact=True)
    predictor = Predictor(task, pk.Template.of(task), model, 4)
    frozen = pk.load_predictor(pk.freeze(predictor, tmp_path / "fruit.promptkit"))
    queries = task.tests[:6]
    assert _plain(frozen.predict(queries)) == _plain(predictor.predict(queries))
    assert frozen.model.identity == replace(model.identity)


@pytest.mark.model
def test_a_state_saves_the_decoding_of_the_shots(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    model = pk.load_model("smollm2", weights="as-is")
    predictor = Predictor(task, pk.Template.of(task), model, 8)
    plain = pk.freeze(predictor, tmp_path / "plain.promptkit")
    file = pk.freeze(predictor, tmp_path / "quick.promptkit", with_state=True)
    assert file.stat().st_size > 50 * plain.stat().st_size
    told: list[str] = []
    quick = pk.load_predictor(file, notify=told.append)
    assert told == []
    for query in task.tests[:3]:
        before = quick.usage.decoded_tokens
        (made,) = quick.predict([query])
        assert quick.usage.decoded_tokens - before < made.tokens / 2
        (wanted,) = predictor.predict([query])
        assert wanted.logprobs is not None
        assert made.logprobs == pytest.approx(wanted.logprobs, abs=model.identity.tolerance)


@pytest.mark.model
def test_a_state_that_does_not_fit_is_left_alone(tmp_path: Path) -> None:
    task = pk.load_task(FRUIT)
    model = pk.load_model("smollm2", weights="as-is")
    state = model.prefix_state(model.tokenize(_prompts(task)))
    for other in (
        replace(state, data=state.data[:-100]),
        replace(state, data=bytes(len(state.data))),
        replace(state, tokens=state.tokens[1:]),
        replace(state, data=b""),
    ):
        with pytest.raises(ModelError, match="not of this model"):
            model.restore(other)
    model.restore(state)


def _prompts(task: Any) -> list[Any]:
    template = pk.Template.of(task)
    shots = task.demos[:4]
    return [template.render(task, shots=shots, query=query) for query in task.tests[:2]]
