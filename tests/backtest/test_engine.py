from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.backtest.engine import simulate
from workbench.backtest.terms import Costs, Sizing, Stops, Terms
from workbench.core.errors import ParameterError, UnknownNameError

DAYS = pd.date_range("2012-01-02", periods=5)
FRAME = pd.DataFrame({"open": [10.0, 11.0, 12.0, 13.0, 14.0], "close": [10.5, 11.5, 12.5, 13.5, 14.5]}, index=DAYS)


def fires(*bars):
    return pd.Series([bar in bars for bar in range(5)], index=DAYS)


def terms(commission=0.0, slippage=0.0, borrow=0.0, **chosen):
    return Terms(Costs(commission, slippage, borrow), **{"cash": 1000.0, **chosen})


def test_an_entry_is_filled_at_the_next_open_with_all_cash():
    account = simulate(FRAME, fires(0), fires(2), terms())
    shares = 1000 / 11
    assert account.holding.tolist() == pytest.approx([0, shares, shares, 0, 0])
    assert account.equity.tolist() == pytest.approx([1000, shares * 11.5, shares * 12.5, shares * 13, shares * 13])
    assert account.traded.tolist() == pytest.approx([0, 1000, 0, shares * 13, 0])


def test_a_fill_at_the_next_close_uses_that_price():
    account = simulate(FRAME, fires(0), fires(), terms(fill="next_close"))
    assert account.equity.iloc[-1] == pytest.approx(1000 / 11.5 * 14.5)


def test_costs_are_paid_on_both_sides():
    account = simulate(FRAME, fires(0), fires(2), terms(commission=0.01, slippage=0.02))
    shares = 1000 / (11 * 1.02 * 1.01)
    assert account.equity.iloc[-1] == pytest.approx(shares * 13 * 0.98 * 0.99)
    assert account.trades["pnl"].tolist() == pytest.approx([account.equity.iloc[-1] - 1000])


def test_long_only_ignores_an_exit_without_a_position():
    account = simulate(FRAME, fires(), fires(1), terms())
    assert (account.holding == 0).all()
    assert account.trades.empty


def test_both_turns_short_on_an_exit():
    account = simulate(FRAME, fires(), fires(1), terms(direction="both"))
    shares = 1000 / 12
    assert account.holding.tolist() == pytest.approx([0, 0, -shares, -shares, -shares])
    assert account.equity.iloc[-1] == pytest.approx(1000 + shares * (12 - 14.5))
    assert account.trades["direction"].tolist() == ["short"]


def test_an_open_trade_is_told_from_a_closed_one():
    account = simulate(FRAME, fires(0, 3), fires(2), terms())
    assert account.trades["status"].tolist() == ["closed", "open"]


@pytest.mark.parametrize(
    ("chosen", "error", "said"),
    [
        ({"commission": -0.1}, ParameterError, "commission=-0.1"),
        ({"slippage": 1.0}, ParameterError, "slippage=1.0"),
        ({"cash": 0.0}, ParameterError, "cash=0.0"),
        ({"cash": float("nan")}, ParameterError, "cash=nan"),
        ({"direction": "short"}, UnknownNameError, "direction 'short'"),
        ({"fill": "same_close"}, UnknownNameError, "fill 'same_close'"),
    ],
)
def test_terms_that_are_not_valid_are_refused(chosen, error, said):
    with pytest.raises(error, match=said):
        terms(**chosen)


def test_an_account_that_a_short_brought_to_nothing_stays_there():
    frame = FRAME.assign(open=[10.0, 10.0, 30.0, 30.0, 5.0], close=[10.0, 10.0, 30.0, 8.0, 5.0])
    account = simulate(frame, fires(3), fires(0), terms(direction="both"))
    assert account.equity.tolist() == [1000, 1000, 0, 0, 0]
    assert account.holding.tolist() == [0, -100, 0, 0, 0]
    assert account.trades["status"].tolist() == ["closed"]
    assert account.trades["pnl"].tolist() == [100 * (10 - 30)]


def test_a_short_pays_for_what_it_borrows_at_each_close():
    account = simulate(FRAME, fires(3), fires(0), terms(borrow=0.252, direction="both"))
    shares = 1000 / 11
    charged = [0.001 * shares * close for close in (11.5, 12.5, 13.5)]
    assert account.costs["borrow"].tolist() == pytest.approx([0, *charged, 0])
    assert account.equity.iloc[1:4].tolist() == pytest.approx(
        [1000 + shares * (11 - close) - sum(charged[:place]) for place, close in [(1, 11.5), (2, 12.5), (3, 13.5)]]
    )
    closed = account.trades.iloc[0]
    assert closed["pnl"] == pytest.approx(shares * (11 - 14) - sum(charged))
    assert closed["return"] == pytest.approx(closed["pnl"] / 1000)


