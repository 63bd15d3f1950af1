"""Bulk prediction on a Ray cluster: what one process writes, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from bulk_child import CHUNK, TASK, ByDigest, write_rows
from command_line import Run
from processes import environment

import promptkit as pk
from promptkit.bulk.bulk_asking import ChunkAnswers, Queries, ask
from promptkit.bulk.bulk_assembly import beside
from promptkit.distributed import ray_data
from promptkit.distributed.ray_worker import Desk, SentPredictor
from promptkit.errors import MissingExtraError, ModelError, TaskError
from promptkit.inference.any_predictor import AnyPredictor

CHILD = Path(__file__).parents[1] / "support" / "ray_child.py"
FRUIT = Path(__file__).parents[2] / "examples" / "fruit"
ROWS = 2400


def files_of(out: Path) -> list[bytes]:
    """Return the files of a complete prediction."""
    ends = ("rejects.jsonl", "manifest.json")
    return [file.read_bytes() for file in (out, *(beside(out, end) for end in ends))]


def run_child(inputs: Path, out: Path, victim: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(CHILD), str(inputs), str(out), victim]
    return subprocess.run(
        words, env=environment(), capture_output=True, text=True, check=False, timeout=400
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """Rows, and the files that one process writes of them."""
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("alone")
    inputs = folder / "in.csv"
    write_rows(inputs, ROWS)
    pk.predict(ByDigest(), inputs, out=folder / "out.jsonl", chunk_rows=CHUNK, store=pk.Store())
    return inputs, files_of(folder / "out.jsonl")


@pytest.mark.slow
def test_a_killed_actor_loses_nothing(alone: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    inputs, expected = alone
    done = run_child(inputs, tmp_path / "out.jsonl", "actor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2352 48 1568 False 1"  # behind Ray's own notes
    assert files_of(tmp_path / "out.jsonl") == expected
    assert not (tmp_path / "out.jsonl.parts").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on(alone: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    inputs, expected = alone
    out = tmp_path / "out.jsonl"
    assert run_child(inputs, out, "run").returncode == -9
    assert not out.exists()
    done = run_child(inputs, out, "nobody")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2352 48 1568 True 0"
    assert files_of(out) == expected


@pytest.mark.slow
@pytest.mark.model
def test_a_model_answers_as_in_one_process(run: Run, here: Path) -> None:
    pytest.importorskip("ray")
    rows = (FRUIT / "tests.csv").read_text("utf-8").splitlines()[:9]
    Path("in.csv").write_text("\n".join([*rows, "x,y,z,plum\n"]), "utf-8")
    words = ("predict", FRUIT, "in.csv", "--shots", 2, "--exact", "--chunk-rows", 3)
    assert run(*words, "--out", "one.jsonl", "--store", "one.sqlite").code == 0
    command = [*map(str, words), "--out", "ray.jsonl", "--ray", "local", "--ray-actors", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "promptkit", *command],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    one, other = (
        [json.loads(line) for line in Path(name).read_text("utf-8").splitlines()]
        for name in ("one.jsonl", "ray.jsonl")
    )
    assert [row["label"] for row in one] == [row["label"] for row in other]
    for left, right in zip(one, other, strict=True):
        assert left["probs"] == pytest.approx(right["probs"], abs=1e-3)
    assert files_of(Path("one.jsonl"))[1] == files_of(Path("ray.jsonl"))[1]


# The seam of workers, without a cluster.


class Eager:
    """Workers that take batches ahead and answer them later, in this process."""

    def __init__(self, ahead: int) -> None:
        self._ahead = ahead

    def asked(
        self,
        predictor: AnyPredictor,
        task: pk.Task[Any, Any],
        batches: Iterator[Queries],
        store: Path | None,
        /,
    ) -> Iterator[ChunkAnswers]:
        waiting: list[Sequence[Any]] = []
        with pk.Store() as memory:
            for batch in batches:
                waiting.append(batch)
                if len(waiting) > self._ahead:
                    yield ask(predictor, waiting.pop(0), memory)
            for batch in waiting:
                yield ask(predictor, batch, memory)


@pytest.mark.parametrize("ahead", [0, 1, 3, 100])
def test_workers_that_take_batches_ahead_change_nothing(tmp_path: Path, ahead: int) -> None:
    """Rows that equal one in flight are not asked twice, nor lost, nor those without a prompt."""
    inputs = tmp_path / "in.csv"
    write_rows(inputs, 1200)
    for name, workers in (("one", None), ("more", Eager(ahead))):
        predictor = ByDigest()
        made = pk.predict(
            predictor,
            inputs,
            out=tmp_path / f"{name}.jsonl",
            chunk_rows=CHUNK,
            store=pk.Store(),
            workers=workers,
        )
        assert len(predictor.asked) == len(set(predictor.asked)) == made.asked
    assert files_of(tmp_path / "one.jsonl") == files_of(tmp_path / "more.jsonl")


@pytest.mark.parametrize("ahead", [0, 2, 9])
def test_prompts_that_cannot_be_made_are_rejected_wherever_they_are_equal(
    tmp_path: Path, ahead: int
) -> None:
    task = pk.load_task(FRUIT)
    model = pk.FakeModel(context=600)
    names = ["plum", "x" * 700, "pear", "x" * 700, "quince", "x" * 700, "plum", "fig"]
    for name, workers in (("one", None), ("more", Eager(ahead))):
        predictor = pk.Predictor(task, pk.Template.of(task), model, shots=0)
        done = pk.predict(
            predictor,
            [{"name": name} for name in names],
            out=tmp_path / f"{name}.jsonl",
            chunk_rows=1,
            store=pk.Store(),
            workers=workers,
        )
        assert (done.rows, done.rejects, done.asked) == (5, 3, 4)
    assert files_of(tmp_path / "one.jsonl") == files_of(tmp_path / "more.jsonl")


def test_a_strict_run_stops_at_the_first_row_that_does_not_fit(tmp_path: Path) -> None:
    rows = [{"name": "a"}, {"name": "b"}, {"colour": "c"}, {"name": "d"}]
    out = tmp_path / "out.jsonl"
    predictor = ByDigest()
    with pytest.raises(pk.PromptkitError, match="rows:3"):
        pk.predict(
            predictor, rows, out=out, chunk_rows=1, strict=True, store=pk.Store(), workers=Eager(2)
        )
    assert predictor.asked == ["a", "b"]
    assert len([*(tmp_path / "out.jsonl.parts").glob("part-*")]) == 2


# What travels.


def test_a_batch_that_is_not_answered_is_given_again() -> None:
    """An actor that is killed leaves its batch, or its question, at the desk."""

    async def taken() -> list[int]:
        desk = Desk(patience=0.05)
        for number in range(2):
            await desk.put(number, [])
        numbers = [(await desk.take())[0] for _ in range(4)]  # nobody answers
        await desk.forget(0)
        numbers += [(await desk.take())[0] for _ in range(2)]
        waiting = asyncio.create_task(desk.take())
        await desk.forget(1)
        await asyncio.sleep(0.2)  # there is nothing to repeat
        await desk.put(2, [])
        return [*numbers, (await asyncio.wait_for(waiting, 5))[0]]

    assert asyncio.run(taken()) == [0, 1, 0, 1, 1, 1, 2]


def test_a_predictor_that_cannot_travel_is_refused() -> None:
    pytest.importorskip("ray")
    predictor = ByDigest()
    predictor.lock = Lock()  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match="cannot be sent to other processes"):
        SentPredictor.of(predictor, TASK)


def test_another_version_is_refused() -> None:
    recipe = SentPredictor(None, None, {}, version="0.0.1")
    with pytest.raises(ModelError, match=r"the run is of 0\.0\.1"):
        recipe.made(None)


def test_actors_of_no_cluster_are_refused(run: Run, here: Path) -> None:
    done = run("predict", FRUIT, FRUIT / "tests.csv", "--out", "o.csv", "--ray-actors", 2)
    assert (done.code, "--ray local" in done.err) == (2, True)


def test_ray_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"promptkit-fewshot\[ray\]"):
        ray_data.check_ray()
