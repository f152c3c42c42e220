from __future__ import annotations

import pandas as pd
import pytest

from workbench.backtest.engine import simulate, simulate_shared
from workbench.backtest.strategy import find_strategy
from workbench.backtest.terms import Costs, Sizing, Stops, Terms

DAYS = pd.date_range("2012-01-02", periods=4)


def priced(*rows):
    """A first quiet bar at 100, then ``open high low close`` of each bar."""
    quiet = [(100.0, 100.0, 100.0, 100.0)]
    rows = [*quiet, *rows, *quiet * (3 - len(rows))]
    return pd.DataFrame(rows, columns=["open", "high", "low", "close"], index=DAYS, dtype="float64")


def fires(*bars):
    return pd.Series([bar in bars for bar in range(4)], index=DAYS)


def exits(frame, stops, short=False, costs=(0.0, 0.0), fill="next_open", again=()):
    terms = Terms(Costs(*costs), 1000.0, "both" if short else "long", fill, stops=stops)
    sides = (fires(*again), fires(0)) if short else (fires(0, *again), fires())
    return simulate(frame, *sides, terms)


QUIET = (100, 101, 99, 100)


@pytest.mark.parametrize(
    ("name", "stops", "rows", "day", "price"),
    [
        ("a loss within the bar fills at the stop", Stops(loss=0.1), [QUIET, (98, 99, 85, 95)], 2, 90),
        ("a loss on the bar of the entry counts", Stops(loss=0.1), [(100, 101, 85, 95)], 1, 90),
        ("a gap beyond the loss fills at the open", Stops(loss=0.1), [QUIET, (80, 99, 75, 95)], 2, 80),
        ("a touch is a hit", Stops(loss=0.1), [QUIET, (98, 99, 90, 95)], 2, 90),
        ("a profit within the bar fills at the stop", Stops(profit=0.1), [QUIET, (104, 115, 100, 101)], 2, 110),
        ("a gap beyond the profit fills at the open", Stops(profit=0.1), [QUIET, (120, 125, 100, 101)], 2, 120),
        ("of both in one bar the loss counts", Stops(0.1, 0.1), [QUIET, (100, 115, 85, 100)], 2, 90),
        ("a trail follows the high", Stops(trailing=0.1), [(100, 120, 100, 118), (117, 119, 107, 110)], 2, 108),
        ("the high of a bar counts after it", Stops(trailing=0.1), [QUIET, (100, 120, 95, 119)], 3, 100),
        ("a trail follows the open", Stops(trailing=0.1), [QUIET, (110, 110, 98, 105)], 2, 99),
        ("nothing hit, nothing sold", Stops(0.1, 0.1), [QUIET, QUIET, QUIET], None, None),
    ],
)
def test_a_long_position_is_stopped(name, stops, rows, day, price):
    trade = exits(priced(*rows), stops).trades.iloc[0]
    assert trade["status"] == ("open" if day is None else "closed"), name
    if day is not None:
        assert (trade["exit_time"], trade["exit_price"]) == (DAYS[day], pytest.approx(price)), name


@pytest.mark.parametrize(
    ("stops", "rows", "day", "price"),
    [
        (Stops(loss=0.1), [QUIET, (102, 115, 100, 105)], 2, 110),
        (Stops(loss=0.1), [QUIET, (120, 125, 100, 105)], 2, 120),
        (Stops(profit=0.1), [QUIET, (98, 99, 85, 95)], 2, 90),
        (Stops(trailing=0.1), [(100, 100, 80, 82), (83, 89, 82, 85)], 2, 88),
    ],
)
def test_a_short_position_is_stopped_the_other_way_round(stops, rows, day, price):
    account = exits(priced(*rows), stops, short=True)
    trade = account.trades.iloc[0]
    assert (trade["exit_time"], trade["exit_price"]) == (DAYS[day], pytest.approx(price))
    assert account.holding.iloc[day] == 0


