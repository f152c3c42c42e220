"""The patterns by name: find them, lay them out over time, and tell which levels stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.patterns import flags, levels, reversals, triangles
from workbench.analytics.patterns.candlesticks import CANDLESTICKS, candlestick, find_candlesticks
from workbench.analytics.patterns.pattern import Pattern
from workbench.analytics.patterns.rules import Rules, make_rules
from workbench.analytics.patterns.track import Track
from workbench.core.errors import UnknownNameError
from workbench.core.frames import per_symbol

Detector = Callable[[Track], list[Pattern]]

UPRIGHT: dict[str, Detector] = {
    "support": levels.levels,
    "resistance": levels.levels,
    "double top": reversals.double_tops,
    "triple top": reversals.triple_tops,
    "head and shoulders": reversals.head_and_shoulders,
    "ascending triangle": triangles.triangles,
    "descending triangle": triangles.triangles,
    "symmetrical triangle": triangles.triangles,
    "flag": flags.flags,
    "pennant": flags.pennants,
}
"""Detectors by the names that they find on the prices as they are."""

MIRRORED: dict[str, Detector] = {
    "double bottom": reversals.double_tops,
    "triple bottom": reversals.triple_tops,
    "inverse head and shoulders": reversals.head_and_shoulders,
    "flag": flags.flags,
    "pennant": flags.pennants,
}
"""Detectors by the names that they find on the prices upside down."""

PATTERNS = tuple(dict.fromkeys([*UPRIGHT, *MIRRORED]))
"""The names of the chart patterns."""


def find(bars: xr.Dataset, names: Sequence[str] | str | None = None, **options: Any) -> list[Pattern]:
    """Find chart patterns and candlestick patterns.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols). Each symbol is searched on its own bars; one that lacks a price is left out.
        Chart patterns turn on closes where the dataset has no highs and lows; candlestick patterns need all four.
    names : sequence of str or str, optional
        Chart patterns out of ``PATTERNS``, candlestick patterns out of ``CANDLESTICKS`` (or TA-Lib's ``"CDL..."``); all
        chart patterns where ``None``.
    options
        The fields of ``Rules``, such as ``right=10`` for larger patterns or ``tolerance=0.03``.

    Returns
    -------
    list of Pattern
        In the order in which they became known. What is known at a bar stays the same whatever comes after it. Empty
        where there are too few bars.

    Raises
    ------
    UnknownNameError, ParameterError
        For a name or an option that there is none of, or a value out of its range.
    InputError
        For a candlestick pattern on closes only.
    """
    charts, candles = _chosen(names)
    rules = make_rules(options)
    found = [pattern for track in _tracks(bars, rules) for pattern in _on(track, charts)]
    if candles:
        found += find_candlesticks(bars, candles)
    return sorted(found, key=lambda pattern: (pattern.known, pattern.symbol, pattern.name, pattern.start))


def events(bars: xr.Dataset, names: Sequence[str] | str | None = None, **options: Any) -> xr.Dataset:
    """Lay the chart patterns out over ``(time, symbol)``, each at the bar at which it could be known.

    Parameters
    ----------
    bars, names, options
        As in ``find``, chart patterns only; ``candlesticks`` does this for the others.

    Returns
    -------
    xarray.Dataset
        One variable per pattern, by name, shape (n_bars, n_symbols): 1 where a bullish one becomes known, -1 where a
        bearish one does, 0 elsewhere, NaN where the symbol has no bar.

    Raises
    ------
    UnknownNameError, ParameterError
        As in ``find``.
    """
    charts, candles = _chosen(names)
    if candles:
        raise UnknownNameError("chart pattern", candles[0], PATTERNS)
    blank = xr.where(bars["close"].notnull(), 0.0, np.nan).transpose("time", "symbol")
    marks = {name: blank.to_numpy().copy() for name in charts}
    times, symbols = bars.indexes["time"], bars.indexes["symbol"]
    for pattern in find(bars, charts, **options):
        place = times.get_loc(pattern.known), symbols.get_loc(pattern.symbol)
        marks[pattern.name][place] = 1.0 if pattern.direction == "bullish" else -1.0
    variables = {name: (("time", "symbol"), values) for name, values in marks.items()}
    return xr.Dataset(variables, coords={"time": bars["time"], "symbol": bars["symbol"]})


def standing_levels(bars: xr.Dataset, **options: Any) -> pd.DataFrame:
    """Return the levels of support and resistance that stand at each symbol's last bar.

    Parameters
    ----------
    bars, options
        As in ``find``.

    Returns
    -------
    pandas.DataFrame
        One row per level, from the highest down for each symbol: ``symbol``, ``kind`` (``"support"`` or
        ``"resistance"``), ``level``, ``touches`` (swings by which it became known), ``start``, ``known``, ``distance``
        (the level over the last close, less 1).

    Raises
    ------
    UnknownNameError, ParameterError
        As in ``find``.
    """
    rules = make_rules(options)
    rows = []
    for track in _tracks(bars, rules):
        last = len(track.close) - 1
        for one in _on(track, ["support", "resistance"]):
            level, since = float(one.level or np.nan), int(track.times.searchsorted(one.known))
            if levels.stands(track, one.direction == "bearish", level, since, last):
                distance = level / float(track.close[-1]) - 1
                rows.append([one.symbol, one.name, level, len(one.points), one.start, one.known, distance])
    columns = ["symbol", "kind", "level", "touches", "start", "known", "distance"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["symbol", "level"], ascending=[True, False], ignore_index=True)


def _chosen(names: Sequence[str] | str | None) -> tuple[list[str], list[str]]:
    """Return the chart patterns and the candlestick patterns among names."""
    listed = PATTERNS if names is None else [names] if isinstance(names, str) else names
    charts, candles = [], []
    for name in listed:
        plain = str(name).lower().replace("_", " ")
        if plain in PATTERNS:
            charts.append(plain)
        elif plain in CANDLESTICKS or plain.startswith("cdl"):
            candles.append(candlestick(str(name)).name)
        else:
            raise UnknownNameError("pattern", str(name), [*PATTERNS, *CANDLESTICKS])
    return list(dict.fromkeys(charts)), list(dict.fromkeys(candles))


def _tracks(bars: xr.Dataset, rules: Rules) -> Iterator[Track]:
    has = bars.attrs["fields"]
    high, low = ("high", "low") if "high" in has and "low" in has else ("close", "close")
    for symbol, frame in per_symbol(bars):
        own = frame.dropna(subset=[high, low, "close"])
        tops, bottoms, closes = (own[field].to_numpy(dtype="float64").copy() for field in (high, low, "close"))
        yield Track(symbol, pd.DatetimeIndex(own.index), tops, bottoms, closes, rules)


def _on(track: Track, names: Sequence[str]) -> list[Pattern]:
    """Run each detector that finds one of the names, once, and keep what was asked for."""
    found = []
    for side, detectors in ((track, UPRIGHT), (track.mirrored, MIRRORED)):
        wanted = dict.fromkeys(detectors[name] for name in names if name in detectors)
        found += [pattern for detect in wanted for pattern in detect(side)]
    return [pattern for pattern in found if pattern.name in names]
