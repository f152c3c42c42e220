"""What is learned later must not change what was known before."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.fundamentals import FORMULAS, as_known, history, snapshot
from workbench.analytics.fundamentals.formulas import PRICE
from workbench.analytics.fundamentals.items import ITEMS

NAMES = [name for name, formula in FORMULAS.items() if PRICE not in formula.needs]
PRICED = [name for name in FORMULAS if name not in NAMES]
DATES = pd.date_range("2014-01-15", "2021-06-30", freq="17D")


@pytest.fixture(scope="module")
def statements():
    """Made-up numbers: three companies, seven years by quarter and by year, filed late, with holes and restatements."""
    random = np.random.default_rng(11)
    rows = []
    for symbol in ("ONE", "SIX", "TEN"):
        for frequency, freq in (("quarterly", "QE"), ("annual", "YE")):
            for end in pd.date_range("2013-12-31", "2020-12-31", freq=freq):
                for item in ITEMS:
                    if random.random() < 0.02:
                        continue
                    filed = end.tz_localize("UTC") + pd.Timedelta(hours=int(random.integers(500, 2500)))
                    value = float(random.lognormal(5, 0.5))
                    rows.append((symbol, frequency, end, filed, item, value, "USD"))
                    if random.random() < 0.1:
                        later = filed + pd.Timedelta(days=int(random.integers(1, 500)))
                        rows.append((symbol, frequency, end, later, item, value * 1.1, "USD"))
    columns = ["symbol", "frequency", "period_end", "known", "item", "value", "currency"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("basis", ["trailing", "annual"])
@pytest.mark.parametrize("cut", ["2015-03-01", "2016-08-17", "2018-12-24", "2020-02-29"])
def test_rows_learned_later_change_no_figure_before(statements, basis, cut):
    moment = pd.Timestamp(cut, tz="UTC")
    dates = DATES[cut >= DATES]
    whole = history(statements, NAMES, DATES, basis=basis).sel(time=dates)
    short = history(statements[statements["known"] <= moment], NAMES, dates, basis=basis)
    for name in NAMES:
        np.testing.assert_array_equal(short[name].to_numpy(), whole[name].to_numpy(), err_msg=name)
    assert whole.to_dataarray().notnull().mean().item() > 0.05


@pytest.fixture(scope="module")
def market():
    """Made-up prices of two of the companies, the second delisted in 2018, and splits of both."""
    times = pd.date_range("2013-12-31", "2021-06-30", freq="B") + pd.Timedelta(hours=21)
    close = np.exp(np.random.default_rng(5).normal(0, 0.01, (len(times), 2)).cumsum(axis=0) + 3)
    close[times.year > 2018, 1] = np.nan
    bars = xr.Dataset(
        {"close": (("time", "symbol"), close)},
        coords={"time": times, "symbol": ["ONE", "TEN"]},
        attrs={"adjustment": "none", "currency": "USD"},
    )
    days = pd.to_datetime(["2015-04-01", "2017-09-12", "2020-02-03"], utc=True)
    splits = pd.DataFrame({"symbol": ["TEN", "ONE", "ONE"], "time": days, "value": [2.0, 0.1, 7.0]})
    return bars, splits


@pytest.mark.parametrize("cut", ["2015-03-01", "2016-08-17", "2018-12-24"])
def test_prices_and_splits_of_later_change_no_value_before(statements, market, cut):
    (bars, splits), moment = market, pd.Timestamp(cut, tz="UTC")
    dates = DATES[cut >= DATES]
    whole = history(statements, PRICED, DATES, prices=bars, splits=splits).sel(time=dates)
    known, early = statements[statements["known"] <= moment], splits[splits["time"] <= moment]
    short = history(known, PRICED, dates, prices=bars.sel(time=slice(None, cut)), splits=early)
    for name in PRICED:
        np.testing.assert_allclose(short[name].to_numpy(), whole[name].to_numpy(), rtol=1e-12, err_msg=name)
    assert whole["market_value"].sel(symbol="ONE").notnull().any()
    assert whole["market_value"].sel(symbol="SIX").isnull().all()
    for date in dates[::15]:
        found = snapshot(statements, PRICED, date.tz_localize("UTC"), prices=bars, splits=splits).figures
        there = whole.sel(time=date).to_dataframe()[PRICED]
        pd.testing.assert_frame_equal(found, there, check_names=False, check_index_type=False, rtol=1e-12)


@pytest.mark.parametrize("basis", ["trailing", "annual"])
def test_a_snapshot_and_the_history_say_the_same(statements, basis):
    whole = history(statements, NAMES, DATES, basis=basis)
    for date in DATES[::20]:
        found = snapshot(statements, NAMES, date.tz_localize("UTC"), basis=basis).figures
        there = whole.sel(time=date).to_dataframe()[NAMES]
        pd.testing.assert_frame_equal(found, there, check_names=False, check_index_type=False, check_exact=True)


def test_what_was_known_is_the_same_after_the_future_is_cut_off(statements):
    moment = "2017-05-05"
    before = statements[statements["known"] < "2017-05-06"]
    pd.testing.assert_frame_equal(as_known(statements, moment), as_known(before, moment))


def test_a_snapshot_of_what_was_known_is_the_snapshot(statements):
    known = as_known(statements, "2019-07-01")
    whole = snapshot(statements, NAMES, "2019-07-01")
    pd.testing.assert_frame_equal(snapshot(known, NAMES, "2019-07-01").figures, whole.figures)


def test_a_restatement_changes_later_answers_only(statements):
    row = statements[(statements["item"] == "net_income") & (statements["symbol"] == "ONE")]
    row = row[(row["frequency"] == "annual") & (row["period_end"] == "2017-12-31")].iloc[[0]]
    learned = pd.Timestamp("2018-09-03T12:00Z")
    more = pd.concat([statements, row.assign(known=learned, value=row["value"] * 2)])
    before, after = (history(rows, ["net_margin"], DATES, basis="annual")["net_margin"] for rows in (statements, more))
    changed = (after != before) & before.notnull()
    times = changed.sel(symbol="ONE").to_series()
    times = times[times].index
    assert len(times)
    assert times.min() >= learned.tz_localize(None)
    assert not changed.sel(symbol=["SIX", "TEN"]).any()
