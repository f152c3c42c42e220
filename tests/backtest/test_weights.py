from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.backtest.engine import simulate_shared, simulate_weights
from workbench.backtest.rebalance import targets, weights_of
from workbench.backtest.terms import Costs, Sizing, Stops, Terms
from workbench.core.errors import ParameterError, StrategyError

DAYS = pd.date_range("2012-01-02", periods=5)
NAN = np.nan


def priced(*prices):
    """A symbol's own bars: the open and the close are the same; ``None`` for no bar."""
    table = pd.DataFrame({"open": prices, "close": prices}, index=DAYS[: len(prices)], dtype="float64")
    return table[table["close"].notna()]


def wanted(**columns):
    return pd.DataFrame(columns, index=DAYS, dtype="float64")


def terms(commission=0.0, slippage=0.0, **chosen):
    borrow = chosen.pop("borrow", 0.0)
    return Terms(Costs(commission, slippage, borrow), **{"cash": 1000.0, **chosen})


RISING, FLAT = priced(10, 10, 20, 20, 20), priced(10, 10, 10, 10, 10)


def test_weights_drift_between_rebalancing_dates():
    weights = wanted(A=[0.5, NAN, NAN, NAN, NAN], B=[0.5, NAN, NAN, NAN, NAN])
    account = simulate_weights({"A": RISING, "B": FLAT}, weights, terms())
    assert account.holdings["A"].tolist() == [0, 50, 50, 50, 50]
    assert account.equity.tolist() == [1000, 1000, 1500, 1500, 1500]
    assert account.traded.tolist() == [0, 1000, 0, 0, 0]


def test_holding_a_weight_is_rebalancing_and_is_paid_for():
    weights = wanted(A=[0.5] * 5, B=[0.5] * 5)
    account = simulate_weights({"A": RISING, "B": FLAT}, weights, terms(commission=0.01))
    # The purchases pay their commission out of the last of them.
    bought = (1000 - 500 * 1.01) / (10 * 1.01)
    assert account.holdings.iloc[1].tolist() == pytest.approx([50, bought])
    value = 50 * 20 + bought * 10
    assert account.holdings["A"].iloc[2] == pytest.approx(0.5 * value / 20)
    sold = 50 - 0.5 * value / 20
    assert account.costs["commission"].iloc[2] == pytest.approx(
        0.01 * (sold * 20 + (account.holdings["B"].iloc[2] - bought) * 10)
    )
    assert (account.costs["commission"].iloc[1:] > 0).all()


def test_a_weight_is_known_at_its_close_and_filled_on_the_next_bar():
    weights = wanted(A=[NAN, 1.0, NAN, NAN, NAN])
    frame = priced(10, 10, 20, 40, 40)
    assert simulate_weights({"A": frame}, weights, terms()).equity.tolist() == [1000, 1000, 1000, 2000, 2000]


def test_a_weight_on_the_last_bar_is_not_filled():
    account = simulate_weights({"A": RISING}, wanted(A=[NAN] * 4 + [1.0]), terms())
    assert account.trades.empty


def test_short_weights_pay_for_what_they_borrow():
    weights = wanted(A=[0.5, NAN, NAN, NAN, NAN], B=[-0.5, NAN, NAN, NAN, NAN])
    account = simulate_weights({"A": RISING, "B": FLAT}, weights, terms(direction="both", borrow=0.252))
    assert account.holdings["B"].tolist() == [0, -50, -50, -50, -50]
    assert account.costs["borrow"].tolist() == pytest.approx([0, 0.5, 0.5, 0.5, 0.5])
    assert account.equity.tolist() == pytest.approx([1000, 999.5, 1499, 1498.5, 1498])
    pnl = account.trades.set_index("symbol")["pnl"]
    assert pnl.to_dict() == pytest.approx({"A": 500, "B": -2})


def test_an_order_waits_for_the_next_bar_of_its_own():
    gapped = priced(10, None, None, 20, 40)
    weights = wanted(A=[0.5, NAN, NAN, NAN, NAN], B=[0.5, NAN, NAN, NAN, NAN])
    account = simulate_weights({"A": gapped, "B": FLAT}, weights, terms())
    assert account.holdings["B"].tolist() == [0, 50, 50, 50, 50]
    assert account.holdings["A"].iloc[3] == 25
    assert account.holdings["A"].isna().tolist() == [False, True, True, False, False]


def test_a_later_row_takes_the_place_of_one_that_waits():
    own = {"A": DAYS[[0, 3]], "B": DAYS}
    orders = targets(wanted(A=[0.5, 0.2, NAN, NAN, NAN], B=[0.5, 0.8, NAN, NAN, 1]), own)
    assert orders["A"].to_dict() == {DAYS[3]: 0.2}
    assert orders["B"].to_dict() == {DAYS[1]: 0.5, DAYS[2]: 0.8}


def test_an_account_that_begins_later_orders_what_was_wanted_before():
    weights = wanted(A=[1.0, NAN, NAN, NAN, NAN])
    account = simulate_weights({"A": priced(10, 10, 20, 40, 40)}, weights, terms(), since=DAYS[2])
    assert account.equity.to_dict() == {DAYS[2]: 1000, DAYS[3]: 2000, DAYS[4]: 2000}


def without(bars, by, fill="next_open"):
    """Half in A, whose last bar is the third, for so many bars more."""
    days = pd.date_range(DAYS[0], periods=3 + bars)
    frames = {"A": priced(10, 10, 20), "B": pd.DataFrame(10.0, days, ["open", "high", "low", "close"])}
    paid = terms(commission=0.01, shared=True, fill=fill)
    if by == "weights":
        weights = pd.DataFrame(NAN, days, ["A", "B"])
        weights.iloc[0] = 0.5, 0.0
        return days, simulate_weights(frames, weights, paid)
    entry = pd.DataFrame(False, days, ["A", "B"])
    entry.iloc[0, 0] = True
    return days, simulate_shared(frames, entry, entry & False, paid)


