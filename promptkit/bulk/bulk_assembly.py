"""Final files of bulk predictions, put together from their parts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from promptkit.bulk.bulk_parts import PartFolder, PartHeader, as_json, read_manifest
from promptkit.bulk.bulk_rows import ANSWER
from promptkit.errors import MissingExtraError, TaskError
from promptkit.files import saving
from promptkit.text import counted
from promptkit.translation import tr

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
"""Ends of the names of files that predictions can be written to."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """Outcome of a bulk prediction."""

    out: Path
    """File of the predicted rows; not there yet where only a shard was predicted."""
    rows: int
    """Number of predicted rows."""
    rejects: int
    """Number of rows that do not fit, which are in `rejects_file`."""
    asked: int
    """Number of rows that the predictor was asked; the others equal one of these."""
    complete: bool
    """Whether the file is there: all chunks of the input are predicted."""
    before: int = 0
    """Number of rows that an earlier, interrupted run had predicted or rejected."""

    @property
    def rejects_file(self) -> Path:
        """File of the rejected rows; there where any were."""
        return beside(self.out, "rejects.jsonl")


def beside(out: Path, end: str) -> Path:
    """Return the path of a file that goes with an output file."""
    return out.with_name(f"{out.name}.{end}")


def check_out(out: Path) -> None:
    """Raise for a file that no predictions can be written to.

    Raises:
        TaskError: Its suffix is of no known format, or it is a folder.
        MissingExtraError: It is Parquet, and pyarrow is missing.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise TaskError(
            tr(
                "{out}: predictions go to a file that ends in {SUFFIXES}",
                out=out,
                SUFFIXES=", ".join(SUFFIXES),
            )
        )
    if out.is_dir():
        raise TaskError(tr("{out}: not a file but a folder; name another", out=out))
    if out.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise MissingExtraError(tr("a Parquet file"), "data") from None


def merge_shards(out: str | Path) -> BulkResult:
    """Write the predictions of all shards to one file, in the order of the input.

    The parts of shards that ran on other machines are copied into the folder `OUT.parts` first.
    Once the file is there, doing so again changes nothing.

    Args:
        out: The file that the shards were given.

    Returns:
        Numbers of rows, and the file.

    Raises:
        TaskError: There are no parts, some are missing, or a shard is still being predicted.
        OSError: The file cannot be written; the parts are kept.

    Example:
        >>> import tempfile
        >>> from promptkit import FakeModel, Predictor, Store, Template, load_task, predict
        >>> rows = [{"name": "plum"}]
        >>> task = load_task("examples/fruit")
        >>> predictor = Predictor(task, Template.of(task), FakeModel())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = f"{folder}/fruit.jsonl"
        ...     for shard in ("1/2", "2/2"):
        ...         _ = predict(predictor, rows, out=out, shard=shard, store=Store())
        ...     merge_shards(out).rows
        1
    """
    path = Path(out)
    check_out(path)
    folder = PartFolder(path)
    if not (folder.path / "manifest.json").exists():
        if (done := finished(path)) is not None:
            return done
        raise TaskError(
            tr("{path}: no parts of shards; predict them first, with --shard", path=folder.path)
        )
    with folder.locked():
        headers = all_parts(folder)
        return assemble(folder, headers)


def finished(out: Path, made_of: Mapping[str, Any] | None = None) -> BulkResult | None:
    """Return the outcome that the manifest beside a complete file tells; None without both."""
    found = final_manifest(out)
    if found is None or (made_of is not None and found["made_of"] != made_of):
        return None
    rows, rejects = found["rows"], found["rejects"]
    return BulkResult(out, rows, rejects, found["asked"], complete=True, before=rows + rejects)


def final_manifest(out: Path) -> Mapping[str, Any] | None:
    """Return the manifest beside a complete file; None where one of both is missing."""
    found = read_manifest(beside(out, "manifest.json")) if out.exists() else None
    return found if found is not None and found.get("made_of") else None


def all_parts(folder: PartFolder) -> list[PartHeader]:
    """Return the headers of all parts. Raises `TaskError` where some are missing."""
    if folder.extent is None:
        raise TaskError(
            tr("{path}: no shard is complete yet; predict all of them first", path=folder.path)
        )
    chunks, _ = folder.extent
    found = [folder.header(chunk) for chunk in range(chunks)]
    missing = [chunk + 1 for chunk, header in enumerate(found) if header is None]
    if missing:
        named = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
        raise TaskError(
            tr(
                "{path}: {parts} of {chunks:,} missing (number {named}); predict the other "
                "shards, or copy their parts there",
                path=folder.path,
                parts=counted(len(missing), "part", "parts"),
                chunks=chunks,
                named=named,
            )
        )
    return [header for header in found if header is not None]


def input_digest(digests: Sequence[str]) -> str:
    """Return the digest of an input, given those of its chunks."""
    return sha256("".join(digests).encode()).hexdigest()


def assemble(folder: PartFolder, headers: Sequence[PartHeader]) -> BulkResult:
    """Write the final file, its manifest and the rejects, and delete the parts.

    The file itself is put in its place last. Raises OSError; then the parts are kept.
    """
    out, made_of = folder.out, folder.manifest or {}
    counts = {
        "rows": sum(one.rows for one in headers),
        "rejects": sum(one.rejects for one in headers),
        "asked": sum(one.asked for one in headers),
    }
    digest = input_digest([one.read for one in headers])
    manifest = {"made_of": made_of, "input_sha256": digest, **counts}
    write = _WRITERS.get(out.suffix.lower(), _write_jsonl)
    with saving.streamed(out) as file:
        write(file, _Lines(folder, headers), manifest)
        _write_rejects(folder, headers, counts["rejects"])
        saving.write(beside(out, "manifest.json"), as_json(manifest))
    folder.remove()
    return BulkResult(out, **counts, complete=True)


