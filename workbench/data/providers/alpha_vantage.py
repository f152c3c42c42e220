"""Alpha Vantage: bars, actions, quotes, search, US economic series, statements and news.

Names, parameters and shapes are from https://www.alphavantage.co/documentation/, plans from
https://www.alphavantage.co/premium/. Every refusal arrives with status 200, as ``Note``, ``Information`` or ``Error
Message``. The free plan is 25 requests a day, one a second; it has the latest 100 daily bars of a symbol, and no
intraday bars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import pandas as pd

from workbench.core.errors import ProviderError, UnknownNameError, UnsupportedError
from workbench.core.market import FIELDS, check_symbol
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, History, Provider, Quote
from workbench.data.providers.quota import DAY
from workbench.data.providers.rest import Rate, Refusal, Reply, RestClient, Source

# The free plan's "1 request per second" is measured where the requests arrive: a fifth more is for the way there.
PLANS = {
    "free": (Rate(1, 1.2), Rate(25, DAY)),
    **{f"premium_{count}": (Rate(count, 60.0),) for count in (75, 150, 300, 600, 1200)},
}

COMPACT_DAYS = 140
"""Days that the latest 100 sessions, the size ``compact``, span at least."""

ZONE = "US/Eastern"

INTERVALS = {"1h": "60min", "1m": "1min"}

SERIES: Mapping[str, tuple[str, ...]] = {
    "REAL_GDP": ("interval",),
    "REAL_GDP_PER_CAPITA": (),
    "TREASURY_YIELD": ("interval", "maturity"),
    "FEDERAL_FUNDS_RATE": ("interval",),
    "CPI": ("interval",),
    "INFLATION": (),
    "RETAIL_SALES": (),
    "DURABLES": (),
    "UNEMPLOYMENT": (),
    "NONFARM_PAYROLL": (),
}
"""The economic series, and what may follow their names after a colon, such as ``TREASURY_YIELD:daily:10year``."""

STATEMENTS = {"income": "INCOME_STATEMENT", "balance": "BALANCE_SHEET", "cash_flow": "CASH_FLOW"}

PERIODS = {"annual": "annualReports", "quarterly": "quarterlyReports"}

TOPICS = (
    "blockchain", "earnings", "ipo", "mergers_and_acquisitions", "financial_markets", "economy_fiscal",
    "economy_monetary", "economy_macro", "energy_transportation", "finance", "life_sciences", "manufacturing",
    "real_estate", "retail_wholesale", "technology",
)  # fmt: skip


def _judge(reply: Reply) -> Refusal | None:
    """Tell a refusal by its text; the first words that match decide."""
    if not isinstance(reply.value, dict):
        return None
    told = next((reply.value[name] for name in ("Error Message", "Information", "Note") if name in reply.value), None)
    if not isinstance(told, str) or "No articles found" in told:
        return None
    for words, refusal in (
        ("apikey is invalid", Refusal("key", told)),
        ("**demo** API key", Refusal("key", told)),
        ("Invalid API call", Refusal("unknown", told)),
        # The advice to slow down goes on to name the daily limit.
        ("per second", Refusal("limit", told, after=2.0)),
        ("per minute", Refusal("limit", told, after=60.0)),
        ("per day", Refusal("used_up", told)),
        ("Thank you for using Alpha Vantage! Please visit", Refusal("limit", told, after=60.0)),
    ):
        if words in told:
            return refusal
    return Refusal("error", told)


SOURCE = Source("https://www.alphavantage.co/", plans=PLANS, key_parameter="apikey", judge=_judge)


class AlphaVantageProvider(Provider):
    """Ask Alpha Vantage.

    Bars are as traded. A time of an intraday bar is its start: with extended hours the last 5-minute bar of a day is
    documented as 19:55, and those hours end at 20:00. The documentation does not say whether dividends are adjusted
    for later splits.
    """

    name: ClassVar[str] = "alpha_vantage"
    description: ClassVar[str] = "Alpha Vantage: bars, actions, quotes, US economic series, statements and news"
    licence: ClassVar[str] = "Alpha Vantage terms of service: personal use, no redistribution"
    needs_key: ClassVar[bool] = True
    intervals: ClassVar[tuple[str, ...]] = ("1d", "1h", "1m")

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._rest = RestClient(self, SOURCE)

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return bars as traded; regular hours only for bars below a day, which need a premium plan."""
        check_symbol(symbol)
        if interval == "1d":
            bars = self._daily(symbol, start)
        elif interval in INTERVALS:
            months = pd.period_range(start, end, freq="M")
            parts = [self._month(symbol, str(month), INTERVALS[interval]) for month in months]
            bars = shapes.stack(parts, shapes.BARS)
        else:
            raise UnsupportedError(f"{self.name} has no bars of {interval!r}; it has {', '.join(self.intervals)}")
        return History(shapes.within(bars, start, end))

    def _daily(self, symbol: str, start: date) -> pd.DataFrame:
        recent = (self.access.clock().date() - start).days <= COMPACT_DAYS
        body = self._ask("TIME_SERIES_DAILY", symbol, symbol=symbol, outputsize="compact" if recent else "full")
        with self._rest.reading(symbol):
            rows = body["Time Series (Daily)"]
            return _bars(rows).assign(time=shapes.days(rows))

    def _month(self, symbol: str, month: str, interval: str) -> pd.DataFrame:
        body = self._ask(
            "TIME_SERIES_INTRADAY", symbol, symbol=symbol, interval=interval, month=month, outputsize="full",
            adjusted="false", extended_hours="false",
        )  # fmt: skip
        with self._rest.reading(symbol):
            rows, zone = body[f"Time Series ({interval})"], body["Meta Data"]["6. Time Zone"]
            if zone != ZONE:
                raise ProviderError(f"{self.name} gives times of {symbol!r} in {zone!r} instead of {ZONE}: report it")
            # Not ZONE itself: some systems have no backward names.
            return _bars(rows).assign(time=shapes.instants(rows, zone="America/New_York"))

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return dividends and splits; two requests."""
        check_symbol(symbol)
        dividends = self._facts("DIVIDENDS", symbol, "dividend", "ex_dividend_date", "amount")
        splits = self._facts("SPLITS", symbol, "split", "effective_date", "split_factor")
        return shapes.within(shapes.stack([dividends, splits], shapes.ACTIONS), start, end)

    def _facts(self, function: str, symbol: str, kind: str, day: str, value: str) -> pd.DataFrame:
        body = self._ask(function, symbol, symbol=symbol)
        with self._rest.reading(symbol):
            rows = body["data"]
            columns = {
                "time": shapes.days(row[day] for row in rows),
                "kind": shapes.texts(kind for _ in rows),
                "value": shapes.numbers(row[value] for row in rows),
            }
            return pd.DataFrame(columns)

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return quotes, one request each; the source tells their day only, so that their time is midnight UTC."""
        found = []
        for symbol in symbols:
            check_symbol(symbol)
            try:
                body = self._ask("GLOBAL_QUOTE", symbol, symbol=symbol)
            except UnknownNameError:
                continue
            with self._rest.reading(symbol):
                row = body["Global Quote"]
                if row:
                    found.append(self._quote(symbol, row))
        return found

    def _quote(self, symbol: str, row: Mapping[str, Any]) -> Quote:
        numbers = {name: shapes.numbers([row.get(name)]).iloc[0] for name in ("06. volume", "08. previous close")}
        return Quote(
            symbol=symbol,
            time=datetime.strptime(row["07. latest trading day"], "%Y-%m-%d").replace(tzinfo=UTC),
            price=float(row["05. price"]),
            source=self.name,
            volume=_known(numbers["06. volume"]),
            previous_close=_known(numbers["08. previous close"]),
        )

    def search(self, text: str) -> pd.DataFrame:
        """Return the best matches; the exchange is the region that the source names."""
        body = self._ask("SYMBOL_SEARCH", text, kind="text", keywords=text)
        with self._rest.reading(text, "text"):
            rows = body["bestMatches"]
            names = ("1. symbol", "2. name", "4. region", "8. currency", "3. type")
            columns = (shapes.texts(row.get(name) for row in rows) for name in names)
            found = pd.DataFrame(dict(zip(shapes.SEARCH, columns, strict=True)))
            return found.assign(asset_class=found["asset_class"].str.lower())

    def series(self, name: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return an economic series of the United States; the source has the latest vintage only, without its date.

        ``name`` is one of ``SERIES``, with its interval and maturity after colons where it has them.
        """
        function, *given = name.split(":")
        if function not in SERIES or len(given) > len(SERIES[function]):
            raise UnknownNameError("series", name, SERIES, where=self.name)
        body = self._ask(function, name, kind="series", **dict(zip(SERIES[function], given, strict=False)))
        with self._rest.reading(name, "series"):
            rows = body["data"]
            columns = {
                "time": shapes.days(row["date"] for row in rows),
                "value": shapes.numbers(row["value"] for row in rows),
                "published": shapes.never(len(rows)),
            }
            return shapes.within(pd.DataFrame(columns), start, end)

    def statements(self, symbol: str) -> pd.DataFrame:
        """Return annual and quarterly statements; three requests."""
        check_symbol(symbol)
        parts = []
        for statement, function in STATEMENTS.items():
            body = self._ask(function, symbol, symbol=symbol)
            if body == {}:
                raise UnknownNameError("symbol", symbol, (), where=self.name)
            with self._rest.reading(symbol):
                rows = [row for period, key in PERIODS.items() for row in _items(body[key], period, statement)]
                parts.append(pd.DataFrame(rows, columns=list(shapes.STATEMENTS)))
        found = shapes.stack(parts, shapes.STATEMENTS)
        return found.assign(
            period_end=shapes.days(found["period_end"]),
            value=shapes.numbers(found["value"]),
            filed=shapes.never(len(found)),
        )

    def news(self, text: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return up to 1,000 articles about a symbol or one of ``TOPICS``; times are taken as UTC."""
        about = {"topics": text} if text in TOPICS else {"tickers": check_symbol(text)}
        since = f"{start:%Y%m%d}T0000" if start else None
        until = f"{end:%Y%m%d}T2359" if end else None
        body = self._ask(
            "NEWS_SENTIMENT", text, kind="text", **about, time_from=since, time_to=until, sort="LATEST", limit="1000"
        )
        with self._rest.reading(text, "text"):
            rows = body["feed"] if "Information" not in body else []
            columns = {
                "time": shapes.instants((row["time_published"] for row in rows), form="%Y%m%dT%H%M%S"),
                "title": shapes.texts(row["title"] for row in rows),
                "url": shapes.texts(row["url"] for row in rows),
                "publisher": shapes.texts(row.get("source") for row in rows),
            }
            return pd.DataFrame(columns)

    def _ask(self, function: str, asked: str, kind: str = "symbol", **params: str | None) -> Any:
        return self._rest.get("query", {"function": function, **params}, asked=asked, kind=kind)


def _bars(rows: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Return the fields of rows such as ``{"1. open": "126.06", ...}``; their times are the keys."""
    values = {
        field: shapes.numbers(row.get(f"{number}. {field}") for row in rows.values())
        for number, field in enumerate(FIELDS, start=1)
    }
    return pd.DataFrame(values).reindex(columns=list(shapes.BARS))


def _items(reports: Sequence[Mapping[str, Any]], period: str, statement: str) -> Iterator[tuple[object, ...]]:
    for report in reports:
        currency = report.get("reportedCurrency") or ""
        for name, value in report.items():
            if name not in ("fiscalDateEnding", "reportedCurrency"):
                item = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
                yield report["fiscalDateEnding"], period, statement, item, value, currency, None


def _known(number: float) -> float | None:
    return None if pd.isna(number) else float(number)
