"""Cards as Markdown: the sections of model cards (Mitchell et al., 2019) and of datasheets for data
(Gebru et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from promptkit.auditing.audit_blocks import audit_blocks
from promptkit.auditing.card_facts import (
    OF_LABELS,
    CardFacts,
    ModelFacts,
    ResultFacts,
    RowFacts,
    TaskFacts,
)
from promptkit.auditing.card_limits import limits, unstated
from promptkit.auditing.card_metadata import languages, metadata
from promptkit.auditing.card_text import fenced, inline, link, table, yaml
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import measured
from promptkit.tasks.task_card import DataSource
from promptkit.text import capital, counted
from promptkit.translation import mark, tr

UNKNOWN = mark("not stated")
"""Text in place of a fact that is not known."""

ROWS = 40
"""Largest number of rows of a table of results or of an audit; the JSON files have all of them."""

_LONG = 40  # labels that are listed


def markdown(facts: CardFacts) -> str:
    """Return a card as Markdown, its metadata in front as YAML.

    Args:
        facts: The facts.
    """
    parts = [
        f"---\n{yaml(metadata(facts))}\n---",
        f"# {_title(facts)}",
        _stated(facts.stated.summary),
        *_section(tr("Details"), _details(facts)),
        *_section(tr("Uses"), _uses(facts)),
        *_section(tr("Data"), _data(facts)),
        *_section(tr("Training"), _training(facts)),
        *_section(tr("Prompt"), _prompt(facts)),
        *_section(tr("Evaluation"), _evaluation(facts)),
        *_section(tr("Audit"), _audit(facts)),
        *_section(tr("Bias, risks and limitations"), [_list(map(inline, limits(facts)))]),
        *_section(tr("How it was made"), _made(facts)),
        *_section(tr("Not stated"), _not_stated(facts)),
    ]
    return "\n\n".join(parts) + "\n"


def _title(facts: CardFacts) -> str:
    titles = {
        "task": mark("Card of the task {name}"),
        "run": mark("Card of the comparison of {name}"),
        "frozen prompt": mark("Card of the prompt of {name}"),
        "student": mark("Card of the student {name}"),
        "adapter": mark("Card of the adapter {name}"),
    }
    return tr(titles[facts.kind], name=inline(facts.name))


def _section(title: str, paragraphs: Iterable[str]) -> list[str]:
    found = [paragraph for paragraph in paragraphs if paragraph]
    return [f"## {title}", *found] if found else []


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _stated(text: str) -> str:
    return inline(text) if text else f"*{tr(UNKNOWN)}*"


def _named(pairs: Iterable[tuple[str, str]]) -> str:
    return _list(f"**{name}:** {text}" for name, text in pairs)


def _details(facts: CardFacts) -> Iterator[str]:
    """Yield who made it, and what it is and runs on."""
    stated = facts.stated
    known = stated.languages or languages(facts)
    yield _named(
        [
            (tr("Kind"), tr(facts.kind)),
            (tr("Made by"), _stated(stated.authors)),
            (tr("Contact"), link(stated.contact) if stated.contact else _stated("")),
            (tr("Licence"), _stated(stated.license)),
            (tr("Languages"), inline(", ".join(known)) or _stated("")),
        ]
    )
    for one in facts.models:
        own = facts.kind in ("student", "adapter") and one is facts.models[0]
        kind = capital(tr(facts.kind)) if own else tr("Model")
        yield f"### {kind}: {inline(one.name)}"
        yield _named(_model(one))


def _model(one: ModelFacts) -> Iterator[tuple[str, str]]:
    declared = one.declared
    texts = {
        mark("Name in its file"): declared.get("name"),
        mark("Organisation"): declared.get("organization"),
        mark("Licence"): declared.get("license"),
        mark("Languages"): declared.get("languages"),
        mark("Architecture"): one.architecture,
        mark("Parameters"): None if one.parameters is None else f"{one.parameters:,}",
        mark("Bytes"): None if one.bytes is None else f"{one.bytes:,}",
        mark("Weights in the file"): one.file_weights,
        mark("Weights as they ran"): one.weights,
        mark("Adapter"): one.adapter,
        mark("Context"): None if not one.context else tr("{context:,} tokens", context=one.context),
        mark("Runtime"): one.runtime,
        "SHA-256": one.sha256,
    }
    needed = ("Licence", "SHA-256") if declared or not one.architecture.endswith("student") else ()
    for name, value in texts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
        if text or name in needed:
            shown = f"`{text}`" if name == "SHA-256" and text.isalnum() else _stated(text)
            yield tr(name), shown


def _uses(facts: CardFacts) -> Iterator[str]:
    stated = facts.stated
    yield _named(
        [
            (tr("Intended use"), _stated(stated.intended_use)),
            (tr("Not for"), _stated(stated.not_for)),
        ]
    )


def _data(facts: CardFacts) -> Iterator[str]:
    """Yield the task, its rows, and where they come from."""
    if facts.task is None:
        yield _stated("")
        return
    task = facts.task
    yield _named(_task(task))
    if task.rows:
        yield table(
            [tr("part"), tr("rows:"), tr("rows of each label"), tr("digest")],
            [_row(one) for one in task.rows],
        )
    yield "### " + tr("Sources")
    yield "\n\n".join(map(_source, facts.stated.sources)) or _stated("")
    yield _named([(tr("Personal data"), _stated(facts.stated.personal_data))])


def _task(task: TaskFacts) -> Iterator[tuple[str, str]]:
    yield tr("Task"), inline(task.name)
    yield tr("Instruction"), _stated(task.instruction)
    yield tr("Input"), inline(", ".join(task.fields))
    yield tr("Output"), inline(_output(task))
    if task.labels:
        more = len(task.labels) - _LONG
        shown = ", ".join(task.labels[:_LONG]) + (
            tr(" and {more} more", more=more) if more > 0 else ""
        )
        yield tr("Labels"), inline(shown)
    for name, words in task.verbalizers.items():
        said = ", ".join(f"{label} = {word}" for label, word in words.items())
        yield tr("Words for labels, {name}", name=inline(name)), inline(said)
    said = tr("left out") if task.near_duplicates == "exclude" else tr("allowed")
    yield tr("Near-duplicates of a query among its shots"), said
    yield tr("Fingerprint"), f"`{task.fingerprint}`"


def _output(task: TaskFacts) -> str:
    """Return the kind of output in the reader's language."""
    n = len(task.labels)
    of_labels = (kind for kind in OF_LABELS if kind.format(n=n) == task.output)
    return next((tr(kind, n=n) for kind in of_labels), tr(task.output))


