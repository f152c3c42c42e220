"""Twelve Data. Shapes and values: https://twelvedata.com/docs; texts of refusals there and as its users report them."""

# ruff: noqa: RUF012
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from answering_server import Answer, Moments, access_to
from provider_contracts import AnswerContract, RestProviderContract, assert_rows

from workbench.core.errors import CredentialError, ProviderError, RateLimitError, UnknownNameError
from workbench.data.providers.twelve_data import TwelveDataProvider

NAN = float("nan")


def refusal(code, message):
    return {"code": code, "message": message, "status": "error"}


UNKNOWN = refusal(404, "**symbol** or **figi** parameter is missing or invalid. Please provide a valid symbol")
OLD_UNKNOWN = refusal(400, "**symbol** not found: AAPL. Please specify it correctly according to API Documentation.")
NO_DATA = refusal(400, "No data is available on the specified dates. Try setting different start/end dates.")
NO_KEY = refusal(401, "**apikey** parameter is incorrect or not specified: XXXX. You can get your free API key ...")
MINUTE = refusal(
    429,
    "You have run out of API credits for the current minute. 12 API credits were used, with the current limit being 8."
    " Wait for the next minute or consider switching to a higher tier plan at https://twelvedata.com/pricing",
)
DAY = refusal(
    429, "You have run out of API credits for the day. 1316 API credits were used, with the current limit being 800."
)
META = {
    "symbol": "AAPL",
    "interval": "1min",
    "currency": "USD",
    "exchange_timezone": "America/New_York",
    "exchange": "NASDAQ",
    "mic_code": "XNAS",
    "type": "Common Stock",
}


def bars(*rows):
    """The answer of /time_series; a row is a time and five values."""
    names = ("datetime", "open", "high", "low", "close", "volume")
    return {"meta": META, "values": [dict(zip(names, row, strict=True)) for row in rows], "status": "ok"}


def day(text):
    return pd.Timestamp(text)


def at(text):
    return pd.Timestamp(text, tz="UTC")


SEPTEMBER_16 = ("2021-09-16", "148.44000", "148.96840", "147.22099", "148.85001", "67903927")


class TestDailyBars(RestProviderContract):
    provider = TwelveDataProvider
    method, arguments, asked = "history", ("AAPL", date(2021, 9, 15), date(2021, 9, 17)), "AAPL"
    request = (
        "/time_series",
        {
            "symbol": "AAPL",
            "interval": "1day",
            "start_date": "2021-09-15",
            "end_date": "2021-09-18",
            "adjust": "none",
            "timezone": "UTC",
            "order": "asc",
            "outputsize": "5000",
        },
    )
    key_in = ("headers", "authorization", "apikey ")
    answer = bars(SEPTEMBER_16)
    rows = {
        "time": [day("2021-09-16")],
        "open": [148.44],
        "high": [148.9684],
        "low": [147.22099],
        "close": [148.85001],
        "volume": [67903927.0],
    }
    empty = NO_DATA
    unknown = UNKNOWN
    unsorted = bars(("2021-09-17", "2", "2", "2", "2", "2"), SEPTEMBER_16, SEPTEMBER_16)
    unsorted_rows = {
        "time": [day("2021-09-17"), day("2021-09-16"), day("2021-09-16")],
        "close": [2.0, 148.85001, 148.85001],
    }
    nulls = bars(("2021-09-16", None, None, None, None, None), (None, "1", "1", "1", "1", "1"))
    null_rows = {"time": [day("2021-09-16"), pd.NaT], "open": [NAN, 1.0], "close": [NAN, 1.0], "volume": [NAN, 1.0]}
    burst = (8, 60.0)
    refusals = {
        "the minute's credits are used up": (MINUTE, RateLimitError, 4),
        "the day's credits are used up": (DAY, RateLimitError, 1),
        "the day's credits, with its status": (Answer(DAY, 429), RateLimitError, 1),
        "a wrong key": (NO_KEY, CredentialError, 1),
        "a wrong key, with its status": (Answer(NO_KEY, 401), CredentialError, 1),
        "a symbol that does not exist, as it was told before": (OLD_UNKNOWN, UnknownNameError, 1),
        "a symbol that does not exist, with its status": (Answer(UNKNOWN, 404), UnknownNameError, 1),
        "a symbol of a larger plan": (
            refusal(404, "This symbol is available starting with the Grow or Venture plan."),
            ProviderError,
            1,
        ),
        "a method of a larger plan": (
            Answer(refusal(403, "/splits is available exclusively with grow or pro or ultra plans."), 403),
            ProviderError,
            1,
        ),
        "a parameter that is not valid": (
            refusal(400, "Invalid **interval** provided: 0.99min. Supported intervals: 1min, 5min"),
            ProviderError,
            1,
        ),
        "a server that fails": (refusal(500, "Internal Server Error"), ProviderError, 4),
    }

    def test_the_currency_is_told(self, answers, make):
        self.script(answers, self.answer)
        assert self.ask(make()).currency == "USD"

    def test_the_minute_is_waited_for(self, answers, make, moments):
        self.script(answers, MINUTE, self.answer)
        assert_rows(self.ask(make()), self.rows)
        assert moments.pauses == [60.0]

    def test_bars_of_the_days_around_the_range_are_left_out(self, answers, make):
        self.script(answers, bars(*((f"2021-09-{number}", *SEPTEMBER_16[1:]) for number in range(14, 20))))
        assert [time.day for time in self.ask(make()).bars["time"]] == [15, 16, 17]

    def test_a_long_range_is_asked_for_in_pages(self, answers, make):
        self.script(answers, self.answer)
        first, last = date(1990, 1, 1), date(2026, 1, 2)
        make().history("AAPL", first, last)
        ranges = [(request.params["start_date"], request.params["end_date"]) for request in answers.requests]
        assert len(ranges) == 3
        assert (ranges[0][0], ranges[-1][1]) == ("1990-01-01", "2026-01-03")
        assert all(before[1] == after[0] for before, after in pairwise(ranges))


