"""What yfinance answers with, as rows of the provider contract."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from workbench.core.market import FIELDS
from workbench.data.providers import shapes
from workbench.data.providers.base import Quote

METADATA = (
    "regularMarketPrice",
    "regularMarketTime",
    "regularMarketVolume",
    "previousClose",
    "chartPreviousClose",
    "currency",
)


def bar_rows(found: pd.DataFrame, repeated: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Return ``time``, the fields, ``day`` (of the exchange), ``dividend`` and ``split``.

    Parameters
    ----------
    found : pandas.DataFrame
        The answer of ``Ticker.history``, its index in the zone of the exchange.
    repeated : pandas.DataFrame
        All bars that begin when another one does, of which ``found`` has one or a mixture; index in UTC.
    interval : str
    """
    if len(found) and len(repeated):
        found = _with_repeated(found, repeated, interval)
    index = pd.DatetimeIndex(found.index) if len(found) else pd.DatetimeIndex([], tz="UTC")
    day = index.tz_localize(None).normalize().as_unit("ns")
    time = day if interval == "1d" else index.tz_convert("UTC").as_unit("ns")
    names = {**{field.capitalize(): field for field in FIELDS}, "Dividends": "dividend", "Stock Splits": "split"}
    values = found.reindex(columns=list(names)).astype("float64").rename(columns=names).reset_index(drop=True)
    return values.assign(time=time, day=day)


def _with_repeated(found: pd.DataFrame, repeated: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Put each of the repeated bars into the place of what yfinance made of them; the first has their actions."""
    moments = pd.DatetimeIndex(repeated.index).tz_convert(pd.DatetimeIndex(found.index).tz)
    moments = moments.normalize() if interval == "1d" else moments
    actions = found.reindex(columns=["Dividends", "Stock Splits"]).reindex(moments)
    actions[moments.duplicated()] = 0.0
    every = pd.concat([found[~found.index.isin(moments)], pd.concat([repeated.set_index(moments), actions], axis=1)])
    return every.sort_index(kind="stable")


def action_rows(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the splits and dividends of the answer of ``bar_rows``."""
    found = []
    for kind in ("dividend", "split"):
        there = bars[bars[kind].notna() & (bars[kind] != 0)]
        found.append(pd.DataFrame({"time": there["day"], "kind": kind, "value": there[kind]}))
    every = pd.concat(found).astype({"kind": "str"})
    return every.sort_values("time", kind="stable", ignore_index=True)


def latest_quote(symbol: str, about: dict[str, Any]) -> Quote:
    """Return the quote that the metadata of a chart hold."""
    moment = about["regularMarketTime"]
    time = moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment), UTC)
    volume, before = about["regularMarketVolume"], about["previousClose"] or about["chartPreviousClose"]
    return Quote(
        symbol=symbol,
        time=pd.Timestamp(time).tz_convert("UTC").to_pydatetime(),
        price=float(about["regularMarketPrice"]),
        source="yahoo",
        currency=about["currency"],
        volume=None if volume is None else float(volume),
        previous_close=None if before is None else float(before),
    )


def search_rows(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the symbols of an answer of the search; Yahoo does not tell their currency."""
    columns = {
        "symbol": [row["symbol"] for row in found],
        "name": [row.get("longname") or row.get("shortname") for row in found],
        "exchange": [row.get("exchange") for row in found],
        "currency": [None] * len(found),
        "asset_class": [str(row.get("quoteType") or "").lower() for row in found],
    }
    return pd.DataFrame({name: shapes.texts(values) for name, values in columns.items()})


def news_rows(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the articles of an answer of the search, the newest first."""
    seconds = shapes.numbers(row.get("providerPublishTime") for row in found)
    table = pd.DataFrame(
        {
            "time": pd.to_datetime(seconds, unit="s", utc=True),
            "title": shapes.texts(row.get("title") for row in found),
            "url": shapes.texts(row.get("link") for row in found),
            "publisher": shapes.texts(row.get("publisher") for row in found),
        }
    )
    return table.sort_values("time", ascending=False, kind="stable", ignore_index=True)


def item_rows(table: pd.DataFrame, period: str, statement: str) -> pd.DataFrame:
    """Return a statement of yfinance, items by day, as one row per item and day; those without a value are left out."""
    long = pd.DataFrame(
        [
            (pd.Timestamp(str(day)), period, statement, snake_case(str(item)), float(value))
            for day, column in table.items()
            for item, value in column.items()
            if pd.notna(value)
        ],
        columns=["period_end", "period", "statement", "item", "value"],
    )
    return long.astype({"period_end": "datetime64[ns]", "value": "float64"})


def snake_case(name: str) -> str:
    """Return ``NetIncome`` as ``net_income``, ``EBITDAMargin`` as ``ebitda_margin``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