_PARTS = {
    "demos": mark("demonstrations (pool of shots)"),
    "tests": mark("tests"),
    "pool": mark("unlabelled pool of the teacher"),
}


def _row(one: RowFacts) -> list[str]:
    labels = ", ".join(f"{label} {count:,}" for label, count in [*one.labels.items()][:_LONG])
    name = tr(_PARTS[one.part]) + (f", {one.file}" if one.file else "")
    return [inline(name), f"{one.rows:,}", inline(labels), f"`{one.sha256[:16]}…`"]


def _source(source: DataSource) -> str:
    lines = [
        (tr("Licence"), _stated(source.license)),
        (tr("Address"), link(source.url) if source.url else _stated("")),
        (tr("Languages"), _stated(", ".join(source.languages))),
        (tr("By"), _stated(source.authors)),
        (tr("Collection and labels"), _stated(source.about)),
    ]
    return f"#### {inline(source.name)}\n\n{_named(lines)}"


def _training(facts: CardFacts) -> Iterator[str]:
    known = {name: value for name, value in facts.training.items() if value not in (None, "")}
    if known:
        yield _pairs(known.items())


def _pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    return table(
        ["", ""], [[inline(_heading(name)), inline(_said(value))] for name, value in pairs]
    )


def _heading(name: str) -> str:
    """Return what a table calls a fact, of a name that JSON has."""
    for known in (mark("levels of {name}"), mark("option {name}")):
        start = known.format(name="")
        if name.startswith(start):
            return tr(known, name=name.removeprefix(start))
    return tr(name)


_SETTINGS = (
    *(mark("model"), mark("template"), mark("selection"), mark("shots"), mark("order")),
    *(mark("verbalizer"), mark("calibration"), mark("seed")),
)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _prompt(facts: CardFacts) -> Iterator[str]:
    """Yield a prompt in full, with the settings of all prompts like it."""
    if facts.kind == "student":
        return
    prompt = facts.prompt
    if prompt is None:
        yield _stated("")
        return
    rows = [(name, value) for name, value in prompt.settings.items() if value is not None]
    if facts.calibration:
        rows = [(name, value) for name, value in rows if name != "calibration"]
        rows.append(("calibration", facts.calibration))
    yield _pairs(rows)
    how = tr("As it was asked") if prompt.asked else tr("As it would be asked")
    shots = tr("; its shots are {shots}", shots=", ".join(prompt.shots)) if prompt.shots else ""
    yield inline(
        tr("{how} for the query {query}{shots}:", how=how, query=prompt.query, shots=shots)
    )
    yield fenced(prompt.text)
    if prompt.template:
        yield tr("The template:")
        yield fenced(prompt.template.rstrip("\n"))


