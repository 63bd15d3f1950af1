"""The audit's section of a page: its figures, and hostile names in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from card_page import HOSTILE
from comparisons import compared
from samples import parity_task

import promptkit as pk
from promptkit.auditing.audit_blocks import audit_blocks
from promptkit.auditing.audit_section import audit_page, audit_section
from promptkit.auditing.prompt_bias import prompt_bias
from promptkit.auditing.swaps import swap_audit
from promptkit.tasks.examples import Example

EXAMPLES = Path(__file__).parents[2] / "examples"
TAGS = {"a", "script", "img", "iframe", "b"}


def grouped_task(name: str) -> pk.Task[Any, Any]:
    """Tests of two groups of 24 each, one of the given name."""
    task = parity_task(asked=1)
    rows = [
        Example(
            input=type(task.tests[0].input)(word="t" * (2 + n)),
            output="odd" if n % 2 else "even",
            metadata={"who": name if n < 24 else "others"},
        )
        for n in range(48)
    ]
    return parity_task(tests=rows)


def audited(name: str = "some") -> pk.Audit:
    task = grouped_task(name)
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    return pk.audit(prompt, groups=["who"], positive="odd", subgroups="who", store=pk.Store())


def test_a_page_has_the_figures_of_the_audit() -> None:
    found = audited()
    page = audit_page(found)
    assert "Content-Security-Policy" in page
    assert "<script" not in page
    for block in audit_blocks(found):
        assert f"<h3>{block.title}</h3>" in page
        assert all(f">{cell}<" in page.replace("\xa0", " ") for cell in block.rows[0] if cell)
    assert page.count("<figure>") == 4
    labels = re.findall('role="img" aria-label="([^"]*)"', page)
    assert labels[0].startswith("accuracy by who. some (24 queries): ")
    assert "no gap found is not proof of none" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_of_groups_stay_texts(text: str) -> None:
    name = text.encode("utf-8", "replace").decode()
    found = replace(audited(name), predictor=name, task=name)
    page = audit_page(found)
    assert not {*re.findall(r"<([a-z]+)", page)} & TAGS
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert not re.search(r'="[^"]*"\s+on\w+=', page)
    card = pk.card(grouped_task(name)).facts
    text = pk.Card(replace(card, audit=found)).markdown
    assert "<script" not in text
    assert "\x1b" not in text


def swapped(name: str) -> pk.Audit:
    """An audit of swaps of two terms, one of them hostile, in two sentences."""
    task = pk.load_task(EXAMPLES / "remarks")

    def answer(prompt: pk.Prompt) -> str:
        return "negative" if "Ann" in prompt.text else "positive"

    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(answer))
    rows = [task.as_query({"remark": f"{{who}} is {word}."}) for word in ("here", "late", "there")]
    made = swap_audit(prompt, task, swaps={"who": ["Ann", name]}, rows=rows)
    return replace(audited(), groups=None, unintended=(), swaps=made)


def test_a_page_has_the_swaps_and_what_they_cannot_show() -> None:
    found = swapped("Ben")
    page = audit_page(found)
    assert "<h3>Swaps of who</h3>" in page
    assert "<h3>The worst items</h3>" in page
    assert "100\xa0%" in page
    assert page.count("<figure>") == 2
    assert "A swap is a diagnostic, not proof" in page
    assert "{who} is here." in page


def test_a_page_has_what_the_prompt_leans_to() -> None:
    task = grouped_task("<b>some</b>")
    prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=2)
    lean = prompt_bias(prompt, task, groups="who", draws=3, store=pk.Store())
    page = audit_page(replace(audited(), groups=None, unintended=(), prompt=lean))
    for title in ("Lean of the prompt", "By the label of the last shot", "Shots that all have one"):
        assert f"<h3>{title}" in page
    assert "&lt;b&gt;some" in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "\x1b[2J", "\u202ead", "a|b"])
def test_hostile_terms_stay_texts(text: str) -> None:
    found = swapped(text)
    page = audit_page(found)
    assert not {*re.findall(r"<([a-z]+)", page)} & TAGS
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)
    card = pk.Card(replace(pk.card(grouped_task("some")).facts, audit=found)).markdown
    assert "<script" not in card
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", card)


def test_the_page_of_a_run_shows_the_audit_beside_it(run: Any, here: Path) -> None:
    compared().save("run")
    shown = run("report", "run")
    assert 'id="audit"' not in Path("run/report.html").read_text("utf-8")
    audited().save("run")
    shown = run("report", "run")
    assert shown.code == 0
    page = Path("run/report.html").read_text("utf-8")
    assert str(audit_section(audited())) in page
    assert '<a href="#audit">Audit</a>' in page
    found = json.loads(Path("run/audit.json").read_text("utf-8"))
    Path("run/audit.json").write_text(json.dumps(found | {"format": 99}), "utf-8")
    assert run("report", "run").code == 2


def test_the_command_writes_a_page(run: Any, here: Path) -> None:
    pk.save_task(grouped_task("some"), "parity", "csv")
    pk.freeze(
        pk.Predictor(
            pk.load_task("parity"), pk.Template.of(pk.load_task("parity")), pk.FakeModel()
        ),
        "parity.promptkit",
    )
    missing = run("audit", "parity.promptkit", "--groups", "who", "--page", "no/such/audit.html")
    assert missing.code == 2
    assert "--page" in missing.err


def test_a_card_takes_the_audit_beside_a_student(tmp_path: Path) -> None:
    found = audited()
    found.save(tmp_path)
    result = compared(task=grouped_task("some"), limit=4)
    card = pk.card(result, task=grouped_task("some"), audit=tmp_path)
    assert "audit" not in {one.what for one in card.not_stated}
    assert "### Groups by who, positive: odd" in card.markdown
    assert "of another model" not in card.markdown
    other = pk.Card(replace(card.facts, audit=replace(found, sha256="ab" * 32)))
    assert "This audit is of another model" in other.markdown
    assert card.to_dict()["audit"]["queries"] == 48
