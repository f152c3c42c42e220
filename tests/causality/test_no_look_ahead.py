"""Cutting off the future must not change the past; what a bar shows must not move a fill before the next bar."""

from __future__ import annotations

import numpy as np
import pytest


def test_an_equity_curve_does_not_change_when_the_future_is_cut_off(bench):
    whole = bench.backtest("macd", ["AAPL", "FB"], start="2010", direction="both")
    short = bench.backtest("macd", ["AAPL", "FB"], start="2010", end="2012-06-29", direction="both")
    np.testing.assert_allclose(short.equity, whole.equity[: short.equity.index[-1]], rtol=1e-12)


def test_every_fill_is_on_the_bar_after_its_signal(bench):
    result = bench.backtest("rsi_reversion", ["IBM"])
    entries = result.signals["entry"].sel(symbol="IBM").to_series()
    exits = result.signals["exit"].sel(symbol="IBM").to_series()
    times = entries.index
    opens = result.bars["open"].sel(symbol="IBM").to_series()
    slippage = result.provenance.parameters["slippage"]
    assert len(result.trades) > 10
    for trade in result.trades.itertuples():
        bar = times.get_loc(trade.entry_time)
        assert entries.iloc[bar - 1]
        assert trade.entry_price == pytest.approx(opens.iloc[bar] * (1 + slippage))
        if trade.status == "closed":
            bar = times.get_loc(trade.exit_time)
            assert exits.iloc[bar - 1]
            assert trade.exit_price == pytest.approx(opens.iloc[bar] * (1 - slippage))


def test_a_signal_on_the_last_bar_is_not_filled(bench):
    whole = bench.backtest("sma_cross", ["AAPL"], fast=20, slow=100)
    signal = whole.signals["entry"].sel(symbol="AAPL").to_series()
    last = signal.index[signal][3]
    cut = bench.backtest("sma_cross", ["AAPL"], end=last.date(), fast=20, slow=100)
    assert bool(cut.signals["entry"].sel(symbol="AAPL")[-1])
    assert (cut.trades["entry_time"] < last).all()


def test_adjusted_prices_do_not_depend_on_the_end_of_the_range(bench):
    whole = bench.bars(["AAPL"], start="2004", end="2006")
    short = bench.bars(["AAPL"], start="2004", end="2004-12-31")
    times = short.indexes["time"]
    np.testing.assert_array_equal(short["close"].to_numpy(), whole["close"].sel(time=times).to_numpy())
