from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ARROW, COLON, CountingModel, open_task, parity_task

import promptkit
from promptkit.errors import StoreError
from promptkit.inference.prediction import Predictor
from promptkit.inference.store import Store, default_path, key_of
from promptkit.models.base import Finish, Generation, ModelIdentity, Sampling, Score
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

ROOT = Path(__file__).parents[2]

IDENTITY = ModelIdentity("m", "ab" * 32, "llama", "Q4_1", "llama.cpp 1", 4096, "threads 2")
PROMPT = TokenizedPrompt(Prompt((Piece("ab", "template"),), stop="\n"), (1, 2), ((3,), (4, 5)))
ASKED = replace(PROMPT, candidates=())
WHOLE = AnswerFormat("json", '{"type": "integer"}')


def run(script: str, *args: object, **more: Any) -> subprocess.Popen[str]:
    path = os.pathsep.join(
        [str(ROOT), str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")]
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


# What goes in comes out.

numbers = st.floats(allow_nan=False)
scores = st.builds(Score, st.lists(numbers, min_size=1).map(tuple), st.integers(0, 2**40), numbers)
generations = st.builds(
    Generation,
    st.text(st.characters(codec=None)),
    st.sampled_from(get_args(Finish)),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    numbers,
)


@pytest.mark.slow
@given(st.dictionaries(st.binary(min_size=32, max_size=32), scores | generations))
def test_results_come_back_as_they_were(results: dict[bytes, Score | Generation]) -> None:
    with Store() as store:
        store.put(results)
        assert store.get(results) == results
        assert len(store) == len(results)


def test_results_outlive_the_process_that_made_them(tmp_path: Path) -> None:
    score = Score((-0.1, math.pi * 1e-300, -math.inf), 3, 0.1)
    with Store(tmp_path / "s.sqlite") as store:
        store.put({b"k": score})
    with Store(tmp_path / "s.sqlite") as store:
        assert store.get([b"k", b"other", b"k"]) == {b"k": score}


def test_more_keys_than_one_query_takes() -> None:
    results = {str(n).encode(): Score((-float(n),), n, 0.0) for n in range(2345)}
    with Store() as store:
        store.put(results)
        assert store.get(results) == results


def test_what_is_stored_stays() -> None:
    with Store() as store:
        store.put({b"k": Score((-1.0,), 1, 0.5)})
        store.put({b"k": Score((-2.0,), 1, 0.7)})
        assert store.get([b"k"]) == {b"k": Score((-1.0,), 1, 0.5)}


# Keys.


@pytest.mark.parametrize(
    "other",
    [
        key_of(replace(PROMPT, ids=(1, 3)), IDENTITY),
        key_of(replace(PROMPT, ids=(1,), candidates=((2, 3), (2, 4, 5))), IDENTITY),
        key_of(replace(PROMPT, ids=(1, 2, 3), candidates=((), (4, 5))), IDENTITY),
        key_of(replace(PROMPT, candidates=((3,), (4, 6))), IDENTITY),
        key_of(replace(PROMPT, candidates=((4, 5), (3,))), IDENTITY),
        key_of(replace(PROMPT, candidates=((3, 4), (5,))), IDENTITY),
        key_of(replace(PROMPT, candidates=((3,), (4, 5), (6,))), IDENTITY),
        key_of(PROMPT, replace(IDENTITY, sha256="cd" * 32)),
        key_of(PROMPT, replace(IDENTITY, architecture="qwen")),
        key_of(PROMPT, replace(IDENTITY, weights="Q8_0")),
        key_of(PROMPT, replace(IDENTITY, runtime="llama.cpp 2")),
        key_of(PROMPT, replace(IDENTITY, context=2048)),
        key_of(PROMPT, replace(IDENTITY, settings="threads 3")),
        key_of(PROMPT, replace(IDENTITY, adapter="ef" * 32)),
        key_of(PROMPT, IDENTITY, Sampling()),
    ],
)
def test_whatever_decides_a_score_is_in_its_key(other: bytes) -> None:
    assert other != key_of(PROMPT, IDENTITY)


def test_names_are_in_no_key() -> None:
    other = replace(PROMPT, prompt=replace(PROMPT.prompt, query="q", shots=("a",), lead=" "))
    assert key_of(other, replace(IDENTITY, name="n")) == key_of(PROMPT, IDENTITY)


def test_keys_hold_from_release_to_release() -> None:
    """A change here makes every stored prediction worthless; change the version of the rule."""
    assert key_of(PROMPT, IDENTITY).hex()[:16] == "ac1fe9a338b4b7d8"
    assert key_of(ASKED, IDENTITY, Sampling()).hex()[:16] == "cd1d3a20fa5d832c"
    whole = replace(ASKED, prompt=replace(ASKED.prompt, format=WHOLE))
    assert key_of(whole, IDENTITY, Sampling()).hex()[:16] == "6124f73378a6c88c"


@pytest.mark.parametrize(
    ("prompt", "sampling"),
    [
        (replace(ASKED, ids=(1,)), Sampling(8)),
        (replace(ASKED, prompt=replace(ASKED.prompt, stop="\n\n")), Sampling(8)),
        (replace(ASKED, prompt=replace(ASKED.prompt, format=WHOLE)), Sampling(8)),
        (ASKED, Sampling(9)),
        (ASKED, Sampling(8, temperature=0.5)),
        (ASKED, None),
    ],
)
def test_whatever_decides_a_generation_is_in_its_key(
    prompt: TokenizedPrompt, sampling: Sampling | None
) -> None:
    assert key_of(prompt, IDENTITY, sampling) != key_of(ASKED, IDENTITY, Sampling(8))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": AnswerFormat("text", WHOLE.schema)},
        {"format": AnswerFormat("json", '{"type": "number"}')},
        {"lead": "  "},  # how many spaces a grammar allows
    ],
)
def test_whatever_decides_an_answer_with_a_format_is_in_its_key(changes: dict[str, Any]) -> None:
    prompt = replace(ASKED.prompt, format=WHOLE)
    keys = [
        key_of(replace(ASKED, prompt=each), IDENTITY, Sampling(8))
        for each in (prompt, replace(prompt, **changes))
    ]
    assert keys[0] != keys[1]


