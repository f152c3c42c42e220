from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pydantic import Field

from workbench.analytics.signals import held, latest, make_signals
from workbench.backtest.strategies.combined import combine
from workbench.backtest.strategies.outside import signals_from, target_weights
from workbench.backtest.strategies.schedule import rebalancing
from workbench.backtest.strategy import find_strategy, fitting, installed, last_signals, strategy
from workbench.core.errors import InputError, ParameterError, StrategyError, UnknownNameError

BUILT_IN = {
    "sma_cross": r"SMA 20 is [+-]\d+\.\d% from SMA 100 \([\d.,]+ against [\d.,]+\)",
    "ema_cross": r"EMA 12 is [+-]\d+\.\d% from EMA 50 \([\d.,]+ against [\d.,]+\)",
    "macd": r"MACD 12/26 is [+-]\d+\.\d\d against its signal line [+-]\d+\.\d\d",
    "donchian_breakout": r"close [\d.,]+ between the 10-bar low [\d.,]+ and the 20-bar high [\d.,]+",
    "momentum": r"return over 252 bars is [+-]\d+\.\d%",
    "rsi_reversion": r"RSI 14 is \d+ \(oversold below 30, overbought above 70\)",
    "bollinger_reversion": r"close .* is [+-]\d\.\d standard deviations from its 20-bar mean \(lower band [\d.,]+\)",
    "bollinger_breakout": r"close .* is [+-]\d\.\d standard deviations from its 20-bar mean \(upper band [\d.,]+\)",
    "candlestick": r"candles: [a-z0-9, ]+ \(an entry is given up after 10 bars\)",
    "rotation": r"[12] of 2 by return over 126 bars to 5 bars ago \([+-]\d+\.\d%\); the best 2 are held",
    "pairs": r"log AAPL less -?\d\.\d\d log IBM is [+-]\d\.\d standard deviations off \(enter beyond 2, .*",
    "volatility_target": r"volatility \d+\.\d% a year against a target of 15.0%: \d+% of its share held",
}
"""The built-in strategies and what they say on the last bar of AAPL and IBM."""


@pytest.mark.parametrize(
    ("name", "given", "error", "said"),
    [
        ("sma_cross", {"fst": 3}, UnknownNameError, "parameter 'fst' in strategy 'sma_cross'; nearest known: fast"),
        ("sma_cross", {"fast": "x"}, ParameterError, "fast='x' is not valid"),
        ("sma_cross", {"fast": 1}, ParameterError, "fast=1 is not valid"),
        ("sma_cross", {"fast": 2.5}, ParameterError, "fast=2.5 is not valid"),
        ("sma_cross", {"fast": 100, "slow": 100}, ParameterError, "fast must be below slow"),
        ("macd", {"fast": 30}, ParameterError, "fast must be below slow"),
        ("rsi_reversion", {"low": 80}, ParameterError, "low must be below high"),
        ("rsi_reversion", {"high": 101}, ParameterError, "high=101 is not valid"),
        ("ema_cross", {"slow": 12}, ParameterError, "fast must be below slow"),
        ("ema_cross", {"slow": 2001}, ParameterError, "slow=2001 is not valid"),
        ("donchian_breakout", {"leave": 30}, ParameterError, "leave must not be above enter"),
        ("momentum", {"lookback": 0}, ParameterError, "lookback=0 is not valid"),
        ("bollinger_breakout", {"width": 0}, ParameterError, "width=0 is not valid"),
        ("candlestick", {"bullish": "hamer"}, ParameterError, "unknown pattern 'hamer'; nearest known: hammer"),
        ("candlestick", {"bullish": " , "}, ParameterError, "bullish names no pattern"),
        ("candlestick", {"hold": 0}, ParameterError, "hold=0 is not valid"),
        ("rotation", {"every": "week"}, ParameterError, "every='week' is not valid"),
        ("rotation", {"top": 0}, ParameterError, "top=0 is not valid"),
        ("pairs", {"leave": 2}, ParameterError, "leave must be below entry"),
        ("volatility_target", {"target": 0}, ParameterError, "target=0 is not valid"),
        ("volatility_target", {"band": -0.1}, ParameterError, "band=-0.1 is not valid"),
    ],
)
def test_parameters_that_are_not_valid_are_refused(name, given, error, said):
    with pytest.raises(error, match=said):
        find_strategy(name).validate(given)


def test_texts_are_typed_and_defaults_filled_in():
    assert find_strategy("sma_cross").validate({"fast": "15"}) == {"fast": 15, "slow": 100}


