"""Export of training data for other tools, with a card that says what it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import promptkit
from promptkit.errors import TaskError
from promptkit.exporting.export_formats import FORMATS, ExportFormat, exported
from promptkit.exporting.export_rows import (
    ExportRow,
    ExportRows,
    apart_from_tests,
    pool_rows_of,
    predicted_rows,
    split,
)
from promptkit.exporting.export_texts import training_text
from promptkit.files import saving
from promptkit.lookup.lookup_rows import PredictedRows
from promptkit.selection.orders import AnyOrder, as_order
from promptkit.selection.strategies import AnySelection, selection_for
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.template import Template
from promptkit.text import listed
from promptkit.translation import mark, tr

NO_RATIONALE = mark("without the rationale that the template prints")
"""A reason for which rows are left out."""


@dataclass(frozen=True, slots=True)
class ExportedData:
    """Training data that was written."""

    files: tuple[Path, ...]
    """File to train with, and the one to validate with where there is one."""
    card: Path
    """File that says what the data is, in JSON."""
    rows: tuple[int, ...]
    """Number of rows of each file."""
    left_out: Mapping[str, int]
    """Number of rows that were left out, by the reason."""

    def __str__(self) -> str:
        written = [f"{file} ({count:,})" for file, count in zip(self.files, self.rows, strict=True)]
        out = [f"{count:,} {tr(reason)}" for reason, count in self.left_out.items()]
        said = tr("{rows:,} rows: {written}", rows=sum(self.rows), written=listed(written))
        return tr("{said}; left out: {out}", said=said, out=listed(out)) if out else said


@dataclass(frozen=True, slots=True)
class _Rendering:
    """How rows become prompts."""

    template: Template
    shots: int
    seed: int
    selection: AnySelection | None
    order: AnyOrder | None
    verbalizer: Verbalizer | None
    format: ExportFormat

    def lines(
        self, task: Task[Any, Any], rows: Sequence[ExportRow], left_out: Counter[str]
    ) -> Iterator[str]:
        """Yield the rows as lines of JSON, and count those that are left out."""
        renderer = self.template.renderer(task, self.verbalizer)
        renderer.expect([row.example for row in rows])
        for row in rows:
            prompt = renderer.render(
                row.example,
                self.shots,
                seed=self.seed,
                selection=selection_for(task, self.selection),
                order=None if self.order is None else as_order(self.order),
            )
            text = training_text(task, renderer, row.example, prompt)
            if text is None:
                left_out[NO_RATIONALE] += 1
            else:
                yield json.dumps(exported(text, self.format, row.probs), ensure_ascii=False) + "\n"


def export_training_data(
    task: Task[Any, Any],
    out: str | Path,
    *,
    format: ExportFormat = "completion",
    predictions: str | Path | None = None,
    template: Template | None = None,
    shots: int = 0,
    seed: int = 0,
    selection: AnySelection | None = None,
    order: AnyOrder | None = None,
    verbalizer: Verbalizer | None = None,
    validation: float = 0.1,
    min_confidence: float | None = None,
    min_coverage: float | None = None,
) -> ExportedData:
    """Write training data for other tools: prompts of a task's template, and their answers.

    The rows are the pool of the task, or those of stored predictions with their probabilities. The
    tests, and near-duplicates of them, are left out. Shots come from the pool, without the rows to
    validate with.

    Args:
        task: The task.
        out: The file, in JSONL; that to validate with is called `NAME.validation.jsonl`, and the
            card `NAME.card.json`.
        format: The format: `completion` for TRL, `chat` for hosted services and Axolotl, or
            `segments` for Axolotl without a chat template.
        predictions: Predictions of rows without a label, as `promptkit.predict` writes them; by
            default the rows are the pool.
        template: The template; by default the task's.
        shots: The number of shots of each prompt.
        seed: The seed of the draw of shots, and of the split.
        selection: The selection of shots; by default the task's.
        order: The order of shots; by default the selection's.
        verbalizer: Other words for the labels.
        validation: The share of the rows to validate with; 0 for none.
        min_confidence: The least probability of a predicted answer.
        min_coverage: The least probability of all labels together in a prediction.

    Returns:
        The files, and the numbers of rows.

    Raises:
        TaskError: The format does not fit the template, or no rows are left.
        DataError: Predictions do not fit the task.
        TemplateError: A prompt cannot be rendered.
        OSError: A file cannot be written; what was there before is unchanged.

    Example:
        >>> from promptkit import load_task
        >>> print(export_training_data(load_task("examples/remarks"), "remarks.jsonl"))
        30 rows: remarks.jsonl (27) and remarks.validation.jsonl (3)
    """
    out = Path(out)
    if out.suffix != ".jsonl":
        raise TaskError(tr("{out}: training data is JSON Lines; name it like train.jsonl", out=out))
    if format not in FORMATS:
        raise TaskError(
            tr(
                "unknown format {format!r}; choose one of: {FORMATS}",
                format=format,
                FORMATS=", ".join(FORMATS),
            )
        )
    found = _found(task, predictions, min_confidence, min_coverage)
    train, held_out = split(found.rows, validation, seed)
    if not train:
        reasons = "".join(f"; {count:,} {tr(reason)}" for reason, count in found.left_out.items())
        raise TaskError(
            tr(
                "task {name!r}: no rows are left to train with{reasons}",
                name=task.name,
                reasons=reasons,
            )
        )
    rendering = _Rendering(
        template or Template.of(task), shots, seed, selection, order, verbalizer, format
    )
    known = task if predictions is not None else _without(task, held_out)
    parts = {out: train, out.with_suffix(".validation.jsonl"): held_out}
    left_out = Counter(found.left_out)
    lines = {
        path: [*rendering.lines(known, rows, left_out)] for path, rows in parts.items() if rows
    }
    left_out = +left_out
    content: dict[Path, str | bytes] = {path: "".join(own) for path, own in lines.items()}
    card = _card(task, rendering, predictions, [*train, *held_out], left_out)
    card["files"] = {
        path.name: {"rows": len(lines[path]), "sha256": sha256(str(text).encode()).hexdigest()}
        for path, text in content.items()
    }
    place = out.with_suffix(".card.json")
    content[place] = json.dumps(card, ensure_ascii=False, indent=2) + "\n"
    saving.write_all(content)
    return ExportedData(tuple(lines), place, tuple(map(len, lines.values())), dict(left_out))


def _found(
    task: Task[Any, Any],
    predictions: str | Path | None,
    min_confidence: float | None,
    min_coverage: float | None,
) -> ExportRows:
    """Return the rows that are no tests."""
    if predictions is not None:
        return apart_from_tests(
            task, predicted_rows(task, predictions, min_confidence, min_coverage)
        )
    if min_confidence is not None or min_coverage is not None:
        raise TaskError(
            tr("min_confidence and min_coverage filter predictions, and gold answers have neither")
        )
    return apart_from_tests(task, pool_rows_of(task))


def _without(task: Task[Any, Any], rows: Iterable[ExportRow]) -> Task[Any, Any]:
    """Return a task whose pool lacks some rows, so that they are no shots."""
    left = {row.example.id for row in rows}
    demos = [demo for demo in task.demos if demo.id not in left]
    return task.model_copy(update={"demos": task.demos.model_construct(tuple(demos))})


def _card(
    task: Task[Any, Any],
    rendering: _Rendering,
    predictions: str | Path | None,
    rows: Iterable[ExportRow],
    left_out: Mapping[str, int],
) -> dict[str, Any]:
    counts = Counter(str(task.answer_of(row.example)) for row in rows) if task.is_scored else {}
    words, order = rendering.verbalizer, rendering.order
    return {
        "promptkit": promptkit.__version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "format": rendering.format,
        "task": {"name": task.name, "fingerprint": task.fingerprint},
        "template": {
            "name": rendering.template.name,
            "sha256": rendering.template.fingerprint,
        },
        "shots": rendering.shots,
        "seed": rendering.seed,
        "selection": selection_for(task, rendering.selection).name,
        "order": None if order is None else as_order(order).name,
        "verbalizer": None if words is None else words.name,
        "answers": "gold" if predictions is None else "predicted",
        "predictions": None if predictions is None else _predicted(predictions),
        "labels": dict(counts),
        "left_out": dict(left_out),
    }


def _predicted(file: str | Path) -> dict[str, Any]:
    """Return what is known of stored predictions."""
    origin = PredictedRows(file).origin
    return {
        "file": Path(file).name,
        "sha256": sha256(Path(file).read_bytes()).hexdigest(),
        "model": origin.model,
        "template": origin.template,
        "predictor": origin.predictor,
    }