def test_the_seed_of_a_generation_counts_where_something_is_drawn() -> None:
    def key(temperature: float, seed: int) -> bytes:
        return key_of(ASKED, IDENTITY, Sampling(8, temperature, seed))

    assert key(0.5, 1) != key(0.5, 2)
    assert key(0.0, 1) == key(0.0, 2)
    assert key(0, 1) == key(0.0, 1)
    assert key(1, 1) == key(1.0, 1)


@pytest.mark.slow
def test_renaming_task_and_template_asks_nothing_again() -> None:
    model, store = CountingModel(), Store()
    for task, template in [
        (parity_task(), COLON),
        (parity_task(name="other"), replace(COLON, name="renamed", file="elsewhere/t.j2")),
    ]:
        promptkit.compare(task, models=[model], templates=[template], store=store)
    assert len(model.asked) == len(store) == len({p.ids for p in model.asked})
    promptkit.compare(parity_task(), models=[model], templates=[ARROW], store=store)
    assert len(model.asked) == len(store) > len({p.ids for p in model.asked}) / 2


@pytest.mark.model
def test_a_models_name_and_place_are_in_no_key(smollm2: Any, tmp_path: Path) -> None:
    path = tmp_path / "moved.gguf"
    path.symlink_to(promptkit.models.prepare.model_files.find("smollm2"))
    moved = promptkit.load_model(path, weights="as-is")
    (prompt,) = smollm2.tokenize([Prompt((Piece("A pear is a", "template"),))])
    assert moved.identity.name != smollm2.identity.name
    assert key_of(prompt, moved.identity) == key_of(prompt, smollm2.identity)


# Files.


