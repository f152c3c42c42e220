"""Twelve Data: bars, actions, quotes, search and statements.

Names, parameters, shapes and the credits that a request costs are from https://twelvedata.com/docs. A refusal is
``{"status": "error", "code": 429, "message": "..."}`` (section "Errors"), with status 200 or with that code. The free
plan, Basic, has 8 credits a minute and 800 a day (https://support.twelvedata.com/en/articles/5194820); actions need
the plan Grow and statements Pro.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pandas as pd

from workbench.core.errors import UnknownNameError, UnsupportedError
from workbench.core.market import FIELDS, check_symbol
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, History, Provider, Quote
from workbench.data.providers.quota import DAY
from workbench.data.providers.rest import Rate, Refusal, Reply, RestClient, Source

# The smallest of each tier; the option ``limits`` is for the others.
PLANS = {
    "basic": (Rate(8, 60.0), Rate(800, DAY)),
    "grow": (Rate(55, 60.0),),
    "pro": (Rate(610, 60.0),),
    "ultra": (Rate(2584, 60.0),),
}

PAGE = 5000
"""Bars that one answer holds at most."""

INTERVALS = {"1d": ("1day", 4900), "1h": ("1h", 200), "1m": ("1min", 14)}
"""The source's word for an interval, and the days of it that a page holds for most symbols."""

ACTION_CREDITS, STATEMENT_CREDITS = 20, 100

STATEMENTS = {"income": "income_statement", "balance": "balance_sheet", "cash_flow": "cash_flow"}

NO_DATA = "No data is available on the specified dates"


def _judge(reply: Reply) -> Refusal | None:
    """Tell a refusal by its code and, where a code means several things, by its message."""
    body = reply.value
    if not isinstance(body, dict) or body.get("status") != "error":
        return None
    code, told = body.get("code"), str(body.get("message", ""))
    if told.startswith(NO_DATA):
        return None
    if code == 429:
        # Credits are counted by the minute: the next one has new ones.
        return Refusal("used_up", told) if "for the day" in told else Refusal("limit", told, after=60.0)
    if code == 401:
        return Refusal("key", told)
    if isinstance(code, int) and code >= 500:
        return Refusal("again", told)
    if _is_unknown(code, told):
        return Refusal("unknown", told)
    return Refusal("error", told)


def _is_unknown(code: object, told: str) -> bool:
    if "available starting with" in told:
        return False
    lowered = told.lower()
    return code == 404 or (code == 400 and "symbol" in lowered and ("not found" in lowered or "invalid" in lowered))


SOURCE = Source(
    "https://api.twelvedata.com/", plans=PLANS, key_header="Authorization", key_prefix="apikey ", judge=_judge
)


