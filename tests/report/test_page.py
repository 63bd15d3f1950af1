from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from rich.cells import cell_len
from rich.console import Console
from samples import ARROW, COLON, Word, open_task

from promptkit import Comparison, Example, FakeModel, Store, Task, Template, compare, load_task
from promptkit.errors import escaped
from promptkit.prompts.prompt import Prompt
from promptkit.report import page, terminal
from promptkit.report.packed_prompts import packed
from promptkit.text import signed

ROOT = Path(__file__).parents[2]

SNARES = [
    "[bold]x",
    "[/]",
    "[red]",
    "\\[",
    "<script>alert(1)</script>",
    "</table></style>",
    '&amp; "quotes" \'n <b>',
    "{{ 7 * 7 }}",
    "two\nlines",
    "\x1b[2Jgone",
    "苹果果果",
    "e\u0301\u200d",
    "very " * 40,
]


def fruit(**more: Any) -> Comparison:
    task = load_task(ROOT / "examples" / "fruit")
    return compare(task, models=[FakeModel()], store=Store(), **more)


def snared() -> Comparison:
    """A comparison in which nothing is called what one would like."""
    options = Literal["[bold]x", "[/]", "<b>&"]
    task = Task[Word, options](
        name="[/] <i>&",
        demos=[
            Example(input=Word(word=f"{i} {word}"), output="[/]") for i, word in enumerate(SNARES)
        ],
        tests=[Example(input=Word(word=word), output="<b>&") for word in SNARES],
    )

    def wavering(prompt: Prompt) -> str:  # so that every answer changes with the shots
        return "<b>&" if prompt.shots else "[bold]x"

    models = [FakeModel(wavering, name="[red]m/[/]"), FakeModel(name="<u>")]
    templates = [COLON, Template(ARROW.source, name="[link=http://x]&<t>")]
    return compare(task, models=models, templates=templates, shots=[0, 2], seeds=2, store=Store())


def printed(result: Comparison, width: int) -> str:
    return terminal.text(result.to_dict(), result.to_records(), width)


def html(result: Comparison) -> str:
    return page.html(result.to_dict(), result.to_records(), packed(result.prompts))


# In a terminal.


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_or_wrapped_in_a_usual_terminal(width: int) -> None:
    result = fruit()
    shown = printed(result, width)
    lines = shown.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    for row in result.rows:
        if row.seed is None:
            low, high = (round(100 * end) for end in row.accuracy_ci or row.accuracy_ci_fixed)
            start = (
                rf"^ *{row.shots}  +{100 * row.accuracy:.0f} % \[{low}, {high}\] .* {row.tokens:,} "
            )
            assert re.search(start, shown, re.MULTILINE)
    counts = [row.shots for row in result.rows if row.seed is None]
    for pair in result.pairs:
        if (pair.a.shots, pair.b.shots) in pairwise(counts):
            low, _ = pair.ci or pair.ci_fixed
            assert f"{signed(pair.delta)} [{signed(low)}, " in shown
    (head,) = (line for line in lines if line.startswith("query"))
    assert head.split("  ")[-1].strip() == "8 shots"
    template = load_task(ROOT / "examples" / "fruit").template
    assert lines[0] == f"fruit · fake (none) · {template} · balanced shots · 51 queries"


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 50, 60])
def test_a_narrow_terminal_hides_no_number(width: int) -> None:
    result = fruit(shots=[0, 4], seeds=5)
    shown = printed(result, width)
    assert all(cell_len(line) <= width for line in shown.splitlines())
    accuracies = shown.split("Brackets")[0]
    assert "…" not in accuracies
    for row in result.rows:
        if row.seed is None:
            assert f"{row.tokens:,}"[:3] in accuracies
            assert all(f"{100 * end:.0f}" in accuracies for end in row.accuracy_ci_fixed)


@pytest.mark.slow
def test_prompts_with_fewer_shots_than_asked_are_counted() -> None:
    task = load_task(ROOT / "examples" / "fruit")
    arguments: dict[str, Any] = {"shots": [0, 8], "seeds": 1, "limit": 3, "fit": "drop-shots"}
    small = compare(task, models=[FakeModel(context=100)], store=Store(), **arguments)
    said = "3 of 6 predictions saw fewer shots than asked, since more did not fit the context."
    assert said in printed(small, 120)
    assert said in html(small)
    assert "fewer shots" not in printed(fruit(**arguments), 120) + html(fruit(**arguments))