def test_where_predictions_go_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    Store(default_path()).close()
    assert (tmp_path / ".promptkit" / "predictions.sqlite").is_file()
    assert (tmp_path / ".promptkit" / ".gitignore").read_text() == "*\n"
    monkeypatch.setenv("PROMPTKIT_STORE", str(tmp_path / "mine.sqlite"))
    assert default_path() == tmp_path / "mine.sqlite"


def test_only_a_folder_of_our_own_is_hidden_from_git(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b" / "s.sqlite").close()
    assert not list(tmp_path.rglob(".gitignore"))
    (tmp_path / ".promptkit").mkdir()
    Store(tmp_path / ".promptkit" / "s.sqlite").close()
    assert not list(tmp_path.rglob(".gitignore"))


def foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()


def newer_store(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()


def damaged_store(path: Path) -> None:
    with Store(path) as store:
        store.put({str(n).encode(): Score((-1.0,) * 99, 1, 0.0) for n in range(200)})
    data = bytearray(path.read_bytes())
    data[4096:-4096] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("name,output\n" * 200), "not a database"),
        (foreign_database, "another program's database"),
        (newer_store, "version 7"),
        (damaged_store, "malformed"),
        (Path.mkdir, "unable to open"),
        (lambda path: path.parent.joinpath("file").touch(), "file"),
    ],
)
def test_what_is_no_store_is_an_error_and_stays_as_it_is(
    make: Any, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.sqlite"
    make(path)
    if not path.exists():
        path = tmp_path / "file" / "s.sqlite"
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=reason) as caught:  # noqa: SIM117
        with Store(path) as store:
            store.get([str(n).encode() for n in range(200)])
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert before is None or path.read_bytes() == before


# Damaged rows.

SOUND = Score((-1.0, -2.0), 3, 0.5)
WRITTEN = Generation("a", "stop", 3, 2, 0.5)


def damage(path: Path, key: bytes, value: object) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE predictions SET result = ? WHERE key = ?", (value, key))
    db.close()


def changed(result: Score | Generation, **fields: object) -> str:
    return json.dumps({name: getattr(result, name) for name in result.__slots__} | fields)


DAMAGED: list[object] = [
    *("{}", "[1]", "7", "{", "null", "", '"text"', '{"logprobs": 3}', 7, 0.5, b"\xff\xfe", b""),
    *("[" * 100_000, '{"logprobs": ' * 20_000, '{"a": 1}', '{"logprobs": [-1.0]}'),
    *(changed(SOUND, logprobs=value) for value in ([], None, "ab", {}, [[-1.0]], ["-1.0", -2.0])),
    *(changed(SOUND, logprobs=value) for value in ([True, False], [None, -1.0], [math.nan, -1.0])),
    changed(SOUND, logprobs=[-(10**400), -1.0]),
    *(changed(SOUND, tokens=value) for value in (-1, 3.0, "3", None, True, 10**30, [3])),
    *(changed(SOUND, seconds=value) for value in ("1", None, math.nan, [], False)),
    changed(SOUND, extra=1),
    *(changed(WRITTEN, text=value) for value in (None, 3, ["a"], {"a": 1})),
    *(changed(WRITTEN, finish=value) for value in ("ended", None, 3, ["stop"])),
    *(changed(WRITTEN, generated=value) for value in (-1, 2.0, "2", 10**30)),
    changed(WRITTEN)[:-1],
    changed(WRITTEN).encode() + b"\xff",
]


