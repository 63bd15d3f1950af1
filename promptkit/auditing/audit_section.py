"""The audit's part of a page, and a page of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from promptkit.auditing.audit_blocks import audit_blocks
from promptkit.auditing.audit_parts import AuditParts
from promptkit.auditing.audit_text import LIMITS
from promptkit.report.page_environment import page_environment, page_file
from promptkit.report.svg_text import labelled
from promptkit.text import counted, file_name
from promptkit.translation import tr


def audit_section(audit: AuditParts) -> Markup:
    """Return an audit as a section of a page.

    Args:
        audit: The audit.
    """
    return Markup(_template("audit_section.html").render(_context(audit)))


def audit_page(audit: AuditParts) -> str:
    """Return an audit as one self-contained page, without scripts and network.

    Args:
        audit: The audit.
    """
    return _template("audit_page.html").render(
        title=audit.task,
        section=audit_section(audit),
        css=page_file("page.css"),
    )


def _context(audit: AuditParts) -> dict[str, Any]:
    size = [counted(audit.queries, "query", "queries")] if audit.queries else []
    draws = [] if audit.seeds == 1 else [tr("{seeds} draws of shots", seeds=audit.seeds)]
    return {
        "about": tr("{text}.", text=", ".join([file_name(audit.predictor), *size, *draws])),
        "blocks": [*audit_blocks(audit)],
        "charts": _charts(audit),
        "limits": tr(LIMITS),
        "swapped": audit.swaps is not None,
    }


def _charts(audit: AuditParts) -> dict[str, list[tuple[str, Markup]]]:
    """Return the charts by the title of the table that they stand above; none without altair."""
    try:
        from promptkit.auditing.audit_charts import panels_by_title
        from promptkit.report.charts.style import svg
    except ImportError:
        return {}
    return {
        title: [(one.title, labelled(svg(one.chart), one.alternative)) for one in panels]
        for title, panels in panels_by_title(audit).items()
    }


@cache
def _template(name: str) -> jinja2.Template:
    source = Path(__file__).with_name(name).read_text("utf-8")
    return page_environment().from_string(source)