class TwelveDataProvider(Provider):
    """Ask Twelve Data.

    Bars are asked for as traded (``adjust=none``) and dividends as paid (``adjust=false``). A time of an intraday bar
    is its start: 15:59 is the last minute of a session in New York. Days of intraday bars are days in UTC.
    """

    name: ClassVar[str] = "twelve_data"
    description: ClassVar[str] = "Twelve Data: bars, splits, dividends, quotes, search and statements of many exchanges"
    licence: ClassVar[str] = "Twelve Data terms of use: personal use, no redistribution"
    needs_key: ClassVar[bool] = True
    intervals: ClassVar[tuple[str, ...]] = ("1d", "1h", "1m")

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._rest = RestClient(self, SOURCE)

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return bars as traded, of regular hours."""
        check_symbol(symbol)
        if interval not in INTERVALS:
            raise UnsupportedError(f"{self.name} has no bars of {interval!r}; it has {', '.join(self.intervals)}")
        pages: list[History] = []
        step = timedelta(days=INTERVALS[interval][1])
        while not pages or start <= end:
            pages += self._pages(symbol, start, min(start + step - timedelta(days=1), end), interval)
            start += step
        currency = next((page.currency for page in pages if page.currency), None)
        return History(shapes.stack([page.bars for page in pages], shapes.BARS), currency=currency)

    def _pages(self, symbol: str, start: date, end: date, interval: str) -> list[History]:
        """Return the bars of some days, in halves where one answer may not hold them all.

        A full answer does not say which of its ends was cut.
        """
        page, size = self._page(symbol, start, end, interval)
        if size < PAGE or start >= end:
            return [page]
        middle = start + (end - start) // 2
        first = self._pages(symbol, start, middle, interval)
        return first + self._pages(symbol, middle + timedelta(days=1), end, interval)

    def _page(self, symbol: str, start: date, end: date, interval: str) -> tuple[History, int]:
        params = {
            "symbol": symbol,
            "interval": INTERVALS[interval][0],
            "start_date": start,
            # The source takes the day as its first moment, and leaves it out.
            "end_date": end + timedelta(days=1),
            "timezone": "UTC",
            "order": "asc",
            "adjust": "none",
            "outputsize": PAGE,
        }
        body = self._rest.get("time_series", params, asked=symbol)
        with self._rest.reading(symbol):
            empty = str(body.get("message", "")).startswith(NO_DATA)
            rows = [] if empty else body["values"]
            bars = pd.DataFrame({field: shapes.numbers(row.get(field) for row in rows) for field in FIELDS})
            written = [row["datetime"] for row in rows]
            bars["time"] = shapes.days(written) if interval == "1d" else shapes.instants(written)
            currency = None if empty else body["meta"].get("currency") or None
        return History(shapes.within(bars[list(shapes.BARS)], start, end), currency=currency), len(rows)

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return dividends as paid, and splits; two requests of 20 credits, from the plan Grow on."""
        check_symbol(symbol)
        params = {"symbol": symbol, "start_date": start, "end_date": end}
        dividends = self._rest.get("dividends", {**params, "adjust": "false"}, asked=symbol, weight=ACTION_CREDITS)
        splits = self._rest.get("splits", params, asked=symbol, weight=ACTION_CREDITS)
        with self._rest.reading(symbol):
            # In "4-for-1 split", 4 is ``from_factor`` and 1 is ``to_factor``.
            paid = [(row["ex_date"], "dividend", row["amount"]) for row in _rows(dividends, "dividends")]
            split = [(row["date"], "split", _ratio(row)) for row in _rows(splits, "splits")]
            found = pd.DataFrame(paid + split, columns=list(shapes.ACTIONS), dtype="object")
            columns = {"time": shapes.days(found["time"]), "kind": shapes.texts(found["kind"])}
            actions = pd.DataFrame({**columns, "value": shapes.numbers(found["value"])})
        return shapes.within(actions, start, end)

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return quotes, one request each; their time is the last quote's, or the bar's where that is not told."""
        found = []
        for symbol in symbols:
            check_symbol(symbol)
            try:
                body = self._rest.get("quote", {"symbol": symbol}, asked=symbol)
            except UnknownNameError:
                continue
            with self._rest.reading(symbol):
                if not str(body.get("message", "")).startswith(NO_DATA):
                    found.append(self._quote(symbol, body))
        return found

    def _quote(self, symbol: str, row: Mapping[str, Any]) -> Quote:
        volume, previous = shapes.numbers([row.get("volume"), row.get("previous_close")])
        return Quote(
            symbol=symbol,
            time=datetime.fromtimestamp(row.get("last_quote_at") or row["timestamp"], UTC),
            price=float(row["close"]),
            source=self.name,
            currency=row.get("currency") or None,
            volume=None if pd.isna(volume) else float(volume),
            previous_close=None if pd.isna(previous) else float(previous),
        )

    def search(self, text: str) -> pd.DataFrame:
        """Return up to 30 symbols."""
        body = self._rest.get("symbol_search", {"symbol": text, "outputsize": 30}, asked=text, kind="text")
        with self._rest.reading(text, "text"):
            rows = body["data"]
            names = ("symbol", "instrument_name", "exchange", "currency", "instrument_type")
            columns = (shapes.texts(row.get(name) for row in rows) for name in names)
            found = pd.DataFrame(dict(zip(shapes.SEARCH, columns, strict=True)))
            return found.assign(asset_class=found["asset_class"].str.lower())

    def statements(self, symbol: str) -> pd.DataFrame:
        """Return annual and quarterly statements; six requests of 100 credits, from the plan Pro on.

        The source nests its items: ``operating_expense_research_and_development`` is one inside ``operating_expense``.
        """
        check_symbol(symbol)
        rows: list[tuple[object, ...]] = []
        for statement, path in STATEMENTS.items():
            for period in ("annual", "quarterly"):
                body = self._rest.get(
                    path, {"symbol": symbol, "period": period}, asked=symbol, weight=STATEMENT_CREDITS
                )
                with self._rest.reading(symbol):
                    currency = body.get("meta", {}).get("currency") or ""
                    for report in _rows(body, path):
                        items = _items({name: report[name] for name in report if name not in ("quarter", "year")})
                        day = report["fiscal_date"]
                        rows += [(day, period, statement, item, value, currency, None) for item, value in items]
        found = pd.DataFrame(rows, columns=list(shapes.STATEMENTS), dtype="object")
        texts = {name: shapes.texts(found[name]) for name in ("period", "statement", "item", "currency")}
        return found.assign(
            **texts,
            period_end=shapes.days(found["period_end"]),
            value=shapes.numbers(found["value"]),
            filed=shapes.never(len(found)),
        )


def _rows(body: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of an answer, none of one that has no data."""
    rows: Sequence[Mapping[str, Any]] = [] if str(body.get("message", "")).startswith(NO_DATA) else body[name]
    return rows


def _ratio(row: Mapping[str, Any]) -> float | None:
    """Return new shares for one old."""
    old, new = row.get("to_factor"), row.get("from_factor")
    return new / old if new and old else None


def _items(report: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    for name, value in report.items():
        if isinstance(value, Mapping):
            yield from _items(value, f"{path}{name}_")
        elif path or name != "fiscal_date":
            yield path + name, value
