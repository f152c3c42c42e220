"""Writers of the bar store that are killed at random moments; what they leave must be whole.

``python tests/servers/store_killer.py KILLS [SEED]`` ends with one line of JSON: ``kills``, ``torn`` (looks at which a
table could not be read, or held a part of a write), ``lost`` (writes that were reported as done and are not there),
``stores`` (that were filled one after the other), ``midway`` (kills that met a store neither empty nor full).

A server process imports once and forks a writer for each task, so that a kill costs no start of an interpreter. It uses
the tables never itself: a fork of their threads would hang.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from workbench.core.errors import StoreError
from workbench.core.market import PRICES
from workbench.data.store import BarStore, DatasetTables, Written
from workbench.data.tables import delta
from workbench.data.tables.delta import DeltaTables

SYMBOLS = list("ABCDE")
DAYS = 20
PIECES = 20
"""Writes that fill a store."""

MANY = 6
"""Small files that a writer here merges at once: often, so that a kill meets that, too."""

ROWS = {"bars": len(SYMBOLS) * DAYS, "actions": len(SYMBOLS), "quarantine": 1}
"""Rows of each table that one piece adds."""


def piece(number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and actions of one write: some days of every symbol, a dividend each, and one row that is kept out."""
    days = pd.date_range("2000-01-03 21:00", periods=DAYS, tz="UTC") + pd.Timedelta(days=number * DAYS)
    index = pd.MultiIndex.from_product([SYMBOLS, days], names=["symbol", "time"])
    rows = index.to_frame(index=False).assign(**dict.fromkeys(PRICES, 100.0 + number), volume=1.0)
    bad = rows[:1].assign(time=days[0] + pd.Timedelta(hours=1), close=-1.0)
    rows = pd.concat([rows, bad], ignore_index=True)
    actions = pd.DataFrame({"symbol": SYMBOLS, "time": days[0], "kind": "dividend", "value": 0.5})
    return rows.assign(date=rows["time"].dt.strftime("%Y-%m-%d")), actions


def write_piece(store: BarStore, number: int) -> Written:
    return store.write("own", *piece(number), "USD")


def pieces_of(table: str, tables: DatasetTables) -> dict[int, int]:
    """Rows of each piece in a table, every row that was ever written counted."""
    rows = getattr(tables, table).history()
    stamps = pd.DatetimeIndex(rows["session"] if table == "quarantine" else rows["time"])
    numbers = (stamps - pd.Timestamp("2000-01-03", tz="UTC")).days // DAYS
    return pd.Series(numbers).value_counts().to_dict()


def look(folder: Path, done: set[int]) -> tuple[int, int, int]:
    """Read a store anew; return torn tables, lost pieces and how many pieces have their bars."""
    tables, torn, there = BarStore(DeltaTables(folder)).tables("own"), 0, {}
    for table, rows in ROWS.items():
        try:
            found = pieces_of(table, tables)
        except StoreError:
            return torn + 1, 0, 0
        torn += any(count != rows for count in found.values())
        there[table] = set(found)
    # Bars are written last: none of them without their actions.
    torn += not there["bars"] <= there["actions"]
    lost = sum(number not in own for own in there.values() for number in done)
    return torn, lost, len(there["bars"])


class Server:
    """The process that forks writers."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "serve"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the server died; its error is on stderr"

    def start(self, folder: Path, first: int = 0) -> int:
        """Let a writer fill a store from a piece on; return its process id, which is its own until ``reap``."""
        self.process.stdin.write(f"{first} {folder}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def reap(self) -> dict[int, list[int]]:
        """Wait for the writer's end; return what each write that it reported as done has added."""
        self.process.stdin.write("reap\n")
        self.process.stdin.flush()
        told = {}
        for line in self.process.stdout:
            if line == "ended\n":
                return told
            number, *added = map(int, line.split())
            told[number] = added
        raise AssertionError("the server died; its error is on stderr")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def servers(count: int) -> Iterator[list[Server]]:
    started = [Server() for _ in range(count)]
    try:
        yield started
    finally:
        for server in started:
            server.end()


def kill_writers(root: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill writers at random moments, each going on where the one before was stopped; return the counts."""
    choose = random.Random(seed)
    counts = {"kills": 0, "torn": 0, "lost": 0, "stores": 1, "midway": 0}
    with servers(1) as (server,):
        began = time.monotonic()
        server.start(root / "undisturbed")
        assert len(server.reap()) == PIECES
        whole = time.monotonic() - began
        folder, done, there = root / "store0", set(), 0
        while counts["kills"] < kills:
            writer = server.start(folder, there)
            time.sleep(choose.uniform(0, whole / 3))
            os.kill(writer, signal.SIGKILL)
            done |= set(server.reap())
            torn, lost, there = look(folder, done)
            counts["kills"] += 1
            counts["torn"] += torn
            counts["lost"] += lost
            counts["midway"] += 0 < there < PIECES
            if there == PIECES and counts["kills"] < kills:
                shutil.rmtree(folder)
                folder, done, there = root / f"store{counts['stores']}", set(), 0
                counts["stores"] += 1
        # Whatever was left can be completed.
        server.start(folder)
        server.reap()
        torn, lost, there = look(folder, set(range(PIECES)))
        counts["torn"] += torn + (there != PIECES)
        counts["lost"] += lost
    return counts


def serve() -> None:
    delta.MANY = MANY
    print("ready", flush=True)
    for line in sys.stdin:
        writer = os.fork()
        if writer == 0:
            first, _, folder = line.strip().partition(" ")
            store = BarStore(DeltaTables(Path(folder)))
            for number in range(int(first), PIECES):
                added = write_piece(store, number)
                # One write of a short line: it arrives whole or not at all.
                os.write(1, f"{number} {added.bars} {added.actions} {added.quarantined}\n".encode())
            os._exit(0)
        print(writer, flush=True)
        sys.stdin.readline()
        os.waitpid(writer, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        with tempfile.TemporaryDirectory() as place:
            seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
            print(json.dumps({**kill_writers(Path(place), int(sys.argv[1]), seed), "seed": seed}))
