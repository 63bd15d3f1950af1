"""Variants of a template that differ in format alone: separators, casing, line ends, spacing.

After Sclar, Choi, Tsvetkov and Suhr, "Quantifying language models' sensitivity to spurious
features in prompt design", ICLR 2024 (FormatSpread), where such changes move accuracy by up to 76
points. The variants are made from the template's own syntax tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import capwords
from typing import Any, NamedTuple

import jinja2
import jinja2.meta

from promptkit.errors import PromptkitError, TaskError, TemplateError
from promptkit.formatting.design import design
from promptkit.formatting.inheritance import written_out
from promptkit.formatting.spots import Layout, Spot, layout
from promptkit.linting.lint import lint_template
from promptkit.selection.draw import same
from promptkit.tasks.task import Task
from promptkit.templating.source import Page
from promptkit.templating.template import Template

SEPARATORS = (": ", " - ", " = ", " -> ", " : ", ":: ")
"""Between a field's name and its value, and in front of the answer."""
CASINGS: Mapping[str, Callable[[str], str]] = {
    "Title": lambda name: capwords(name, " "),
    "UPPER": str.upper,
    "lower": str.lower,
}
"""Of the names of fields."""
JOINTS = (", ", "; ", " | ", " / ")
"""Between the values of fields."""
GAPS = ("", " ", "\n")
"""In front of the answer."""
LINE_ENDS = ("\n", "\n\n", "\n###\n", " || ")
"""Behind an example."""

_SEEN = 5
"""How many queries a variant is rendered for."""
_SAMPLE = 12
"""How many examples of each part a variant is checked with."""


Notify = Callable[[str], None]


def variants(
    task: Task[Any, Any],
    template: Template,
    count: int,
    notify: Notify | None = None,
) -> list[Template]:
    """`count` formats of a template, its own first; their names say what is changed.

    What is literal text in its examples is varied, the same in shots and query: separators, the
    casing of field names, what joins values, the space in front of the answer and what ends an
    example. Levels of these are combined such that each gets its share (see `design`). A variant
    is another prompt for some of the task's examples, and breaks no rule of `lint` that the
    template keeps. `notify` is told where there are fewer. Raises `TemplateError` where nothing
    can be varied, and `TaskError` where `count` is below 1.
    """
    if not isinstance(count, int) or count < 1:
        raise TaskError(f"formats is {count!r}; it is a number, 1 or more")
    if count == 1:
        return [template]
    original = _Original(_sample(task), _written_out(_sample(task), template))
    factors = [levels for levels in original.factors() if len(levels) > 1]
    if not factors:
        raise TemplateError(original.why_not(), file=template.file or template.name)
    tell = notify or (lambda message: None)
    if original.layout.markup:
        tell(f"{template.name} is {original.layout.markup}: only its white space is varied")
    found: dict[Hashable, Template] = {original.shown: template}
    for combination in design([len(levels) for levels in factors]):
        chosen = [levels[index] for levels, index in zip(factors, combination, strict=True)]
        variant = reformatted(
            original.template, FormatChange(**{k: v for level in chosen for k, v in level.items()})
        )
        shown = original.check(variant, found)
        if shown is not None:
            found[shown] = variant
        if len(found) == count:
            break
    else:
        tell(f"{template.name}: {count} formats asked, and there are {len(found)}")
    return list(found.values())


class FormatChange(NamedTuple):
    """What a variant has in place of a template's own."""

    separator: str | None = None
    casing: str | None = None
    joint: str | None = None
    gap: str | None = None
    line_end: str | None = None

    def __str__(self) -> str:
        named = {"sep": self.separator, "joint": self.joint, "gap": self.gap, "end": self.line_end}
        words = [
            f"{name} {json.dumps(text, ensure_ascii=False)}"
            for name, text in named.items()
            if text is not None
        ]
        return ", ".join([*words, self.casing] if self.casing is not None else words)


def _sample(task: Task[Any, Any]) -> Task[Any, Any]:
    sets = {"demos": task.demos, "tests": task.tests}
    parts = {name: type(one).model_construct(one[:_SAMPLE]) for name, one in sets.items()}
    return task.model_copy(update=parts)


def _written_out(task: Task[Any, Any], template: Template) -> Template:
    """A template that extends another one, in full, where that renders the same."""
    shown = _shown(task, template)
    try:
        full = written_out(template)
        return full if _shown(task, full) == shown else template
    except (jinja2.TemplateError, PromptkitError):
        return template


