from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import workbench as wb
from workbench.analytics.signals import make_signals
from workbench.backtest.run import backtest, known_on
from workbench.backtest.statistics import NAMES, RELATIVE
from workbench.backtest.strategy import find_strategy, strategy
from workbench.backtest.terms import Costs, Sizing, Stops, Terms
from workbench.core.errors import DateRangeError, InputError, StrategyError, UnknownNameError


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
        "borrow": 0.01,
        "size": "all",
        "shared": False,
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

    with pytest.raises(StrategyError, match="'nothing' gave NoneType, not Signals"):
        bench.backtest(nothing, ["AAPL"])
    with pytest.raises(StrategyError, match="'bare' lack strength"):
        bench.backtest(bare, ["AAPL"])


def test_an_index_is_not_called_adjusted(bench):
    assert bench.bars(dataset="sp500_index").attrs["adjustment"] == "none"


COSTS = Costs(0.001, 0.0005, 0.01)
MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def ran(bars, name="sma_cross", parameters=None, since=None, benchmark=None, **chosen):
    terms = Terms(**{"costs": COSTS, "cash": 100_000.0, **chosen})
    rule = find_strategy(name)
    return backtest(bars, rule, parameters or {}, terms, created=MOMENT, since=since, benchmark=benchmark)


@strategy(direction="both")
def thirds(bars, every: int = 20):
    """Hold a third of each symbol that has a bar."""
    has = bars["close"].notnull()
    due = xr.DataArray(np.arange(bars.sizes["time"]) % every == 0, dims="time", coords={"time": bars["time"]})
    weight = xr.where(due, has / 3, np.nan).transpose("time", "symbol")
    nothing = has & False
    signals = wb.make_signals(nothing, nothing, has.astype(float).where(has))
    return signals.assign(weight=weight)


def test_a_result_tells_holdings_costs_terms_and_the_rule(basket):
    close = basket.bars["close"].to_pandas()
    assert basket.holdings.shape == close.shape
    assert basket.holdings.isna().equals(close.isna())
    assert list(basket.costs) == ["commission", "slippage", "borrow"]
    assert basket.costs.index.equals(basket.equity.index)
    assert basket.costs["commission"].sum() == pytest.approx(0.001 * turnover(basket))
    assert basket.rule.name == "sma_cross"
    assert basket.terms.cash == 100_000


def turnover(result):
    """What was bought and sold, from the trades themselves."""
    trades = result.trades
    closed = trades[trades["status"] == "closed"]
    return (trades["size"] * trades["entry_price"]).sum() + (closed["size"] * closed["exit_price"]).sum()


def test_an_account_since_a_date_is_flat_before_and_in_the_state_of_the_rule_after(bars):
    whole, late = ran(bars), ran(bars, since="2010")
    assert str(late.equity.index[0].date()) == "2010-01-04"
    assert late.bars.sizes["time"] == len(late.equity) == late.signals.sizes["time"]
    held = whole.holdings.loc[: late.equity.index[0]].iloc[-1] > 0
    assert (late.holdings.iloc[0] > 0).equals(held)
    assert held.any()
    # In the same state, it earns what the whole account earns on the same bars.
    for symbol in held.index[held]:
        one, other = (ran(bars.sel(symbol=[symbol]), since=since).returns for since in (None, "2010"))
        np.testing.assert_allclose(other.iloc[1:], one[other.index[1:]], rtol=1e-9, atol=1e-12)
    assert late.provenance.parameters["since"].startswith("2010-01-04")
    assert late.provenance.data["first_bar"].startswith("2005")


def test_buy_and_hold_since_a_date_is_bought_on_its_first_bar(bars):
    one = bars.sel(symbol=["IBM"])
    late = ran(one, since="2010")
    opened = float(late.bars["open"][0, 0]) * 1.0005 * 1.001
    assert late.benchmark_equity.iloc[-1] == pytest.approx(100_000 * float(late.bars["close"][-1, 0]) / opened)


def test_a_date_after_the_last_bar_is_refused(bars):
    with pytest.raises(DateRangeError, match="there is no bar since 2030; the last one is of 2013"):
        ran(bars, since="2030")


def test_a_result_is_measured_against_buy_and_hold_or_another_symbol(bars):
    mine = ran(bars.sel(symbol=["AAPL"]))
    other = ran(bars.sel(symbol=["AAPL"]), benchmark=bars.sel(symbol=["IBM"]))
    held = ran(bars.sel(symbol=["IBM"]))
    assert (mine.benchmark_name, other.benchmark_name) == ("buy and hold", "IBM")
    pd.testing.assert_series_equal(other.benchmark_equity, held.benchmark_equity)
    assert dict(other.benchmark) == pytest.approx(dict(held.benchmark), nan_ok=True)
    assert tuple(other.relative) == tuple(mine.relative) == RELATIVE
    assert "IBM" in repr(other)
    assert "IBM" in other._repr_html_()
    assert other.provenance.data["benchmark"]["symbols"] == ["IBM"]
    assert json.loads(other.to_json())["relative"]["beta"] == pytest.approx(other.relative["beta"])


