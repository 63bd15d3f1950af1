"""The page of a comparison in a real browser: it loads, finds, opens, and everyone can use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import headless
from playwright.sync_api import Browser, Page
from samples import COLON, Word

from promptkit import Comparison, Example, FakeModel, Store, Task, Template, compare, load_task

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

HOSTILE = [
    "</script><script>document.title = 'broken'</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} ${7 * 7}",
    "line\u2028separator\u2029here",
    "right\u202eto\u2066left\u2069",
    "zero\u200bwidth\u200djoiner and \ufeff",
    "nul\x00 escape\x1b bell\x07",
    "שלום עולם and مرحبا",
    "tabs\tand\nnew\r\nlines  and   spaces",
    "&amp; \" ' ` <b>",
]

TURNS = Template(
    "{% system %}{{ task.instruction }}{% endsystem %}\n{% example %}\n"
    "{% user %}{{ input.word }}{% enduser %}\n{% assistant %}{{ output }}{% endassistant %}\n"
    "{% endexample %}\n",
    "turns",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with headless() as browser:
        yield browser


class Looked:
    """A page that is open, and what the browser had to say about it."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.requested: set[str] = set()
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requested.add(request.url.split("#")[0]))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("#explorer:not([hidden])")
        self.file = file

    def __enter__(self) -> Page:
        return self.page

    def __exit__(self, *_: object) -> None:
        assert self.said == []
        assert self.requested <= {self.file.as_uri(), "about:blank"}
        self.context.close()


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    task = load_task(ROOT / "examples" / "fruit")
    templates = ["arrow.j2", "chat.j2"]
    result = compare(
        task, models=[FakeModel()], templates=templates, shots=[0, 1, 4], seeds=2, store=Store()
    )
    return result, result.save(tmp_path_factory.mktemp("fruit")) / "report.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    options = Literal["</script>", "[/]<b>", "\u202eright"]
    task = Task[Word, options](
        name="</title><script>",
        instruction="</script> & <",
        demos=[
            Example(input=Word(word=f"{i} {word}"), output="[/]<b>")
            for i, word in enumerate(HOSTILE)
        ],
        tests=[Example(input=Word(word=word), output="</script>") for word in HOSTILE],
    )
    model = FakeModel()
    model.identity = replace(model.identity, name="</script>\udc80<u>")  # a path may be no text
    models = [model]
    result = compare(
        task, models=models, templates=[COLON, TURNS], shots=[0, 2], seeds=2, store=Store()
    )
    return result, result.save(tmp_path_factory.mktemp("hostile")) / "report.html"


def count(page: Page) -> str:
    return page.locator("#count").inner_text()


