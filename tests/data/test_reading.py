import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.bench import Workbench
from workbench.core.errors import CatalogError, DateRangeError, InputError, UnknownNameError, UnsupportedError
from workbench.core.settings import load_settings
from workbench.data.actions import COLUMNS
from workbench.data.quarantine import Quarantine
from workbench.data.stamps import bar_ends

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
    assert own.market.store.tables("own").quarantine.read()["reason"].tolist() == ["not in a session of the calendar"]


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
        ({"symbols": ["AAPL", 5]}, InputError, "5 is no symbol; give texts"),
        ({"symbols": [["AAPL"]]}, InputError, r"\['AAPL'\] is no symbol; give texts"),
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


NO_ACTIONS = pd.DataFrame({"symbol": [], "time": pd.DatetimeIndex([], tz="UTC"), "kind": [], "value": []})


def actions_of(*rows):
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def empty(home):
    """A bench over an empty store, and its clock."""
    return Workbench(load_settings(home=home, dataset="yahoo_1d"), clock=Clock())


@pytest.fixture
def stages(empty, make_rows, tmp_path):
    """A store that grew step by step, and a copy of it from right after each step: pairs of moment and bench."""
    first, more = make_rows([10, 11, 12, 13]), make_rows([7, 6], "A", "2012-03-09")
    other = make_rows([20, 21, 22, 23, 24, 25], "B")
    day = [*first["time"], *more["time"]]
    bad = more.assign(high=1.0)
    steps = [
        (first, NO_ACTIONS),
        (pd.concat([bad, other.iloc[1:]]), actions_of(("B", day[2], "dividend", 1.0))),
        (first.assign(close=[10, 11, 12.5, 13], high=13.0), actions_of(("A", day[3], "dividend", 0.5))),
        (more, actions_of(("A", day[4], "split", 2.0))),
        (first.assign(close=[10, 11, 12.5, 13], high=13.0, volume=9.0), actions_of(("A", day[3], "dividend", 0.25))),
        (other, actions_of(("B", day[2], "dividend", 2.0), ("B", day[0], "split", 4.0))),
        (first.assign(volume=np.nan), NO_ACTIONS),
    ]
    kept = []
    for number, (rows, actions) in enumerate(steps):
        empty.market.store.write("yahoo_1d", rows, actions)
        if number == 2:
            quarantine = Quarantine(empty.market.store, "yahoo_1d")
            quarantine.accept(list(quarantine.rows().index)[:1])
        folder = tmp_path / f"copy{number}"
        shutil.copytree(empty.settings.home, folder)
        copy = Workbench(load_settings(home=folder, dataset="yahoo_1d"), clock=empty.clock)
        kept.append((empty.clock.now, copy))
        empty.clock.now += timedelta(days=1)
    return kept


@pytest.mark.parametrize("adjust", ["none", "splits", "all"])
def test_an_answer_as_of_a_moment_is_the_stores_answer_then(empty, stages, adjust):
    answers = []
    for moment, copy in stages:
        then = copy.bars(adjust=adjust)
        answers.append(then)
        # A write of the step may be learned a few microseconds later, the next one a day later.
        for asked in (moment + timedelta(seconds=1), moment + timedelta(hours=23)):
            xr.testing.assert_equal(empty.bars(adjust=adjust, as_of=asked), then)
            for symbol in then["symbol"].to_numpy():
                alone = empty.bars(str(symbol), adjust=adjust, as_of=asked)
                xr.testing.assert_equal(alone, copy.bars(str(symbol), adjust=adjust))
            close = empty.market.field("close", dataset="yahoo_1d", adjust=adjust, as_of=asked)
            pd.testing.assert_frame_equal(close, copy.market.field("close", dataset="yahoo_1d", adjust=adjust))
        assert pd.Timestamp(then.attrs["as_of"]).floor("s") == pd.Timestamp(moment)
    # Every step changed the answer, but that actions change nothing where none are taken out.
    changed = [not before.equals(after) for before, after in pairwise(answers)]
    assert changed == [True] * 6 if adjust == "all" else sum(changed) >= 5


def test_before_the_first_step_nothing_was_known(empty, stages):
    with pytest.raises(DateRangeError, match="nothing of dataset 'yahoo_1d' was known as of 2026-01-05"):
        empty.bars(as_of=stages[0][0] - timedelta(seconds=1))
    with pytest.raises(DateRangeError, match="nothing was known of B as of 2026-01-05 12:00 UTC"):
        empty.bars("B", as_of=stages[0][0])


def test_an_action_learned_later_changes_no_earlier_answer(empty, make_rows):
    rows = make_rows([10, 11, 5, 6])
    empty.market.store.write("yahoo_1d", rows, NO_ACTIONS)
    moment = empty.clock.now
    empty.clock.now += timedelta(days=1)
    empty.market.store.write("yahoo_1d", rows, actions_of(("A", rows["time"].iloc[2], "split", 2.0)))
    assert empty.bars("A")["close"].to_numpy()[:, 0].tolist() == [5, 5.5, 5, 6]
    assert empty.bars("A", as_of=moment)["close"].to_numpy()[:, 0].tolist() == [10, 11, 5, 6]
    assert pd.Timestamp(empty.bars("A").attrs["as_of"]) == pd.Timestamp(empty.clock.now)