def test_an_unknown_strategy_is_told_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown strategy 'sma_cros'; nearest known: sma_cross"):
        find_strategy("sma_cros")


def test_a_function_becomes_a_strategy_that_the_bench_runs(bench):
    @strategy
    def always(bars, window: Annotated[int, Field(ge=2)] = 20):
        """Enter on the first bar."""
        signals = find_strategy("sma_cross").signals(bars)
        entry = signals["entry"].copy(data=signals["entry"].to_numpy() & False)
        entry[0] = True
        return signals.assign(entry=entry, exit=entry & False)

    result = bench.backtest(always, ["AAPL"], window=5)
    assert result.strategy == "always"
    assert result.provenance.parameters["window"] == 5
    assert result.statistics["total_return"] == pytest.approx(result.benchmark["total_return"])


def test_a_parameter_without_a_type_or_a_default_is_refused():
    with pytest.raises(ParameterError, match="needs a type and a default"):

        @strategy
        def bare(bars, window):
            return bars


def test_all_built_in_strategies_are_installed():
    assert set(BUILT_IN) <= set(installed())


@pytest.mark.parametrize(("name", "words"), BUILT_IN.items(), ids=BUILT_IN)
def test_a_strategy_says_why(bars, name, words):
    two = bars.sel(symbol=["AAPL", "IBM"])
    signals = find_strategy(name).signals(two)
    for reason in latest(signals)["reason"]:
        assert pd.Series([reason]).str.fullmatch(words).all(), reason
    assert float(abs(signals["strength"]).max()) <= 1
    assert float(signals["strength"].max()) > 0.5
    if name != "volatility_target":
        assert float(signals["strength"].min()) < -0.5


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_has_a_description_and_a_range(name):
    table = find_strategy(name).table()
    assert (table["description"] != "").all()
    assert ((table["range"] != "") | table.index.isin(["bullish", "bearish"])).all()


def test_a_strategy_shows_itself_with_its_ranges():
    sma = find_strategy("sma_cross")
    assert repr(sma) == "<Strategy sma_cross(fast=20, slow=100)>"
    assert sma.table().loc["fast"].tolist() == ["int", 20, "2 <= value <= 2000", "bars of the fast average"]
    assert find_strategy("rotation").table().loc["every", ["type", "range"]].tolist() == [
        "str or int",
        "month or quarter or year or never or 1 <= value <= 2000",
    ]
    shown = sma._repr_html_()
    assert "Long while the fast moving average is above the slow one." in shown
    assert "2 &lt;= value &lt;= 2000" in shown


def test_a_strategy_without_parameters_shows_itself():
    outside = signals_from(table(signal=[1, 1, 0]))
    assert outside.table().empty
    assert outside._repr_html_() == "<b>outside</b>: Follow a table of 3 signals from 2006-01-03 to 2006-02-01."


def test_a_strategys_words_are_escaped():
    @strategy
    def loud(bars, word: Annotated[str, Field(description="<b>")] = "<script>"):
        """Say <i>this</i>."""

    shown = loud._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "&lt;i&gt;" in shown
    assert "<script>" not in shown
    assert "<i>" not in shown


def nothing(bars):
    flags = bars["close"] > 1e9
    return make_signals(flags, flags, bars["close"] * 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda bars: 1 / 0, r"strategy 'spoilt' failed: ZeroDivisionError: division by zero \(line 5 of its rule\)"),
        (lambda bars: bars["clse"], "strategy 'spoilt' failed: KeyError: .*clse"),
        (lambda bars: bars["close"].to_numpy().fill(1.0), "strategy 'spoilt' failed: ValueError: .*read-only"),
        (lambda bars: bars["close"].data.__setitem__((0, 0), 9.0), "failed: ValueError: .*read-only"),
        (lambda bars: None, "strategy 'spoilt' gave NoneType, not Signals"),
        (lambda bars: nothing(bars.isel(time=slice(9))), "have 9 times that are not the"),
        (lambda bars: nothing(bars).assign(entry=bars["close"].isnull()), "has an entry for FB at 2005-01-03"),
        (
            lambda bars: nothing(bars).assign(weight=bars["close"] / 0),
            "weight of strategy 'spoilt' is infinite for AAPL",
        ),
    ],
)
def test_a_rule_that_fails_is_told_with_its_line(bars, spoil, words):
    @strategy
    def spoilt(bars, window: int = 5):
        """Fail."""
        signals = nothing(bars)
        return spoil(bars) if window else signals

    before = bars["close"].to_numpy().copy()
    with pytest.raises(StrategyError, match=words):
        spoilt.signals(bars)
    np.testing.assert_array_equal(bars["close"], before)


