"""The candlestick patterns of TA-Lib, by their names in English.

Their definitions are TA-Lib's (https://ta-lib.org/functions), which are those of G. L. Morris, "Candlestick Charting
Explained" (1992), and S. Nison, "Japanese Candlestick Charting Techniques" (1991). A pattern is known at the close of
its last candle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from workbench.analytics.indicators import compute
from workbench.analytics.patterns.pattern import Direction, Pattern
from workbench.core.errors import UnknownNameError
from workbench.core.frames import require_fields
from workbench.core.market import PRICES

_LISTED = """
CDL2CROWS two crows 3
CDL3BLACKCROWS three black crows 3
CDL3INSIDE three inside 3
CDL3LINESTRIKE three line strike 4
CDL3OUTSIDE three outside 3
CDL3STARSINSOUTH three stars in the south 3
CDL3WHITESOLDIERS three white soldiers 3
CDLABANDONEDBABY abandoned baby 3
CDLADVANCEBLOCK advance block 3
CDLBELTHOLD belt hold 1
CDLBREAKAWAY breakaway 5
CDLCLOSINGMARUBOZU closing marubozu 1
CDLCONCEALBABYSWALL concealing baby swallow 4
CDLCOUNTERATTACK counterattack 2
CDLDARKCLOUDCOVER dark cloud cover 2
CDLDOJI doji 1
CDLDOJISTAR doji star 2
CDLDRAGONFLYDOJI dragonfly doji 1
CDLENGULFING engulfing 2
CDLEVENINGDOJISTAR evening doji star 3
CDLEVENINGSTAR evening star 3
CDLGAPSIDESIDEWHITE gap side by side white lines 3
CDLGRAVESTONEDOJI gravestone doji 1
CDLHAMMER hammer 1
CDLHANGINGMAN hanging man 1
CDLHARAMI harami 2
CDLHARAMICROSS harami cross 2
CDLHIGHWAVE high wave 1
CDLHIKKAKE hikkake 3
CDLHIKKAKEMOD modified hikkake 4
CDLHOMINGPIGEON homing pigeon 2
CDLIDENTICAL3CROWS identical three crows 3
CDLINNECK in neck 2
CDLINVERTEDHAMMER inverted hammer 1
CDLKICKING kicking 2
CDLKICKINGBYLENGTH kicking by length 2
CDLLADDERBOTTOM ladder bottom 5
CDLLONGLEGGEDDOJI long legged doji 1
CDLLONGLINE long line 1
CDLMARUBOZU marubozu 1
CDLMATCHINGLOW matching low 2
CDLMATHOLD mat hold 5
CDLMORNINGDOJISTAR morning doji star 3
CDLMORNINGSTAR morning star 3
CDLONNECK on neck 2
CDLPIERCING piercing 2
CDLRICKSHAWMAN rickshaw man 1
CDLRISEFALL3METHODS rising falling three methods 5
CDLSEPARATINGLINES separating lines 2
CDLSHOOTINGSTAR shooting star 1
CDLSHORTLINE short line 1
CDLSPINNINGTOP spinning top 1
CDLSTALLEDPATTERN stalled pattern 3
CDLSTICKSANDWICH stick sandwich 3
CDLTAKURI takuri 1
CDLTASUKIGAP tasuki gap 3
CDLTHRUSTING thrusting 2
CDLTRISTAR tristar 3
CDLUNIQUE3RIVER unique three river 3
CDLUPSIDEGAP2CROWS upside gap two crows 3
CDLXSIDEGAP3METHODS gap three methods 3
"""


@dataclass(frozen=True)
class Candlestick:
    """A candlestick pattern: its function in TA-Lib, its name and of how many candles it is made."""

    function: str
    name: str
    candles: int


def _listed() -> dict[str, Candlestick]:
    rows = (line.split() for line in _LISTED.strip().splitlines())
    known = (Candlestick(row[0], " ".join(row[1:-1]), int(row[-1])) for row in rows)
    return {one.name: one for one in known}


CANDLESTICKS = _listed()
"""The 61 candlestick patterns by name."""

CONFIRMED = 200
"""TA-Lib's value at the bar that confirms a hikkake found up to three bars before: no further pattern."""

