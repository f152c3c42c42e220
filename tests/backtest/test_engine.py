from __future__ import annotations

import pandas as pd
import pytest

from workbench.backtest.costs import Costs, Terms
from workbench.backtest.engine import simulate
from workbench.core.errors import ParameterError, UnknownNameError

DAYS = pd.date_range("2012-01-02", periods=5)
FRAME = pd.DataFrame({"open": [10.0, 11.0, 12.0, 13.0, 14.0], "close": [10.5, 11.5, 12.5, 13.5, 14.5]}, index=DAYS)


def fires(*bars):
    return pd.Series([bar in bars for bar in range(5)], index=DAYS)


def terms(commission=0.0, slippage=0.0, **chosen):
    return Terms(Costs(commission, slippage), **{"cash": 1000.0, **chosen})


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