@pytest.mark.parametrize("bars", [1, 5])
@pytest.mark.parametrize("by", ["weights", "signals"])
def test_a_symbol_whose_calendar_ends_earlier_stays_open_at_its_last_close(by, bars):
    account = without(bars, by)[1]
    assert account.trades["status"].tolist() == ["open"]
    assert account.equity.iloc[2:].nunique() == 1
    assert account.costs["commission"].iloc[2:].sum() == 0


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
@pytest.mark.parametrize("bars", [6, 9])
@pytest.mark.parametrize("by", ["weights", "signals"])
def test_a_delisted_symbol_is_sold_at_its_last_close_at_cost(by, bars, fill):
    days, account = without(bars, by, fill)
    if fill == "next_close":
        assert account.trades.iloc[0][["exit_time", "exit_price"]].tolist() == [days[8], 20]
        return
    shares = account.holdings["A"].iloc[1]
    assert shares == pytest.approx(50 if by == "weights" else 500 / (10 * 1.01))
    cash = 1000 - shares * 10 * 1.01
    assert account.equity.iloc[2] == pytest.approx(cash + shares * 20)
    assert account.equity.iloc[3:8].tolist() == pytest.approx([cash + shares * 20] * 5)
    assert account.equity.iloc[8:].tolist() == pytest.approx([cash + shares * 20 * 0.99] * (bars - 5))
    trade = account.trades.iloc[0]
    assert (trade["exit_time"], trade["exit_price"], trade["status"]) == (days[8], 20, "closed")


def test_sales_pay_for_purchases_on_the_same_bar_and_cash_is_never_negative():
    weights = wanted(A=[1, 0, 1, 0, NAN], B=[0, 1, 0, 1, NAN])
    account = simulate_weights({"A": FLAT, "B": FLAT}, weights, terms(commission=0.01, slippage=0.01))
    kept = 0.99 * 0.99 / 1.01 / 1.01
    assert account.holdings["B"].iloc[2] * 10 == pytest.approx(1000 / 1.01 / 1.01 * kept)
    cash = account.equity - account.holdings.fillna(0) @ [10, 10]
    assert (cash > -1e-9).all()


def test_a_shared_account_that_is_ruined_is_closed_out_as_a_whole():
    frames = {"A": priced(10, 10, 40, 40, 10), "B": FLAT}
    weights = wanted(A=[-0.5, NAN, NAN, NAN, NAN], B=[0.5, NAN, NAN, NAN, NAN])
    account = simulate_weights(frames, weights, terms(direction="both"))
    assert account.equity.tolist() == [1000, 1000, 0, 0, 0]
    assert account.holdings.iloc[2:].to_numpy().tolist() == [[0, 0]] * 3
    assert account.trades["exit_time"].tolist() == [DAYS[2]] * 2
    assert account.trades.set_index("symbol")["pnl"].to_dict() == {"A": -1500, "B": 0}


def test_an_equal_share_of_the_account_goes_into_each_entry_of_a_basket():
    frames = {"A": RISING, "B": FLAT}
    entry = pd.DataFrame({"A": [True, False, False, False, False], "B": [False, False, True, False, False]}, index=DAYS)
    account = simulate_shared(frames, entry, entry & False, terms(shared=True))
    assert account.holdings["A"].tolist() == [0, 50, 50, 50, 50]
    # By then the account is worth 1500; a half of it is more than the 500 of cash that are left.
    assert account.holdings["B"].iloc[3] == 50
    apart = simulate_shared(frames, entry, entry & False, terms(shared=True, sizing=Sizing("percent", 0.2)))
    assert apart.holdings["B"].iloc[3] == pytest.approx(0.2 * 1200 / 10)


def signals(**columns):
    table = pd.DataFrame(columns, index=DAYS[:2], dtype="float64").rename_axis("time").rename_axis("symbol", axis=1)
    return xr.Dataset({"weight": xr.DataArray(table)})


@pytest.mark.parametrize(
    ("weights", "chosen", "error", "said"),
    [
        ({"A": [0.6, 1], "B": [0.5, 0]}, {}, StrategyError, "add up to 1.1 in size at 2012-01-02"),
        ({"A": [0.5, 0.6], "B": [0.5, -0.5]}, {"direction": "both"}, StrategyError, "add up to 1.1 in size at 2012-01"),
        ({"A": [NAN, 0.5], "B": [NAN, -0.5]}, {}, StrategyError, "asks for -0.5 of B at 2012-01-03.*direction='both'"),
        ({"A": [np.inf, 0.5]}, {}, StrategyError, "add up to inf"),
        ({"A": [1, 1]}, {"sizing": Sizing("percent", 0.5)}, ParameterError, "leave out size=percent:0.5"),
        ({"A": [1, 1]}, {"stops": Stops(loss=0.1)}, ParameterError, "leave the stops out"),
    ],
)
def test_weights_that_no_account_can_hold_are_refused(weights, chosen, error, said):
    with pytest.raises(error, match=said):
        weights_of(signals(**weights), terms(**chosen), "mine")


def test_nan_is_no_rebalancing_alone_and_nothing_beside_a_number():
    found = weights_of(signals(A=[NAN, 1.0], B=[NAN, NAN]), terms(), "mine")
    np.testing.assert_array_equal(found.to_numpy(), [[NAN, NAN], [1.0, 0.0]])
