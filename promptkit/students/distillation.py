"""Distillation: a teacher labels a pool, and a student learns from that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from promptkit.bulk.bulk_inputs import Inputs
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.profile import Profile
from promptkit.inference.store import Store, opened
from promptkit.students.arrays_file import packed
from promptkit.students.label_filters import LabelFilters
from promptkit.students.lesson import Lesson
from promptkit.students.linear_head import LinearHead
from promptkit.students.pool_gold import gold_of
from promptkit.students.pool_labels import PoolSource, Tell, label_pool
from promptkit.students.student import Student
from promptkit.students.student_curve import student_curve
from promptkit.students.student_figures import judge
from promptkit.students.student_folder import is_student
from promptkit.students.taught import Taught, card_of
from promptkit.students.teacher import Teacher
from promptkit.students.training import kind_named, train
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task

Notify = Callable[[str], None]


def distill(
    teacher: AnyPredictor | Sequence[AnyPredictor],
    pool: Inputs,
    *,
    out: str | Path | None = None,
    task: Task[Any, Any] | None = None,
    student: str = "tfidf",
    expected: bool = False,
    temperature: float = 1.0,
    gold_weight: float = 0.0,
    min_confidence: float | None = None,
    min_coverage: float | None = None,
    min_agreement: float | None = None,
    curve: bool = True,
    columns: Columns | None = None,
    codes: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
    tell: Tell | None = None,
    notify: Notify | None = None,
) -> Student:
    """Return a student that has learnt from what a teacher says of an unlabelled pool.

    The teacher's answers are kept in `OUT.labels`: the same call goes on from there after any end
    of the process, and another student of the same pool asks nothing. The student is judged by the
    gold outputs of the task's tests; rows of the pool that are nearly a test are left out.

    Args:
        teacher: A predictor of labels or numbers; or several, such as orders of the same shots,
            whose answers are averaged.
        pool: A .csv, .jsonl or .parquet file, an Arrow stream, or an iterable of records.
        out: The folder of the student; None to keep nothing.
        task: The task, with tests; by default that of the teacher.
        student: The kind of student: `tfidf`, `static`, `static:MODEL` or `gguf:MODEL`.
        expected: Whether the student of a scale, whose labels are numbers, answers with the
            expected number instead of one of them.
        temperature: What the teacher's log-probabilities are divided by: above 1 makes them softer.
        gold_weight: The weight of the pool's outputs where it has some, from 0 (the teacher alone)
            to 1.
        min_confidence: The least probability of the most probable label of a row.
        min_coverage: The least probability mass on the labels together.
        min_agreement: The least share of the predictors whose answer is that of their mean.
        curve: Whether students of parts of the pool, and of hard labels, are trained and judged.
        columns: The columns of input fields, `output` and `id`, where they have other names.
        codes: Labels by the codes that stand for them among the pool's outputs.
        limit: The number of rows of the pool to read at the most.
        seed: The number of the draws.
        store: The prediction store, or its path; by default `.promptkit/predictions.sqlite`.
        tell: A function that is called as rows are labelled.
        notify: A function that is called with what is done next.

    Returns:
        The student; its `card` says what it was made of and how well it does.

    Raises:
        TaskError: The task's outputs cannot be learnt, a setting is out of its range, the pool
            cannot be read, no row is left, or `out` is a folder of something else.
        OSError: A file cannot be written.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> teacher = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=2)
        >>> pool = [{"name": f"{size} {kind}s"} for size in range(40) for kind in ("gum", "fig")]
        >>> student = distill(teacher, pool, curve=False, store=pk.Store())
        >>> student.card["training"]["rows"]
        80
    """
    filters = LabelFilters(min_confidence, min_coverage, min_agreement)
    lesson = Lesson(student, temperature, gold_weight, filters, seed)
    own, say = _teacher(teacher, task, expected), notify or (lambda message: None)
    filters.check(len(own.members), numeric=not own.task.labels)
    place = None if out is None else _checked(Path(out))
    reading = _Reading(PoolSource.of(pool), columns, codes, limit)
    with _answers(place) as folder, opened(store) as kept:
        taught = _taught(own, reading, lesson, folder, kept, tell)
    say(f"training on {len(taught.rows):,} rows")
    begun = perf_counter()
    name = "student" if place is None else place.resolve().name
    made, head = train(own.taught_task, taught.rows, kind_named(student), seed=seed, name=name)
    seconds = perf_counter() - begun
    judged = judge(made, taught)
    if curve and taught.tests:
        say("training on parts of the rows, and on hard labels")
        judged["curve"] = [*student_curve(taught)]
    card = card_of(taught, judged, head.strength, seconds)
    made = replace(made, card=card, profile=_profile(taught, made, head, seconds))
    if place is not None:
        made.save(place)
    return made


class _Reading(NamedTuple):
    """Rows of a pool, and how they are read."""

    source: PoolSource
    columns: Columns | None
    codes: Mapping[str, str] | None
    limit: int | None


def _teacher(
    given: AnyPredictor | Sequence[AnyPredictor], task: Task[Any, Any] | None, expects: bool
) -> Teacher:
    members = tuple(given) if isinstance(given, Sequence) else (given,)
    own = task or next((getattr(member, "task", None) for member in members), None)
    if not isinstance(own, Task):
        raise TaskError("a teacher without a task; say with `task` what its answers are")
    return Teacher(members, own, expects)


def _checked(out: Path) -> Path:
    """Return the folder of a student. Raises `TaskError` where it is one of something else."""
    if out.exists() and not is_student(out) and (not out.is_dir() or any(out.iterdir())):
        raise TaskError(f"{out}: there already, and no student; name another folder")
    return out


@contextmanager
def _answers(out: Path | None) -> Iterator[Path]:
    """Yield the folder of a teacher's answers, which is kept beside a student that is."""
    if out is not None:
        yield out.with_name(f"{out.name}.labels")
        return
    with TemporaryDirectory(prefix="promptkit-") as folder:
        yield Path(folder)


def _taught(
    teacher: Teacher,
    reading: _Reading,
    lesson: Lesson,
    folder: Path,
    store: Store,
    tell: Tell | None,
) -> Taught:
    """Return the rows that a student learns from, and the teacher's answers to the tests."""
    source, columns, codes, limit = reading
    how: Any = {"columns": columns, "limit": limit}
    labels = label_pool(teacher, source, folder, store=store, tell=tell, **how)
    gold = None
    if lesson.gold_weight:
        gold = gold_of(teacher, source, labels, codes=codes, **how)
    rows, dropped = lesson.rows(teacher, labels, gold)
    said = tuple(teacher.answered_tests(store))
    return Taught(teacher, source, labels, lesson, rows, dropped, teacher.tests, said)


def _profile(taught: Taught, made: Student, head: LinearHead, seconds: float) -> Profile:
    return Profile(
        parameters=made.parameters,
        trained=head.weights.size + head.bias.size,
        bytes=len(packed(made.arrays)),
        seconds=taught.labels.seconds + seconds,
        tokens=taught.labels.tokens,
        labels=taught.teacher.labels + int(taught.rows.has_gold.sum()),
    )
