"""One model, one embedder and one store in several threads.

What may end the process runs in one of its own.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import python
from samples import COLON, parity_task
from tiny_gguf import write_llama, write_lora

import promptkit as pk
from promptkit.errors import ModelError
from promptkit.models.base import Sampling
from promptkit.models.embedding import load_embedder
from promptkit.models.llama import LlamaModel, load_model
from promptkit.models.runtime import access
from promptkit.models.runtime.access import Access
from promptkit.models.runtime.big_stack import with_stack
from promptkit.models.runtime.context import Context
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

LABELS = (" drupe", " pome", " stone fruit")


def asked(thread: int, count: int = 12) -> list[Prompt]:
    """Prompts that share their beginning within a thread, and nothing between threads."""
    return [
        Prompt(
            (Piece(f"{thread} is the number of this thread.\nThe {n} ", "data"),),
            candidates=LABELS,
            query=f"{thread} {n}",
        )
        for n in range(count)
    ]


def scores(model: LlamaModel, prompts: Sequence[Prompt]) -> np.ndarray:
    found = dict(model.score(model.tokenize(prompts)))
    return np.array([found[index].logprobs for index in range(len(prompts))])


def texts(model: LlamaModel, prompts: Sequence[Prompt]) -> list[str]:
    plain = [Prompt(prompt.pieces, stop="\n", query=prompt.query) for prompt in prompts]
    found = dict(model.generate(model.tokenize(plain), Sampling(max_tokens=6)))
    return [found[index].text for index in range(len(prompts))]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "m.gguf", n_ctx=1024)


@pytest.fixture
def model(file: Path) -> Iterator[LlamaModel]:
    model = load_model(file, threads=2)
    yield model
    model.close()


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return, begun at once."""
    together = threading.Barrier(len(calls))

    def begin(call: Callable[[], Any]) -> Any:
        together.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))


@pytest.mark.parametrize("work", [scores, texts])
def test_runs_of_threads_follow_each_other(
    model: LlamaModel, work: Callable[[LlamaModel, Sequence[Prompt]], Any]
) -> None:
    alone = [work(model, asked(thread)) for thread in range(4)]
    for _ in range(3):
        found = in_threads(
            *(lambda thread=thread: work(model, asked(thread)) for thread in range(4))  # type: ignore[misc]
        )
        for ours, expected in zip(found, alone, strict=True):
            if work is scores:
                np.testing.assert_allclose(ours, expected, atol=1e-3)
            else:
                assert ours == expected


def test_a_second_run_waits_for_the_first(model: LlamaModel) -> None:
    order: list[int] = []
    begun = threading.Event()

    def first() -> None:
        for _ in model.score(model.tokenize(asked(1, 300))):
            order.append(1)
            begun.set()

    def second() -> None:
        begun.wait()
        for _ in model.score(model.tokenize(asked(2))):
            order.append(2)

    in_threads(first, second)
    assert order == [1] * 300 + [2] * 12


def test_each_thread_counts_its_own_tokens(file: Path) -> None:
    model = load_model(file, threads=1, exact=True)  # which keeps nothing from run to run

    def counted(thread: int) -> int:
        before = model.usage.decoded_tokens
        scores(model, asked(thread, 40 * thread))
        return model.usage.decoded_tokens - before

    alone = [counted(thread) for thread in (1, 2, 3)]
    found = in_threads(*(lambda thread=thread: counted(thread) for thread in (1, 2, 3)))  # type: ignore[misc]
    assert found == alone


def test_tokenizing_does_not_wait_for_a_run(model: LlamaModel) -> None:
    run = model.score(model.tokenize(asked(1)))
    next(run)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(model.tokenize, asked(2)).result(timeout=20)
        piece = threads.submit(model.piece, other[0].ids[-1]).result(timeout=20)
    assert other == model.tokenize(asked(2))
    assert piece == model.piece(other[0].ids[-1])
    assert len([*run]) == 11


