"""Statements: the one shape in which companies' accounts travel, made and validated here once.

A *Statements* is a DataFrame with one row per figure and version of it, and the columns of ``COLUMNS``:

=============  ========================================================================================
``symbol``     text
``frequency``  ``"annual"`` or ``"quarterly"``; a quarterly flow is of its three months alone
``period_end``  last day of the period, without a zone (``datetime64[ns]``)
``known``      UTC instant (``datetime64[ns, UTC]``) from which the figure was public
``item``       one of ``workbench.analytics.fundamentals.items.ITEMS``
``value``      float64, in whole units of ``currency``, never NaN: what is not reported has no row
``currency``   ISO 4217 code, empty where the source does not tell; one per symbol
=============  ========================================================================================

A restatement is a further row with a later ``known``. Two period ends in one month are the same period: sources
disagree by days about years of 52 or 53 weeks; an end on one of the first 15 days counts to the month before.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.analytics.fundamentals.items import ITEMS, SOURCES
from workbench.core.calendar import Moment, instant
from workbench.core.errors import DataError, InputError, ParameterError, UnknownNameError

COLUMNS = ("symbol", "frequency", "period_end", "known", "item", "value", "currency")

FREQUENCIES = ("annual", "quarterly")

DAY = pd.Timedelta(days=1)


def period_month(period_end: pd.Series) -> NDArray[np.int64]:
    """Return the month that a period counts as ending in, in months since year 0, shape (n,)."""
    # 52-week years end up to a week from a month's end, on either side.
    middle = (pd.to_datetime(period_end) - pd.Timedelta(days=15)).dt
    return np.asarray(middle.year * 12 + middle.month - 1, dtype="int64")


def validate_statements(statements: pd.DataFrame) -> pd.DataFrame:
    """Return the statements, their columns in order and typed, if they keep every rule of the shape.

    Raises
    ------
    UnknownNameError
        For an item or a frequency that is none.
    DataError
        For a missing column, a figure without a value, an end or an instant, one that is known before its period ends,
        a symbol with two currencies, or two versions of a figure learned at once.
    """
    absent = [name for name in COLUMNS if name not in statements]
    if absent:
        raise DataError(f"statements need the columns {', '.join(COLUMNS)}; missing: {', '.join(absent)}")
    for column, kind, known in (("item", "statement item", ITEMS), ("frequency", "frequency", FREQUENCIES)):
        for name in pd.unique(statements[column]):
            if name not in known:
                raise UnknownNameError(kind, name, known)
    typed = statements.loc[:, list(COLUMNS)].reset_index(drop=True)
    typed = typed.assign(
        period_end=pd.to_datetime(typed["period_end"]).astype("datetime64[ns]"),
        known=pd.to_datetime(typed["known"], utc=True).astype("datetime64[ns, UTC]"),
        value=typed["value"].astype("float64"),
    )
    _refuse_rows(typed)
    return typed


def _refuse_rows(typed: pd.DataFrame) -> None:
    undated = typed[typed[["period_end", "known"]].isna().any(axis=1)]
    if len(undated):
        row = undated.iloc[0]
        raise DataError(
            f"{row['item']} of {row['symbol']} has no period_end or no known; both are needed: drop the row"
        )
    same = typed.assign(month=period_month(typed["period_end"]))
    for broken, what in (
        (~np.isfinite(typed["value"]), "has no finite value; drop the row"),
        (typed["known"].dt.tz_localize(None) < typed["period_end"], "is known before its period ends; mend known"),
        (
            same.duplicated(["symbol", "frequency", "month", "item", "known"]),
            "has two versions learned at one instant; keep one",
        ),
    ):
        if broken.any():
            row = typed[broken].iloc[0]
            raise DataError(f"{row['item']} of {row['symbol']} for {row['period_end']:%Y-%m-%d} {what}")
    currencies = typed[["symbol", "currency"]].drop_duplicates()
    mixed = currencies[currencies.duplicated("symbol", keep=False)]
    if len(mixed):
        symbol = mixed["symbol"].iloc[0]
        codes = ", ".join(repr(code) for code in mixed.loc[mixed["symbol"] == symbol, "currency"])
        raise DataError(f"statements of {symbol} are in several currencies ({codes}); convert them to one")


def from_provider(table: pd.DataFrame, symbol: str, source: str, lag: int | None = None) -> pd.DataFrame:
    """Make Statements of a provider's answer.

    Parameters
    ----------
    table : pandas.DataFrame
        What ``Provider.statements(symbol)`` returns: columns ``period_end period statement item value currency
        filed``, one row per figure. Items that the formulas do not use, and figures without a value, are left out.
    symbol : str
    source : str
        Whose names the items have: one of ``items.SOURCES``.
    lag : int, optional
        Days from a period's end until its figures count as known, where the source does not tell when they were filed.
        The Securities and Exchange Commission gives large accelerated filers 60 days for an annual report (Form 10-K)
        and 40 for a quarterly one, others up to 90 and 45: 90 is safe for all that file on time. A lag makes up for
        late publication, not for restatement: such a source gives today's figures for the past.

    Returns
    -------
    pandas.DataFrame
        Statements. A filing at midnight UTC is a day without a time, and known from the end of that day on.

    Raises
    ------
    UnknownNameError
        For a source without a list of names.
    ParameterError
        For a lag below 0.
    InputError
        If figures have no instant of filing and there is no ``lag``.
    DataError
        As ``validate_statements``.
    """
    if source not in SOURCES:
        raise UnknownNameError("source of statements", source, SOURCES)
    if lag is not None and lag < 0:
        raise ParameterError(f"lag {lag} is negative; give days from the period's end until publication, such as 90")
    names = SOURCES[source]
    ours = [names.get(pair, ("", 0.0)) for pair in zip(table["statement"], table["item"], strict=True)]
    told = table.assign(item=[name for name, _ in ours], factor=[float(sign) for _, sign in ours])
    told = told[(told["item"] != "") & told["value"].notna() & told["period_end"].notna()]
    filed = pd.to_datetime(told["filed"], utc=True)
    if lag is None and filed.isna().any():
        raise InputError(
            f"{source} does not tell when statements of {symbol} were filed; give a lag in days, such as 90"
        )
    by_lag = pd.to_datetime(told["period_end"]).dt.tz_localize("UTC") + (1 + (lag or 0)) * DAY
    known = filed.where(filed != filed.dt.normalize(), filed + DAY).fillna(by_lag)
    return validate_statements(
        told.assign(symbol=symbol, frequency=told["period"], known=known, value=told["value"] * told["factor"])
    )


def as_known(statements: pd.DataFrame, as_of: Moment) -> pd.DataFrame:
    """Return what was known at an instant: of each figure, the version learned last.

    Parameters
    ----------
    statements : pandas.DataFrame
        Statements.
    as_of : date or instant
        A date is its end, UTC.

    Returns
    -------
    pandas.DataFrame
        Statements, one row per symbol, frequency, period and item.
    """
    checked = validate_statements(statements)
    known = checked[checked["known"] <= instant(as_of, end_of_day=True)].sort_values("known", kind="stable")
    figure = known.assign(month=period_month(known["period_end"]))
    last = ~figure.duplicated(["symbol", "frequency", "month", "item"], keep="last")
    return known[last].sort_values(["symbol", "frequency", "period_end", "item"], ignore_index=True)
