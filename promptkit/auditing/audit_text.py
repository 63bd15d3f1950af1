"""An audit as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.text import Text

from promptkit.auditing.audit_parts import AuditParts
from promptkit.auditing.bias_table import biased
from promptkit.auditing.changes_table import changed
from promptkit.auditing.groups_table import grouped
from promptkit.auditing.prompt_bias_table import prompt_bias_tables
from promptkit.auditing.swap_table import swap_tables
from promptkit.errors import escaped
from promptkit.report.rich_tables import titled
from promptkit.text import counted, file_name
from promptkit.translation import mark, tr

LIMITS = mark(
    "What these figures cannot show: groups are only those that a column or a "
    "term names, gold outputs may be biased themselves, and a swap is a "
    "diagnostic, not proof. A gap says that groups are treated differently "
    "here, not why, and no gap found is not proof of none."
)
"""Note on what an audit cannot show."""


def text(found: AuditParts, width: int = 110) -> str:
    """Return an audit without colours.

    Args:
        found: The audit.
        width: Number of characters of a line.
    """
    console = Console(
        file=StringIO(), width=width, color_system=None, markup=False, emoji=False, highlight=False
    )
    with console.capture() as capture:
        console.print(render(found, width))
    lines = capture.get().split("\n")
    return "\n".join(escaped(line.rstrip()) for line in lines).rstrip()


def render(found: AuditParts, width: int = 110) -> RenderableType:
    """Return an audit: a table of each part, what it shows in words, and its limits.

    Args:
        found: The audit.
        width: Width in characters.
    """
    return Group(*_parts(found, width))


def _parts(found: AuditParts, width: int) -> Iterator[RenderableType]:
    size = [counted(found.queries, "query", "queries")] if found.queries else []
    drawn = [] if found.seeds == 1 else [tr("{seeds} draws of shots", seeds=found.seeds)]
    yield titled(
        " · ".join(
            [
                tr("Audit of {predictor}", predictor=file_name(found.predictor)),
                found.task,
                *size,
                *drawn,
            ]
        )
    )
    yield ""
    if found.groups is not None:
        yield from grouped(found.groups, width)
    for one in found.unintended:
        yield from biased(one, width)
    if found.changes is not None:
        yield from changed(found.changes, width)
    if found.swaps is not None:
        yield from swap_tables(found.swaps, width)
        yield ""
    if found.prompt is not None:
        yield from prompt_bias_tables(found.prompt, width)
        yield ""
    if found.queries:
        new = "" if found.seeds == 1 else tr(" and new draws of shots")
        yield Text(tr("Brackets are 95 % intervals for new queries{new}.", new=new), "dim")
    yield Text(tr(LIMITS), "dim")
