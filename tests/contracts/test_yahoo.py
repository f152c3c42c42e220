"""Yahoo documents nothing; the shapes are those that yfinance 1.7 reads, with the names of its ``scrapers/history.py``,
``search.py`` and ``scrapers/fundamentals.py``. What it does about cookies and crumbs is answered by ``YahooServer``.
"""

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from answering_server import Answer
from provider_contracts import AnswerContract
from yahoo_server import YahooServer, chart, seconds

from workbench.data.providers.yahoo import YahooProvider

MISSING = Answer(
    {"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}},
    404,
)
NAN = float("nan")


class YahooContract(AnswerContract):
    provider = YahooProvider
    asked = "AAPL"
    key_in = None

    @pytest.fixture
    def answers(self):
        server = YahooServer()
        yield server
        server.close()


class TestDailyBars(YahooContract):
    method, arguments = "history", ("AAPL", date(2024, 1, 2), date(2024, 1, 5))
    request = (
        "/v8/finance/chart/AAPL",
        {
            "interval": "1d",
            "includePrePost": "false",
            "events": "div,splits,capitalGains",
            "period1": str(seconds("2024-01-02", "America/New_York")),
            "period2": str(seconds("2024-01-06", "America/New_York")),
        },
    )
    answer = chart(
        ("2024-01-02 09:30", 187.15, 188.44, 183.89, 185.64, 82488700),
        ("2024-01-03 09:30", 184.22, 185.88, 183.43, 184.25, 58414500),
    )
    rows = {  # noqa: RUF012
        "time": [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")],
        "open": [187.15, 184.22],
        "high": [188.44, 185.88],
        "low": [183.89, 183.43],
        "close": [185.64, 184.25],
        "volume": [82488700.0, 58414500.0],
    }
    empty = chart()
    unknown = MISSING
    unsorted = chart(
        ("2024-01-03 09:30", 2, 2, 2, 2, 2),
        ("2024-01-02 09:30", 1, 1, 1, 1, 1),
        ("2024-01-03 09:30", 3, 3, 3, 3, 3),
    )
    # yfinance sorts, and would keep one of two bars of one moment.
    unsorted_rows = {  # noqa: RUF012
        "time": [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03"), pd.Timestamp("2024-01-03")],
        "close": [1.0, 2.0, 3.0],
    }
    nulls = chart(("2024-01-02 09:30", None, None, None, None, None), ("2024-01-03 09:30", 1, 1, 1, 1, 1))
    null_rows = {  # noqa: RUF012
        "time": [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")],
        "open": [NAN, 1.0],
        "close": [NAN, 1.0],
        "volume": [0.0, 1.0],
    }


class TestHourlyBars(YahooContract):
    method, arguments = "history", ("AAPL", date(2024, 1, 2), date(2024, 1, 2), "1h")
    request = ("/v8/finance/chart/AAPL", {"interval": "1h"})
    answer = chart(("2024-01-02 09:30", 1, 2, 1, 2, 10), ("2024-01-02 10:30", 2, 3, 2, 3, 20))
    rows = {  # noqa: RUF012
        "time": [pd.Timestamp("2024-01-02 14:30", tz="UTC"), pd.Timestamp("2024-01-02 15:30", tz="UTC")],
        "open": [1.0, 2.0],
        "volume": [10.0, 20.0],
    }
    empty = chart()
    unknown = MISSING
    unsorted = chart(("2024-01-02 10:30", 2, 2, 2, 2, 2), ("2024-01-02 09:30", 1, 1, 1, 1, 1))
    unsorted_rows = {"close": [1.0, 2.0]}  # noqa: RUF012
    nulls = chart(("2024-01-02 09:30", None, None, None, None, None), ("2024-01-02 10:30", 1, 1, 1, 1, 1))
    null_rows = {"close": [NAN, 1.0]}  # noqa: RUF012


class TestActions(YahooContract):
    method, arguments = "actions", ("AAPL", date(2020, 8, 6), date(2020, 8, 31))
    request = ("/v8/finance/chart/AAPL", {"events": "div,splits,capitalGains"})
    bars = (
        ("2020-08-06 09:30", 110, 114, 109, 113, 1),
        ("2020-08-07 09:30", 113, 114, 110, 111, 1),
        ("2020-08-31 09:30", 127, 131, 126, 129, 1),
    )
    answer = chart(*bars, dividends={"2020-08-07 09:30": 0.205}, splits={"2020-08-31 09:30": (4, 1)})
    rows = {  # noqa: RUF012
        "time": [pd.Timestamp("2020-08-07"), pd.Timestamp("2020-08-31")],
        "kind": ["dividend", "split"],
        "value": [0.205, 4.0],
    }
    empty = chart(*bars)
    unknown = MISSING
    unsorted = chart(*bars, dividends={"2020-08-31 09:30": 2, "2020-08-06 09:30": 1})
    unsorted_rows = {"time": [pd.Timestamp("2020-08-06"), pd.Timestamp("2020-08-31")], "value": [1.0, 2.0]}  # noqa: RUF012
    nulls = chart(("2020-08-07 09:30", None, None, None, None, None), dividends={"2020-08-07 09:30": 0.205})
    null_rows = {"time": [pd.Timestamp("2020-08-07")], "value": [0.205]}  # noqa: RUF012


class TestQuotes(YahooContract):
    method, arguments = "quotes", (["AAPL"],)
    request = ("/v8/finance/chart/AAPL", {"range": "1d", "interval": "1d"})
    bar = ("2024-01-03 09:30", 1, 1, 1, 1, 1)
    meta = {"regularMarketPrice": 184.25, "regularMarketTime": seconds("2024-01-03 16:00", "America/New_York")}  # noqa: RUF012
    answer = chart(bar, regularMarketVolume=58414460, chartPreviousClose=185.64, **meta)
    rows = {  # noqa: RUF012
        "symbol": ["AAPL"],
        "time": [datetime(2024, 1, 3, 21, 0, tzinfo=UTC)],
        "price": [184.25],
        "source": ["yahoo"],
        "currency": ["USD"],
        "volume": [58414460.0],
        "previous_close": [185.64],
    }
    empty = chart(bar)
    unknown = None  # it is left out: TestQuotesOfAnUnknownSymbol
    unsorted = chart(bar, previousClose=7.0, chartPreviousClose=8.0, **meta)
    unsorted_rows = {"previous_close": [7.0]}  # noqa: RUF012
    nulls = chart(bar, regularMarketVolume=None, **meta)
    null_rows = {"price": [184.25], "volume": [None], "previous_close": [None]}  # noqa: RUF012


class TestSearch(YahooContract):
    method, arguments, asked = "search", ("apple",), "apple"
    request = ("/v1/finance/search", {"q": "apple", "quotesCount": "25", "newsCount": "0"})
    found = {"symbol": "AAPL", "longname": "Apple Inc.", "shortname": "Apple", "exchange": "NMS", "quoteType": "EQUITY"}  # noqa: RUF012
    answer = {"quotes": [found, {"name": "not listed"}, {"symbol": "APLE", "shortname": "Hospitality"}], "news": []}  # noqa: RUF012
    rows = {  # noqa: RUF012
        "symbol": ["AAPL", "APLE"],
        "name": ["Apple Inc.", "Hospitality"],
        "exchange": ["NMS", ""],
        "currency": ["", ""],
        "asset_class": ["equity", ""],
    }
    empty = {"quotes": [], "news": []}  # noqa: RUF012
    unknown = None
    unsorted = {"quotes": [{"symbol": "B"}, {"symbol": "A"}, {"symbol": "B"}]}  # noqa: RUF012
    unsorted_rows = {"symbol": ["B", "A", "B"]}  # noqa: RUF012
    nulls = {"quotes": [{"symbol": "A", "longname": None, "exchange": None, "quoteType": None}]}  # noqa: RUF012
    null_rows = {"symbol": ["A"], "name": [""], "exchange": [""], "asset_class": [""]}  # noqa: RUF012


class TestNews(YahooContract):
    method, arguments = "news", ("AAPL",)
    request = ("/v1/finance/search", {"q": "AAPL", "newsCount": "50"})
    one = {"title": "One", "link": "https://example.com/1", "publisher": "P", "providerPublishTime": 1704200000}  # noqa: RUF012
    two = {"title": "Two", "link": "https://example.com/2", "publisher": "Q", "providerPublishTime": 1704300000}  # noqa: RUF012
    answer = {"quotes": [], "news": [two, one]}  # noqa: RUF012
    rows = {  # noqa: RUF012
        "time": [pd.Timestamp(1704300000, unit="s", tz="UTC"), pd.Timestamp(1704200000, unit="s", tz="UTC")],
        "title": ["Two", "One"],
        "url": ["https://example.com/2", "https://example.com/1"],
        "publisher": ["Q", "P"],
    }
    empty = {"quotes": [], "news": []}  # noqa: RUF012
    unknown = None
    unsorted = {"news": [one, two]}  # noqa: RUF012
    unsorted_rows = {"title": ["Two", "One"]}  # noqa: RUF012
    nulls = {"news": [one, {"title": None}]}  # noqa: RUF012
    null_rows = {"title": ["One", ""], "time": [pd.Timestamp(1704200000, unit="s", tz="UTC"), pd.NaT]}  # noqa: RUF012


def statement(**items):
    """An answer with yearly values of items, by day."""
    result = []
    for name, values in items.items():
        rows = [{"asOfDate": day, "reportedValue": {"raw": value}} for day, value in values.items()]
        stamps = [seconds(day, "UTC") for day in values]
        result.append({"meta": {"type": [name]}, "timestamp": stamps, name: rows})
    return {"timeseries": {"result": result, "error": None}}


class TestStatements(YahooContract):
    method, arguments = "statements", ("AAPL",)
    request = ("/ws/fundamentals-timeseries/v1/finance/timeseries/AAPL", {"symbol": "AAPL"})
    answer = statement(
        annualNetIncome={"2023-09-30": 96995e6, "2022-09-30": 99803e6}, annualTotalRevenue={"2023-09-30": 383285e6}
    )
    rows = {  # noqa: RUF012
        "period_end": pd.to_datetime(["2023-09-30", "2023-09-30", "2022-09-30"]).tolist(),
        "period": ["annual"] * 3,
        "statement": ["income"] * 3,
        "item": ["net_income", "total_revenue", "net_income"],
        "value": [96995e6, 383285e6, 99803e6],
        "currency": [""] * 3,
    }
    empty = {"timeseries": {"result": [], "error": None}}  # noqa: RUF012
    unknown = None
    unsorted = statement(annualNetIncome={"2022-09-30": 1.0, "2023-09-30": 2.0})
    unsorted_rows = {"value": [2.0, 1.0]}  # noqa: RUF012
    nulls = statement(annualNetIncome={"2022-09-30": NAN, "2023-09-30": 2.0})
    null_rows = {"value": [2.0]}  # noqa: RUF012

    def script(self, answers, *played):
        """The answers are to the first question, yearly incomes; to the others there is nothing."""
        answers.yearly_income = list(played)