class TestMinuteBars(AnswerContract):
    provider = TwelveDataProvider
    method, arguments, asked = "history", ("AAPL", date(2021, 9, 16), date(2021, 9, 16), "1m"), "AAPL"
    request = ("/time_series", {"interval": "1min", "timezone": "UTC", "adjust": "none"})
    answer = bars(("2021-09-16 19:59:00", "148.73500", "148.86000", "148.73000", "148.85001", "624277"))
    rows = {
        "time": [at("2021-09-16 19:59")],
        "open": [148.735],
        "high": [148.86],
        "low": [148.73],
        "close": [148.85001],
        "volume": [624277.0],
    }
    empty = bars()
    unknown = Answer(UNKNOWN, 404)
    unsorted = bars(
        ("2021-09-16 19:59:00", "2", "2", "2", "2", "2"),
        ("2021-09-16 19:58:00", "1", "1", "1", "1", "1"),
        ("2021-09-16 19:59:00", "2", "2", "2", "2", "2"),
    )
    unsorted_rows = {"time": [at("2021-09-16 19:59"), at("2021-09-16 19:58"), at("2021-09-16 19:59")]}
    # Pairs of currencies have no volume: the source leaves the field out.
    nulls = {"meta": META, "values": [{"datetime": "2021-09-16 19:59:00", "open": None, "close": "1"}]}
    null_rows = {"time": [at("2021-09-16 19:59")], "open": [NAN], "close": [1.0], "volume": [NAN]}

    def test_a_full_page_is_asked_for_again_in_halves(self, answers, make):
        """The last day has more minutes than a page holds beside the others."""
        first, last = date(2021, 9, 13), date(2021, 9, 16)
        minutes = pd.date_range("2021-09-16 00:00", periods=5000, freq="10s").strftime("%Y-%m-%d %H:%M:%S")
        full = bars(*((minute, "1", "1", "1", "1", "1") for minute in minutes))
        self.script(answers, bars(("2021-09-14 19:59:00", "2", "2", "2", "2", "2")))
        answers.play(Answer(full), start_date="2021-09-13", end_date="2021-09-17")
        answers.play(Answer(bars(("2021-09-16 19:59:00", "3", "3", "3", "3", "3"))), start_date="2021-09-15")
        found = make().history("AAPL", first, last, "1m").bars
        assert_rows(found, {"time": [at("2021-09-14 19:59"), at("2021-09-16 19:59")], "close": [2.0, 3.0]})
        ends = [request.params["end_date"] for request in answers.requests]
        assert ends == ["2021-09-17", "2021-09-15", "2021-09-17"]

    def test_a_day_that_fills_a_page_is_not_asked_for_for_ever(self, answers, make):
        minutes = pd.date_range("2021-09-16 00:00", periods=5000, freq="10s").strftime("%Y-%m-%d %H:%M:%S")
        self.script(answers, bars(*((minute, "1", "1", "1", "1", "1") for minute in minutes)))
        assert len(self.ask(make()).bars) == 5000
        assert len(answers.requests) == 1

    def test_weeks_are_asked_for_one_fortnight_at_a_time(self, answers, make):
        self.script(answers, NO_DATA)
        first = date(2021, 1, 1)
        assert make().history("AAPL", first, first + timedelta(days=28), "1m").bars.empty
        assert len(answers.requests) == 3


