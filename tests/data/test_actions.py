import numpy as np
import pandas as pd
import pytest

from workbench.data.actions import COLUMNS, adjust_rows, implied_actions

DAYS = pd.DatetimeIndex(pd.bdate_range("2012-03-05", periods=6) + pd.Timedelta(hours=21)).tz_localize("UTC")
CLOSES = [100.0, 104.0, 52.0, 50.0, 51.0, 55.0]
ACTIONS = pd.DataFrame(
    [("A", DAYS[2], "split", 2.0), ("A", DAYS[4], "dividend", 3.0), ("B", DAYS[3], "split", 10.0)],
    columns=list(COLUMNS),
)


def rows_of(closes=CLOSES, symbol="A"):
    values = np.asarray(closes)
    return pd.DataFrame(
        {
            "symbol": symbol,
            "time": DAYS,
            "open": values - 1,
            "high": values + 2,
            "low": values - 2,
            "close": values,
            "volume": 1000.0,
        }
    )


DIVIDEND = 51 / (51 + 3)


@pytest.mark.parametrize(
    ("adjust", "stored", "factor", "volume"),
    [
        ("none", "none", [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
        ("splits", "none", [0.5, 0.5, 1, 1, 1, 1], [2, 2, 1, 1, 1, 1]),
        ("all", "none", [0.5 * DIVIDEND, 0.5 * DIVIDEND, DIVIDEND, DIVIDEND, 1, 1], [2, 2, 1, 1, 1, 1]),
        ("all", "splits", [DIVIDEND, DIVIDEND, DIVIDEND, DIVIDEND, 1, 1], [1, 1, 1, 1, 1, 1]),
        ("splits", "splits", [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
        ("all", "all", [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_what_is_taken_out_of_prices_and_volume(adjust, stored, factor, volume):
    raw = rows_of()
    adjusted = adjust_rows(raw, ACTIONS, adjust, stored)
    for field in ("open", "high", "low", "close"):
        np.testing.assert_allclose(adjusted[field], raw[field] * factor, rtol=1e-14)
    np.testing.assert_allclose(adjusted["volume"], 1000 * np.asarray(volume), rtol=1e-14)


def test_each_symbol_has_its_own_actions_only():
    both = pd.concat([rows_of(), rows_of(symbol="B")], ignore_index=True)
    adjusted = adjust_rows(both, ACTIONS, "splits", "none")
    assert adjusted["symbol"].tolist() == both["symbol"].tolist()
    np.testing.assert_allclose(adjusted[adjusted["symbol"] == "B"]["close"], np.divide(CLOSES, [10, 10, 10, 1, 1, 1]))


def test_the_rows_given_are_left_as_they_were():
    raw = rows_of()
    adjust_rows(raw, ACTIONS, "all", "none")
    pd.testing.assert_frame_equal(raw, rows_of())


@pytest.mark.parametrize(
    ("when", "factor"),
    [
        (DAYS[0], [1, 1, 1, 1, 1, 1]),
        (DAYS[0] - pd.Timedelta(days=9), [1, 1, 1, 1, 1, 1]),
        (DAYS[-1] + pd.Timedelta(days=9), [1, 1, 1, 1, 1, 1]),
        (DAYS[3] - pd.Timedelta(hours=9), [0.5, 0.5, 0.5, 1, 1, 1]),
    ],
)
def test_an_ex_date_that_is_no_bar(when, factor):
    split = pd.DataFrame([("A", when, "split", 2.0)], columns=list(COLUMNS))
    adjusted = adjust_rows(rows_of(), split, "all", "none")
    np.testing.assert_allclose(adjusted["close"], np.multiply(CLOSES, factor))


def factor_close(steps):
    """Adjusted closes whose ratio to the close jumps by ``steps`` on the given bars."""
    factor = np.ones(len(CLOSES))
    for place, step in steps.items():
        factor[:place] /= step
    return pd.Series(CLOSES, index=DAYS), pd.Series(CLOSES * factor, index=DAYS)


@pytest.mark.parametrize(
    ("step", "kind", "value"),
    [
        (2.0, "split", 2.0),
        (1.5, "split", 1.5),
        (4 / 3, "split", 4 / 3),
        (7.0, "split", 7.0),
        (1 / 3, "split", 1 / 3),
        (0.1, "split", 0.1),
        (0.05, "split", 0.05),
        (1.02, "dividend", 1.04),
        (1 + 3.08 / 52, "dividend", 3.08),
    ],
)
def test_a_jump_is_read_as_what_it_is(step, kind, value):
    found = implied_actions(*factor_close({2: step}))
    assert found[["time", "kind"]].to_numpy().tolist() == [[DAYS[2], kind]]
    assert found["value"].item() == pytest.approx(value, abs=1e-4)


def test_no_jump_is_no_action():
    assert implied_actions(*factor_close({})).empty
    close, _ = factor_close({})
    assert implied_actions(close, close * 0.37).empty


def test_rounded_closes_hide_no_dividend_and_invent_none():
    days = pd.bdate_range("2012-01-02", periods=200, tz="UTC")
    close = pd.Series(np.linspace(70, 80, 200).round(2), index=days)
    factor = np.where(np.arange(200) < 120, close.iloc[120] / (close.iloc[120] + 0.5), 1.0)
    found = implied_actions(close, (close * factor).round(2), decimals=2)
    assert found["time"].tolist() == [days[120]]
    assert found["value"].item() == pytest.approx(0.5, abs=0.01)


def test_adjusting_with_the_implied_actions_gives_the_adjusted_closes_back():
    close, adjusted = factor_close({2: 2.0, 4: 1.02})
    actions = implied_actions(close, adjusted).assign(symbol="A")
    ours = adjust_rows(rows_of(), actions, "all", "none")["close"].to_numpy()
    np.testing.assert_allclose(ours, adjusted.to_numpy(), rtol=1e-6)
