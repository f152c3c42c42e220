"""Rules that look ahead on purpose, each in a way that people do by mistake, and honest rules beside them."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from html import escape

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.signals import crossed_above, make_signals
from workbench.backtest.strategy import strategy
from workbench.backtest.validation.histories import choose_cuts
from workbench.backtest.validation.lookahead import Leak, check_lookahead
from workbench.core.errors import InputError, ParameterError, StrategyError, UnknownNameError


@pytest.fixture(scope="module")
def panel(bench):
    """Bars of Apple and, from 2012-05-18 on, Facebook."""
    return bench.bars(["AAPL", "FB"], start="2010")


def frame_rule(above):
    """Make a rule of a function from closes to a frame: enter where it turns positive, leave where negative."""

    def rule(bars, window: int = 20):
        """Follow a line."""
        close = bars["close"]
        value = close.copy(data=np.asarray(above(close.to_pandas(), window), dtype="float64"))
        zero = xr.zeros_like(value)
        return make_signals(crossed_above(value, zero), crossed_above(zero, value), value, {"line": value}, "{line}")

    rule.__name__ = above.__name__
    return strategy(rule)


def tomorrows_close(close, window):
    return close.shift(-1) - close


def tomorrows_close_or_nothing(close, window):
    # A missing tomorrow looks like a day without a change: cutting history off may change nothing here.
    return (close.shift(-1).fillna(close) / close - 1).round(2)


def whole_sample_score(close, window):
    return (close - close.mean()) / close.std()


def highest_of_all_prices(close, window):
    return close - 0.9 * close.max()


def filled_from_behind(close, window):
    return close - close.rolling(window).mean().bfill()


def centred_average(close, window):
    return close - close.rolling(window, center=True, min_periods=1).mean()


def months_last_close(close, window):
    # The label of a month is its first day, so that its last close is known from then on.
    monthly = close.resample("MS").last()
    return close - monthly.reindex(close.index, method="ffill")


def whole_sample_rank(close, window):
    return close.rank(pct=True) - 0.5


def smoothed_backwards(close, window):
    return close - close[::-1].ewm(span=window).mean()[::-1]


def filled_between(close, window):
    # Every fifth close is seen, the days between are drawn as a straight line to the next one.
    seen = close[np.arange(len(close)) % 5 == 0].reindex(close.index)
    return close - seen.interpolate(limit_direction="forward")


LEAKS = [
    tomorrows_close,
    tomorrows_close_or_nothing,
    whole_sample_score,
    highest_of_all_prices,
    filled_from_behind,
    centred_average,
    months_last_close,
    whole_sample_rank,
    smoothed_backwards,
    filled_between,
]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda function: function.__name__)
def test_a_rule_that_looks_ahead_is_caught(panel, leak):
    check = check_lookahead(frame_rule(leak), panel, cuts=10)
    assert not check.passed
    assert check.leak.time <= check.leak.history_ends
    assert repr(check).startswith(f"strategy '{leak.__name__}' looks ahead: ")


def moving_average(close, window):
    return close - close.rolling(window).mean()


def score_so_far(close, window):
    return (close - close.expanding(60).mean()) / close.expanding(60).std()


def exponential_average(close, window):
    return close - close.ewm(span=window).mean()


def last_months_close(close, window):
    monthly = close.resample("MS").last().shift(1)
    return close - monthly.reindex(close.index, method="ffill")


@pytest.mark.parametrize(
    "honest",
    [moving_average, score_so_far, exponential_average, last_months_close],
    ids=lambda function: function.__name__,
)
def test_an_honest_rule_passes(panel, honest):
    check = check_lookahead(frame_rule(honest), panel, cuts=10)
    assert check.passed, check
    assert check.leak is None
    assert check.compared == 2 * check.cuts
    assert check.leaks.empty


@strategy
def pivots(bars, window: int = 2):
    """Enter at lows that only the days after show to be lows, and tell it by booleans alone."""
    close = bars["close"].to_pandas()
    low = (close == close.rolling(2 * window + 1, center=True).min()).to_numpy()
    high = (close == close.rolling(2 * window + 1, center=True).max()).to_numpy()
    entry = bars["close"].copy(data=low)
    return make_signals(entry, bars["close"].copy(data=high), xr.ones_like(bars["close"]))


def test_the_sentence_names_the_first_value_that_changed(panel):
    check = check_lookahead(pivots, panel)
    leak, signals = check.leak, pivots.signals(panel)
    assert repr(check) == f"strategy 'pivots' looks ahead: {leak}"
    row = check.leaks.query("future == 'cut off' and variable == 'entry'").iloc[0]
    place = {"symbol": row["symbol"], "time": row["time"]}
    assert bool(signals["entry"].sel(place))
    short = pivots.signals(panel.sel(time=slice(None, row["history_ends"])))
    assert not bool(short["entry"].sel(place))
    assert str(Leak(*row.drop("changed"))) == (
        f"entry of {row['symbol']} on {row['time']:%Y-%m-%d} is True with the future "
        f"and False when history ends {row['history_ends']:%Y-%m-%d}"
    )
    assert check.leaks["time"].is_monotonic_increasing
    assert set(check.leaks["variable"]) == {"entry", "exit"}
    assert "looks ahead" in check._repr_html_()
    with pytest.raises(FrozenInstanceError):
        check.cuts = 0


def test_weights_are_under_the_check(panel):
    @strategy
    def best_of_tomorrow(bars, window: int = 2):
        """Hold what will rise."""
        flat = xr.zeros_like(bars["close"], dtype=bool)
        weight = (bars["close"].shift(time=-1) > bars["close"]).astype(float)
        return make_signals(flat, flat, xr.zeros_like(bars["close"])).assign(weight=weight)

    check = check_lookahead(best_of_tomorrow, panel, cuts=5)
    assert check.leak.variable in ("entry", "exit", "weight")
    assert "weight" in set(check.leaks["variable"])


def test_what_only_tells_the_reason_is_under_the_check_too(panel):
    @strategy
    def boast(bars, window: int = 2):
        """Tell tomorrow's close."""
        flat = xr.zeros_like(bars["close"], dtype=bool)
        evidence = {"tomorrow": bars["close"].shift(time=-1)}
        return make_signals(flat, flat, xr.zeros_like(bars["close"]), evidence, "{tomorrow}")

    assert check_lookahead(boast, panel, cuts=5).leak.variable == "tomorrow"


