"""`promptkit lint` and `promptkit.lint`: what they say, change and refuse."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import lint_page
import pytest
from command_line import Run
from lint_cases import Case, write_case
from lint_examples import EXAMPLES
from pydantic import BaseModel

from promptkit import Example, Task, lint
from promptkit.errors import TaskError
from promptkit.linting.catalogue import RULES
from promptkit.linting.characters import invisible, mixed
from promptkit.linting.findings import Rule
from promptkit.linting.fixes import fix
from promptkit.linting.show import MOST
from promptkit.tasks.near_duplicates import near_pairs, normalised

ROOT = Path(__file__).parents[2]
BLOCK = "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"


@pytest.fixture
def run(run: Run) -> Run:
    """Runs `promptkit lint`."""
    return partial(run, "lint")


# --- comments -------------------------------------------------------------------------------------


def test_a_template_leaves_rules_out_by_itself(tmp_path: Path) -> None:
    source = "{# lint: ignore tab, trailing-space #}\n" + BLOCK.replace(": {{ o", "\t: is \n{{ o")
    task = write_case(Case(source.partition("\n")[2]), tmp_path / "bare")
    assert {"tab", "trailing-space"} <= {finding.rule for finding in lint(task)}
    task = write_case(Case(source), tmp_path / "task")
    assert {"tab", "trailing-space"}.isdisjoint(finding.rule for finding in lint(task))
    other = task / "templates" / "other.j2"
    other.write_text("{#- lint: ignore tab -#}\n" + source.partition("\n")[2], encoding="utf-8")
    left = [f.rule for f in lint(task, templates=[other])]
    assert "trailing-space" in left
    assert "tab" not in left


def test_a_comment_speaks_for_the_file_that_it_stands_in(tmp_path: Path) -> None:
    task = write_case(Case("{% include '_head.j2' %}" + BLOCK), tmp_path / "task")
    head = task / "templates" / "_head.j2"
    head.write_text("a\tb\n", encoding="utf-8")
    assert [f.rule for f in lint(task) if f.rule == "tab"] == ["tab"]
    head.write_text("{# lint: ignore tab #}\na\tb\n", encoding="utf-8")
    assert not [f.rule for f in lint(task) if f.rule == "tab"]


def test_a_comment_with_a_rule_that_there_is_not(run: Any, tmp_path: Path) -> None:
    task = write_case(Case("\n{# lint: ignore tabs #}\n" + BLOCK), tmp_path / "task")
    ran = run(task)
    assert ran.code == 2
    assert "prompt.j2:2: unknown rule 'tabs'; did you mean 'tab'?" in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("what", ["{{ " + "(" * 3000, "{% if 1 %}" * 900, "{{ " + "9" * 6000])
def test_a_template_that_no_parser_takes(what: str, tmp_path: Path) -> None:
    task = write_case(Case(what + BLOCK), tmp_path / "task")
    assert [f.rule for f in lint(task)] == ["syntax"]


def test_a_table_of_many_columns(tmp_path: Path) -> None:
    task = write_case(Case(BLOCK), tmp_path / "task")
    more = ",".join(f"c{number}" for number in range(30_000))
    rows = [f"{name},{label},{more}" for name, label in (("name", "output"), ("boar", "mammal"))]
    (task / "demos.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    assert "bad-row" not in {finding.rule for finding in lint(task)}
    (task / "demos.csv").write_text(f"{rows[0]},c7\n{rows[1]},x\n", encoding="utf-8")
    (finding,) = (finding for finding in lint(task) if finding.rule == "bad-row")
    assert finding.message == "c7: the header repeats this column"


def test_a_template_that_is_a_pipe_or_a_folder(run: Any, tmp_path: Path) -> None:
    task = write_case(Case(BLOCK), tmp_path / "task")
    os.mkfifo(tmp_path / "pipe.j2")
    (tmp_path / "folder.j2").mkdir()
    for name in ("pipe.j2", "folder.j2"):
        ran = run(task, "--template", tmp_path / name)
        assert ran.code == 2
        assert "this is a folder or a device, not a file" in ran.err


# --- the command ----------------------------------------------------------------------------------


def test_nothing_to_find_is_said_in_two_words(run: Any) -> None:
    ran = run(ROOT / "examples" / "fruit")
    assert (ran.code, ran.out, ran.err) == (0, "no findings\n", "")


def test_a_finding_has_a_place_a_reason_and_a_fix(run: Any, tmp_path: Path) -> None:
    task = write_case(Case(BLOCK.replace("name", "nmae")), tmp_path / "task")
    ran = run("task")
    assert ran.code == 1
    place = Path("task") / "templates" / "prompt.j2"
    assert ran.out.splitlines() == [
        f"{place}:2:10: error unknown-field",
        "  input has no field 'nmae'",
        "  fix: did you mean 'name'?",
        "1 error",
    ]
    absolute = run(task.resolve())
    assert absolute.out == ran.out


def test_json_has_everything(run: Any, tmp_path: Path) -> None:
    write_case(Case(BLOCK.replace(": ", ":\t"), demos="wolf ,mammal\n"), tmp_path / "task")
    ran = run("task", "--json", "-")
    found = json.loads(ran.out)["findings"]
    assert ran.code == 1
    assert [(f["rule"], f["severity"], f["line"], f["column"], f["fixable"]) for f in found] == [
        ("padded-value", "warning", 14, 1, False),
        ("tab", "warning", 2, 18, True),
    ]
    assert all(f["message"] and f["fix"] for f in found)
    run("task", "--json", "out.json")
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["findings"] == found


def test_notes_are_no_failure(run: Any, tmp_path: Path) -> None:
    (rule,) = [rule for rule in RULES if rule.id == "label-untested"]
    write_case(EXAMPLES[rule.id].bad, tmp_path / "task")
    ran = run("task")
    assert ran.code == 0
    assert "note label-untested" in ran.out
    assert ran.out.endswith("1 note\n")


def test_a_rule_may_be_left_out(run: Any, tmp_path: Path) -> None:
    write_case(Case(BLOCK.replace(": ", ":\t")), tmp_path / "task")
    assert run("task", "--ignore", "tab").code == 0
    ran = run("task", "--ignore", "tabs")
    assert ran.code == 2
    assert ran.err == "error: unknown rule 'tabs'; did you mean 'tab'?\n"


def test_what_is_no_task_is_refused(run: Any, tmp_path: Path) -> None:
    assert run("nowhere").code == 2
    write_case(Case(), tmp_path / "task")
    ran = run("task", "--template", "nothing.j2")
    assert ran.code == 2
    assert "unknown template 'nothing.j2'; choose one of: " in ran.err
    (tmp_path / "task" / "task.toml").write_text("name = 3\n", encoding="utf-8")
    assert run("task").code == 2


def test_a_template_that_the_task_names_in_vain_is_a_finding(run: Any, tmp_path: Path) -> None:
    task = write_case(Case(), tmp_path / "task")
    spec = task / "task.toml"
    spec.write_text(spec.read_text("utf-8").replace('"prompt.j2"', '"promt.j2"'), "utf-8")
    line = spec.read_text("utf-8").split("\n").index('template = "promt.j2"') + 1
    (found,) = lint(task)
    assert (found.rule, found.file, found.line) == ("missing-template", str(spec), line)
    assert "prompt.j2" in found.message
    ran = run("task", "--template", "templates/nowhere.j2")
    assert ran.code == 2
    assert ran.err.startswith("error: templates/nowhere.j2: No such file")


def test_the_instruction_is_text_like_any_other(tmp_path: Path) -> None:
    task = write_case(Case(), tmp_path / "task")
    spec = task / "task.toml"
    source = spec.read_text("utf-8").replace("of each animal.", "of each аnimal.\u200b ")
    spec.write_text(source, encoding="utf-8")
    found = lint(task)
    line = next(i for i, text in enumerate(source.split("\n"), 1) if text.startswith("instr"))
    assert {(f.rule, f.line) for f in found} == {
        ("padded-value", line),
        ("invisible-character", line),
        ("mixed-scripts", line),
    }


def test_many_findings_of_a_rule_are_counted(run: Any, tmp_path: Path) -> None:
    rows = "".join(f" n{number},mammal\n" for number in range(MOST + 5))
    write_case(Case(demos=rows), tmp_path / "task")
    ran = run("task", "--ignore", "imbalance")
    assert ran.out.count("warning padded-value") == MOST
    assert "… and 5 more of padded-value" in ran.out
    assert ran.out.endswith(f"{MOST + 5} warnings\n")


def test_a_task_in_a_module_is_checked(run: Any, tmp_path: Path) -> None:
    (tmp_path / "lint_me.py").write_text(
        "from pydantic import BaseModel\nimport promptkit as pk\n"
        "class In(BaseModel):\n    name: str\n"
        "task = pk.Task[In, bool](name='t', demos=[\n"
        "    pk.Example(input=In(name='owl '), output=True),\n"
        "    pk.Example(input=In(name='cod'), output=False)])\n",
        encoding="utf-8",
    )
    ran = run("lint_me:task")
    assert ran.out.startswith("demos[0]: warning padded-value\n")


# --- fixes ----------------------------------------------------------------------------------------

FAULTS = {
    "tab": BLOCK.replace(": ", ":\t"),
    "carriage-return": BLOCK.replace("\n", "\r\n"),
    "trailing-space": BLOCK.replace("output }}", "output }}  "),
    "space-before-answer": BLOCK.replace(": {{", ":   {{"),
    "no-separator": BLOCK.replace("}}\n{% end", "}}{% end"),
    "invisible-character": BLOCK.replace(": {{", "\u200b:\u00a0{{"),
    "stray-joiner": BLOCK.replace(": {{", "\u200d: {{"),
    "final-newline": "{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n"
    "{% endfor %}\n{{ query.name }}:\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", FAULTS)
def test_what_can_be_fixed_safely_is_fixed(rule: str, run: Any, tmp_path: Path) -> None:
    task = write_case(Case(FAULTS[rule]), tmp_path / "task")
    before = {path: path.read_bytes() for path in task.glob("*.*")}
    assert [f.rule for f in lint(task)] == [rule] * len(lint(task)) != []
    ran = run("task", "--fix")
    assert ran.code == 0
    assert ran.out == "no findings\n"
    assert re.search(r"^--- .*prompt\.j2\n\+\+\+ .*prompt\.j2\n@@", ran.err)
    fixed = (task / "templates" / "prompt.j2").read_bytes().decode()
    assert fixed == (FAULTS[rule][:-1] if rule == "final-newline" else BLOCK)
    assert {path: path.read_bytes() for path in task.glob("*.*")} == before


def test_rules_say_which_of_them_can_be_fixed() -> None:
    assert {rule.id for rule in RULES if rule.fixable} == set(FAULTS)


def test_several_faults_are_fixed_one_after_another(run: Any, tmp_path: Path) -> None:
    source = "\ufeff" + BLOCK.replace(": {{", ":\t{{").replace("}}\n", "}} \t\n")
    task = write_case(Case(source.replace("\n", "\r\n")), tmp_path / "task")
    assert run("task", "--fix").code == 0
    fixed = (task / "templates" / "prompt.j2").read_text("utf-8")
    assert fixed == "\ufeff" + BLOCK


def test_a_space_that_keeps_a_newline_is_left_to_a_person(tmp_path: Path) -> None:
    task = write_case(Case(BLOCK.replace("{% example %}", "{% example %} ")), tmp_path / "task")
    (found,) = lint(task)
    assert (found.rule, found.edits) == ("trailing-space", ())
    assert "keeps the newline" in found.message


def test_built_in_templates_are_not_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = write_case(Case(FAULTS["tab"]), tmp_path / "task")
    monkeypatch.setattr("promptkit.linting.fixes.BUILT_IN", task / "templates")
    assert fix(lint(task)) == {}


# --- data -----------------------------------------------------------------------------------------


def test_every_bad_row_has_its_line(tmp_path: Path) -> None:
    rows = "wolf,mamal\nwolf\nbat,\n"
    task = write_case(Case(demos=rows), tmp_path / "task")
    assert {(f.rule, f.line) for f in lint(task)} == {
        *(("bad-row", line) for line in (14, 15, 16)),
    }


def test_a_template_is_checked_although_rows_do_not_fit(tmp_path: Path) -> None:
    case = Case(BLOCK.replace("name", "nmae"), demos="wolf,mamal\n")
    assert {f.rule for f in lint(write_case(case, tmp_path / "task"))} == {
        "bad-row",
        "unknown-field",
    }


def test_a_table_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    task = write_case(Case(), tmp_path / "task")
    (task / "demos.csv").write_bytes(b"name,output\n\xff,bird\n")
    (found,) = [f for f in lint(task) if f.rule == "bad-row"]
    assert (Path(found.file or "").name, found.line) == ("demos.csv", 2)


def test_near_duplicates_say_where_the_first_one_is(tmp_path: Path) -> None:
    case = Case(demos="Owl!,fish\nDOG,fish\nsalmon ,fish\n")
    found = [f for f in lint(write_case(case, tmp_path / "task")) if f.rule == "near-repeat"]
    messages = {f.line: f.message for f in found if Path(f.file or "").name == "demos.csv"}
    assert messages[15].endswith("with 'mammal' there and 'fish' here")
    assert "demos.csv:3" in messages[16]
    (leak,) = [f for f in found if Path(f.file or "").name == "tests.csv"]
    assert leak.message.endswith("a demonstration that its shots leave out")
    spec = tmp_path / "task" / "task.toml"
    spec.write_text('near_duplicates = "allow"\n' + spec.read_text("utf-8"), "utf-8")
    found = [f for f in lint(tmp_path / "task") if f.rule == "near-repeat"]
    assert {Path(f.file or "").name for f in found} == {"demos.csv"}


def test_rows_without_repeats_in_the_task_file_are_left_out(tmp_path: Path) -> None:
    task = write_case(Case(demos="dog,mammal\nowl,bird\n"), tmp_path / "task")
    spec = task / "task.toml"
    spec.write_text(spec.read_text("utf-8") + 'repeats = "drop"\n', encoding="utf-8")
    assert lint(task) == ()


LONG = (
    "A small committee of volunteers met on Tuesday evening to discuss how the old mill by the "
    "river could be turned into a place where children learn about grain, bread and machines."
)


def test_long_texts_that_are_nearly_the_same_are_paired() -> None:
    others = [
        LONG[:90] + "sold to whoever pays the most for it, since nobody else wanted the house.",
        "Nobody came to the meeting about the mill, which is why it stands empty to this day.",
    ]
    texts = [LONG, *others, LONG.replace("Tuesday ", ""), LONG.upper() + "!"]
    assert set(near_pairs([normalised(text) for text in texts])) == {(0, 3), (0, 4)}


def test_many_texts_alike_are_each_paired_once() -> None:
    words = ["".join(letters) for letters in product("abcdefg", repeat=3)][:299]
    texts = [LONG, *(LONG.replace("old mill", f"old {word} mill") for word in words)]
    pairs = list(near_pairs([normalised(text) for text in texts]))
    assert sorted(second for _, second in pairs) == list(range(1, 300))


def test_very_long_texts_are_paired_by_a_sketch() -> None:
    sentences = [f"{LONG} {number} " * 2 + str(number**7) * 9 for number in range(40)]
    text = " ".join(sentences)
    one_word = text.replace(sentences[20], sentences[20].replace("children ", ""))
    half = " ".join(sentences[:20]) + " ".join(s.swapcase()[::-1] for s in sentences[20:])
    assert list(near_pairs([normalised(t) for t in (text, half, one_word)])) == [(0, 2)]


def test_what_reckons_is_no_punctuation() -> None:
    assert normalised("3 + 5 = ?") != normalised("3 - 5 = ?")
    assert normalised("C#") != normalised("C++")
    assert normalised("सेब।") == normalised(" सेब ")
    assert normalised("ｆｉｇ") == normalised("FIG!")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "plain",
            "naïve café",
            "« bonjour\u00a0»",
            "Vraiment\u202f?",
            "10\u00a0000 km",
            "क्\u200dष",
        ),
        *(
            "می\u200cخواهم",
            "שלום\u200f (abc)",
            "❤\ufe0f",
            "👩\u200d🔬",
            "1\ufe0f\u20e3",
            "tab\tand\nline",
        ),
    ],
)
def test_characters_that_belong_where_they_are(text: str) -> None:
    assert list(invisible(text)) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wo\u200blf", "U+200B zero width space"),
        ("so\u00adft", "U+00AD soft hyphen"),
        ("\ufefffirst", "U+FEFF zero width no-break space"),
        ("a\u00a0b", "U+00A0 no-break space"),
        ("a\u200db", "U+200D zero width joiner"),
        ("a\u200eb", "U+200E left-to-right mark"),
        ("a\x00b", "U+0000 control character"),
        ("a\x85b", "U+0085 control character"),
    ],
)
def test_characters_that_nobody_sees(text: str, name: str) -> None:
    assert [found for _, found in invisible(text)] == [name]


def test_words_of_two_alphabets() -> None:
    assert [word for _, word, _ in mixed("a wоlf and a волк, a vоlk")] == ["wоlf", "vоlk"]
    for text in ("μm", "β-carotene", "Tシャツ", "東京Tower", "सेब apple", "волк wolf", "naïve"):
        assert list(mixed(text)) == []


# --- from Python ----------------------------------------------------------------------------------


class Fruit(BaseModel):
    name: str


def test_a_task_without_examples_is_checked_with_made_up_ones(tmp_path: Path) -> None:
    task = Task[Fruit, Literal["a", "b"]](name="empty", instruction="Sort.")
    assert lint(task) == ()
    path = tmp_path / "prompt.j2"
    path.write_text("{{ query.name }}:", encoding="utf-8")
    assert [f.rule for f in lint(task, templates=[path])] == ["shots-ignored"]


def test_generated_answers_are_checked_like_labels() -> None:
    for output, gold in ((str, "sweet"), (int, 3), (float, 0.5)):
        task = Task[Fruit, output](  # type: ignore[valid-type]
            name="open", demos=[Example(input=Fruit(name="fig"), output=gold)]
        )
        assert lint(task) == ()


def test_a_value_that_breaks_out_may_be_quoted(tmp_path: Path) -> None:
    quoted = BLOCK.replace("input.name", "input.name | tojson")
    case = Case(quoted, demos='"wolf\ndog",mammal\n')
    assert lint(write_case(case, tmp_path / "task")) == ()


def test_templates_in_the_folder_are_checked_unless_another_loads_them(tmp_path: Path) -> None:
    task = write_case(Case(), tmp_path / "task")
    folder = task / "templates"
    for name in ("base.j2", "_part.j2", "other.j2"):
        (folder / name).write_text("{{ nothing }}", encoding="utf-8")
    (folder / "child.j2").write_text(
        '{% extends "base.j2" %}\n{% block a %}{% endblock %}', encoding="utf-8"
    )
    found = {(Path(f.file or "").name, f.rule) for f in lint(task)}
    assert found == {
        ("other.j2", "unknown-name"),
        ("base.j2", "unknown-name"),
        ("child.j2", "lost-text"),
    }


def test_a_rule_that_there_is_not_is_refused() -> None:
    with pytest.raises(TaskError, match="unknown rule 'nothing'"):
        lint(ROOT / "examples" / "fruit", ignore=["nothing"])


# --- the manual -----------------------------------------------------------------------------------


def test_the_manual_is_what_the_rules_say() -> None:
    written = (ROOT / "docs" / "lint.md").read_text("utf-8")
    assert written == lint_page.page(), "python tests/support/lint_page.py > docs/lint.md"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_manual_shows_every_rule(rule: Rule) -> None:
    (line,) = [
        line for line in lint_page.page().splitlines() if line.startswith(f"| `{rule.id}` |")
    ]
    assert re.search(r"\| `[^`]+`(<br>`[^`]+`)* \|$", line)
