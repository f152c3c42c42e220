"""Dated universes: who was a member of an index on which day.

Each file that differs from the last one (see ``workbench.data.memberships``) is an *edition*, stored whole beside the
earlier ones in a single write. The newest edition is what counts, so a membership that a newer file no longer has does
not linger, a past edition can still be asked for, and of two files that are loaded at once one wins, never a mixture.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from workbench.core.calendar import Moment
from workbench.core.clock import Clock, utc_now
from workbench.core.errors import DateRangeError, InputError, UnknownNameError
from workbench.core.known import last_moment, limit, within
from workbench.data.memberships import FIELDS, Membership, read_memberships, read_symbol_file
from workbench.data.tables.base import FactTable, Tables

DATASET = "universes"
# Days are texts, ``2012-03-01`` or "": they sort as days do, and every store of tables has texts.
MEMBERS = pa.schema([pa.field(name, pa.string()) for name in ("name", "symbol", "start", "end", "edition")])
KEYS = ("name", "symbol", "start")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a file did: its memberships, and how many are new or changed and how many it no longer has."""

    name: str
    memberships: int
    changed: int
    withdrawn: int


class Universes:
    """The universes of a store.

    Parameters
    ----------
    tables : Tables
        Where they are kept, as the dataset ``universes``.
    clock : callable
        Says when an edition is learned, and which day is today.
    """

    def __init__(self, tables: Tables, clock: Clock = utc_now) -> None:
        self.tables = tables
        self.clock = clock

    @cached_property
    def table(self) -> FactTable:
        """The memberships of all editions."""
        return self.tables.table(DATASET, "members", MEMBERS, KEYS)

    def names(self) -> list[str]:
        """Return the names of the universes, sorted."""
        return sorted(self.table.read(as_of=limit())["name"].unique())

    def load(self, name: str, path: Path) -> Loaded:
        """Read a file and make it the newest edition of a universe; the same file again changes nothing.

        Raises
        ------
        InputError
            For a name that cannot be one, or a file that is not there.
        DataError
            For a file with faults, which are listed; nothing of it is loaded.
        StoreError
            If the store cannot be read or written.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no name of a universe; write letters, digits and _ . - only, such as sp500")
        members = read_memberships(path)
        known, edition, learned = self._newest(name, None)
        before, after = set(known), set(members)
        changed, withdrawn = len(after - before), len({one.key for one in before} - {one.key for one in after})
        if before != after:
            rows = pd.DataFrame(members).assign(name=name, edition=_edition(edition, members))
            now = pd.Timestamp(self.clock()).floor("us")
            # A clock may stand still or go back; the newest edition must read as the newest.
            self.table.write(rows, now if learned is None else max(now, learned + pd.Timedelta(microseconds=1)))
        return Loaded(name, len(members), changed, withdrawn)

    def members(self, name: str, as_of: Moment | None = None, *, known: Moment | None = None) -> list[str]:
        """Return the symbols that were members on a day, sorted.

        Parameters
        ----------
        name : str
        as_of : date-like, optional
            The day, in UTC; where ``None`` today, or the limit of the process. Of a month or a year it is the last day.
        known : date-like, optional
            Answer with the edition that was the newest then, not with the newest of all, or up to the limit.

        Raises
        ------
        UnknownNameError
            For a universe that was never loaded, or not yet when ``known``.
        DateRangeError
            For a day without any member, such as one before the first membership; for one beyond the limit.
        """
        asked = within(as_of)
        found = self._memberships(name, known)
        now = pd.Timestamp(self.clock())
        moment = now if asked is None else last_moment(asked)
        # A limit of today is its last moment; in UTC that day has begun.
        moment = moment if as_of is not None else min(moment, now)
        day = f"{moment.tz_convert('UTC'):%Y-%m-%d}"
        inside = sorted({one.symbol for one in found if one.covers(day)})
        if not inside:
            last = "today" if any(not one.end for one in found) else max(one.end for one in found)
            raise DateRangeError(
                f"universe {name!r} has no member on {day}; it has from {min(one.start for one in found)} to {last}"
            )
        return inside

    def symbols(self, place: str) -> list[str]:
        """Return today's members of the universe of that name, or else the symbols in the file of that name.

        Raises
        ------
        InputError, DataError
            If there is neither, or the file has faults.
        """
        return self.members(place) if place in self.names() else read_symbol_file(Path(place))

    def changes(self, name: str) -> pd.DataFrame:
        """Return who joined and who left.

        Returns
        -------
        pandas.DataFrame
            Columns ``date`` (the first day as a member, or the first day no longer one), ``symbol`` and ``change``
            (``"joined"`` or ``"left"``), sorted by date and symbol.

        Raises
        ------
        UnknownNameError
            For a universe that was never loaded.
        """
        rows = [row for one in self._memberships(name, None) for row in _joined_and_left(one)]
        table = pd.DataFrame(rows, columns=["date", "symbol", "change"]).astype({"date": "datetime64[us]"})
        return table.sort_values(["date", "symbol"], ignore_index=True)

    def _memberships(self, name: str, known: Moment | None) -> list[Membership]:
        chosen = within(known, "known")
        moment = None if chosen is None else last_moment(chosen)
        found, _, _ = self._newest(name, moment)
        if not found:
            where = "" if moment is None else f"what was known on {moment:%Y-%m-%d %H:%M} UTC"
            names = self.table.read(as_of=moment)["name"].unique()
            raise UnknownNameError("universe", name, names, where=where)
        return found

    def _newest(self, name: str, as_of: pd.Timestamp | None) -> tuple[list[Membership], str, pd.Timestamp | None]:
        """Return the memberships of the newest edition, the edition, and when it was learned."""
        rows = self.table.read(as_of=as_of)
        own = rows[rows["name"] == name]
        if own.empty:
            return [], "", None
        last = own.sort_values("learned_at").iloc[-1]
        # A membership of an older edition is still its key's latest row, but no longer counts.
        current = own[own["edition"] == last["edition"]]
        found = [Membership(*row) for row in current[list(FIELDS)].itertuples(index=False)]
        return found, str(last["edition"]), last["learned_at"]


def _edition(before: str, members: Iterable[Membership]) -> str:
    """Return the fingerprint of an edition, which includes the one before, so that one that returns is new."""
    rows = sorted(f"{one.symbol},{one.start},{one.end}" for one in members)
    return hashlib.sha256("\n".join([before, *rows]).encode()).hexdigest()[:16]


def _joined_and_left(member: Membership) -> Iterator[tuple[date, str, str]]:
    yield date.fromisoformat(member.start), member.symbol, "joined"
    if member.end and member.end != f"{date.max}":
        yield date.fromisoformat(member.end) + timedelta(days=1), member.symbol, "left"
