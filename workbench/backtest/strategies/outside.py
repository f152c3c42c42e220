"""Strategies that follow what comes from outside: a table of signals or weights, or weights that are agreed on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import ConfigDict, create_model

from workbench.analytics.signals import make_signals, make_weights
from workbench.backtest.strategies.schedule import PERIODS, Every, rebalancing
from workbench.backtest.strategies.table import read_table
from workbench.backtest.strategy import Strategy
from workbench.core.errors import InputError, ParameterError, UnknownNameError


def signals_from(table: pd.DataFrame | str | os.PathLike[str], name: str = "outside") -> Strategy:
    """Make a strategy of a table of signals: a model's, a file's, a person's.

    A row counts at the first bar whose close is at or after its time, never before; of several rows for one bar the
    latest counts. A row later than the last bar is not known yet. One before the first bar counts at it.

    Parameters
    ----------
    table : pandas.DataFrame or path of a CSV file
        A row for each signal, with the columns

        - ``symbol``;
        - ``time``: when it was known, in UTC or with a zone; a day without a time is its first moment;
        - ``signal``: 1 or ``buy``, -1 or ``sell``, 0 or ``flat``; *or* ``weight``: the symbol's target share of the
          account's value. The rows of one time are the whole of the account: a symbol without one has weight 0.
        - ``strength`` (optional, -1 to 1) and ``reason`` (optional, a text).
    name : str
        What the strategy is called.

    Returns
    -------
    Strategy
        Without parameters. A table with both 0 and -1 is told in weights, ``1 / n_symbols`` on the side of the signal:
        entries and exits alone cannot tell flat from short. With 0 or -1 only, a row leaves the market (and goes short
        where ``direction="both"``).

    Raises
    ------
    InputError
        For a table that lacks a column or has a row that cannot be read, naming it; a file that is not there. When
        the strategy is run: for symbols that the bars do not have, or rows that are all before the bars.
    """
    rows = read_table(table)
    kind = "weight" if "weight" in rows else "signal"
    three = kind == "signal" and {0.0, -1.0} <= set(rows["signal"])

    def rule(bars: xr.Dataset) -> xr.Dataset:
        _require_known(rows, bars, name)
        placed = _placed(rows, bars, by_symbol=kind == "signal")
        return _as_weights(placed, bars, three) if three or kind == "weight" else _as_signals(placed, bars)

    described = (
        f"Follow a table of {len(rows)} {kind}s from {rows['time'].min():%Y-%m-%d} to {rows['time'].max():%Y-%m-%d}."
    )
    short = (three or kind == "weight") and bool((rows[kind] < 0).any())
    return Strategy(name, described, rule, _no_parameters(name), direction="both" if short else "long")


def _no_parameters(name: str) -> Any:
    return create_model(f"{name}_parameters", __config__=ConfigDict(extra="forbid", frozen=True))


def _require_known(rows: pd.DataFrame, bars: xr.Dataset, name: str) -> None:
    strangers = sorted(set(rows["symbol"]) - {str(symbol) for symbol in bars["symbol"].to_numpy()})
    if strangers:
        raise InputError(
            f"the table of {name!r} has rows for {', '.join(strangers)}, which the bars do not have; "
            "ask for these symbols, too, or drop their rows"
        )
    first = bars.indexes["time"][0]
    if (rows["time"] < first).all():
        raise InputError(
            f"all {len(rows)} rows of the table of {name!r} are before the first bar, {first}; check their times (UTC)"
        )


def _placed(rows: pd.DataFrame, bars: xr.Dataset, *, by_symbol: bool) -> pd.DataFrame:
    """Return the rows that are known by the last bar, with ``row`` and ``column`` of the bar at which they count."""
    symbols = [str(symbol) for symbol in bars["symbol"].to_numpy()]
    times, here = bars.indexes["time"].to_numpy(), bars["close"].notnull().to_numpy()
    column = rows["symbol"].map({symbol: place for place, symbol in enumerate(symbols)}).to_numpy()
    row = np.searchsorted(times, rows["time"].to_numpy(), side="left")
    if by_symbol:
        for place in np.unique(column):
            own, mine = np.flatnonzero(here[:, place]), column == place
            found = np.searchsorted(own, row[mine], side="left")
            row[mine] = np.append(own, len(times))[found]
    placed = rows.assign(row=row, column=column)
    known = placed[placed["row"] < len(times)]
    # Rows are in order of time: the last one of a bar is the latest.
    return known.drop_duplicates(["row", "column"], keep="last") if by_symbol else _whole(known)


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of the latest time for each bar: the rows of one time are the whole of the account."""
    return rows[rows["time"] == rows.groupby("row")["time"].transform("max")]


def _grid(rows: pd.DataFrame, column: str, bars: xr.Dataset) -> np.ndarray:
    text = column == "reason"
    cells = np.full(bars["close"].shape, "" if text else np.nan, dtype=object if text else "float64")
    cells[rows["row"].to_numpy(), rows["column"].to_numpy()] = rows[column].to_numpy()
    return cells


