"""Single faults of the kinds that people make, put into a task that has none.

Each fault changes one place of a template or of the data, drawn by a seeded generator, and
returns None where the task has no such place.
"""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import nodes

from promptkit.templating.source import LexerToken, Page

Fault = Callable[[random.Random, str], str | None]
"""Changes a source: a template's, or a data file's."""

CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
INVISIBLE = ("\u200b", "\u00ad", "\ufeff", "\u2060", "\u00a0", "\u200e")
CONTROLS = ("<|im_start|>", "<|im_end|>", "</s>", "<|endoftext|>", "[INST]", "<start_of_turn>")


def typo(rng: random.Random, word: str) -> str:
    """The word with one letter dropped, doubled, swapped or replaced."""
    while True:
        at = rng.randrange(len(word))
        swapped = word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
        changed = rng.choice(
            [
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                swapped,
                word[:at] + rng.choice("aeiourtsn") + word[at + 1 :],
            ]
        )
        if changed not in ("", word) and changed.isidentifier():
            return changed


def page(source: str) -> Page:
    return Page("fault.j2", "fault.j2", source)


def replace(source: str, start: int, end: int, text: str) -> str:
    return source[:start] + text + source[end:]


# --- templates: names -----------------------------------------------------------------------------


def misspelt_name(rng: random.Random, source: str) -> str | None:
    names = [n for n in page(source).tree.find_all(nodes.Name) if n.ctx == "load"]
    if not names:
        return None
    name = rng.choice(names)
    at = name.lineno.offset  # type: ignore[attr-defined]
    return replace(source, at, at + len(name.name), typo(rng, name.name))


def misspelt_field(rng: random.Random, source: str) -> str | None:
    fields = list(page(source).tree.find_all(nodes.Getattr))
    if not fields:
        return None
    field = rng.choice(fields)
    at = source.index(field.attr, field.lineno.offset)  # type: ignore[attr-defined]
    return replace(source, at, at + len(field.attr), typo(rng, field.attr))


def defaulted_field(rng: random.Random, source: str) -> str | None:
    fields = list(re.finditer(r"\{\{ (input|query|shot\.input)\.(\w+) \}\}", source))
    if not fields:
        return None
    match = rng.choice(fields)
    text = f'{{{{ {match[1]}.{typo(rng, match[2])} | default("") }}}}'
    return replace(source, *match.span(), text)


def misspelt_filter(rng: random.Random, source: str) -> str | None:
    filters = list(page(source).tree.find_all(nodes.Filter))
    if not filters:
        return None
    chosen = rng.choice(filters)
    at = chosen.lineno.offset  # type: ignore[attr-defined]
    return replace(source, at, at + len(chosen.name), typo(rng, chosen.name))


def misspelt_tag(rng: random.Random, source: str) -> str | None:
    tags = list(re.finditer(r"\{%-? *(\w+)", source))
    if not tags:
        return None
    tag = rng.choice(tags)
    return replace(source, *tag.span(1), typo(rng, tag[1]))


def lost_delimiter(rng: random.Random, source: str) -> str | None:
    marks = list(re.finditer(r"\}\}|%\}|\{\{(?= (?:task|input|output|shot|query))|\{%", source))
    if not marks:
        return None
    mark = rng.choice(marks)
    kept = mark.group().replace("%", "")[0]
    return replace(source, mark.start(), mark.end(), kept)


def wrong_parent(rng: random.Random, source: str) -> str | None:
    named = re.search(r'\{% (?:extends|include) "(\w+)', source)
    return replace(source, *named.span(1), typo(rng, named[1])) if named else None


def wrong_block(rng: random.Random, source: str) -> str | None:
    named = re.search(r"\{% block (\w+)", source)
    if not named or "extends" not in source:
        return None
    return replace(source, *named.span(1), typo(rng, named[1]))


def answer_used(rng: random.Random, source: str) -> str | None:
    if "{% example %}" not in source or "{{ output }}" not in source:
        return None
    return source.replace(
        "{{ output }}",
        rng.choice(
            [
                "{{ output | upper }}",
                "{% if output %}{{ output }}{% endif %}",
                '{{ output ~ "." }}',
                "{{ output.upper() }}",
                '{{ "It is %s" | format(output) }}',
                "{{ output }}, not {{ output }}",
            ]
        ),
    )


# --- templates: what is shown ---------------------------------------------------------------------


def answer_in_query(rng: random.Random, source: str) -> str | None:
    if "{{ query" not in source:
        return None
    tell = [" {{ query.output }}", " {{ shots[0].output }}", " {{ shots[-1].output }}\n"]
    return source + rng.choice(tell)


def no_query(rng: random.Random, source: str) -> str | None:
    shown = list(re.finditer(r"\{\{ (?:query|input)\.\w+ \}\}|\{\{ value \}\}", source))
    shown = [match for match in shown if "shot" not in match.group()]
    if len(shown) != 1:
        return None
    return replace(source, *shown[0].span(), rng.choice(["", "it", "{{ task.name }}"]))


