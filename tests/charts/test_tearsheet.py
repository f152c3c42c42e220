import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.charts.standalone import embed
from workbench.charts.tearsheet import distribution_picture, growth_picture, rolling_picture

TIMES = pd.bdate_range("2010-01-01", periods=600)


def pair(first, second):
    return {"rule": pd.Series(first, TIMES), "buy and hold": pd.Series(second, TIMES)}


@pytest.fixture
def depth():
    return pair(np.linspace(0, -0.2, 600), np.linspace(0, -0.4, 600))


@pytest.mark.parametrize(
    ("first", "second", "even"),
    [(1.5, 2.0, True), (1.5, 4.0, False), (0.0, 9.0, True)],
    ids=["small", "large", "ruined"],
)
def test_equity_that_grew_manifold_is_drawn_on_a_logarithmic_scale(depth, first, second, even):
    equity = pair(100 * np.linspace(1, first, 600), 100 * np.linspace(1, second, 600))
    picture, found = growth_picture(equity, depth, "USD")
    assert found is even
    (top, low) = hv.render(picture).children if hasattr(hv.render(picture), "children") else ()
    figures = [item[0] if isinstance(item, tuple) else item for item in (top, low)]
    assert ("Log" in type(figures[0].y_scale).__name__) is not even
    upper, _ = picture
    assert [curve.label for curve in upper] == ["buy and hold", "rule"]


def test_rolling_figures_leave_room_where_there_are_none(depth):
    sharpe = pair(np.where(np.arange(600) < 252, np.nan, 1.2), 0.7)
    picture = rolling_picture(sharpe, depth)
    upper, _ = picture
    curve = next(part for part in upper if part.label == "rule")
    assert np.isnan(curve.dimension_values("Sharpe ratio")[0])
    assert curve.dimension_values("Sharpe ratio")[-1] == 1.2


def test_every_return_that_is_not_flat_is_counted_once():
    draws = np.random.default_rng(2).normal(0, 0.01, 600)
    draws[:100] = 0
    histogram = next(part for part in distribution_picture(pd.Series(draws, TIMES)) if isinstance(part, hv.Histogram))
    counts = histogram.dimension_values("bars")
    assert counts.sum() == 500
    assert 10 <= len(counts) <= 80


def test_one_account_alone_is_drawn_without_a_benchmark(depth):
    alone = {"rule": depth["rule"] + 1}
    picture, even = growth_picture(alone, {"rule": depth["rule"]}, "USD")
    assert even
    top, low = picture
    assert [part.label for part in top] == ["rule"]
    assert [part.label for part in low] == ["rule"]
    assert [part.label for part in list(rolling_picture(alone, alone))[1]] == ["rule"]
    assert hv.render(picture)


@pytest.mark.parametrize(
    ("returns", "counted"),
    [([0.0] * 600, 0), ([np.nan] * 600, 0), ([0.01] + [0.0] * 599, 1), ([np.nan, 0.01, -0.02] + [0.0] * 597, 2)],
    ids=["flat", "unknown", "one", "two"],
)
def test_an_account_that_is_flat_or_almost_has_a_picture_too(returns, counted):
    picture = distribution_picture(pd.Series(returns, TIMES))
    histogram = next(part for part in picture if isinstance(part, hv.Histogram))
    assert histogram.dimension_values("bars").sum() == counted
    assert sum(isinstance(part, hv.VLine) for part in picture) == (counted > 0)
    assert hv.render(picture)


def test_two_pages_can_be_made_one_after_the_other(depth):
    for _ in range(2):
        script, places = embed({"one": growth_picture(depth, depth, "USD")[0], "two": rolling_picture(depth, depth)})
        assert set(places) == {"one", "two"}
        assert "https://" not in script


def test_a_page_without_pictures_needs_no_script():
    assert embed({}) == ("", {})
