"""Alert rules on bars that are worked out by hand, and on real ones against pandas alone."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.alerts.bad import BadData
from workbench.alerts.evaluate import NamedRule, judge
from workbench.alerts.policy import make_policy
from workbench.alerts.rehearsal import rehearse
from workbench.alerts.rules import make_rule
from workbench.backtest.strategy import find_strategy
from workbench.core.calendar import session_closes
from workbench.core.errors import InputError
from workbench.data.checks import check_bars

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


def firings(bars, kind, policy=None, **values):
    """Return the days on which a rule that is evaluated at each bar's close is told."""
    rule = make_rule(kind, {"dataset": "d", "symbols": ["A"], **values})
    named = NamedRule("mine", kind, rule, "id", datetime(2024, 1, 1, tzinfo=UTC), make_policy(policy or {}))
    by = dict.fromkeys(rule.adjusts, bars)
    keys = [each.key for at in bars.indexes["time"] for each in judge(named, by, at)]
    days = [pd.Timestamp(key.partition(":A:")[2]).day for key in dict.fromkeys(keys) if key]
    assert [each.day for each in rehearse(named, by).table["time"]] == days
    return days


def test_a_cross_back_on_the_next_day_is_another_one():
    # Closes on 1, 2, 3, 5, 8 and 9 July: up through 10 on the 2nd, down on the 3rd, up on the 5th, down on the 9th.
    bars = small({"A": [9, 11, 9, 11, 12, 9]})
    for kind, values in (("price", {}), ("indicator", {"indicator": "close"})):
        assert firings(bars, kind, when="crosses", level=10, **values) == [2, 3, 5, 9]
        assert firings(bars, kind, when="crosses above", level=10, **values) == [2, 5]
        # On either side it must have been 1.5 away: at 12 it was.
        assert firings(bars, kind, {"release": 1.5}, when="crosses", level=10, **values) == [2, 9]
    # What lasts is told once.
    assert firings(bars, "price", when="above", level=10) == [2, 5]


def test_a_bar_of_which_nothing_is_known_is_no_end_of_what_holds():
    # 300 / 100, then no volume for a bar: its own multiple and those of the two bars after it are not known.
    bars = small({"A": [10] * 6}, {"A": [100, 100, 300, NAN, 900, 900]})
    assert firings(bars, "volume", multiple=2, window=2) == [3]


def test_a_move_counts_the_symbols_own_bars_and_its_own_direction():
    # 100, 104 (+4 %), 104, none, 98.8 (-5 % on the bar before; -1.2 % and -5 % over two).
    bars = small({"A": [100, 104, 104, NAN, 98.8]})
    assert holds("move", bars, percent=4) == [[0, 1, 0, 0, 1]]
    assert holds("move", bars, percent=4, direction="up") == [[0, 1, 0, 0, 0]]
    assert holds("move", bars, percent=4, direction="down") == [[0, 0, 0, 0, 1]]
    assert holds("move", bars, percent=4, window=2) == [[0, 0, 1, 0, 1]]
    assert holds("move", bars, percent=5.1) == [[0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("closes", "percent"), [([10, 14], 40), ([100, 113], 13), ([20, 20.58], 2.9), ([100, 87], 13), ([10, 9.3], 7)]
)
def test_a_move_of_the_limit_itself_holds_whatever_a_quotient_is_rounded_to(closes, percent):
    # (14 / 10 - 1) * 100 is 39.99999999999999 in double precision.
    assert holds("move", small({"A": closes}), percent=percent) == [[0, 1]]
    assert holds("move", small({"A": closes}), percent=percent + 0.001) == [[0, 0]]


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
    (found,) = judge(NamedRule("late", "missing", rule), {"all": whole}, pd.Timestamp("2024-07-05 22:00"))
    # It could be said then, and no earlier.
    assert (found.since, found.time) == (pd.Timestamp("2024-07-05 22:00"),) * 2
    (found,) = judge(NamedRule("late", "missing", rule), {"all": whole}, pd.Timestamp("2024-07-09 12:00"))
    assert found.found == "no bar for 2 sessions, the last on 2024-07-03"


def bad(bars, **values):
    symbols = [str(name) for name in bars["symbol"].to_numpy()]
    rule = BadData(dataset="d", symbols=symbols, **values)
    reading = rule.reading(bars, bars.indexes["time"][-1])
    return rule, reading, reading["holds"].transpose("symbol", "time").to_numpy().astype(int).tolist()


def test_prices_that_jump_or_stand_still_look_wrong():
    bars = small({"A": [10, 10, NAN, 10, 14, 10], "B": [NAN, 10, 10, 14.1, 14.1, 14.1]})
    # A: three own bars in a row, then +40 % and -28.6 %. B: +41 %, and three in a row.
    rule, reading, found = bad(bars, stale=3)
    assert found == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 1]]
    assert bad(bars, stale=3, jump=28)[2] == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 1]]
    assert bad(bars)[2] == [[0, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0]]
    said = [rule.said(reading.sel(symbol="A").isel(time=place), bars) for place in (1, 3, 4)]
    assert said == [
        "prices look as usual",
        "the same prices for 3 bars",
        "a jump of +40.0 % without a split or dividend",
    ]
    # A volume that changes is no price.
    assert bad(small({"A": [10, 10, 10]}, {"A": [1, 2, 3]}), stale=3)[2] == [[0, 0, 1]]


