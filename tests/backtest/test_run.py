from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from workbench.backtest.statistics import NAMES
from workbench.backtest.strategies import find_strategy, strategy
from workbench.core.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def basket(bench):
    return bench.backtest("sma_cross", ["AAPL", "FB", "IBM"], start="2008")


def test_a_basket_is_the_sum_of_equal_accounts(bench, basket):
    parts = [bench.backtest("sma_cross", [name], start="2008", cash=100_000 / 3) for name in ("AAPL", "FB", "IBM")]
    total = sum(part.equity.reindex(basket.equity.index).ffill().fillna(100_000 / 3) for part in parts)
    np.testing.assert_allclose(basket.equity, total, rtol=1e-12)
    assert basket.statistics["trades"] == sum(part.statistics["trades"] for part in parts)


def test_a_symbol_that_starts_late_waits_in_cash(basket):
    assert basket.equity.iloc[0] == pytest.approx(100_000)
    assert basket.trades.query("symbol == 'FB'")["entry_time"].min() > basket.equity.index[0]


def test_statistics_and_benchmark_have_the_same_names(basket):
    assert tuple(basket.statistics) == tuple(basket.benchmark) == NAMES


def test_a_result_is_frozen(basket):
    with pytest.raises(dataclasses.FrozenInstanceError):
        basket.strategy = "other"


def test_provenance_tells_data_code_and_choices(basket):
    story = basket.provenance.to_dict()
    assert story["data"]["version"].startswith("us_equities@")
    assert story["data"]["symbols"] == ["AAPL", "FB", "IBM"]
    assert story["data"]["adjustment"] == "all"
    assert story["parameters"] == {
        "strategy": "sma_cross",
        "fast": 20,
        "slow": 100,
        "direction": "long",
        "fill": "next_open",
        "cash": 100_000.0,
        "commission": 0.001,
        "slippage": 0.0005,
    }
    assert story["created"] == "2026-01-05T12:00:00+00:00"
    assert {"numpy", "vectorbt", "ta-lib"} <= set(story["libraries"])


def test_json_holds_no_nan_or_infinity(bench):
    quiet = bench.backtest("sma_cross", ["FB"], start="2012-05", fast=80, slow=190)
    assert math.isnan(quiet.statistics["win_rate"])
    assert json.loads(quiet.to_json())["statistics"]["win_rate"] is None


def test_costs_make_a_result_worse(bench):
    free = bench.backtest("macd", ["AAPL"], commission=0, slippage=0)
    paid = bench.backtest("macd", ["AAPL"])
    assert paid.statistics["total_return"] < free.statistics["total_return"]


def test_closes_alone_cannot_fill_at_an_open(bench):
    with pytest.raises(InputError, match="'sp500_index' has no open"):
        bench.backtest("sma_cross", ["SP500"], dataset="sp500_index")
    result = bench.backtest("sma_cross", ["SP500"], dataset="sp500_index", fill="next_close")
    assert result.statistics["trades"] > 0


def test_an_unknown_symbol_of_a_plot_is_told(basket):
    with pytest.raises(UnknownNameError, match="symbol 'GOOG' in this backtest"):
        basket.plot("GOOG")


def test_a_result_shows_itself(basket):
    assert "sma_cross(fast=20, slow=100) on AAPL, FB, IBM" in repr(basket)
    assert "buy and hold" in basket._repr_html_()
    assert len(basket.plot("IBM")) == 3


def test_no_loss_is_greater_than_everything(bench):
    ruined = bench.backtest("rsi_reversion", ["AAPL"], low=10, high=70, direction="both")
    assert ruined.equity.min() == 0
    assert ruined.statistics["total_return"] == -1
    assert ruined.statistics["max_drawdown"] == -1
    assert ruined.statistics["sharpe"] < 0


def test_a_rule_that_gives_no_signals_is_told(bench):
    @strategy
    def nothing(bars, window: int = 2):
        """Give nothing."""

    @strategy
    def bare(bars, window: int = 2):
        """Give the sides only."""
        return find_strategy("sma_cross").signals(bars)[["entry", "exit"]]

    with pytest.raises(InputError, match="the rule 'nothing' gave NoneType, not Signals"):
        bench.backtest(nothing, ["AAPL"])
    with pytest.raises(InputError, match="the Signals of the rule 'bare' lack strength"):
        bench.backtest(bare, ["AAPL"])


def test_an_index_is_not_called_adjusted(bench):
    assert bench.bars(dataset="sp500_index").attrs["adjustment"] == "none"
