"""Rules about scripts: joiners, normal forms, labels in bytes, and what a script costs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from lint_cases import Case, write_case
from pydantic import BaseModel

from promptkit import Task, lint
from promptkit.linting.characters import invisible
from promptkit.linting.findings import Finding
from promptkit.models.llama import LlamaModel


class Name(BaseModel):
    name: str


def of_rule(findings: tuple[Finding, ...], rule: str) -> list[Finding]:
    return [one for one in findings if one.rule == rule]


@pytest.mark.parametrize(
    "text",
    [
        *("می\u200cخواهم", "خانه\u200cها", "क्\u200dष", "र्\u200d", "র\u200d\u09cdয", "അവന്\u200d"),
        *(
            "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
            "क्\u200cष",
            "👩\u200d🔬",
            "👩🏽\u200d❤\ufe0f\u200d👨🏽",
        ),
        *("ខ្ញុំ\u200bចង់", "ฉัน\u200bอยาก"),
    ],
)
def test_joiners_that_readers_expect(text: str) -> None:
    assert [*invisible(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("wo\u200dlf", "wo\u200clf", "\u200dwolf", "wolf\u200c", "می\u200c خواهم", "फल\u200c"),
        *(
            "फल\u200c।",
            "1\u200d2",
            "волк\u200d",
            "שלום\u200c",
            "👩\u200d",
            "ก\u200cก",
            "wo\u200blf",
        ),
    ],
)
def test_joiners_that_nobody_expects(text: str) -> None:
    ((_, name),) = invisible(text)
    assert name.startswith("U+200")


def test_a_joiner_at_the_end_of_a_label_is_found(tmp_path: Path) -> None:
    case = Case(labels='["फल\u200c", "सब्ज़ी"]', demos="सेब,फल\u200c\nआलू,सब्ज़ी\n")
    (found,) = of_rule(lint(write_case(case, tmp_path / "t")), "stray-joiner")
    assert found.file is not None
    assert found.file.endswith("task.toml")
    assert "\\u200c" in found.message
    assert "U+200C zero width non-joiner" in found.message


def test_a_joiner_of_a_template_is_taken_out(tmp_path: Path) -> None:
    folder = write_case(
        Case("{% example %}\nno\u200dte {{ input.name }}: {{ output }}\n{% endexample %}\n"),
        tmp_path / "t",
    )
    (found,) = of_rule(lint(folder), "stray-joiner")
    assert (found.line, found.column) == (2, 3)
    assert found.edits


def test_a_character_in_two_forms_is_found_with_both_places(tmp_path: Path) -> None:
    case = Case(
        labels='["मीठा", "ताज़ा"]',
        demos="सेब,मीठा\nस\u095bा,ताज़ा\nज\u093cमीन,ताज\u093cा\n".replace("ताज़ा", "ताज\u093cा"),
        tests="केला,मीठा\n",
    )
    folder = write_case(case, tmp_path / "t")
    (found,) = of_rule(lint(folder), "mixed-normal-forms")
    assert found.file is not None
    assert (Path(found.file).name, found.line) == ("demos.csv", 3)
    assert "U+095B here, and U+091C U+093C in" in found.message
    for text in (folder / "demos.csv", folder / "task.toml"):
        text.write_text(text.read_text("utf-8").replace("\u095b", "\u091c\u093c"), "utf-8")
    assert of_rule(lint(folder), "mixed-normal-forms") == []


def test_labels_of_rows_are_compared_as_they_are_written(tmp_path: Path) -> None:
    """A label is read in any form, so that only lint says that it is written in two."""
    case = Case(
        labels='["caf\u00e9", "tea"]',
        demos="latte,cafe\u0301\ngreen,tea\n",
        tests="mocha,caf\u00e9\nblack,tea\n",
    )
    findings = lint(write_case(case, tmp_path / "t"))
    (found,) = of_rule(findings, "mixed-normal-forms")
    assert (found.line, found.column) == (2, 10)
    assert [one.severity for one in findings if one.severity == "error"] == []


def test_a_task_of_one_form_has_none_mixed() -> None:
    def task(*names: str) -> Task[Name, Literal["a", "b"]]:
        rows = [{"input": {"name": name}, "output": "ab"[i % 2]} for i, name in enumerate(names)]
        return Task[Name, Literal["a", "b"]](name="t", demos=rows)

    assert of_rule(lint(task("cafe\u0301", "the\u0301")), "mixed-normal-forms") == []
    (found,) = of_rule(lint(task("cafe\u0301", "th\u00e9")), "mixed-normal-forms")
    assert (found.file, found.line) == ("demos[0]", None)
    assert "demos[1]" in found.message
    jamo = task("\u1112\u1161\u11ab국", "한국")
    (found,) = of_rule(lint(jamo), "mixed-normal-forms")
    assert "U+1112 U+1161 U+11AB here, and U+D55C in demos[1]" in found.message


def test_answers_are_found_in_inputs_of_any_script(tmp_path: Path) -> None:
    case = Case(
        labels='["मछली", "पक्षी"]',
        demos="रोहू मछली है,मछली\nउल्लू पक्षी है,पक्षी\n",
        tests="हिल्सा मछली है,मछली\nमोर पक्षी है,पक्षी\n",
    )
    assert of_rule(lint(write_case(case, tmp_path / "hi")), "answer-in-input")
    case = Case(
        labels='["鱼", "鸟"]',
        demos="这条鱼很大,鱼\n那只鸟会飞,鸟\n",
        tests="河里有鱼吗,鱼\n树上有鸟,鸟\n",
    )
    assert of_rule(lint(write_case(case, tmp_path / "zh")), "answer-in-input")
    case = Case(
        labels='["फल", "बीज"]',
        demos="फलों की टोकरी,फल\nबीजों की थैली,बीज\n",
        tests="फलदार पेड़,फल\nबीजक सूची,बीज\n",
    )
    assert not of_rule(lint(write_case(case, tmp_path / "parts")), "answer-in-input")


@pytest.mark.model
def test_a_script_that_the_model_does_not_know_is_dear(tmp_path: Path, smollm2: LlamaModel) -> None:
    case = Case(labels='["फल", "bird"]', demos="सेब एक मीठा और रसीला होता है,फल\nमोर नाचता है,bird\n")
    findings = lint(write_case(case, tmp_path / "t"), model=smollm2)
    (cost,) = of_rule(findings, "costly-script")
    assert cost.severity == "warning"
    assert "Devanagari takes" in cost.message
    assert "the context of" in cost.message
    assert "times as long to read" in cost.message
    assert not of_rule(findings, "token-cost")
    (label,) = of_rule(findings, "label-bytes")
    assert "'फल'" in label.message
    assert "parts of characters" in label.message