def test_threads_tokenize_at_once_as_each_does_alone(model: LlamaModel, file: Path) -> None:
    """Buffers and caches are not mixed up."""
    long = [
        [
            Prompt((Piece(f"{thread} {'word ' * (7 * n)}{'a-' * 3000}", "data"),), query=str(n))
            for n in range(20)
        ]
        for thread in range(4)
    ]
    fresh = load_model(file, threads=1, context=1024)
    with pytest.raises(pk.PromptkitError):
        fresh.tokenize([Prompt((Piece("a " * 3000, "data"),), query="long")])
    prompts = [[p for p in group if len(p.text) < 900] for group in long]
    before = threading.stack_size()
    found = in_threads(
        *(lambda group=group: fresh.tokenize(group) for group in prompts)  # type: ignore[misc]
    )
    assert found == [model.tokenize(group) for group in prompts]
    assert threading.stack_size() == before


def test_the_stack_size_of_new_threads_stays() -> None:
    before = threading.stack_size()
    slow = threading.Barrier(4)
    calls = [lambda: with_stack(5_000, slow.wait)] * 4
    for _ in range(20):
        in_threads(*calls)
    assert threading.stack_size() == before


def test_adapted_models_share_memory_and_take_turns(model: LlamaModel, tmp_path: Path) -> None:
    write_lora(tmp_path / "lora.gguf")
    adapted = model.adapted(tmp_path / "lora.gguf")
    expected = scores(model, asked(1)), scores(adapted, asked(2))
    assert np.abs(scores(model, asked(2)) - expected[1]).max() > 0.1
    for _ in range(5):
        found = in_threads(
            lambda: scores(model, asked(1)),
            lambda: scores(adapted, asked(2)),
            lambda: model.adapted(tmp_path / "lora.gguf"),
        )
        np.testing.assert_allclose(found[:2], expected, atol=1e-3)


def test_a_run_that_nobody_goes_on_with_does_not_stop_others(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "IDLE_SECONDS", 0.05)
    expected = scores(model, asked(1)), scores(model, asked(2))
    left = model.score(model.tokenize(asked(1)))
    found = dict([next(left)])
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(scores, model, asked(2)).result(timeout=20)
    np.testing.assert_allclose(other, expected[1], atol=1e-3)
    found |= dict(left)  # what is left begins anew
    np.testing.assert_allclose([found[n].logprobs for n in range(12)], expected[0], atol=1e-3)


def test_a_run_may_move_from_thread_to_thread(model: LlamaModel) -> None:
    expected = scores(model, asked(1))
    run = model.score(model.tokenize(asked(1)))
    found = {}
    for _ in range(12):
        with ThreadPoolExecutor(1) as threads:
            index, score = threads.submit(next, run).result(timeout=20)
            found[index] = score.logprobs
    np.testing.assert_allclose([found[n] for n in range(12)], expected, atol=1e-3)


