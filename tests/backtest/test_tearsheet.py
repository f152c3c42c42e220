from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.figures import figure, plain, words
from workbench.backtest.run import backtest
from workbench.backtest.strategy import find_strategy
from workbench.backtest.tearsheet.parts import (
    cost_rows,
    monthly_returns,
    rolling_sharpe,
    rolling_volatility,
    terms_line,
    trade_rows,
)
from workbench.backtest.terms import Costs, Sizing, Stops, Terms
from workbench.risk import measures

PLAIN = Terms(Costs(0.001, 0.0005, 0.01), 1000.0)
SENTENCES = {
    "long only, filled at the open of the next bar, commission 0.1 %, slippage 0.05 %": {},
    "long and short, filled at the close of the next bar, commission 0.1 %, slippage 0.05 %, borrow 1 % a year": {
        "direction": "both",
        "fill": "next_close",
    },
    "long only, filled at the open of the next bar, 50 % of the account in each entry, stop loss 5 %, "
    "take profit 20 %, one account shared by all symbols, commission 0.1 %, slippage 0.05 %": {
        "sizing": Sizing("percent", 0.5),
        "stops": Stops(loss=0.05, profit=0.2),
        "shared": True,
    },
    "trailing stop 7.5 %": {"stops": Stops(trailing=0.075)},
    "20,000 USD in each entry": {"sizing": Sizing("fixed", 20_000.0)},
    "sized to a volatility of 15 % a year over 21 bars": {"sizing": Sizing("volatility", 0.15, 21)},
    "sized at 0.5 of Kelly's fraction over 252 bars": {"sizing": Sizing("kelly", 0.5, 252)},
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_terms_are_told_where_they_are_not_the_default(sentence):
    told = terms_line(replace(PLAIN, **SENTENCES[sentence]), "USD")
    assert told == sentence if sentence.startswith("long") else f", {sentence}, " in told


def test_months_compound_to_years_and_a_month_without_bars_is_empty():
    times = pd.DatetimeIndex(["2010-01-04", "2010-01-29", "2010-03-01", "2011-12-30"])
    table = monthly_returns(pd.Series([0.1, 0.1, -0.5, 0.02], times))
    assert table.loc[2010, 1] == pytest.approx(0.21)
    assert table.loc[2010, 3] == pytest.approx(-0.5)
    assert table.loc[2010, "year"] == pytest.approx(1.21 * 0.5 - 1)
    assert table.loc[2011, 12] == pytest.approx(0.02)
    assert np.isnan(table.loc[2010, 2])
    assert list(table.columns) == [*range(1, 13), "year"]


def test_months_are_those_of_another_library(bench):
    close = bench.field("close", ["IBM"])["IBM"]
    table = monthly_returns(close.pct_change().fillna(0.0))
    ends = close.resample("ME").last()
    expected = (ends / ends.shift(1) - 1).iloc[1:]
    found = [table.loc[time.year, time.month] for time in expected.index]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_window_that_moves_measures_what_the_statistics_measure():
    returns = pd.Series(np.random.default_rng(1).normal(0.001, 0.01, 400))
    sharpe, volatility = rolling_sharpe(returns, 252, 252), rolling_volatility(returns, 252, 252)
    assert sharpe.notna().sum() == 400 - 251
    for end in (252, 300, 400):
        last = returns[end - 252 : end]
        assert sharpe[end - 1] == pytest.approx(measures.sharpe(last, 252), rel=1e-9)
        assert volatility[end - 1] == pytest.approx(measures.volatility(last, 252), rel=1e-9)


def test_a_flat_window_after_a_wild_one_has_no_sharpe_ratio():
    returns = pd.Series([*np.random.default_rng(1).normal(0, 0.3, 100), *np.zeros(100)])
    assert rolling_sharpe(returns, 50, 252).iloc[-40:].isna().all()
    assert (rolling_volatility(returns, 50, 252).iloc[-40:] == 0).all()


def test_costs_are_what_lies_between_free_and_paid(bench):
    bars = bench.bars(["AAPL"], start="2008")
    terms = Terms.agreed(bench.settings, commission=0.002, slippage=0.001)
    result = backtest(bars, find_strategy("sma_cross"), {}, terms, created=bench.clock())
    rows = {name: (money, of_cash, of_gain) for name, money, of_cash, of_gain in cost_rows(result)}
    assert list(rows) == ["commission", "slippage", "borrow", "together"]
    assert rows["together"][0] == pytest.approx(rows["commission"][0] + rows["slippage"][0])
    assert rows["borrow"] == (0.0, 0.0, 0.0)
    gain = result.equity.iloc[-1] - 100_000
    assert rows["together"][2] == pytest.approx(rows["together"][0] / (gain + rows["together"][0]))


def test_the_last_trades_are_listed_newest_first():
    days = pd.bdate_range("2010-01-01", periods=40)
    rows = [("A", "long", days[n], 10.0, days[n + 1], 11.0, 5.0, 5.0, 0.1, "closed") for n in range(0, 30, 2)] + [
        ("B", "short", days[0], 0.5, days[-1], 0.6, 1e6, -7.0, -0.2, "open")
    ]
    prices = ["entry_time", "entry_price", "exit_time", "exit_price"]
    names = ["symbol", "direction", *prices, "size", "pnl", "return", "status"]
    told = trade_rows(pd.DataFrame(rows, columns=names), 3, daily=True)
    assert len(told) == 3
    assert told[0] == {
        "symbol": "B",
        "direction": "short",
        "entry": "2010-01-01",
        "entry_price": "0.5000",
        "exit": "open",
        "exit_price": "0.6000",
        "size": "1,000,000",
        "pnl": "-7",
        "return": "-20.0 %",
        "gain": False,
    }
    assert told[1]["entry"] == f"{days[28]:%Y-%m-%d}"
    assert trade_rows(pd.DataFrame(rows, columns=names), 1, daily=False)[0]["entry"] == "2010-01-01 00:00"


@pytest.mark.parametrize(
    ("name", "value", "signed", "told"),
    [
        ("total_return", 13.8676, False, "1,386.8 %"),
        ("total_return", -0.00001, False, "0.0 %"),
        ("total_return", 0.0213, True, "+2.1 pp"),
        ("sharpe", 1.0449, False, "1.04"),
        ("sharpe", -0.001, True, "+0.00"),
        ("trades", 1204.0, False, "1,204"),
        ("profit_factor", float("inf"), False, "∞"),
        ("win_rate", float("nan"), False, "–"),
    ],
)
def test_a_figure_is_written_by_its_kind(name, value, signed, told):
    assert figure(name, value, signed=signed) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(20, "20"), (0.001, "0.001"), (100_000.0, "100,000"), (True, "yes"), (None, "–"), (["A", "B"], "A, B")],
)
def test_what_was_chosen_is_written_plainly(value, told):
    assert plain(value) == told


def test_a_ratio_carries_its_name():
    assert [words(name) for name in ("sharpe", "max_drawdown")] == ["Sharpe ratio", "max drawdown"]
