"""Corporate actions and adjusted prices against what is known from outside."""

import numpy as np
import pandas as pd
import pytest

from workbench.data.actions import COLUMNS, adjust_panel
from workbench.data.tables.base import Panel

# Microsoft investor relations, dividends and stock history; Apple investor relations, dividend history and FAQ; IBM
# investor relations, dividends.
KNOWN = [
    ("AAPL", "2000-06-21", "split", 2.0),
    ("AAPL", "2005-02-28", "split", 2.0),
    ("AAPL", "2012-08-09", "dividend", 2.65),
    ("AAPL", "2012-11-07", "dividend", 2.65),
    ("AAPL", "2013-02-07", "dividend", 2.65),
    ("MSFT", "2003-02-18", "split", 2.0),
    ("MSFT", "2003-02-19", "dividend", 0.08),
    ("MSFT", "2004-11-15", "dividend", 3.08),  # three dollars special and the quarter's eight cents
    ("IBM", "2013-02-06", "dividend", 0.85),
]


@pytest.fixture(scope="module")
def actions(bench):
    bench.bars(dataset="us_equities")
    found = bench.market.store.tables("us_equities").actions.read()
    return found.assign(day=found["time"].dt.strftime("%Y-%m-%d"))


@pytest.mark.parametrize(("symbol", "day", "kind", "value"), KNOWN)
def test_an_action_that_is_known(actions, symbol, day, kind, value):
    found = actions[(actions["symbol"] == symbol) & (actions["day"] == day)]
    assert found["kind"].tolist() == [kind]
    assert found["value"].item() == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("symbol", "splits", "dividends"),
    [("AAPL", 2, 3), ("MSFT", 1, 37), ("IBM", 0, 52), ("GOOG", 0, 0), ("FB", 0, 0)],
)
def test_there_are_no_other_actions(actions, symbol, splits, dividends):
    kinds = actions[actions["symbol"] == symbol]["kind"].value_counts()
    assert (kinds.get("split", 0), kinds.get("dividend", 0)) == (splits, dividends)


@pytest.mark.parametrize("symbol", ["AAPL", "FB", "GOOG", "IBM", "MSFT"])
def test_the_sources_adjusted_closes_are_reproduced(bench, symbol):
    table = bench.catalog["us_equities"].read()
    theirs = table[table["Ticker"] == symbol].set_index("Date")["Adj Close"].to_numpy()
    ours = bench.bars(symbol, dataset="us_equities", adjust="all")["close"][:, 0].to_numpy()
    # The source knows of actions after its last row: one factor for all.
    np.testing.assert_allclose(ours, theirs * (ours[-1] / theirs[-1]), rtol=1e-9)


def test_as_traded_prices_are_those_of_the_source(bench):
    traded = bench.bars(["AAPL", "MSFT"], "2003-02-14", "2003-02-18", dataset="us_equities", adjust="none")["close"]
    assert traded.sel(symbol="MSFT").to_numpy().tolist() == [48.30, 24.96]


@pytest.mark.parametrize(
    ("day", "paid"),
    # Apple investor relations, dividend history, in shares after the split of 2020.
    [
        ("2019-02-08", 0.1825),
        ("2019-05-10", 0.1925),
        ("2020-05-08", 0.205),
        ("2021-05-07", 0.22),
        ("2022-05-06", 0.23),
        ("2023-05-12", 0.24),
        ("2024-05-10", 0.25),
    ],
)
def test_dividends_of_a_source_that_rounds_and_uses_the_day_before(bench, day, paid):
    bench.bars(dataset="aapl_recent")
    found = bench.market.store.tables("aapl_recent").actions.read()
    own = found[found["time"].dt.strftime("%Y-%m-%d") == day]
    assert own["value"].item() == pytest.approx(paid, abs=0.003)


def test_a_split_and_a_dividend_by_hand():
    # 100 shares at 50 are 200 at 25; on the last day they go to 24 and pay 1 each. Worth 5000, 5000, 5000.
    times = pd.DatetimeIndex(["2012-03-05 21:00", "2012-03-06 21:00", "2012-03-07 21:00"], tz="UTC")
    closes = np.array([[50.0], [25.0], [24.0]])
    fields = dict.fromkeys(["open", "high", "low", "close"], closes)
    volume = np.array([[100.0], [200.0], [200.0]])
    panel = Panel(times.tz_localize(None).to_numpy("datetime64[us]"), ["A"], {**fields, "volume": volume}, 1, None)
    actions = pd.DataFrame([("A", times[1], "split", 2.0), ("A", times[2], "dividend", 1.0)], columns=list(COLUMNS))
    total = adjust_panel(panel, actions, "all", "none")
    np.testing.assert_allclose(total["close"][:, 0], [24.0, 24.0, 24.0])
    np.testing.assert_allclose(total["volume"], 200.0)
    splits = adjust_panel(panel, actions, "splits", "none")
    np.testing.assert_allclose(splits["close"][:, 0], [25.0, 25.0, 24.0])