def test_what_a_rule_raised_is_the_cause_and_our_own_errors_pass(bars):
    @strategy
    def dividing(bars):
        return bars / int(0 * bars.sizes["time"]) if 1 / (bars.sizes["symbol"] - 3) else bars

    with pytest.raises(StrategyError, match="line 3 of its rule") as caught:
        dividing.signals(bars)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)

    @strategy
    def asking(bars):
        return find_strategy("sma_cross").signals(bars, fast=1)

    with pytest.raises(ParameterError, match="fast=1 is not valid"):
        asking.signals(bars)


def test_bars_that_a_strategy_cannot_look_at_are_refused(bench, bars):
    with pytest.raises(InputError, match=r"strategy 'pairs' needs 2 symbols \(given: 1\)"):
        find_strategy("pairs").signals(bars.sel(symbol=["IBM"]))
    closes = bench.bars(dataset="sp500_index")
    with pytest.raises(InputError, match="has no high, low, which strategy 'donchian_breakout' needs"):
        find_strategy("donchian_breakout").signals(closes)


def test_only_strategies_that_fit_are_asked(bench, bars):
    assert {each.name for each in fitting(bars)} >= set(BUILT_IN)
    names = {each.name for each in fitting(bench.bars(dataset="sp500_index"))}
    assert "sma_cross" in names
    assert not names & {"pairs", "rotation", "candlestick", "donchian_breakout"}
    table = last_signals(bars.sel(symbol=["IBM"]))
    assert set(BUILT_IN) - set(table["strategy"]) == {"pairs", "rotation"}
    assert last_signals(bars, []).empty


def test_the_built_ins_run_over_many_symbols_at_once(bars):
    many = xr.concat([bars.assign_coords(symbol=[f"{s}{i}" for s in "ABC"]) for i in range(20)], "symbol")
    many = many.transpose("time", "symbol")
    for name in BUILT_IN:
        found = find_strategy(name).signals(many)
        assert found.sizes["symbol"] == 60
        if find_strategy(name).symbols == 1 and name != "volatility_target":
            alone = find_strategy(name).signals(bars)
            np.testing.assert_array_equal(found["entry"][:, -3:], alone["entry"])


@pytest.mark.parametrize(
    ("every", "days"),
    [
        ("month", ["2012-01-30", "2012-02-01", "2012-03-01", "2012-04-02"]),
        ("quarter", ["2012-01-30", "2012-04-02"]),
        ("year", ["2012-01-30"]),
        ("never", ["2012-01-30"]),
        (20, ["2012-01-30", "2012-02-27", "2012-03-26"]),
    ],
)
def test_a_basket_is_rebalanced_at_the_first_bar_of_each_period(every, days):
    times = pd.bdate_range("2012-01-26", "2012-04-12")
    ready = times >= "2012-01-30"
    assert times[rebalancing(ready, times, every)].strftime("%Y-%m-%d").tolist() == days


def test_a_basket_that_is_never_ready_is_never_rebalanced():
    times = pd.bdate_range("2012-01-26", periods=9)
    assert not rebalancing(np.zeros(9, dtype=bool), times, "month").any()


def test_combined_strategies_carry_the_parameters_of_their_parts(bars):
    both = combine(["sma_cross", "sma_cross", "pairs"], "any")
    assert both.symbols == 2
    assert both.validate({"sma_cross_2__fast": "10"}) | {"sma_cross_2__fast": 20} == both.validate({})
    found = both.signals(bars, sma_cross_2__fast=5, sma_cross_2__slow=30)
    parts = [find_strategy("sma_cross").signals(bars), find_strategy("sma_cross").signals(bars, fast=5, slow=30)]
    states = [held(part) for part in (*parts, find_strategy("pairs").signals(bars))]
    np.testing.assert_array_equal(held(found), np.maximum.reduce(states))