def test_the_report_of_a_comparison() -> None:
    word = {"apple": "a", "pear": "b"}
    options = Literal["a", "b"]
    task = Task[Word, options](
        name="letters",
        demos=[Example(input=Word(word=w), output="a") for w in ("x", "y")],
        tests=[Example(input=Word(word=w), output=gold) for w, gold in word.items()],
    )

    def answer(prompt: Any) -> str:
        return "b" if prompt.shots and "pear" in prompt.text else "a"

    result = compare(
        task, models=[FakeModel(answer)], templates=[COLON], shots=[0, 1], seeds=2, store=Store()
    )
    assert re.sub(r"\d\.\d s", "0.0 s", printed(result, 80)) == (
        "letters · fake (none) · colon · balanced shots · 2 queries\n"
        "shots         accuracy            change  draws  coverage  tokens   time\n"
        "────────────────────────────────────────────────────────────────────────\n"
        "    0     50 % [9, 91]                    50         0.99      26  0.0 s\n"
        "    1  100 % [34, 100]  +50 [-100, +100]  100        0.99      46  0.0 s\n"
        "Brackets are 95 % intervals for new queries. A change is paired over the same\n"
        "queries.\n"
        "\n"
        "• 1 shot scored highest, 100 % right [34, 100]: not separated from 0 shots.\n"
        "• 1 shot vs 0: +50 points [-100, +100], not significant (p = 1.00).\n"
        "• 2 queries with 2 draws of shots find no difference, however large; one of 10\n"
        "  takes about 870 queries, one of 5 takes about 3,500 queries.\n"
        "\n"
        "1 of 2 answers changed with the number of shots\n"
        "query  gold  0 shots  1 shot\n"
        "────────────────────────────\n"
        "pear   b     a        ✓\n"
        "✓ is the gold answer; ~ seeds disagree, and the most frequent answer is shown.\n"
        "\n"
        "! 2 queries are few: no difference would be significant; add tests before you\n"
        "  decide.\n"
        '! No cell significantly beats the majority-class baseline ("a", 50 %); change\n'
        "  the template, the labels or the model, or add tests.\n"
        "! Selection bias: the best of 2 cells was chosen on the same 2 tests; expect\n"
        "  about 17 points less on new data. Confirm it on held-out tests before\n"
        "  reporting it.\n"
        "! Lint: 1 warning (label-missing); see promptkit.lint(task).\n"
        "\n"
        "4 prompts: 4 asked, 0 from the store; 0.0 s, 0.0 s of it in the model.\n"
        "36 tokens decoded; 80 without prefix sharing."
    )


def test_many_seeds_are_a_range() -> None:
    shown = printed(fruit(shots=[0, 1], seeds=7, limit=20), 80)
    first, second = re.findall(r"^ *[01] .*", shown, re.MULTILINE)
    assert "to" not in first  # without shots the seeds agree
    assert re.search(r" \d+–\d+ ", second)


def test_models_and_templates_against_the_first() -> None:
    models = [FakeModel(), FakeModel(name="/long/path/model.gguf")]
    task = load_task(ROOT / "examples" / "fruit")
    result = compare(
        task, models=models, templates=["colon.j2", "qa.j2"], shots=[0, 1], seeds=1, store=Store()
    )
    for width in (80, 120):
        shown = printed(result, width)
        assert "…" not in shown.split("Against the first")[1].split("\n\n")[0]
        assert re.search(r"^model\.gguf +fake +colon\.j2 +1 +\S+ \[", shown, re.MULTILINE)
        assert re.search(r"^qa\.j2 +colon\.j2 +model\.gguf +0 +\S+ \[", shown, re.MULTILINE)
        assert "/long/path" not in shown


def test_one_shot_count_has_no_table_of_changes() -> None:
    assert "changed" not in printed(fruit(shots=[1], seeds=1, limit=3), 80)


def test_where_no_answer_changed() -> None:
    result = compare(
        load_task(ROOT / "examples" / "fruit"),
        models=[FakeModel(lambda p: "pome")],
        shots=[0, 1],
        limit=3,
        store=Store(),
    )
    assert "0 of 3 answers changed with the number of shots\n\n" in printed(result, 80)


def test_generated_answers_show_failures() -> None:
    task = open_task(int, 1, 2)
    model = FakeModel(lambda p: "1" if "w0" in p.text else "some")
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    shown = printed(result, 80)
    assert "failed" in shown
    assert "coverage" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_texts_from_data_are_no_markup(width: int) -> None:
    result = snared()
    shown = printed(result, width)
    assert "\x1b" not in shown
    assert "[/] <i>&" in shown
    assert "[bold]x" in shown
    assert "[red]m/[/]" in shown
    assert "[link=http" in shown
    assert "two⏎lines" in shown
    console = Console(width=width, force_terminal=True, color_system="truecolor")
    with console.capture() as capture:
        console.print(terminal.render(result.to_dict(), result.to_records(), width))
    assert "[/] <i>&" in re.sub(r"\x1b\[[\d;]*m", "", capture.get())