def test_intraday_bars_of_the_ex_date_are_all_after_the_action(empty):
    starts = pd.Series(
        pd.DatetimeIndex([f"2012-11-{day} {hour}:30" for day in (12, 13) for hour in range(14, 21)], tz="UTC")
    )
    closes = [100.0] * 7 + [50.0] * 7
    rows = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), closes)).assign(
        symbol="A", volume=1e3, date=starts.astype(str), time=bar_ends(starts, "1h", "XNYS")
    )
    ex = rows["time"].iloc[-1]
    empty.market.store.write("yahoo_1h", rows, actions_of(("A", ex, "split", 2.0), ("A", ex, "dividend", 10.0)))
    split = empty.bars("A", dataset="yahoo_1h", adjust="splits")
    np.testing.assert_array_equal(split["close"][:, 0], 50.0)
    np.testing.assert_array_equal(split["volume"][:, 0], [2e3] * 7 + [1e3] * 7)
    # The dividend is related to the first close after it: (50 + 10) / 50.
    paid = empty.bars("A", dataset="yahoo_1h", adjust="all")
    np.testing.assert_allclose(paid["close"][:, 0], [50 / 1.2] * 7 + [50.0] * 7)


def test_only_the_times_at_which_a_chosen_symbol_has_a_bar_are_there(empty, make_rows):
    a, b = make_rows([10, 11, 12, 13]).iloc[[0, 3]], make_rows([20, 21, 22, 23], "B").iloc[[1, 2]]
    empty.market.store.write("yahoo_1d", pd.concat([a, b]), NO_ACTIONS)
    assert empty.bars("A").sizes["time"] == 2
    assert empty.bars(["B", "A"]).sizes["time"] == 4
    assert np.isnan(empty.bars(["B", "A"])["volume"].sel(symbol="A")).to_numpy().tolist() == [False, True, True, False]


def test_all_symbols_are_those_with_a_bar_in_the_range(empty, make_rows):
    empty.market.store.write(
        "yahoo_1d", pd.concat([make_rows([1, 2]), make_rows([3, 4], "B", "2012-06-04")]), NO_ACTIONS
    )
    assert empty.bars(start="2012-06")["symbol"].to_numpy().tolist() == ["B"]
    with pytest.raises(DateRangeError, match=r"no bars from 2012-06 to the last of A; .* A: 2012-03-05 to 2012-03-06"):
        empty.bars(["B", "A"], start="2012-06")


def test_a_dataset_that_was_not_fetched_yet_says_how(empty):
    with pytest.raises(UnsupportedError, match="workbench data fetch yahoo SYMBOL --interval 1d"):
        empty.bars("A")


def test_one_field_is_a_wide_frame(bench):
    close = bench.market.field("close", ["MSFT", "FB", "MSFT"], dataset="us_equities")
    whole = bench.bars(["MSFT", "FB"])["close"]
    assert close.columns.tolist() == ["MSFT", "FB"]
    assert (close.index.name, close.columns.name) == ("time", "symbol")
    np.testing.assert_array_equal(close.to_numpy(), whole.to_numpy())
    np.testing.assert_array_equal(close.index, whole["time"])


@pytest.mark.parametrize("adjust", ["none", "splits", "all"])
@pytest.mark.parametrize("name", ["open", "close", "volume"])
def test_a_field_alone_is_the_field_of_the_bars(bench, adjust, name):
    field = bench.market.field(name, dataset="us_equities", adjust=adjust)
    np.testing.assert_array_equal(field.to_numpy(), bench.bars(adjust=adjust)[name].to_numpy())


@pytest.mark.parametrize(
    ("name", "symbols", "error", "told"),
    [
        ("open", None, UnknownNameError, "unknown field 'open' in dataset 'sp500_index'; nearest known: close"),
        ("return", None, UnknownNameError, "unknown field 'return'"),
        ("close", ["XX"], UnknownNameError, "unknown symbol 'XX' in dataset 'sp500_index'"),
        ("close", [], InputError, "no symbols given"),
    ],
)
def test_a_field_that_is_not_there_is_told(bench, name, symbols, error, told):
    with pytest.raises(error, match=told):
        bench.market.field(name, symbols, dataset="sp500_index")


def test_what_a_source_does_not_have_is_missing_throughout(bench):
    bars = bench.bars(dataset="sp500_index", start="2022", adjust="none")
    assert bars.attrs["fields"] == ("close",)
    assert np.isnan(bars["open"]).all()
    assert np.isfinite(bars["close"]).all()


def test_a_dataset_whose_rows_were_all_kept_out_says_so(own, tmp_path):
    (tmp_path / "own.csv").write_text("\n".join([CSV.splitlines()[0], "2012-03-10,A,10,11,9,10,100,10"]))
    for symbols in (None, "A"):
        with pytest.raises(DateRangeError, match="dataset 'own' has no bars; see why with: workbench data quarantine"):
            own.bars(symbols)


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
