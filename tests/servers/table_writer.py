"""Tables from a description that another process can be given, and a process that writes to them.

A description is ``{"root": ..., "options": ...}`` for Delta Lake or ``{"url": ...}`` for PostgreSQL. The process takes
one task a line, ``{"dataset", "symbol", "closes", "step", "learned_at"}``, writes the rows in pieces of ``step`` and
answers with the number of rows that it added.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("time", INSTANT),
        ("close", pa.float64()),
        ("volume", pa.float64()),
        ("note", pa.string()),
    ]
)
KEYS = ("symbol", "time")
FIRST = pd.Timestamp("2026-01-05 12:00", tz="UTC")


def open_tables(spec: dict):
    if "url" in spec:
        from workbench.data.tables.postgres import PostgresTables

        return PostgresTables(spec["url"])
    from workbench.data.tables.delta import DeltaTables

    root = spec["root"] if "://" in spec["root"] else Path(spec["root"])
    return DeltaTables(root, spec.get("options"))


def open_table(tables, dataset: str = "own", name: str = "bars"):
    return tables.table(dataset, name, SCHEMA, KEYS)


def make_rows(closes: Sequence[float], symbol: str = "A", first: str = "2012-12-24") -> pd.DataFrame:
    """Rows of one symbol on days one after the other, over a turn of the year."""
    times = pd.date_range(f"{first} 21:00", periods=len(closes), freq="D", tz="UTC", unit="us")
    close = pd.Series(closes, dtype="float64")
    return pd.DataFrame({"symbol": symbol, "time": times, "close": close, "volume": 1e3, "note": "ok"})


class Writer:
    """A process that writes."""

    def __init__(self, spec: dict) -> None:
        command = [sys.executable, __file__, json.dumps(spec)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait_until_ready(self) -> None:
        assert self.process.stdout.readline() == "ready\n", "the writer died; its error is on stderr"

    def tell(self, **task: object) -> None:
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()

    def added(self) -> int:
        line = self.process.stdout.readline()
        assert line, "the writer died; its error is on stderr"
        return int(line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def writers(spec: dict, count: int) -> Iterator[list[Writer]]:
    started = [Writer(spec) for _ in range(count)]
    try:
        for writer in started:
            writer.wait_until_ready()
        yield started
    finally:
        for writer in started:
            writer.end()


def serve() -> None:
    tables = open_tables(json.loads(sys.argv[1]))
    open_table(tables).exists()
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        rows = make_rows(task["closes"], task["symbol"])
        table, added = open_table(tables, task.get("dataset", "own")), 0
        for first in range(0, len(rows), task["step"]):
            added += table.write(rows[first : first + task["step"]], pd.Timestamp(task.get("learned_at", FIRST)))
        print(added, flush=True)


if __name__ == "__main__":
    serve()