def test_borrowing_is_reckoned_by_the_bars_of_a_year():
    daily = simulate(FRAME, fires(), fires(0), terms(borrow=0.1, direction="both"), 252.0)
    monthly = simulate(FRAME, fires(), fires(0), terms(borrow=0.1, direction="both"), 12.0)
    assert monthly.costs["borrow"].sum() == pytest.approx(21 * daily.costs["borrow"].sum())


def test_a_long_account_borrows_nothing():
    assert simulate(FRAME, fires(0), fires(2), terms(borrow=0.5)).costs["borrow"].sum() == 0


def test_what_borrowing_takes_can_ruin():
    frame = FRAME.assign(open=10.0, close=[10.0, 10.0, 19.9, 10.0, 10.0])
    free = simulate(frame, fires(), fires(0), terms(direction="both"))
    account = simulate(frame, fires(), fires(0), terms(borrow=0.5, direction="both"), 12.0)
    assert (free.equity > 0).all()
    assert account.equity.tolist() == pytest.approx([1000, 1000 - 100 * 10 * 0.5 / 12, 0, 0, 0])
    trade = account.trades.iloc[0]
    assert (trade["exit_time"], trade["exit_price"], trade["status"]) == (DAYS[2], 19.9, "closed")
    assert trade["pnl"] == pytest.approx(100 * (10 - 19.9) - 100 * (10 + 19.9) * 0.5 / 12)
    assert account.costs["borrow"].iloc[3:].tolist() == [0, 0]


def test_what_each_bar_cost_is_told():
    account = simulate(FRAME, fires(0), fires(2), terms(commission=0.01, slippage=0.02))
    shares = 1000 / (11 * 1.02 * 1.01)
    assert account.costs["commission"].tolist() == pytest.approx(
        [0, shares * 11.22 * 0.01, 0, shares * 13 * 0.98 * 0.01, 0]
    )
    assert account.costs["slippage"].tolist() == pytest.approx([0, shares * 11 * 0.02, 0, shares * 13 * 0.02, 0])


def test_an_account_that_begins_later_takes_the_state_of_its_signals():
    account = simulate(FRAME, fires(0), fires(), terms(), since=DAYS[2])
    assert account.holding.to_dict() == pytest.approx({DAYS[2]: 1000 / 12, DAYS[3]: 1000 / 12, DAYS[4]: 1000 / 12})
    assert account.trades["entry_time"].tolist() == [DAYS[2]]


@pytest.mark.parametrize(
    ("entry", "leave", "direction", "first"),
    [((0,), (1,), "long", 0.0), ((0,), (1,), "both", -1000 / 13), ((2,), (), "long", 1000 / 13), ((3,), (), "long", 0)],
)
def test_the_state_is_the_last_signal_before_the_first_bar(entry, leave, direction, first):
    account = simulate(FRAME, fires(*entry), fires(*leave), terms(direction=direction), since=DAYS[3])
    assert account.holding.iloc[0] == pytest.approx(first)


@pytest.mark.parametrize("stops", [Stops(), Stops(loss=0.5)])
def test_a_symbol_without_bars_of_its_own_keeps_its_cash(stops):
    account = simulate(FRAME, fires(0), fires(), terms(stops=stops), since=pd.Timestamp("2013"))
    assert account.equity.empty
    assert account.trades.empty


def test_an_entry_and_an_exit_on_one_close_cancel_each_other():
    for chosen in ({}, {"sizing": Sizing("percent", 1.0)}, {"direction": "both"}):
        assert simulate(FRAME, fires(1), fires(1), terms(**chosen)).trades.empty


def test_a_bar_without_a_price_fills_nothing():
    holed = FRAME.assign(open=[10.0, np.nan, 12.0, 13.0, 14.0])
    for chosen in ({}, {"sizing": Sizing("percent", 0.5)}):
        assert simulate(holed, fires(0), fires(), terms(**chosen)).trades.empty


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bars=st.integers(2, 60),
    spread=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    costs=st.tuples(st.sampled_from([0.0, 0.001, 0.05]), st.sampled_from([0.0, 0.03]), st.sampled_from([0.0, 0.9])),
    direction=st.sampled_from(["long", "both"]),
    fill=st.sampled_from(["next_open", "next_close"]),
)
def test_all_of_an_account_is_a_hundred_percent_of_it(seed, bars, spread, costs, direction, fill):
    random = np.random.default_rng(seed)
    index = pd.date_range("2012-01-02", periods=bars)
    close = pd.Series(50 * np.exp(np.cumsum(random.normal(0, spread, bars))), index=index)
    frame = pd.DataFrame({"open": close * np.exp(random.normal(0, spread / 2, bars)), "close": close})
    entry, leave = (pd.Series(random.random(bars) < 0.2, index=index) for _ in range(2))
    one, other = (
        simulate(frame, entry, leave, Terms(Costs(*costs), 1000.0, direction, fill, sizing=sizing))
        for sizing in (Sizing(), Sizing("percent", 1.0))
    )
    np.testing.assert_allclose(other.equity, one.equity, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(other.costs, one.costs, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(other.trades["pnl"], one.trades["pnl"], rtol=1e-9, atol=1e-6)
