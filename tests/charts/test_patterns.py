import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.analytics.patterns import find, table
from workbench.charts.candles import prices
from workbench.charts.panels import panel
from workbench.charts.patterns import COLORS, pattern_marks
from workbench.core.frames import own_bars

DAYS = pd.bdate_range("2020-01-01", periods=30)
FRAME = pd.DataFrame({"high": 111.0, "low": 89.0, "close": 100.0}, index=DAYS)


def row(pattern, direction, points, lines, known=20, level=None, symbol="HAND"):
    def placed(places):
        return tuple((DAYS[bar], float(price)) for bar, price in places)

    return {
        "pattern": pattern,
        "symbol": symbol,
        "direction": direction,
        "start": DAYS[points[0][0]],
        "known": DAYS[known],
        "points": placed(points),
        "lines": tuple(placed(line) for line in lines),
        "level": np.nan if level is None else level,
        "reason": "drawn <by> hand; close 99.00 below",
    }


DOUBLE = row("double top", "bearish", [(4, 110), (9, 100), (14, 109)], [[(9, 100), (20, 100)]], level=100.0)
TRIANGLE = row(
    "symmetrical triangle",
    "bullish",
    [(4, 110), (7, 95), (10, 106), (13, 98)],
    [[(4, 110), (20, 100)], [(7, 95), (20, 102)]],
    level=100.0,
)
SUPPORT = row("support", "bullish", [(4, 95), (9, 95.2), (14, 95.1)], [[(4, 95.1), (20, 95.1)]], level=95.1)
HAMMER = row("hammer", "bullish", [(20, 95)], [])
DOJI = row("doji", "neutral", [(20, 105)], [])
STAR = row("evening star", "bearish", [(20, 105)], [])


def marks(*rows):
    return pattern_marks(pd.DataFrame(rows), "HAND", FRAME)


def only(elements, kind):
    return [element for element in elements if type(element) is kind]


def test_a_shape_has_its_strokes_lines_ring_and_name():
    elements = marks(DOUBLE)
    turns, neckline = only(elements, hv.Segments)
    assert turns.dimension_values("price").tolist() == [110, 100]
    assert turns.dimension_values("price_end").tolist() == [100, 109]
    assert (neckline.dimension_values("time") == DAYS[9]).all()
    assert (neckline.dimension_values("time_end") == DAYS[20]).all()
    (ring,) = only(elements, hv.Points)
    assert ring.dimension_values("price").tolist() == [100]
    assert pd.DatetimeIndex(ring.dimension_values("time")).tolist() == [DAYS[20]]
    (name,) = only(elements, hv.Labels)
    assert name.dimension_values("pattern").tolist() == ["double top"]
    assert name.dimension_values("price")[0] > 111


def test_what_is_filled_lies_between_the_turns_and_the_neckline():
    (area,) = only(marks(DOUBLE), hv.Area)
    assert area.dimension_values("price").tolist() == [110, 100, 109, 100]
    assert area.dimension_values("floor").tolist() == [100] * 4


def test_what_is_filled_lies_between_both_sides():
    (area,) = only(marks(TRIANGLE), hv.Area)
    assert pd.DatetimeIndex(area.dimension_values("time")).tolist() == [DAYS[4], DAYS[7], DAYS[20]]
    upper, lower = area.dimension_values("price"), area.dimension_values("floor")
    assert (upper[0], upper[-1]) == (110, 100)
    assert lower.tolist() == [110, 95, 102]


def test_a_level_is_one_line():
    (line,) = marks(SUPPORT)
    assert line.dimension_values("price").tolist() == line.dimension_values("price_end").tolist() == [95.1]


def test_candlesticks_are_marked_on_their_side_of_the_candle():
    elements = {element.dimension_values("pattern")[0]: element for element in marks(HAMMER, DOJI, STAR)}
    assert elements["hammer"].dimension_values("price")[0] < 95
    assert elements["evening star"].dimension_values("price")[0] > 105
    assert elements["doji"].opts.get().kwargs["marker"] == "diamond"


def test_several_marks_of_one_candle_lie_apart():
    (points,) = marks(HAMMER, row("takuri", "bullish", [(20, 95)], []))
    first, second = points.dimension_values("price")
    assert second < first < 95


def test_names_at_one_place_lie_apart():
    (names,) = only(marks(DOUBLE, {**DOUBLE, "pattern": "triple top"}), hv.Labels)
    first, second = names.dimension_values("price")
    assert second - first >= 0.05 * (111 - 89)


