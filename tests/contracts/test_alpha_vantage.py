"""Alpha Vantage. Shapes: https://www.alphavantage.co/documentation/; texts of refusals as its users report them."""

# ruff: noqa: RUF012
from datetime import date

import pandas as pd
import pytest
from answering_server import Answer, Moments, access_to
from provider_contracts import AnswerContract, RestProviderContract, assert_rows

from workbench.core.errors import CredentialError, ProviderError, RateLimitError, UnknownNameError
from workbench.data.providers.alpha_vantage import AlphaVantageProvider

PREMIUM = "You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to"
INVALID = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for {}."
)
UNKNOWN = {"Error Message": INVALID.format("TIME_SERIES_DAILY")}
NAN = float("nan")


def daily(*rows):
    """The answer of TIME_SERIES_DAILY; a row is a day and five values."""
    names = ("1. open", "2. high", "3. low", "4. close", "5. volume")
    return {
        "Meta Data": {
            "1. Information": "Daily Prices (open, high, low, close) and Volumes",
            "2. Symbol": "IBM",
            "3. Last Refreshed": "2020-04-13",
            "4. Output Size": "Compact",
            "5. Time Zone": "US/Eastern",
        },
        "Time Series (Daily)": {day: dict(zip(names, values, strict=True)) for day, *values in rows},
    }


def day(text):
    return pd.Timestamp(text)


APRIL_13 = ("2020-04-13", "121.6300", "121.8000", "118.0400", "121.1500", "5087275")
APRIL_9 = ("2020-04-09", "120.4800", "122.9200", "119.3100", "121.5000", "5487300")


