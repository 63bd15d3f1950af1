"""`docs/lint.md`, made from the rules: `python tests/support/lint_page.py > docs/lint.md`."""

from __future__ import annotations

import sys

from lint_examples import EXAMPLES, LintExample

from promptkit.linting.catalogue import RULES
from promptkit.linting.findings import Rule

_INTRODUCTION = """\
# Lint rules

`promptkit lint TASK` checks the task's template, the others in its `templates/` that no template
loads, the labels and the rows, without a model; `--model M` also checks them as tokens.
Every finding has a place (`file:line:column`), the reason and what to do. The command exits with 0
when there is nothing above a note, with 1 when there is an error or a warning, and with 2 when the
task cannot be checked. `--ignore RULE` leaves a rule out, and so does the comment
`{# lint: ignore RULE #}` for its own template. `--json FILE` writes everything for machines.
In Python, [`promptkit.lint`](api/templates.md#promptkit.lint) returns the findings.

`compare`, `check` and `optimise` lint the task and its templates first, without a model: they
refuse errors, report warnings in a line, and count them among the warnings of the result. Rows are
compared with one another there only where they are 1,000 or fewer. `--no-lint`, or `lint=False` in
Python, skips all of this.

An error is certainly wrong: the template does not render, or measures nothing. A warning is most
likely wrong. `--fix` makes the changes of a template that need no second thought (marked *fix*),
shows them as a diff, and never changes data or a built-in template. What a template prints is found
by rendering it: shots and query are given the same input, so that all but the answer must be the
same. In the examples ⏎ is a newline, → a tab and ␍ a carriage return.
"""
_VISIBLE = str.maketrans(
    {
        "\n": "⏎",
        "\t": "→",
        "\r": "␍",
        "|": "\\|",
        **{char: f"⟨U+{ord(char):04X}⟩" for char in "\u200b\u200d\u0301"},
    }
)


def page() -> str:
    """The whole page."""
    plain = [rule for rule in RULES if not rule.needs_model]
    model = [rule for rule in RULES if rule.needs_model]
    return "\n".join([_INTRODUCTION, *_table(plain), "", "## With a model", "", *_table(model), ""])


def _table(rules: list[Rule]) -> list[str]:
    head = ["| rule | severity | why | such as |", "|---|---|---|---|"]
    return head + [_line(rule) for rule in rules]


def _line(rule: Rule) -> str:
    severity = f"{rule.severity}, *fix*" if rule.fixable else rule.severity
    reason = rule.reason.replace("|", "\\|")
    return f"| `{rule.id}` | {severity} | {reason} | {_shown(EXAMPLES[rule.id])} |"


def _shown(example: LintExample) -> str:
    """Return the difference of the bad example from the good one."""
    bad, good = example
    said = f"labels = {bad.labels}" if bad.labels is not None else bad.output
    parts = [said]
    if said is None or bad.template is not None:
        parts = [_different(bad.template, good.template), _different(bad.demos, good.demos)]
    elif (bad.labels, bad.output) == (good.labels, good.output):
        parts += [b for b, g in ((bad.demos, good.demos), (bad.tests, good.tests)) if b != g]
    shown = [part.translate(_VISIBLE) for part in parts if part]
    return "<br>".join(f"`{_short(part)}`" for part in shown)


def _different(bad: str | None, good: str | None) -> str | None:
    if bad is None or bad == good:
        return None
    known = (good or "").splitlines()
    lines = [line for line in bad.splitlines(keepends=True) if line.rstrip("\n") not in known]
    text = "".join(lines) or bad.splitlines(keepends=True)[-1]
    return text if text.endswith(" \n") or not lines else text.rstrip("\n")


def _short(text: str, limit: int = 90) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


if __name__ == "__main__":
    sys.stdout.write(page())