def test_a_rule_that_fails_on_short_history_is_no_leak(panel):
    @strategy
    def patient(bars, window: int = 400):
        """Want many bars."""
        if bars.sizes["time"] < window:
            raise ValueError("too short")
        return frame_rule(moving_average).signals(bars)

    check = check_lookahead(patient, panel)
    assert check.passed
    assert check.cuts <= check.compared < check.runs
    first = "StrategyError: strategy 'patient' failed: ValueError: too short"
    failed = f"{check.runs - check.compared} of {check.runs} runs failed: {first}"
    assert f"bars; {failed}" in repr(check)
    assert escape(failed) in check._repr_html_()
    assert "ValueError: too short" in check.to_dict()["error"]


@pytest.mark.parametrize("kind", ["cut off", "replaced"])
def test_a_rule_that_fails_on_every_history_of_a_kind_has_not_passed(panel, kind):
    @strategy
    def picky(bars, window: int = 20):
        """Want as many bars as there are, or the same prices."""
        short = bars.sizes["time"] < panel.sizes["time"]
        if short if kind == "cut off" else not (short or bars.equals(panel)):
            raise ValueError("not these")
        return frame_rule(moving_average).signals(bars)

    check = check_lookahead(picky, panel, cuts=4)
    assert not check.passed
    assert check.leak is None
    assert min(check.cut_off, check.replaced) == 0
    assert repr(check).startswith(
        f"strategy 'picky' is not checked: it gave no answer with the future {kind}; "
        f"{check.cuts} of {check.runs} runs failed: StrategyError: strategy 'picky' failed: ValueError: not these"
    )
    assert check._repr_html_().startswith("<div>✗")
    assert check.to_dict()["passed"] is False