NEUTRAL = frozenset(
    {
        "doji",
        "dragonfly doji",
        "gravestone doji",
        "high wave",
        "long legged doji",
        "rickshaw man",
        "spinning top",
        "takuri",
    }
)
"""Patterns whose sign, as TA-Lib's sources say, tells no direction: for a doji it is always positive, for a spinning
top and a high wave it is the candle's color."""


def candlesticks(bars: xr.Dataset, names: Sequence[str] | str | None = None) -> xr.Dataset:
    """Say where the candlestick patterns are.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars with open, high, low and close, shape (n_bars, n_symbols). A bar that lacks one of the four is left out.
    names : sequence of str or str, optional
        Patterns by name (``"hammer"``) or by TA-Lib's function (``"CDLHAMMER"``); all 61 where ``None``.

    Returns
    -------
    xarray.Dataset
        One variable per pattern, by name, shape (n_bars, n_symbols): positive (100, a weak one 80) where it is bullish,
        negative where it is bearish, 0 where there is none, NaN where the symbol has no bar. For the patterns in
        ``NEUTRAL`` the sign tells no direction. For ``hikkake`` and ``modified hikkake``, 200 and -200 are no pattern
        but the close, up to three bars later, that confirms the one before.

    Raises
    ------
    UnknownNameError
        For a name that is no candlestick pattern.
    InputError
        If the dataset has closes only.
    """
    chosen = list(CANDLESTICKS.values()) if names is None else [candlestick(name) for name in _listing(names)]
    require_fields(bars, PRICES, "a candlestick pattern")
    variables = {}
    for one in chosen:
        (variables[one.name],) = compute(one.function, bars).data_vars.values()
    return xr.Dataset(variables, coords={"time": bars["time"], "symbol": bars["symbol"]})


def candlestick(name: str) -> Candlestick:
    """Return a candlestick pattern by its name or by TA-Lib's function.

    Raises
    ------
    UnknownNameError
        For a name that is none.
    """
    functions = {one.function: one for one in CANDLESTICKS.values()}
    found = CANDLESTICKS.get(name.lower().replace("_", " ")) or functions.get(name.upper())
    if found is None:
        raise UnknownNameError("candlestick pattern", name, CANDLESTICKS)
    return found


def find_candlesticks(bars: xr.Dataset, names: Sequence[str]) -> list[Pattern]:
    """Return the candlestick patterns of each symbol, one by one; see ``candlesticks``.

    A confirmation of a hikkake is none of its own. Each has one point: its lowest price where it is bullish, its
    highest where it is not, at its last candle.
    """
    patterns = []
    for name, values in candlesticks(bars, names).data_vars.items():
        for symbol in bars["symbol"].to_numpy():
            patterns += _of_symbol(bars.sel(symbol=symbol), values.sel(symbol=symbol), CANDLESTICKS[str(name)])
    return patterns


def _of_symbol(bars: xr.Dataset, values: xr.DataArray, shape: Candlestick) -> list[Pattern]:
    own = np.logical_and.reduce([bars[field].notnull().to_numpy() for field in PRICES])
    signs, times = np.nan_to_num(values.to_numpy()[own]), bars.indexes["time"][own]
    high, low = bars["high"].to_numpy()[own], bars["low"].to_numpy()[own]
    patterns = []
    for bar in np.flatnonzero((signs != 0) & (np.abs(signs) < CONFIRMED)).tolist():
        first = max(bar - shape.candles + 1, 0)
        direction: Direction = "bullish" if signs[bar] > 0 else "bearish"
        if shape.name in NEUTRAL:
            direction = "neutral"
        price = low[first : bar + 1].min() if direction == "bullish" else high[first : bar + 1].max()
        pattern = Pattern(
            name=shape.name,
            symbol=str(bars["symbol"].item()),
            direction=direction,
            start=times[first],
            end=times[bar],
            known=times[bar],
            points=((times[bar], float(price)),),
            reason=f"{shape.function} of TA-Lib is {signs[bar]:+.0f}",
        )
        patterns.append(pattern)
    return patterns


def _listing(names: Sequence[str] | str) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