def _as_signals(rows: pd.DataFrame, bars: xr.Dataset) -> xr.Dataset:
    like = bars["close"]
    signal = _grid(rows, "signal", bars)
    return make_signals(
        like.copy(data=signal > 0), like.copy(data=signal <= 0), *_evidence(rows, bars, _lasting(signal)), _REASON
    )


def _as_weights(rows: pd.DataFrame, bars: xr.Dataset, three: bool) -> xr.Dataset:
    like = bars["close"]
    if three:
        target = _lasting(_grid(rows, "signal", bars)) / like.sizes["symbol"]
        given = np.zeros(like.sizes["time"], dtype=bool)
        given[rows["row"].to_numpy()] = True
        weight = np.where(given[:, None], np.nan_to_num(target), np.nan)
    else:
        weight = _grid(rows, "weight", bars)
    strength, evidence = _evidence(rows, bars, np.clip(_lasting(weight, whole=True), -1, 1))
    return make_weights(like.copy(data=weight), strength, evidence, _REASON)


_REASON = "from outside: {said}"


def _lasting(values: np.ndarray, *, whole: bool = False) -> np.ndarray:
    """Carry values on from bar to bar; ``whole``: a row with any number replaces all."""
    if whole:
        given = ~np.isnan(values).all(axis=1, keepdims=True)
        values = np.where(given, np.nan_to_num(values), np.nan)
    return pd.DataFrame(values).ffill().to_numpy()


def _evidence(rows: pd.DataFrame, bars: xr.Dataset, state: np.ndarray) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Return the strength (the state's where the table has none) and what was said, both lasting to the next row."""
    like, here = bars["close"], bars["close"].notnull().to_numpy()
    strength = np.nan_to_num(state)
    if "strength" in rows:
        own = _lasting(_grid(rows, "strength", bars))
        strength = np.where(np.isnan(own), strength, own)
    said = np.where(np.isnan(state), "no row yet", "no reason given").astype(object)
    if "reason" in rows:
        told = pd.DataFrame(_grid(rows, "reason", bars))
        told = told.where(told != "").ffill()
        said = np.where(told.notna(), told, said)
    return like.copy(data=np.where(here, strength, np.nan)), {"said": like.copy(data=said)}


def target_weights(weights: Mapping[str, float], every: Every = "month", name: str = "target_weights") -> Strategy:
    """Make a strategy of constant weights, brought back to them at dates.

    Parameters
    ----------
    weights : mapping of str to float
        Each symbol's share of the account's value; negative is short. What they leave of 1 is cash, and so is the
        share of a symbol that has not had a bar yet.
    every : {"month", "quarter", "year", "never"} or int
        When they are set again: at the first bar of each, or every so many bars; between them they drift with prices.
        A parameter of the strategy.
    name : str
        What the strategy is called.

    Returns
    -------
    Strategy

    Raises
    ------
    UnknownNameError
        For a period that is none.
    ParameterError
        For no weights, or one that is not finite. When the strategy is run: for symbols that the bars do not have.
    """
    shares = {str(symbol): float(share) for symbol, share in weights.items()}
    size = sum(abs(share) for share in shares.values())
    if not shares or not 0 < size <= 1 + 1e-9:
        raise ParameterError(
            f"weights={dict(weights)!r} add up to {size:g} in size; give shares that add up to 1 at most"
        )

    if not isinstance(every, int) and every not in (*PERIODS, "never"):
        raise UnknownNameError("period", str(every), [*PERIODS, "never"])

    def rule(bars: xr.Dataset, every: Every = every) -> xr.Dataset:
        symbols = [str(symbol) for symbol in bars["symbol"].to_numpy()]
        strangers = sorted(set(shares) - set(symbols))
        if strangers:
            raise InputError(
                f"{name!r} has weights for {', '.join(strangers)}, which the bars do not have; ask for them"
            )
        like = bars["close"]
        wanted = np.array([shares.get(symbol, 0.0) for symbol in symbols])
        started = np.maximum.accumulate(like.notnull().to_numpy(), axis=0)
        target = np.where(started, wanted, 0.0)
        due = rebalancing((started & (wanted != 0)).any(axis=1), pd.DatetimeIndex(bars.indexes["time"]), every)
        weight = like.copy(data=np.where(due[:, None], target, np.nan))
        strength = like.copy(data=np.where(started, target, np.nan))
        return make_weights(
            weight, strength, {"target": like.copy(data=target)}, f"{{target:.1%}} of the account, set by {every}"
        )

    fields: dict[str, Any] = {"every": (Every, every)}
    model = create_model(
        f"{name}_parameters", __config__=ConfigDict(extra="forbid", frozen=True, validate_default=True), **fields
    )
    told = ", ".join(f"{share:.0%} {symbol}" for symbol, share in shares.items())
    return Strategy(name, f"Hold {told}.", rule, model, direction="both" if min(shares.values()) < 0 else "long")