@pytest.mark.parametrize("value", DAMAGED, ids=lambda value: repr(value)[:40])
def test_a_damaged_row_is_a_miss_that_is_replaced(value: object, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.put({b"k": SOUND, b"l": WRITTEN})
    damage(path, b"k", value)
    with Store(path) as store:
        assert store.get([b"k", b"l"]) == {b"l": WRITTEN}
        assert store.damaged == 1
        store.put({b"k": SOUND, b"l": replace(WRITTEN, text="b")})
    with Store(path) as store:
        assert store.get([b"k", b"l"]) == {b"k": SOUND, b"l": WRITTEN}
        assert store.damaged == 0


@pytest.mark.slow
@given(st.data())
def test_whatever_a_row_holds_is_a_result_or_a_miss(data: st.DataObject) -> None:
    """Bytes of rows changed at random, and values of their fields, one at a time."""
    sound = data.draw(scores | generations)
    text = changed(sound)
    if data.draw(st.booleans()):
        raw = bytearray(text.encode("utf-8", "surrogatepass"))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        value: object = data.draw(st.sampled_from([bytes(raw), raw.decode("utf-8", "replace")]))
    else:
        anything = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
        )
        name = data.draw(st.sampled_from(sound.__slots__))
        value = changed(sound, **{name: data.draw(anything)})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite"
        with Store(path) as store:
            store.put({b"k": sound})
        damage(path, b"k", value)
        with Store(path) as store:
            found = store.get([b"k"])
            assert store.damaged == 1 - len(found)
            store.put({b"k": sound})
            for result in found.values():
                json.dumps(changed(result))
            if not found:
                assert store.get([b"k"]) == {b"k": sound}


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [
        changed(SOUND, logprobs=[-1.0]),
        changed(SOUND, logprobs=[-1.0, -2.0, -3.0]),
        changed(SOUND, logprobs=[1.5, -2.0]),
        changed(SOUND, logprobs=[-math.inf, -math.inf]),
        changed(SOUND, logprobs=[math.inf, -1.0]),
        changed(SOUND, logprobs=[10**300, -1.0]),
        changed(SOUND, seconds=-1.0),
        changed(SOUND, seconds=math.inf),
        changed(WRITTEN),
        "[",
    ],
)
def test_rows_that_cannot_answer_their_prompt_are_asked_again(row: str, tmp_path: Path) -> None:
    path, told = tmp_path / "s.sqlite", list[str]()

    def compare() -> tuple[list[Any], int]:
        model = CountingModel()
        made = promptkit.compare(
            parity_task(),
            models=[model],
            templates=[COLON],
            shots=[1],
            seeds=1,
            store=path,
            announce=told.append,
        )
        return [(p.id, p.label, p.logprobs) for p in made.predictions], len(model.asked)

    first, asked = compare()
    with sqlite3.connect(path) as db:
        keys = [key for (key,) in db.execute("SELECT key FROM predictions ORDER BY key LIMIT 3")]
    db.close()
    for key in keys:
        damage(path, key, row)
    told.clear()
    assert compare() == (first, 3)
    assert told[-1] == "3 stored predictions were damaged and were asked again"
    told.clear()
    assert compare() == (first, 0)
    assert not any("damaged" in message for message in told)
    assert asked > 3


@pytest.mark.parametrize("result", [WRITTEN, SOUND], ids=["generation", "score"])
def test_a_score_where_a_generation_was_asked_is_asked_again(
    result: Generation | Score, tmp_path: Path
) -> None:
    model, path = CountingModel(), tmp_path / "s.sqlite"
    task = open_task(int, 1, 2)
    predictor = Predictor(task, COLON, model)
    with Store(path) as store:
        first = predictor.predict(task.tests, store=store)
        assert predictor.predict(task.tests, store=store) == first
        assert len(model.asked) == 2
    with sqlite3.connect(path) as db:
        db.execute("UPDATE predictions SET result = ?", (changed(result),))
    db.close()
    with Store(path) as store:
        again = predictor.predict(task.tests, store=store)
    kept = isinstance(result, Generation)
    assert (len(model.asked), store.damaged) == ((2, 0) if kept else (4, 2))
    assert kept or again == first


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder with a store in it, where nobody may write, root included."""
    user = os.geteuid()
    with TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder / "there.sqlite") as store:
            store.put({b"k": Score((-1.0,), 1, 0.0)})
        folder.chmod(0o555)
        try:
            if user == 0:
                os.seteuid(65534)
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("name", ["s.sqlite", "there.sqlite", "folder/s.sqlite"])
def test_a_folder_that_cannot_be_written(name: str, read_only: Path) -> None:
    with pytest.raises(StoreError, match=str(read_only)) as caught:  # noqa: SIM117
        with Store(read_only / name) as store:
            store.put({b"l": Score((-1.0,), 1, 0.0)})
    assert len(str(caught.value).splitlines()) == 1


def test_a_store_that_is_closed() -> None:
    store = Store()
    store.close()
    for use in (lambda: store.get([b"k"]), lambda: store.put({}), lambda: len(store)):
        with pytest.raises(StoreError):
            use()


def test_a_store_is_pickled_by_its_path(tmp_path: Path) -> None:
    with Store(tmp_path / "s.sqlite") as store:
        store.put({b"k": SOUND})
        with pickle.loads(pickle.dumps(store)) as other:
            assert other.get([b"k"]) == {b"k": SOUND}
    with Store() as store, pytest.raises(StoreError, match="in memory: the store cannot be pickle"):
        pickle.dumps(store)


# Many processes.

WRITER = """
import sys, time
from promptkit.models.base import Score
from promptkit.inference.store import Store