@pytest.mark.parametrize(
    ("parts", "options", "given", "error", "words"),
    [
        (["sma_cros"], {}, {}, UnknownNameError, "nearest known: sma_cross"),
        ([], {}, {}, ParameterError, "no strategies to combine"),
        (["macd"], {"how": "most"}, {}, UnknownNameError, "unknown way of combining"),
        (["macd"], {"how": "weighted", "threshold": 2}, {}, ParameterError, "threshold=2 is out of range"),
        (["macd"], {"how": "weighted"}, {"threshold": 0}, ParameterError, "threshold=0 is not valid"),
        (["macd"], {"how": "weighted"}, {"weight__macd": 0}, ParameterError, "all weights are 0"),
        (["macd"], {"how": "weighted"}, {"weight__macd": "inf"}, ParameterError, "weight__macd='inf' is not valid"),
        (["macd", "sma_cross"], {}, {"macd__fast": 40}, ParameterError, "macd: fast must be below slow"),
        (["macd", "sma_cross"], {}, {"sma_cross__fast": 1}, ParameterError, "sma_cross__fast=1 is not valid"),
        (["macd"], {}, {"fast": 3}, UnknownNameError, "nearest known: macd__fast"),
    ],
)
def test_combinations_that_do_not_fit_are_refused(parts, options, given, error, words):
    with pytest.raises(error, match=words):
        combine(parts, **options).validate(given)


def test_a_combination_runs_in_a_backtest_and_a_sweep(bench):
    weighted = combine(["sma_cross", "momentum"], "weighted", [1, 3], 0.6)
    result = bench.backtest(weighted, ["IBM"], sma_cross__fast=10)
    assert len(result.trades) > 3
    assert result.provenance.parameters["weight__momentum"] == 3
    grid = {"sma_cross__fast": [10, 20], "threshold": [0.2, 0.6]}
    swept = bench.sweep(weighted, ["IBM"], progress=False, **grid)
    assert swept["trades"].shape == (2, 2, 1)
    assert float(swept["trades"].sel(sma_cross__fast=10, threshold=0.6).item()) == result.statistics["trades"]


def table(**columns):
    rows = {"symbol": ["IBM", "AAPL", "IBM"], "time": ["2006-01-03", "2006-01-03T21:00", "2006-02-01T21:00:01"]}
    return pd.DataFrame(rows | columns)


def days(values):
    return [f"{day:%Y-%m-%d}" for day in values.to_series()[values.to_series()].index]


def test_a_row_counts_at_the_first_close_at_or_after_its_time(bars):
    found = signals_from(table(signal=["buy", 1, "sell"])).signals(bars)
    assert days(found["entry"].sel(symbol="IBM")) == ["2006-01-03"]
    assert days(found["entry"].sel(symbol="AAPL")) == ["2006-01-03"]
    # A second after the close of 2006-02-01 is known at the next one.
    assert days(found["exit"].sel(symbol="IBM")) == ["2006-02-02"]


def test_times_with_a_zone_are_read_in_it(bars):
    stamps = ["2006-01-03T16:00-05:00", pd.Timestamp("2006-01-03 16:01", tz="America/New_York"), "2006-01-05"]
    found = signals_from(pd.DataFrame({"symbol": "IBM", "time": stamps, "signal": [1, 0, 1]})).signals(bars)
    assert days(found["entry"].sel(symbol="IBM")) == ["2006-01-03", "2006-01-05"]
    assert days(found["exit"].sel(symbol="IBM")) == ["2006-01-04"]


def test_a_row_waits_for_the_symbols_own_bar_and_the_latest_of_a_bar_counts(bars):
    rows = {"symbol": "FB", "time": ["2012-01-01", "2012-02-01", "2012-06-02", "2012-06-03"], "signal": [1, 0, 0, 1]}
    found = signals_from(pd.DataFrame(rows)).signals(bars)
    assert days(found["exit"].sel(symbol="FB")) == ["2012-05-18"]
    assert days(found["entry"].sel(symbol="FB")) == ["2012-06-04"]


def test_flat_and_short_are_told_apart_by_weights(bars):
    found = signals_from(table(signal=[1, -1, 0])).signals(bars)["weight"].to_pandas().dropna(how="all")
    third = 1 / 3
    assert found[["AAPL", "FB", "IBM"]].to_numpy().tolist() == [[-third, 0, third], [-third, 0, 0]]


def test_the_rows_of_one_time_are_the_whole_account(bars):
    rows = {
        "symbol": ["IBM", "AAPL", "IBM"],
        "time": ["2006-01-03", "2006-01-03", "2006-02-01"],
        "weight": [0.4, 0.6, 1],
    }
    found = signals_from(pd.DataFrame(rows)).signals(bars)["weight"].to_pandas().dropna(how="all").fillna(0)
    assert found[["AAPL", "FB", "IBM"]].to_numpy().tolist() == [[0.6, 0, 0.4], [0, 0, 1]]


