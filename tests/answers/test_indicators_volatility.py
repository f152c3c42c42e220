"""Realised volatility against numbers worked out by hand, pandas, and what the papers promise of each estimator."""

import math

import numpy as np
import pandas as pd
import pytest

from workbench.analytics import indicators
from workbench.core.frames import bars_from_rows
from workbench.core.market import PRICES


def bars_of(logs):
    """Return Bars of one symbol from logarithms of open, high, low, close, shape (n, 4)."""
    days = pd.date_range("1980-01-01", periods=len(logs), tz="UTC")
    frame = pd.DataFrame(np.exp(logs), columns=list(PRICES)).assign(volume=np.nan, symbol="X", time=days)
    about = {"dataset": "", "version": "", "interval": "1d", "currency": "USD", "calendar": "XNYS"}
    return bars_from_rows(frame, ["X"], {**about, "adjustment": "none", "source": "", "as_of": "", "fields": PRICES})


def volatility(logs, window, estimator):
    return indicators.realised_volatility(bars_of(logs), window, estimator, periods_per_year=1)[:, 0].to_numpy()


# Logarithms of open, high, low, close in hundredths: moves of the night 0, 1, -1 and of the session 2, -1, 1.
DAYS = np.array([(0, 3, -1, 2), (3, 4, 1, 2), (1, 3, 0, 2)]) / 100


def test_parkinson_by_hand():
    """Ranges 4, 3, 3 (in hundredths): 25 / 2 and 18 / 2 over 4 ln 2."""
    expected = np.sqrt(np.array([25 / 2, 18 / 2]) / (4 * math.log(2))) / 100
    np.testing.assert_allclose(volatility(DAYS, 2, "parkinson")[1:], expected)


def test_garman_klass_by_hand():
    """0.5 * 16 - 0.386 * 4, 0.5 * 9 - 0.386 * 1 and the same once more."""
    single = np.array([8 - 0.38629436111989 * 4, 4.5 - 0.38629436111989, 4.5 - 0.38629436111989])
    expected = np.sqrt([single[:2].mean(), single[1:].mean()]) / 100
    np.testing.assert_allclose(volatility(DAYS, 2, "garman_klass")[1:], expected)


def test_rogers_satchell_by_hand():
    """(3-2)(3-0) + (-1-2)(-1-0) = 6; (4-2)(4-3) + (1-2)(1-3) = 4; (3-2)(3-1) + (0-2)(0-1) = 4: means 5 and 4."""
    np.testing.assert_allclose(volatility(DAYS, 2, "rogers_satchell")[1:], np.sqrt([5, 4]) / 100)


def test_yang_zhang_by_hand():
    """Of the last two days: nights 1 and -1 have variance 2, sessions -1 and 1 too; k = 0.34 / (1.34 + 3)."""
    weight = 0.34 / 4.34
    expected = math.sqrt(2 + weight * 2 + (1 - weight) * 4) / 100
    found = volatility(DAYS, 2, "yang_zhang")
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(expected)


@pytest.mark.parametrize("window", [2, 20, 60])
def test_close_to_close_is_pandas_own(bars, window):
    close = bars["close"].sel(symbol="IBM").to_series()
    expected = np.log(close).diff().rolling(window).std() * math.sqrt(252)
    found = indicators.realised_volatility(bars, window).sel(symbol="IBM").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_a_year_has_the_periods_that_are_given(bars):
    once = indicators.realised_volatility(bars, periods_per_year=1)
    np.testing.assert_allclose(indicators.realised_volatility(bars, periods_per_year=12), once * math.sqrt(12))
    np.testing.assert_allclose(indicators.realised_volatility(bars), once * math.sqrt(252))


