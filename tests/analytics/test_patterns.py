"""Patterns drawn by hand: each is found with its points, direction and bar, and a near miss is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.analytics.patterns import (
    CANDLESTICKS,
    PATTERNS,
    candlesticks,
    events,
    find,
    standing_levels,
    table,
)
from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.core.frames import bars_from_rows

ATTRS = dict.fromkeys(
    ("dataset", "version", "interval", "currency", "calendar", "adjustment", "source", "as_of"), "drawn by hand"
)


def make_bars(close, high=None, low=None, symbol="HAND"):
    """Bars with these closes; a dataset of closes only where there are no highs and lows."""
    times = pd.bdate_range("2020-01-01", periods=len(close), tz="UTC") + pd.Timedelta(hours=21)
    nothing = np.full(len(close), np.nan)
    drawn = high is not None
    rows = pd.DataFrame(
        {
            "symbol": symbol,
            "time": times,
            "open": close if drawn else nothing,
            "high": high if drawn else nothing,
            "low": low if drawn else nothing,
            "close": close,
            "volume": nothing,
        }
    )
    fields = ("open", "high", "low", "close") if drawn else ("close",)
    return bars_from_rows(rows, [symbol], {**ATTRS, "fields": fields})


def drawn(*corners):
    """Closes that go straight from corner to corner, each a bar and a price."""
    at, prices = zip(*corners, strict=True)
    return np.interp(np.arange(at[-1] + 1), at, prices)


def bar(pattern_time, bars):
    return bars.indexes["time"].get_loc(pattern_time)


def places(points, bars):
    return [(bar(time, bars), pytest.approx(price)) for time, price in points]


HEAD = [(0, 85), (8, 80), (18, 100), (26, 90), (36, 110), (46, 90.5), (56, 100.5), (70, 80)]
DOUBLE = [(0, 90), (8, 85), (20, 110), (34, 100), (48, 110.5), (62, 90)]
TRIPLE = [(0, 90), (8, 85), (18, 110), (28, 100), (38, 109.5), (48, 101), (58, 110), (71, 90)]
ASCENDING = [(0, 95), (8, 92), (20, 110), (30, 98), (40, 110.3), (50, 104), (58, 110), (64, 108.5), (72, 116)]
SYMMETRICAL = [(0, 92), (8, 90), (20, 112), (30, 94), (40, 108), (50, 98), (58, 104), (64, 102.5), (72, 112)]
RECTANGLE = [(0, 99), (8, 98), (20, 110), (30, 98.2), (40, 110.3), (50, 98.1), (60, 112)]
CHANNEL = [(0, 92), (8, 90), (20, 105), (30, 94), (40, 108), (50, 98), (58, 112), (70, 90)]

DRAWINGS = {
    # name: corners, corners that are its turning points, bar known, level, target
    "head and shoulders": (HEAD, HEAD[2:7], 63, 90.925, 90.925 - (110 - 90.25)),
    "double top": (DOUBLE, DOUBLE[2:5], 56, 100, 100 - 10.5),
    "triple top": (TRIPLE, TRIPLE[2:7], 65, 100, 90),
    "ascending triangle": (ASCENDING, ASCENDING[2:7], 66, 110.3, 110.3 + 15.3),
    "symmetrical triangle": (SYMMETRICAL, SYMMETRICAL[2:7], 65, 112 - 8 * 45 / 38, None),
}
INVERSE = {
    "head and shoulders": "inverse head and shoulders",
    "double top": "double bottom",
    "triple top": "triple bottom",
    "ascending triangle": "descending triangle",
    "symmetrical triangle": "symmetrical triangle",
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_pattern_drawn_by_hand_is_found_where_it_is(name):
    corners, points, known, level, target = DRAWINGS[name]
    bars = make_bars(drawn(*corners))
    (found,) = find(bars, name)
    assert places(found.points, bars) == points
    assert bar(found.known, bars) == bar(found.end, bars) == known
    assert bar(found.start, bars) == points[0][0]
    assert found.level == pytest.approx(level)
    if target is not None:
        assert found.target == pytest.approx(target)
    assert found.direction == ("bullish" if "triangle" in name else "bearish")
    assert found.symbol == "HAND"


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_drawing_upside_down_is_the_inverse(name):
    corners, points, known, level, _ = DRAWINGS[name]
    bars = make_bars(200 - drawn(*corners))
    (found,) = find(bars, INVERSE[name])
    assert places(found.points, bars) == [(place, pytest.approx(200 - price)) for place, price in points]
    assert bar(found.known, bars) == known
    assert found.level == pytest.approx(200 - level)
    assert found.direction == ("bearish" if "triangle" in name else "bullish")


EARLY = {
    # Broken before the last swing, at bar 56 or 48 or 58, is known five bars later; then prices come back.
    "head and shoulders": ([*HEAD[:7], (58, 89), (66, 100)], 56, 58, 61),
    "double top": ([*DOUBLE[:5], (50, 98), (56, 104)], 48, 50, 53),
    "triple top": ([*TRIPLE[:7], (60, 99), (66, 104)], 58, 60, 63),
    "symmetrical triangle": ([(0, 97), (8, 95), *SYMMETRICAL[2:7], (60, 97), (66, 105)], 58, 60, 63),
}


@pytest.mark.parametrize("name", EARLY)
def test_a_neckline_that_breaks_before_the_last_swing_is_known_completes_the_pattern_there(name):
    corners, last, end, known = EARLY[name]
    bars = make_bars(drawn(*corners))
    (found,) = find(bars, name)
    assert bar(found.points[-1][0], bars) == last
    assert (bar(found.end, bars), bar(found.known, bars), found.direction) == (end, known, "bearish")
    closes = bars["close"].sel(symbol="HAND")
    assert closes.sel(time=found.end) < found.level < closes.sel(time=found.known)
    assert [bar(line[1][0], bars) for line in found.lines] == [end] * len(found.lines)
    assert f"close {corners[-2][1]:.2f} below" in found.reason
    assert find(bars.isel(time=slice(known)), name) == []
    assert find(bars.isel(time=slice(known + 1)), name) == [found]


def test_a_pattern_ends_at_the_first_close_beyond_its_neckline(bars):
    names = ["double top", "triple top", "head and shoulders"]
    found, early = find(bars, names), 0
    for one in found:
        closes = bars["close"].sel(symbol=one.symbol).dropna("time").to_series()
        (start, price), (_, level) = one.lines[0]
        at = closes.index.get_indexer([start, one.points[-1][0], one.end])
        line = price + (level - price) / (at[2] - at[0]) * (np.arange(at[1] + 1, at[2] + 1) - at[0])
        beyond = closes.to_numpy()[at[1] + 1 : at[2] + 1] < line
        assert beyond.tolist() == [False] * (len(beyond) - 1) + [True]
        early += one.end < one.known
    assert 0 < early < len(found)


def moved(corners, place, corner):
    return [*corners[:place], corner, *corners[place + 1 :]]


@pytest.mark.parametrize(
    ("name", "corners"),
    [
        pytest.param("head and shoulders", moved(HEAD, 6, (56, 103.2)), id="shoulders 1.6 % from their average"),
        pytest.param("head and shoulders", moved(HEAD, 4, (36, 100.4)), id="head below a shoulder"),
        pytest.param("head and shoulders", moved(HEAD, 5, (46, 93.2)), id="dips 1.7 % from their average"),
        pytest.param("head and shoulders", moved(HEAD, 1, (8, 91)), id="not from below the neckline"),
        pytest.param("head and shoulders", moved(HEAD, 7, (70, 92)), id="the neckline holds"),
        pytest.param("head and shoulders", [*HEAD[:7], (62, 95), (70, 111), (82, 80)], id="a close above the head"),
        pytest.param("head and shoulders", [*HEAD[:7], (62, 95.5), (120, 95), (130, 80)], id="broken too late"),
        pytest.param("double top", moved(DOUBLE, 4, (42, 110.5)), id="22 bars apart"),
        pytest.param("double top", moved(DOUBLE, 4, (48, 113.5)), id="tops 1.6 % from their average"),
        pytest.param("double top", moved(DOUBLE, 3, (34, 105.5)), id="a valley of 4.5 %"),
        pytest.param("double top", moved(DOUBLE, 1, (8, 101)), id="not from below the valley"),
        pytest.param("double top", moved(DOUBLE, 5, (62, 100.5)), id="the valley holds"),
        pytest.param("triple top", moved(TRIPLE, 4, (38, 104)), id="the middle is too low"),
        pytest.param("triple top", moved(TRIPLE, 4, (38, 111)), id="the middle is a head"),
        pytest.param("triple top", moved(TRIPLE, 7, (71, 100.5)), id="the lowest dip holds"),
        pytest.param("ascending triangle", moved(ASCENDING, 4, (40, 113)), id="the top is not flat"),
        pytest.param("ascending triangle", RECTANGLE, id="the bottom is flat"),
        pytest.param("ascending triangle", [*ASCENDING[:8], (66, 109.2)], id="no close beyond yet"),
        pytest.param("symmetrical triangle", CHANNEL, id="the tops rise too"),
        pytest.param("symmetrical triangle", SYMMETRICAL[:6], id="two tops, not yet five turns and a break"),
    ],
)
def test_a_near_miss_is_none(name, corners):
    assert find(make_bars(drawn(*corners)), name) == []


FOOT = 100 * (1 + 0.002 * (-1.0) ** np.arange(80))
POLE = np.linspace(102, 120, 10)
REST = 119 - 0.4 * np.arange(6)


def flag_bars(rest, high, low, breakout, pole=POLE):
    close = np.concatenate([FOOT, pole, rest, [breakout]])
    highs, lows = close + 0.5, close - 0.5
    highs[len(FOOT) + len(pole) : -1], lows[len(FOOT) + len(pole) : -1] = high, low
    return make_bars(close, highs, lows)


def test_a_flag_is_found_at_the_close_above_its_side():
    bars = flag_bars(REST, REST + 0.5, REST - 0.5, 121)
    (found,) = find(bars, "flag")
    base = min(FOOT[79] - 0.5, 101.5)
    assert places(found.points, bars) == [(79, pytest.approx(base)), (89, pytest.approx(120.5))]
    assert (bar(found.known, bars), found.direction) == (96, "bullish")
    # The side through the highs 119.5, 119.1, ... reaches 117.1 on the seventh bar.
    assert found.level == pytest.approx(117.1)
    assert found.target == pytest.approx(117.1 + 120.5 - base)
    assert [places(line, bars) for line in found.lines] == [[(90, 119.5), (96, 117.1)], [(90, 118.5), (96, 116.1)]]
    assert find(bars, "pennant") == []


def test_a_pennant_has_sides_that_lean_together():
    step = np.arange(6)
    bars = flag_bars(np.full(6, 118.0), 119.5 - 0.2 * step, 116.5 + 0.2 * step, 121)
    (found,) = find(bars, "pennant")
    assert (bar(found.known, bars), found.direction) == (96, "bullish")
    assert found.level == pytest.approx(119.5 - 0.2 * 6)
    assert find(bars, "flag") == []


def test_a_flag_after_a_fall_is_bearish():
    upright = flag_bars(REST, REST + 0.5, REST - 0.5, 121)
    own = upright.isel(symbol=0)
    bars = make_bars(220 - own["close"].to_numpy(), 220 - own["low"].to_numpy(), 220 - own["high"].to_numpy())
    (found,) = find(bars, "flag")
    assert (bar(found.known, bars), found.direction, found.level) == (96, "bearish", pytest.approx(220 - 117.1))


@pytest.mark.parametrize(
    "bars",
    [
        pytest.param(flag_bars(REST, REST + 0.5, REST - 0.5, 116.9), id="no close above the side"),
        pytest.param(flag_bars(REST - 9, REST - 8.5, REST - 9.5, 121), id="more than half given back"),
        pytest.param(flag_bars(REST[::-1], REST[::-1] + 0.5, REST[::-1] - 0.5, 121), id="leaning with the pole"),
        pytest.param(flag_bars(REST[:4], REST[:4] + 0.5, REST[:4] - 0.5, 121), id="four bars of rest"),
        pytest.param(
            flag_bars(REST - 17, REST - 16.5, REST - 17.5, 103, np.linspace(100, 103, 10)), id="a pole as usual"
        ),
    ],
)
def test_a_near_miss_of_a_flag_is_none(bars):
    assert find(bars, "flag") == []


LEVEL = [(0, 105), (10, 100), (20, 108), (30, 100.4), (40, 115), (50, 99.9), (60, 122)]


def test_support_is_known_when_the_third_turn_is():
    bars = make_bars(drawn(*LEVEL))
    (found,) = find(bars, ["support", "resistance"])
    assert (found.name, found.direction) == ("support", "bullish")
    assert places(found.points, bars) == [LEVEL[1], LEVEL[3], LEVEL[5]]
    assert found.level == pytest.approx((100 + 100.4 + 99.9) / 3)
    assert (bar(found.start, bars), bar(found.end, bars), bar(found.known, bars)) == (10, 50, 55)


def test_former_support_is_resistance_from_below():
    corners = [(0, 105), (10, 100), (20, 108), (30, 100.4), (40, 108), (52, 88), (64, 99.9), (76, 90)]
    bars = make_bars(drawn(*corners))
    (found,) = find(bars, ["support", "resistance"])
    assert (found.name, found.direction, bar(found.known, bars)) == ("resistance", "bearish", 69)


@pytest.mark.parametrize(
    ("corners", "options"),
    [
        pytest.param(moved(LEVEL, 5, (50, 103)), {}, id="the third turn is too high"),
        pytest.param(LEVEL, {"touches": 4}, id="four are asked for"),
        pytest.param(LEVEL, {"lookback": 39}, id="the first is forgotten"),
    ],
)
def test_a_near_miss_of_a_level_is_none(corners, options):
    assert find(make_bars(drawn(*corners)), ["support"], **options) == []


def test_a_level_stands_until_a_close_passes_it():
    held = make_bars(drawn(*LEVEL))
    (row,) = standing_levels(held).to_dict("records")
    assert (row["kind"], row["touches"]) == ("support", 3)
    assert row["distance"] == pytest.approx(100.1 / 122 - 1)
    assert standing_levels(make_bars(drawn(*LEVEL, (70, 98)))).empty


def test_a_further_touch_is_no_new_level_but_one_after_a_break_is():
    again = [*LEVEL, (72, 100.2), (84, 130)]
    assert len(find(make_bars(drawn(*again)), "support")) == 1
    broken = [*LEVEL, (72, 95), (84, 130), (96, 100.2), (108, 120)]
    assert len(find(make_bars(drawn(*broken)), "support")) == 2


@pytest.mark.parametrize("name", DRAWINGS)
def test_nothing_is_known_before_its_bar(name):
    corners, _, known, *_ = DRAWINGS[name]
    bars = make_bars(drawn(*corners))
    assert find(bars.isel(time=slice(known)), name) == []
    assert len(find(bars.isel(time=slice(known + 1)), name)) == 1


def test_tolerance_and_swings_are_options():
    wide = make_bars(drawn(*moved(HEAD, 6, (56, 103.2))))
    assert len(find(wide, "head and shoulders", tolerance=0.02)) == 1
    assert find(make_bars(drawn(*HEAD)), "head and shoulders", right=15) == []


def test_the_events_stand_at_the_bar_at_which_they_were_known():
    bars = make_bars(drawn(*DOUBLE))
    found = events(bars)
    assert set(found.data_vars) == set(PATTERNS)
    marks = found["double top"].sel(symbol="HAND").to_numpy()
    assert np.flatnonzero(marks).tolist() == [56]
    assert marks[56] == -1
    assert events(make_bars(200 - drawn(*DOUBLE)), "double_bottom")["double bottom"].to_numpy()[56, 0] == 1


def test_the_table_has_a_row_for_each_pattern(bars):
    found = find(bars, ["flag", "double top"])
    frame = table(found)
    assert frame["pattern"].tolist() == [one.name for one in found]
    assert frame["known"].is_monotonic_increasing
    assert frame["level"].tolist() == [one.level for one in found]
    assert list(table([]).columns) == list(frame.columns)
    assert table([]).dtypes["known"] == frame.dtypes["known"]


def test_lines_and_points_never_reach_beyond_the_known_bar(bars):
    found = find(bars)
    assert {one.name for one in found} >= {"support", "head and shoulders", "flag", "symmetrical triangle"}
    for one in found:
        assert one.start <= one.end <= one.known
        ends = [time for line in one.lines for time, _ in line] + [time for time, _ in one.points]
        assert max(ends) <= one.known
        assert one.reason
        assert one.target is None or one.target > 0


@pytest.mark.parametrize("n", [0, 1, 5, 11])
def test_too_few_bars_have_no_patterns(bars, n):
    few = bars.isel(time=slice(n))
    assert find(few) == []
    assert standing_levels(few).empty
    assert events(few)["flag"].sizes["time"] == n


def test_a_symbol_is_searched_on_its_own_bars(bars):
    together = [one for one in find(bars) if one.symbol == "FB"]
    assert together
    assert together == find(bars.sel(symbol=["FB"]).dropna("time", how="all"))


def test_a_bar_with_a_hole_is_left_out(bars):
    whole = bars.sel(symbol=["IBM"], time=slice("2009", "2012"))
    holed = whole.copy(deep=True)
    holed["high"][100] = np.nan
    for field in ("open", "high", "low", "close", "volume"):
        holed[field][200:203] = np.nan
    kept = np.ones(whole.sizes["time"], dtype=bool)
    kept[[100, 200, 201, 202]] = False
    for names in (PATTERNS, ["doji", "engulfing"]):
        assert find(holed, names) == find(whole.isel(time=kept), names)
    assert events(holed)["flag"].isnull().to_numpy().sum() == 3


def test_chart_patterns_need_closes_only(bench):
    closes = bench.bars(dataset="sp500_index")
    assert {one.name for one in find(closes)} >= {"support", "resistance", "head and shoulders"}
    with pytest.raises(InputError, match="'sp500_index' has no open, high, low, which a candlestick pattern needs"):
        candlesticks(closes, ["hammer"])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda bars: find(bars, ["dubble top"]), "unknown pattern 'dubble top'; nearest known: double top"),
        (lambda bars: find(bars, ["CDLHAMER"]), "unknown candlestick pattern 'CDLHAMER'; nearest known"),
        (lambda bars: events(bars, ["hammer"]), "unknown chart pattern 'hammer'"),
        (lambda bars: candlesticks(bars, ["head and shoulders"]), "unknown candlestick pattern 'head and shoulders'"),
        (lambda bars: find(bars, tolerence=0.1), "unknown option of patterns 'tolerence'; nearest known: tolerance"),
    ],
)
def test_an_unknown_name_is_told(bars, ask, words):
    with pytest.raises(UnknownNameError, match=words):
        ask(bars)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"right": 0}, "right is 0; give a whole number of at least 1"),
        ({"left": 2.5}, "left is 2.5; give a whole number"),
        ({"tolerance": -0.1}, "tolerance is -0.1; give a number of at least 0"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"tolerance": "much"}, "tolerance is 'much'"),
        ({"touches": True}, "touches is True"),
        ({"flag_least": 9, "flag_most": 8}, "flag_most is 8; give at least flag_least, 9"),
    ],
)
def test_an_option_out_of_its_range_is_told(bars, options, words):
    with pytest.raises(ParameterError, match=words):
        find(bars, **options)


def test_there_are_61_candlesticks_each_by_both_names(bars):
    month = bars.sel(symbol=["AAPL"], time="2012-06")
    assert len(CANDLESTICKS) == 61
    assert set(candlesticks(month).data_vars) == set(CANDLESTICKS)
    by_function = candlesticks(month, [one.function for one in CANDLESTICKS.values()])
    assert by_function.equals(candlesticks(month))


def test_a_candlestick_pattern_has_a_place_on_the_chart(bars):
    values = candlesticks(bars, "engulfing")["engulfing"].sel(symbol="IBM").to_series()
    found = [one for one in find(bars, "engulfing") if one.symbol == "IBM"]
    assert [one.known for one in found] == list(values.index[values.fillna(0) != 0])
    own = bars.sel(symbol="IBM")
    for one in found[:50]:
        assert (one.direction == "bullish") == (values[one.known] > 0)
        pair = own.sel(time=slice(one.start, one.known))
        assert pair.sizes["time"] == 2
        edge = pair["low"].min() if one.direction == "bullish" else pair["high"].max()
        assert one.points == ((one.known, edge.item()),)


@pytest.mark.parametrize("name", ["hikkake", "modified hikkake"])
def test_the_confirmation_of_a_hikkake_is_no_further_pattern(bars, name):
    values = candlesticks(bars, name)[name].sel(symbol="IBM").to_series()
    strength = values.fillna(0).abs()
    assert (strength == 200).sum() > 0
    found = [one for one in find(bars, name) if one.symbol == "IBM"]
    assert [one.known for one in found] == list(values.index[strength == 100])
    own = bars.sel(symbol="IBM")
    assert {own.sel(time=slice(one.start, one.known)).sizes["time"] for one in found} == {CANDLESTICKS[name].candles}


def test_a_doji_tells_no_direction(bars):
    assert {one.direction for one in find(bars, ["doji", "spinning top"])} == {"neutral"}
