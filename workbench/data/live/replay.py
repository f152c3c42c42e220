"""A replay of stored bars: the stream that needs no network."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Collection, Iterator

import numpy as np
import pandas as pd
import xarray as xr

from workbench.core.calendar import Moment, exchange_calendar, instant
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.data.live.base import Event, Stream
from workbench.data.providers.base import Access, Quote


class ReplayStream(Stream):
    """Tell stored bars again, each at its close and none before its turn.

    A quote has the bar's close as its price, the session's volume so far, and the close of the session before.

    Parameters
    ----------
    access : Access
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols); ``time`` is the bar's close.
    speed : float, optional
        Bars per second. A feed still passes on one update per symbol and interval: with 20 bars a second and an
        interval of one second a reader sees about every 20th bar, and the last one in any case. Without a speed
        nothing is left out: the next bar comes when the last one was read.
    start : str, date, datetime, int, optional
        The first bar that is told; earlier ones are only known as the close before.

    Raises
    ------
    ParameterError
        If the speed is not positive.
    DateRangeError
        If ``start`` is no date.
    """

    name = "replay"
    description = "Stored bars, told again at any speed"
    licence = "that of the bars"
    silence = None

    def __init__(
        self, access: Access, bars: xr.Dataset | None = None, speed: float | None = None, start: Moment | None = None
    ) -> None:
        super().__init__(access)
        if bars is None:
            raise ParameterError("a replay needs bars to tell; give it some, such as bench.bars('AAPL')")
        if speed is not None and not speed > 0:
            raise ParameterError(f"speed {speed!r} is not positive; give bars per second, such as 5")
        self.bars = bars
        self.known = instant(bars.attrs["as_of"]).to_pydatetime(warn=False) if "as_of" in bars.attrs else None
        self.speed = None if speed is None or math.isinf(speed) else speed
        self.lossless = self.speed is None
        self.start = None if start is None else instant(start)

    async def updates(self, symbols: Collection[str]) -> AsyncGenerator[Event | None, None]:
        """Yield a quote for each symbol and bar with a close; see ``Stream.updates``."""
        known = [str(name) for name in self.bars["symbol"].to_numpy()]
        for symbol in symbols:
            if symbol not in known:
                raise UnknownNameError("symbol", symbol, known, where="the replayed bars")
        chosen = self.bars[["close", "volume"]].sel(symbol=list(symbols))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for told, quotes in enumerate(_steps(chosen, self.start)):
            if self.speed is not None:
                # Counted from the beginning, so that many short waits do not add up to a slower pace.
                await asyncio.sleep(began + told / self.speed - loop.time())
            for quote in quotes:
                yield quote


def _steps(bars: xr.Dataset, start: pd.Timestamp | None) -> Iterator[list[Quote]]:
    """Yield the quotes of each time with a close, in order."""
    times = pd.DatetimeIndex(bars.indexes["time"]).tz_localize("UTC")
    closes, volumes = (pd.DataFrame(bars[name].transpose("time", "symbol").to_numpy()) for name in ("close", "volume"))
    sessions = times.tz_convert(exchange_calendar(bars.attrs["calendar"]).tz).date
    traded = volumes.groupby(sessions).cumsum().to_numpy()
    before = closes.groupby(sessions).last().shift().ffill().reindex(sessions).to_numpy()
    prices, symbols = closes.to_numpy(), [str(symbol) for symbol in bars["symbol"].to_numpy()]
    for place in range(0 if start is None else int(times.searchsorted(start)), len(times)):
        quotes = [
            Quote(
                symbol=symbols[column],
                time=times[place].to_pydatetime(warn=False),
                price=float(prices[place, column]),
                source=ReplayStream.name,
                currency=bars.attrs["currency"],
                volume=_number(traded[place, column]),
                previous_close=_number(before[place, column]),
            )
            for column in np.flatnonzero(np.isfinite(prices[place]))
        ]
        if quotes:
            yield quotes


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
