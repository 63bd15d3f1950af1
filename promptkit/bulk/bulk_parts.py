"""Part files of a bulk prediction: one for each chunk of rows, written whole or not at all.

`OUT.parts/` holds a manifest with what the run is made of, a file for each chunk that is done, and
a lock. It is deleted once the final file is in its place.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from promptkit.errors import TaskError
from promptkit.files import saving
from promptkit.graphemes import cut
from promptkit.translation import tr

VERSION = 1
"""Version of part files and manifests."""


class Shard(NamedTuple):
    """One of several runs that share the chunks of an input: every `of`-th, from `number` on."""

    number: int = 1
    of: int = 1

    @classmethod
    def read(cls, text: str) -> Shard:
        """Return the shard that `2/4` names. Raises `TaskError`."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise TaskError(
                tr(
                    "shard {text!r}: write its number and how many there are, such as 2/4",
                    text=text,
                )
            )
        return cls(int(number), int(of))

    def has(self, chunk: int) -> bool:
        """Return whether a chunk is one of the shard's."""
        return chunk % self.of == self.number - 1

    @property
    def name(self) -> str:
        """Return the end of the names of files that are the shard's own."""
        return "" if self.of == 1 else f"-{self.number}-of-{self.of}"


@dataclass(frozen=True, slots=True)
class PartHeader:
    """First line of a part file."""

    chunk: int
    """Number of the chunk, from 0."""
    read: str
    """Digest of the rows as they were read."""
    rows: int
    """Number of predicted rows, a line each."""
    rejects: int
    """Number of rejected rows, a line each, behind the predicted ones."""
    asked: int
    """Number of rows that the predictor was asked; the others equal one of an earlier line."""
    sha256: str
    """Digest of the lines."""


class PartFolder:
    """The folder of the parts of an output file."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.with_name(f"{out.name}.parts")

    def file(self, chunk: int) -> Path:
        """Return the path of a part."""
        return self.path / f"part-{chunk:08d}.jsonl"

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """Return what the parts are made of; None where no run has begun.

        Raises `TaskError` for what is no manifest.
        """
        return read_manifest(self.path / "manifest.json")

    def begin(self, made_of: Mapping[str, Any]) -> None:
        """Write the manifest, or check that the parts that are there are made of the same.

        Raises `TaskError` where they are not.
        """
        before = self.manifest
        if before is None:
            self.clear()  # of a run that was complete when it was killed
            saving.write(self.path / "manifest.json", as_json(made_of))
        elif changed := differences(before, made_of):
            raise TaskError(
                tr(
                    "{path}: an unfinished run of something else ({changed}); repeat that "
                    "one's command, name another file, or begin anew with --overwrite",
                    path=self.path,
                    changed="; ".join(changed),
                )
            )

    def clear(self) -> None:
        """Delete all parts, the manifest first: without it the others count for nothing."""
        (self.path / "manifest.json").unlink(missing_ok=True)
        for file in self.path.iterdir():
            if not file.name.startswith("lock"):
                file.unlink()

    def remove(self) -> None:
        """Delete the folder."""
        self.clear()
        shutil.rmtree(self.path)

    def write(self, header: Mapping[str, Any], lines: Sequence[str]) -> PartHeader:
        """Write a part, whole or not at all. Raises OSError with the file's name."""
        body = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        made = PartHeader(**header, sha256=sha256(body).hexdigest())
        first = json.dumps(asdict(made)).encode()
        saving.write(self.file(made.chunk), first + b"\n" + body)
        return made

    def header(self, chunk: int) -> PartHeader | None:
        """Return the header of a part; None where it is not there, or damaged."""
        try:
            with self.file(chunk).open("rb") as file:
                made = PartHeader(**json.loads(file.readline()))
                digest = sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return None
        return made if digest.hexdigest() == made.sha256 and made.chunk == chunk else None

    def lines(self, header: PartHeader) -> Iterator[tuple[bool, bytes]]:
        """Yield the lines of a part, and whether each is a predicted row."""
        with self.file(header.chunk).open("rb") as file:
            next(file)
            for number, line in enumerate(file):
                yield number < header.rows, line

    def finish(self, chunks: int, rows: int) -> None:
        """Write down how many chunks and rows the input has, once it was read to its end."""
        text = as_json({"chunks": chunks, "rows": rows})
        file = self.path / "input.json"
        if not file.exists() or file.read_text("utf-8") != text:
            saving.write(file, text)

    @property
    def extent(self) -> tuple[int, int] | None:
        """Return the numbers of chunks and rows of the input; None where no run read all of it."""
        found = read_manifest(self.path / "input.json")
        return None if found is None else (found["chunks"], found["rows"])

    @contextmanager
    def locked(self, shard: Shard = Shard()) -> Iterator[None]:
        """Hold the lock of a run or a shard of it; the folder is made where it is missing.

        Raises:
            TaskError: Another process has it.
            OSError: The folder cannot be written.
        """
        self.path.mkdir(exist_ok=True)
        with ExitStack() as stack:
            # A run without shards waits for none, and so does a shard for such a run.
            whole = FileLock(self.path / "lock")
            self._take(whole, stack)
            if shard.of > 1:
                self._take(FileLock(self.path / f"lock{shard.name}"), stack)
                whole.release()
            else:
                for other in sorted(self.path.glob("lock-*")):
                    self._take(FileLock(other), stack)
            yield

    def _take(self, lock: FileLock, stack: ExitStack) -> None:
        busy = TaskError(
            tr(
                "{out}: another process is writing it; wait until it is done, or name "
                "another file with --out",
                out=self.out,
            )
        )
        try:
            stack.enter_context(lock.acquire(timeout=0))
        except Timeout:
            raise busy from None
        if not Path(lock.lock_file).exists():  # it was deleted with its folder meanwhile
            raise busy


def read_manifest(file: Path) -> Mapping[str, Any] | None:
    """Return a manifest; None where there is none. Raises `TaskError` for anything else."""
    with suppress(FileNotFoundError):
        try:
            found = json.loads(file.read_text("utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TaskError(
                tr("{file}: not the manifest of a bulk prediction; delete it", file=file)
            )
        return found
    return None


def as_json(value: Any) -> str:
    """Return a value as the JSON of a manifest."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words how what two runs are made of differs."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names == ["predictor_key"]:
        return [tr("the predictor, under the same name")]
    return [
        tr(
            "{name} {before}, now {now}",
            name=name.replace("_", " "),
            before=_brief(before.get(name)),
            now=_brief(now.get(name)),
        )
        for name in names
        if name != "predictor_key"
    ]


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return cut(text, 60)