def test_data_look_wrong_where_the_checks_of_the_store_say_so_and_no_later_bar_is_asked(bars):
    spoiled = bars.copy(deep=True)
    for field in ("open", "high", "low", "close"):
        spoiled[field][500:506, 0] = spoiled[field][500, 0]
        spoiled[field][900, 2] *= 2.0
    stale = check_bars(spoiled, pd.DataFrame(columns=["symbol", "session", "reason"]))
    _, reading, found = bad(spoiled)
    named = dict(iter(stale.groupby("rule")))
    symbols = [str(name) for name in bars["symbol"].to_numpy()]
    # The check names all bars of a run; the rule holds from its fifth on.
    for place, symbol in enumerate(symbols):
        rows = {rule: int(own[own["symbol"] == symbol]["rows"].sum()) for rule, own in named.items()}
        runs = (reading["run"].sel(symbol=symbol) == 5).sum().item()
        expected = rows.get("jump without an action", 0) + rows.get("stale run", 0) - 4 * runs
        assert sum(found[place]) == expected, symbol
    assert sum(map(sum, found)) >= 4
    for cut in (504, 505, 900, 901):
        part = bad(spoiled.isel(time=slice(cut)))[1]
        xr.testing.assert_identical(part, reading.isel(time=slice(cut)))


def test_sessions_are_not_missing_where_a_bar_is_of_several():
    weekly = small({"A": [1, 1]}).assign_attrs(interval="1w")
    with pytest.raises(InputError, match="dataset 'd' has no bar for each session, its interval is 1w"):
        holds("missing", weekly)


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


@pytest.mark.parametrize("strategy", ["candlestick", "donchian_breakout", "momentum", "macd"])
def test_a_strategy_turns_where_its_side_changes_and_not_where_it_says_the_same_again(bars, strategy):
    one = bars.sel(symbol=["IBM"])
    signals = find_strategy(strategy).signals(one)
    is_in, turns = False, []
    for enters, leaves in zip(signals["entry"].to_numpy()[:, 0], signals["exit"].to_numpy()[:, 0], strict=True):
        turned = (enters and not is_in) or (leaves and is_in)
        turns.append(int(turned))
        is_in = is_in != turned
    assert holds("signal", one, strategy=strategy) == [turns]
    assert 10 < sum(turns) <= int((signals["entry"] | signals["exit"]).sum())


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


def test_a_fall_on_the_day_after_a_rise_is_another_move(bench):
    # Apple warned of its profit on 28 September 2000, after the close.
    rehearsed = bench.rehearse("move", symbols="AAPL", percent=5, start="2000-09-28", end="2000-09-29").table
    assert rehearsed["found"].tolist() == ["+9.32 % in 1 bar, limit +5 %", "-51.87 % in 1 bar, limit -5 %"]
    # Counted in plain pandas: beginnings of days in a row on one side.
    moves = bench.bars("AAPL", adjust="all")["close"].sel(symbol="AAPL").to_series().dropna().pct_change() * 100
    side = (moves >= 5).astype(int) - (moves <= -5).astype(int)
    began = side[(side != 0) & (side != side.shift(fill_value=0))]
    assert bench.rehearse("move", symbols="AAPL", percent=5).table["time"].tolist() == began.index.tolist()