def test_a_file_is_read_and_says_what_it_says(bars, tmp_path):
    path = tmp_path / "signals.csv"
    path.write_text("symbol,time,signal,strength,reason\nIBM,2006-01-03,buy,0.7,{model} says so\nAAPL,2006-01-03,0,,\n")
    told = latest(signals_from(path, name="model").signals(bars))
    assert told.loc["IBM", ["state", "strength", "reason"]].tolist() == ["long", 0.7, "from outside: {model} says so"]
    assert told.loc["AAPL", ["state", "strength", "reason"]].tolist() == ["flat", 0, "from outside: no reason given"]
    assert told.loc["FB", "reason"] == "from outside: no row yet"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"time": None}, "row 1 of the table: time=None is not valid: give a date"),
        ({"time": ["2006-01-03", "soon", "2006"]}, "row 2 of the table: time='soon' is not valid: 'soon' is no date"),
        ({"time": [1136235600, 1, 2]}, "row 1 of the table: time=1136235600 is not valid"),
        ({"time": ["2006", pd.NaT, "2007"]}, "row 2 of the table: time=NaT is not valid"),
        ({"symbol": ["IBM", np.nan, "IBM"]}, "row 2 of the table: symbol=nan is not valid: give a symbol"),
        ({"signal": [1, 2, 0]}, "row 2 of the table: signal=2 is not valid: give 1 or buy"),
        ({"signal": ["buy", "by", "sell"]}, "row 2 of the table: signal='by' is not valid"),
        ({"signal": [1, np.nan, 0]}, "row 2 of the table: signal=nan is not valid: give a finite number"),
        ({"strength": [0, 0, 1.5]}, "row 3 of the table: strength=1.5 is not valid: give a number from -1 to 1"),
        ({"symbol": "IBM", "time": "2006-01-03"}, "the table has two rows for IBM at 2006-01-03 00:00:00; keep one"),
        ({"weight": 1.0}, "needs rows, and the columns symbol, time and one of signal and weight"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(rows, words):
    with pytest.raises(InputError, match=words):
        signals_from(table(signal=[1, 1, 0]).assign(**rows))


@pytest.mark.parametrize("column", ["symbol", "time", "signal"])
def test_a_table_without_a_column_or_rows_is_refused(column, tmp_path):
    whole = table(signal=[1, 1, 0])
    with pytest.raises(InputError, match="needs rows, and the columns"):
        signals_from(whole.drop(columns=column))
    with pytest.raises(InputError, match="given: 0 rows"):
        signals_from(whole[:0])
    with pytest.raises(InputError, match=r"cannot be read .*; give a CSV file with a header"):
        signals_from(tmp_path / "none.csv")


def test_rows_that_the_bars_cannot_answer_are_refused(bars):
    with pytest.raises(InputError, match="has rows for AAPL, which the bars do not have; ask for these symbols"):
        signals_from(table(signal=[1, 1, 0])).signals(bars.sel(symbol=["IBM"]))
    with pytest.raises(InputError, match="all 3 rows of the table of 'outside' are before the first bar, 2008"):
        signals_from(table(signal=[1, 1, 0])).signals(bars.sel(time=slice("2008", None)))


def test_target_weights_are_set_again_at_dates(bars):
    found = target_weights({"AAPL": 0.6, "FB": 0.4}, every="year").signals(bars)["weight"].to_pandas().dropna(how="all")
    assert found.index.strftime("%Y-%m-%d").tolist()[:2] == ["2005-01-03", "2006-01-03"]
    # What has not had a bar yet is cash.
    assert found[["AAPL", "FB", "IBM"]].to_numpy()[[0, -1]].tolist() == [[0.6, 0, 0], [0.6, 0.4, 0]]
    assert len(target_weights({"AAPL": 0.6}).signals(bars, every="never")["weight"].dropna("time", how="all")) == 1


@pytest.mark.parametrize("weights", [{}, {"IBM": 0}, {"IBM": 0.7, "AAPL": -0.4}, {"IBM": float("nan")}])
def test_target_weights_that_no_account_can_hold_are_refused(weights):
    with pytest.raises(ParameterError, match="give shares that add up to 1 at most"):
        target_weights(weights)


def test_target_weights_name_what_the_bars_do_not_have(bars):
    with pytest.raises(InputError, match="has weights for MSFT, which the bars do not have"):
        target_weights({"MSFT": 1.0}).signals(bars)
    with pytest.raises(UnknownNameError, match="unknown period 'week'"):
        target_weights({"IBM": 1.0}, every="week")
    with pytest.raises(ParameterError, match="every='week' is not valid"):
        target_weights({"IBM": 1.0}).validate({"every": "week"})
