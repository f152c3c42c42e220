from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.currency import convert
from workbench.core.errors import InputError
from workbench.core.frames import bars_from_rows

CLOSES = pd.DatetimeIndex(["2012-01-05 21:00", "2012-01-06 21:00", "2012-01-09 21:00"])
"""A Thursday, a Friday and a Monday."""
ATTRS = dict.fromkeys(("dataset", "version", "calendar", "adjustment", "source", "as_of"), "x")


def quoted(symbols=("SAP", "IBM"), interval="1d", times=CLOSES):
    prices = {"open": 100.0, "high": 103.0, "low": 99.0, "close": 102.0, "volume": 7.0}
    rows = [{"symbol": name, "time": time, **prices} for name in symbols for time in times.tz_localize("UTC")]
    fields = ("open", "high", "low", "close", "volume")
    return bars_from_rows(
        pd.DataFrame(rows), symbols, {**ATTRS, "interval": interval, "currency": "mixed", "fields": fields}
    )


def rates(*values, times=CLOSES):
    return {"EUR": pd.Series(values, index=times, dtype="float64")}


NAMES = {"SAP": "EUR", "IBM": "USD"}


def test_a_close_takes_the_rate_of_its_close_and_an_open_the_one_before():
    early = rates(1.0, 1.1, 1.2, 1.4, times=CLOSES.insert(0, pd.Timestamp("2012-01-04 21:00")))
    found = convert(quoted(), early, "USD", NAMES)
    sap = found.sel(symbol="SAP")
    np.testing.assert_allclose(sap["close"], [102 * 1.1, 102 * 1.2, 102 * 1.4])
    np.testing.assert_allclose(sap["open"], [100 * 1.0, 100 * 1.1, 100 * 1.2])
    assert found.attrs["currency"] == "USD"


def test_high_and_low_hold_the_open_and_the_close():
    early = rates(1.5, 1.1, times=pd.DatetimeIndex(["2012-01-04", "2012-01-05 21:00"]))
    sap = convert(quoted(times=CLOSES[:1]), early, "USD", NAMES).sel(symbol="SAP").isel(time=0)
    assert float(sap["high"]) == pytest.approx(150)
    assert float(sap["low"]) == pytest.approx(99 * 1.1)


def test_the_volume_and_the_symbols_of_the_currency_are_untouched():
    bars = quoted()
    found = convert(bars, rates(1.1, 1.2, 1.4, times=CLOSES - pd.Timedelta(days=2)), "USD", NAMES)
    np.testing.assert_array_equal(found["volume"], bars["volume"])
    np.testing.assert_array_equal(found["close"].sel(symbol="IBM"), bars["close"].sel(symbol="IBM"))
    assert bars.attrs["currency"] == "mixed"
    assert float(bars["close"][0, 0]) == 102


def test_a_rate_that_is_known_later_changes_nothing_before():
    times = pd.date_range("2012-01-02", "2012-01-10", freq="6h")
    random = np.random.default_rng(3)
    moving = pd.Series(random.uniform(1, 2, len(times)), index=times)
    whole = convert(quoted(), {"EUR": moving}, "USD", NAMES)
    for time in CLOSES:
        cut = convert(quoted().sel(time=slice(time)), {"EUR": moving[:time]}, "USD", NAMES)
        np.testing.assert_array_equal(cut["close"], whole["close"].sel(time=slice(time)))
    # No rate of the day of a bar goes into its open.
    changed = moving.where(times <= CLOSES[1], 9.0)
    after = convert(quoted(), {"EUR": changed}, "USD", NAMES)
    np.testing.assert_array_equal(after["open"].sel(time=CLOSES[1:2]), whole["open"].sel(time=CLOSES[1:2]))
    assert float(after["open"].sel(symbol="SAP", time=CLOSES[2])) == 900


def test_hourly_opens_take_the_rate_of_the_hour_before():
    times = pd.DatetimeIndex(["2012-01-05 15:00", "2012-01-05 16:00"])
    known = rates(1.1, 1.2, 1.3, times=pd.DatetimeIndex(["2012-01-05 14:00", "2012-01-05 15:00", "2012-01-05 15:30"]))
    found = convert(quoted(interval="1h", times=times), known, "USD", NAMES).sel(symbol="SAP")
    np.testing.assert_allclose(found["open"], [110, 120])
    np.testing.assert_allclose(found["close"], [102 * 1.2, 102 * 1.3])


def test_a_zone_is_respected_and_nan_says_nothing():
    local = CLOSES.tz_localize("UTC").tz_convert("Asia/Tokyo") - pd.Timedelta(days=1)
    found = convert(quoted(), {"EUR": pd.Series([1.1, np.nan, 1.3], index=local)}, "USD", NAMES).sel(symbol="SAP")
    np.testing.assert_allclose(found["close"], [102 * 1.1, 102 * 1.1, 102 * 1.3])


@pytest.mark.parametrize(
    ("given", "names", "said"),
    [
        ({}, NAMES, "there is no rate of EUR/USD"),
        (rates(1.1, 1.2, 1.3), {"IBM": "USD"}, "the currency of SAP is not known"),
        (rates(1.1, -1.2, 1.3), NAMES, "the rate of EUR/USD is -1.2 at 2012-01-06"),
        (rates(1.1, np.inf, 1.3), NAMES, "the rate of EUR/USD is inf at 2012-01-06"),
        (rates(1.1, 1.2, times=CLOSES[[0, 0]]), NAMES, "two rates of EUR/USD at 2012-01-05 21:00"),
        (rates(1.1, 1.2, 1.3), NAMES, "no rate of EUR/USD is known within 5 days before 2012-01-04 21:00:00, when SAP"),
        (rates(1.1, times=pd.DatetimeIndex(["2012-01-03"])), NAMES, "within 5 days before 2012-01-09 21:00:00"),
    ],
)
def test_a_rate_that_is_missing_or_no_rate_is_told_by_its_pair(given, names, said):
    with pytest.raises(InputError, match=said):
        convert(quoted(), given, "USD", names)
