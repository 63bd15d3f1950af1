"""Messages in other languages: that none is missing, and that the command line shows them."""

from __future__ import annotations

import ast
import gettext
import io
import json
import os
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bracketed_language
import catalog
import pytest
from babel.messages.catalog import Catalog, Message
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner
from unmarked import unmarked

from promptkit import translation
from promptkit.cli.commands import app
from promptkit.cli.language_option import taken
from promptkit.models.fake import FakeModel
from promptkit.preview import colour
from promptkit.preview.tokenized import preview
from promptkit.tasks.loading import load_task
from promptkit.templating.template import Template
from promptkit.translation import language, languages, tr, trn, use

ROOT = Path(__file__).parents[1]

OTHERS = [tag for tag in languages() if tag != translation.SOURCE]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test leaves English behind."""
    yield
    use("en")


# The catalogs.


@pytest.fixture(scope="module", params=OTHERS)
def known(request: pytest.FixtureRequest) -> Catalog:
    return catalog.written(request.param)


def forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def test_every_message_is_translated(known: Catalog) -> None:
    wanted = {message.id for message in catalog.template() if message.id}
    assert len(wanted) > 2000
    have = {message.id for message in known if message.id and catalog.is_translated(message)}
    assert sorted(map(str, wanted - have)) == []
    assert sorted(map(str, have - wanted)) == [], "run tests/support/catalog.py"


def fields(text: str) -> list[tuple[str, str, str]]:
    parts = string.Formatter().parse(text)
    return sorted(
        (name, kind or "", spec or "") for _, name, spec, kind in parts if name is not None
    )


def test_translations_have_the_fields_of_the_message(known: Catalog) -> None:
    wrong = []
    for message in known:
        if not message.id or not _has_fields(message):
            continue
        wanted = fields(forms(message.id)[-1])
        if any(name == "expected_plural" for name, *_ in wanted):
            continue  # pydantic's plural, an s that other languages do not take
        one_may_leave_out_its_number = [each for each in wanted if each[0] != "n"]
        for number, form in enumerate(forms(message.string)):
            if fields(form) != wanted and (number or fields(form) != one_may_leave_out_its_number):
                wrong.append((form, message.id))
    assert wrong == []


def _has_fields(message: Message) -> bool:
    """Whether a message is formatted: some have braces that stand for themselves."""
    try:
        return all(re.fullmatch(r"\w+", name) for name, *_ in fields(forms(message.id)[-1]))
    except ValueError:
        return False


def test_translations_keep_the_spaces_and_lines_around(known: Catalog) -> None:
    def around(text: str) -> tuple[bool, bool, int]:
        return text[:1] == "\n", text[-1:].isspace(), text.count("\n")

    wrong = [
        (form, message.id)
        for message in known
        if message.id
        for one, form in zip(forms(message.id), forms(message.string), strict=True)
        if around(one) != around(form)
    ]
    assert wrong == []


def test_the_binary_catalog_is_that_of_the_text(known: Catalog) -> None:
    place = catalog.place(str(known.locale))  # written anew by tests/support/catalog.py
    assert place.with_suffix(".mo").read_bytes() == catalog.as_binary(known)
    assert place.read_bytes() == catalog.as_text(catalog.updated(str(known.locale)))


# The source.

NOT_SHOWN = {
    "auditing/card_metadata": "what the hub reads",
    "auditing/card_of_run": "the command, and keys of JSON",
    "calibration": "names of probes in saved runs, ids and digests",
    "inference/store": "SQL and keys",
    "models/fake": "a chat template",
    "models/prepare/precision": "texts that a model reads",
    "models/remote/probing": "texts that a model reads, and names of ways in identities",
    "models/remote/ways": "a text that a model reads",
    "models/runtime/grammar_source": "a grammar",
    "models/runtime/json_rules": "a grammar",
    "preview/colour": "styles",
    "sandbox/environment": "names of methods",
    "serving/openapi": "the description of an interface, in English as its keys",
    "serving/served": "the description of an interface",
    "serving/service_metrics": "metrics of Prometheus",
    "serving/systemone": "the description of an interface",
    "tasks/answer_texts": "articles of languages",
}
"""Files and packages whose unmarked texts nobody reads as messages, with what they are."""

TEXTS = (
    *("<", "SELECT ", "--", "bold ", "{%", "\n", "Bearer ", "as it is", "of the options"),
    *("missing output", "repeated row", "repeated id", "frozen prompt", "words for labels"),
    *("random words", "llama.cpp server", "llama-cpp-python", "cache {}", ", {} layers"),
    *("{}, each prompt alone", "{} from {}", "{}, {} cores", "no prompt", "order {}/{}", " by {}"),
    *("system or user", "system-ui", "Field name .*", "A promptkit task", "The committee will"),
    *("module ", "name:", "name or ", "not significant", "selection bias", "option {}"),
    *("promptkit {}", "scikit-learn {}", "trained baseline", "{}, {} shot", "(no answer)"),
    *("for shot in", "!function", "held ", "otherwise {}", "lookup table", "{} student"),
    *("student {}", "promptkit student", "{} · mean", "audit sentence", "{} adapter", "best {}"),
    "Input should be a valid ",
)
"""How other such texts begin: names, identities, values in JSON, styles, and code."""


def test_every_message_is_marked() -> None:
    found = []
    for path in sorted(catalog.PACKAGE.rglob("*.py")):
        where = path.relative_to(catalog.PACKAGE).with_suffix("").as_posix()
        if not any(where == name or where.startswith(f"{name}/") for name in NOT_SHOWN):
            found += [(where, *one) for one in unmarked(path) if not one[1].startswith(TEXTS)]
    assert found == []


def test_pages_have_no_texts_of_their_own() -> None:
    template = r"\{%.*?%\}|\{\{.*?\}\}"
    tag = r"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>"
    code = re.compile(rf"{template}|<(style|script)\b.*?</\1>|{tag}", re.DOTALL)
    said = re.compile(r"\b(?:aria-label|alt|placeholder|title)=\"([^\"{]*[a-z]{2}[^\"]*)\"")
    for page in sorted(catalog.PACKAGE.rglob("*.html")):
        text = page.read_text("utf-8")
        assert re.findall(r"[A-Za-z]{2,}[^\n]*", code.sub(" ", text)) == [], page
        assert said.findall(text) == [], page


def test_unmarked_messages_are_found(tmp_path: Path) -> None:
    file = tmp_path / "messages.py"
    file.write_text(
        """def f(n):
    \"\"\"A docstring of words.\"\"\"
    print(f"only {n} rows")
    raise ValueError("no such file")
    tr("a marked text of words")
    counted(n, "more row", "more rows")
    x = {"a key of words": n}