def test_holding_is_its_own_benchmark(bars):
    @strategy
    def hold(bars, window: int = 2):
        """Enter at the first close."""
        first = bars["close"].notnull() & (bars["time"] == bars["time"][0])
        return wb.make_signals(first, first & False, bars["close"] * 0 + 1)

    result = ran(bars.sel(symbol=["AAPL", "IBM"]), hold)
    assert result.relative["beta"] == pytest.approx(1)
    assert result.relative["correlation"] == pytest.approx(1)
    assert result.relative["alpha"] == pytest.approx(0, abs=1e-12)
    assert result.relative["tracking_error"] == pytest.approx(0, abs=1e-12)


def test_a_benchmark_with_gaps_of_its_own_keeps_its_last_value(bars):
    one, other = bars.sel(symbol=["AAPL"]), bars.sel(symbol=["IBM"])
    thinned = other.isel(time=slice(0, None, 5))
    result = ran(one, benchmark=thinned)
    equity = result.benchmark_equity
    assert (equity.iloc[5:10] == equity.iloc[5]).all()
    assert equity.iloc[10] != equity.iloc[5]
    cut = ran(one.isel(time=slice(700)), benchmark=thinned)
    pd.testing.assert_series_equal(cut.benchmark_equity, equity.iloc[:700])


def test_a_benchmark_without_opens_is_bought_at_a_close(bench, bars):
    index = bench.bars(dataset="sp500_index")
    result = ran(bars.sel(symbol=["AAPL"]), benchmark=index)
    close = index["close"][:, 0].to_series().reindex(result.equity.index, method="ffill")
    last = result.benchmark_equity.iloc[-1]
    second = index["close"][:, 0].to_series().loc[result.equity.index[0] :].iloc[1]
    assert last == pytest.approx(100_000 / (second * 1.0005 * 1.001) * close.iloc[-1])
    assert 0.3 < result.relative["correlation"] < 1


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda bars: bars, InputError, "a benchmark is one symbol, not AAPL, FB, IBM"),
        (lambda bars: bars.sel(symbol=["IBM"]).assign_attrs(currency="EUR"), InputError, "IBM is in EUR, the bars are"),
        (lambda bars: bars.sel(symbol=["FB"]), DateRangeError, "FB has no bar from 2005-01-03 to 2006-"),
    ],
)
def test_a_benchmark_that_cannot_be_compared_with_is_refused(bars, change, error, said):
    with pytest.raises(error, match=said):
        ran(bars.isel(time=slice(400)), benchmark=change(bars))


OPTIONS = {
    "plain": {},
    "both": {"direction": "both"},
    "volatility and stops": {"sizing": Sizing("volatility", 0.2, 20), "stops": Stops(0.05, 0.1)},
    "kelly, trailing, shared": {
        "sizing": Sizing("kelly", 0.5, 40),
        "stops": Stops(trailing=0.05),
        "shared": True,
        "direction": "both",
    },
    "fixed at the close": {"sizing": Sizing("fixed", 20_000.0), "fill": "next_close", "stops": Stops(0.05)},
    "shared": {"shared": True},
    "weights": {"direction": "both"},
}


