from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from workbench.bench import Workbench
from workbench.core.errors import CatalogError, DateRangeError, InputError, UnknownNameError
from workbench.core.settings import load_settings

CSV = """Date,Symbol,Open,High,Low,Close,Volume,Adj
2012-03-05,A,10,11,9,10,100,4.5
2012-03-06,A,10,11,9,10,100,4.5
2012-03-07,A,5,6,4,5,200,4.5
2012-03-08,A,4.5,5,4,4.5,200,4.5
2012-03-06,B,20,21,19,20,300,20
2012-03-08,B,20,23,19,22,300,22
2012-03-10,B,20,21,19,20,300,20
"""


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def own(home, tmp_path, write_catalog):
    """A bench whose home has a catalog with the dataset ``own``: a split, a dividend, a gap and a Saturday."""
    (tmp_path / "own.csv").write_text(CSV)
    layout = (("entries", "own", "metadata", "layout"), {"date": "Date", "symbol": "Symbol", "adjusted_close": "Adj"})
    write_catalog(layout, file="home/catalogs/own.yaml", url=tmp_path / "own.csv")
    return Workbench(load_settings(home=home, dataset="own"), clock=Clock())


def test_a_users_catalog_is_read_like_the_sample(own):
    bars = own.bars(adjust="none")
    nan = np.nan
    np.testing.assert_array_equal(bars["close"].sel(symbol="A"), [10, 10, 5, 4.5])
    np.testing.assert_array_equal(bars["close"].sel(symbol="B"), [nan, 20, nan, 22])
    assert own.symbols() == ["A", "B"]
    assert own.market.store.tables("own").quarantine.read()["reason"].tolist() == ["not a session of the calendar"]


def test_adjusted_prices_come_from_the_actions_that_the_source_implies(own):
    np.testing.assert_allclose(own.bars("A", adjust="splits")["close"][:, 0], [5, 5, 5, 4.5])
    np.testing.assert_allclose(own.bars("A", adjust="all")["close"][:, 0], 4.5)
    np.testing.assert_allclose(own.bars("A", adjust="all")["volume"][:, 0], 200)


def test_bars_say_what_they_are(own):
    attrs = own.bars("A").attrs
    assert attrs == {
        "dataset": "own",
        "version": "own@1.1",
        "interval": "1d",
        "currency": "USD",
        "calendar": "XNYS",
        "adjustment": "all",
        "source": "a test",
        "as_of": "2026-01-05T12:00:00+00:00",
        "fields": ("open", "high", "low", "close", "volume"),
    }


def test_symbols_come_in_the_order_asked_for_and_once(bench):
    bars = bench.bars(["MSFT", "AAPL", "MSFT"], start="2013")
    assert list(bars["symbol"].to_numpy()) == ["MSFT", "AAPL"]
    assert list(bench.bars(start="2013")["symbol"].to_numpy()) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


def test_a_bar_carries_its_sessions_close(bench):
    times = bench.bars("IBM", start="2012-11-21", end="2012-11-26").indexes["time"]
    assert [f"{time:%d %H:%M}" for time in times] == ["21 21:00", "23 18:00", "26 21:00"]


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2005", "2005", "2005-01-03", "2005-12-30"),
        ("2005-06-01", "2005-06-01", "2005-06-01", "2005-06-01"),
        (None, "2000-03", "2000-03-01", "2000-03-31"),
        ("2013-02-28", None, "2013-02-28", "2013-03-01"),
    ],
)
def test_a_range_has_both_of_its_ends(bench, start, end, first, last):
    times = bench.bars("IBM", start, end).indexes["time"]
    assert [str(times[0].date()), str(times[-1].date())] == [first, last]


def test_a_price_does_not_depend_on_the_range_asked_for(bench):
    whole = bench.bars("AAPL")["close"]
    part = bench.bars("AAPL", "2004", "2005-01")["close"]
    np.testing.assert_array_equal(part, whole.sel(time=part["time"]))


