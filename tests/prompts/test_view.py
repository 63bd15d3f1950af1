"""A prompt to look at: runs, tokens and costs; in colour, as a page, in a notebook, watched."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from promptkit.models.fake import FakeModel
from promptkit.preview import colour
from promptkit.preview.tokenized import preview
from promptkit.prompts import html as page
from promptkit.prompts.invisible import marked
from promptkit.prompts.prompt import Prompt
from promptkit.prompts.token_spans import align
from promptkit.prompts.view import Preview
from promptkit.tasks.task import Task
from promptkit.templating.template import Template
from promptkit.translation import use

ROOT = Path(__file__).parents[2]


class Animal(BaseModel):
    name: str


def task(*names: str) -> Task[Any, Any]:
    pool = [
        {"id": f"d{i}", "input": {"name": name}, "output": "bird"} for i, name in enumerate(names)
    ]
    return Task[Animal, Literal["bird", "fish"]](
        name="animals", instruction="Name the class.", demos=pool
    )


COLON = (
    "{{ task.instruction }}\n\n{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"
)
TURNS = (
    "{% system %}{{ task.instruction }}{% endsystem %}\n{% example %}\n"
    "{% user %}{{ input.name }}{% enduser %}\n{% assistant %}{{ output }}{% endassistant %}\n"
    "{% endexample %}\n"
)
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def ask(source: str = COLON, *names: str, query: str = "owl", shots: int = 2) -> Prompt:
    return Template(source, "t.j2").render(
        task(*(names or ("wren", "robin"))), shots=shots, query={"name": query}, selection="first"
    )


# --- the value ------------------------------------------------------------------------------------


def test_every_part_has_its_runs_and_its_costs() -> None:
    prompt = ask()
    shown = preview(prompt, FakeModel())
    assert shown.text == prompt.text == "Name the class.\n\nwren: bird\nrobin: bird\nowl:"
    assert [(cost.owner, cost.characters, cost.tokens) for cost in shown.costs] == [
        ("task", 15, 15),
        ("template", 2, 2),
        ("shot 1 (d0)", 11, 11),
        ("shot 2 (d1)", 12, 12),
        (f"query ({prompt.query})", 4, 4),
    ]
    assert colour.total(shown)[3:] == (len(prompt.text), len(shown.tokens))
    assert [candidate.text for candidate in shown.candidates] == [" bird", " fish"]
    assert b"".join(t.piece for t in shown.candidates[0].tokens) == b"bird"  # " " is shared
    assert shown.stop == "\n"
    (word,) = [run for run in shown.runs if run.text == "w" and run.part == "shot"]
    assert (word.shot, word.is_data, word.place) == (1, True, "t.j2:4")
    assert (word.example, word.field) == ("d0", "input.name")


def test_a_chat_template_is_a_part() -> None:
    prompt = ask(TURNS, shots=1)
    plain = preview(prompt)
    assert plain.text == str(prompt)
    assert [run.text for run in plain.runs if run.part == "chat"] == [
        *("[system]\n", "\n[user]\n", "\n[assistant]\n", "\n[user]\n", "\n[assistant]\n")
    ]
    model = FakeModel(chat_template=CHAT)
    shown = preview(prompt, model)
    assert shown.text == model.tokenize([prompt])[0].prompt.text
    assert [cost.part for cost in shown.costs] == ["chat", "task", "shot", "query"]
    assert sum(cost.tokens or 0 for cost in shown.costs) == len(shown.tokens)


def test_without_a_model_there_are_no_tokens() -> None:
    shown = preview(ask())
    assert shown.tokens == ()
    assert {cost.tokens for cost in shown.costs} == {None}
    assert {run.tokens for run in shown.runs} == {()}


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30), st.data())
def test_pieces_are_found_where_they_stand(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=8)) | {0, len(raw)})
    pieces = [raw[a:b] for a, b in pairwise(cuts)]
    ranges = align(text, pieces)
    assert ranges is not None
    for piece, (start, end), at in zip(pieces, ranges, cuts, strict=False):
        whole = text[start:end].encode()
        before = len(text[:start].encode())
        assert before <= at
        assert whole[at - before :].startswith(piece)
    covered = {index for start, end in ranges for index in range(start, end)}
    assert covered == set(range(len(text)))


@pytest.mark.parametrize(
    ("text", "pieces", "ranges"),
    [
        ("ab", [b"<s>", b"ab"], [(0, 0), (0, 2)]),
        ("ab", [b" ab"], [(0, 2)]),
        ("a <x> b", [b"a", b"<x>", b"b"], [(0, 1), (2, 5), (6, 7)]),
        ("é", [b"\xc3", b"\xa9"], [(0, 1), (0, 1)]),
        ("", [b"<s>"], [(0, 0)]),
        ("ab", [b"xy"], None),
    ],
)
def test_pieces_beside_the_text(text: str, pieces: list[bytes], ranges: Any) -> None:
    assert align(text, pieces) == ranges


@pytest.mark.model
@pytest.mark.parametrize("source", [COLON, TURNS])
@pytest.mark.parametrize("query", ["owl", "उल्लू", "🦉\u200d\t x", "<|im_end|>"])
def test_tokens_of_the_bundled_model_cover_the_text(smollm2: Any, source: str, query: str) -> None:
    shown = preview(ask(source, query=query), smollm2)
    assert sum(cost.tokens or 0 for cost in shown.costs) == len(shown.tokens)
    assert all(run.tokens for run in shown.runs)
    for run in shown.runs:
        pieces = b"".join(shown.tokens[index].piece for index in run.tokens)
        assert run.text.encode() in pieces


# --- on a terminal --------------------------------------------------------------------------------


def on_terminal(shown: Preview, *, whitespace: bool = False) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    colour.show(console, shown, whitespace=whitespace)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_the_terminal_shows_text_parts_answers_and_stop() -> None:
    shown = without_colours(on_terminal(preview(ask(), FakeModel())))
    assert shown.startswith("Name the class.\n\nwren: bird\nrobin: bird\nowl:▯\n")
    assert re.search(r"shot 2 \(d1\) +12 +12\n", shown)
    assert re.search(r"all +44 +44\n", shown)
    assert re.search(r"answer  ' bird'  98 'b'", shown)
    assert "stop    '\\n'" in shown


def test_parts_differ_in_colour() -> None:
    text = on_terminal(preview(ask()))
    looks = {
        word: re.search(rf"\x1b\[([\d;]*)m{word}", text)
        for word in ("Name the class", "wren", "robin", "owl")
    }
    assert len({match[1] for match in looks.values() if match}) == len(looks)


def test_white_space_and_control_characters_are_visible() -> None:
    prompt = ask(query="a\tb\x1b[31m\r\xa0\u200b")
    text = without_colours(on_terminal(preview(prompt), whitespace=True))
    assert "Name·the·class.↵\n↵\nwren:·bird↵\n" in text
    assert "a⇥b␛[31m␍⍽⟨U+200B⟩:▯" in text
    assert "\x1b[31m" not in on_terminal(preview(prompt))
    assert marked("a b\n", spaces=False) == "a b\n"


# --- as a page ------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """The text in a page's prompts, and what its runs say of themselves."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tips, self.tags, self._in_pre = "", list[str](), set[str](), False
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.add(tag)
        self.addresses += [name for name in named if name in ("src", "href", "action", "onerror")]
        if tag == "pre":
            self._in_pre = True
        if named.get("class") == "slot":
            self._in_pre = False
        if named.get("role") == "note":
            assert named["tabindex"] == "0"
            self.tips.append(named["aria-description"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data if self._in_pre else ""


HOSTILE = "</span></pre><script>alert(1)</script>&amp;\"'<img src=x onerror=y>{{ 7 }}"


@pytest.mark.parametrize("model", [None, FakeModel()])
@pytest.mark.parametrize("query", ["owl", HOSTILE, " a  b\n\tc"])
def test_the_page_holds_the_prompt_and_escapes_it(model: Any, query: str) -> None:
    demo = f"{HOSTILE}, and enough of other words that it is not nearly the query {HOSTILE}"
    prompt = ask(COLON, demo, query=query, shots=1)
    text = page.html(HOSTILE, [preview(prompt, model)])
    found = Reader(text)
    assert found.text == prompt.text
    assert found.tags.isdisjoint({"script", "img", "link", "iframe"})
    assert found.addresses == []
    assert "url(" not in text.split("</style>")[0]
    assert any(tip.startswith(f"query ({prompt.query}) · t.j2:4") for tip in found.tips)
    if model is not None:
        assert all("token " in tip for tip in found.tips)


def test_characters_that_html_would_change_are_marks() -> None:
    prompt = ask(query="a\rb\0c\x85d")
    found = Reader(page.html("t", [preview(prompt)]))
    assert found.text.endswith("abcd:")
    text = page.html("t", [preview(prompt)])
    assert all(f'data-mark="{sign}"' in text for sign in ("␍", "␀", "⟨U+0085⟩"))


def test_a_prompt_shows_itself_in_a_notebook() -> None:
    prompt = ask(TURNS)
    html = prompt._repr_html_()
    assert Reader(html).text == str(prompt)
    assert "<html" not in html


def chromium() -> str | None:
    return next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


def test_the_page_speaks_the_language_in_use() -> None:
    prompt = ask()
    english = page.html("animals", [preview(prompt, FakeModel())])
    assert '<html lang="en" dir="ltr">' in english
    use("hi")
    try:
        hindi = page.html("animals", [preview(prompt, FakeModel())])
    finally:
        use("en")
    assert '<html lang="hi" dir="ltr">' in hindi
    assert Reader(hindi).text == prompt.text
    for word in ("its own tokens", "white space", "characters", "and ends with", "reads it"):
        assert word in english
        assert word not in hindi


@pytest.mark.slow
def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    browser = chromium()
    if browser is None and not os.environ.get("CI"):
        pytest.skip("no chromium here; install it to see the page in a browser")
    assert browser is not None, "CI needs chromium"
    file = tmp_path / "page.html"
    file.write_text(page.html("animals", [preview(ask(), FakeModel())]), encoding="utf-8")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=390,844"),
        *(f"--screenshot={tmp_path / 'page.png'}", file.as_uri()),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    image = (tmp_path / "page.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert len(image) > 10_000  # an empty page is smaller
    dumped = subprocess.run(
        [*command[:-2], "--dump-dom", file.as_uri()], check=True, capture_output=True, timeout=120
    )
    assert Reader(dumped.stdout.decode()).text == ask().text


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    from promptkit.tasks.scaffold import write_task

    write_task(tmp_path / "animals")
    return tmp_path / "animals"


def start(*words: object, **more: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "promptkit", "render", *map(str, words)]
    # Where the tests run in the background, a shell has them ignore Ctrl-C.
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **more,
    )


@pytest.mark.slow
def test_html_and_whitespace_on_the_command_line(animals: Path, tmp_path: Path) -> None:
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = (animals, "--shots", "0,1", "--query", "owl")
    child = start(*words, "--html", tmp_path / "p.html", **pipe)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert out.decode() == f"Written to {tmp_path / 'p.html'}\n"
    assert (tmp_path / "p.html").read_text("utf-8").count('<pre dir="auto">') == 2
    child = start(animals, "--shots", 0, "--query", "owl", "--whitespace", **pipe)
    out, _ = child.communicate(timeout=60)
    assert out.decode() == "Name·the·class·of·each·animal.↵\n↵\nowl:\n"


@pytest.mark.slow
def test_colours_are_for_terminals(animals: Path) -> None:
    leader, follower = pty.openpty()
    child = start(animals, "--shots", 1, stdout=follower, stderr=subprocess.DEVNULL)
    os.close(follower)
    shown = b"".join(read_all(leader)).decode()
    assert child.wait(60) == 0
    assert "\x1b[" in shown
    assert "shot 1 (" in without_colours(shown)


def read_all(file: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(file, 4096)
        except OSError:  # the other end is closed
            return
        if not chunk:
            return
        yield chunk


@pytest.mark.slow
def test_watch_renders_again_shows_errors_and_ends_cleanly(animals: Path, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        child = start(animals, "--shots", 0, "--watch", stdout=out_file, stderr=err_file)
    template = animals / "templates" / "prompt.j2"

    def seen(file: Path, text: str) -> None:
        for _ in range(600):
            if text in file.read_text("utf-8"):
                return
            assert child.poll() is None, err.read_text("utf-8")
            time.sleep(0.1)
        pytest.fail(f"{text!r} is not in {file.read_text('utf-8')!r}")

    try:
        seen(out, "owl:")
        template.write_text(
            "{% example %}\nchanged {{ input.name }}: {{ output }}\n{% endexample %}\n"
        )
        seen(out, "changed owl:")
        template.write_text("{{ nothing }}")
        seen(err, "prompt.j2:1: 'nothing' is undefined")
        template.write_text(
            "{% example %}\nmended {{ input.name }}: {{ output }}\n{% endexample %}\n"
        )
        seen(out, "mended owl:")
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert "Traceback" not in err.read_text("utf-8")


@pytest.mark.slow
def test_json_of_a_preview_is_what_it_was(animals: Path) -> None:
    child = start(animals, "--shots", 0, "--json", "-", stdout=subprocess.PIPE)
    out, _ = child.communicate(timeout=60)
    assert json.loads(out)["text"].endswith("owl:")