def test_a_stop_is_measured_from_the_price_paid_and_costs_like_any_order():
    account = exits(priced(QUIET, (98, 99, 80, 95)), Stops(loss=0.1), costs=(0.01, 0.02))
    paid = 100 * 1.02
    trade = account.trades.iloc[0]
    assert trade["exit_price"] == pytest.approx(paid * 0.9 * 0.98)
    assert account.equity.iloc[2] == pytest.approx(1000 / (paid * 1.01) * paid * 0.9 * 0.98 * 0.99)
    assert account.costs.iloc[2].tolist() == pytest.approx(
        [trade["size"] * trade["exit_price"] * 0.01, trade["size"] * paid * 0.9 * 0.02, 0.0]
    )


def test_a_stopped_position_waits_for_the_next_signal():
    fall = (95, 96, 85, 90)
    assert exits(priced(QUIET, fall, QUIET), Stops(loss=0.1)).holding.tolist()[2:] == [0, 0]
    assert exits(priced(QUIET, fall, QUIET), Stops(loss=0.1), again=(2,)).holding.iloc[3] > 0


def test_a_stop_at_the_open_comes_before_a_signal():
    frame = priced(QUIET, (80, 81, 79, 80))
    terms = Terms(Costs(0.0, 0.0), 1000.0, "both", stops=Stops(loss=0.1))
    account = simulate(frame, fires(0), fires(1), terms)
    assert account.holding.tolist() == pytest.approx([0, 10, 0, 0])


def test_with_fills_at_the_close_the_bar_of_the_entry_is_over():
    frame = priced((100, 101, 80, 100), (100, 101, 89, 95))
    account = exits(frame, Stops(loss=0.1), fill="next_close")
    assert account.trades["entry_time"].tolist() == [DAYS[1]]
    assert account.trades["exit_time"].tolist() == [DAYS[2]]


@pytest.mark.parametrize(
    ("name", "ups", "bar"),
    [
        ("within the bar", (), (100, 100, 80, 82)),
        ("at a gapped open", (), (80, 83, 79, 82)),
        ("at a gapped open, on which the rule would buy it again", (1,), (80, 83, 79, 82)),
    ],
)
def test_what_a_stop_frees_buys_nothing_on_its_own_bar(name, ups, bar):
    falling, other = priced(QUIET, bar, (82, 83, 81, 82)), priced(QUIET, QUIET, QUIET)
    entry = pd.DataFrame({"A": fires(0, *ups), "B": fires(1)})
    terms = Terms(Costs(0.0, 0.0), 1000.0, sizing=Sizing("percent", 1.0), stops=Stops(loss=0.1), shared=True)
    account = simulate_shared({"A": falling, "B": other}, entry, entry & False, terms)
    assert account.holdings["A"].tolist() == pytest.approx([0, 10, 0, 0])
    assert account.holdings["B"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "rows", "day", "price"),
    [
        ("the high of a bar counts after it", [QUIET, (100, 130, 99, 100)], 3, 100),
        ("the high of the bar before", [QUIET, (100, 130, 99, 125), (120, 121, 110, 112)], 3, 117),
        ("the open of the bar", [QUIET, (110, 110, 98, 105)], 2, 99),
        ("a gap fills at the open", [QUIET, (85, 90, 84, 88)], 2, 85),
        ("the range of the bar of the entry is over", [(100, 200, 100, 100), QUIET, QUIET], None, None),
    ],
)
def test_with_fills_at_the_close_a_trail_follows_the_bars_before_and_the_open(name, rows, day, price):
    trade = exits(priced(*rows), Stops(trailing=0.1), fill="next_close").trades.iloc[0]
    assert trade["entry_time"] == DAYS[1], name
    assert trade["status"] == ("open" if day is None else "closed"), name
    if day is not None:
        assert (trade["exit_time"], trade["exit_price"]) == (DAYS[day], pytest.approx(price)), name


@pytest.mark.parametrize("direction", ["long", "both"])
@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_stops_that_are_never_hit_change_nothing(bars, direction, fill):
    frame = bars.sel(symbol="IBM").to_dataframe()
    signals = find_strategy("rsi_reversion").signals(bars).sel(symbol="IBM")
    sides = [signals[side].to_series() for side in ("entry", "exit")]
    plain = Terms(Costs(0.001, 0.0005, 0.01), 1000.0, direction, fill)
    far = Terms(plain.costs, 1000.0, direction, fill, stops=Stops(loss=0.999))
    pd.testing.assert_series_equal(simulate(frame, *sides, far).equity, simulate(frame, *sides, plain).equity)