@pytest.mark.parametrize("since", [None, "2008-03"])
@pytest.mark.parametrize("name", OPTIONS)
def test_cutting_off_the_future_changes_no_account(bars, name, since):
    rule, chosen = (thirds, {}) if name == "weights" else ("macd", {})
    whole = ran(bars, rule, chosen, since, **OPTIONS[name])
    assert whole.statistics["trades"] > 20
    for cut in (850, 1900):
        short = ran(bars.isel(time=slice(cut)), rule, chosen, since, **OPTIONS[name])
        times = short.equity.index
        np.testing.assert_allclose(short.equity, whole.equity[times], rtol=1e-12)
        np.testing.assert_allclose(short.holdings.fillna(0), whole.holdings.loc[times].fillna(0), rtol=1e-12)
        np.testing.assert_allclose(short.costs, whole.costs.loc[times], rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(short.benchmark_equity, whole.benchmark_equity[times], rtol=1e-12)


@pytest.mark.parametrize("name", OPTIONS)
def test_equity_is_cash_and_holdings_less_what_was_borrowed(bars, name):
    result = ran(bars, thirds if name == "weights" else "macd", **OPTIONS[name])
    shares = result.holdings.ffill().fillna(0)
    close = result.bars["close"].to_pandas().ffill().fillna(0)
    opens = result.bars["open"].to_pandas()
    cash = result.equity - (shares * close).sum(axis=1) + result.costs["borrow"].cumsum()
    if result.terms.direction == "long":
        assert (cash > -1e-6).all()
    if not result.terms.stops and result.terms.fill == "next_open":
        bought = (shares.diff().fillna(shares) * opens.fillna(0)).sum(axis=1)
        paid = result.costs["commission"] + result.costs["slippage"]
        np.testing.assert_allclose(cash, 100_000 - (bought + paid).cumsum(), rtol=1e-9, atol=1e-4)


def test_shared_cash_moves_between_symbols(bars):
    apart, shared = ran(bars), ran(bars, shared=True)
    assert not np.allclose(apart.equity, shared.equity)
    assert shared.provenance.parameters["shared"] is True
    entry = shared.trades.iloc[0]
    assert entry["size"] * entry["entry_price"] == pytest.approx(100_000 / 3 / 1.001)


def test_target_weights_are_held_in_one_account(bars):
    result = ran(bars, thirds)
    value = (result.holdings * result.bars["close"].to_pandas()).div(result.equity, axis=0)
    # The rule speaks at every twentieth close, and is filled at the next open.
    assert value["IBM"].iloc[21::20].between(0.3, 0.37).all()
    assert value["IBM"].iloc[1] == pytest.approx(1 / 3, abs=0.02)
    assert value["FB"].first_valid_index() >= pd.Timestamp("2012-05-18")
    assert (result.costs["commission"] > 0).sum() == pytest.approx(len(value) / 20, abs=1)


def test_a_delisted_symbol_keeps_its_last_value_in_an_account_of_its_own(bars):
    gone = bars.copy(deep=True)
    for field in ("open", "high", "low", "close", "volume"):
        gone[field].loc[{"symbol": "IBM", "time": slice("2008-06-02", None)}] = np.nan
    alone = ran(gone.sel(symbol=["IBM"]))
    result = ran(gone)
    assert result.holdings["IBM"].loc["2008-06-02":].isna().all()
    assert len(result.equity) == bars.sizes["time"]
    rest = ran(gone.sel(symbol=["AAPL", "FB"]), cash=200_000 / 3).equity
    last = alone.equity.loc[:"2008-06-01"].iloc[-1] / 3
    np.testing.assert_allclose(result.equity.loc["2008-06-02":], rest.loc["2008-06-02":] + last, rtol=1e-9)
    shared = ran(gone, shared=True).trades.query("symbol == 'IBM'")
    assert (shared["status"] == "closed").all()


def test_too_few_bars_are_told(bars):
    with pytest.raises(InputError, match="20 bars of AAPL, FB, IBM are too few for 'sma_cross'"):
        ran(bars.isel(time=slice(20)))


def test_a_price_that_stands_still_is_not_too_few_bars(bars):
    flat = bars.sel(symbol=["IBM"]).isel(time=slice(400)) * 0 + 20.0
    result = ran(flat.assign_attrs(bars.attrs), "momentum")
    assert result.statistics["trades"] == result.statistics["total_return"] == 0


@pytest.mark.parametrize(
    ("name", "strength", "fires", "evidence", "known"),
    [
        ("too few bars", np.nan, False, {"fast": 1.0, "slow": np.nan}, False),
        ("a price that stands still", np.nan, False, {"fast": 1.0, "slow": 1.0}, True),
        ("a text says nothing of it", np.nan, False, {"told": "a text"}, False),
        ("a rule that fires", np.nan, True, {}, True),
        ("a strength", 0.0, False, {"slow": np.nan}, True),
    ],
)
def test_a_rule_is_known_where_it_says_something(name, strength, fires, evidence, known):
    def cell(value):
        return xr.DataArray([[value]], dims=("time", "symbol"))

    shown = {field: cell(value) for field, value in evidence.items()}
    for sides in ((fires, False), (False, fires)):
        signals = make_signals(*map(cell, sides), cell(strength), shown)
        assert known_on(signals).to_numpy().tolist() == [[known]], name


def test_stops_need_highs_and_lows(bench):
    index = bench.bars(dataset="sp500_index", start="2010")
    with pytest.raises(InputError, match="'sp500_index' has no open, high, low, which a stop needs"):
        ran(index, fill="next_close", stops=Stops(loss=0.1))


def test_weights_beyond_the_account_name_the_strategy(bars):
    @strategy
    def doubled(bars, window: int = 2):
        """Hold everything three times."""
        signals = thirds.signals(bars)
        return signals.assign(weight=signals["weight"] * 3)

    with pytest.raises(StrategyError, match="strategy 'doubled' add up to 2 in size at 2005-01-03"):
        ran(bars, doubled)
