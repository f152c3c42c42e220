"""Splits and dividends of Apple, worked by hand, from a source whose prices arrive adjusted for splits.

Apple's investor relations, "Dividend history" and "Stock split history": 3.29 a share (ex 2014-05-08), seven for one
(2014-06-09), 0.47 (ex 2014-08-07), 0.82 (ex 2020-08-07), four for one (2020-08-31). Closes are as traded on Nasdaq.

The holder's return of a day is that of CRSP, "Data Definitions: Returns": ``r[t] = (p[t] f[t] + d[t]) / p[t-1] - 1``
with the close ``p``, the split's ratio ``f`` and the dividend ``d``.
"""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from workbench.core.settings import load_settings
from workbench.data.market import open_market

TRADED = {
    "2014-05-07": 592.33,
    "2014-05-08": 587.99,
    "2014-06-06": 645.57,
    "2014-06-09": 93.70,
    "2014-08-06": 94.96,
    "2014-08-07": 94.48,
    "2020-08-06": 455.61,
    "2020-08-07": 444.45,
    "2020-08-28": 499.23,
    "2020-08-31": 129.04,
}
"""The closes around each ex-date, in dollars."""

RETURNS = {
    "2014-05-08": -0.0017727,  # (587.99 + 3.29) / 592.33 - 1
    "2014-06-09": 0.0160014,  # 93.70 x 7 / 645.57 - 1
    "2014-08-07": -0.0001053,  # (94.48 + 0.47) / 94.96 - 1
    "2020-08-07": -0.0226948,  # (444.45 + 0.82) / 455.61 - 1
    "2020-08-31": 0.0339122,  # 129.04 x 4 / 499.23 - 1
}

FACTORS = {
    # 587.99/591.28 = 0.9944358, 94.48/94.95 = 0.9950500, 444.45/445.27 = 0.9981584; 1/7 and 1/4 for the splits
    "2014-05-07": 0.9944358 * 0.9950500 * 0.9981584 / 28,
    "2014-05-08": 0.9950500 * 0.9981584 / 28,
    "2014-06-06": 0.9950500 * 0.9981584 / 28,
    "2014-06-09": 0.9950500 * 0.9981584 / 4,
    "2014-08-06": 0.9950500 * 0.9981584 / 4,
    "2014-08-07": 0.9981584 / 4,
    "2020-08-06": 0.9981584 / 4,
    "2020-08-07": 1 / 4,
    "2020-08-28": 1 / 4,
    "2020-08-31": 1.0,
}
"""What a price as traded is multiplied by, so that returns are the holder's."""

SHARES = {day: 28.0 if day < "2014-06-09" else 4.0 if day < "2020-08-31" else 1.0 for day in TRADED}
"""Shares of the last day for one share of the day."""

PAID = {"2014-05-08": 3.29, "2014-08-07": 0.47, "2020-08-07": 0.82}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """The source's file fetched: prices to six decimals and dividends per share of today, as Yahoo gives them."""
    folder = tmp_path_factory.mktemp("files")
    closes = [round(close / SHARES[day], 6) for day, close in TRADED.items()]
    rows = pd.DataFrame({"date": list(TRADED), **dict.fromkeys(("open", "high", "low", "close"), closes)})
    rows["volume"] = [1_000_000 * shares for shares in SHARES.values()]
    rows["dividend"] = [round(PAID[day] / SHARES[day], 6) if day in PAID else None for day in TRADED]
    rows["split"] = [{"2014-06-09": 7, "2020-08-31": 4}.get(day) for day in TRADED]
    rows.to_csv(folder / "AAPL.csv", index=False)
    options = {"files": {"folder": str(folder), "adjustment": "splits"}}
    settings = load_settings(home=tmp_path_factory.mktemp("home"), providers=options)
    opened = open_market(settings, lambda: datetime(2026, 1, 5, 12, tzinfo=UTC))
    done = opened.fetch("files", ["AAPL"], "2014-05-01", "2020-09-30", progress=False)
    assert (done.added, done.quarantined, done.arrivals[0].actions) == (10, 0, 5)
    return opened


def read(market, adjust, field="close"):
    bars = market.bars("AAPL", None, None, dataset="files_1d", adjust=adjust)[field].sel(symbol="AAPL")
    return bars.to_series().set_axis(bars["time"].dt.strftime("%Y-%m-%d").to_numpy())


def test_prices_and_volumes_are_stored_as_traded(market):
    assert read(market, "none").to_dict() == pytest.approx(TRADED, rel=1e-6)
    assert read(market, "none", "volume").to_numpy() == pytest.approx(1_000_000)


def test_actions_are_stored_as_they_were_announced(market):
    known = market.store.tables("files_1d").actions.read()
    told = dict(zip(known["time"].dt.strftime("%Y-%m-%d"), known["value"], strict=True))
    assert told == pytest.approx({**PAID, "2014-06-09": 7.0, "2020-08-31": 4.0}, rel=1e-5)


def test_prices_without_splits_are_in_shares_of_the_last_day(market):
    expected = {day: close / SHARES[day] for day, close in TRADED.items()}
    assert read(market, "splits").to_dict() == pytest.approx(expected, rel=1e-6)
    # Apple tells its own dividends that way: 3.29 and 0.47 were the same 0.1175.
    np.testing.assert_allclose(read(market, "splits", "volume"), [1_000_000 * shares for shares in SHARES.values()])


def test_adjusted_prices_are_the_factors_worked_by_hand(market):
    found = read(market, "all") / read(market, "none")
    assert found.to_dict() == pytest.approx(FACTORS, rel=1e-6)


def test_returns_over_the_ex_dates_are_the_holders(market):
    found = read(market, "all").pct_change()
    assert {day: found[day] for day in RETURNS} == pytest.approx(RETURNS, abs=2e-7)


def test_a_thousand_dollars_reinvested_grow_as_worked_by_hand(market):
    # 1000 / 592.33 shares; each dividend buys at the ex-day's close, each split multiplies.
    shares = 1000 / 592.33
    shares *= 1 + 3.29 / 587.99
    shares *= 7
    shares *= 1 + 0.47 / 94.48
    shares *= 1 + 0.82 / 444.45
    shares *= 4
    adjusted = read(market, "all")
    assert 1000 * adjusted["2020-08-31"] / adjusted["2014-05-07"] == pytest.approx(shares * 129.04, rel=1e-6)


def test_what_was_known_before_the_second_split_needs_no_knowledge_of_it(market):
    # A price as traded does not depend on when it was fetched.
    assert read(market, "none")["2014-05-07"] == pytest.approx(592.33)
    cut = market.bars("AAPL", None, "2014-12-31", dataset="files_1d", adjust="all")["close"].sel(symbol="AAPL")
    np.testing.assert_allclose(cut, read(market, "all")[:6])
