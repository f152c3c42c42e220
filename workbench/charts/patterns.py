"""Patterns over the candles: shapes, necklines, levels and marks for single candles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd

from workbench.charts.panels import BACKEND
from workbench.charts.theme import ACCENT, INK, LINES

COLORS = {"bullish": ACCENT, "bearish": LINES[1], "neutral": LINES[2]}
"""Apart from the colors of the candles, which the patterns lie over."""

MARKERS = {"bullish": "triangle", "bearish": "inverted_triangle", "neutral": "diamond"}
TOLD = ("pattern", "direction", "known", "reason", "breakout")
TIPS = [("", "@pattern, @direction"), ("", "@reason"), ("known", "@known{%F}@breakout")]
HOVER: dict[str, Any] = {"tools": ["hover"], "hover_tooltips": TIPS, "hover_formatters": {"@known": "datetime"}}


def pattern_marks(patterns: pd.DataFrame, symbol: str, frame: pd.DataFrame) -> list[hv.Element]:
    """Return the elements that draw one symbol's patterns over its candles.

    Parameters
    ----------
    patterns : pandas.DataFrame
        One row per pattern: ``pattern`` (its name), ``symbol``, ``direction`` (``"bullish"``, ``"bearish"`` or
        ``"neutral"``), ``start`` and ``known`` (times), ``points`` (tuple of (time, price): the turning points),
        ``lines`` (tuple of pairs of such points: necklines, sides, levels), ``level`` (NaN where there is none) and
        ``reason``, the breakout after a semicolon. A row with lines is drawn as a shape, one with a point alone as a
        mark on that candle.
    symbol : str
    frame : pandas.DataFrame
        The symbol's own bars as shown, indexed by time, with ``high low close`` (high and low may be NaN).

    Returns
    -------
    list of holoviews.Element
        For ``panel``; empty where no pattern became known within the bars shown. Of one that began before them the part
        that lies within them is drawn.
    """
    own = patterns[patterns["symbol"] == symbol]
    if own.empty or frame.empty:
        return []
    first = frame.index[0]
    own = own[(own["known"] >= first) & (own["known"] <= frame.index[-1])]
    # A reason that tells the breakout too is shown in two rows.
    told = [str(reason).partition("; ") for reason in own["reason"]]
    own = own.assign(reason=[first for first, *_ in told], breakout=[rest and f", {rest}" for *_, rest in told])
    shapes, marks = own[own["lines"].map(len) > 0], own[own["lines"].map(len) == 0]
    levels = shapes["pattern"].isin(["support", "resistance"])
    figures = shapes[~levels]
    elements = [_levels(shapes[levels], first), *_figures(figures, frame), *_candles(marks, frame)]
    return [element for element in elements if len(element)]


def _figures(rows: pd.DataFrame, frame: pd.DataFrame) -> list[hv.Element]:
    """Return the chart patterns: filled, outlined, with their lines, a ring where they became known, and names."""
    first = frame.index[0]
    turns = [(pair, row) for row in _rows(rows) for pair in _within(_joined(row), first)]
    sides = [(pair, row) for row in _rows(rows) for pair in _within(row["lines"], first)]
    broken = rows[rows["level"].notna()]
    rings = hv.Points(
        {"time": broken["known"], "price": broken["level"], **_columns(broken)}, ["time", "price"], [*TOLD, "color"]
    )
    return [
        *(_area(row, first) for row in _rows(rows)),
        _segments(turns).opts(color="color", line_width=1.5, alpha=0.9, **HOVER, backend=BACKEND),
        _segments(sides).opts(color="color", line_width=2, line_dash="dashed", backend=BACKEND),
        rings.opts(color="color", fill_alpha=0.25, line_width=2, marker="circle", size=9, **HOVER, backend=BACKEND),
        *_names(rows, frame),
    ]


def _levels(rows: pd.DataFrame, begin: pd.Timestamp) -> hv.Segments:
    """Return support and resistance as dotted lines from the first touch to the bar at which they were known."""
    lines = [(pair, row) for row in _rows(rows) for pair in _within(row["lines"], begin)]
    return _segments(lines).opts(color="color", alpha=0.85, line_width=2, line_dash="dotted", **HOVER, backend=BACKEND)


def _candles(rows: pd.DataFrame, frame: pd.DataFrame) -> list[hv.Points]:
    """Return candlestick patterns as marks below or above their candle, one above the other where they meet."""
    elements, gap = [], _height(frame) * 0.02
    for direction, group in rows.groupby("direction", sort=True):
        side = -1 if direction == "bullish" else 1
        place = group.groupby("known").cumcount().to_numpy() + 1
        prices = np.array([points[-1][1] for points in group["points"]]) + side * gap * place
        table = {"time": group["known"], "price": prices, **_columns(group)}
        look = {"marker": MARKERS[str(direction)], "size": 9, "line_color": None, "alpha": 0.9}
        points = hv.Points(table, ["time", "price"], [*TOLD, "color"])
        elements.append(points.opts(color="color", **look, **HOVER, backend=BACKEND))
    return elements


def _names(rows: pd.DataFrame, frame: pd.DataFrame) -> list[hv.Labels]:
    """Return the names, above a bearish pattern and below a bullish one, in the middle of its span."""
    elements = []
    for direction, group in rows.groupby("direction", sort=True):
        side = -1 if direction == "bullish" else 1
        spots = _spots(group, side, frame)
        table = {"time": [time for time, _ in spots], "price": _prices(spots), "pattern": group["pattern"].to_numpy()}
        look = {"text_color": COLORS[str(direction)], "text_font_size": "11px", "text_font_style": "bold"}
        labels = hv.Labels(table, ["time", "price"], "pattern")
        elements.append(labels.opts(**look, text_baseline="top" if side < 0 else "bottom", backend=BACKEND))
    return elements


def _spots(rows: pd.DataFrame, side: int, frame: pd.DataFrame) -> list[tuple[pd.Timestamp, float]]:
    """Return where the names go: one moves on outwards where it would lie over another."""
    wide, step = (frame.index[-1] - frame.index[0]) * 0.15, 0.055 * _height(frame)
    taken: list[tuple[pd.Timestamp, float]] = []
    for row in _rows(rows):
        start = max(row["start"], frame.index[0])
        shown = frame[start : row["known"]]
        edge = shown["low"].fillna(shown["close"]).min() if side < 0 else shown["high"].fillna(shown["close"]).max()
        middle, price = start + (row["known"] - start) / 2, float(edge) + side * 0.4 * step
        time = min(max(middle, frame.index[0] + wide / 2), frame.index[-1] - wide / 2)
        while any(abs(time - other) < wide and abs(price - there) < step * 0.99 for other, there in taken):
            price += side * step
        taken.append((time, price))
    return taken


def _within(strokes: Sequence[Any], begin: pd.Timestamp) -> list[tuple[Any, Any]]:
    """Return the part of straight strokes from a time on; those that end by then are left out."""
    kept = []
    for start, end in strokes:
        if start[0] >= begin:
            kept.append((start, end))
        elif end[0] > begin:
            (price,) = _between((start, end), pd.DatetimeIndex([begin]))
            kept.append(((begin, float(price)), end))
    return kept


def _area(row: dict[str, Any], shown: pd.Timestamp) -> hv.Area:
    """Return what a pattern encloses: the room between its two sides, or between its turns and its neckline.

    It begins at the first time ``shown``, if not later.
    """
    first, *rest = row["lines"]
    if rest:
        begin = min(line[0][0] for line in row["lines"])
        # The side that starts later is reached from the first turn.
        lead = [point for point in row["points"][:1] if point[0] == begin]
        paths = [line if line[0][0] == begin else (*lead, *line) for line in row["lines"]]
    else:
        begin, paths = row["start"], [(*row["points"], first[1]), first]
    times = pd.DatetimeIndex([time for path in paths for time, _ in path if time >= begin]).unique().sort_values()
    if begin < shown:
        times = times[times > shown].insert(0, shown)
    upper, lower = (_between(path, times) for path in paths)
    enclosed = hv.Area({"time": times.to_numpy(), "price": upper, "floor": lower}, "time", ["price", "floor"])
    return enclosed.opts(color=COLORS[row["direction"]], fill_alpha=0.13, line_alpha=0, backend=BACKEND)


def _between(path: Sequence[Any], times: pd.DatetimeIndex) -> np.ndarray:
    """Return the prices of a path of points at some times, shape (n,); a straight line goes on beyond its ends."""
    if len(path) == 2:
        (start, first), (end, last) = path
        return np.asarray(first + (last - first) * ((times - start) / (end - start)).to_numpy())
    corners = pd.DatetimeIndex([time for time, _ in path])
    passed, at = ((index - corners[0]).to_numpy("int64") for index in (times, corners))
    return np.asarray(np.interp(passed, at, _prices(path)))


def _prices(path: Sequence[Any]) -> list[float]:
    return [price for _, price in path]


def _joined(row: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return the strokes from turn to turn; a pole's is the only one of a flag."""
    return list(zip(row["points"], row["points"][1:], strict=False))


def _segments(lines: Sequence[tuple[Any, dict[str, Any]]]) -> hv.Segments:
    told = [_told(row) for _, row in lines]
    columns = {name: [one[name] for one in told] for name in (*TOLD, "color")}
    ends = {
        "time": [pair[0][0] for pair, _ in lines],
        "price": [pair[0][1] for pair, _ in lines],
        "time_end": [pair[1][0] for pair, _ in lines],
        "price_end": [pair[1][1] for pair, _ in lines],
    }
    return hv.Segments({**ends, **columns}, list(ends), [*TOLD, "color"])


def _rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in TOLD}, "color": COLORS.get(row["direction"], INK)}


def _columns(rows: pd.DataFrame) -> dict[str, Any]:
    return {**{name: rows[name].to_numpy() for name in TOLD}, "color": rows["direction"].map(COLORS).to_numpy()}


def _height(frame: pd.DataFrame) -> float:
    """Return the range of the prices shown."""
    return float(frame["high"].fillna(frame["close"]).max() - frame["low"].fillna(frame["close"]).min())
