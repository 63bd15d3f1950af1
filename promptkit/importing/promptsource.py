"""Templates of promptsource: several for one dataset, `input ||| target` in Jinja.

promptsource strips the rendered text and has no shots; how these are joined is promptkit's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from promptkit.errors import TaskError, shorten
from promptkit.importing import jinja
from promptkit.importing.imported import (
    Imported,
    ImportedTask,
    Omissions,
    RefusedError,
    check,
    column_of,
    labels_of,
    slug,
    unique,
)
from promptkit.importing.plain_values import ForeignFile
from promptkit.translation import mark, tr

_SPLIT = "|||"

_REASONS = {
    mark("promptsource asks one question at a time, and says nothing of shots"): (
        mark("shots are joined by an empty line; edit the templates for another form")
    ),
    mark("promptsource cuts every value at 2048 characters"): (
        mark("nothing to do: promptkit cuts nothing")
    ),
    mark("metadata, reference and id are not kept"): mark("nothing to do: no prompt has them"),
}
"""Advice by what is lost of every file."""


@dataclass(frozen=True)
class _Parsed:
    """One template of the file."""

    name: str
    source: str
    fields: Mapping[str, str]
    labels: tuple[str, ...]
    column: str


def carry(source: ForeignFile) -> Imported:
    """Return the templates as one task per set of labels. Raises `TaskError`."""
    omissions = Omissions(source)
    named = [source.value.get(key) for key in ("dataset", "subset")]
    dataset = "/".join(str(name) for name in named if name)
    templates = source.value.get("templates")
    if not isinstance(templates, dict):
        raise TaskError(
            tr(
                "{path}: templates is {value}, not a mapping",
                path=source.path,
                value=shorten(templates),
            )
        )
    groups: dict[tuple[tuple[str, ...], str], list[_Parsed]] = {}
    for key, value in templates.items():
        keys = ["templates", str(key)]
        if not isinstance(value, dict) or not isinstance(value.get("jinja"), str):
            omissions.add(
                keys, tr("no template with `jinja`"), tr("mend the file, or leave it out")
            )
            continue
        shown = repr(str(value.get("name") or key))
        try:
            parsed = _parse(value, shown, keys, omissions)
        except RefusedError as error:
            omissions.add(
                keys,
                tr("{shown} is left out: {error}", shown=shown, error=error),
                tr("write it anew"),
            )
            continue
        except jinja2.TemplateSyntaxError as error:
            omissions.add(
                keys,
                tr("{shown} is left out: {message}", shown=shown, message=error.message),
                tr("mend it"),
            )
            continue
        groups.setdefault((parsed.labels, parsed.column), []).append(parsed)
    if not groups:
        reasons = "\n  ".join(str(lost) for lost in omissions.found)
        raise TaskError(
            tr(
                "{path}: no template could be carried over\n  {reasons}",
                path=source.path,
                reasons=reasons,
            )
        )
    omissions.add_data("dataset", dataset)
    for why, do in _REASONS.items():
        omissions.add(["templates"], tr(why), tr(do))
    tasks = tuple(_task(dataset or source.path.stem, *group) for group in groups.items())
    return Imported("promptsource", tasks, tuple(omissions.found))


def _parse(value: Mapping[str, Any], shown: str, keys: list[str], omissions: Omissions) -> _Parsed:
    prompt, target = _split(value["jinja"])
    choices = value.get("answer_choices")
    labels: tuple[str, ...] = ()
    if isinstance(choices, str):
        is_fixed = "{{" not in choices and "{%" not in choices
        found = [choice.strip() for choice in choices.split(_SPLIT)] if is_fixed else None
        labels = labels_of(found, [*keys, "answer_choices"], shown, omissions)
    if refused := jinja.refused(prompt):
        raise RefusedError(tr("it {refused}", refused=refused))
    read = [name for name in jinja.fields(prompt) if name != "answer_choices"]
    if "answer_choices" in jinja.fields(prompt) and not labels:
        raise RefusedError(tr("it shows answer_choices, which are not the same for every row"))
    if not read:
        raise RefusedError(tr("it prints nothing of a row"))
    kinds = jinja.kinds_of(prompt)
    records = [name for name in read if kinds[name] == "record"]
    if records:
        raise RefusedError(
            tr("{field!r} is a list or a record, which no column can hold", field=records[0])
        )
    fields = {name: column_of(name) for name in read}
    names = {name: f"input.{column}" for name, column in fields.items()}
    source = _template(prompt, names | {"answer_choices": "labels"})
    check(source, f"{slug(str(value.get('name')))}.j2")
    answered = [name for name in jinja.fields(target) if name != "answer_choices"]
    both = [name for name in answered if name in fields]
    if both:
        why = tr(
            "{shown} reads {field!r} for the question and for the answer",
            shown=shown,
            field=both[0],
        )
        omissions.add(keys, why, tr("see that the question does not give the answer away"))
    parts = jinja.simple_parts(target.strip(), keep_newline=False)
    is_column = len(answered) == 1 and parts == [jinja.Variable(answered[0])] and not both
    column = answered[0] if is_column else "output"
    if column == "output":
        written = value["jinja"].partition(_SPLIT)[2].strip()
        why = tr("{shown} makes the answer with {written}", shown=shown, written=shorten(written))
        omissions.add(keys, why, tr("write what it comes to into the column `output` of each row"))
    types = {column: kinds[name] for name, column in fields.items()}
    return _Parsed(str(value.get("name") or keys[-1]), source, types, labels, column)


def _split(source: str) -> tuple[str, str]:
    """Return the question and the answer, with tags closed that are open at the split."""
    if source.count(_SPLIT) != 1:
        raise RefusedError(
            tr("it has {count} `|||`, and one parts it in two", count=source.count(_SPLIT))
        )
    prompt, _, target = source.partition(_SPLIT)
    opened = _opened(prompt)
    if any(name != "if" for name in opened):
        raise RefusedError(tr("`|||` stands in a loop or a block"))
    if opened and _branches_after(target, len(opened)):
        raise RefusedError(tr("`|||` stands in one of several branches"))
    prompt += "{% endif %}" * len(opened)
    try:
        jinja.parse(prompt)
    except jinja2.TemplateSyntaxError as error:
        why = tr("what stands in front of `|||` does not parse: {message}", message=error.message)
        raise RefusedError(why) from None
    return prompt, "{% if true %}" * len(opened) + target


def _opened(prompt: str) -> list[str]:
    """Return the tags that are open at the end."""
    opened: list[str] = []
    for name in jinja.tags(prompt):
        if opened and name == f"end{opened[-1]}":
            opened.pop()
        elif name in ("if", "for", "macro", "filter", "call", "block", "with"):
            opened.append(name)
    return opened


def _branches_after(target: str, depth: int) -> bool:
    """Return whether a tag that is open at the split has another branch after it."""
    inside = 0
    for name in jinja.tags(target):
        if name in ("endif", "endfor"):
            inside -= 1
        elif name in ("if", "for"):
            inside += 1
        elif name in ("else", "elif") and inside <= 0:
            return True
    return inside != -depth


def _template(prompt: str, names: Mapping[str, str]) -> str:
    """Return the template of the question, stripped as promptsource does, and the answer."""
    body = jinja.translate(prompt, names, keep_newline=False)
    if jinja.begins_and_ends_in_text(body):
        block = body.strip()
    else:
        block = f"{{% filter trim %}}\n{body}{{% endfilter %}}"
    return f"{{% example %}}\n{block} {{{{ output }}}}\n\n{{% endexample %}}\n"


def _task(dataset: str, group: tuple[tuple[str, ...], str], parsed: list[_Parsed]) -> ImportedTask:
    labels, column = group
    names = [f"{name}.j2" for name in unique(slug(template.name) for template in parsed)]
    fields: dict[str, str] = {}
    for template in parsed:
        for name, kind in template.fields.items():
            fields[name] = kind if fields.get(name, "str") == "str" else fields[name]
    return ImportedTask(
        name=dataset,
        templates={name: each.source for name, each in zip(names, parsed, strict=True)},
        fields=fields,
        labels=labels,
        output_column=column,
    )