def no_answer(rng: random.Random, source: str) -> str | None:
    answers = re.findall(r"\{\{ (?:shot\.)?output \}\}", source)
    return source.replace(answers[0], "") if len(answers) == 1 else None


def no_shots(rng: random.Random, source: str) -> str | None:
    loop = re.search(r"\{% for shot in shots %\}.*?\{% endfor %\}\n?", source, re.DOTALL)
    if loop:
        return replace(source, *loop.span(), "")
    if "{% example %}" not in source or "{% user %}" in source:
        return None
    begin, _, block = source.partition("{% example %}\n")
    block = block.partition(" {{ output }}")[0]
    return begin + re.sub(r"\binput\b", "query", block)


# --- templates: white space -----------------------------------------------------------------------


def no_newline_between_shots(rng: random.Random, source: str) -> str | None:
    changed = re.sub(r"output \}\}\s+\{% end(example|for) %\}", r"output }}{% end\1 %}", source)
    return changed if changed != source else None


def swallowed_newline(rng: random.Random, source: str) -> str | None:
    """A tag at the end of a line takes the newline with it."""
    line = _token(rng, source, re.compile(r"(?<!\n)\n(?=[A-Z])"))
    if line is None or source[line[0] - 1] == "\n":
        return None
    return replace(source, line[0], line[0], "{% if labels %}{% endif %}")


def trailing_space(rng: random.Random, source: str) -> str | None:
    ends = [match.start() for match in re.finditer(r"(?<=[^\s])\n", source)]
    at = rng.choice(ends)
    return replace(source, at, at, rng.choice([" ", "  ", "\t"]))


def tab(rng: random.Random, source: str) -> str | None:
    token = _token(rng, source, re.compile(r"(?<=\S) (?=\S)| \Z"))
    return None if token is None else replace(source, *token, "\t")


def carriage_return(rng: random.Random, source: str) -> str | None:
    if rng.random() < 0.3:
        return source.replace("\n", "\r\n")
    ends = [match.start() for match in re.finditer(r"\n| ", source)]
    at = rng.choice(ends)
    return replace(source, at, at, "\r")


def two_spaces(rng: random.Random, source: str) -> str | None:
    changed = re.sub(r" (\{\{ (?:shot\.)?output)", rng.choice([r"  \1", r"   \1"]), source)
    return changed if changed != source else None


def other_separator(rng: random.Random, source: str) -> str | None:
    """The query's text of a plain loop differs from the shots'."""
    if "{% endfor %}\n" not in source or "{{ query" not in source:
        return None
    begin, end, query = source.rpartition("{% endfor %}\n")
    mark = re.search(r":|->", query)
    changes = [f"\n{query}", f"{query}\n", f"{query} ", f"{query} is"]
    if mark:
        changes += [
            replace(query, *mark.span(), " -"),
            replace(query, *mark.span(), ""),
            replace(query, *mark.span(), f" {mark.group()}"),
            replace(query, *mark.span(), mark.group() * 2),
        ]
    if "Answer" in query:
        changes += [query.replace("Answer", "Ansewr"), query.replace("Answer", "answer")]
    if "\n" in query:
        changes += [query.replace("\n", " ", 1), query.replace("\n", "\n\n", 1)]
    return begin + end + rng.choice(changes)


# --- templates: characters ------------------------------------------------------------------------


def _token(rng: random.Random, source: str, pattern: re.Pattern[str]) -> tuple[int, int] | None:
    """A match in the literal text of a template."""
    texts: list[LexerToken] = page(source).texts
    found = [
        (token.offset + m.start(), token.offset + m.end())
        for token in texts
        for m in pattern.finditer(token.text)
    ]
    return rng.choice(found) if found else None


def invisible_in_template(rng: random.Random, source: str) -> str | None:
    at = _token(rng, source, re.compile(r"(?<=\w)(?=\w)|(?<=\w):|(?<=\w) "))
    return None if at is None else replace(source, at[0], at[0], rng.choice(INVISIBLE[:4]))


def mixed_script_in_template(rng: random.Random, source: str) -> str | None:
    at = _token(rng, source, re.compile(r"(?<=[A-Za-z])[aceopxy]|[ACEHOPT](?=[a-z])"))
    return None if at is None else replace(source, *at, source[at[0]].translate(CYRILLIC))


def control_token(rng: random.Random, source: str) -> str | None:
    if "{% user %}" in source or "extends" in source:
        return None
    places = [m.start() for m in re.finditer(r"^(?=[^{\n])|\{\{|(?<=\}\})\n", source, re.MULTILINE)]
    at = rng.choice(places)
    return replace(source, at, at, rng.choice(CONTROLS))


# --- data -----------------------------------------------------------------------------------------


def rows_of(text: str) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return header, rows