def dividends(*rows):
    return {"meta": META, "dividends": [{"ex_date": day, "amount": amount} for day, amount in rows]}


SPLIT = {"date": "2020-08-31", "description": "4-for-1 split", "ratio": 0.25, "from_factor": 4, "to_factor": 1}


class TestActions(AnswerContract):
    provider = TwelveDataProvider
    method, arguments, asked = "actions", ("AAPL", date(2020, 1, 1), date(2021, 12, 31)), "AAPL"
    request = (
        "/dividends",
        {"symbol": "AAPL", "start_date": "2020-01-01", "end_date": "2021-12-31", "adjust": "false"},
    )
    answer = dividends(("2021-08-06", 0.22))
    rows = {"time": [day("2021-08-06"), day("2020-08-31")], "kind": ["dividend", "split"], "value": [0.22, 4.0]}
    empty = dividends()
    unknown = Answer(UNKNOWN, 404)
    unsorted = dividends(("2021-08-06", 0.22), ("2021-11-05", 0.22), ("2021-08-06", 0.22))
    unsorted_rows = {
        "time": [day(text) for text in ("2021-08-06", "2021-11-05", "2021-08-06", "2020-08-31")],
        "value": [0.22, 0.22, 0.22, 4.0],
    }
    nulls = dividends((None, None))
    null_rows = {"time": [pd.NaT, day("2020-08-31")], "value": [NAN, 4.0]}

    def script(self, answers, *played):
        super().script(answers, *played)
        documented = played[0] in (self.answer, self.unsorted, self.nulls)
        answers.play(Answer({"meta": META, "splits": [SPLIT] if documented else []}), path="/splits")

    def test_a_split_without_its_factors_has_no_value(self, answers, make):
        self.script(answers, self.empty)
        answers.play(Answer({"splits": [{**SPLIT, "to_factor": None}, {**SPLIT, "to_factor": 0}]}), path="/splits")
        assert self.ask(make())["value"].isna().tolist() == [True, True]

    def test_the_free_plan_is_told_to_be_too_small(self, answers):
        with pytest.raises(RateLimitError, match="costs 20 credits and the plan has 8 a minute"):
            self.ask(TwelveDataProvider(access_to(answers)))
        assert answers.requests == []

    def test_a_larger_plan_waits_for_its_credits(self, answers):
        moments = Moments()
        self.script(answers, self.answer)
        provider = TwelveDataProvider(access_to(answers, moments, plan="grow"))
        self.ask(provider)
        assert moments.pauses == []
        self.ask(provider)
        assert moments.pauses == [60.0]


QUOTE = {
    "symbol": "AAPL",
    "name": "Apple Inc",
    "exchange": "NASDAQ",
    "mic_code": "XNAS",
    "currency": "USD",
    "datetime": "2021-09-16",
    "timestamp": 1631772000,
    "last_quote_at": 1631772060,
    "open": "148.44000",
    "high": "148.96840",
    "low": "147.22099",
    "close": "148.85001",
    "volume": "67903927",
    "previous_close": "149.09000",
    "is_market_open": False,
}


