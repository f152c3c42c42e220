"""What a rule says at each symbol's last bar: fired, near, quiet, or not known; and the alerts that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
import sqlalchemy as sa
import xarray as xr
from numpy.typing import NDArray

from workbench.alerts.firings import goes_on, raise_alert
from workbench.alerts.rules import AlertRule, streak
from workbench.alerts.tables import RULES
from workbench.backtest.statements import stamped
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import ParameterError, WorkbenchError
from workbench.core.market import Adjustment

State = Literal["fired", "near", "quiet", "unknown"]


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule with its name; ``id`` is ``None`` for one that is not kept."""

    name: str
    kind: str
    rule: AlertRule
    id: str | None = None
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one symbol.

    Attributes
    ----------
    rule : NamedRule
    symbol : str
    state : {"fired", "near", "quiet", "unknown"}
        ``fired`` where the rule holds at the symbol's last bar, or held within the lookback.
    found : str
        What was found, in words; for ``unknown``, why nothing was.
    distance : float
        How many usual changes away the rule is: 0 where it holds, NaN where that cannot be said.
    since : pandas.Timestamp
        For ``fired``, the first bar of those in a row at which the rule holds, UTC without a zone; else ``NaT``.
    time : pandas.Timestamp
        The bar that was looked at; ``NaT`` where there is none. For ``fired``, the last one at which the rule held.
    is_last : bool
        Whether that is the symbol's last bar.
    version : str
        The version of the data.
    """

    rule: NamedRule
    symbol: str
    state: State
    found: str
    distance: float = float("nan")
    since: pd.Timestamp = field(default_factory=lambda: pd.NaT)  # type: ignore[assignment]
    time: pd.Timestamp = field(default_factory=lambda: pd.NaT)  # type: ignore[assignment]
    is_last: bool = True
    version: str = ""

    @property
    def key(self) -> str | None:
        """The alert's key: one for each time that the rule begins to hold; ``None`` where nothing is to be told.

        What held before the rule was there, and does so no more, nobody asked to be told.
        """
        if self.state != "fired" or self.rule.id is None or not (self.is_last or self._began_later()):
            return None
        return f"rule:{self.rule.id}:{self.symbol}:{self.since.isoformat()}"

    def _began_later(self) -> bool:
        created = self.rule.created
        return created is not None and self.since.tz_localize("UTC") >= created

    @property
    def subject(self) -> str:
        """The alert's subject."""
        return f"{self.symbol}: {self.rule.rule.condition}"

    @property
    def text(self) -> str:
        """What was found and when, in words."""
        day = f"{self.time:%Y-%m-%d %H:%M} UTC"
        since = f", since {self.since:%Y-%m-%d}" if self.since != self.time else ""
        return f"{self.found}; {day}{since}; rule {self.rule.name!r}, data {self.version}"


def judge(named: NamedRule, bars: xr.Dataset, at: pd.Timestamp, lookback: int = 1) -> list[Verdict]:
    """Return what a rule says of each of its symbols.

    Parameters
    ----------
    named : NamedRule
    bars : xarray.Dataset
        Bars with the rule's symbols among them, shape (n_bars, n_symbols).
    at : pandas.Timestamp
        The moment, UTC without a zone; bars that closed later are left out.
    lookback : int
        At how many of a symbol's last bars the rule may have fired, at least 1.

    Returns
    -------
    list of Verdict
        In the order of the rule's symbols: one for each time that the rule held within the lookback, or one that says
        how far it is from that. A rule that cannot look at the bars gives ``unknown``, with the reason.

    Raises
    ------
    ParameterError
        For a lookback of less than a bar.
    """
    if lookback < 1:
        raise ParameterError(f"lookback={lookback} looks at no bar; give at least 1")
    rule = named.rule
    absent = [symbol for symbol in rule.symbols if symbol not in bars.indexes["symbol"]]
    there = [symbol for symbol in rule.symbols if symbol not in absent]
    found = [Verdict(named, symbol, "unknown", "no bars of it") for symbol in absent]
    if there:
        own = bars.sel(time=slice(None, at), symbol=there)
        try:
            reading = rule.reading(own, at)
            for symbol in there:
                found += _verdicts(named, symbol, reading.sel(symbol=symbol), own, lookback)
        except WorkbenchError as error:
            found += [Verdict(named, symbol, "unknown", str(error)) for symbol in there]
    return sorted(found, key=lambda verdict: rule.symbols.index(verdict.symbol))