@pytest.mark.parametrize("end", ["close", "collect", "break", "error"])
def test_a_run_that_ends_early_lets_others_go_on_at_once(
    model: LlamaModel, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "IDLE_SECONDS", 1000.0)
    run = model.score(model.tokenize(asked(1)))
    next(run)
    if end == "close":
        run.close()  # type: ignore[attr-defined]
    elif end == "error":
        with monkeypatch.context() as patch:
            patch.setattr(Context, "decode", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                next(model.score(model.tokenize(asked(1))))
        run.close()  # type: ignore[attr-defined]
    elif end == "break":
        run.close()  # type: ignore[attr-defined]
        for _ in model.score(model.tokenize(asked(3))):
            break
        gc.collect()
    del run
    gc.collect()
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(scores, model, asked(2)).result(timeout=20).shape == (12, 3)


def test_closing_waits_for_the_batch_and_ends_the_run(file: Path) -> None:
    model = load_model(file, threads=1)
    begun = threading.Event()
    seen: list[str] = []

    def run() -> None:
        try:
            while True:
                for _ in model.score(model.tokenize(asked(1))):
                    begun.set()
        except ModelError as error:
            seen.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait()
    model.close()
    for thread in threads:
        thread.join(timeout=20)
    assert seen == [f"the model {file} is closed"] * 3


def test_a_model_is_not_freed_while_a_thread_runs_it(file: Path) -> None:
    def run(model: LlamaModel) -> Iterator[Any]:
        return model.score(model.tokenize(asked(1)))

    runs = [run(load_model(file, threads=1)) for _ in range(2)]
    gc.collect()
    assert [len(found) for found in in_threads(*(lambda r=r: [*r] for r in runs))] == [12, 12]  # type: ignore[misc]


def test_an_interrupt_lets_other_threads_go_on(
    model: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "IDLE_SECONDS", 1000.0)
    expected = scores(model, asked(2))
    whole = Context.decode

    def decode(self: Context, *arguments: Any) -> Any:
        rows = whole(self, *arguments)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return rows

    monkeypatch.setattr(Context, "decode", decode)
    with pytest.raises(KeyboardInterrupt):
        scores(model, asked(1))
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(scores, model, asked(2)).result(timeout=20)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_two_models_run_at_once(file: Path) -> None:
    """Neither waits for the other: each is in the middle of a batch when the other begins one."""
    models = [load_model(file, threads=1) for _ in range(2)]
    together = threading.Barrier(2, timeout=20)
    expected = [scores(model, asked(n)) for n, model in enumerate(models)]
    with pytest.MonkeyPatch.context() as patch:
        whole = Context.decode

        def decode(self: Context, *arguments: Any) -> Any:
            together.wait()
            return whole(self, *arguments)

        patch.setattr(Context, "decode", decode)
        found = in_threads(lambda: scores(models[0], asked(0)), lambda: scores(models[1], asked(1)))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_embedder_in_threads(file: Path) -> None:
    embedder = load_embedder(file, threads=1)
    texts = [[f"{n} berry {'apple ' * (i % 5)}" for i in range(70)] for n in range(3)]
    expected = [embedder(some) for some in texts]
    for _ in range(3):
        found = in_threads(*(lambda some=some: embedder(some) for some in texts))  # type: ignore[misc]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    embedder.close()
    with pytest.raises(ModelError, match="is closed"):
        embedder(["a"])


def test_a_store_in_threads(tmp_path: Path) -> None:
    for store in (pk.Store(), pk.Store(tmp_path / "s.sqlite")):

        def compare(seed: int, store: pk.Store = store) -> Any:
            from promptkit.models.fake import FakeModel

            task = parity_task(8, 30)
            model = FakeModel(name=f"fake {seed % 2}")
            made = pk.compare(task, models=[model], templates=[COLON], seeds=2, store=store)
            return [prediction.label for prediction in made.predictions]

        found = in_threads(*(lambda seed=seed: compare(seed) for seed in range(4)))  # type: ignore[misc]
        assert found[0] == found[2]
        assert found[1] == found[3]
        store.close()


def test_a_process_that_ends_with_a_thread_in_the_model(file: Path) -> None:
    done = python(
        f"""
import threading, time
from promptkit.models.llama import load_model
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt

model = load_model({str(file)!r}, threads=2)
prompts = model.tokenize([Prompt((Piece(f"a b {{n}}", "data"),), candidates=(" x", " y"))
                          for n in range(300)])
begun = threading.Event()

def run():
    try:
        while True:
            for _ in model.score(prompts):
                begun.set()
    except Exception as error:
        print(type(error).__name__)

threading.Thread(target=run, daemon=True).start()
begun.wait()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_inside_its_own_step_is_an_error_not_a_wait() -> None:
    access_ = Access("m", lambda: None)
    with access_.turn(object()), pytest.raises(ModelError, match="m is in use by this very thread"):  # noqa: SIM117
        with access_.turn(object()):
            pass
    with access_.alone():
        pass


def test_closing_inside_a_step_frees_at_its_end() -> None:
    freed: list[int] = []
    access_ = Access("m", lambda: freed.append(1))
    with access_.turn(object()):
        access_.close()
        assert freed == []
    access_.close()
    assert freed == [1]
    with pytest.raises(ModelError, match="the model m is closed"):
        access_.check()


def test_a_turn_costs_microseconds() -> None:
    access_ = Access("m", lambda: None)
    run = object()
    start = time.process_time()
    for _ in range(1000):
        with access_.turn(run), access_.use():
            pass
    assert time.process_time() - start < 0.5
