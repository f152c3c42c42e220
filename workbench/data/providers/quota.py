"""How often a plan lets us ask. Requests take their turn, also those of other processes and of earlier days.

Each request is entered in a ledger with the moment at which it may leave, so that nobody asks twice whether it is its
turn. The ledger is a SQLite file where there is a folder for it, else it lives in the process. A rate is kept over
every window of its length, which is at least as strict as a source that counts calendar minutes and days.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from workbench.core.errors import ParameterError, RateLimitError, StoreError

PATIENCE = 300.0
"""Seconds that a request waits for its turn, or for as long as a source asks for; beyond it, it fails at once."""

DAY = 86_400.0

Entry = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` requests (or credits) in any ``seconds``."""

    count: int
    seconds: float

    def __str__(self) -> str:
        names = {1.0: "a second", 60.0: "a minute", DAY: "a day"}
        return f"{self.count} {names.get(self.seconds, f'in {self.seconds:g} s')}"


def parse_rates(text: str) -> tuple[Rate, ...]:
    """Read rates such as ``8/60,800/86400``: requests per seconds.

    Raises
    ------
    ParameterError
    """
    try:
        pairs = [part.split("/") for part in text.split(",")]
        rates = tuple(Rate(int(count), float(seconds)) for count, seconds in pairs)
    except ValueError:
        rates = ()
    if not rates or any(rate.count < 1 or not 0 < rate.seconds < float("inf") for rate in rates):
        raise ParameterError(f"limits {text!r} are no rates; write requests/seconds, such as 8/60,800/86400")
    return rates


class Quota:
    """The turns of one provider's requests.

    Parameters
    ----------
    name : str
        The provider.
    rates : sequence of Rate
        All of them are kept.
    path : Path, optional
        The ledger's file.
    """

    def __init__(self, name: str, rates: Sequence[Rate], path: Path | None = None) -> None:
        self.name = name
        self.rates = tuple(rates)
        self.path = path
        self._own: list[Entry] = []
        self._lock = Lock()

    def reserve(self, now: datetime, weight: int = 1) -> float:
        """Enter a request and return the seconds after which it may leave.

        Parameters
        ----------
        now : datetime
        weight : int
            The credits that it costs.

        Raises
        ------
        RateLimitError
            If it would wait longer than ``PATIENCE``, or costs more than a rate ever allows; nothing is entered then.
        StoreError
            If the ledger cannot be read or written.
        """
        small = next((rate for rate in self.rates if weight > rate.count), None)
        if small:
            raise RateLimitError(
                f"{self.name}: this request costs {weight} credits and the plan has {small};"
                f" choose a larger one with WORKBENCH_PROVIDERS__{self.name.upper()}__PLAN"
            )
        moment = now.timestamp()
        with self._ledger(moment) as entries:
            leaves = _turn(entries, self.rates, weight, moment)
            if leaves - moment > PATIENCE:
                raise RateLimitError(
                    f"{self.name}: the plan of {', '.join(map(str, self.rates))} is used up; ask again after"
                    f" {datetime.fromtimestamp(leaves, UTC):%Y-%m-%d %H:%M} UTC,"
                    f" or set WORKBENCH_PROVIDERS__{self.name.upper()}__PLAN if yours is larger"
                )
            entries.append((leaves, weight))
        return leaves - moment

    @contextmanager
    def _ledger(self, moment: float) -> Iterator[list[Entry]]:
        """Give the entries that still count, alone; what is appended is kept unless the block raises."""
        # An entry far ahead is from a clock that was wrong; it must not stop us for ever.
        bounds = (moment - max((rate.seconds for rate in self.rates), default=0.0), moment + PATIENCE)
        with self._lock:
            if self.path is None:
                self._own = [entry for entry in self._own if bounds[0] < entry[0] <= bounds[1]]
                yield self._own
                return
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as database:
                    yield from _transaction(database, bounds)
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"cannot keep the usage of {self.name} in {self.path} ({error}); mend it") from error


def _transaction(database: sqlite3.Connection, bounds: tuple[float, float]) -> Iterator[list[Entry]]:
    # IMMEDIATE: between reading the entries and adding one, no other process may add another.
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE IF NOT EXISTS requests (leaves REAL NOT NULL, weight INTEGER NOT NULL)")
    database.execute("DELETE FROM requests WHERE leaves <= ? OR leaves > ?", bounds)
    entries: list[Entry] = database.execute("SELECT leaves, weight FROM requests").fetchall()
    known = len(entries)
    yield entries
    database.executemany("INSERT INTO requests VALUES (?, ?)", entries[known:])
    database.execute("COMMIT")


def _turn(entries: Sequence[Entry], rates: Sequence[Rate], weight: int, moment: float) -> float:
    """Return when the next request may leave, never before one that was entered earlier."""
    latest_first = sorted(entries, reverse=True)
    leaves = max(moment, latest_first[0][0]) if latest_first else moment
    for rate in rates:
        spent = weight
        for left, cost in latest_first:
            spent += cost
            if spent > rate.count:
                leaves = max(leaves, left + rate.seconds)
                break
    return leaves
