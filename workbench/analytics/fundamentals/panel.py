"""Ratios and scores by name, as known at a moment or on each of many dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr

from workbench.analytics.fundamentals.figures import Accounts, Basis, Figures, Floats, Ints, accounts
from workbench.analytics.fundamentals.formulas import PRICE, Formula
from workbench.analytics.fundamentals.market import NANOSECONDS_PER_DAY, last_closes, split_factor
from workbench.analytics.fundamentals.registry import formulas
from workbench.core.calendar import Moment, instant
from workbench.core.errors import InputError, ParameterError

MAX_AGE = 550
"""Days: a year, and half of one for a late filing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of companies as known at a moment.

    Attributes
    ----------
    figures : pandas.DataFrame
        Index ``symbol``, a column per name, shape (n_symbols, n_names); NaN where it is not defined or not known.
    period_end : pandas.Series
        By symbol, the month in which the latest period known ended (``Period``, ``NaT`` where none was).
    missing : dict of str to tuple of str
        By symbol, what was asked for and not known; ``"total_assets@1"`` is that of a year before.
    """

    figures: pd.DataFrame
    period_end: pd.Series
    missing: Mapping[str, tuple[str, ...]]


def snapshot(
    statements: pd.DataFrame,
    names: Sequence[str],
    as_of: Moment,
    *,
    prices: xr.Dataset | None = None,
    splits: pd.DataFrame | None = None,
    basis: Basis = "trailing",
    max_age: int = MAX_AGE,
) -> Reading:
    """Return ratios and scores as known at a moment.

    Parameters
    ----------
    statements, names, prices, splits, basis, max_age
        As ``history``.
    as_of : date or instant
        A date is its end, UTC.

    Returns
    -------
    Reading

    Raises
    ------
    UnknownNameError, InputError, ParameterError, DataError
        As ``history``.
    """
    wanted = formulas(names)
    arranged = accounts(statements, basis)
    moments = np.array([_nanoseconds(instant(as_of, end_of_day=True))])
    price, paid = _prices(wanted, prices, arranged, statements, moments)
    symbols = np.arange(len(arranged.names))
    figures = arranged.figures(symbols, np.repeat(moments, len(symbols)))
    fresh = _fresh(figures.months, figures.moments, max_age)
    shares = figures("shares")

    def split(until: Ints) -> Floats:
        return shares * _split(splits, arranged, figures.symbols, figures.shares_known(), until)

    read = _reader(figures, price[0], split(figures.moments), split(paid[0]))

    def figure(need: str) -> Floats:
        return np.where(fresh, read()(need), np.nan)

    index = pd.Index(arranged.names, name="symbol")
    needs = list(dict.fromkeys(need for formula in wanted for need in formula.needs))
    unknown = {need: np.isnan(figure(need)) for need in needs}
    missing = {name: tuple(need for need in needs if unknown[need][row]) for row, name in enumerate(index)}
    found = pd.DataFrame({one.name: np.where(fresh, one(read(one)), np.nan) for one in wanted}, index=index)
    return Reading(found, _periods(figures, index), {name: needed for name, needed in missing.items() if needed})


def history(
    statements: pd.DataFrame,
    names: Sequence[str],
    dates: pd.DatetimeIndex,
    *,
    prices: xr.Dataset | None = None,
    splits: pd.DataFrame | None = None,
    basis: Basis = "trailing",
    max_age: int = MAX_AGE,
) -> xr.Dataset:
    """Return ratios and scores as known on each of many dates, for use beside Bars.

    Parameters
    ----------
    statements : pandas.DataFrame
        Statements (see ``workbench.analytics.fundamentals.statements``).
    names : sequence of str
        Out of ``registry.FORMULAS``, or groups out of ``registry.GROUPS``.
    dates : pandas.DatetimeIndex
        Instants in UTC, without a zone or in any, increasing, such as ``bars.indexes["time"]``; shape (n_dates,). What
        became known at one of them counts there.
    prices : xarray.Dataset, optional
        Bars as traded (``adjust="none"``), for the names that need a price: the last close of the ``PRICE_DAYS`` up to
        each date, in the statements' currency.
    splits : pandas.DataFrame, optional
        Actions, with columns ``symbol time value`` and perhaps ``kind``. Shares are those of the latest balance sheet,
        which tells them after all splits until it was filed (SEC Staff Accounting Bulletin, topic 4.C); with splits,
        they are multiplied by the later ones: up to the date, or beside a price up to its close. Without, a value of
        the equity is wrong by a split's ratio from its ex-date until the next filing. Leave them out where the source
        restates old numbers of shares itself.
    basis : {"trailing", "annual"}
        Flows of the last four consecutive quarters known (NaN where one is missing) with the latest quarter's balance,
        or those of the latest fiscal year known.
    max_age : int
        Days from the end of the latest period known after which a company's figures are NaN, as once it is delisted.

    Returns
    -------
    xarray.Dataset
        A variable per name with dims (time, symbol), shape (n_dates, n_symbols), float64; NaN before anything was
        known, where an item is missing, and where a formula is not defined.

    Raises
    ------
    UnknownNameError
        For a name that is no ratio.
    InputError
        If a name needs prices and there are none, or they are of another currency.
    ParameterError
        For adjusted prices, dates that do not increase, another basis, or a ``max_age`` below 1.
    DataError
        As ``validate_statements``.
    """
    wanted = formulas(names)
    arranged = accounts(statements, basis)
    times = pd.DatetimeIndex(dates)
    if not (times.is_monotonic_increasing and times.is_unique):
        raise ParameterError(f"dates must increase without repeats; sort the {len(times)} dates and drop the repeats")
    zoned = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    moments = zoned.as_unit("ns").to_numpy().astype("int64")
    price, paid = _prices(wanted, prices, arranged, statements, moments)
    rows = _rows(arranged, moments)
    learned = arranged.learned
    figures = arranged.figures(learned["symbol"].to_numpy(), learned["known"].to_numpy())
    months = _spread(figures.months.astype("float64"), rows)
    fresh = _fresh(np.nan_to_num(months, nan=-1), moments[:, None], max_age)
    symbols, ends = np.broadcast_arrays(np.arange(len(arranged.names)), moments[:, None])
    shares, counted = _spread(figures("shares"), rows), _spread(figures.shares_known(), rows)

    def split(until: Ints) -> Floats:
        return shares * _split(splits, arranged, symbols, counted, until)

    read = _reader(lambda need: _spread(figures(need), rows), price, split(ends), split(paid))

    def spread(formula: Formula) -> Floats:
        # What moves only when something is learned is worked out there, not on every date.
        daily = {PRICE, "shares"} & set(formula.needs)
        return np.where(fresh, formula(read(formula)) if daily else _spread(formula(figures), rows), np.nan)

    found = {formula.name: (("time", "symbol"), spread(formula)) for formula in wanted}
    coords = {"time": zoned.as_unit("ns"), "symbol": np.asarray(arranged.names, dtype=object)}
    return xr.Dataset(found, coords=coords, attrs={"basis": basis, "max_age": max_age})


def _nanoseconds(stamp: pd.Timestamp) -> int:
    return stamp.as_unit("ns").value


def _rows(arranged: Accounts, moments: Ints) -> Ints:
    """Return for each date and company the last row of ``learned``, -1 where nothing was known."""
    rows = np.full((len(moments), len(arranged.names)), -1)
    for symbol, own in arranged.learned.groupby("symbol"):
        place = np.searchsorted(own["known"].to_numpy(), moments, side="right")
        rows[:, int(cast("int", symbol))] = np.where(place > 0, own.index[0] + place - 1, -1)
    return rows


def _split(splits: pd.DataFrame | None, arranged: Accounts, symbols: Ints, since: Floats, until: Ints) -> Floats:
    """Return the factor of the shares, of the common shape of the last three."""
    if splits is None:
        return np.ones(symbols.shape)
    found = split_factor(splits, arranged.names, symbols.ravel(), since.ravel(), until.ravel())
    return found.reshape(symbols.shape)


def _reader(
    figures: Callable[[str], Floats], price: Floats, shares: Floats, shares_paid: Floats
) -> Callable[..., Callable[[str], Floats]]:
    """Return what gives a formula its needs: beside a price, the shares are as split when the price was paid.

    Between midnight of an ex-date and its close the last price is still that of a share before the split.
    """

    def read(formula: Formula | None = None) -> Callable[[str], Floats]:
        given = {PRICE: price, "shares": shares_paid if formula and PRICE in formula.needs else shares}
        return lambda need: given[need] if need in given else figures(need)

    return read


def _spread(values: Floats, rows: Ints) -> Floats:
    """Return values by row of ``learned`` on each date, NaN before anything was known."""
    return np.append(values, np.nan)[rows]


def _fresh(months: Floats | Ints, moments: Ints, max_age: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    if max_age < 1:
        raise ParameterError(f"max_age {max_age} is too short; give days from a period's end, such as {MAX_AGE}")
    # A month since year 0 to the first day after it, in days since 1970.
    after = (np.asarray(months).astype("int64") + 1 - 1970 * 12).astype("datetime64[M]").astype("datetime64[D]")
    age = moments // NANOSECONDS_PER_DAY - after.astype("int64")
    return np.asarray((np.asarray(months) >= 0) & (age <= max_age))


def _periods(figures: Figures, index: pd.Index) -> pd.Series:
    since_1970 = np.where(figures.months < 0, 0, figures.months - 1970 * 12)
    months = pd.DatetimeIndex(since_1970.astype("datetime64[M]").astype("datetime64[ns]")).to_period("M")
    periods = pd.Series(months, index=index, name="period_end")
    return periods.where(figures.months >= 0)


def _prices(
    wanted: Sequence[Formula], prices: xr.Dataset | None, arranged: Accounts, statements: pd.DataFrame, moments: Ints
) -> tuple[Floats, Ints]:
    """Return the price at each moment and when it was paid, as ``last_closes``; NaN where no formula needs it."""
    needing = [formula.name for formula in wanted if PRICE in formula.needs]
    if not needing:
        _, paid = np.broadcast_arrays(np.arange(len(arranged.names)), moments[:, None])
        return np.full(paid.shape, np.nan), paid
    if prices is None:
        raise InputError(f"{', '.join(needing)} need prices; give Bars read with adjust='none'")
    return last_closes(prices, arranged.names, list(pd.unique(statements["currency"])), moments)
