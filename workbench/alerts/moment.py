"""What a rule looked at, drawn: around one firing, and over the years of a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import AlertRule
from workbench.alerts.seen import Lines, Seen, seen_by
from workbench.analytics.patterns import find, table
from workbench.charts.firings import moment_picture, rehearsal_picture, rows_picture
from workbench.core.errors import DateRangeError, InputError
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    from workbench.alerts.history import Alert
    from workbench.alerts.rehearsal import Rehearsal

BEFORE, AFTER = 95, 30
"""Own bars around a firing."""


def moment_of(
    by: Mapping[Adjustment, xr.Dataset], symbol: str, fired: pd.Timestamp, named: NamedRule | None = None
) -> hv.Layout:
    """Draw the bars around a firing, with what its rule looked at.

    Parameters
    ----------
    by : mapping of Adjustment to xarray.Dataset
        Bars of each adjustment that the rule looks at, the symbol among them; any where there is no rule any more.
    symbol : str
    fired : pandas.Timestamp
        The bar, or the quote, at which it fired, UTC without a zone.
    named : NamedRule, optional
        Without it the prices alone are drawn.

    Raises
    ------
    DateRangeError
        If the bars do not reach as far back.
    """
    bars = next(iter(by.values()))
    places = np.flatnonzero(bars["close"].sel(symbol=symbol).notnull().to_numpy())
    times = bars.indexes["time"][places]
    last = int(times.searchsorted(fired, side="right")) - 1
    if last < 0:
        raise DateRangeError(f"there are no bars of {symbol} up to {fired:%Y-%m-%d %H:%M} UTC to draw; fetch them")
    first, until = times[max(0, last - BEFORE)], times[min(len(times) - 1, last + AFTER)]
    shown = slice(first, max(until, fired))
    seen = Seen() if named is None else seen_by(named.rule, by, symbol)
    over = _shown(seen.over, shown)
    below = {unit: _shown(members, shown) for unit, members in seen.below.items()}
    drawn = by.get(seen.adjust, bars) if seen.adjust else bars
    found = _patterns(seen, drawn.sel(time=shown, symbol=[symbol]))
    return moment_picture(
        drawn.sel(time=shown), symbol, fired, over, {unit: each for unit, each in below.items() if each}, patterns=found
    )


def picture_of(found: Rehearsal, symbol: str | None = None) -> hv.Layout | None:
    """Draw a rehearsal; see ``Rehearsal.plot``."""
    rule, table, monthly = found.rule.rule, found.table, found.monthly
    known = [str(name) for name in found._reading["symbol"].to_numpy()]
    if symbol is not None and symbol not in known:
        raise InputError(f"{symbol!r} is none of the rehearsed symbols; choose one of {', '.join(known)}")
    if not len(table):
        return None
    fired = [name for name in rule.symbols if (table["symbol"] == name).any()]
    if symbol is None and len(known) > 1:
        return rows_picture(table, fired, monthly, f"{rule.condition} · firings by symbol")
    name = symbol or known[0]
    own = table[table["symbol"] == name]
    main, levels = _main_line(rule, found._by, name)
    since = slice(found.start, found.end)
    cut = {label: values[since] for label, values in levels.items()}
    return rehearsal_picture(main[since], cut, own, monthly, f"{name} · {rule.condition}")


def _patterns(seen: Seen, bars: xr.Dataset) -> pd.DataFrame | None:
    if seen.pattern is None:
        return None
    return table(find(bars, seen.pattern.pattern, **seen.pattern.parameters))


def _main_line(rule: AlertRule, by: Mapping[Adjustment, xr.Dataset], symbol: str) -> tuple[pd.Series, Lines]:
    """Return the line that a rehearsal draws, and what it is compared with: the close where nothing else tells more."""
    seen = seen_by(rule, by, symbol)
    if len(seen.below) == 1 and not seen.over:
        [(unit, members)] = seen.below.items()
        (_, main), *rest = members.items()
        return main.dropna().rename(unit), dict(rest)
    bars = by[seen.adjust if seen.adjust else next(iter(by))]
    close = bars["close"].sel(symbol=symbol).to_series().dropna()
    return close.rename(f"close, {bars.attrs['currency']}"), seen.over


def _shown(members: Lines, shown: slice) -> Lines:
    """Return the part of lines that is shown; not those of which nothing is known there, which would be empty."""
    cut = {name: values[shown] for name, values in members.items()}
    return {name: values for name, values in cut.items() if values.notna().any()}


def picture_of_alert(
    alert: Alert, rules: Sequence[NamedRule], read: Callable[[str, Sequence[str], Adjustment], xr.Dataset], dataset: str
) -> hv.Layout:
    """Draw the moment at which an alert fired; see ``moment_of``.

    Parameters
    ----------
    alert : Alert
    rules : sequence of NamedRule
        The rules that there are; the alert's may be gone.
    read : callable
        Gives the bars of a dataset, symbols and an adjustment.
    dataset : str
        Where the bars are of an alert whose rule is gone.

    Raises
    ------
    InputError
        If it tells of no symbol, or its bars cannot be had.
    """
    moment = alert.since or alert.until
    if alert.symbol is None or moment is None:
        raise InputError("it tells of no symbol's bars, so that there is nothing to draw")
    named = next((each for each in rules if each.id == alert.rule), None)
    adjusts: tuple[Adjustment, ...] = named.rule.adjusts if named is not None else ("splits",)
    source = named.rule.dataset if named is not None else dataset
    by = {adjust: read(source, [alert.symbol], adjust) for adjust in adjusts}
    return moment_of(by, alert.symbol, pd.Timestamp(moment).tz_convert("UTC").tz_localize(None), named)
