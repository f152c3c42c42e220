import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from answering_server import Answer, Moments, access_to
from yahoo_server import YahooServer, chart

from workbench.core.errors import (
    DateRangeError,
    InputError,
    ParameterError,
    ProviderError,
    RateLimitError,
    UnknownNameError,
    UnsupportedError,
)
from workbench.data.providers.base import Access
from workbench.data.providers.yahoo import YahooProvider
from workbench.data.providers.yahoo_rows import snake_case

DAYS = date(2024, 1, 2), date(2024, 1, 5)
BAR = ("2024-01-02 09:30", 1, 1, 1, 1, 1)
SOUND = Answer(chart(BAR))


@pytest.fixture
def server():
    running = YahooServer()
    yield running
    running.close()


@pytest.fixture
def moments():
    return Moments()


@pytest.fixture
def yahoo(server, moments):
    return YahooProvider(access_to(server, moments))


def refused(description, status=400, code="Bad Request"):
    return Answer({"chart": {"result": None, "error": {"code": code, "description": description}}}, status)


@pytest.mark.parametrize(
    "broken",
    [
        Answer("<html>oops</html>", 500),
        Answer({"chart": {"result": None, "error": {"code": "Internal", "description": "oops"}}}, 503),
        Answer(SOUND.content()[:50]),
        Answer(SOUND.content(), cut=50),
        Answer(SOUND.content(), cut=0),
        Answer("Will be right back"),
        Answer([1, 2]),
    ],
    ids=["500", "503 with JSON", "half a text", "half an answer", "no answer", "down", "not a chart"],
)
def test_a_failure_that_passes_is_tried_again_and_one_that_stays_is_told(server, yahoo, moments, broken):
    server.play(broken, SOUND)
    assert len(yahoo.history("AAPL", *DAYS).bars) == 1
    assert len(moments.pauses) == 1
    server.play(broken)
    with pytest.raises(
        ProviderError, match=r"^yahoo did not answer for 'AAPL' \(.*, 4 attempts\): try later$"
    ) as error:
        yahoo.history("AAPL", *DAYS)
    assert not isinstance(error.value, RateLimitError)
    waited = moments.pauses[1:]
    assert len(waited) == 3
    assert waited[2] > waited[0] > 0


def test_too_many_requests_are_waited_for_and_told(server, yahoo, moments):
    busy = Answer("Too Many Requests", 429)
    # yfinance asks a second time at once, with other cookies.
    server.play(busy, busy, SOUND)
    assert len(yahoo.history("AAPL", *DAYS).bars) == 1
    assert len(moments.pauses) == 1
    server.play(busy)
    with pytest.raises(RateLimitError, match=r"'AAPL', 4 attempts.*try later"):
        yahoo.history("AAPL", *DAYS)
    assert len(moments.pauses) == 4


@pytest.mark.parametrize("status", [200, 400])
def test_days_without_any_bar_are_an_empty_history(server, yahoo, moments, status):
    server.play(refused("Data doesn't exist for startDate = 1, endDate = 2", status))
    history = yahoo.history("AAPL", *DAYS)
    assert history.bars.empty
    assert history.actions.empty
    assert moments.pauses == []


def test_days_for_which_yahoo_has_no_bars_so_short_are_told(server, yahoo):
    server.play(
        refused("1m data not available for startTime=1. The requested range must be within the last 30 days.", 422)
    )
    with pytest.raises(DateRangeError, match=r"'AAPL' \(1m data not available.*ask for later days or longer bars"):
        yahoo.history("AAPL", *DAYS, "1m")


def test_another_refusal_is_told_in_yahoos_words(server, yahoo):
    server.play(refused("Something new"))
    with pytest.raises(ProviderError, match=r"'AAPL' \(.*Something new\)"):
        yahoo.history("AAPL", *DAYS)


def test_an_unknown_symbol_costs_one_request_and_does_not_hide_the_others(server, yahoo):
    missing = refused("No data found, symbol may be delisted", 404, "Not Found")
    server.play(Answer(chart(BAR, regularMarketPrice=2.0, regularMarketTime=1704300000)))
    server.play(missing, path="/v8/finance/chart/GONE")
    with pytest.raises(UnknownNameError, match="'GONE' in yahoo"):
        yahoo.history("GONE", *DAYS)
    assert len(server.requests) == 1
    assert [quote.symbol for quote in yahoo.quotes(["GONE", "AAPL"])] == ["AAPL"]


