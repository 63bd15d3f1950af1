"""Prediction of any number of rows: streamed, resumable, and written whole or not at all.

Rows are read in chunks. Each chunk becomes a part file beside the output, which appears once all
chunks are done. A run that was ended anyhow goes on from the parts that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptkit.bulk.bulk_answers import KnownAnswers
from promptkit.bulk.bulk_asking import Workers
from promptkit.bulk.bulk_assembly import (
    BulkResult,
    assemble,
    check_out,
    final_manifest,
    finished,
    input_digest,
)
from promptkit.bulk.bulk_inputs import Inputs, InputStream, input_stream
from promptkit.bulk.bulk_parts import VERSION, PartFolder, Shard, differences
from promptkit.bulk.bulk_rows import RowKeys, RowParser, digest_of
from promptkit.bulk.bulk_run import (
    CHUNK_ROWS,
    BulkOptions,
    BulkProgress,
    BulkRun,
    chunks_of,
)
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.predictor_key import predictor_key
from promptkit.inference.store import Store, opened
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task
from promptkit.translation import tr


def predict(
    predictor: AnyPredictor,
    inputs: Inputs,
    *,
    out: str | Path,
    task: Task[Any, Any] | None = None,
    columns: Columns | None = None,
    strict: bool = False,
    limit: int | None = None,
    shard: str | None = None,
    normalise: bool = True,
    chunk_rows: int = CHUNK_ROWS,
    overwrite: bool = False,
    store: Store | str | Path | None = None,
    workers: Workers | None = None,
    progress: Callable[[BulkProgress], None] | None = None,
) -> BulkResult:
    """Predict rows of any number into a file, which appears once it is complete.

    Rows that do not fit the task go to `OUT.rejects.jsonl` with their line and the reason. What is
    done is kept in `OUT.parts`: the same call goes on from there after any end of the process.

    Args:
        predictor: The predictor.
        inputs: A .csv, .jsonl or .parquet file, an Arrow stream such as a data frame of polars or
            pandas or a DuckDB relation, or an iterable of records.
        out: The file of the predictions: .jsonl, .csv or .parquet.
        task: The task of the rows, for a predictor that has none.
        columns: The columns of input fields and of `id`, where they have other names.
        strict: Whether to stop at the first row that does not fit.
        limit: The number of rows to read at the most.
        shard: The part of the rows that this run predicts, such as "2/4"; `merge_shards` writes
            the file once all are done.
        normalise: Whether rows are asked once that differ in Unicode's composition (NFC) or in
            white space only; otherwise, only equal rows are.
        chunk_rows: The number of rows that are asked together and written as one part.
        overwrite: Whether to replace predictions of something else.
        store: The prediction store, or its path; by default `.promptkit/predictions.sqlite`.
        workers: Other processes that ask the predictor, such as `RayWorkers`; by default this one
            does.
        progress: A function that is called as rows are done.

    Returns:
        Numbers of rows, and the files.

    Raises:
        TaskError: The input or the output cannot be used, is another one than that of an
            unfinished run, or is being written by another process.
        DataError: A row does not fit, and the run is strict.
        StoreError: A store cannot be written; what is done is kept.
        OSError: A part cannot be written; what is done is kept.

    Example:
        >>> import tempfile
        >>> from promptkit import FakeModel, Predictor, Store, Template, load_task
        >>> task = load_task("examples/fruit")
        >>> predictor = Predictor(task, Template.of(task), FakeModel(), shots=2)
        >>> rows = [{"name": "plum"}, {"name": " plum "}, {"colour": "red"}]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = predict(predictor, rows, out=f"{folder}/out.jsonl", store=Store())
        >>> done.rows, done.rejects, done.asked
        (2, 1, 1)
    """
    asked = _task_of(predictor, task)
    chosen = BulkOptions(
        strict=strict,
        limit=_at_least_one("limit", limit),
        shard=Shard.read(shard) if shard is not None else Shard(),
        normalise=normalise,
        chunk_rows=_at_least_one("chunk_rows", chunk_rows) or CHUNK_ROWS,
        overwrite=overwrite,
    )
    path = Path(out)
    check_out(path)
    stream = input_stream(inputs)
    keys = RowKeys.for_predictor(predictor, asked, normalise=normalise)
    parser = RowParser(asked, stream, columns, keys)
    made_of = _made_of(predictor, asked, stream, columns, chosen)
    folder = PartFolder(path)
    if folder.manifest is None and (done := _as_before(folder, made_of, parser, chosen)):
        return done
    with folder.locked(chosen.shard), ExitStack() as stack:
        if overwrite and folder.manifest not in (None, made_of):
            folder.clear()
        folder.begin(made_of)
        index = folder.path / f"answers{chosen.shard.name}.sqlite"
        known = stack.enter_context(closing(KnownAnswers(index)))
        saved = stack.enter_context(opened(store))
        parts = (predictor, asked, stream, parser, folder, chosen, known, saved, progress)
        run = BulkRun(*parts, workers)
        headers = run.all_chunks()
        stack.pop_all().close()
        if chosen.shard.of > 1:
            return run.result(headers)
        return replace(assemble(folder, headers), before=run.before)


def _task_of(predictor: AnyPredictor, task: Task[Any, Any] | None) -> Task[Any, Any]:
    found = task or getattr(predictor, "task", None)
    if not isinstance(found, Task):
        name = predictor.identity.name
        raise TaskError(
            tr("{name}: a predictor without a task; say with `task` what its rows are", name=name)
        )
    return found


def _at_least_one(name: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise TaskError(tr("{name} {value}: it is 1 or more", name=name, value=value))
    return value


def _made_of(
    predictor: AnyPredictor,
    task: Task[Any, Any],
    stream: InputStream,
    columns: Columns | None,
    options: BulkOptions,
) -> dict[str, Any]:
    """Return everything that decides the parts, as JSON holds it."""
    return {
        "version": VERSION,
        "predictor": predictor.identity.name,
        "predictor_key": predictor_key(predictor),
        "task": task.name,
        "labels": [*task.labels] or None,
        "input_bytes": stream.size,
        "columns": {k: v if isinstance(v, str) else [*v] for k, v in (columns or {}).items()},
        "limit": options.limit,
        "normalise": options.normalise,
        "chunk_rows": options.chunk_rows,
    }


def _as_before(
    folder: PartFolder, made_of: Mapping[str, Any], parser: RowParser, options: BulkOptions
) -> BulkResult | None:
    """Return the outcome of a run that is complete; None where there is none.

    Raises `TaskError` for a file of something else, unless it is to be replaced.
    """
    out = folder.out
    if not out.exists() or options.overwrite:
        return None
    found = final_manifest(out)
    reason = ""
    if found is None:
        reason = tr("it was not written by promptkit predict")
    elif finished(out, made_of) is None:
        changes = "; ".join(differences(found["made_of"], made_of))
        reason = tr("it was predicted from something else ({changes})", changes=changes)
    elif found["input_sha256"] != _digest(parser, options):
        reason = tr("the input has changed since it was predicted")
    if reason:
        raise TaskError(
            tr(
                "{out} exists: {reason}; name another file, or replace it: --overwrite",
                out=out,
                reason=reason,
            )
        )
    if folder.path.exists():  # what is left of parts that were being deleted
        with folder.locked():
            folder.remove()
    return finished(out, made_of)


def _digest(parser: RowParser, options: BulkOptions) -> str:
    return input_digest([digest_of(rows) for rows in chunks_of(parser, options)])