def test_evidence_that_is_told_on_all_bars_only_is_a_change(panel):
    @strategy
    def coy(bars, window: int = 20):
        """Tell the line where all bars are there."""
        flat = xr.zeros_like(bars["close"], dtype=bool)
        whole = bars.sizes["time"] == panel.sizes["time"]
        return make_signals(flat, flat, bars["close"], {"line": bars["close"]} if whole else None)

    check = check_lookahead(coy, panel, cuts=4)
    assert set(check.leaks["variable"]) == {"line"}
    assert set(check.leaks["without"]) == {"missing"}
    assert "and missing when history ends" in repr(check)


def test_a_rule_that_fails_on_every_other_history_is_told(panel):
    @strategy
    def exact(bars, window: int = 3):
        """Want these bars and no others."""
        if not bars.equals(panel):
            raise ValueError("others")
        return frame_rule(moving_average).signals(bars)

    with pytest.raises(InputError, match=r"'exact' failed on every changed history; .*ValueError: others"):
        check_lookahead(exact, panel, cuts=3)


def test_a_rule_that_throws_dice_is_told(panel):
    generator = np.random.default_rng(1)

    @strategy
    def dice(bars, window: int = 3):
        """Enter by chance."""
        draw = bars["close"].copy(data=generator.random(bars["close"].shape)).where(bars["close"].notnull())
        return make_signals(draw > 0.9, draw < 0.1, draw)

    with pytest.raises(StrategyError, match="'dice' answers differently each time; give its randomness a seed"):
        check_lookahead(dice, panel, cuts=3)


def test_the_same_seed_finds_the_same(panel):
    first, again, other = (check_lookahead(pivots, panel, cuts=6, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.leaks, again.leaks)
    assert not first.leaks["history_ends"].equals(other.leaks["history_ends"])


def test_the_future_is_cut_off_where_the_rule_fires_and_all_over_history(panel):
    signals = frame_rule(moving_average).signals(panel)
    chosen = choose_cuts(panel, signals, 30, np.random.default_rng(0))
    fired = np.flatnonzero((signals["entry"] | signals["exit"]).any("symbol"))
    assert 20 <= len(chosen) <= 30
    assert len(set(chosen) & set(fired)) >= 12
    assert chosen.max() < panel.sizes["time"] - 1
    quarters = np.histogram(chosen, bins=4, range=(0, panel.sizes["time"]))[0]
    assert quarters.min() >= 2


def test_bars_within_a_day_are_told_by_their_hour(panel):
    leak = check_lookahead(pivots, panel.assign_attrs(interval="1h"), cuts=5).leak
    assert f"{leak.time:%Y-%m-%d %H:%M} UTC" in str(leak)


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"cuts": 0}, ParameterError, "cuts=0 is out of range"),
        ({"parameters": {"slow": 5}}, UnknownNameError, "unknown parameter 'slow'"),
        ({"strategy": "sma_kross"}, UnknownNameError, "nearest known: sma_cross"),
    ],
)
def test_a_check_that_cannot_be_made_is_told(panel, asked, error, told):
    with pytest.raises(error, match=told):
        check_lookahead(**{"strategy": pivots, "bars": panel, **asked})


def test_too_few_bars_are_told(panel):
    with pytest.raises(InputError, match="10 bars are too few"):
        check_lookahead("sma_cross", panel.isel(time=slice(10)))


def test_a_check_becomes_json(panel):
    told = json.loads(json.dumps(check_lookahead(pivots, panel, cuts=3).to_dict()))
    assert told["passed"] is False
    assert told["told"].startswith("strategy 'pivots' looks ahead")