@dataclass(frozen=True)
class _Lines:
    """The predicted rows of all parts."""

    folder: PartFolder
    headers: Sequence[PartHeader]

    def raw(self) -> Iterator[bytes]:
        """Yield them as lines of JSON."""
        for header in self.headers:
            yield from (line for is_row, line in self.folder.lines(header) if is_row)

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yield them as values, a list for each part that has some."""
        for header in self.headers:
            lines = self.folder.lines(header)
            if rows := [json.loads(line) for is_row, line in lines if is_row]:
                yield rows


def _write_rejects(folder: PartFolder, headers: Sequence[PartHeader], count: int) -> None:
    file = beside(folder.out, "rejects.jsonl")
    if not count:
        file.unlink(missing_ok=True)
        return
    with saving.streamed(file) as rejects:
        for header in headers:
            rejects.writelines(line for is_row, line in folder.lines(header) if not is_row)


def _write_jsonl(file: BinaryIO, lines: _Lines, manifest: Mapping[str, Any]) -> None:
    file.writelines(lines.raw())


def _write_csv(file: BinaryIO, lines: _Lines, manifest: Mapping[str, Any]) -> None:
    columns = dict.fromkeys(("line", "id"))
    answers, returns = dict.fromkeys(ANSWER), False
    for rows in lines.batches():
        for row in rows:
            columns.update(dict.fromkeys(f"input.{name}" for name in row["input"]))
            answers.update(dict.fromkeys(name for name in row if name not in _OWN))
            # Before Python 3.13 a lone carriage return is not a reason to quote, but ends a row.
            returns = returns or "\r" in repr(row).replace("\\r", "\r")
    names = [*columns, *answers]
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    quoting: Any = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(text, names, lineterminator="\n", quoting=quoting)
    writer.writeheader()
    for rows in lines.batches():
        for row in rows:
            own = {f"input.{name}": value for name, value in row.pop("input").items()}
            writer.writerow({name: _cell(value) for name, value in {**own, **row}.items()})
    text.detach()


_OWN = ("line", "id", "input")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value


def _write_parquet(file: BinaryIO, lines: _Lines, manifest: Mapping[str, Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    labels = manifest["made_of"]["labels"]
    prepare = _rows_for(labels is None)
    schema = pyarrow.schema([("line", pyarrow.int64()), ("id", pyarrow.string())])
    texts: set[str] = set()
    for rows in lines.batches():
        schema = _wider(schema, prepare(rows, texts), texts, pyarrow)
    if labels is None and "probs" in schema.names:
        kind = pyarrow.map_(pyarrow.string(), pyarrow.float64())
        schema = schema.set(schema.get_field_index("probs"), pyarrow.field("probs", kind))
    schema = _settled(schema, pyarrow).with_metadata(
        {"promptkit": json.dumps(manifest, ensure_ascii=False)}
    )
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in lines.batches():
            writer.write_table(pyarrow.Table.from_pylist(prepare(rows, texts), schema=schema))


def _settled(schema: Any, pyarrow: Any) -> Any:
    """Return a schema with the columns in their order, and with types for those without values."""
    names = dict.fromkeys(name for name in (*_OWN, *ANSWER) if name in schema.names)
    numbers = ("margin", "coverage")
    fields = [schema.field(name) for name in dict.fromkeys((*names, *schema.names))]
    kinds = {True: pyarrow.float64(), False: pyarrow.string()}
    return pyarrow.schema(
        [
            one.with_type(kinds[one.name in numbers]) if pyarrow.types.is_null(one.type) else one
            for one in fields
        ]
    )


def _rows_for(
    options: bool,
) -> Callable[[list[dict[str, Any]], set[str]], list[dict[str, Any]]]:
    """Return a function that makes rows ready for Arrow; some columns become texts of JSON."""

    def prepare(rows: list[dict[str, Any]], texts: set[str]) -> list[dict[str, Any]]:
        for row in rows:
            if options and row["probs"] is not None:
                row["probs"] = [*row["probs"].items()]
            row.update({n: json.dumps(row[n], ensure_ascii=False) for n in texts if n in row})
        return rows

    return prepare


def _wider(schema: Any, rows: list[dict[str, Any]], texts: set[str], pyarrow: Any) -> Any:
    """Return a schema that holds more rows; columns without a common type are added to `texts`."""
    for name in dict.fromkeys(name for row in rows for name in row):
        if name == "probs" and isinstance(rows[0]["probs"], list):
            more = pyarrow.schema([("probs", pyarrow.null())])
        else:
            try:
                column = pyarrow.array([row.get(name) for row in rows])
                more = pyarrow.schema([(name, column.type)])
                schema = pyarrow.unify_schemas([schema, more], promote_options="permissive")
                continue
            except pyarrow.ArrowException:
                texts.add(name)
                more = pyarrow.schema([(name, pyarrow.string())])
        place = schema.get_field_index(name)
        schema = schema.append(more.field(0)) if place < 0 else schema.set(place, more.field(0))
    return schema


_WRITERS: Mapping[str, Callable[[BinaryIO, _Lines, Mapping[str, Any]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
