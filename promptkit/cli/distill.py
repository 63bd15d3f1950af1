"""`promptkit distill`: a student that learns from what a teacher says of a pool."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

import promptkit
from promptkit.cli import arguments, options
from promptkit.cli.console import Screen, err, note, say, write_json
from promptkit.cli.model_sizes import (
    SeedCount,
    counts_of,
    counts_option,
    say_compare,
    show_students,
)
from promptkit.cli.outputs import check_folder, checked
from promptkit.cli.predict import OneSelection, Seed, ShotCount
from promptkit.cli.predictors import (
    TASK_OR_SAVED,
    columns_of,
    is_given,
    is_saved,
    predictor_named,
    prompt_of,
)
from promptkit.cli.repeated import listed
from promptkit.cli.row_progress import row_progress
from promptkit.errors import TaskError
from promptkit.inference.cell import RAW
from promptkit.report.rich_tables import table, titled
from promptkit.students.student_card import lines_of, tables_of
from promptkit.students.teacher_calibration import calibrated
from promptkit.tasks.task_file import read_task_file
from promptkit.translation import tr

Named = Annotated[str, typer.Argument(metavar="TASK|FROZEN", help=TASK_OR_SAVED)]
Pool = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=tr("Rows to label and learn from: .csv, .jsonl or .parquet.")
    ),
]
GoldOnly = Annotated[
    bool,
    typer.Option(
        "--gold-only",
        help=tr("No teacher: learn the labelled rows of the task's own pool, without --pool."),
    ),
]
ExampleCounts = Annotated[
    list[str] | None,
    counts_option(
        tr(
            "Number of gold outputs that are learnt, with --gold or --gold-only; or "
            "several, such as 0,50,100: a student for each, in the folder --out."
        )
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        callback=checked(check_folder, "--out"),
        help=tr("Folder of the student; the teacher's answers are kept in DIR.labels."),
    ),
]
Tests = Annotated[
    str | None,
    typer.Option(
        "--tests",
        metavar="TASK",
        help=tr(
            "Task whose tests judge the student, where the teacher is a frozen "
            "predictor, which has none."
        ),
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help=tr(
            "Kind of student: tfidf (words and characters), static (vectors of words, "
            "from smollm2 or static:MODEL), or gguf:MODEL (vectors of texts; needs the "
            "model)."
        ),
    ),
]
Expected = Annotated[
    bool,
    typer.Option(
        "--expected",
        help=tr("Answer with the expected number of a scale, instead of one of its labels."),
    ),
]
Softness = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        help=tr("What the teacher's log-probabilities are divided by: above 1 makes them softer."),
    ),
]
Gold = Annotated[
    float,
    typer.Option(
        "--gold",
        metavar="X",
        min=0.0,
        max=1.0,
        help=tr("Weight of the outputs that the pool has: 0 is the teacher alone, 1 they alone."),
    ),
]
Confidence = Annotated[
    float | None,
    typer.Option(
        metavar="P", min=0.0, max=1.0, help=tr("Leave out rows whose best label is less probable.")
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        metavar="P",
        min=0.0,
        max=1.0,
        help=tr("Leave out rows with less mass on the labels."),
    ),
]
Agreement = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        min=0.0,
        max=1.0,
        help=tr("Leave out rows on whose label a smaller share of the orders agrees."),
    ),
]
Calibrate = Annotated[
    str,
    typer.Option(
        metavar="METHOD",
        help=tr("Calibration of the teacher, learnt on rows of the pool, such as batch; or none."),
    ),
]
Orders = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help=tr("Number of balanced orders of the same shots, over which the teacher is averaged."),
    ),
]
Adapter = Annotated[
    Path | None, typer.Option(metavar="FILE", help=tr("LoRA adapter (.gguf) of the model."))
]
ContextTokens = Annotated[
    int | None,
    typer.Option(
        "--context", metavar="N", min=1, help=tr("Tokens of the longest prompt with its answer.")
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        callback=listed,
        help=tr("Column of an input field, of output or of id that has another name in the pool."),
    ),
]
RowLimit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=tr("Use only the first N rows of the pool."))
]
NoCurve = Annotated[
    bool,
    typer.Option("--no-curve", help=tr("Train no students of parts of the pool and hard labels.")),
]


def distill(
    context: typer.Context,
    task: Named,
    out: Out,
    pool: Pool = None,
    student: Kind = "tfidf",
    expected: Expected = False,
    temperature: Softness = 1.0,
    gold: Gold = 0.0,
    gold_only: GoldOnly = False,
    examples: ExampleCounts = None,
    seeds: SeedCount = 1,
    min_confidence: Confidence = None,
    min_coverage: Coverage = None,
    min_agreement: Agreement = None,
    no_curve: NoCurve = False,
    tests: Tests = None,
    model: options.OneModel = "smollm2",
    adapter: Adapter = None,
    shots: ShotCount = None,
    seed: Seed = 0,
    template: options.OneTemplate = None,
    verbalizer: options.OneVerbalizer = None,
    selection: OneSelection = None,
    order: options.OneOrder = None,
    orders: Orders = 1,
    calibrate: Calibrate = "none",
    column: Columns = None,
    limit: RowLimit = None,
    store: options.StoreFile = None,
    context_tokens: ContextTokens = None,
    threads: options.Threads = None,
    json_file: options.JsonFile = None,
) -> None:
    """Train a student: a small model that answers as a prompt does, thousands of times as fast.

    The prompt, its teacher, labels the pool with its probabilities. What is labelled is kept: the
    same command goes on after any end of the process, and other students ask nothing. With several
    numbers of --examples the students are the points of a learning curve.
    """
    counts = counts_of(examples, least=4 if gold_only else 0)
    asked = _Asked(out, counts, seeds, json_file)
    lesson: dict[str, Any] = {"student": student, "expected": expected, "curve": not no_curve}
    if gold_only:
        _check_gold_only(context)
        made = asked.made(None, None, task=arguments.task_named(task), seed=seed, **lesson)
        asked.show(made, task)
        return
    if pool is None or not pool.is_file():
        said = (
            tr("give --pool FILE, or --gold-only")
            if pool is None
            else tr("--pool {pool}: no such file", pool=pool)
        )
        raise TaskError(tr("{said}; rows in .csv, .jsonl or .parquet", said=said))
    columns, codes = _read_as(tests or task, column or [])
    how: dict[str, Any] = {"columns": columns, "limit": limit, "seed": seed, "store": store}
    judged = None if tests is None else arguments.task_named(tests)
    names = {"shots": shots, "template": template, "verbalizer": verbalizer, "adapter": adapter}
    prompt = names | {"context_tokens": context_tokens, "selection": selection, "order": order}
    teacher = _teacher(context, task, model, threads, prompt, orders=orders, seed=seed)
    if calibrate != RAW:
        with err.status(tr("calibrating the teacher on rows of the pool")):
            teacher = calibrated(teacher, calibrate, pool, **how)
    with row_progress("labelling") as progress:
        made = asked.made(
            teacher,
            pool,
            task=judged,
            temperature=temperature,
            gold_weight=gold,
            min_confidence=min_confidence,
            min_coverage=min_coverage,
            min_agreement=min_agreement,
            codes=codes,
            tell=lambda member, members, now: progress(now),
            **lesson,
            **how,
        )
    asked.show(made, tests or task)


class _Asked(NamedTuple):
    """What is to be made, and where it goes."""

    out: Path
    counts: Sequence[int]
    """Numbers of gold outputs; empty for all."""
    seeds: int
    json_file: str | None

    def made(self, teacher: Any, pool: Any, **how: Any) -> list[Any]:
        """Return the student, or several."""
        if self.seeds > 1 and not self.counts:
            raise TaskError(tr("--seeds: with --examples N, the number of outputs that are drawn"))
        if len(self.counts) > 1 or self.seeds > 1:
            from promptkit.students.student_sizes import distill_sizes

            several = {**how, "seeds": self.seeds, "notify": note, "curve": False}
            return distill_sizes(teacher, pool, self.out, self.counts, **several)
        count = self.counts[0] if self.counts else None
        return [promptkit.distill(teacher, pool, out=self.out, examples=count, notify=note, **how)]

    def show(self, made: Sequence[Any], task: str) -> None:
        """Print what was made, and write it as JSON."""
        if len(made) == 1:
            _show(made[0], self.out, self.json_file)
            return
        if self.json_file != "-":
            show_students(made)
            say_compare(task, 0, "smollm2", self.out)
        every = [{"card": one.card, "profile": one.profile.to_dict()} for one in made]
        write_json(self.json_file, every)


def _check_gold_only(context: typer.Context) -> None:
    """Raise `TaskError` for options of a teacher."""
    for option in _OF_TEACHER:
        if is_given(context, option):
            name = _NAMES.get(option, option).replace("_", "-")
            raise TaskError(
                tr("--{name}: it is about a teacher, and with --gold-only there is none", name=name)
            )


_OF_TEACHER = (
    *("pool", "tests", "temperature", "gold", "min_confidence", "min_coverage", "min_agreement"),
    *("model", "adapter", "shots", "template", "verbalizer", "selection", "order", "orders"),
    *("calibrate", "column", "limit", "context_tokens"),
)
_NAMES = {"context_tokens": "context"}


def _teacher(
    context: typer.Context,
    task: str,
    model: str,
    threads: int | None,
    prompt: Mapping[str, Any],
    *,
    orders: int,
    seed: int,
) -> list[Any]:
    """Return the predictors that are averaged: a saved one, or a prompt in several orders."""
    if is_saved(task):
        for option in (*prompt, "orders", "calibrate"):
            if is_given(context, option):
                name = option.removesuffix("_tokens")
                raise TaskError(
                    tr("--{name}: a saved predictor has its own; leave it out", name=name)
                )
        named = model if is_given(context, "model") else None
        return [predictor_named(task, named, threads=threads)]
    if orders > 1 and prompt["order"]:
        raise TaskError(tr("--orders: these are orders already; leave out --order"))
    names = [prompt["selection"]] if prompt["selection"] else []
    one = prompt_of(
        arguments.task_named(task),
        **{name: prompt[name] for name in ("shots", "template", "verbalizer", "adapter")},
        model=model,
        how={"context": prompt["context_tokens"], "threads": threads},
        seed=seed,
        selection=next(iter(arguments.selections(names, None)), None),
    )
    if orders > 1 and one.shots < 2:
        raise TaskError(
            tr(
                "--orders {orders}: {shots} shots have one order; ask for more shots",
                orders=orders,
                shots=one.shots,
            )
        )
    count = orders if orders > 1 else None
    chosen = arguments.orders([prompt["order"]] if prompt["order"] else [], count)
    return [replace(one, order=order) for order in chosen] or [one]


def _read_as(task: str, texts: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the columns of the pool, that of outputs too, and the codes of labels in it."""
    columns: dict[str, Any] = dict(columns_of(task, [*texts]))
    file = Path(task) / "task.toml" if Path(task).is_dir() else Path(task)
    if is_saved(task) or file.name != "task.toml":
        return columns, {}
    named = read_task_file(file)
    return {"output": named.output_column, **columns}, named.output.codes


def _show(made: Any, out: Path, json_file: str | None) -> None:
    """Print what a student was made of and how it does, and write it as JSON."""
    card, size = made.card, made.profile.bytes
    if json_file != "-":
        screen = Screen(width=None if sys.stdout.isatty() else 120)
        for line in lines_of(card):
            say(line)
        for one in tables_of(card, made.parameters):
            shown = table(*one.columns)
            for row in one.rows:
                shown.add_row(*row)
            screen.print("", titled(one.title), shown, sep="\n")
        screen.print()
        say(
            tr(
                "Written to {out}: {parameters:,} parameters, {size:,.0f} kB",
                out=out,
                parameters=made.parameters,
                size=size / 1000.0,
            )
        )
    write_json(json_file, {"card": card, "profile": made.profile.to_dict()})
