"""Rules on a stream say what the scheduled evaluation says of the bar once it has closed; and what quotes are for."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.latch import fires
from workbench.alerts.policy import make_policy
from workbench.alerts.rules import make_rule
from workbench.alerts.streaming import Step, Watcher
from workbench.data.providers.base import Quote

ABOVE = {"kind": "price", "when": "above", "level": 105.0}
RULES = {
    "above": ("price", {"when": "above", "level": 100.0}, 0.0),
    "below, released by 5": ("price", {"when": "below", "level": 90.0}, 5.0),
    "crosses": ("price", {"when": "crosses", "level": 100.0}, 0.0),
    "crosses above, released by 2": ("price", {"when": "crosses above", "level": 30.0}, 2.0),
    "crosses below": ("price", {"when": "crosses below", "level": 30.0}, 0.0),
}
MOVES = {
    "either": ("move", {"percent": 3.0}, 0.0),
    "up in 5 bars, released by 1": ("move", {"percent": 5.0, "window": 5, "direction": "up"}, 1.0),
    "down in 20 bars": ("move", {"percent": 10.0, "window": 20, "direction": "down"}, 0.0),
    "rises twice": (
        "all",
        {"parts": [{"kind": "move", "percent": 1, "direction": "up"}, {"kind": "move", "percent": 2, "window": 10}]},
        0.0,
    ),
    "neither": (
        "not",
        {
            "parts": [
                {"kind": "any", "parts": [{"kind": "move", "percent": 2}, {"kind": "move", "percent": 6, "window": 9}]}
            ]
        },
        0.0,
    ),
}
MIXED = {
    "a price and a move": (
        "all",
        {"parts": [ABOVE, {"kind": "move", "percent": 2, "direction": "up"}]},
        0.0,
    ),
    "no price or a move": (
        "any",
        {"parts": [{"kind": "not", "parts": [ABOVE]}, {"kind": "move", "percent": 4, "direction": "down"}]},
        0.0,
    ),
}


def named(kind, values, release=0.0, symbols=("A",), dataset="d", id_=None):
    rule = make_rule(kind, {"dataset": dataset, "symbols": symbols, **values})
    return NamedRule(id_ or kind, kind, rule, id_ or kind, policy=make_policy({"release": release}))


def by_schedule(rule, by):
    """Return when the scheduled evaluation finds that a rule fires, and when it holds, by symbol."""
    reading = rule.rule.read(by, next(iter(by.values())).indexes["time"][-1])
    found = {}
    for symbol in rule.rule.symbols:
        own = reading.sel(symbol=symbol)
        own = own.isel(time=np.flatnonzero(own["here"].to_numpy()))
        holds = own["holds"].to_numpy()
        side = own["direction"].to_numpy() if "direction" in own else None
        fired = fires(holds, own["gap"].to_numpy(), rule.policy.release, side=side)
        times = own.indexes["time"]
        found[symbol] = list(times[fired]), list(times[holds])
    return found


def replayed(bench, symbols, adjust, **more):
    feed = bench.live(symbols, speed=None, adjust=adjust, **more)
    while events := feed.drain(5):
        yield events


def plain(moment):
    return pd.Timestamp(moment).tz_convert(None)


@pytest.mark.parametrize(
    ("rules", "symbols", "adjust"),
    [
        pytest.param(RULES, ("AAPL", "FB", "IBM"), "splits", id="prices"),
        pytest.param(MOVES, ("AAPL", "FB", "IBM"), "all", id="moves, dividends counted in"),
        # These paid nothing in that time.
        pytest.param(MIXED | MOVES, ("FB", "GOOG"), "splits", id="prices and moves"),
    ],
)
def test_what_the_stream_has_told_by_a_close_is_what_the_schedule_says_of_that_bar(bench, rules, symbols, adjust):
    given = {"symbols": symbols, "dataset": "us_equities"}
    every = [named(kind, values, release, id_=name, **given) for name, (kind, values, release) in rules.items()]
    by = {each: bench.bars(symbols, adjust=each) for each in ("splits", "all")}
    watcher, told = Watcher(every, {("us_equities", each): bars for each, bars in by.items()}), []
    for quotes in replayed(bench, symbols, adjust):
        told += watcher.take(quotes).fired
    for rule in every:
        expected = by_schedule(rule, by)
        for symbol in symbols:
            found = [plain(each.time) for each in told if each.rule is rule and each.symbol == symbol]
            assert found == expected[symbol][0], (rule.name, symbol)
    assert len(told) > 100


def test_a_dividend_that_goes_ex_is_counted_in_when_its_bar_has_closed(bench):
    # Microsoft paid 3.08 dollars a share on 2004-11-15; the close fell from 29.97 to 27.39, all of it by that.
    rule = named("move", {"percent": 3.0}, symbols=["MSFT"], dataset="us_equities")
    by = {"all": bench.bars("MSFT", adjust="all")}
    watcher = Watcher([rule], {("us_equities", "all"): by["all"]})
    told = [each for quotes in replayed(bench, "MSFT", "splits") for each in watcher.take(quotes).fired]
    live = {plain(each.time) for each in told}
    (only,) = live ^ set(by_schedule(rule, by)["MSFT"][0])
    assert f"{only:%Y-%m-%d}" == "2004-11-15"
    assert only in live
    (found,) = [each.found for each in told if plain(each.time) == only]
    assert found == "quote 27.39 USD, -8.61 % in 1 bar"


def test_within_a_bar_the_stream_may_tell_more_and_at_its_close_it_agrees(bench):
    rules = [
        named(kind, values, id_=name, symbols=["AAPL"], dataset="us_equities")
        for name, (kind, values, release) in (RULES | MIXED).items()
        if not release
    ]
    by = {each: bench.bars("AAPL", start="2004", end="2011", adjust=each) for each in ("splits", "all")}
    watcher = Watcher(rules, {("us_equities", each): bars for each, bars in by.items()})
    table = by["splits"].sel(symbol="AAPL").to_dataframe()
    holding, told = {rule.id: [] for rule in rules}, 0
    going_on, before = set(), None
    for time, bar in table.iterrows():
        close = pd.Timestamp(time, tz="UTC").to_pydatetime()
        path = [bar.open, bar.high, bar.low, bar.close]
        for number, price in enumerate(path):
            moment = close - timedelta(hours=3 - number)
            step = watcher.take([Quote("AAPL", moment, float(price), "path", previous_close=before)])
            going_on -= {each.rule.id for each in step.let_go}
            going_on |= {each.rule.id for each in step.fired}
            told += len(step.fired)
        before = float(bar.close)
        for id_ in going_on:
            holding[id_].append(time)
    fired = 0
    for rule in rules:
        begun, holds = by_schedule(rule, by)["AAPL"]
        assert holding[rule.id] == holds, rule.id
        fired += len(begun)
    assert told > 1.2 * fired


# What follows is made up: daily closes of A, B, ... on XNYS, from 2 March 2026 on.

DAYS = pd.DatetimeIndex(["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]) + pd.Timedelta(hours=21)
FRIDAY = datetime(2026, 3, 6, 15, 0, tzinfo=UTC)


def made_up(*closes, times=DAYS, currency="USD", interval="1d"):
    values = np.array(closes, dtype=float).T
    names = [chr(ord("A") + place) for place in range(values.shape[1])]
    attrs = {"calendar": "XNYS", "interval": interval, "currency": currency}
    coords = {"time": times[: len(values)].as_unit("ns").to_numpy(), "symbol": names}
    bars = xr.Dataset({"close": (("time", "symbol"), values)}, coords=coords, attrs=attrs)
    return {("d", adjust): bars for adjust in ("splits", "all")}


def quote(price, minute=0, symbol="A", at=FRIDAY, **more):
    return Quote(symbol, at + timedelta(minutes=minute), price, "made up", **more)


def fired(watcher, *quotes):
    """Return the prices at which anything fired."""
    return [each.price for each in watcher.take(quotes).fired]


def test_what_holds_at_the_last_closed_bar_is_not_told_and_its_next_beginning_is():
    watcher = Watcher([named("price", {"when": "above", "level": 100.0}, 2.0)], made_up([90, 95, 99, 101]))
    assert fired(watcher, quote(102, 0), quote(99, 1), quote(103, 2)) == []
    assert fired(watcher, quote(98, 3), quote(104, 4), quote(105, 5)) == [104]


@pytest.mark.parametrize("price", [None, float("nan"), float("inf"), 0.0, -101.0])
def test_what_is_no_price_is_passed_over(price):
    watcher = Watcher([named("price", {"when": "above", "level": 100.0})], made_up([90, 95, 99, 98]))
    assert watcher.take([quote(price)]) == Step()
    assert fired(watcher, quote(101)) == [101]


def test_a_quote_that_is_not_newer_than_what_was_seen_is_passed_over():
    watcher = Watcher([named("price", {"when": "above", "level": 100.0})], made_up([90, 95, 99, 98]))
    assert fired(watcher, quote(99, 5)) == []
    assert watcher.take([quote(101, 5), quote(102, 4)]) == Step()
    assert fired(watcher, quote(103, 6)) == [103]


def test_a_quote_in_another_currency_is_noted_and_not_looked_at():
    # London is quoted in pence by some sources, and in pounds by others.
    watcher = Watcher([named("price", {"when": "above", "level": 100.0})], made_up([90, 95, 99, 98], currency="GBP"))
    assert fired(watcher, quote(9900, 0, currency="GBp")) == []
    assert watcher.foreign == {("A", "GBp, not GBP")}
    assert fired(watcher, quote(101, 1, currency="GBP")) == [101]


def test_a_split_that_is_effective_today_is_no_move_where_the_source_tells_the_close_before():
    rules = [named("move", {"percent": 10.0, "window": window}, id_=f"{window}") for window in (1, 3)]
    closes = made_up([400, 410, 405, 400])
    assert fired(Watcher(rules, closes), quote(101, previous_close=100.0)) == []
    # Nothing says so here: it is a fall by three quarters.
    assert fired(Watcher(rules, closes), quote(101)) == [101, 101]


def test_a_move_counts_its_bars_back_from_the_one_that_is_forming():
    # 3 bars before Friday's is Tuesday's close.
    watcher = Watcher([named("move", {"percent": 10.0, "window": 3})], made_up([50, 100, 80, 90]))
    assert fired(watcher, quote(109.9, 0), quote(110.1, 1)) == [110.1]


def test_a_move_of_the_limit_itself_holds():
    watcher = Watcher([named("move", {"percent": 25.0})], made_up([50, 100, 80, 64]))
    assert fired(watcher, quote(79.99, 0), quote(80, 1)) == [80]


def test_after_the_close_a_quote_belongs_to_the_next_bar_once_the_bar_is_there():
    rule, evening = named("move", {"percent": 5.0}), datetime(2026, 3, 5, 22, 30, tzinfo=UTC)
    # Thursday's bar, a rise by 10 %, is not there yet: the quote may be its close for all we know.
    assert fired(Watcher([rule], made_up([100, 100, 100])), quote(110, at=evening)) == [110]
    watcher = Watcher([rule], made_up([100, 100, 100, 110]))
    assert fired(watcher, quote(110, at=evening), quote(116, 1, at=evening)) == [116]


def test_without_the_last_sessions_a_move_is_not_known_unless_the_source_tells_the_close_before():
    rules = [named("move", {"percent": 5.0, "window": window}, id_=f"{window}") for window in (1, 2)]
    rules.append(named("price", {"when": "above", "level": 120.0}))
    monday = FRIDAY + timedelta(days=10)
    watcher = Watcher(rules, made_up([100, 100, 100, 100]))
    assert fired(watcher, quote(110, 0, at=monday)) == []
    found = watcher.take([quote(115, 1, at=monday, previous_close=100.0)]).fired
    assert [each.rule.id for each in found] == ["1"]
    assert fired(watcher, quote(121, 2, at=monday)) == [121]


def test_a_symbol_that_was_halted_is_compared_with_its_own_last_bar():
    nan = float("nan")
    watcher = Watcher([named("move", {"percent": 5.0}, symbols=["A", "B"])], made_up([100, nan, nan, nan], [100] * 4))
    assert fired(watcher, quote(106), quote(104, symbol="B")) == [106]


def test_a_rule_that_comes_later_does_not_tell_what_held_at_the_last_close_and_the_others_go_on():
    first, second = (named("price", {"when": "above", "level": level}, id_=f"{level}") for level in (97.0, 95.0))
    before = Watcher([first], made_up([90, 95, 99, 96]))
    assert fired(before, quote(98, 0)) == [98]
    after = Watcher([first, second], made_up([90, 95, 99, 96]))
    after.follow_up(before)
    assert fired(after, quote(99, 0), quote(99, 1)) == []
    assert [each.rule.id for each in after.take([quote(94, 2)]).let_go] == ["97.0", "95.0"]
    assert fired(after, quote(98, 3)) == [98, 98]


def test_what_has_been_told_is_let_go_by_a_bar_that_closed_after_it_but_not_by_one_before():
    rule = named("price", {"when": "above", "level": 100.0})
    told = {(rule.id, "A"): FRIDAY - timedelta(hours=2)}
    watcher = Watcher([rule], made_up([90, 95, 99, 98]))
    watcher.disarm(told)
    assert watcher.take([quote(101)]) == Step((), (), 1)
    assert len(watcher.take([quote(99, 1)]).let_go) == 1
    # The monitor was down on Friday afternoon, when it fell; on Monday it is above again.
    times = DAYS.append(pd.DatetimeIndex(["2026-03-06 21:00"]))
    watcher = Watcher([rule], made_up([90, 95, 99, 98, 97], times=times))
    watcher.disarm(told)
    step = watcher.take([quote(102, at=FRIDAY + timedelta(days=3))])
    assert [(each.time.day, each.price) for each in step.let_go] == [(6, 97.0)]
    assert [(each.time.day, each.price) for each in step.fired] == [(9, 102.0)]


def test_a_bar_that_closed_between_two_quotes_fires_and_lets_go_as_the_schedule_says_of_it():
    rules = [
        named("price", {"when": when, "level": 100.0}, id_=when) for when in ("above", "crosses above", "crosses below")
    ]
    week = pd.DatetimeIndex([f"2026-03-{day:02} 21:00" for day in (2, 3, 4, 5, 6, 9, 10, 11)])
    bars = made_up([90, 95, 99, 98, 101, 102, 97, 103], times=week)
    watcher = Watcher(rules, bars)
    # Before its first quote here nothing fires: the watch began on Friday.
    assert fired(watcher, quote(99)) == []
    step = watcher.take([quote(104, at=FRIDAY + timedelta(days=6))])
    found = [(each.rule.id, each.time.day, each.found.partition(",")[0]) for each in step.fired]
    assert found == [
        ("above", 6, "close 101.00 USD"),
        ("crosses above", 6, "close 101.00 USD"),
        ("crosses below", 10, "close 97.00 USD"),
        ("above", 11, "close 103.00 USD"),
        ("crosses above", 11, "close 103.00 USD"),
    ]
    assert [(each.rule.id, each.time.day) for each in step.let_go if each.rule.id == "above"] == [("above", 10)]
    by_now = [each for rule in rules for each in by_schedule(rule, {"splits": bars["d", "splits"]})["A"][0]]
    assert sorted(plain(each.time) for each in step.fired) == sorted(by_now)


def test_a_replay_that_passes_bars_over_misses_nothing_that_fires_at_one_of_them(bench):
    given = {"symbols": ("AAPL", "IBM"), "dataset": "us_equities"}
    rules = [named(kind, values, release, id_=name, **given) for name, (kind, values, release) in RULES.items()]
    by = {"splits": bench.bars(("AAPL", "IBM"), adjust="splits")}
    every = [each for quotes in replayed(bench, ("AAPL", "IBM"), "splits") for each in quotes]

    def found(some):
        watcher = Watcher(rules, {("us_equities", "splits"): by["splits"]})
        return {(each.rule.id, each.symbol, each.time) for quotes in some for each in watcher.take(quotes).fired}

    whole = found([[each] for each in every])
    # Every seventh time is read, and the first and the last one.
    times = sorted({each.time for each in every})
    kept = {*times[::7], times[-1]}
    assert found([[each] for each in every if each.time in kept]) == whole
    assert len(whole) > 80


def test_the_close_before_that_was_told_once_holds_for_its_day():
    rule = named("move", {"percent": 10.0})
    watcher = Watcher([rule], made_up([400, 410, 405, 400]))
    # A split by four, of which one quote tells, and the others do not.
    assert fired(watcher, quote(101, 0, previous_close=100.0), quote(101.5, 1)) == []
    later = Watcher([rule], made_up([400, 410, 405, 400]))
    later.follow_up(watcher)
    assert fired(later, quote(102, 2), quote(89, 3)) == [89]


def test_what_one_part_decides_holds_although_another_is_not_known():
    move = {"kind": "move", "percent": 5, "window": 100}
    rules = [named(kind, {"parts": [ABOVE, move]}) for kind in ("all", "any")] + [named("not", {"parts": [move]})]
    watcher = Watcher(rules, made_up([90, 95, 99, 98]))
    assert [each.rule.id for each in watcher.take([quote(106)]).fired] == ["any"]
    assert watcher.take([quote(106, 1)]).evaluated == 3


def test_a_rule_whose_symbol_has_no_bars_is_not_watched():
    watcher = Watcher([named("price", {"when": "above", "level": 100.0}, symbols=["A", "Z"])], made_up([90, 95]))
    assert watcher.symbols == ["A"]


@settings(deadline=None, max_examples=60)
@given(
    quotes=st.lists(
        st.tuples(st.sampled_from("AB"), st.integers(0, 200), st.sampled_from([80.0, 95.0, 99.0, 101.0, 106.0, 120.0])),
        max_size=30,
    ),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_it_does_not_matter_how_quotes_are_put_together(quotes, cuts):
    rules = [
        named(kind, values, release, symbols=["A", "B"], id_=name)
        for name, (kind, values, release) in (RULES | MOVES | MIXED).items()
    ]
    bars = made_up([90, 95, 99, 98], [101, 102, 103, 104])
    events = [quote(price, minute, symbol) for symbol, minute, price in quotes]
    ends = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]

    def found(parts):
        watcher, whole = Watcher(rules, bars), Step()
        for part in parts:
            whole += watcher.take(part)
        told = [
            sorted((each.rule.id, each.symbol, each.time, each.price, each.found) for each in some)
            for some in (whole.fired, whole.let_go)
        ]
        return *told, whole.evaluated

    assert found([events[a:b] for a, b in pairwise(ends)]) == found([[each] for each in events])


def test_within_a_session_a_move_over_hours_waits_for_bars_that_are_late():
    # The session opens at 14:30 UTC; an hourly bar closes at half past.
    hours = pd.DatetimeIndex([f"2026-03-05 {hour}:30" for hour in range(15, 21)] + ["2026-03-06 15:30"])
    bars = made_up([100, 100, 100, 100, 100, 100, 104], times=hours, interval="1h")
    rules = [named("move", {"percent": 5.0, "window": window}, id_=f"{window}") for window in (1, 2)]
    # In the first hour the last bar is that of the day before.
    early = Watcher(rules, {key: each.isel(time=slice(6)) for key, each in bars.items()})
    assert fired(early, quote(106, 10, previous_close=100.0)) == [106, 106]
    assert [each.rule.id for each in Watcher(rules, bars).take([quote(106, 60)]).fired] == ["2"]
    # At 18:30 the bars of two hours are missing.
    assert fired(Watcher(rules, bars), quote(200, 211)) == []
    assert fired(Watcher([named("price", {"when": "above", "level": 150.0})], bars), quote(200, 211)) == [200]


def test_of_weekly_bars_the_close_of_the_day_before_says_nothing():
    fridays = pd.DatetimeIndex(["2026-02-13", "2026-02-20", "2026-02-27"]) + pd.Timedelta(hours=21)
    bars = made_up([100, 100, 100], times=fridays, interval="1w")
    watcher = Watcher([named("move", {"percent": 5.0})], bars)
    assert fired(watcher, quote(104, 0, previous_close=90.0), quote(106, 1, previous_close=90.0)) == [106]
