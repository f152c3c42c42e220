"""Which runs and results used rows that have changed since.

A use knew what was learned up to an instant. What the store says now of the same bars is compared with what it said
then: a bar that reads differently is *restated*, one that was not there is *late*. A correction that was taken back
touches nothing. Splits and dividends count where the prices were adjusted for them; one after the last bar scales all
prices alike and changes no return, so only those from the first bar to the last are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
import pandas as pd

from workbench.core.market import Adjustment
from workbench.data.tables.base import FactTable
from workbench.data.uses import Use

COLUMNS = {
    "kind": "object",
    "id": "object",
    "name": "object",
    "made": "datetime64[us, UTC]",
    "dataset": "object",
    "symbol": "object",
    "rows": "int64",
    "restated": "int64",
    "late": "int64",
    "actions": "int64",
    "first_time": "datetime64[us, UTC]",
    "last_time": "datetime64[us, UTC]",
    "largest_change": "float64",
    "learned": "datetime64[us, UTC]",
}

AT_ONCE = 100
"""How many symbols' histories are held in memory."""

_KINDS: dict[Adjustment, tuple[str, ...]] = {"none": (), "splits": ("split",), "all": ("split", "dividend")}


class DatasetFacts(Protocol):
    """The tables of one dataset that results are made from."""

    @property
    def bars(self) -> FactTable:
        """Bars as traded."""
        ...

    @property
    def actions(self) -> FactTable:
        """Splits and dividends."""
        ...