def test_a_hundredth_of_nothing_has_no_sign() -> None:
    assert [signed(d) for d in (0.0, -0.001, 0.004, 0.01, -0.5)] == [*("0", "0", "0", "+1", "-50")]


def test_nothing_asked_says_so() -> None:
    store = Store()
    task = load_task(ROOT / "examples" / "fruit")
    for _ in range(2):
        result = compare(task, models=[FakeModel()], shots=[0], seeds=1, limit=1, store=store)
    last = printed(result, 80).splitlines()[-1]
    assert re.match(r"1 prompt: all from the store; [\d.]+ s, 0\.0 s of it in the model\.", last)


# As a page.

VOID = {"meta", "input"}
OPTIONAL = {"th", "td"}


class Checker(HTMLParser):
    """Every tag is closed in its order; text and attributes are kept."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in OPTIONAL and self.open[-1] in OPTIONAL:
            self.open.pop()
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1] in OPTIONAL and tag not in OPTIONAL:
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.slow
@pytest.mark.parametrize("make", [fruit, snared])
def test_the_page_is_well_formed_and_by_itself(make: Any) -> None:
    source = html(make())
    assert source.startswith("<!doctype html>\n<html lang=")
    checker = Checker(source)
    assert {"html", "head", "title", "body", "main", "h1"} <= set(checker.tags)
    assert not {"link", "img", "iframe", "object", "b>"} & set(checker.tags)
    assert checker.tags.count("script") == 2
    attributes = dict(checker.attributes)
    assert not [name for name in attributes if name in ("src", "style") or name.startswith("on")]
    assert all(value and value[0] == "#" for name, value in checker.attributes if name == "href")
    assert "url(" not in source
    assert "@import" not in source


@pytest.mark.slow
def test_the_page_runs_its_own_script_and_no_other() -> None:
    source = html(snared())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', source)
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


@pytest.mark.slow
def test_texts_from_data_are_no_html() -> None:
    source = html(snared())
    checker = Checker(source)
    text = "".join(checker.texts)
    for snare in SNARES:
        assert escaped(snare, keep="\n") in text
    for name in ("[/] <i>&", "[red]m/[/]", "[link=http://x]&<t>"):
        assert name in text
    assert not {"i>", "u", "t"} & set(checker.tags)
    assert checker.tags.count("script") == 2
    assert "49" not in [t.strip() for t in checker.texts]


@pytest.mark.slow
def test_the_page_has_every_row_pair_and_answer() -> None:
    result = fruit()
    source = re.sub(r"\s+", " ", "".join(Checker(html(result)).texts))
    for row in result.rows:
        if row.seed is None:
            low, high = (round(100 * end) for end in row.accuracy_ci or row.accuracy_ci_fixed)
            fixed = [round(100 * end) for end in row.accuracy_ci_fixed]
            drawn = f"{fixed}" if row.shots else " "
            assert f" {row.shots}{100 * row.accuracy:.0f} % [{low}, {high}]{drawn}" in source
            assert f"{row.tokens:,}" in source
    for pair in result.pairs:
        assert f"{signed(pair.delta)} [{signed(pair.ci[0])}" in source
    for record in result.to_records():
        assert record["input"]["name"] in source
        assert record["label"] in source
    assert result.models[0].sha256[:16] in source


def test_the_page_of_generated_answers() -> None:
    task = open_task(int, 1, 2)
    model = FakeModel(lambda p: "1" if "w0" in p.text else "some")
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    text = "".join(Checker(html(result)).texts)
    assert "no answer" in text
    assert "failed" in text


@pytest.mark.slow
def test_the_report_needs_only_what_was_saved(tmp_path: Path) -> None:
    result = fruit(limit=5)
    folder = result.save(tmp_path)
    data = json.loads((folder / "comparison.json").read_text("utf-8"))
    lines = (folder / "predictions.jsonl").read_text("utf-8").split("\n")[:-1]
    records = [json.loads(line) for line in lines]
    prompts = json.loads((folder / "prompts.json").read_text("utf-8"))
    assert page.html(data, records, prompts) == (folder / "report.html").read_text("utf-8")
    assert terminal.text(data, records) == str(result)


def test_answers_that_are_none_are_counted_with_their_reason() -> None:
    task = Task[Word, int](
        name="t",
        demos=[Example(input=Word(word="a"), output=1)],
        tests=[Example(input=Word(word=word), output=1) for word in ("b", "c")],
    )
    model = FakeModel(lambda prompt: "seven")
    result = compare(task, models=[model], shots=[0], seeds=1, store=Store())
    for shown in (printed(result, 120), html(result)):
        assert "2 of 2 answers failed; 2 of them: Input should be a valid integer" in shown
