"""No command lets a text of others move the terminal, wherever the text comes from."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hostile_texts import EVERY, FORBIDDEN, ISOLATED, OWN, TERMINAL
from terminal_runs import Run, Shown, Terminal, run_on

import promptkit as pk
from promptkit.errors import TaskError, escaped

pytestmark = pytest.mark.slow

NAMED = "owned\x1b]0;owned\x07\x9b2J\u202e[red]\n\nerror: made up"
"""As the name of a file: short enough for one, without a slash."""
QUICK = ("--shots", "0,2", "--seeds", "1")
LABELS = (f"bad {EVERY}", f"good {EVERY}")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without a store or a cache of others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    monkeypatch.setenv("PROMPTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(pk, "load_model", loaded)
    return tmp_path


def loaded(name: str = "smollm2", **more: Any) -> pk.FakeModel:
    """A model with the name that it is given; what it writes is no better."""
    return pk.FakeModel(name=name) if name != "free" else pk.FakeModel(lambda _: EVERY, name=EVERY)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a terminal; no text of others reaches it as more than text."""

    def run(*words: object, code: int | None = None) -> Shown:
        shown = run_on(Terminal, monkeypatch, *words)
        harmless(shown.out + shown.err)
        assert shown.code in ((0, 1, 2) if code is None else (code,)), shown.err
        return shown

    return run


def harmless(text: str) -> None:
    """Check that a terminal shows a text as it stands."""
    found = FORBIDDEN.search(ISOLATED.sub(r"\1", OWN.sub("", text)))
    assert found is None, repr(text[max(0, found.start() - 200) : found.end() + 50])
    assert re.search(r"^error: made up", text, re.M) is None, text
    assert not [one for one in TERMINAL.values() if "\x1b" in one and one in text]
    assert "Traceback" not in text
    assert "this was not expected" not in text, text


def rows(count: int, name: str) -> list[dict[str, str]]:
    texts = [*TERMINAL.values()]
    return [
        {
            "id": f"{name}{i} {EVERY}",
            "word": f"{i} {name} {texts[i % len(texts)]}",
            "output": LABELS[i % 2],
        }
        for i in range(count)
    ]


