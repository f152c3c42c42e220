import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.analytics import indicators
from workbench.charts.candles import candlesticks
from workbench.charts.theme import DOWN, UP
from workbench.core.errors import UnknownNameError


def parts(layout, place, kind):
    return [part for part in list(layout)[place] if isinstance(part, kind)]


@pytest.fixture(scope="module")
def month(bench):
    return bench.bars(["AAPL", "FB"], "2012-06", "2012-06")


def test_a_candle_for_every_bar(month):
    layout = candlesticks(month, "AAPL")
    own = month.sel(symbol="AAPL").to_dataframe()
    bodies = parts(layout, 0, hv.Rectangles)[0].dframe()
    (wicks,) = (part.dframe() for part in parts(layout, 0, hv.Segments))
    np.testing.assert_allclose(bodies["top"], own[["open", "close"]].max(axis=1))
    np.testing.assert_allclose(bodies["bottom"], own[["open", "close"]].min(axis=1))
    np.testing.assert_allclose(wicks["high"], own["high"])
    np.testing.assert_allclose(wicks["low"], own["low"])
    rising = (own["close"] >= own["open"]).to_numpy()
    assert 0 < rising.sum() < len(own)
    assert bodies["color"].tolist() == np.where(rising, UP, DOWN).tolist()


def test_candles_stand_apart_and_on_their_time(month):
    bodies = parts(candlesticks(month, "AAPL"), 0, hv.Rectangles)[0].dframe()
    left, right = pd.to_datetime(bodies["time"]), pd.to_datetime(bodies["time_end"])
    assert ((left + (right - left) / 2) == month.indexes["time"]).all()
    assert (right > left).all()
    assert (left.to_numpy()[1:] > right.to_numpy()[:-1]).all()


def test_one_bar_is_as_wide_as_any(month):
    bodies = parts(candlesticks(month.isel(time=[3]), "AAPL"), 0, hv.Rectangles)[0].dframe()
    assert (pd.to_datetime(bodies["time_end"]) - pd.to_datetime(bodies["time"])).item() > pd.Timedelta(hours=12)


def test_volume_stands_on_zero_below(month):
    (bars,) = parts(candlesticks(month, "FB"), 1, hv.Rectangles)
    np.testing.assert_allclose(bars.dimension_values("volume"), month["volume"].sel(symbol="FB"))
    assert (bars.dimension_values("floor") == 0).all()


def test_overlays_lie_over_the_prices_and_oscillators_below(month):
    sma, rsi = indicators.sma(month, 5), indicators.rsi(month, 5)
    layout = candlesticks(month, "FB", {"SMA 5": sma}, {"RSI": {"RSI 5": rsi}})
    assert len(layout) == 3
    (drawn,) = parts(layout, 0, hv.Curve)
    assert drawn.label == "SMA 5"
    np.testing.assert_array_equal(drawn.dimension_values("price"), sma.sel(symbol="FB"))
    (below,) = parts(layout, 2, hv.Curve)
    np.testing.assert_array_equal(below.dimension_values("RSI"), rsi.sel(symbol="FB"))


def test_the_rsi_has_its_own_scale(month):
    layout = candlesticks(month, "FB", None, {"RSI": {"RSI 5": indicators.rsi(month, 5)}})
    plot = hv.render(list(layout)[2])
    assert (plot.y_range.start, plot.y_range.end) == (0, 100)


def test_closes_only_are_a_line_without_volume(bench):
    layout = candlesticks(bench.bars(dataset="sp500_index", start="2022"), "SP500")
    assert len(layout) == 1
    (drawn,) = parts(layout, 0, hv.Curve)
    assert drawn.label == "close"


@pytest.mark.parametrize(
    ("adjust", "words"),
    [
        ("none", "prices as traded"),
        ("splits", "adjusted for splits"),
        ("all", "adjusted for splits and dividends"),
    ],
)
def test_the_title_says_which_prices_are_shown(bench, adjust, words):
    bars = bench.bars("AAPL", "2012-06", "2012-06", adjust=adjust)
    upper, *_ = candlesticks(bars, "AAPL")
    title = upper.opts.get().kwargs["title"]
    assert title == f"AAPL · USD · {words}"


def test_times_without_a_bar_are_left_out(bars):
    own = bars["close"].sel(symbol="FB").notnull()
    bodies = parts(candlesticks(bars, "FB"), 0, hv.Rectangles)[0]
    assert len(bodies) == int(own.sum())


def test_an_unknown_symbol_is_told(month):
    with pytest.raises(UnknownNameError, match=r"symbol 'APPL'.*AAPL"):
        candlesticks(month, "APPL")


def test_all_panels_share_one_time_axis(bars):
    figure = hv.render(candlesticks(bars, "AAPL", {"SMA": bars["close"]}, {"RSI": {"RSI": bars["close"]}}))
    ranges = {plot.x_range for plot, *_ in figure.children}
    assert len(figure.children) == 3
    assert len(ranges) == 1