def test_a_price_does_not_depend_on_the_other_symbols(bench):
    alone = bench.bars("AAPL", "2004")["close"]
    np.testing.assert_array_equal(alone[:, 0], bench.bars(None, "2004")["close"].sel(symbol="AAPL"))


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"symbols": "APPL"}, UnknownNameError, "unknown symbol 'APPL' in dataset 'us_equities'; nearest known: AAPL"),
        ({"symbols": ["AAPL", "XX"]}, UnknownNameError, "'XX'"),
        ({"symbols": []}, InputError, "no symbols given; dataset 'us_equities' has AAPL, FB"),
        ({"dataset": "us_equitys"}, UnknownNameError, "us_equities"),
        ({"dataset": "vix"}, UnknownNameError, "bars dataset 'vix'"),
        ({"adjust": "dividends"}, UnknownNameError, "adjustment 'dividends'"),
        ({"start": "2012", "end": "2011"}, DateRangeError, "reversed"),
        ({"symbols": "FB", "end": "2010"}, DateRangeError, "no bars .* of FB; .* 2012-05-18 to 2013-03-01"),
        ({"start": "2020"}, DateRangeError, "no bars from 2020 to the last of AAPL"),
        ({"symbols": "AAPL", "as_of": "2026-01-04"}, DateRangeError, "nothing was known of AAPL as of 2026-01-04"),
        ({"as_of": "2026-01-04"}, DateRangeError, "was known as of 2026-01-04"),
        ({"dataset": "sp500_stocks", "adjust": "none"}, InputError, "arrive adjusted for splits and dividends"),
        ({"dataset": "sp500_stocks", "adjust": "splits"}, InputError, "use adjust='all'"),
        ({"dataset": "aapl_recent", "adjust": "none"}, InputError, "use adjust='splits'"),
    ],
)
def test_what_cannot_be_answered_is_told(bench, arguments, error, told):
    with pytest.raises(error, match=told):
        bench.bars(**arguments)


def test_a_symbol_without_any_bar_in_the_range_is_told(bench):
    with pytest.raises(DateRangeError, match="FB"):
        bench.bars(["AAPL", "FB"], end="2010")


def test_a_past_answer_can_be_asked_again(own, tmp_path):
    before = own.bars("A")
    own.clock.now = datetime(2026, 1, 6, 12, tzinfo=UTC)
    # Another close, and with it no dividend on the last day but one of a tenth.
    (tmp_path / "own.csv").write_text(CSV.replace("4.5,5,4,4.5,200,4.5", "4.5,5,4,4.8,200,4.8"))
    own.market.load("own")
    after = own.bars("A")
    assert after["close"].to_numpy()[-1, 0] == 4.8
    assert after.attrs["version"] != before.attrs["version"]
    for moment in ("2026-01-05", "2026-01-05T13:00", datetime(2026, 1, 6, 11, 59, tzinfo=UTC)):
        again = own.bars("A", as_of=moment)
        np.testing.assert_array_equal(again["close"], before["close"])
        assert pd.Timestamp(again.attrs["as_of"]) < pd.Timestamp("2026-01-06 12:00", tz="UTC")


def test_a_dataset_is_loaded_once(own, tmp_path):
    own.bars("A")
    (tmp_path / "own.csv").unlink()
    assert own.bars("B", adjust="none").sizes["time"] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "own.csv"),
        ("Date,Symbol\n2012-03-05,A\n", "open"),
        ("Date,Symbol,Open,High,Low,Close,Volume,Adj\n2012-03-05,A,x,1,1,1,1,1\n", "could not convert"),
        ("Date,Symbol,Open,High,Low,Close,Volume,Adj\nsoon,A,1,1,1,1,1,1\n", "soon"),
        ("", "No columns"),
    ],
)
def test_a_source_that_cannot_be_read_is_told(own, tmp_path, content, told):
    (tmp_path / "own.csv").unlink()
    if content is not None:
        (tmp_path / "own.csv").write_text(content)
    with pytest.raises(CatalogError, match=rf"dataset 'own' cannot be read.*{told}"):
        own.bars()
