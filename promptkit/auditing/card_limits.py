"""Facts that a card does not state, and limits that are known without asking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptkit.auditing.card_facts import CardFacts
from promptkit.auditing.card_metadata import languages
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import measured
from promptkit.text import counted
from promptkit.translation import mark, tr, trn

SMALL = 200
"""Number of tests below which a card says that they are few."""


@dataclass(frozen=True, slots=True)
class Unstated:
    """A fact that a card does not state."""

    what: str
    """The fact."""
    how: str
    """The way to state it."""


def unstated(facts: CardFacts) -> Iterator[Unstated]:
    """Yield what a card does not state, the most important first.

    Args:
        facts: The facts.
    """
    if facts.task is None:
        yield Unstated(tr("task and data"), tr("--task FOLDER: the task as it was then"))
    stated = facts.stated
    if not stated.sources:
        yield Unstated(
            tr("sources of the data"), tr('[[card.sources]] with name = "…" and license = "…"')
        )
    for source in stated.sources:
        for name in ("license", "url", "about"):
            if not getattr(source, name):
                what = tr("{noun} of the source {name}", noun=tr(_NOUNS[name]), name=source.name)
                yield Unstated(what, f'[[card.sources]] {name} = "…"')
    if not languages(facts):
        yield Unstated(tr("languages"), '[card] languages = ["en"]')
    for name, noun in _STATED.items():
        if not getattr(stated, name):
            value = '["…"]' if name == "limits" else '"…"'
            yield Unstated(tr(noun), f"[card] {name} = {value}")
    yield from _of_models(facts)
    if not facts.results:
        yield Unstated(tr("results"), tr(_RESULTS[facts.kind]))
    if facts.audit is None:
        yield Unstated(tr("audit"), tr(_AUDITS[facts.kind]))


_NOUNS = {"license": mark("licence"), "url": mark("address"), "about": mark("collection")}
_STATED = {
    "license": mark("licence"),
    "summary": mark("summary"),
    "intended_use": mark("intended use"),
    "not_for": mark("uses that it is not fit for"),
    "personal_data": mark("personal data"),
    "authors": mark("authors"),
    "contact": mark("contact"),
    "limits": mark("limits that its makers know of"),
}
_RESULTS = {
    "task": mark("promptkit compare TASK --out RUN, then promptkit card RUN"),
    "run": mark("promptkit compare TASK --out RUN"),
    "frozen prompt": mark("promptkit freeze RUN, which takes the evidence along"),
    "student": mark("promptkit distill with a task that has tests"),
    "adapter": mark("promptkit tune with labelled rows; promptkit compare TASK --with ADAPTER"),
}
_AUDITS = {
    "task": mark("promptkit audit TASK --out DIR, then --audit DIR"),
    "run": mark("promptkit audit FROZEN --out RUN, or --audit DIR"),
    "frozen prompt": mark("promptkit audit FROZEN --out DIR, then --audit DIR"),
    "student": mark("promptkit audit STUDENT --out STUDENT, or --audit DIR"),
    "adapter": mark("promptkit audit of a prompt with the adapter, then --audit DIR"),
}


def _of_models(facts: CardFacts) -> Iterator[Unstated]:
    for one in facts.models if facts.kind != "student" else ():
        if one.sha256 and not one.declared.get("license"):
            yield Unstated(
                tr("licence of the model {name}", name=one.name),
                tr("general.license in the GGUF file"),
            )
        if not one.sha256:
            yield Unstated(
                tr("digest of the model {name}", name=one.name),
                tr("the model's file, where it was then"),
            )


def limits(facts: CardFacts) -> Iterator[str]:
    """Yield the limits of a card: those of its makers, of its tests, and of what it is.

    Args:
        facts: The facts.
    """
    yield from facts.stated.limits
    yield from _of_tests(facts)
    yield from facts.warnings
    yield from map(tr, _OF_KINDS[facts.kind])
    if facts.audit is None:
        yield tr(
            "No audit is part of this card: it does not say whether answers differ "
            "between groups of people, or change with a name or an identity in the "
            "text."
        )
    else:
        yield tr(
            "An audit looks at the groups, terms and rows that it was given, and at no "
            "others. A swap of terms is a diagnostic: no flips do not prove that there "
            "is no bias, and a flip can be right where the term changes the meaning."
        )


def _of_tests(facts: CardFacts) -> Iterator[str]:
    own = next((one for one in facts.results if one.of_subject), None)
    if own is None:
        if facts.results or facts.kind == "task":
            yield tr("Nothing is known here of how right its answers are.")
        return
    figure = next((one for one in own.figures if one.metric == facts.metric), None)
    few = trn("{n:,} query is few", "{n:,} queries are few", max(own.n, 2))
    told = any("queries are few" in one or few in one for one in facts.warnings)
    if figure is not None and figure.ci is not None and own.n < SMALL and not told:
        metric, (low, high) = measured(figure.metric), figure.ci
        yield tr(
            "{tests} are few: the {noun} on other rows like them may lie anywhere in "
            "{bracket}, and smaller differences between predictors go unseen.",
            tests=counted(own.n, "test", "tests"),
            noun=metric.noun,
            bracket=metric_text.bracket(metric, (low, high)),
        )
    cells = facts.tests.get("cells", 1)
    chosen = ("selection bias", tr("Selection bias").lower())
    warned = any(said in one.lower() for one in facts.warnings for said in chosen)
    if cells > 1 and not warned:
        yield tr(
            "It is one of {cells} cells that were compared on the same tests; the "
            "figures of the best one are optimistic.",
            cells=cells,
        )
    yield tr(
        "The figures are of rows like the tests, in their language and wording, and of no others."
    )


_OF_KINDS = {
    mark("task"): (),
    mark("run"): (
        mark("They are figures of this model file at this precision, with these prompts."),
    ),
    mark("frozen prompt"): (
        mark("They are figures of this model file at this precision, with this prompt."),
    ),
    mark("student"): (
        mark(
            "A student repeats what its teacher says, errors and biases with it, and "
            "may add to them."
        ),
    ),
    mark("adapter"): (mark("The figures are of rows held out from its own training data."),),
}