path, me, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
store = Store(path)
end, n = time.monotonic() + seconds, 0
while time.monotonic() < end:
    own = {f"{me} {n} {i}".encode(): Score((-float(n), -0.1 * i), me, 0.0) for i in range(5)}
    same = {f"same {n}".encode(): Score((-float(n),), n, 0.0)}
    store.put({**own, **same})
    assert store.get([*own, *same]) == {**own, **same}
    n += 1
print(n)
"""


@pytest.mark.slow
def test_processes_share_a_store(tmp_path: Path) -> None:
    path = tmp_path / ".promptkit" / "s.sqlite"
    writers = [run(WRITER, path, me, 2) for me in range(3)]
    written = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    with Store(path) as store:
        assert len(store) == sum(5 * n for n in written) + max(written)
        for me, count in enumerate(written):
            for n in (0, count - 1):
                key = f"{me} {n} 3".encode()
                assert store.get([key]) == {key: Score((-float(n), -0.1 * 3), me, 0.0)}
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


OPENER = """
import sys
from promptkit.inference.store import Store

sys.stdin.readline()
for n in range(40):
    Store(f"{sys.argv[1]}/{n}/s.sqlite").close()
"""


@pytest.mark.slow
def test_processes_make_a_store_at_once(tmp_path: Path) -> None:
    openers = [run(OPENER, tmp_path, stdin=subprocess.PIPE) for _ in range(4)]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0, 0, 0, 0]


COMPARE = """
import os, sys, time
import promptkit, promptkit.inference.answering
from samples import COLON, CountingModel, parity_task

class Slow(CountingModel):
    def before(self, prompt):
        time.sleep(0.003)
        os.write(1, b".")

promptkit.inference.answering.COMMIT_SECONDS = 0.05
promptkit.compare(
    parity_task(20, 30), models=[Slow()], templates=[COLON], seeds=4, store=sys.argv[1]
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 20, 150, 300])
def test_after_a_kill_only_what_is_missing_is_asked(after: int, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    process = run(COMPARE, path)
    assert process.stdout is not None
    process.stdout.read(after)
    process.send_signal(signal.SIGKILL)
    asked = after + len(process.communicate()[0])

    def again(model: CountingModel, store: Any) -> promptkit.Comparison:
        task = parity_task(20, 30)
        return promptkit.compare(task, models=[model], templates=[COLON], seeds=4, store=store)

    with Store(path) as store:
        kept = len(store)
        assert asked - 100 < kept <= asked  # 0.05 s of work, and some patience with the machine
    whole = again(CountingModel(), Store())
    model = CountingModel()
    resumed = again(model, path)
    assert resumed.usage.cached == kept
    assert len(model.asked) == whole.usage.prompts - kept
    assert resumed.predictions == whole.predictions
    with Store(path) as store:
        assert len(store) == whole.usage.prompts
    assert again(model, path).usage.cached == whole.usage.prompts