def impact(
    uses: Iterable[Use], tables: Callable[[str], DatasetFacts], as_of: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Compare what each use knew with what the store knows now, or knew ``as_of`` a moment.

    Parameters
    ----------
    uses : iterable of Use
    tables : callable
        Gives the tables of a dataset by its name.
    as_of : pandas.Timestamp, optional
        Leave out what was learned later.

    Returns
    -------
    pandas.DataFrame
        One row per use and symbol that is touched, see ``touched``; sorted by dataset, use and symbol.

    Raises
    ------
    StoreError
        If a table cannot be read.
    """
    by_dataset: dict[str, list[Use]] = {}
    for use in uses:
        by_dataset.setdefault(use.dataset, []).append(use)
    parts = []
    for dataset, own in sorted(by_dataset.items()):
        facts = tables(dataset)
        start, end = _stamp(min(use.first for use in own)), _stamp(max(use.last for use in own))
        symbols = sorted({symbol for use in own for symbol in use.symbols})
        for place in range(0, len(symbols), AT_ONCE):
            some = symbols[place : place + AT_ONCE]
            bars, actions = (table.history(some, start=start, end=end) for table in (facts.bars, facts.actions))
            if as_of is not None:
                bars, actions = (rows[rows["learned_at"] <= as_of] for rows in (bars, actions))
            parts.append(touched(own, bars, actions))
    # The parts are by symbols; a use's rows belong together.
    found = pd.concat([part for part in parts if len(part)] or [_table([])], ignore_index=True)
    return found.sort_values(["dataset", "made", "id", "symbol"], ignore_index=True)


def touched(uses: Sequence[Use], bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Return what has changed of the rows that each use of one dataset was made from.

    Parameters
    ----------
    uses : sequence of Use
    bars, actions : pandas.DataFrame
        Every row that was ever learned: ``symbol``, ``time``, the fields (or ``kind`` and ``value``), ``learned_at``.
        A symbol of a use that is in neither of them is passed over.

    Returns
    -------
    pandas.DataFrame
        One row per use and symbol that is touched: ``kind``, ``id``, ``name``, ``made``, ``dataset``, ``symbol``;
        ``rows``, the bars that read differently now: ``restated`` plus ``late``; ``actions``, those new or changed;
        ``first_time`` and ``last_time`` of them all; ``largest_change``, the change of a close that is furthest from
        zero, ``now / then - 1``, NaN where no bar has both; ``learned``, when the first of it was learned.
    """
    spans = [(_moment(use.first), _moment(use.last), _moment(min(use.known, use.made))) for use in uses]
    since = min((known for _, _, known in spans), default=np.datetime64("NaT"))
    of_bars = _histories(bars, ["time"], since)
    of_actions = _histories(actions, ["time", "kind"], since)
    # Many uses ask the same: one symbol, one range, one state of knowledge.
    answers: dict[tuple[object, ...], dict[str, object] | None] = {}
    found = []
    for use, span in zip(uses, spans, strict=True):
        about = {"kind": use.kind, "id": use.id, "name": use.name, "made": use.made, "dataset": use.dataset}
        for symbol in use.symbols:
            if symbol not in of_bars and symbol not in of_actions:
                continue
            question = (symbol, span, use.adjustment)
            if question not in answers:
                answers[question] = _answer(of_bars.get(symbol), of_actions.get(symbol), span, use.adjustment)
            answer = answers[question]
            if answer is not None:
                found.append({**about, "symbol": symbol, **answer})
    return _table(found)


@dataclass(frozen=True, slots=True)
class _History:
    """The facts of one symbol: the versions of each stand together, oldest first.

    ``starts`` and ``ends`` are the first and the last row of each fact, shape (n_facts,); ``times`` and ``kinds`` are
    the facts' own; ``learned``, shape (n_rows,), and ``numbers``, shape (n_rows, n_values), are the versions'.
    """

    starts: np.ndarray
    ends: np.ndarray
    times: np.ndarray
    kinds: np.ndarray | None
    learned: np.ndarray
    numbers: np.ndarray
    close: int | None


@dataclass(frozen=True, slots=True)
class _Difference:
    """The facts that read differently now: their last version then (-1 for none), their last now, their times."""

    then: np.ndarray
    now: np.ndarray
    times: np.ndarray
    learned: np.datetime64


def _histories(history: pd.DataFrame, keys: list[str], since: np.datetime64) -> dict[str, _History]:
    """Return, by symbol, the histories of the facts of which something was learned after ``since``."""
    newest = history.groupby(["symbol", *keys])["learned_at"].transform("max")
    history = history[_moments(newest) > since]
    names = [name for name in history.columns if name not in ("symbol", *keys, "learned_at")]
    found = {}
    for symbol, own in history.sort_values(["symbol", *keys, "learned_at"]).groupby("symbol", sort=False):
        new = (own[keys] != own[keys].shift()).any(axis=1).to_numpy()
        starts = np.flatnonzero(new)
        found[str(symbol)] = _History(
            starts=starts,
            ends=np.append(starts[1:], len(own)) - 1,
            times=_moments(own["time"])[starts],
            kinds=own["kind"].to_numpy(dtype=object)[starts] if "kind" in own else None,
            learned=_moments(own["learned_at"]),
            numbers=own[names].to_numpy(dtype="float64"),
            close=names.index("close") if "close" in names else None,
        )
    return found


def _difference(
    history: _History | None, span: tuple[np.datetime64, ...], kinds: Sequence[str] = ()
) -> _Difference | None:
    """Return which facts of a range read differently now from what was known then, ``None`` where none does."""
    if history is None:
        return None
    first, last, known = span
    inside = (history.times >= first) & (history.times <= last) & (history.learned[history.ends] > known)
    if history.kinds is not None:
        inside &= np.isin(history.kinds, kinds)
    places = np.flatnonzero(inside)
    if not len(places):
        return None
    starts, now = history.starts[places], history.ends[places]
    # The versions that were known stand first; the last of them was read then.
    count = np.add.reduceat((history.learned <= known).astype("int64"), history.starts)[places]
    then = np.where(count > 0, starts + count - 1, -1)
    old, new = history.numbers[then], history.numbers[now]
    differs = (then < 0) | ((old != new) & ~(np.isnan(old) & np.isnan(new))).any(axis=1)
    if not differs.any():
        return None
    learned = history.learned[starts + count][differs].min()
    return _Difference(then[differs], now[differs], history.times[places][differs], learned)


def _answer(
    bars: _History | None, actions: _History | None, span: tuple[np.datetime64, ...], adjustment: Adjustment
) -> dict[str, object] | None:
    """Return what one symbol's rows came to, ``None`` where nothing changed."""
    prices, events = _difference(bars, span), _difference(actions, span, _KINDS[adjustment])
    found = [each for each in (prices, events) if each is not None]
    if not found:
        return None
    times = np.concatenate([each.times for each in found])
    rows, late = (0, 0) if prices is None else (len(prices.now), int((prices.then < 0).sum()))
    return {
        "rows": rows,
        "restated": rows - late,
        "late": late,
        "actions": 0 if events is None else len(events.now),
        "first_time": times.min(),
        "last_time": times.max(),
        "largest_change": _largest_change(bars, prices),
        "learned": min(each.learned for each in found),
    }


def _largest_change(bars: _History | None, prices: _Difference | None) -> float:
    if bars is None or bars.close is None or prices is None:
        return float("nan")
    known = prices.then >= 0
    old, new = bars.numbers[prices.then[known], bars.close], bars.numbers[prices.now[known], bars.close]
    both = np.isfinite(old) & np.isfinite(new) & (old != 0)
    change = new[both] / old[both] - 1
    return float(change[np.abs(change).argmax()]) if len(change) else float("nan")


def _table(found: list[dict[str, object]]) -> pd.DataFrame:
    columns = {}
    for name, kind in COLUMNS.items():
        values = [row[name] for row in found]
        moments = kind.startswith("datetime64")
        columns[name] = pd.to_datetime(pd.Series(values, dtype="object"), utc=True) if moments else pd.Series(values)
    return pd.DataFrame(columns).astype(COLUMNS)


def _moments(times: pd.Series) -> np.ndarray:
    naive: np.ndarray = times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return naive


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _stamp(moment: datetime) -> pd.Timestamp:
    return pd.Timestamp(moment).tz_convert("UTC")