def _verdicts(named: NamedRule, symbol: str, reading: xr.Dataset, bars: xr.Dataset, lookback: int) -> list[Verdict]:
    places = np.flatnonzero(reading["here"].to_numpy())
    if not len(places):
        return [Verdict(named, symbol, "unknown", "no bars of it")]
    own, times = reading.isel(time=places), reading.indexes["time"][places]
    holds, version = own["holds"].to_numpy(), str(bars.attrs["version"])
    fired = []
    for end in _ends(holds, lookback):
        said, since = named.rule.said(own.isel(time=end), bars), times[streak(holds[: end + 1])]
        fired.append(Verdict(named, symbol, "fired", said, 0.0, since, times[end], end == len(holds) - 1, version))
    return fired or [_not_fired(named, symbol, own, bars)]


def _ends(holds: NDArray[np.bool_], lookback: int) -> list[int]:
    """Return the last places of the runs of ``True`` that reach into the last ``lookback`` ones."""
    last = holds & ~np.append(holds[1:], False)
    return [int(place) for place in np.flatnonzero(last) if place >= len(holds) - lookback]


def _not_fired(named: NamedRule, symbol: str, own: xr.Dataset, bars: xr.Dataset) -> Verdict:
    row, time = own.isel(time=-1), own.indexes["time"][-1]
    if np.isnan(float(row["value"])):
        return Verdict(named, symbol, "unknown", "not enough bars", time=time)
    numbers = own[["value", "level"]].drop_vars("symbol", errors="ignore").to_dataframe()
    distance = _distance(float(row["gap"]), named.rule.usual(numbers))
    state: State = "near" if distance <= named.rule.near else "quiet"
    return Verdict(
        named, symbol, state, named.rule.said(row, bars), distance, time=time, version=str(bars.attrs["version"])
    )


def _distance(gap: float, usual: float) -> float:
    """Return a gap in usual changes; NaN where one is not known, or where nothing ever changes."""
    return gap / usual if usual > 0 else float("nan")


def groups_of(rules: Sequence[NamedRule]) -> dict[tuple[str, Adjustment], list[NamedRule]]:
    """Return rules by the dataset and the adjustment that they look at: each group reads its bars once."""
    groups: dict[tuple[str, Adjustment], list[NamedRule]] = {}
    for each in rules:
        groups.setdefault((each.rule.dataset, each.rule.adjust), []).append(each)
    return groups


def raise_fired(database: Database, verdicts: Sequence[Verdict], clock: Clock) -> frozenset[str]:
    """Raise an alert for each verdict that fired and that none tells of yet, and return the keys of the new ones.

    What goes on is told of, also where data that were adjusted or restated let it begin at another bar.
    """
    keyed = [(each.key, each) for each in verdicts if each.key is not None]
    if not keyed:
        return frozenset()
    with database.writing() as connection:
        ids = sorted({str(each.rule.id) for _, each in keyed})
        # Two that look at once go one after the other; on SQLite they do so in any case.
        wanted = RULES.select().where(RULES.c.id.in_(ids), RULES.c.removed.is_(None)).order_by(RULES.c.id)
        kept = {row.id for row in connection.execute(wanted.with_for_update())}
        now = clock()
        return frozenset(key for key, each in keyed if each.rule.id in kept and _raise(connection, key, each, now))


def _raise(connection: sa.Connection, key: str, verdict: Verdict, now: datetime) -> bool:
    span = stamped(verdict.since), stamped(verdict.time)
    if goes_on(connection, f"rule:{verdict.rule.id}:{verdict.symbol}:", *span):
        return False
    return raise_alert(connection, key, verdict.subject, verdict.text, now, span)