def test_it_finds_items(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    result, file = fruit
    with Looked(chromium, file) as page:
        assert count(page) == "51 queries"
        assert page.locator(".row").count() == 50
        assert page.locator("#pager").is_visible()
        page.get_by_label("Search").fill("MELON")
        names = page.locator(".row .asked").all_inner_texts()
        assert names
        assert all("melon" in name for name in names)
        assert count(page) == f"{len(names)} of 51 queries"
        page.get_by_role("button", name="Clear").click()
        assert count(page) == "51 queries"

        page.get_by_role("checkbox", name="wrong").check()
        wrong = {p.id for p in result.predictions if not p.correct}
        assert found(page) == len(wrong)
        page.get_by_role("combobox", name="Shots").select_option("1 shot")
        wrong = {p.id for p in result.predictions if not p.correct and p.shots == 1}
        assert found(page) == len(wrong)
        page.get_by_role("combobox", name="Gold label").select_option("pome")
        golds = {p.id for p in result.predictions if p.gold == "pome"}
        assert found(page) == len(wrong & golds)
        page.get_by_role("button", name="Clear").click()

        page.get_by_role("checkbox", name="low margin").check()
        close = {p.id for p in result.predictions if p.near_tie or (p.margin or 0) < 0.1}
        assert found(page) == len(close)
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("combobox", name="Order").select_option("least margin first")
        least = min(p.margin or 0 for p in result.predictions)
        first = page.locator(".row .asked").first.inner_text()
        margins = [p.margin or 0 for p in result.predictions if p.input["name"] == first]
        assert min(margins) == pytest.approx(least, abs=0.001)
        page.get_by_label("Search").fill("nothing is called this")
        assert (count(page), page.locator(".row").count()) == ("0 of 51 queries", 0)


def found(page: Page) -> int:
    return int(count(page).split(" ")[0])


def test_changed_with_the_shots(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    result, file = fruit
    with Looked(chromium, file) as page:
        page.get_by_role("combobox", name="Cell").select_option("arrow.j2")
        page.get_by_role("checkbox", name="changed with shots").check()
        moved = 0
        for id in {p.id for p in result.predictions}:
            own = [p for p in result.predictions if p.id == id and p.template == "arrow.j2"]
            answers = [[p.label for p in own if p.shots == shots] for shots in (0, 1, 4)]
            moved += len({max(one, key=one.count) for one in answers}) > 1
        assert found(page) == moved


@pytest.mark.parametrize("of", ["fruit", "hostile"])
def test_the_prompt_is_the_exact_one(
    chromium: Browser, of: str, request: pytest.FixtureRequest
) -> None:
    result, file = request.getfixturevalue(of)
    asked = list(dict.fromkeys(p.id for p in result.predictions))
    lines = list(dict.fromkeys(p.template for p in result.predictions))
    with Looked(chromium, file) as page:
        assert page.title() == f"{result.task}: comparison"
        for number in range(min(len(asked), len(HOSTILE) if of == "hostile" else 4)):
            row = page.locator(".row").nth(number)
            row.click()
            detail = page.locator(".detail")
            for line in lines:
                detail.get_by_role("combobox", name="Cell").select_option(line)
                detail.get_by_role("combobox", name="Draw of shots").select_option("1")
                shots = max(p.shots for p in result.predictions)
                (prediction,) = [
                    p
                    for p in result.predictions
                    if (p.id, p.template, p.seed, p.shots) == (asked[number], line, 1, shots)
                ]
                prompt = result.prompts[prediction.prompt_sha256]
                shown = detail.locator(".prompt code").evaluate("code => code.textContent")
                assert utf16(shown) == utf16(prompt.text)
                detail.get_by_label("white space").check()
                shown = detail.locator(".prompt code").evaluate("code => code.textContent")
                assert utf16(shown) == utf16(prompt.text)
                assert detail.locator(".slot").evaluate("x => x.textContent") == prediction.label
                assert detail.locator(".used li").count() == shots
            row.click()
            assert detail.count() == 0


def utf16(text: str) -> str:
    """A text with its surrogates as the browser sends them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_where_text_comes_from(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    result, file = fruit
    with Looked(chromium, file) as page:
        page.locator(".row").first.click()
        detail = page.locator(".detail")
        detail.get_by_role("combobox", name="Cell").select_option("chat.j2")
        kinds = ("chat", "task", "odd", "even", "asks")
        texts = {kind: detail.locator(f".prompt .{kind}").all_inner_texts() for kind in kinds}
        first = result.predictions[0]
        assert "<|im_start|>" in "".join(texts["chat"])
        assert first.input["name"] in "".join(texts["asks"])
        assert "Name the botanical type" in "".join(texts["task"])
        assert texts["odd"]
        assert texts["even"]
        assert detail.locator(".legend span").all_inner_texts() == [
            *("chat template", "task", "shots", "query")
        ]
        for row in detail.locator(".probs tbody tr").all():
            assert row.locator("td").count() == 3
        said = detail.locator(".probs .said").all_inner_texts()
        assert len(said) == 3
        assert all(text[0] in "✓✗" for text in said)


def test_everything_by_keyboard(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    _, file = fruit
    with Looked(chromium, file) as page:
        focused = "document.activeElement.textContent.trim()"
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "Skip to the items"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == "text"
        page.keyboard.type("berry")
        names = page.locator(".row .asked").all_inner_texts()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "row":
                break
        assert names[0] in page.evaluate(focused)
        page.keyboard.press("ArrowDown")
        assert names[1] in page.evaluate(focused)
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.ariaExpanded") == "true"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SELECT"
        page.keyboard.press("ArrowUp")
        assert page.locator(".probs thead .now").inner_text() == "1 shot"
        assert page.evaluate("document.activeElement.tagName") == "SELECT"
        page.keyboard.press("Escape")
        assert page.locator(".detail").count() == 0
        assert names[1] in page.evaluate(focused)
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"


def test_an_address_names_an_item(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    result, file = fruit
    last = result.predictions[50]
    with Looked(chromium, file) as page:
        page.get_by_role("button", name="After").click()
        page.locator(".row").click()
        address = page.url
        assert address.endswith(f"#item={last.id}")
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector(".detail")
        assert page.locator(".row[aria-expanded=true] .asked").inner_text() == last.input["name"]
        assert page.locator(".row[aria-expanded=true]").is_visible()


def test_pages_of_items(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    _, file = fruit
    with Looked(chromium, file) as page:
        last = page.locator(".row .asked").last.inner_text()
        assert page.get_by_role("button", name="Before").is_disabled()
        page.get_by_role("button", name="After").click()
        assert page.locator(".row").count() == 1
        assert page.locator("#place").inner_text() == "51 to 51"
        assert page.evaluate("document.activeElement.className") == "row"
        page.get_by_role("button", name="Before").click()
        assert page.locator(".row .asked").last.inner_text() == last


@pytest.mark.parametrize(("scheme", "of"), [("light", "fruit"), ("dark", "hostile")])
def test_accessible_on_a_telephone_too(
    chromium: Browser, scheme: Any, of: str, request: pytest.FixtureRequest
) -> None:
    _, file = request.getfixturevalue(of)
    size = {"width": 360, "height": 740}
    with Looked(chromium, file, color_scheme=scheme, viewport=size) as page:
        page.locator(".row").first.click()
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_without_scripts_and_on_paper(chromium: Browser, fruit: tuple[Comparison, Path]) -> None:
    result, file = fruit
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    shown = page.locator("noscript").inner_text()
    for prediction in result.predictions:
        assert prediction.input["name"] in shown
    assert page.locator("figure svg").first.is_visible()
    assert not page.locator("#filters").is_visible()
    assert page.pdf()[:5] == b"%PDF-"
    context.close()


def test_twenty_thousand_predictions(
    chromium: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("positive", "negative", "neutral")
    options = Literal["positive", "negative", "neutral"]
    examples = [
        Example(input=Word(word=f"{i}: as good as they come, and then some"), output=labels[i % 3])
        for i in range(564)
    ]
    task = Task[Word, options](name="many", demos=examples[:64], tests=examples[64:])
    result = compare(
        task,
        models=[FakeModel()],
        templates=[COLON],
        shots=[0, 1, 2, 4, 8],
        seeds=8,
        store=Store(),
    )
    assert len(result.predictions) == 20_000
    file = result.save(tmp_path) / "report.html"
    assert file.stat().st_size < 2_000_000
    with Looked(chromium, file) as page:
        ready = page.evaluate("performance.now()")
        typed = page.evaluate(
            """() => {
              const box = document.querySelector("[name=text]");
              const start = performance.now();
              box.value = "50";
              box.dispatchEvent(new Event("input", { bubbles: true }));
              document.querySelector("#list").getBoundingClientRect();
              return performance.now() - start;
            }"""
        )
        assert 0 < found(page) < 500
        page.get_by_role("button", name="Clear").click()
        page.locator(".row").first.click()
        assert page.evaluate("document.querySelectorAll('*').length") < 3000
    with capsys.disabled():
        size = file.stat().st_size / 1e6
        print(
            f"\n20,000 predictions: {size:.1f} MB, {ready:.0f} ms to look, {typed:.0f} ms to find"
        )