"""
    )
    assert [*unmarked(file)] == [(3, "only {} rows"), (4, "no such file")]


def test_messages_of_the_command_line_alone_are_translated_while_it_is_imported() -> None:
    early = []
    for path in sorted(catalog.PACKAGE.rglob("*.py")):
        if "cli" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        inside = {
            id(each)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Raise)
            for part in ast.iter_child_nodes(node)
            for each in ast.walk(part)
        }
        early += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in ("tr", "trn")
            and id(node) not in inside
        ]
    assert early == []


# The functions.


def test_a_language_is_chosen_and_left() -> None:
    assert tr("did you mean {name!r}?", name="apple") == "did you mean 'apple'?"
    use("hi_IN")
    assert language() == "hi"
    assert tr("") == ""
    assert tr("did you mean {name!r}?", name="{x}") == "क्या आपका मतलब '{x}' था?"
    use("xx")
    assert language() == "en"


def test_the_environment_chooses_as_gettext_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    use()
    assert language() == "en"
    monkeypatch.setenv("LANG", "hi_IN.UTF-8")
    use()
    assert language() == "hi"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    use()
    assert language() == "en"


def test_a_message_may_also_be_one_of_two_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    use("hi")
    both = tr("input"), trn("input", "inputs", 1)
    alone = {one.id for one in catalog.written("hi") if isinstance(one.id, str)}
    assert "input" not in alone
    assert both == ("इनपुट", "इनपुट")
    # As in Python 3.10, which looks for messages without a number among those alone.
    monkeypatch.setattr(gettext.GNUTranslations, "gettext", lambda _, message: message)
    assert tr("input") == "इनपुट"


def test_numbers_choose_a_form() -> None:
    assert trn("{n:,} row", "{n:,} rows", 1) == "1 row"
    assert trn("{n:,} row", "{n:,} rows", 1200) == "1,200 rows"


@pytest.mark.parametrize(
    ("arguments", "rest", "tag"),
    [
        (["--lang", "hi", "lint"], ["lint"], "hi"),
        (["lint", "--lang=hi", "x"], ["lint", "x"], "hi"),
        (["lint", "--lang", "en", "--lang", "hi"], ["lint"], "hi"),
        (["lookup", "--", "--lang", "hi"], ["lookup", "--", "--lang", "hi"], None),
        (["lint", "--lang"], ["lint", "--lang"], None),
        (["compare", "--language", "hi"], ["compare", "--language", "hi"], None),
    ],
)
def test_the_option_is_taken_from_any_place(
    arguments: list[str], rest: list[str], tag: str | None
) -> None:
    assert taken(arguments) == (rest, tag)


# The command line.


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "promptkit", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "100", **environment},
        cwd=ROOT,
        check=False,
    )


def has_hindi(text: str) -> bool:
    return re.search("[\u0900-\u097f]{3}", text) is not None


def test_commands_speak_the_language_of_the_option() -> None:
    for place in (["--lang", "hi", "lint", "nowhere"], ["lint", "nowhere", "--lang=hi"]):
        done = run(*place)
        assert done.returncode == 2
        assert has_hindi(done.stderr)
        assert "Traceback" not in done.stderr
    assert not has_hindi(run("lint", "nowhere").stderr)
    assert not has_hindi(run("lint", "nowhere", "--lang", "en", LANGUAGE="hi").stderr)
    assert has_hindi(run("lint", "nowhere", LANG="hi_IN.UTF-8", LC_ALL="", LANGUAGE="").stderr)


def test_help_and_errors_of_usage_are_translated() -> None:
    page = " ".join(run("--lang", "hi", "compare", "--help").stdout.split())
    assert has_hindi(page)
    english = [one.help for one in get_command(app).commands["compare"].params if one.help]
    assert len(english) > 20
    assert [text for text in english if " ".join(text.split()) in page] == []
    wrong = run("--lang", "hi", "compare", "--nothing")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("उपयोग: ")
    assert "ऐसा कोई विकल्प नहीं: --nothing" in wrong.stderr
    missing = run("--lang", "hi", "compare")
    assert "आर्ग्युमेंट 'TASK' नहीं दिया गया।" in missing.stderr


def test_an_unknown_language_is_an_error() -> None:
    done = run("--lang", "xx", "lint", "examples/fruit")
    assert done.returncode == 2
    assert done.stderr == "error: --lang 'xx': no language of messages; choose one of: en, hi\n"
    done = run("lint", "--lang")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.fixture
def in_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message is in brackets, so that a word that belongs to none shows."""
    bracketed_language.write(tmp_path)
    monkeypatch.setattr(translation, "FOLDER", tmp_path)
    use(bracketed_language.TAG)


