"""`audit`: what a predictor does to groups of the tests, and to terms in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptkit.auditing.audit_parts import AuditParts
from promptkit.auditing.audit_plan import AuditPlan, audit_plan
from promptkit.auditing.audited_answers import Asking, answers_of, calibrated_by, is_drawn
from promptkit.auditing.group_changes import group_changes_of
from promptkit.auditing.groups import groups_of
from promptkit.auditing.identity_terms import Terms
from promptkit.auditing.prompt_bias import prompt_bias as lean_of_prompt
from promptkit.auditing.swaps import swap_audit
from promptkit.auditing.unintended_bias import unintended_bias_of
from promptkit.errors import TaskError
from promptkit.experiments.comparison import encoded
from promptkit.files import saving
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.cell import RAW
from promptkit.inference.store import Store, opened
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import tr

FILE = "audit.json"
"""Name of the file of an audit in a folder."""

FORMAT = 1
"""Version of that file."""


@dataclass(frozen=True, repr=False)
class Audit(AuditParts):
    """What an audit finds of one predictor, in parts; `print` it.

    A part is None where it was not asked for.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
        >>> found = pk.audit(prompt, groups=["source"], store=pk.Store())
        >>> found.task, found.queries, [one.by for one in found.groups.groupings]
        ('fruit', 51, ['source'])
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as JSON can hold it."""
        found: dict[str, Any] = {"format": FORMAT, **encoded(self)}
        return found

    def to_json(self) -> str:
        """Return the audit as the text of a JSON file."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def save(self, folder: str | Path) -> Path:
        """Write the audit to `audit.json` in a folder, which `promptkit.load_audit` reads.

        Args:
            folder: The folder; it is made where it does not exist.

        Returns:
            The folder.

        Raises:
            OSError: The file cannot be written; what was there before is unchanged.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        saving.write(place / FILE, self.to_json())
        return place

    def __str__(self) -> str:
        from promptkit.auditing.audit_text import text

        return text(self)

    __repr__ = __str__


def audit(
    predictor: AnyPredictor,
    task: Task[Any, Any] | None = None,
    *,
    groups: Sequence[str] | str = (),
    intersections: bool = False,
    positive: str | float | None = None,
    four_fifths: bool = False,
    subgroups: str | None = None,
    terms: Terms | Sequence[str] | str | Path | None = None,
    against: AnyPredictor | None = None,
    swaps: bool = True,
    prompt_bias: bool = False,
    rows: Iterable[Example[Any, Any]] | None = None,
    limit: int | None = None,
    seeds: int = 1,
    calibration: str | None = None,
    store: Store | str | Path | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit a predictor: compare groups of the tests, and its scores of texts with terms in them.

    Args:
        predictor: A prompt, a frozen predictor, a student, a cascade or a lookup table.
        task: The task of the tests; by default that of the predictor.
        groups: Columns of the tests that name groups.
        intersections: Whether there are also the groups by each two of these columns.
        positive: The label that selection and error rates are about; by default the second of two,
            and each label against the rest where there are more. For numbers, the number from
            which on outputs are positive.
        four_fifths: Whether the four-fifths rule is judged on the selection rates.
        subgroups: A column whose values name subgroups, to judge the scores of the positive label
            by (unintended bias).
        terms: Terms whose texts are such subgroups: names, names with their forms, or a file of
            them, one a line.
        against: Another predictor, such as a teacher or a base model, that groups are compared
            with.
        swaps: Whether terms are swapped in sentences, where the task has some (`[audit.swap]`).
        prompt_bias: Whether is measured what the prompt leans to by itself, and with shots of one
            label; the first column of groups says which groups that moves.
        rows: Labelled queries; by default the tests of the task.
        limit: Number of queries; all by default.
        seeds: Number of draws of shots, of a predictor that draws them.
        calibration: Method of calibration of a prompt, which learns as that of a comparison does.
        store: Prediction store, or its path; by default the one in the current folder.
        progress: Function that is told how many prompts are answered.

    Returns:
        The audit.

    Raises:
        PromptkitError: Something is wrong; raised before any model runs where that can be known.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
        >>> found = pk.audit(prompt, groups=["source"], positive="berry", store=pk.Store())
        >>> [name for name in found.groups.overall.figures][:3]
        ['accuracy', 'selection_rate', 'false_positive_rate']
    """
    plan = audit_plan(
        task_of(predictor, task),
        groups=groups,
        intersections=intersections,
        positive=positive,
        four_fifths=four_fifths,
        subgroups=subgroups,
        terms=terms,
        rows=rows,
        limit=limit,
        swaps=swaps,
        prompt_bias=prompt_bias,
    )
    with opened(store) as kept:
        asking = Asking(seeds, calibration or RAW, kept, progress)
        return audited_by(plan, predictor, asking, against)


def audited_by(
    plan: AuditPlan,
    predictor: AnyPredictor,
    asking: Asking = Asking(),
    against: AnyPredictor | None = None,
) -> Audit:
    """Return the audit that a plan makes of a predictor.

    Args:
        plan: The plan.
        predictor: The predictor.
        asking: How predictors are asked.
        against: Another predictor that groups are compared with.

    Raises:
        TaskError: Another predictor is given, and no groups to compare it by.
    """
    if against is not None and not plan.columns:
        raise TaskError(tr("against: it compares groups; name columns of the tests in groups"))
    seeds = asking.seeds if plan.compares and (is_drawn(predictor) or is_drawn(against)) else 1
    asking = asking._replace(seeds=seeds)
    whole = AuditParts(
        plan.task.name,
        plan.task.fingerprint,
        predictor.identity.name,
        predictor.identity.sha256,
        len(plan.queries),
        seeds,
    )
    parts = _compared(plan, predictor, asking, against) if plan.compares else {}
    how: Any = {"store": asking.store, "progress": asking.progress}
    if plan.swaps:
        calibrated = calibrated_by(predictor, plan.queries or [*plan.task.tests], asking)
        parts["swaps"] = swap_audit(calibrated, plan.task, **how)
    if plan.prompt_bias:
        group = next(iter(plan.columns), None)
        rows = plan.queries or None
        limit = {} if plan.limit is None else {"limit": plan.limit}
        how |= {"groups": group, "rows": rows, **limit}
        parts["prompt"] = lean_of_prompt(predictor, plan.task, **how)
    return Audit(**{**vars(whole), **parts})


def _compared(
    plan: AuditPlan, predictor: AnyPredictor, asking: Asking, against: AnyPredictor | None
) -> dict[str, Any]:
    """Return the parts of an audit that compare answers with gold outputs."""
    own = plan.task, plan.queries, plan.positive, asking
    answers = answers_of(predictor, *own)
    found: dict[str, Any] = {
        "unintended": tuple(
            unintended_bias_of(answers, by, ids) for by, ids in plan.subgroups.items()
        )
    }
    if plan.columns:
        found["groups"] = groups_of(answers, plan.columns, rule=plan.four_fifths)
    if against is not None:
        found["changes"] = group_changes_of(answers, answers_of(against, *own), plan.columns)
    return found


def task_of(predictor: AnyPredictor, task: Task[Any, Any] | None) -> Task[Any, Any]:
    """Return the task of an audit. Raises `TaskError` where there is none."""
    found = getattr(predictor, "task", None) if task is None else task
    if found is None:
        raise TaskError(
            tr("{name} has no task of its own; give task=...", name=predictor.identity.name)
        )
    return found
