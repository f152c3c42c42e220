"""Candlesticks with volume and indicators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr

from workbench.charts.panels import SHORT, line, lines, panel, stack, ticks
from workbench.charts.patterns import pattern_marks
from workbench.charts.theme import DOWN, INK, UP
from workbench.core.frames import own_bars

ADJUSTED = {
    "none": "prices as traded",
    "splits": "adjusted for splits",
    "all": "adjusted for splits and dividends",
}
FIXED: dict[str, dict[str, Any]] = {"RSI": {"ylim": (0, 100), "yticks": [30, 50, 70], "autorange": None}}
"""Oscillators with a range of their own."""

LARGE = 1e6
"""Values from here on are written in thousands and millions."""

Lines = Mapping[str, xr.DataArray]


def candlesticks(
    bars: xr.Dataset,
    symbol: str,
    overlays: Lines | None = None,
    oscillators: Mapping[str, Lines] | None = None,
    *,
    patterns: pd.DataFrame | None = None,
    height: int = 360,
) -> hv.Layout:
    """Draw one symbol: candles with overlays, volume below, and a further panel for each oscillator.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars; a source with closes only is drawn as a line.
    symbol : str
    overlays : mapping of str to xarray.DataArray, optional
        Lines over the prices by label, each of shape (n_bars, n_symbols).
    oscillators : mapping of str to mapping, optional
        For each further panel its lines by label.
    patterns : pandas.DataFrame, optional
        What is drawn over the candles; see ``workbench.charts.patterns.pattern_marks``.
    height : int
        Height of the price panel in pixels.

    Returns
    -------
    holoviews.Layout
        One column; the panels share the time axis.
    """
    frame = own_bars(bars, symbol)
    title = f"{symbol} · {bars.attrs['currency']} · {ADJUSTED[bars.attrs['adjustment']]}"
    over = lines(_own(overlays or {}, symbol, frame), "price")
    marks = [] if patterns is None else pattern_marks(patterns, symbol, frame)
    parts = [panel([*prices(frame, bars), *over, *marks], height, "price", title=title)]
    if "volume" in bars.attrs["fields"]:
        parts.append(panel([_volume(frame)], 90, "volume", yformatter=ticks(SHORT)))
    for name, members in (oscillators or {}).items():
        parts.append(_oscillator(name, _own(members, symbol, frame)))
    return stack(parts)


def _oscillator(name: str, members: dict[str, pd.Series]) -> hv.Overlay:
    """Draw one oscillator's lines in a panel of their own, with room above for a legend where there are several."""
    options = dict(FIXED.get(name, {}))
    if len(members) > 1:
        options |= {"padding": (0.01, (0.08, 0.5))}
    if max(series.abs().max() for series in members.values()) >= LARGE:
        options |= {"yformatter": ticks(SHORT)}
    return panel(lines(members, name), 110 if len(members) == 1 else 130, name, **options)


def prices(frame: pd.DataFrame, bars: xr.Dataset) -> list[hv.Element]:
    """Return the elements of one symbol's prices: candles, or a line where the source has closes only."""
    if "open" not in bars.attrs["fields"]:
        return [line(frame["close"], "close", INK, "price")]
    body, wick = _geometry(frame)
    rising = np.where(frame["close"] >= frame["open"], UP, DOWN)
    shown = {name: frame[name].to_numpy() for name in ("open", "high", "low", "close")}
    wicks = hv.Segments({**wick, "color": rising}, ["time", "low", "time_end", "high"], "color")
    keys = ["time", "bottom", "time_end", "top"]
    bodies = hv.Rectangles(
        {**body, **shown, "color": rising, "date": frame.index.to_numpy()}, keys, ["color", "date", *shown]
    )
    tips = [("", "@date{%F}"), *((name, f"@{name}{{0,0.00}}") for name in shown)]
    return [
        wicks.opts(color="color", line_width=1),
        bodies.opts(
            color="color",
            line_color="color",
            tools=["hover"],
            hover_tooltips=tips,
            hover_formatters={"@date": "datetime"},
        ),
    ]


def _geometry(frame: pd.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the corners of bodies and the ends of wicks, each of shape (n_bars,).

    The horizontal dimension is called ``time`` everywhere: panels are linked by its name.
    """
    times = frame.index.to_numpy()
    spacing = np.median(np.diff(times)) if len(times) > 1 else np.timedelta64(1, "D")
    half = np.timedelta64(int(spacing / np.timedelta64(1, "ns") * 0.35), "ns")
    first, last = frame["open"].to_numpy(), frame["close"].to_numpy()
    body = {
        "time": times - half,
        "time_end": times + half,
        "bottom": np.minimum(first, last),
        "top": np.maximum(first, last),
    }
    return body, {"time": times, "time_end": times, "low": frame["low"].to_numpy(), "high": frame["high"].to_numpy()}


def _volume(frame: pd.DataFrame) -> hv.Rectangles:
    body, _ = _geometry(frame)
    color = np.where(frame["close"] >= frame["open"], UP, DOWN)
    columns = {
        "time": body["time"],
        "floor": np.zeros(len(frame)),
        "time_end": body["time_end"],
        "volume": frame["volume"].to_numpy(),
        "color": color,
        "date": frame.index.to_numpy(),
    }
    tips = [("", "@date{%F}"), ("volume", "@volume{0.0a}")]
    return hv.Rectangles(columns, ["time", "floor", "time_end", "volume"], ["color", "date"]).opts(
        color="color",
        line_color=None,
        alpha=0.6,
        tools=["hover"],
        hover_tooltips=tips,
        hover_formatters={"@date": "datetime"},
    )


def _own(members: Lines, symbol: str, frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {name: values.sel(symbol=symbol).to_series().reindex(frame.index) for name, values in members.items()}