@pytest.mark.parametrize("given", [DOUBLE, TRIANGLE, SUPPORT, HAMMER, DOJI], ids=lambda one: one["pattern"])
def test_the_color_tells_the_direction_and_hovering_tells_the_rest(given):
    hovered = [element for element in marks(given) if "color" in element.dimensions(label=True)]
    assert hovered
    for element in hovered:
        assert set(element.dimension_values("color")) == {COLORS[given["direction"]]}
        assert element.dimension_values("reason")[0] == "drawn <by> hand"
        assert element.dimension_values("breakout")[0] == ", close 99.00 below"
    tips = [element.opts.get().kwargs.get("hover_tooltips") for element in hovered]
    assert any(tip and ("known", "@known{%F}@breakout") in tip for tip in tips)


def test_only_what_lies_within_the_bars_shown_is_drawn():
    rows = pd.DataFrame([DOUBLE, {**DOUBLE, "symbol": "OTHER"}])
    assert len(only(pattern_marks(rows, "HAND", FRAME), hv.Area)) == 1
    assert pattern_marks(rows, "HAND", FRAME.iloc[21:]) == []
    assert pattern_marks(rows, "HAND", FRAME.iloc[:20]) == []
    assert pattern_marks(rows, "HAND", FRAME.iloc[:0]) == []
    assert pattern_marks(rows.iloc[:0], "HAND", FRAME) == []


@pytest.mark.parametrize("first", [5, 9, 12, 15, 20])
@pytest.mark.parametrize("given", [DOUBLE, TRIANGLE, SUPPORT, HAMMER], ids=lambda one: one["pattern"])
def test_a_pattern_that_began_before_the_bars_shown_is_cut_off_there(given, first):
    shown = FRAME.iloc[first:]
    elements = pattern_marks(pd.DataFrame([{**given, "start": DAYS[4]}]), "HAND", shown)
    times = [
        pd.DatetimeIndex(one.dimension_values(name)) for one in elements for name in ("time", "time_end") if name in one
    ]
    assert bool(times) is (first < 20 or given is not SUPPORT)
    for one in times:
        assert shown.index[0] <= one.min() <= one.max() <= shown.index[-1]


def test_what_is_cut_off_lies_on_the_same_lines():
    elements = pattern_marks(pd.DataFrame([TRIANGLE]), "HAND", FRAME.iloc[8:])
    turns, sides = only(elements, hv.Segments)
    part = (DAYS[8] - DAYS[7]) / (DAYS[10] - DAYS[7])
    assert turns.dimension_values("price") == pytest.approx([95 + 11 * part, 106])
    assert turns.dimension_values("price_end").tolist() == [106, 98]
    upper = 110 - 10 * ((DAYS[8] - DAYS[4]) / (DAYS[20] - DAYS[4]))
    lower = 95 + 7 * ((DAYS[8] - DAYS[7]) / (DAYS[20] - DAYS[7]))
    assert sides.dimension_values("price") == pytest.approx([upper, lower])
    (area,) = only(elements, hv.Area)
    assert pd.DatetimeIndex(area.dimension_values("time")).tolist() == [DAYS[8], DAYS[20]]
    assert area.dimension_values("price") == pytest.approx([upper, 100])
    assert area.dimension_values("floor") == pytest.approx([lower, 102])


def test_a_year_of_the_sample_is_no_wider_for_its_patterns(bars):
    found, frame = table(find(bars)), own_bars(bars, "AAPL")["2011":"2012"]
    assert ((found["start"] < frame.index[0]) & (found["known"] >= frame.index[0]) & (found["symbol"] == "AAPL")).any()
    for one in pattern_marks(found, "AAPL", frame):
        assert pd.Timestamp(one.dimension_values("time").min()) >= frame.index[0]
    hv.render(panel([*prices(frame, bars), *pattern_marks(found, "AAPL", frame)], 300, "price"))


def test_all_patterns_of_the_sample_can_be_drawn_over_its_candles(bars):
    found = table(find(bars, [*dict.fromkeys(one.name for one in find(bars)), "hammer", "doji", "engulfing"]))
    for symbol in ("AAPL", "FB"):
        frame = own_bars(bars, symbol)
        picture = panel([*prices(frame, bars), *pattern_marks(found, symbol, frame)], 300, "price")
        figure = hv.render(picture)
        assert len(figure.renderers) > 10


def test_closes_only_are_enough(bench):
    bars = bench.bars(dataset="sp500_index", start="2015")
    frame = own_bars(bars, "SP500")
    elements = pattern_marks(table(find(bars)), "SP500", frame)
    (names, *_) = only(elements, hv.Labels)
    assert np.isfinite(names.dimension_values("price")).all()
