"""The progress of a run over many rows: a line on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from promptkit.bulk.bulk_run import BulkProgress
from promptkit.cli.console import err
from promptkit.text import counted, percent
from promptkit.translation import tr


@contextmanager
def row_progress(doing: str = "predicting") -> Iterator[Callable[[BulkProgress], None]]:
    """Show rows, their rate, the tokens that are saved and the time that is left."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn(doing), BarColumn(), TextColumn("{task.fields[said]}"))
    begun = monotonic()
    first: BulkProgress | None = None
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        job = bar.add_task(doing, total=None, said="reading")

        def update(now: BulkProgress) -> None:
            nonlocal first, begun
            if first is None or now.rows <= now.before:  # of an earlier run
                first, begun = now, monotonic()
            said = _said(now, first, monotonic() - begun)
            total = None if now.fraction is None else 1.0
            bar.update(job, completed=now.fraction or 0.0, total=total, said=said)

        yield update


def _said(now: BulkProgress, first: BulkProgress, seconds: float) -> str:
    """Return a line on how far a run is."""
    parts = [counted(now.rows, "row", "rows")]
    if now.rejects:
        parts.append(tr("{rejects:,} rejected", rejects=now.rejects))
    if seconds > 1 and now.rows > first.rows:
        parts.append(tr("{rate:,.0f} rows/s", rate=(now.rows - first.rows) / seconds))
    if now.tokens > now.decoded:
        parts.append(tr("{percent} of tokens saved", percent=percent(1 - now.decoded / now.tokens)))
    done = (now.fraction or 0.0) - (first.fraction or 0.0)
    if now.fraction is not None and done > 0.005 and seconds > 1:
        left = round(seconds * (1 - now.fraction) / done)
        parts.append(
            tr(
                "{hours}:{minutes:02}:{seconds:02} left",
                hours=left // 3600,
                minutes=left // 60 % 60,
                seconds=left % 60,
            )
        )
    return ", ".join(parts)
