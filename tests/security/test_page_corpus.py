"""No page runs a script of others, even where a browser is told to ignore its policy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from browser import headless
from hostile_texts import EVIL, PAGES
from playwright.sync_api import Browser, Page
from samples import COLON, Word
from serving import started

import promptkit as pk
from promptkit.cli import app

pytestmark = pytest.mark.slow

DETECTOR = """
  window.ran = [];
  for (const name of ["alert", "confirm", "prompt", "open"])
    window[name] = (...words) => { window.ran.push(name + " " + words.join(" ")); };
"""
TOUCH = """() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  for (const one of document.querySelectorAll("*"))
    for (const kind of ["mouseover", "mouseenter", "focus", "pointerdown"])
      one.dispatchEvent(new MouseEvent(kind));
}"""


class Watched:
    """A page that notes scripts of others, dialogs, and requests to anywhere else."""

    def __init__(self, page: Page) -> None:
        self.page, self.ran, self.requested = page, list[str](), list[str]()
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.requested.append(request.url))
        page.add_init_script(DETECTOR)

    def _dialog(self, dialog: Any) -> None:
        self.ran.append(dialog.message)
        dialog.dismiss()

    def found(self) -> list[str]:
        """Return what ran so far, once everything was touched."""
        self.page.evaluate(TOUCH)
        self.page.wait_for_timeout(300)
        frames = [frame.evaluate("window.ran || []") for frame in self.page.frames]
        elsewhere = [url for url in self.requested if url.startswith((EVIL, "http://x"))]
        return [*self.ran, *(one for ran in frames for one in ran), *elsewhere]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with headless() as browser:
        yield browser


@contextmanager
def watched(browser: Browser, *, policy: bool = False) -> Iterator[Watched]:
    context = browser.new_context(bypass_csp=not policy)
    try:
        yield Watched(context.new_page())
    finally:
        context.close()


def loaded(name: str = "", **more: Any) -> pk.FakeModel:
    return pk.FakeModel(name=name)


LABELS = ("</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


def hostile_task() -> pk.Task[Any, Any]:
    """A task of which every text is one of the corpus."""
    kind = Literal["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>']
    return pk.Task[Word, kind](
        name="</title><script>alert(1)</script>",
        instruction=" ".join(PAGES),
        demos=[
            pk.Example(id=f"d{i} {text}", input=Word(word=f"{i} {text}"), output=LABELS[i % 2])
            for i, text in enumerate(PAGES)
        ],
        tests=[
            pk.Example(id=f"t{i} {text}", input=Word(word=text), output=LABELS[i % 2])
            for i, text in enumerate(PAGES)
        ],
    )


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in which everything is called what one would not like."""
    names = ("<script>alert(1)</script>", '" onmouseover="alert(1)')
    templates = [pk.Template(COLON.source, name) for name in names]
    models = [pk.FakeModel(name=f"{name}<svg onload=alert(1)>") for name in names]
    result = pk.compare(
        hostile_task(),
        models=models,
        templates=templates,
        shots=[0, 2],
        seeds=2,
        calibrations="all",
        store=pk.Store(),
    )
    return result.save(tmp_path_factory.mktemp("runs") / "hostile")


@pytest.mark.parametrize("text", PAGES[:1] + PAGES[9:10] + PAGES[16:17] + PAGES[27:28])
def test_the_detector_sees_a_script(text: str, chromium: Browser) -> None:
    with watched(chromium) as seen:
        seen.page.set_content(f"<!doctype html><p>{text}</p>")
        if text.startswith("<a"):
            seen.page.locator("a").click()
        assert seen.found()


@pytest.mark.parametrize("policy", [False, True])
def test_the_page_of_a_run(policy: bool, chromium: Browser, compared: Path) -> None:
    with watched(chromium, policy=policy) as seen:
        page = seen.page
        page.goto((compared / "report.html").as_uri())
        page.wait_for_selector("#explorer:not([hidden])")
        for number in range(len(PAGES)):
            page.locator(".row").nth(number).click()
            assert page.locator(".detail").count() == 1
            page.locator(".row").nth(number).click()
        assert seen.found() == []
        assert page.locator("script").count() == 2
        assert page.locator("img, iframe, object, embed, base, form[action]").count() == 0


def test_the_page_of_a_run_has_a_policy(compared: Path) -> None:
    text = (compared / "report.html").read_text("utf-8")
    assert "Content-Security-Policy\" content=\"default-src 'none';" in text


def test_plots_as_svg(chromium: Browser, compared: Path, tmp_path: Path) -> None:
    """A browser runs the scripts of an SVG that it is given as a file; here there are none."""
    command("report", compared, "--svg", tmp_path, "--html", tmp_path / "p.html")
    plots = [*tmp_path.glob("*.svg")]
    assert plots
    for plot in plots:
        with watched(chromium) as seen:
            seen.page.goto(plot.as_uri())
            assert seen.found() == []
            assert seen.page.locator("script, foreignObject, a").count() == 0


@pytest.mark.parametrize("policy", [False, True])
def test_previews(policy: bool, chromium: Browser, tmp_path: Path) -> None:
    from promptkit.prompts import html

    task = hostile_task()
    prompts = [COLON.render(task, shots=8, query=test) for test in list(task.tests)]
    file = tmp_path / "p.html"
    file.write_text(html.html(task.name, [one.preview() for one in prompts]), "utf-8")
    assert "default-src 'none'" in file.read_text("utf-8")
    with watched(chromium, policy=policy) as seen:
        seen.page.goto(file.as_uri())
        assert seen.found() == []
        assert seen.page.locator("script, img, svg, iframe").count() == 0


