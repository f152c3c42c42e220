import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import DataError, DateRangeError, InputError
from workbench.core.frames import ATTRS, bars_from_rows, between, per_symbol, require_fields, validate_bars
from workbench.core.market import FIELDS

ABOUT = {**dict.fromkeys(ATTRS, ""), "dataset": "tiny", "fields": FIELDS}


def row(symbol, day, close=10.0, **fields):
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 100.0}
    return {"symbol": symbol, "time": pd.Timestamp(day, tz="UTC"), **prices, **fields}


@pytest.fixture
def rows():
    days = [("B", "2012-03-02", 21.0), ("A", "2012-03-01", 10.0), ("A", "2012-03-05", 12.0), ("B", "2012-03-01", 20.0)]
    return pd.DataFrame([row(*each) for each in days])


@pytest.fixture
def tiny(rows):
    return bars_from_rows(rows, ["B", "A"], ABOUT)


def test_rows_become_bars_in_order_of_time_and_of_the_symbols_asked_for(tiny):
    assert tiny["close"].dims == ("time", "symbol")
    assert list(tiny["symbol"].to_numpy()) == ["B", "A"]
    assert tiny["time"].dtype == np.dtype("datetime64[ns]")
    nan = np.nan
    np.testing.assert_array_equal(tiny["close"], [[20, 10], [21, nan], [nan, 12]])
    assert all(tiny[field].dtype == np.float64 for field in FIELDS)


def test_a_symbol_without_a_bar_has_nan_in_every_field(tiny):
    missing = tiny.sel(symbol="A", time="2012-03-02")
    assert all(np.isnan(missing[field]).all() for field in FIELDS)


def test_times_of_another_zone_become_utc(rows):
    moved = rows.assign(time=rows["time"].dt.tz_convert("America/New_York"))
    assert bars_from_rows(moved, ["A", "B"], ABOUT).equals(bars_from_rows(rows, ["A", "B"], ABOUT))


def test_two_bars_for_one_time_are_refused(rows):
    doubled = pd.concat([rows, rows.iloc[[1]]])
    with pytest.raises(DataError, match="A has two bars at 2012-03-01"):
        bars_from_rows(doubled, ["A", "B"], ABOUT)


def broken(bars, **changes):
    return bars.assign({name: (("time", "symbol"), values) for name, values in changes.items()})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda bars: bars.drop_vars("volume"), "missing: volume"),
        (lambda bars: bars.isel(symbol=0), "missing: dims"),
        (lambda bars: bars.isel(time=[1, 0]), "times of Bars must increase"),
        (lambda bars: bars.isel(time=[0, 0]), "times of Bars must increase"),
        (lambda bars: bars.isel(symbol=[0, 0]), "symbols of Bars must be unique"),
        (lambda bars: broken(bars, open=np.zeros((3, 2))), "open prices must be positive"),
        (lambda bars: broken(bars, low=np.full((3, 2), -1.0)), "low prices must be positive"),
        (lambda bars: broken(bars, close=np.full((3, 2), np.inf)), "close prices must be positive and finite"),
        (lambda bars: bars.drop_attrs(), "missing: dataset"),
    ],
)
def test_a_broken_rule_is_named(tiny, spoil, told):
    with pytest.raises(DataError, match=told):
        validate_bars(spoil(tiny))


@pytest.mark.parametrize("attribute", ATTRS)
def test_bars_without_an_attribute_are_refused(tiny, attribute):
    del tiny.attrs[attribute]
    with pytest.raises(DataError, match=f"missing: {attribute}"):
        validate_bars(tiny)


def test_sound_bars_pass_through(tiny):
    assert validate_bars(tiny) is tiny


def test_a_field_that_the_source_lacks_is_told(tiny):
    closes = tiny.assign_attrs(fields=("close",))
    require_fields(closes, ["close"], "a line")
    with pytest.raises(InputError, match=r"dataset 'tiny' has no high, low, which a candle needs.*it has: close"):
        require_fields(closes, ["high", "low", "close"], "a candle")


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        (None, None, [1, 2, 5]),
        ("2012-03-02", None, [2, 5]),
        (None, "2012-03-02", [1, 2]),
        ("2012-03-02", "2012-03-04", [2]),
        ("2012-03", "2012", [1, 2, 5]),
    ],
)
def test_between_keeps_both_ends(tiny, start, end, days):
    assert list(between(tiny, start, end).indexes["time"].day) == days


def test_a_range_without_bars_is_told_with_what_there_is(tiny):
    with pytest.raises(DateRangeError, match=r"no bars from .*; there are 2012-03-01 to 2012-03-05"):
        between(tiny, "2012-03-03", "2012-03-04")


def test_each_symbol_has_its_own_bars_only(tiny):
    own = dict(per_symbol(tiny))
    assert list(own) == ["B", "A"]
    assert list(own["A"].index.day) == [1, 5]
    assert list(own["A"].columns) == list(FIELDS)
    assert own["B"]["close"].tolist() == [20, 21]