NAMES = {
    *("smollm", "SmolLM", "BF", "Instruct", "gguf", "batch", "majority", "tfidf", "logreg"),
    *("naive", "bayes", "nearest", "neighbour", "from", "balanced", "plain", "labels"),
}
"""Words of names: of methods, models and levels, which are the same in every language."""


def words_of_data(folder: Path) -> set[str]:
    """The words of a task's rows, and of the texts in its file that are not for its card."""
    rows = [path.read_text("utf-8") for path in folder.glob("*.csv")]
    file = re.sub(r"#.*", "", (folder / "task.toml").read_text("utf-8")).partition("[card]")[0]
    texts = [*rows, *re.findall(r'"[^"]*"', file)]
    return {word for text in texts for word in re.findall(r"[A-Za-z]+", text)}


def outside_of_messages(command: str, *names: str) -> list[str]:
    """The words that a command shows, and that are none of a message, its task, or these names."""
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code in (0, 1), done.output
    assert "⟦" in done.output
    given = {word for text in (command, *names) for word in re.findall(r"[A-Za-z]+", text)}
    known = words_of_data(ROOT / command.split()[1]) | given | NAMES
    return [word for word in bracketed_language.words_outside(done.output) if word not in known]


@pytest.mark.usefixtures("in_brackets")
def test_every_word_of_lint_is_of_a_message_or_of_data(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / "fruit", tmp_path / "fruit")
    rows = (folder / "demos.csv").read_text("utf-8").splitlines()
    other = rows[1].rpartition(",")[0] + ",legume"
    (folder / "demos.csv").write_text("\n".join([*rows, rows[1], other, "peach"]), "utf-8")
    (folder / "faulty.j2").write_text("{% example %}{{ input.nmae }}:{{ output }} {% endexample %}")
    names = ("repeated-row", "contradiction", "bad-row", "unknown-field", "input.nmae")
    assert outside_of_messages(f"lint {folder} --template {folder / 'faulty.j2'}", *names) == []


@pytest.mark.usefixtures("in_brackets")
def test_every_word_beside_a_prompt_is_of_a_message_or_of_data() -> None:
    task = load_task(ROOT / "examples" / "fruit")
    prompt = Template.of(task).render(task, shots=1, query=task.tests[0])
    console = Console(file=io.StringIO(), width=100)
    colour.show(console, preview(prompt, FakeModel()))
    shown = console.file.getvalue()
    assert "⟦" in shown
    ids = " ".join([*prompt.shots, str(prompt.query)])
    known = words_of_data(ROOT / "examples" / "fruit") | {*re.findall(r"[A-Za-z]+", ids)}
    assert [word for word in bracketed_language.words_outside(shown) if word not in known] == []


@pytest.mark.model
@pytest.mark.usefixtures("in_brackets")
def test_every_word_of_a_comparison_is_of_a_message_or_of_data(tmp_path: Path) -> None:
    run, store = tmp_path / "run", f"--store {tmp_path / 'store.sqlite'}"
    grid = "--shots 0 --shots 2 --seeds 2 --limit 6"
    options = "--verbalizer labels --verbalizer plain --calibrate batch --baselines --by name"
    assert outside_of_messages(f"compare examples/fruit {grid} {options} --out {run} {store}") == []
    gates = f"--min accuracy=0.9 --max log_loss=9 --no-worse-than {run}"
    assert outside_of_messages(f"check examples/fruit --limit 6 --seeds 2 {gates} {store}") == []


def test_json_is_the_same_in_every_language() -> None:
    found = [
        json.loads(run("--lang", tag, "lint", "examples/fruit", "--json", "-").stdout)
        for tag in ("en", "hi")
    ]
    assert keys(found[0]) == keys(found[1])


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    return [keys(each) for each in value] if isinstance(value, list) else type(value).__name__