def test_a_prompt_in_a_notebook(chromium: Browser) -> None:
    """There is no policy there, and all of the page's scripts beside it."""
    task = hostile_task()
    shown = [COLON.render(task, shots=8, query=test)._repr_html_() for test in task.tests]
    with watched(chromium) as seen:
        seen.page.set_content(f"<!doctype html><body>{''.join(shown)}</body>")
        assert seen.found() == []
        assert seen.page.locator("script, img, svg, iframe").count() == 0


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "[a](javascript:alert(1))"])
def test_the_page_of_a_service(name: str, chromium: Browser, tmp_path: Path) -> None:
    """What it says of a predictor was written by whoever made it."""
    table = tmp_path / f"{name}.lookup"
    pk.build_lookup([{"input": {"word": text}, "label": text} for text in PAGES], table)
    program = [sys.executable, "-m", "promptkit", "serve", str(table), "--port", "0"]
    with started(program) as server:
        for policy in (False, True):
            with watched(chromium, policy=policy) as seen:
                asked(seen.page, server.address)
                assert seen.found() == []
                links = [one.get_attribute("href") or "" for one in seen.page.locator("a").all()]
                assert not [link for link in links if link.startswith("javascript")]
        policies = server.get("/docs").headers["content-security-policy"]
        assert "script-src 'self'" in policies


def asked(page: Page, address: str) -> None:
    """Open all that the page of a service has, and send an input by it."""
    page.goto(f"{address}/docs")
    page.wait_for_selector(".opblock", timeout=60_000)
    for block in page.locator(".opblock-summary-control").all():
        block.click()
    route = page.locator("#operations-default-predict")
    route.locator("textarea.body-param__text").fill(json.dumps({"word": PAGES[9]}))
    route.locator("button.execute").click()
    route.locator(".live-responses-table .response").wait_for(timeout=60_000)


def written_task(folder: Path) -> Path:
    """A task folder in which every text is one of the corpus, with groups."""
    folder.mkdir()
    for part in ("demos", "tests"):
        made = [
            {"word": f"{part} {text}", "output": LABELS[i % 2], "group": PAGES[i % 2]}
            for i, text in enumerate(PAGES)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in made)
        (folder / f"{part}.jsonl").write_text(lines, "utf-8")
    (folder / "task.toml").write_text(
        f"name = {json.dumps(PAGES[0])}\ninstruction = {json.dumps(' '.join(PAGES))}\n\n"
        f'[input]\nword = "str"\n\n[output]\nlabels = {json.dumps(LABELS)}\n\n'
        '[files]\ndemos = "demos.jsonl"\ntests = "tests.jsonl"\n',
        "utf-8",
    )
    return folder


def command(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        app([*map(str, words)])
    assert not ended.value.code


def test_the_page_of_an_audit_and_a_card(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card is Markdown, which hubs show as a page; HTML in it is text."""
    import markdown

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pk, "load_model", loaded)
    task = written_task(tmp_path / "task")
    said = ("--groups", "group", "--shots", 2, "--model", PAGES[0], "--page", "p.html")
    command("audit", task, *said, "--out", "audit")
    command("card", task, "--audit", "audit", "--out", "card.md")
    card = (tmp_path / "card.md").read_text("utf-8").split("\n---\n", 1)[1]
    shown = markdown.markdown(card, extensions=["fenced_code", "tables"])
    (tmp_path / "card.html").write_text(f"<!doctype html><body>{shown}</body>", "utf-8")
    for name in ("p.html", "card.html"):
        with watched(chromium) as seen:
            seen.page.goto((tmp_path / name).as_uri())
            assert seen.found() == []
            assert seen.page.locator("img, iframe, object, embed, base, form").count() == 0


def test_answers_are_no_pages(tmp_path: Path) -> None:
    """A browser that is sent to an address of a service shows text, and guesses no type."""
    table = tmp_path / "a.lookup"
    pk.build_lookup([{"input": {"word": text}, "label": text} for text in PAGES], table)
    from starlette.testclient import TestClient

    with TestClient(pk.service(pk.Lookup(table))) as client:
        asked = [client.post("/predict", json={"word": text}) for text in PAGES]
        asked += [client.get(f"/{text}") for text in PAGES]
        asked += [client.get(place) for place in ("/health", "/openapi.json", "/metrics")]
    for said in asked:
        assert said.headers["content-type"].split(";")[0] in ("application/json", "text/plain")
        assert said.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in said.headers["content-security-policy"]
        assert said.headers["cross-origin-resource-policy"] == "same-origin"


def test_names_of_models_that_are_no_text(chromium: Browser, tmp_path: Path) -> None:
    model = pk.FakeModel()
    model.identity = replace(model.identity, name="</script>\udc80<script>alert(1)</script>")
    result = pk.compare(hostile_task(), models=[model], shots=[0], limit=4, store=pk.Store())
    folder = result.save(tmp_path / "run")
    with watched(chromium) as seen:
        seen.page.goto((folder / "report.html").as_uri())
        seen.page.wait_for_selector("#explorer:not([hidden])")
        assert seen.found() == []
