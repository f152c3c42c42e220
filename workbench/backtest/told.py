"""What strategies were reported to say: a row for each signal that somebody may have acted on, never changed later.

A row names what it takes to compute the signal again: the strategy with its parameters and the hash of its rule, the
bars by dataset, symbols, adjustment, first bar and the moment up to which they were known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
import xarray as xr
from sqlalchemy.dialects import postgresql, sqlite

from workbench.backtest.statements import Said, Statements, stamped
from workbench.backtest.strategy import Strategy
from workbench.backtest.told_table import TOLD
from workbench.core.clock import Clock
from workbench.core.code_hash import code_hash
from workbench.core.database import Database
from workbench.core.market import Adjustment
from workbench.core.provenance import code_version

AT_ONCE = 1000
"""How many ids a statement names: databases bound that."""
_OF_BARS = ("strategy", "parameters", "dataset", "adjustment", "symbols", "first")


@dataclass(frozen=True, slots=True)
class Told:
    """A signal that was reported.

    Attributes
    ----------
    run : str, optional
        The run that reported it.
    strategy, parameters
        All of the parameters, those of the defaults too.
    rule : str, optional
        The hash of the strategy's code, ``None`` where it has none; see ``workbench.core.code_hash``.
    code : str
        Version of the workbench.
    dataset, version, adjustment, symbols, first, known
        The bars: whose, the version of the tables, adjusted for what, all of the symbols, the first bar, and the moment
        after which nothing that was learned had any part in it.
    symbol, session
        Of which symbol and at which bar's close, UTC.
    said : Said
    told : datetime
        When, UTC.
    disagreed, cause
        When the signal was first found to be another one, and why; see ``workbench.backtest.parity``.
    id : int
        Its place; 0 for one that is not kept yet.
    """

    run: str | None
    strategy: str
    parameters: Mapping[str, Any]
    rule: str | None
    code: str
    dataset: str
    version: str
    adjustment: Adjustment
    symbols: tuple[str, ...]
    first: datetime
    known: datetime
    symbol: str
    session: datetime
    said: Said
    told: datetime
    disagreed: datetime | None = None
    cause: str | None = None
    id: int = 0

    @property
    def source(self) -> str:
        """What it was computed from, but for the moment: equal for signals that one look at the bars tells again."""
        return json.dumps({name: getattr(self, name) for name in _OF_BARS}, sort_keys=True, default=str)

    @property
    def key(self) -> str:
        """The same for the same signal out of the same run and the same data, however often it is recorded."""
        told = (self.source, self.run, self.rule, self.known, self.symbol, self.session)
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def tell(
    bars: xr.Dataset,
    strategy: Strategy,
    parameters: Mapping[str, Any],
    signals: xr.Dataset,
    *,
    told: datetime,
    run: str | None = None,
) -> list[Told]:
    """Return what a strategy says at each symbol's last bar, with what it takes to compute that again.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars out of the store, shape (n_bars, n_symbols).
    strategy : Strategy
    parameters : mapping
    signals : xarray.Dataset
        What the strategy gave with them.
    told : datetime
        The present instant.
    run : str, optional
        Which run reports it.

    Returns
    -------
    list of Told
        A symbol of which the rule has not seen enough bars is left out: nothing is said of it.
    """
    values = strategy.validate(parameters)
    statements = Statements(signals)
    symbols = tuple(str(name) for name in bars["symbol"].to_numpy())
    same: dict[str, Any] = {
        **{"run": run, "told": told, "strategy": strategy.name, "symbols": symbols},
        **{name: bars.attrs[name] for name in ("dataset", "version", "adjustment")},
        "parameters": strategy.parameters.model_validate(values).model_dump(mode="json"),
        "rule": code_hash(strategy.rule),
        "code": code_version(),
        "first": stamped(bars.indexes["time"][0]),
        "known": pd.Timestamp(bars.attrs["as_of"]).floor("us").to_pydatetime(),
    }
    last = {symbol: statements.last(symbol) for symbol in symbols}
    return [Told(**same, symbol=name, session=each[0], said=each[1]) for name, each in last.items() if each is not None]


class ToldSignals:
    """The reported signals of a home; several processes may record at once.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def record(self, told: Sequence[Told]) -> None:
        """Keep signals; one that is there already, out of the same run and the same data, stays as it is.

        Raises
        ------
        StoreError
            If the records cannot be written.
        """
        if not told:
            return
        with self.database.writing() as connection:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(insert(TOLD).on_conflict_do_nothing(), [_row(each) for each in told])

    def list(
        self, *, since: datetime | None = None, before: datetime | None = None, known: datetime | None = None
    ) -> list[Told]:
        """Return the signals in the order of their bars.

        Parameters
        ----------
        since, before : datetime, optional
            Of bars from ``since`` on, and before ``before``.
        known : datetime, optional
            Leave out what was told from data that were learned later.
        """
        wanted = TOLD.select().order_by(TOLD.c.session, TOLD.c.id)
        if since is not None:
            wanted = wanted.where(TOLD.c.session >= since)
        if before is not None:
            wanted = wanted.where(TOLD.c.session < before)
        if known is not None:
            wanted = wanted.where(TOLD.c.known <= known)
        with self.database.reading() as connection:
            return [_told(row) for row in connection.execute(wanted)]

    def disagree(
        self, causes: Mapping[int, str], alarm: Callable[[sa.Connection, Sequence[Told]], object] | None = None
    ) -> Sequence[Told]:
        """Note which signals are no longer what was told, and why; each is noted once, by whoever is first.

        Parameters
        ----------
        causes : mapping of int to str
            By a signal's ``id``.
        alarm : callable, optional
            Takes the connection and what is new, in the same transaction.

        Returns
        -------
        list of Told
            What is new.
        """
        if not causes:
            return []
        with self.database.writing() as connection:
            rows, now = _undisputed(connection, sorted(causes)), self.clock()
            for row in rows:
                values = {"disagreed": now, "cause": causes[row.id]}
                connection.execute(TOLD.update().where(TOLD.c.id == row.id).values(values))
            new = [_told(row, disagreed=now, cause=causes[row.id]) for row in rows]
            if alarm is not None and new:
                alarm(connection, new)
        return new


def _undisputed(connection: sa.Connection, ids: Sequence[int]) -> list[sa.Row[Any]]:
    """Return, in the order of their bars, those signals of which nobody has noted a difference, their rows locked."""
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(ids), AT_ONCE):
        some = TOLD.c.id.in_(ids[start : start + AT_ONCE])
        # SQLite has locked the whole file already.
        wanted = TOLD.select().where(some, TOLD.c.disagreed.is_(None)).order_by(TOLD.c.id).with_for_update()
        rows += connection.execute(wanted)
    return sorted(rows, key=lambda row: (row.session, row.id))


def _row(told: Told) -> dict[str, Any]:
    values = {name: getattr(told, name) for name in Told.__slots__ if name not in ("said", "id")}
    return {**values, **asdict(told.said), "symbols": list(told.symbols), "key": told.key}


def _told(row: sa.Row[Any], **changed: Any) -> Told:
    values = {**row._mapping, **changed}
    values.pop("key")
    said = Said(values.pop("signal"), values.pop("position"), values.pop("strength"))
    return Told(**{**values, "symbols": tuple(values["symbols"]), "said": said})
