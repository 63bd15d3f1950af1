"""Model-and-data cards: what is known of a predictor, its data and its audits, in one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptkit.auditing.audit import FILE
from promptkit.auditing.card_facts import CardFacts
from promptkit.auditing.card_limits import Unstated, limits, unstated
from promptkit.auditing.card_markdown import markdown
from promptkit.auditing.card_metadata import metadata
from promptkit.auditing.card_of_run import prompted, run_facts
from promptkit.auditing.card_of_saved import (
    facts_of_adapter,
    facts_of_frozen,
    facts_of_student,
    facts_of_task,
)
from promptkit.auditing.saved_audits import load_audit
from promptkit.errors import DataError, Problem, PromptkitError, TaskError
from promptkit.experiments.comparison import Comparison, encoded, records
from promptkit.experiments.freezing import cell_in
from promptkit.experiments.saved_runs import Run, read_prompts, read_run
from promptkit.files import saving
from promptkit.inference.frozen_file import SUFFIX
from promptkit.report.packed_prompts import packed
from promptkit.students.student_folder import is_student
from promptkit.tasks.loading import load_task
from promptkit.tasks.task import Task
from promptkit.translation import tr


@dataclass(frozen=True)
class Card:
    """A model-and-data card: its text, and the same facts as JSON holds them.

    Example:
        >>> from promptkit import load_task
        >>> made = card(load_task("examples/fruit"))
        >>> made.metadata["pipeline_tag"]
        'text-classification'
    """

    facts: CardFacts
    """Everything that the card says."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata in the fields of the Hugging Face hub's model cards."""
        return metadata(self.facts)

    @property
    def not_stated(self) -> tuple[Unstated, ...]:
        """Facts that are not stated, each with the way to state it."""
        return tuple(unstated(self.facts))

    @property
    def limits(self) -> tuple[str, ...]:
        """Known limits, a sentence each."""
        return tuple(limits(self.facts))

    @property
    def markdown(self) -> str:
        """The card as Markdown, its metadata in front as YAML."""
        return markdown(self.facts)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON can hold it."""
        facts: dict[str, Any] = encoded(replace(self.facts, stated=None))  # type: ignore[arg-type]
        facts["stated"] = self.facts.stated.model_dump()
        return {
            "metadata": self.metadata,
            **facts,
            "limits": [*self.limits],
            "not_stated": encoded(self.not_stated),
        }

    def save(self, path: str | Path) -> Path:
        """Write the card as Markdown; returns the file. Raises `OSError`."""
        path = Path(path)
        saving.write(path, self.markdown)
        return path

    def __str__(self) -> str:
        return self.markdown


def card(
    subject: Task[Any, Any] | Comparison | str | Path,
    *,
    task: Task[Any, Any] | None = None,
    audit: str | Path | None = None,
    cell: Mapping[str, str] | None = None,
) -> Card:
    """Return the card of a task, a comparison, a frozen prompt, a student or an adapter.

    No model is loaded, and nothing is asked. What is not known is said to be so.

    Args:
        subject: A task, a comparison, the folder of a task, of a saved run or of a student, or the
            file of a frozen prompt (`.promptkit`) or of an adapter (`.gguf`).
        task: The task that it was made for; by default the one that the subject holds or names.
        audit: An audit (`audit.json`), or its folder; by default the one in the subject's folder.
        cell: Levels of the cell of a comparison, by the name of the factor; by default the best.

    Returns:
        The card.

    Raises:
        DataError: A file is missing, damaged or of another kind.
        TaskError: The task is not the one of the subject, or the comparison has no such cell.

    Example:
        >>> import promptkit as pk
        >>> text = card(pk.load_task("examples/fruit")).markdown
        >>> text.splitlines()[0], "## Data" in text
        ('---', True)
    """
    if isinstance(subject, str | Path):
        facts, folder = _of_path(Path(subject), task, cell or {})
    else:
        facts, folder = _of_value(subject, task, cell or {}), None
    if audit is None and folder is not None and (folder / FILE).is_file():
        audit = folder / FILE
    return Card(replace(facts, audit=None if audit is None else load_audit(audit)))


def _of_value(
    subject: Task[Any, Any] | Comparison, task: Task[Any, Any] | None, levels: Mapping[str, str]
) -> CardFacts:
    if isinstance(subject, Task):
        return facts_of_task(subject)
    run = Run(Path(), subject.to_dict(), subject.predictions)
    return _of_run(run, packed(subject.prompts), task, levels)


def _of_path(
    path: Path, task: Task[Any, Any] | None, levels: Mapping[str, str]
) -> tuple[CardFacts, Path | None]:
    """Return the facts of what lies at a path, and the folder that its audit may lie in."""
    if path.suffix == SUFFIX and not path.is_dir():
        return facts_of_frozen(path, task), None
    if path.suffix == ".gguf" and not path.is_dir():
        return facts_of_adapter(path, task), None
    if is_student(path):
        return facts_of_student(path, task), path
    if (path / "comparison.json").is_file():
        run = read_run(path)
        return _of_run(run, read_prompts(run), task, levels), path
    if path.name == "task.toml" or (path / "task.toml").is_file():
        return facts_of_task(load_task(path)), None
    known = tr("a task, a saved run, a frozen prompt (.promptkit), a student or an adapter (.gguf)")
    reason = (
        tr("no card can be made of it; name {known}", known=known)
        if path.exists()
        else tr("not found")
    )
    raise DataError([Problem(reason, file=str(path))])


def _of_run(
    run: Run,
    prompts: Mapping[str, Any] | None,
    task: Task[Any, Any] | None,
    levels: Mapping[str, str],
) -> CardFacts:
    own = _task_of(run) if task is None else task
    if task is not None and task.fingerprint != run.data["task"]["fingerprint"]:
        raise TaskError(
            tr("{name}: not the task of the run, or its rows have changed since", name=task.name)
        )
    chosen = prompted(run.data, cell_in(run, levels))
    return run_facts(run.data, records(run.predictions), prompts, chosen, own)


def _task_of(run: Run) -> Task[Any, Any] | None:
    """Return the task of a run, where it lies as it was then."""
    place = (run.data["setup"] or {}).get("task")
    try:
        found = None if place is None else load_task(place)
    except PromptkitError:
        return None
    same = found is not None and found.fingerprint == run.data["task"]["fingerprint"]
    return found if same else None