def written(header: list[str], rows: list[list[str]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue()


def _row(change: Callable[[random.Random, list[str], list[list[str]]], list[str] | None]) -> Fault:
    """A fault that changes a row; its first column is the input, its second the output."""

    def fault(rng: random.Random, text: str) -> str | None:
        header, rows = rows_of(text)
        at = rng.randrange(len(rows))
        changed = change(rng, rows[at], rows)
        if changed is None:
            return None
        return written(header, [*rows[:at], changed, *rows[at + 1 :]])

    return fault


def _added(
    change: Callable[[random.Random, list[str], list[list[str]]], list[str] | None],
) -> Fault:
    """A fault that adds a row, made of another one."""

    def fault(rng: random.Random, text: str) -> str | None:
        header, rows = rows_of(text)
        added = change(rng, rng.choice(rows), rows)
        if added is None:
            return None
        at = rng.randrange(len(rows))
        return written(header, [*rows[:at], added, *rows[at:]])

    return fault


def restyled(rng: random.Random, text: str) -> str:
    """The same to a person: other case, punctuation or spaces."""
    return rng.choice(
        [text.upper(), text.title(), f"{text}.", f'"{text}"', f"{text}!", f"({text})"]
    )


def other_label(rng: random.Random, label: str, rows: list[list[str]]) -> str:
    return rng.choice(sorted({row[1] for row in rows} - {label}))


label_typo = _row(lambda rng, row, _: [row[0], typo(rng, row[1]), *row[2:]])
invisible_value = _row(
    lambda rng, row, _: [row[0][:2] + rng.choice(INVISIBLE) + row[0][2:], *row[1:]]
)
padded_value = _row(
    lambda rng, row, _: [rng.choice([f" {row[0]}", f"{row[0]} ", f"{row[0]}\n"]), *row[1:]]
)
newline_in_value = _row(lambda rng, row, _: [f"{row[0]}\n{row[0]}", *row[1:]])
ragged_row = _row(lambda rng, row, _: rng.choice([row[:1], [*row, "more", "and more"]]))
empty_label = _row(lambda rng, row, _: [row[0], "", *row[2:]])
repeated_row = _added(lambda rng, row, _: row)
restyled_row = _added(lambda rng, row, _: [restyled(rng, row[0]), *row[1:]])
contradiction = _added(lambda rng, row, rows: [row[0], other_label(rng, row[1], rows), *row[2:]])
restyled_contradiction = _added(
    lambda rng, row, rows: [restyled(rng, row[0]), other_label(rng, row[1], rows), *row[2:]]
)


@_row
def mixed_script_value(
    rng: random.Random, row: list[str], rows: list[list[str]]
) -> list[str] | None:
    letters = [i for i, char in enumerate(row[0]) if char in "aceopxy"]
    if not letters or len(row[0]) < 3:
        return None
    at = rng.choice(letters)
    return [replace(row[0], at, at + 1, row[0][at].translate(CYRILLIC)), *row[1:]]


def misspelt_column(rng: random.Random, text: str) -> str | None:
    header, rows = rows_of(text)
    at = rng.randrange(2)
    return written([*header[:at], typo(rng, header[at]), *header[at + 1 :]], rows)


def label_without_rows(rng: random.Random, text: str) -> str | None:
    header, rows = rows_of(text)
    label = rng.choice(rows)[1]
    return written(header, [row for row in rows if row[1] != label])


def lopsided(rng: random.Random, text: str) -> str | None:
    """One row is left of a label."""
    header, rows = rows_of(text)
    counts = {row[1]: [other for other in rows if other[1] == row[1]] for row in rows}
    if max(map(len, counts.values())) < 5:
        return None
    label = rng.choice(sorted(counts))
    kept = counts[label][0]
    return written(header, [row for row in rows if row[1] != label or row is kept])


def leak(rng: random.Random, folder: Path) -> None:
    """A test gets into the pool, as it is or restyled."""
    _, tests = rows_of((folder / "tests.csv").read_text("utf-8"))
    header, demos = rows_of((folder / "demos.csv").read_text("utf-8"))
    row = list(rng.choice(tests))
    if rng.random() < 0.5:
        row[0] = restyled(rng, row[0])
    (folder / "demos.csv").write_text(written(header, [*demos, row]), encoding="utf-8")


TEMPLATE_FAULTS: tuple[Fault, ...] = (
    misspelt_name,
    misspelt_field,
    defaulted_field,
    misspelt_filter,
    misspelt_tag,
    lost_delimiter,
    wrong_parent,
    wrong_block,
    answer_used,
    answer_in_query,
    no_query,
    no_answer,
    no_shots,
    no_newline_between_shots,
    swallowed_newline,
    trailing_space,
    tab,
    carriage_return,
    two_spaces,
    other_separator,
    invisible_in_template,
    mixed_script_in_template,
    control_token,
)
DATA_FAULTS: dict[str, Fault] = {
    "label_typo": label_typo,
    "empty_label": empty_label,
    "ragged_row": ragged_row,
    "misspelt_column": misspelt_column,
    "repeated_row": repeated_row,
    "restyled_row": restyled_row,
    "contradiction": contradiction,
    "restyled_contradiction": restyled_contradiction,
    "invisible_value": invisible_value,
    "mixed_script_value": mixed_script_value,
    "padded_value": padded_value,
    "newline_in_value": newline_in_value,
    "label_without_rows": label_without_rows,
    "lopsided": lopsided,
}
