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
from promptkit.formatting.spots import JOINTS, Layout, Spot, layout
from promptkit.linting.lint import lint_template
from promptkit.selection.draw import same
from promptkit.tasks.task import Task
from promptkit.templating.source import Page
from promptkit.templating.template import Template
from promptkit.translation import tr

SEPARATORS = (": ", " - ", " = ", " -> ", " : ", ":: ")
"""Separators of a field's name from its value, and of the answer."""
CASINGS: Mapping[str, Callable[[str], str]] = {
    "Title": lambda name: capwords(name, " "),
    "UPPER": str.upper,
    "lower": str.lower,
}
"""Casings of field names."""
GAPS = ("", " ", "\n")
"""White space in front of the answer."""
LINE_ENDS = ("\n", "\n\n", "\n###\n", " || ")
"""Texts behind an example."""

_SEEN = 5
"""Number of queries that a variant is rendered for."""
_SAMPLE = 12
"""Number of examples of each part that a variant is checked with."""


Notify = Callable[[str], None]


def variants(
    task: Task[Any, Any],
    template: Template,
    count: int,
    notify: Notify | None = None,
) -> list[Template]:
    """Return variants of a template that differ in format alone, the template itself first.

    Literal text of its examples is varied, the same in shots and query: separators, the casing of
    field names, the text that joins values, the space in front of the answer, the end of an
    example. Levels of these are combined in a balanced design. Each variant gives another prompt
    for some of the task's examples, and breaks no rule of `lint` that the template keeps.

    Args:
        task: The task.
        template: The template.
        count: Number of variants, the template included.
        notify: Called with a message if only white space is varied, or there are fewer variants.

    Returns:
        The template, and variants whose names list their changes.

    Raises:
        TemplateError: Nothing in the template can be varied.
        TaskError: `count` is below 1.

    Example:
        >>> from typing import Literal
        >>> from pydantic import create_model
        >>> from promptkit import Task, Template, variants
        >>> Animal = create_model("Animal", name=(str, ...))
        >>> demos = [{"id": "d1", "input": {"name": "wren"}, "output": "bird"}]
        >>> task = Task[Animal, Literal["bird", "fish"]](name="animals", demos=demos)
        >>> source = "{% example %}\\n{{ input.name }}: {{ output }}\\n{% endexample %}\\n"
        >>> for variant in variants(task, Template(source, "colon.j2"), 3):
        ...     print(variant.name)
        colon.j2
        colon.j2 [sep " : ", gap "\\n", end "\\n###\\n"]
        colon.j2 [sep " - ", gap "", end "\\n\\n"]
    """
    if not isinstance(count, int) or count < 1:
        raise TaskError(tr("formats is {count!r}; give a number, 1 or more", count=count))
    if count == 1:
        return [template]
    original = _Original(_sample(task), _written_out(_sample(task), template))
    factors = [levels for levels in original.factors() if len(levels) > 1]
    if not factors:
        raise TemplateError(original.why_not(), file=template.file or template.name)
    tell = notify or (lambda message: None)
    if original.layout.markup:
        tell(
            tr(
                "{name} is {markup}: only its white space is varied",
                name=template.name,
                markup=original.layout.markup,
            )
        )
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
        tell(
            tr(
                "{name}: only {found} of {count} formats are possible",
                name=template.name,
                found=len(found),
                count=count,
            )
        )
    return list(found.values())


class FormatChange(NamedTuple):
    """Levels that a variant has in place of the template's own."""

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
    """Return a template that extends another one in full, if that renders the same."""
    shown = _shown(task, template)
    try:
        full = written_out(template)
        return full if _shown(task, full) == shown else template
    except (jinja2.TemplateError, PromptkitError):
        return template


@dataclass(frozen=True)
class _Original:
    """A template to vary, and some of its task's examples."""

    task: Task[Any, Any]
    template: Template

    @cached_property
    def layout(self) -> Layout:
        return layout(_page(self.template))

    @cached_property
    def shown(self) -> Hashable:
        """The template's prompts. Raises as rendering does."""
        return _shown(self.task, self.template)

    @cached_property
    def broken(self) -> set[str]:
        return _broken(self.task, self.template)

    def factors(self) -> Iterator[list[dict[str, str]]]:
        """Yield the levels of each factor, the template's own first; each gives other prompts."""
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
        """Return a variant's prompts; None if they are known already, or it breaks a rule."""
        try:
            shown = _shown(self.task, variant)
        except PromptkitError:
            return None
        if shown in known:
            return None
        return None if _broken(self.task, variant) - self.broken else shown

    def why_not(self) -> str:
        """Return the reason why there is no variant."""
        if self.layout.has_examples:
            return tr(
                "the text around the values of its examples cannot be varied; leave out "
                "formats, or vary another template"
            )
        named = jinja2.meta.find_referenced_templates(_page(self.template).tree)
        if loaded := list(filter(None, named)):
            return tr(
                "its examples are in {loaded}, which it loads; vary that one",
                loaded=", ".join(loaded),
            )
        return tr("it has no {% example %} block and no loop over the shots to vary")


def reformatted(template: Template, change: FormatChange) -> Template:
    """Return the template with a change, without checking the result."""
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
    """Return the separator to vary: the answer's, or the last one if it has none."""
    spots = [spot for spot in found.spots if spot.separator is not None]
    last = ([spot for spot in spots if spot.gap is not None] or spots)[-1:]
    return last[0].separator.core if last and last[0].separator is not None else None


def _text(spot: Spot, change: FormatChange, core: str | None) -> str:
    """Return a literal text after a change; `core` is the separator that is varied."""
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
    """Return a template's prompts of a few queries after up to two shots."""
    renderer = template.renderer(task)
    prompts = []
    for query in (task.tests or task.demos)[:_SEEN]:
        shots = [demo for demo in task.demos if not same(demo, query)][:2]
        prompt = renderer.render(query, shots)
        prompts.append((str(prompt), prompt.candidates, prompt.stop))
    return tuple(prompts)


def _broken(task: Task[Any, Any], template: Template) -> set[str]:
    """Return the rules that a template breaks."""
    found = lint_template(task, template)
    return {finding.rule for finding in found if finding.severity != "note"}