class TestQuotes(AnswerContract):
    provider = TwelveDataProvider
    method, arguments, asked = "quotes", (["AAPL"],), "AAPL"
    request = ("/quote", {"symbol": "AAPL"})
    answer = QUOTE
    rows = {
        "symbol": ["AAPL"],
        "time": [at("2021-09-16 06:01")],
        "price": [148.85001],
        "source": ["twelve_data"],
        "currency": ["USD"],
        "volume": [67903927.0],
        "previous_close": [149.09],
    }
    empty = NO_DATA
    unknown = None
    unsorted, unsorted_rows = answer, rows
    nulls = {**QUOTE, "last_quote_at": None, "volume": None, "previous_close": None, "currency": ""}
    null_rows = {
        "time": [at("2021-09-16 06:00")],
        "currency": [None],
        "volume": [None],
        "previous_close": [None],
    }

    def test_a_symbol_that_does_not_exist_loses_no_other(self, answers, make):
        answers.play(Answer(UNKNOWN, 404), symbol="NOSUCH")
        answers.play(Answer(QUOTE), symbol="AAPL")
        assert [quote.symbol for quote in make().quotes(["NOSUCH", "AAPL"])] == ["AAPL"]


def symbols(*names):
    found = [
        {
            "symbol": name,
            "instrument_name": "Apple Inc",
            "exchange": "NASDAQ",
            "mic_code": "XNGS",
            "exchange_timezone": "America/New_York",
            "instrument_type": "Common Stock",
            "country": "United States",
            "currency": "USD",
        }
        for name in names
    ]
    return {"data": found, "status": "ok"}


class TestSearch(AnswerContract):
    provider = TwelveDataProvider
    method, arguments, asked = "search", ("apple",), "apple"
    request = ("/symbol_search", {"symbol": "apple"})
    answer = symbols("AAPL")
    rows = {
        "symbol": ["AAPL"],
        "name": ["Apple Inc"],
        "exchange": ["NASDAQ"],
        "currency": ["USD"],
        "asset_class": ["common stock"],
    }
    empty = symbols()
    unknown = None
    unsorted = symbols("B", "A", "B")
    unsorted_rows = {"symbol": ["B", "A", "B"]}
    nulls = {"data": [{"symbol": "A", "instrument_name": None}]}
    null_rows = {"symbol": ["A"], "name": [""], "exchange": [""], "currency": [""], "asset_class": [""]}


def income(*reports):
    return {"meta": {**META, "period": "Annual"}, "income_statement": list(reports)}


class TestStatements(AnswerContract):
    provider = TwelveDataProvider
    method, arguments, asked = "statements", ("AAPL",), "AAPL"
    request = ("/income_statement", {"symbol": "AAPL", "period": "annual"})
    answer = income(
        {
            "fiscal_date": "2021-12-31",
            "quarter": 1,
            "year": 2022,
            "sales": 123945000000,
            "operating_expense": {"research_and_development": 6306000000, "other_operating_expenses": 0},
            "eps_basic": 2.11,
        }
    )
    rows = {
        "period_end": [day("2021-12-31")] * 4 + [day("2021-09-30")],
        "period": ["annual"] * 4 + ["quarterly"],
        "statement": ["income"] * 4 + ["balance"],
        "item": [
            "sales",
            "operating_expense_research_and_development",
            "operating_expense_other_operating_expenses",
            "eps_basic",
            "assets_current_assets_cash",
        ],
        "value": [123945000000.0, 6306000000.0, 0.0, 2.11, 17305000000.0],
        "currency": ["USD"] * 5,
        "filed": [pd.NaT] * 5,
    }
    empty = income()
    unknown = Answer(UNKNOWN, 404)
    unsorted = income({"fiscal_date": "2020-12-31", "sales": 1}, {"fiscal_date": "2021-12-31", "sales": 2})
    unsorted_rows = {"period_end": [day("2020-12-31"), day("2021-12-31")], "value": [1.0, 2.0]}
    nulls = income({"fiscal_date": "2021-12-31", "sales": None})
    null_rows = {"item": ["sales"], "value": [NAN]}

    def script(self, answers, *played):
        for path in ("income_statement", "balance_sheet", "cash_flow"):
            answers.play(Answer({"meta": META, path: []}), path=f"/{path}")
        one = played[0]
        answers.play(one if isinstance(one, Answer) else Answer(one), path="/income_statement", period="annual")
        if one is self.answer:
            sheet = {"fiscal_date": "2021-09-30", "year": 2022, "assets": {"current_assets": {"cash": 17305000000}}}
            body = {"meta": META, "balance_sheet": [sheet]}
            answers.play(Answer(body), path="/balance_sheet", period="quarterly")