def _evaluation(facts: CardFacts) -> Iterator[str]:
    if not facts.results:
        yield _stated("")
        return
    names = [*dict.fromkeys(one.metric for each in facts.results for one in each.figures)]
    heads = ["", tr("tests:"), *(f"{_noun(name)}:" for name in names)]
    subject = [one for one in facts.results if one.of_subject]
    others = [one for one in facts.results if not one.of_subject]
    yield table(heads, [_result(one, names) for one in (*subject, *others)[:ROWS]])
    if len(facts.results) > ROWS:
        yield tr("… and {count} more in comparison.json", count=len(facts.results) - ROWS)
    yield tr(
        "The row in bold is what this card is about. Brackets are 95 % intervals "
        "for new queries from the same source, and for new draws of shots where "
        "several were drawn."
    )
    if facts.baseline is not None:
        name, value = facts.baseline
        metric = measured(facts.metric)
        noun, said = metric.noun, metric_text.figure(metric, value)
        yield inline(
            tr(
                "Without a model, {name} has {noun} {said}.",
                name=name,
                noun=noun,
                said=said,
            )
        )
    if "differences" in facts.tests:
        yield tr(
            "{cells} were compared in {differences}, of which {tests} are significant "
            "after correction for all of them (Holm).",
            cells=counted(facts.tests["cells"], "cell", "cells"),
            differences=counted(
                facts.tests["differences"], "paired difference", "paired differences"
            ),
            tests=facts.tests["significant"],
        )
    if facts.verdicts:
        yield _list(map(inline, facts.verdicts))


_NOUNS = {"ece": mark("calibration error"), "coverage": mark("coverage")}


def _noun(metric: str) -> str:
    return tr(_NOUNS[metric]) if metric in _NOUNS else measured(metric).noun


def _result(one: ResultFacts, names: Sequence[str]) -> list[str]:
    figures = {each.metric: each for each in one.figures}
    cells = [
        metric_text.figure(measured(name), figures[name].value, figures[name].ci)
        if name in figures
        else "–"
        for name in names
    ]
    title = inline(one.name)
    return [f"**{title}**" if one.of_subject else title, f"{one.n:,}", *map(inline, cells)]


def _audit(facts: CardFacts) -> Iterator[str]:
    """Yield the tables of the audit, and which predictor they are of."""
    audit = facts.audit
    if audit is None:
        return
    if audit.sha256 not in {one.sha256 for one in facts.models}:
        yield tr("**This audit is of another model or student than this card.**")
    size = f", {counted(audit.queries, 'query', 'queries')}" if audit.queries else ""
    yield tr(
        "Of {name} (SHA-256 `{digest}…`){size}.",
        name=inline(audit.predictor),
        digest=inline(audit.sha256[:16]),
        size=size,
    )
    for block in audit_blocks(audit):
        yield f"### {inline(block.title)}"
        if block.sentences:
            yield _list(map(inline, block.sentences))
        if block.rows:
            heads = [
                f"{inline(head[:-1])}:" if head[-1:] == ":" else inline(head)
                for head in block.heads
            ]
            yield table(heads, [[*map(inline, row)] for row in block.rows[:ROWS]])
        if len(block.rows) > ROWS:
            yield tr("… and {count} more in audit.json", count=len(block.rows) - ROWS)


def _made(facts: CardFacts) -> Iterator[str]:
    from promptkit import __version__

    made: Mapping[str, Any] = {
        **facts.made,
        mark("card"): f"promptkit {__version__}, promptkit card",
    }
    command = made.get("command")
    known = {name: value for name, value in made.items() if value not in (None, "", [])}
    yield _pairs((name, value) for name, value in known.items() if name != "command")
    if command:
        yield tr("A command with the same grid:")
        yield fenced(command)


def _not_stated(facts: CardFacts) -> Iterator[str]:
    found = [*unstated(facts)]
    if found:
        yield tr("This is not known to this card; the right column says where it would be stated.")
        yield table(["", ""], [[inline(one.what), inline(one.how)] for one in found])
