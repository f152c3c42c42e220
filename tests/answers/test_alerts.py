"""Alert rules on bars that are worked out by hand, and on real ones against pandas alone."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.rules import make_rule
from workbench.backtest.strategy import find_strategy
from workbench.core.calendar import session_closes

NAN = float("nan")
DAYS = pd.DatetimeIndex(["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08", "2024-07-09"])
"""Six sessions in a row: the fourth of July is none, and the third ends early."""


def small(closes, volumes=None):
    """Return Bars of symbols with these closes, one for each of ``DAYS``."""
    table = np.array(list(closes.values()), dtype="float64").T
    volume = np.array(list((volumes or dict.fromkeys(closes, [100.0] * len(table))).values()), dtype="float64").T
    times = session_closes("XNYS", DAYS[: len(table)]).tz_localize(None).to_numpy()
    fields = dict.fromkeys(("open", "high", "low", "close"), (("time", "symbol"), table))
    fields["volume"] = (("time", "symbol"), np.where(np.isnan(table), NAN, volume))
    attrs = {"dataset": "d", "version": "d@1", "interval": "1d", "currency": "USD", "calendar": "XNYS"}
    attrs |= {"adjustment": "all", "source": "s", "as_of": "2024-07-10", "fields": tuple(fields)}
    return xr.Dataset(fields, coords={"time": times, "symbol": np.array(list(closes), dtype=object)}, attrs=attrs)


def holds(kind, bars, **values):
    symbols = [str(name) for name in bars["symbol"].to_numpy()]
    rule = make_rule(kind, {"dataset": "d", "symbols": symbols, **values})
    reading = rule.reading(bars, bars.indexes["time"][-1])
    return reading["holds"].transpose("symbol", "time").to_numpy().astype(int).tolist()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        # Closes 9, 10, 11, none, 10, 9 at a level of 10: at the level is neither above nor below.
        ("above", [0, 0, 1, 0, 0, 0]),
        ("below", [1, 0, 0, 0, 0, 1]),
        # A cross is from at or below to above; a session without a bar is passed over.
        ("crosses above", [0, 0, 1, 0, 0, 0]),
        ("crosses below", [0, 0, 0, 0, 0, 1]),
        ("crosses", [0, 0, 1, 0, 0, 1]),
    ],
)
def test_a_price_at_a_level(when, expected):
    bars = small({"A": [9, 10, 11, NAN, 10, 9]})
    assert holds("price", bars, when=when, level=10) == [expected]
    line = {"indicator": "close", "when": when}
    assert holds("indicator", bars, **line, level=10) == [expected]


def test_a_move_counts_the_symbols_own_bars_and_its_own_direction():
    # 100, 104 (+4 %), 104, none, 98.8 (-5 % on the bar before; -1.2 % and -5 % over two).
    bars = small({"A": [100, 104, 104, NAN, 98.8]})
    assert holds("move", bars, percent=4) == [[0, 1, 0, 0, 1]]
    assert holds("move", bars, percent=4, direction="up") == [[0, 1, 0, 0, 0]]
    assert holds("move", bars, percent=4, direction="down") == [[0, 0, 0, 0, 1]]
    assert holds("move", bars, percent=4, window=2) == [[0, 0, 1, 0, 1]]
    assert holds("move", bars, percent=5.1) == [[0, 0, 0, 0, 0]]


def test_a_volume_spike_is_measured_by_the_bars_before_it():
    bars = small({"A": [10] * 5, "B": [10] * 5}, {"A": [100, 100, 300, 100, 400], "B": [0, 0, 100, 100, 100]})
    # A: 300 / 100 = 3; 100 / 200; 400 / 200 = 2. B: nothing was traded in the two bars before the third.
    assert holds("volume", bars, multiple=2, window=2) == [[0, 0, 1, 0, 1], [0, 0, 0, 1, 0]]


def test_missing_sessions_are_counted_by_the_exchange_and_the_grace():
    bars = small({"A": [1, NAN, NAN, 1, NAN, NAN], "B": [NAN, 1, 1, 1, 1, 1]})
    assert holds("missing", bars) == [[0, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
    assert holds("missing", bars, sessions=2) == [[0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0]]
    whole = small({"A": [1, 1, 1]})
    rule = make_rule("missing", {"dataset": "d", "symbols": ["A"], "grace": 2})
    # The bar of 3 July is there; 4 July is no session; that of the 5th closes at 20:00 UTC.
    for moment, state in [
        ("2024-07-05 13:00", "quiet"),
        ("2024-07-05 21:59", "quiet"),
        ("2024-07-05 22:00", "fired"),
    ]:
        (found,) = judge(NamedRule("late", "missing", rule), {"all": whole}, pd.Timestamp(moment))
        assert found.state == state, moment
    (found,) = judge(NamedRule("late", "missing", rule), {"all": whole}, pd.Timestamp("2024-07-09 12:00"))
    assert found.found == "no bar for 2 sessions, the last on 2024-07-03"


def test_a_price_and_its_mean_cross_where_pandas_says_so(bars):
    close = bars["close"].sel(symbol="IBM").to_series()
    above = close > close.rolling(50).mean()
    known = close.rolling(50).mean().notna()
    expected = above & ~above.shift(1, fill_value=False) & known.shift(1, fill_value=False)
    against = {"indicator": "sma", "parameters": {"window": 50}}
    given = {"indicator": "close", "when": "crosses above", "against": against}
    (found,) = holds("indicator", bars.sel(symbol=["IBM"]), **given)
    assert np.flatnonzero(found).tolist() == np.flatnonzero(expected).tolist()
    assert sum(found) > 20


def test_a_rule_of_weights_turns_short_as_well_as_long(bars):
    pair = bars.sel(symbol=["AAPL", "IBM"])
    rule = find_strategy("pairs")
    weight = rule.signals(pair, **rule.validate({}))["weight"].to_pandas()
    sides = np.sign(weight.dropna(how="all").fillna(0.0)).reindex(weight.index).ffill().fillna(0.0).astype(int)
    before = sides.shift(1, fill_value=0)
    expected = {
        "any": sides != before,
        "enter": (sides != before) & (sides != 0),
        "exit": (sides != before) & (before != 0),
    }
    assert (sides == -1).any().all()
    for change, table in expected.items():
        found = holds("signal", pair, strategy="pairs", change=change)
        assert found == table.to_numpy().T.astype(int).tolist(), change


def test_a_signal_changes_where_the_strategy_turns_and_is_near_where_its_lines_are(bars):
    one = bars.sel(symbol=["AAPL"])
    fast, slow = (one["close"].to_pandas()["AAPL"].rolling(window).mean() for window in (20, 100))
    above = (fast > slow)[slow.notna()]
    turns = above != above.shift(1)
    turns.iloc[0] = False
    (found,) = holds("signal", one, strategy="sma_cross", parameters={"fast": 20, "slow": 100})
    own = pd.Series(found, index=one.indexes["time"])
    assert own[own == 1].index.tolist() == turns[turns].index.tolist()
    rule = make_rule("signal", {"dataset": "d", "symbols": ["AAPL"], "strategy": "sma_cross"})
    (said,) = judge(NamedRule("turn", "signal", rule), {"all": one}, one.indexes["time"][-1])
    apart = (slow - fast).abs()
    usual = (fast - slow).iloc[-21:].diff().abs().median()
    assert said.state == "quiet"
    assert said.distance == pytest.approx(apart.iloc[-1] / usual, rel=1e-9)
