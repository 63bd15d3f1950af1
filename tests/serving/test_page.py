"""The page of a service in a real browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import headless
from playwright.sync_api import Page
from serving import EXAMPLE, started

import promptkit as pk

pytestmark = [pytest.mark.model, pytest.mark.slow]


def test_an_input_is_tried_out(smollm2: Any, tmp_path: Path) -> None:
    """What the page shows is what the route answers, and nothing comes from elsewhere."""
    task = pk.load_task(EXAMPLE)
    own = pk.Predictor(task, pk.Template.of(task), smollm2, shots=2)
    file = pk.freeze(own, tmp_path / "fruit.promptkit")
    words = ["serve", str(file), "--port", "0", "--threads", "1"]
    with started([sys.executable, "-m", "promptkit", *words]) as server, headless() as browser:
        said: list[str] = []
        requested: list[str] = []
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(server.address)  # which leads to the page
        shown = tried(page, {"name": "lemon"})
        wanted = server.post({"name": "lemon"}).json()
    assert said == []
    assert {url for url in requested if not url.startswith((server.address, "data:"))} == set()
    assert shown["label"] == wanted["label"]
    assert shown["probs"] == pytest.approx(wanted["probs"], abs=0.02)
    assert shown["predictor"] == wanted["predictor"]


def tried(page: Page, data: Any) -> Any:
    """Send an input by the page; return the answer that it shows."""
    route = page.locator("#operations-default-predict")
    route.locator(".opblock-summary-control").click()
    route.locator("textarea.body-param__text").fill(json.dumps(data))
    route.locator("button.execute").click()
    response = route.locator(".live-responses-table .response")
    response.wait_for(timeout=60_000)
    assert response.locator(".response-col_status").inner_text().startswith("200")
    return json.loads(response.locator("pre code").first.inner_text())
