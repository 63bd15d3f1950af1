"""Models, embedders and stores in forked children, each run in a process of its own.

A child that hangs fails by its time limit.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import python
from tiny_gguf import write_llama, write_lora

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork"),
]

PRELUDE = """
import multiprocessing, os, sys, threading
from promptkit.errors import ModelError, PromptkitError
from promptkit.models.base import Score
from promptkit.models.embedding import load_embedder
from promptkit.models.llama import load_model
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt
from promptkit.inference.store import Store

file, folder = sys.argv[1:3]

def prompts(count=40):
    pieces = [Piece("The family of each fruit is one of a few. " * 3, "template")]
    return [
        Prompt((*pieces, Piece(f"fruit {n}", "data")), candidates=(" drupe", " pome"), query=str(n))
        for n in range(count)
    ]

def score(model):
    found = dict(model.score(model.tokenize(prompts())))
    return [found[n].logprobs for n in range(len(found))]

def forked(work):
    '''What `work` prints and how the child ends, which leaves by sys.exit as programs do.'''
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except PromptkitError as error:
            print(type(error).__name__, error)
        sys.exit(0)
    return os.waitpid(child, 0)[1]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "m.gguf", n_ctx=1024)


def run(code: str, file: Path, folder: Path) -> list[str]:
    """The lines that the code prints."""
    done = python(PRELUDE + code, file, folder, seconds=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_a_model_that_ran_before_the_fork_is_an_error_on_every_entry(
    file: Path, tmp_path: Path
) -> None:
    write_lora(tmp_path / "lora.gguf")
    lines = run(
        """
model = load_model(file, threads=2)
tokenized = model.tokenize(prompts())
half = model.score(tokenized)
next(half)
def entries():
    for use in (
        lambda: model.tokenize(prompts()),
        lambda: list(model.score(tokenized)),
        lambda: next(half),
        lambda: list(model.generate(tokenized)),
        lambda: model.piece(3),
        lambda: model.adapted(folder + "/lora.gguf"),
    ):
        try:
            use()
        except ModelError as error:
            print(error)
    model.close()
    half.close()
print(forked(entries))
print(len(list(half)))
""",
        file,
        tmp_path,
    )
    assert len(lines) == 8
    for line in lines[:6]:
        assert line.startswith(f"the model {file} was loaded in another process (")
        assert line.endswith("load it in this process, or start processes with the method 'spawn'")
    assert lines[6:] == ["0", "39"]


def test_an_embedder_that_ran_before_the_fork_is_an_error(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
embedder = load_embedder(file, threads=2)
embedder(["a"])
print(forked(lambda: embedder(["a"])))
print(embedder(["a", "b"]).shape)
""",
        file,
        tmp_path,
    )
    assert lines[0].startswith("ModelError the model m was loaded in another process")
    assert lines[1:] == ["0", "(2, 32)"]


@pytest.mark.parametrize("way", ["fork", "pool"])
def test_a_child_that_loads_its_own_model_computes_what_its_parent_does(
    way: str, file: Path, tmp_path: Path
) -> None:
    """The threads of OpenMP, and those of the logits' sums, are not there in a forked child."""
    start = {
        "fork": "print(forked(child))",
        "pool": "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(*pool.map(child, range(4)), sep='\\n')",
    }[way]
    lines = run(
        f"""
model = load_model(file, threads=2)
first = score(model)
def child(_=0):
    own = load_model(file, threads=2)
    same = score(own) == first
    rows = load_embedder(file, threads=2)(["a"]).shape
    if {way!r} == "fork":
        print(same, rows)
    return f"{{same}} {{rows}}"
{start}
""",
        file,
        tmp_path,
    )
    assert lines == (["True (1, 32)", "0"] if way == "fork" else ["True (1, 32)"] * 4)


def test_a_model_that_was_only_loaded_before_the_fork_runs_in_both(
    file: Path, tmp_path: Path
) -> None:
    lines = run(
        """
model, embedder = load_model(file, threads=2), load_embedder(file, threads=2)
print(forked(lambda: print(len(score(model)), embedder(["a"]).shape)))
print(len(score(model)), embedder(["a"]).shape)
""",
        file,
        tmp_path,
    )
    assert lines == ["40 (1, 32)", "0", "40 (1, 32)"]


def test_a_fork_while_another_thread_runs_the_model(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
model = load_model(file, threads=2)
store = Store(folder + "/s.sqlite")
begun, over = threading.Event(), threading.Event()
def work():
    while not over.is_set():
        score(model)
        store.put({os.urandom(8): Score((-1.0,), 1, 0.0)})
        begun.set()
thread = threading.Thread(target=work)
thread.start()
begun.wait()
def child():
    print(len(store) > 0)
    print(len(score(load_model(file, threads=2))))
    score(model)
for _ in range(3):
    print(forked(child))
over.set()
thread.join()
""",
        file,
        tmp_path,
    )
    error = lines[2]
    assert error.startswith("ModelError the model ")
    assert lines == ["True", "40", error, "0"] * 3


def test_a_child_of_a_forked_child(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
score(load_model(file, threads=2))
def child():
    score(load_model(file, threads=2))
    print(forked(lambda: print(len(score(load_model(file, threads=2))))))
print(forked(child))
""",
        file,
        tmp_path,
    )
    assert lines == ["40", "0", "0"]


def test_an_error_of_llama_cpp_in_a_child_has_its_reason(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
from promptkit.models.runtime import library
lib = library.library()
def child():
    library.forget_errors()
    def fail():
        lib.llama_model_load_from_file(b"none.gguf", lib.llama_model_default_params())
        return 7
    print(library.compute(fail), "failed" in library.errors())
print(forked(child))
""",
        file,
        tmp_path,
    )
    assert lines == ["7 True", "0"]


@pytest.mark.parametrize("path", ["None", "folder + '/s.sqlite'"])
def test_a_store_in_parent_and_child(path: str, file: Path, tmp_path: Path) -> None:
    lines = run(
        f"""
store = Store({path})
one, two, three = ({{bytes([n]): Score((-float(n),), 1, 0.0)}} for n in range(3))
store.put(one)
def child():
    print(store.get(one) == one)
    store.put(two)
    print(len(store), store.get(two) == two)
print(forked(child))
store.put(three)
print(len(store), len(store.get([*one, *two, *three])))
store.close()
print(forked(lambda: store.get(one)))
""",
        file,
        tmp_path,
    )
    there = "2 2" if path == "None" else "3 3"
    where = "in memory" if path == "None" else f"{tmp_path}/s.sqlite"
    assert lines == [
        *("True", "2 True", "0", there),
        *(f"StoreError {where}: the store is closed; open it again", "0"),
    ]


def test_children_share_a_store_with_their_parent(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
store = Store(folder + "/s.sqlite")
def write(me):
    for n in range(50):
        store.put({f"{me} {n}".encode(): Score((-1.0,), 1, 0.0)})
    return len(store) >= 50
with multiprocessing.get_context("fork").Pool(3) as pool:
    made = pool.map_async(write, range(6), chunksize=1)
    write(6)
    print(made.get(60), len(store))
""",
        file,
        tmp_path,
    )
    assert lines == [f"{[True] * 6} 350"]


def test_a_model_cannot_be_pickled_and_says_what_to_do(file: Path, tmp_path: Path) -> None:
    lines = run(
        """
import pickle, copy
model, embedder = load_model(file, threads=1), load_embedder(file, threads=1)
for one in (model, embedder):
    try:
        pickle.dumps(one)
    except ModelError as error:
        print(error)
""",
        file,
        tmp_path,
    )
    assert lines == [
        f"the model {name} cannot be pickled; load it in the process that uses it"
        for name in (file, "m")
    ]
