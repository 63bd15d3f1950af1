"""Lookups in a table of a million predictions, and the two stores that it could be kept in.

Every contestant is measured in a process of its own. No model runs here.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import lmdb
from rich.console import Console

from benchmarks.meter import peak_mb
from benchmarks.tables import Table, show
from promptkit import Lookup, build_lookup
from promptkit.lookup.lookup_file import opened
from promptkit.lookup.lookup_keys import InputField, keys_of

LABELS = ("billing", "cancellation", "delivery", "refund", "account", "other")
ASKED = 200_000
"""Number of lookups in a round."""
ROUNDS = 5
GOALS = ("goal: 50,000 lookups/s (200,000), a median below 10 µs, opened in 0.2 s (0.05), 100 MB",)

Find = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Figures:
    """Costs of one contestant."""

    name: str
    open_seconds: float
    open_mb: float
    """Growth of the resident memory by opening and one lookup, shared pages included."""
    seconds: float
    """Of one lookup, in the fastest round."""
    cpu_seconds: float
    median_seconds: float
    file_mb: float


def text_of(number: int) -> str:
    return f"Message {number}: where is my order, s'il vous plaît?"


def predictions(rows: int) -> Iterator[dict[str, Any]]:
    """Yield made-up predictions of six labels."""
    draw = random.Random(0)
    for number in range(rows):
        weights = [draw.random() for _ in LABELS]
        probs = {name: w / sum(weights) for name, w in zip(LABELS, weights, strict=True)}
        yield {
            "input": {"text": text_of(number)},
            "label": max(LABELS, key=probs.__getitem__),
            "probs": probs,
            "margin": draw.random(),
            "coverage": draw.random(),
        }


def entries(file: Path) -> list[tuple[bytes, bytes]]:
    """Return the keys and entries of a table, which both stores are given."""
    return [*opened(file).items()]


def key_of(text: str) -> bytes:
    """Return the key of a text, as a table has it."""
    return keys_of([InputField("text", True, ("nfc", "case", "space"))])(text)[0]


def make_table(file: Path, folder: Path, rows: int) -> None:
    build_lookup(predictions(rows), file)


def make_lmdb(file: Path, folder: Path, rows: int) -> None:
    found = entries(folder / TABLE)
    made = lmdb.open(str(file), subdir=False, lock=False, map_size=1 << 36, sync=False)
    with made.begin(write=True) as transaction:
        transaction.cursor().putmulti(found, append=True)
    made.close()


def make_sqlite(file: Path, folder: Path, rows: int) -> None:
    made = sqlite3.connect(file)
    made.execute("PRAGMA journal_mode = OFF")
    made.execute("PRAGMA synchronous = OFF")
    made.execute("CREATE TABLE entries (key BLOB PRIMARY KEY, entry BLOB) WITHOUT ROWID")
    made.executemany("INSERT INTO entries VALUES (?, ?)", entries(folder / TABLE))
    made.commit()
    made.close()


def open_table(file: Path) -> Find:
    return Lookup(file).find


def open_lmdb(file: Path) -> Find:
    opened = lmdb.open(str(file), subdir=False, lock=False, readonly=True, readahead=False)
    found: Find = opened.begin().get
    return found


def open_sqlite(file: Path) -> Find:
    return _from_sqlite(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True))


def open_mapped_sqlite(file: Path) -> Find:
    opened = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)
    opened.execute(f"PRAGMA mmap_size = {1 << 32}")
    return _from_sqlite(opened)


def _from_sqlite(opened: sqlite3.Connection) -> Find:
    execute = opened.cursor().execute

    def find(key: bytes) -> bytes | None:
        for (entry,) in execute("SELECT entry FROM entries WHERE key = ?", (key,)):
            found: bytes = entry
            return found
        return None

    return find


MEMORY = ("MB by opening:", "MB of file:", "s to build:")
TABLE = "table"
CONTESTANTS: dict[str, tuple[str, Callable[[Path, Path, int], None], Callable[[Path], Find]]] = {
    "promptkit, as it is written": (TABLE, make_table, open_table),
    "promptkit, in another case": (TABLE, make_table, open_table),
    "LMDB alone": ("lmdb", make_lmdb, open_lmdb),
    "SQLite alone": ("sqlite", make_sqlite, open_sqlite),
    "SQLite alone, mapped": ("sqlite", make_sqlite, open_mapped_sqlite),
}
"""File, how it is made and how it is opened; those alone are given keys, and return bytes."""


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(name: str, folder: Path, rows: int) -> Figures:
    """Return the costs of a contestant in this process."""
    file_name, _, open_ = CONTESTANTS[name]
    file = folder / file_name
    draw = random.Random(1)
    asked: list[Any] = [text_of(draw.randrange(rows)) for _ in range(ASKED)]
    if "case" in name:
        asked = [text.upper() for text in asked]
    if "alone" in name:
        asked = [key_of(text) for text in asked]
    before, start = resident_mb(), perf_counter()
    find = open_(file)
    find(asked[0])
    opening, memory = perf_counter() - start, resident_mb() - before
    rounds = []
    for _ in range(ROUNDS):
        times = perf_counter(), process_time()
        for value in asked:
            find(value)
        rounds.append((perf_counter() - times[0], process_time() - times[1]))
    each = []
    for value in asked:
        start = perf_counter()
        find(value)
        each.append(perf_counter() - start)
    return Figures(
        name,
        opening,
        memory,
        min(wall for wall, _ in rounds) / ASKED,
        min(cpu for _, cpu in rounds) / ASKED,
        median(each),
        file.stat().st_size / 1e6,
    )


def build(name: str, folder: Path, rows: int) -> dict[str, float]:
    """Make the file of a contestant in this process, and return what that costs."""
    file_name, make, _ = CONTESTANTS[name]
    start, before = perf_counter(), peak_mb()
    make(folder / file_name, folder, rows)
    return {"seconds": perf_counter() - start, "mb": peak_mb() - before}


def apart(part: str, name: str, folder: Path, rows: int) -> dict[str, Any]:
    """Return what one part of the benchmark measures in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.lookup", "--part", part, "--name", name]
    command += ["--folder", str(folder), "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(rows: int) -> Table:
    """Measure all contestants, and return their table."""
    lines, built, notes = [], dict[str, dict[str, float]](), [*GOALS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for name, (file, _, _) in CONTESTANTS.items():
            if file not in built:
                built[file] = apart("build", name, folder, rows)
            one = Figures(**apart("measure", name, folder, rows))
            lines.append(
                (
                    one.name,
                    f"{1 / one.seconds:,.0f}",
                    f"{1 / one.cpu_seconds:,.0f}",
                    f"{one.median_seconds * 1e6:.1f}",
                    f"{one.open_seconds * 1e3:.1f}",
                    f"{one.open_mb:.0f}",
                    f"{one.file_mb:.0f}",
                    f"{built[file]['seconds']:.1f}",
                )
            )
    notes.append(
        f"building promptkit's: {built[TABLE]['mb']:.0f} MB at the most, the file's pages included"
    )
    columns = ("", "lookups/s:", "per CPU second:", "median µs:", "ms to open:", *MEMORY)

    return Table(f"Lookups among {rows:,} inputs, one thread", columns, lines, notes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.bulk lookup", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", choices=("build", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--name", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "build":
        print(json.dumps(build(options.name, options.folder, options.rows)))
    elif options.part == "measure":
        print(json.dumps(asdict(measured(options.name, options.folder, options.rows))))
    else:
        show(table(options.rows), Console(highlight=False))


if __name__ == "__main__":
    main()