def test_minutes_are_asked_for_week_by_week(server, yahoo):
    server.play(Answer(chart()))
    yahoo.history("AAPL", date(2024, 1, 1), date(2024, 1, 15), "1m")
    spans = [int(request.params["period2"]) - int(request.params["period1"]) for request in server.requests]
    assert [span // 86400 for span in spans] == [7, 7, 1]


def test_a_restated_history_is_seen_in_the_same_process(server, yahoo):
    server.play(SOUND, Answer(chart(("2024-01-02 09:30", 2, 2, 2, 2, 2))))
    assert yahoo.history("AAPL", *DAYS).bars["close"].tolist() == [1.0]
    assert yahoo.history("AAPL", *DAYS).bars["close"].tolist() == [2.0]


def test_prices_are_never_adjusted_for_dividends(server, yahoo):
    answer = chart(("2024-01-02 09:30", 10, 12, 9, 11, 5), dividends={"2024-01-02 09:30": 0.5})
    answer["chart"]["result"][0]["indicators"]["adjclose"] = [{"adjclose": [5.5]}]
    server.play(Answer(answer))
    bars = yahoo.history("AAPL", *DAYS).bars
    assert bars.drop(columns="time").to_dict("records") == [
        {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
    ]
    assert yahoo.adjustment == "splits"


def test_a_currency_in_hundredths_is_told_as_it_is(server, yahoo):
    server.play(Answer(chart(BAR, currency="GBp")))
    assert yahoo.history("VOD.L", *DAYS).currency == "GBp"


def test_threads_get_their_own_symbols(server, yahoo):
    symbols = [f"S{number}" for number in range(12)]
    for number, symbol in enumerate(symbols):
        server.play(Answer(chart(("2024-01-02 09:30", *[number + 1] * 5))), path=f"/v8/finance/chart/{symbol}")
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda symbol: yahoo.history(symbol, *DAYS), symbols))
    assert [history.bars["close"].tolist() for history in found] == [[number + 1.0] for number in range(12)]


@pytest.mark.parametrize("symbol", ["../x", "A/B", "A?b=c", ""])
def test_what_can_be_no_symbol_is_not_asked_for(server, yahoo, symbol):
    for question in (
        lambda: yahoo.history(symbol, *DAYS),
        lambda: yahoo.quotes([symbol]),
        lambda: yahoo.statements(symbol),
    ):
        with pytest.raises(InputError, match="no symbol"):
            question()
    assert server.requests == []


def test_an_interval_that_is_not_there_is_told(yahoo):
    with pytest.raises(UnsupportedError, match="'1w'"):
        yahoo.history("AAPL", *DAYS, "1w")


@pytest.mark.parametrize("address", ["ftp://x", "x", "http://user:password@x", "http://x/path", "http://"])
def test_a_base_url_that_is_no_address_is_told_without_it(address):
    with pytest.raises(ParameterError, match="base_url") as error:
        YahooProvider(Access(options={"base_url": address}))
    assert "password" not in str(error.value)


def test_news_of_a_range_of_days(server, yahoo):
    news = [{"title": str(stamp), "providerPublishTime": stamp} for stamp in (1704200000, 1704300000, 1704400000)]
    server.play(Answer({"news": news}))
    assert yahoo.news("AAPL", date(2024, 1, 3), date(2024, 1, 3))["title"].tolist() == ["1704300000"]


def test_the_library_writes_into_the_state_only_and_is_silent(server, tmp_path):
    server.play(SOUND, path="/v8/finance/chart/AAPL")
    server.play(refused("No data found", 404), path="/v8/finance/chart/GONE")
    script = f"""
from datetime import date
from pathlib import Path
from workbench.data.providers.base import Access
from workbench.data.providers.yahoo import YahooProvider
for state in (Path({str(tmp_path / "state")!r}), None):
    provider = YahooProvider(Access(options={{"base_url": {server.url!r}}}, state=state))
    assert len(provider.history("AAPL", date(2024, 1, 2), date(2024, 1, 5)).bars) == 1
    try:
        provider.history("GONE", date(2024, 1, 2), date(2024, 1, 5))
    except Exception as error:
        assert type(error).__name__ == "UnknownNameError", error
"""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**kept, "HOME": str(home), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == []
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"yfinance"}
    assert not list((tmp_path / "state").rglob("*cookie*"))
    assert not list(tmp_path.glob("workbench-yfinance-*"))


def test_the_module_does_not_load_the_library():
    script = "import sys, workbench.data.providers.yahoo; assert 'yfinance' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NetIncome", "net_income"),
        ("EBITDA", "ebitda"),
        ("DilutedEPS", "diluted_eps"),
        ("NormalizedEBITDAMargin", "normalized_ebitda_margin"),
    ],
)
def test_items_are_in_snake_case(name, expected):
    assert snake_case(name) == expected


def test_bars_of_one_moment_all_arrive_and_their_dividend_once(server, yahoo):
    twice = chart(BAR, ("2024-01-02 09:30", 2, 2, 2, 2, 2), dividends={"2024-01-02 09:30": 0.5})
    server.play(Answer(twice), SOUND)
    first = yahoo.history("AAPL", *DAYS)
    assert first.bars["close"].tolist() == [1.0, 2.0]
    assert (first.bars["time"] == pd.Timestamp("2024-01-02")).all()
    assert first.actions["value"].tolist() == [0.5]
    assert len(yahoo.history("AAPL", *DAYS).bars) == 1