@dataclass(frozen=True)
class _Original:
    """A template that is varied, and some of the examples that it is for."""

    task: Task[Any, Any]
    template: Template

    @cached_property
    def layout(self) -> Layout:
        return layout(_page(self.template))

    @cached_property
    def shown(self) -> Hashable:
        """What the template renders. Raises what rendering raises."""
        return _shown(self.task, self.template)

    @cached_property
    def broken(self) -> set[str]:
        return _broken(self.task, self.template)

    def factors(self) -> Iterator[list[dict[str, str]]]:
        """Per factor its levels, the template's own first, each of which is another prompt."""
        is_free = self.layout.markup is None
        cores = {spot.separator.core for spot in self.layout.spots if spot.separator is not None}
        others = cores - {_varied_core(self.layout)}
        blank_only = not is_free or not self.task.labels  # no model writes ornaments by itself
        if is_free:
            yield self._levels("separator", [s for s in SEPARATORS if s.strip() not in others])
            yield self._levels("casing", CASINGS)
            yield self._levels("joint", JOINTS)
        yield self._levels("gap", GAPS)
        yield self._levels("line_end", [e for e in LINE_ENDS if e.isspace() or not blank_only])

    def _levels(self, factor: str, known: Iterable[str]) -> list[dict[str, str]]:
        levels: dict[Hashable, dict[str, str]] = {self.shown: {}}
        for level in known:
            shown = self.check(reformatted(self.template, FormatChange(**{factor: level})), levels)
            if shown is not None:
                levels[shown] = {factor: level}
        return list(levels.values())

    def check(self, variant: Template, known: Container[Hashable]) -> Hashable | None:
        """What a variant renders; None where that is known already, or it cannot be used."""
        try:
            shown = _shown(self.task, variant)
        except PromptkitError:
            return None
        if shown in known:
            return None
        return None if _broken(self.task, variant) - self.broken else shown

    def why_not(self) -> str:
        """Why there is no variant."""
        if self.layout.has_examples:
            return (
                "nothing that stands around the values of its examples can be varied; leave out "
                "formats, or vary another template"
            )
        loaded = [
            name
            for name in jinja2.meta.find_referenced_templates(_page(self.template).tree)
            if name
        ]
        if loaded:
            return f"its examples stand in {', '.join(loaded)}, which it loads; vary that one"
        return "it has no {% example %} block and no loop over the shots that could be varied"


def reformatted(template: Template, change: FormatChange) -> Template:
    """The template with a change; there is no check of what becomes of it."""
    page = _page(template)
    found = layout(page)
    core = _varied_core(found)
    source, end = "", 0
    for spot in found.spots:
        text = _text(spot, change, core)
        if text != spot.text:
            source += page.source[end : spot.start] + text
            end = spot.end
    name = f"{template.name} [{change}]"
    source += page.source[end:]
    return Template(source, name, template.folders, made_from=template.place)


def _page(template: Template) -> Page:
    return Page(template.name, template.name, template.source)


def _varied_core(found: Layout) -> str | None:
    """The separator that is varied: the answer's, or the last one where it has none."""
    spots = [spot for spot in found.spots if spot.separator is not None]
    last = ([spot for spot in spots if spot.gap is not None] or spots)[-1:]
    return last[0].separator.core if last and last[0].separator is not None else None


def _text(spot: Spot, change: FormatChange, core: str | None) -> str:
    """A literal text after a change; `core` is the separator that is varied."""
    text, separator = spot.text, spot.separator
    if change.line_end is not None and spot.line_end is not None:
        return text[: spot.line_end] + change.line_end
    if separator is not None and separator.core == core and change.separator is not None:
        keeps_line = "\n" in separator.right
        new = change.separator.rstrip(" ") if keeps_line or spot.asks else change.separator
        text = text[: separator.start] + new + (separator.right if keeps_line else "")
    elif change.joint is not None and spot.is_joint:
        return change.joint
    if change.gap is not None and spot.gap is not None:
        gap = "" if spot.asks and change.gap == " " else change.gap
        text = text.rstrip(" \t\n") + gap
    if change.casing is not None and spot.name is not None:
        start, end = spot.name
        text = text[:start] + CASINGS[change.casing](text[start:end]) + text[end:]
    return text


def _shown(task: Task[Any, Any], template: Template) -> Hashable:
    """What a template makes of a few queries after up to two shots."""
    renderer = template.renderer(task)
    prompts = []
    for query in (task.tests or task.demos)[:_SEEN]:
        shots = [demo for demo in task.demos if not same(demo, query)][:2]
        prompt = renderer.render(query, shots)
        prompts.append((str(prompt), prompt.candidates, prompt.stop))
    return tuple(prompts)


def _broken(task: Task[Any, Any], template: Template) -> set[str]:
    """The rules that a template breaks."""
    found = lint_template(task, template)
    return {finding.rule for finding in found if finding.severity != "note"}