class TestDailyBars(RestProviderContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "history", ("IBM", date(2020, 4, 9), date(2020, 4, 13)), "IBM"
    request = ("/query", {"function": "TIME_SERIES_DAILY", "symbol": "IBM", "outputsize": "full"})
    key_in = ("params", "apikey", "")
    answer = daily(APRIL_13, APRIL_9)
    rows = {
        "time": [day("2020-04-13"), day("2020-04-09")],
        "open": [121.63, 120.48],
        "high": [121.80, 122.92],
        "low": [118.04, 119.31],
        "close": [121.15, 121.50],
        "volume": [5087275.0, 5487300.0],
    }
    empty = daily()
    unknown = UNKNOWN
    # A JSON object names a day once, so that this source cannot repeat one.
    unsorted = daily(APRIL_9, APRIL_13)
    unsorted_rows = {"time": [day("2020-04-09"), day("2020-04-13")], "close": [121.50, 121.15]}
    nulls = daily(("2020-04-13", None, "None", "", "-", None), APRIL_9)
    null_rows = {
        "time": [day("2020-04-13"), day("2020-04-09")],
        "open": [NAN, 120.48],
        "high": [NAN, 122.92],
        "low": [NAN, 119.31],
        "close": [NAN, 121.50],
        "volume": [NAN, 5487300.0],
    }
    burst = (1, 1.2)
    refusals = {
        "the day's requests are used up": (
            {
                "Information": "We have detected your API key as XXXX and our standard API rate limit is 25 requests"
                f" per day. {PREMIUM} instantly remove all daily rate limits."
            },
            RateLimitError,
            1,
        ),
        "too fast": (
            {
                "Information": "Thank you for using Alpha Vantage! Please consider spreading out your free API requests"
                f" more sparingly (1 request per second). {PREMIUM} lift the free key rate limit (25 requests per day)"
            },
            RateLimitError,
            4,
        ),
        "too fast, as it was told before 2024": (
            {
                "Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and"
                " 500 calls per day."
            },
            RateLimitError,
            4,
        ),
        "a premium feature": (
            {
                "Information": "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium"
                f" feature for the TIME_SERIES_DAILY endpoint. {PREMIUM} instantly unlock all premium features"
            },
            ProviderError,
            1,
        ),
        "the demo key": (
            {"Information": "The **demo** API key is for demo purposes only. Please claim your free API key at ..."},
            CredentialError,
            1,
        ),
        "a wrong key": (
            {"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key XXXX ..."},
            CredentialError,
            1,
        ),
        "something else": ({"Error Message": "This API function () does not exist."}, ProviderError, 1),
    }

    @pytest.mark.parametrize(("start", "size"), [(date(2025, 8, 18), "compact"), (date(2025, 8, 17), "full")])
    def test_the_compact_answer_is_asked_for_where_it_holds_the_range(self, answers, make, start, size):
        self.script(answers, self.answer)
        make().history("IBM", start, date(2026, 1, 5))
        assert answers.requests[0].params["outputsize"] == size

    def test_days_outside_the_range_are_left_out(self, answers, make):
        self.script(answers, self.answer)
        bars = make().history("IBM", date(2020, 4, 10), date(2020, 4, 13)).bars
        assert_rows(bars, {"time": [day("2020-04-13")], "close": [121.15]})

    def test_25_requests_a_day_are_remembered_by_the_next_process(self, answers, tmp_path):
        self.script(answers, self.answer)
        moments = Moments()
        for _ in range(5):
            provider = AlphaVantageProvider(access_to(answers, moments, state=tmp_path))
            for _ in range(5):
                self.ask(provider)
        with pytest.raises(RateLimitError, match=r"25 a day is used up; ask again after 2026-01-06 12:00 UTC"):
            self.ask(AlphaVantageProvider(access_to(answers, moments, state=tmp_path)))
        assert len(answers.requests) == 25


def hourly(*rows):
    """The answer of TIME_SERIES_INTRADAY."""
    answer = daily(*rows)
    answer["Time Series (60min)"] = answer.pop("Time Series (Daily)")
    answer["Meta Data"]["6. Time Zone"] = answer["Meta Data"].pop("5. Time Zone")
    return answer


def at(text):
    return pd.Timestamp(text, tz="UTC")


class TestHourlyBars(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "history", ("ATVI", date(2019, 11, 1), date(2019, 11, 30), "1h"), "ATVI"
    request = (
        "/query",
        {
            "function": "TIME_SERIES_INTRADAY",
            "interval": "60min",
            "month": "2019-11",
            "adjusted": "false",
            "extended_hours": "false",
            "outputsize": "full",
        },
    )
    # Daylight saving ends on 2019-11-03 in New York.
    answer = hourly(
        ("2019-11-04 15:00:00", "47.98", "48.005", "47.90", "47.92", "607011"),
        ("2019-11-01 15:00:00", "47.95", "48.11", "47.87", "47.99", "488597"),
    )
    rows = {"time": [at("2019-11-04 20:00"), at("2019-11-01 19:00")], "close": [47.92, 47.99]}
    empty = hourly()
    unknown = {"Error Message": INVALID.format("TIME_SERIES_INTRADAY")}
    unsorted = hourly(
        ("2019-11-01 14:00:00", "1", "1", "1", "1", "1"), ("2019-11-04 10:00:00", "2", "2", "2", "2", "2")
    )
    unsorted_rows = {"time": [at("2019-11-01 18:00"), at("2019-11-04 15:00")], "close": [1.0, 2.0]}
    nulls = hourly(("2019-11-01 14:00:00", None, None, None, None, None))
    null_rows = {"time": [at("2019-11-01 18:00")], "close": [NAN], "volume": [NAN]}

    def test_each_month_is_asked_for(self, answers, make):
        self.script(answers, self.answer)
        make().history("ATVI", date(2019, 11, 29), date(2020, 1, 2), "1h")
        assert [request.params["month"] for request in answers.requests] == ["2019-11", "2019-12", "2020-01"]

    def test_times_in_another_zone_are_refused(self, answers, make):
        answer = hourly(("2019-11-01 14:00:00", "1", "1", "1", "1", "1"))
        answer["Meta Data"]["6. Time Zone"] = "Europe/Paris"
        self.script(answers, answer)
        with pytest.raises(ProviderError, match="Europe/Paris"):
            self.ask(make())


def dividends(*rows):
    return {"symbol": "IBM", "data": [{"ex_dividend_date": day, "amount": amount} for day, amount in rows]}


class TestActions(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "actions", ("IBM", date(1999, 1, 1), date(2024, 12, 31)), "IBM"
    request = ("/query", {"function": "DIVIDENDS", "symbol": "IBM"})
    answer = {
        "symbol": "IBM",
        "data": [
            {
                "ex_dividend_date": "2024-05-09",
                "declaration_date": "2024-04-30",
                "record_date": "2024-05-10",
                "payment_date": "2024-06-10",
                "amount": "1.67",
            }
        ],
    }
    rows = {
        "time": [day("2024-05-09"), day("2021-11-04"), day("1999-05-27")],
        "kind": ["dividend", "split", "split"],
        "value": [1.67, 1.046, 2.0],
    }
    empty = dividends()
    unknown = {"Error Message": INVALID.format("DIVIDENDS")}
    unsorted = dividends(("2024-05-09", "1.67"), ("2024-08-09", "1.67"), ("2024-05-09", "1.67"))
    unsorted_rows = {
        "time": [day(text) for text in ("2024-05-09", "2024-08-09", "2024-05-09", "2021-11-04", "1999-05-27")],
        "value": [1.67, 1.67, 1.67, 1.046, 2.0],
    }
    nulls = dividends(("None", "None"))
    null_rows = {"time": [pd.NaT, day("2021-11-04"), day("1999-05-27")], "value": [NAN, 1.046, 2.0]}

    def script(self, answers, *played):
        super().script(answers, *played)
        splits = [
            {"effective_date": "2021-11-04", "split_factor": "1.0460"},
            {"effective_date": "1999-05-27", "split_factor": "2.0000"},
        ]
        documented = played[0] in (self.answer, self.unsorted, self.nulls)
        answers.play(Answer({"symbol": "IBM", "data": splits if documented else []}), function="SPLITS")


QUOTE = {
    "01. symbol": "IBM",
    "02. open": "157.8500",
    "03. high": "158.9700",
    "04. low": "157.4200",
    "05. price": "158.5400",
    "06. volume": "6640217",
    "07. latest trading day": "2023-11-30",
    "08. previous close": "156.4100",
    "09. change": "2.1300",
    "10. change percent": "1.3618%",
}


class TestQuotes(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "quotes", (["IBM"],), "IBM"
    request = ("/query", {"function": "GLOBAL_QUOTE", "symbol": "IBM"})
    answer = {"Global Quote": QUOTE}
    rows = {
        "symbol": ["IBM"],
        "time": [at("2023-11-30")],
        "price": [158.54],
        "source": ["alpha_vantage"],
        "currency": [None],
        "volume": [6640217.0],
        "previous_close": [156.41],
    }
    empty = {"Global Quote": {}}
    unknown = None
    unsorted, unsorted_rows = answer, rows
    nulls = {"Global Quote": {**QUOTE, "06. volume": None, "08. previous close": "None"}}
    null_rows = {"price": [158.54], "volume": [None], "previous_close": [None]}


def matches(*symbols):
    return {
        "bestMatches": [
            {
                "1. symbol": symbol,
                "2. name": "Tesco PLC",
                "3. type": "Equity",
                "4. region": "United Kingdom",
                "5. marketOpen": "08:00",
                "6. marketClose": "16:30",
                "7. timezone": "UTC+01",
                "8. currency": "GBX",
                "9. matchScore": "0.7273",
            }
            for symbol in symbols
        ]
    }


class TestSearch(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "search", ("tesco",), "tesco"
    request = ("/query", {"function": "SYMBOL_SEARCH", "keywords": "tesco"})
    answer = matches("TSCO.LON")
    rows = {
        "symbol": ["TSCO.LON"],
        "name": ["Tesco PLC"],
        "exchange": ["United Kingdom"],
        "currency": ["GBX"],
        "asset_class": ["equity"],
    }
    empty = matches()
    unknown = None
    unsorted = matches("B", "A", "B")
    unsorted_rows = {"symbol": ["B", "A", "B"]}
    nulls = {"bestMatches": [{"1. symbol": "A", "2. name": None}]}
    null_rows = {"symbol": ["A"], "name": [""], "exchange": [""], "currency": [""], "asset_class": [""]}


def observations(*rows):
    return {
        "name": "Real Gross Domestic Product",
        "interval": "quarterly",
        "unit": "billions of dollars",
        "data": [{"date": day, "value": value} for day, value in rows],
    }


class TestEconomicSeries(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "series", ("REAL_GDP:quarterly", date(2022, 1, 1), date(2023, 1, 1)), "REAL_GDP"
    request = ("/query", {"function": "REAL_GDP", "interval": "quarterly"})
    answer = observations(
        ("2023-04-01", "1"), ("2023-01-01", "22067.1"), ("2022-01-01", "21738.871"), ("2021-01-01", "1")
    )
    rows = {"time": [day("2023-01-01"), day("2022-01-01")], "value": [22067.1, 21738.871], "published": [pd.NaT] * 2}
    empty = observations()
    unknown = None
    unsorted = observations(("2022-01-01", "1"), ("2023-01-01", "2"), ("2022-01-01", "1"))
    unsorted_rows = {"time": [day("2022-01-01"), day("2023-01-01"), day("2022-01-01")], "value": [1.0, 2.0, 1.0]}
    nulls = observations(("2022-01-01", "."), ("2023-01-01", None))
    null_rows = {"time": [day("2022-01-01"), day("2023-01-01")], "value": [NAN, NAN]}

    @pytest.mark.parametrize("name", ["GDP", "CPI:monthly:10year", "INFLATION:annual", "real_gdp"])
    def test_a_series_that_is_not_documented_is_not_asked_for(self, answers, make, name):
        with pytest.raises(UnknownNameError, match=name):
            make().series(name)
        assert answers.requests == []

    def test_a_maturity_is_passed_on(self, answers, make):
        self.script(answers, self.answer)
        make().series("TREASURY_YIELD:daily:10year")
        assert {"interval": "daily", "maturity": "10year"}.items() <= answers.requests[0].params.items()


def reports(*annual):
    return {"symbol": "AAPL", "annualReports": list(annual), "quarterlyReports": []}


class TestStatements(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "statements", ("AAPL",), "AAPL"
    request = ("/query", {"function": "INCOME_STATEMENT", "symbol": "AAPL"})
    answer = {
        "symbol": "AAPL",
        "annualReports": [
            {
                "fiscalDateEnding": "2022-09-30",
                "reportedCurrency": "USD",
                "grossProfit": "170782000000",
                "costofGoodsAndServicesSold": "223546000000",
            }
        ],
        "quarterlyReports": [{"fiscalDateEnding": "2022-09-30", "reportedCurrency": "USD", "ebitda": "None"}],
    }
    rows = {
        "period_end": [day("2022-09-30")] * 4,
        "period": ["annual", "annual", "quarterly", "annual"],
        "statement": ["income", "income", "income", "balance"],
        "item": ["gross_profit", "costof_goods_and_services_sold", "ebitda", "total_assets"],
        "value": [170782000000.0, 223546000000.0, NAN, 352755000000.0],
        "currency": ["USD"] * 4,
        "filed": [pd.NaT] * 4,
    }
    empty = reports()
    unknown = {}
    unsorted = reports(
        {"fiscalDateEnding": "2021-09-30", "ebit": "1"},
        {"fiscalDateEnding": "2022-09-30", "ebit": "2"},
        {"fiscalDateEnding": "2021-09-30", "ebit": "1"},
    )
    unsorted_rows = {"period_end": [day("2021-09-30"), day("2022-09-30"), day("2021-09-30")], "value": [1.0, 2.0, 1.0]}
    nulls = reports({"fiscalDateEnding": "2021-09-30", "reportedCurrency": None, "ebit": None})
    null_rows = {"item": ["ebit"], "value": [NAN], "currency": [""]}

    def script(self, answers, *played):
        super().script(answers, *played)
        assets = {"fiscalDateEnding": "2022-09-30", "reportedCurrency": "USD", "totalAssets": "352755000000"}
        documented = played[0] is self.answer
        answers.play(Answer(reports(assets) if documented else reports()), function="BALANCE_SHEET")
        answers.play(Answer(reports()), function="CASH_FLOW")


def feed(*rows):
    return {
        "items": str(len(rows)),
        "feed": [dict(zip(("time_published", "title", "url", "source"), row, strict=True)) for row in rows],
    }


class TestNews(AnswerContract):
    provider = AlphaVantageProvider
    method, arguments, asked = "news", ("AAPL", date(2024, 10, 1), date(2024, 10, 13)), "AAPL"
    request = (
        "/query",
        {"function": "NEWS_SENTIMENT", "tickers": "AAPL", "time_from": "20241001T0000", "time_to": "20241013T2359"},
    )
    answer = feed(("20241013T103000", "A title", "https://example.org/1", "Reuters"))
    rows = {
        "time": [at("2024-10-13 10:30")],
        "title": ["A title"],
        "url": ["https://example.org/1"],
        "publisher": ["Reuters"],
    }
    empty = {
        "Information": "No articles found. Please adjust the time range or refer to the API documentation"
        " https://www.alphavantage.co/documentation#newsapi and try again."
    }
    unknown = None
    unsorted = feed(
        ("20241001T103000", "B", "b", "x"), ("20241013T103000", "A", "a", "x"), ("20241001T103000", "B", "b", "x")
    )
    unsorted_rows = {"title": ["B", "A", "B"]}
    nulls = feed((None, None, "a", None))
    null_rows = {"time": [pd.NaT], "title": [""], "url": ["a"], "publisher": [""]}

    def test_a_topic_is_asked_for_as_one(self, answers, make):
        self.script(answers, self.answer)
        make().news("technology")
        assert answers.requests[0].params["topics"] == "technology"
        assert {"tickers", "time_from", "time_to"}.isdisjoint(answers.requests[0].params)