@pytest.fixture(scope="module")
def walks():
    """Days of 2,000 steps with a variance of 1 in the session, and 0.25 in the night before it: shape (20000, 4).

    Scaled to a session of 1 %, so that prices stay numbers; extremes between steps are missed by about 0.58 of a step
    (M. Broadie, P. Glasserman and S. Kou, Mathematical Finance 7 (1997)), which is put back.
    """
    rng = np.random.default_rng(4)
    steps, days = 2000, 20_000
    nights = rng.normal(0, 0.5, days)
    session = np.empty((days, 3))
    for first in range(0, days, 1000):
        path = rng.normal(0, math.sqrt(1 / steps), (1000, steps)).cumsum(axis=1)
        missed = 0.5826 / math.sqrt(steps)
        high, low = path.max(axis=1).clip(min=0) + missed, path.min(axis=1).clip(max=0) - missed
        session[first : first + 1000] = np.column_stack([high, low, path[:, -1]])
    opens = np.cumsum(nights) + np.concatenate([[0], session[:-1, 2].cumsum()])
    logs = np.column_stack([opens, opens[:, None] + session])
    return (logs - logs.mean()) / 1000


def test_each_estimator_finds_the_variance_of_a_random_walk(walks):
    """Unbiased for a walk without drift: 1 in the session, 1.25 with the night."""
    expected = {
        "parkinson": 1.0,
        "garman_klass": 1.0,
        "rogers_satchell": 1.0,
        "close_to_close": 1.25,
        "yang_zhang": 1.25,
    }
    for name, variance in expected.items():
        found = volatility(walks, 10, name) * 1000
        assert np.nanmean(found**2) == pytest.approx(variance, rel=0.02), name


@pytest.mark.parametrize(
    ("estimator", "efficiency"),
    [
        ("parkinson", 5.2),  # Garman and Klass (1980), of Parkinson's
        ("garman_klass", 7.4),  # Garman and Klass (1980), of their own
        (
            "rogers_satchell",
            6.0,
        ),  # Rogers and Satchell (1991): a variance of 0.331, against 2 of the squared move
    ],
)
def test_a_range_says_as_much_as_its_paper_promises(walks, estimator, efficiency):
    """The variance of the squared close-to-open move over that of the estimator, for one day."""
    # Windows of two days that do not overlap: the mean of two independent days has half the variance of one.
    found = (volatility(walks, 2, estimator)[1::2] * 1000) ** 2
    move = (walks[:, 3] - walks[:, 0]) * 1000
    assert (move**2).var() / (2 * found.var()) == pytest.approx(efficiency, rel=0.06)


def test_a_drift_does_not_fool_rogers_satchell_and_yang_zhang():
    """A drift of one session's deviation a day: Parkinson's and Garman's grow by it, the others do not."""
    rng, steps, days = np.random.default_rng(5), 1000, 4000
    path = (rng.normal(0, math.sqrt(1 / steps), (days, steps)) + 1 / steps).cumsum(axis=1)
    missed = 0.5826 / math.sqrt(steps)
    high, low = path.max(axis=1).clip(min=0) + missed, path.min(axis=1).clip(max=0) - missed
    opens = np.concatenate([[0], path[:-1, -1].cumsum()])
    logs = np.column_stack([opens, opens + high, opens + low, opens + path[:, -1]]) / 1000
    found = {name: np.nanmean((volatility(logs, 10, name) * 1000) ** 2) for name in indicators.ESTIMATORS}
    for name in ("rogers_satchell", "yang_zhang"):
        assert found[name] == pytest.approx(1.0, rel=0.04), name
    assert found["parkinson"] > 1.3
    assert found["garman_klass"] > 1.1


@pytest.mark.parametrize("estimator", indicators.ESTIMATORS)
@pytest.mark.parametrize("price", [0.0, -1.0])
def test_a_price_without_a_logarithm_has_no_volatility_while_it_is_in_the_window(bars, estimator, price):
    own = bars.sel(symbol=["IBM"]).isel(time=slice(60)).copy(deep=True)
    whole = indicators.realised_volatility(own, 5, estimator)[:, 0].to_numpy()
    for field in ("open", "high", "low", "close"):
        own[field][30] = price
    found = indicators.realised_volatility(own, 5, estimator)[:, 0].to_numpy()
    assert np.isnan(found[30:35]).all()
    np.testing.assert_array_equal(found[:30], whole[:30])
    np.testing.assert_array_equal(found[36:], whole[36:])