def jsonl(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


@pytest.fixture
def task(here: Path) -> Path:
    """A task in which every text is one of the corpus."""
    folder = here / f"t{NAMED}"
    (folder / "templates").mkdir(parents=True)
    toml = {
        "name": EVERY,
        "instruction": EVERY,
        "template": f"{NAMED}.j2",
        "input": {"word": "str"},
        "output": {"labels": [*LABELS]},
        "files": {"demos": "demos.jsonl", "tests": "tests.jsonl"},
    }
    (folder / "task.toml").write_text(tomli_w.dumps(toml), "utf-8")
    jsonl(folder / "demos.jsonl", rows(24, "demo"))
    jsonl(folder / "tests.jsonl", rows(8, "test"))
    source = "{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n"
    (folder / "templates" / f"{NAMED}.j2").write_text(source, "utf-8")
    return folder


def frozen(task: Path, name: str = f"f{NAMED}.promptkit") -> Path:
    own = pk.load_task(task)
    return pk.freeze(pk.Predictor(own, pk.Template.of(own), pk.FakeModel(name=EVERY), 2), name)


def table(name: str = f"l{NAMED}.lookup") -> Path:
    made = [{"input": {"word": word}, "label": word} for word in TERMINAL.values()]
    pk.build_lookup(made, name)
    return Path(name)


@pytest.mark.parametrize("name", TERMINAL)
def test_a_text_of_the_corpus_is_escaped(name: str) -> None:
    harmless(escaped(TERMINAL[name]))
    harmless(str(TaskError(f"no {TERMINAL[name]}")))
    assert "owned" in escaped(TERMINAL[name])


def test_the_corpus_would_be_seen() -> None:
    """Each that holds a control character is found where it is not escaped."""
    kept = {name for name, text in TERMINAL.items() if not FORBIDDEN.search(OWN.sub("", text))}
    assert kept == {"colour", "lines", "markup of rich", "link of rich", "emoji of rich"}


def test_prompts_lint_and_comparisons(run: Run, task: Path) -> None:
    for words in (
        ("render", task, "--shots", 2),
        ("render", task, "--shots", 2, "--spans"),
        ("render", task, "--shots", 2, "--tokens"),
        ("render", task, "--html", "p.html"),
        ("lint", task),
        ("compare", task, *QUICK, "--model", EVERY, "--model", "[link=x]m[/link]"),
        ("compare", task, *QUICK, "--json", "-"),
        ("compare", task, *QUICK, "--calibrate", "all", "--out", f"o{NAMED}"),
        ("report", f"o{NAMED}", "--svg", f"s{NAMED}"),
        ("check", task, *QUICK, "--min", "accuracy=1", "--strict"),
        ("optimise", task, "--shots", 2, "--budget", 60, "--out", f"s{NAMED}.json"),
        ("new", f"n{NAMED}"),
    ):
        run(*words)


def test_generated_answers(run: Run, task: Path) -> None:
    """What a model writes is a text of others too."""
    text = (task / "task.toml").read_text("utf-8")
    beginning = text[: text.index("[output]")]
    files = 'demos = "demos.jsonl"\ntests = "tests.jsonl"\n'
    changed = f'{beginning}[output]\ntype = "str"\n\n[files]\n{files}'
    (task / "task.toml").write_text(changed, "utf-8")
    for words in (
        ("compare", task, *QUICK, "--model", "free"),
        ("compare", task, *QUICK, "--model", "free", "--json", "-"),
        ("predict", task, task / "tests.jsonl", "--model", "free", "--out", "p.jsonl"),
    ):
        run(*words, code=0)


def test_predictions_and_tables(run: Run, task: Path) -> None:
    out = f"p{NAMED}.jsonl"
    bad = jsonl(Path(f"bad{NAMED}.jsonl"), [{"id": EVERY}, {"word": "a", EVERY: "b"}])  # type: ignore[list-item]
    run("predict", task, task / "tests.jsonl", "--out", out, "--model", EVERY, code=0)
    run("predict", task, task / "tests.jsonl", "--out", out, "--model", EVERY, code=0)
    run("predict", task, bad, "--out", f"r{NAMED}.jsonl", "--model", EVERY)
    run("predict", task, bad, "--out", f"x{NAMED}.jsonl", "--strict", code=2)
    run("predict", task, task / "tests.jsonl", "--out", "d.jsonl", "--dry-run")
    run("predict", task, f"no{NAMED}.csv", "--out", "n.jsonl", code=2)
    run("predict", task, task / "tests.jsonl", "--column", f"word={EVERY}", "--out", "c.jsonl")
    run("merge", f"m{NAMED}", code=2)
    made = f"made{NAMED}.lookup"
    run("lookup", "build", out, "--out", made, code=0)
    run("lookup", "info", made, code=0)
    run("lookup", "versions", made, code=0)
    run("lookup", "rollback", made)
    run("lookup", "find", table(), *TERMINAL.values(), code=0)
    run("lookup", "find", table(), f"none {EVERY}")
    run("lookup", "find", made, "--json", "-", f"0 test {TERMINAL['clear the screen']}")
    run("lookup", "info", bad, code=2)
    run("lookup", table(), TERMINAL["title"])


def test_the_short_way_to_lookup_tables(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes around the console of the other commands."""
    from promptkit.cli import answers

    with suppress(OSError):
        streams = Terminal(io.BytesIO(), "utf-8", newline="")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", streams)
            assert answers.answered([str(table()), *TERMINAL.values()])
        raw = streams.detach().getvalue()  # type: ignore[attr-defined]
        harmless(raw.decode("utf-8"))
        assert raw.count(b"\n") == len(TERMINAL)


def test_saved_predictors(run: Run, task: Path) -> None:
    file, tests = frozen(task), task / "tests.jsonl"
    run("predict", file, tests, "--out", "a.jsonl", code=2)  # frozen without a model's file
    run("predict", file, tests, "--model", EVERY, "--out", "a.jsonl", code=0)
    run("predict", file, tests, "--model", EVERY, "--shots", 2, "--out", "b.jsonl", code=2)
    run("compare", task, *QUICK, "--with", table(), "--model", EVERY)
    run("compare", task, *QUICK, "--with", f"no{NAMED}", code=2)
    Path(f"x{NAMED}.promptkit").write_bytes(b"PK" + EVERY.encode("utf-8", "replace"))
    run("predict", f"x{NAMED}.promptkit", tests, "--out", "c.jsonl", code=2)
    run("serve", f"x{NAMED}.promptkit", code=2)
    run("serve", f"no{NAMED}.lookup", code=2)
    run("freeze", f"no{NAMED}", "--out", "d.promptkit", code=2)
    run("compare", task, *QUICK, "--model", EVERY, "--out", f"o{NAMED}", code=0)
    run("freeze", f"o{NAMED}", "--out", f"g{NAMED}.promptkit", code=2)  # a model without a file


def test_students_cascades_and_exports(run: Run, task: Path) -> None:
    student = f"student{NAMED}"
    learnt = ("--out", student, "--pool", task / "demos.jsonl")
    run("distill", task, *learnt, "--model", EVERY, "--shots", 2, code=0)
    run("distill", task, "--out", student, "--pool", f"no{NAMED}.csv", code=2)
    run("export", task, "--out", f"e{NAMED}.jsonl")
    run("export", task, "--out", f"e{NAMED}.jsonl", "--format", EVERY, code=2)
    steps = [student] if Path(student).is_dir() else []
    assert steps, "no student was made"
    run("predict", student, task / "tests.jsonl", "--out", "s.jsonl", code=0)
    run("compare", task, *QUICK, "--with", student, "--model", EVERY, "--costs")
    run("cascade", student, table(), "--task", task, "--out", f"c{NAMED}.cascade")
    run("cascade", f"no{NAMED}", "--task", task, "--out", f"d{NAMED}.cascade", code=2)
    run("tune", task, "--model", f"no{NAMED}.gguf", "--out", f"a{NAMED}.gguf", code=2)


def test_stores_and_prepared_weights(run: Run, task: Path) -> None:
    from promptkit.models.prepare import record
    from promptkit.models.runtime.context import RuntimeSettings

    store = Path(f"s{NAMED}.sqlite")
    run("compare", task, *QUICK, "--model", EVERY, "--store", store, code=0)
    run("store", "show", store, code=0)
    run("store", "check", store, code=0)
    run("store", "prune", store, code=0)
    store.write_bytes(EVERY.encode("utf-8", "replace") * 40)
    run("store", "show", store, code=2)
    run("store", "check", f"no{NAMED}", code=2)
    record.remember(
        record.Choice(
            name=EVERY,
            sha256="0" * 64,
            own=EVERY,
            asked="auto",
            machine=EVERY,
            weights=EVERY,
            settings=RuntimeSettings(1),
            left_out={EVERY: EVERY},
        )
    )
    run("models", code=0)
    run("models", "list", "--json", "-", code=0)
    run("models", "prepare", f"no{NAMED}.gguf", code=2)
    run("models", "remove", f"no{NAMED}.gguf", code=2)


def test_audits_and_cards(run: Run, task: Path) -> None:
    grouped = [
        {**row, "group": EVERY if i % 2 else "other"} for i, row in enumerate(rows(8, "test"))
    ]
    jsonl(task / "tests.jsonl", grouped)
    asked = ("--model", EVERY, "--shots", 2)
    run("audit", task, *asked, "--groups", "group", "--out", f"a{NAMED}", code=0)
    run("audit", task, *asked, "--groups", "group", "--json", "-", code=0)
    run("audit", task, *asked, "--groups", "group", "--page", f"a{NAMED}.html", code=0)
    run("audit", task, *asked, "--groups", EVERY, code=2)
    run("audit", task, *asked, "--groups", "group", "--positive", EVERY, code=2)
    run("audit", frozen(task), "--model", EVERY, "--groups", "group", "--task", task, code=0)
    run("card", task, "--json", "-", code=0)
    run("card", task, "--audit", f"a{NAMED}", "--out", f"c{NAMED}.md", code=0)
    run("card", f"no{NAMED}", code=2)


def imports() -> Iterator[tuple[str, str]]:
    yield f"a{NAMED}.json", json.dumps({"_type": EVERY})
    prompt = {
        "_type": "few_shot",
        "prefix": EVERY,
        "suffix": "{word}:",
        "examples": [{"word": EVERY, "output": EVERY}],
        "example_prompt": {"_type": "prompt", "template": "{word}: {output}", EVERY: EVERY},
        EVERY: EVERY,
    }
    yield f"b{NAMED}.json", json.dumps(prompt)
    harness = {
        "task": EVERY,
        "doc_to_text": "{{word}}",
        "doc_to_target": EVERY,
        "doc_to_choice": [EVERY, "b"],
        "dataset_path": EVERY,
        "include": EVERY,
        EVERY: EVERY,
    }
    yield f"c{NAMED}.yaml", json.dumps(harness)
    yield f"d{NAMED}.yaml", f"? {json.dumps(EVERY)}\n: !function {NAMED[:5]}.x\n- : ["


@pytest.mark.parametrize("name", ["refused", "langchain", "harness", "damaged"])
def test_prompts_of_other_tools(name: str, run: Run) -> None:
    places = dict(zip(("refused", "langchain", "harness", "damaged"), imports(), strict=True))
    file, content = places[name]
    Path(file).write_text(content, "utf-8")
    run("import", file, "--out", f"o{NAMED}")
    run("import", file, "--out", f"p{NAMED}", "--json", "-")


def test_errors_of_every_kind_of_file(run: Run, task: Path) -> None:
    (task / "templates" / f"{NAMED}.j2").write_text("{% example %}{{ input." + EVERY, "utf-8")
    run("render", task, code=2)
    run("lint", task)
    (task / "demos.jsonl").write_text(
        f'{{"word": {json.dumps(EVERY)}, "output": 3}}\n{EVERY}', "utf-8"
    )
    run("render", task, code=2)
    (task / "task.toml").write_text(f'name = "x"\n{json.dumps(EVERY)} = 3\n', "utf-8")
    run("render", task, code=2)
    (task / "task.toml").write_text(f"name = {EVERY}\n", "utf-8")
    run("render", task, code=2)
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        Path(name).write_text(f"{EVERY},{EVERY}\n" * 3, "utf-8")
        run("predict", task, name, "--out", "x.jsonl", code=2)


def test_metadata_of_a_model_file(
    run: Run, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name, the license, the chat template and the architecture say what their author likes."""
    from tiny_gguf import write_llama

    from promptkit.models.llama import load_model

    def hostile(writer: Any) -> None:
        writer.kv_data[0]["general.name"].value = EVERY
        for key in ("license", "description", "author"):
            writer.add_string(f"general.{key}", EVERY)
        writer.add_string(f"owned{NAMED}", EVERY)

    monkeypatch.setattr(pk, "load_model", load_model)
    file = write_llama(tmp_path / f"m{NAMED}.gguf", n_ctx=8192, edit=hostile)
    small = ("--shots", 0, "--seeds", 1, "--limit", 2)
    run("compare", task, *small, "--model", file, "--weights", "as-is")
    run("render", task, "--shots", 0, "--model", file, "--tokens")

    def unknown(writer: Any) -> None:
        writer.kv_data[0]["general.architecture"].value = f"owned{TERMINAL['title']}"

    other = write_llama(tmp_path / f"n{NAMED}.gguf", edit=unknown)
    run("compare", task, *small, "--model", other, code=2)
    run("models", "prepare", other, code=2)

    def attacking(writer: Any) -> None:
        writer.add_chat_template("{{ raise_exception(" + json.dumps(EVERY) + ") }}")

    third = write_llama(tmp_path / f"o{NAMED}.gguf", n_ctx=8192, edit=attacking)
    run("render", task, "--template", "chat", "--model", third)


def test_answers_of_a_server(run: Run, task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fake_servers import served

    monkeypatch.setattr(pk, "load_model", pk.models.llama.load_model)
    refusals: list[Any] = [
        (500, {"error": {"message": EVERY}}),
        (404, EVERY),
        (200, EVERY),
        (200, {"data": [{"id": EVERY}, {"id": f"b{EVERY}"}]}),
        (200, {"data": [{"id": EVERY, "owned_by": EVERY}]}),
    ]
    for answer in refusals:
        routes = {"GET /v1/models": lambda _, answer=answer: answer}
        with served(routes) as server:
            monkeypatch.setattr("promptkit.models.remote.client.Patience.wait", lambda *_: 0.0)
            run("compare", task, *QUICK, "--model", server.url, code=2)
