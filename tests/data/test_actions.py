import numpy as np
import pandas as pd
import pytest

from workbench.core.market import FIELDS, PRICES
from workbench.data.actions import COLUMNS, adjust_panel, implied_actions
from workbench.data.tables.base import Panel

DAYS = pd.DatetimeIndex(pd.bdate_range("2012-03-05", periods=6) + pd.Timedelta(hours=21)).tz_localize("UTC")
CLOSES = [100.0, 104.0, 52.0, 50.0, 51.0, 55.0]
NAN = np.nan


def actions_of(*rows):
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": "float64"})


ACTIONS = actions_of(("A", DAYS[2], "split", 2.0), ("A", DAYS[4], "dividend", 3.0), ("B", DAYS[3], "split", 10.0))


def panel_of(**closes):
    """A panel with a column of closes for each symbol; NaN is a day without a bar."""
    wide = np.column_stack([np.asarray(values, dtype="float64") for values in (closes or {"A": CLOSES}).values()])
    fields = {"open": wide - 1, "high": wide + 2, "low": wide - 2, "close": wide, "volume": wide * 0 + 1000}
    times = DAYS.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return Panel(times[: len(wide)], list(closes or {"A": CLOSES}), fields, 1, DAYS[-1])


def closes_of(panel, actions, adjust="all", stored="none"):
    return adjust_panel(panel, actions, adjust, stored)["close"]


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
    raw = panel_of()
    adjusted = adjust_panel(raw, ACTIONS, adjust, stored)
    assert list(adjusted) == list(FIELDS)
    for field in PRICES:
        np.testing.assert_allclose(adjusted[field][:, 0], raw.fields[field][:, 0] * factor, rtol=1e-14)
    np.testing.assert_allclose(adjusted["volume"][:, 0], 1000 * np.asarray(volume), rtol=1e-14)


def test_each_symbol_has_its_own_actions_only():
    found = closes_of(panel_of(A=CLOSES, B=CLOSES, C=CLOSES), ACTIONS, "splits")
    np.testing.assert_allclose(found[:, 0], np.divide(CLOSES, [2, 2, 1, 1, 1, 1]))
    np.testing.assert_allclose(found[:, 1], np.divide(CLOSES, [10, 10, 10, 1, 1, 1]))
    np.testing.assert_array_equal(found[:, 2], CLOSES)


def test_two_symbols_whose_actions_share_a_day():
    shared = actions_of(("A", DAYS[2], "split", 2.0), ("B", DAYS[2], "split", 5.0), ("B", DAYS[2], "dividend", 4.0))
    found = closes_of(panel_of(A=CLOSES, B=CLOSES), shared)
    np.testing.assert_allclose(found[:, 0], np.divide(CLOSES, [2, 2, 1, 1, 1, 1]))
    np.testing.assert_allclose(found[:2, 1], np.multiply(CLOSES[:2], 52 / 56 / 5))
    np.testing.assert_array_equal(found[2:, 1], CLOSES[2:])


def test_the_arrays_given_are_left_as_they_were():
    raw = panel_of()
    adjust_panel(raw, ACTIONS, "all", "none")
    for field, values in panel_of().fields.items():
        np.testing.assert_array_equal(raw.fields[field], values)


@pytest.mark.parametrize(
    ("when", "factor"),
    [
        (DAYS[0], [1, 1, 1, 1, 1, 1]),
        (DAYS[0] - pd.Timedelta(days=9), [1, 1, 1, 1, 1, 1]),
        (DAYS[-1], [0.5, 0.5, 0.5, 0.5, 0.5, 1]),
        (DAYS[-1] + pd.Timedelta(days=9), [1, 1, 1, 1, 1, 1]),
        (DAYS[3] - pd.Timedelta(hours=9), [0.5, 0.5, 0.5, 1, 1, 1]),
    ],
)
def test_where_an_ex_date_lies(when, factor):
    np.testing.assert_allclose(
        closes_of(panel_of(), actions_of(("A", when, "split", 2.0)))[:, 0], CLOSES * np.array(factor)
    )


@pytest.mark.parametrize(("kind", "value"), [("split", 2.0), ("dividend", 3.0)])
def test_a_symbol_without_a_bar_on_the_ex_date_is_adjusted_before_its_next_own_bar(kind, value):
    closes = [100.0, 104.0, NAN, NAN, 51.0, 55.0]
    found = closes_of(panel_of(A=closes, B=CLOSES), actions_of(("A", DAYS[2], kind, value)))
    step = 0.5 if kind == "split" else 51 / 54
    np.testing.assert_allclose(found[:, 0], [100 * step, 104 * step, NAN, NAN, 51, 55])
    np.testing.assert_array_equal(found[:, 1], CLOSES)


def test_an_action_after_the_symbols_own_last_bar_changes_nothing_yet():
    closes = [100.0, 104.0, 52.0, NAN, NAN, NAN]
    found = closes_of(panel_of(A=closes, B=CLOSES), actions_of(("A", DAYS[4], "split", 2.0)))
    np.testing.assert_array_equal(found[:, 0], closes)


def test_a_dividend_before_and_on_the_first_bar_changes_nothing():
    closes = [NAN, NAN, 52.0, 50.0, 51.0, 55.0]
    paid = actions_of(("A", DAYS[0], "dividend", 9.0), ("A", DAYS[2], "dividend", 9.0))
    np.testing.assert_array_equal(closes_of(panel_of(A=closes, B=CLOSES), paid)[:, 0], closes)


def test_a_reverse_split_raises_prices_and_lowers_volume():
    raw = panel_of(A=[1.0, 1.1, 11.0, 12.0])
    adjusted = adjust_panel(raw, actions_of(("A", DAYS[2], "split", 0.1)), "splits", "none")
    np.testing.assert_allclose(adjusted["close"][:, 0], [10, 11, 11, 12])
    np.testing.assert_allclose(adjusted["volume"][:, 0], [100, 100, 1000, 1000])


def test_dividends_between_two_bars_add_up_before_they_are_related_to_the_close():
    # Ex-dates on two days without a bar: (51 + 1 + 2) / 104 is what the holder got.
    closes = [100.0, 104.0, NAN, NAN, 51.0, 55.0]
    found = closes_of(panel_of(A=closes), actions_of(("A", DAYS[2], "dividend", 1.0), ("A", DAYS[3], "dividend", 2.0)))[
        :, 0
    ]
    assert found[4] / found[1] == pytest.approx((51 + 3) / 104, rel=1e-14)


def test_splits_between_two_bars_multiply():
    closes = [100.0, 104.0, NAN, NAN, 51.0, 55.0]
    found = closes_of(panel_of(A=closes), actions_of(("A", DAYS[2], "split", 2.0), ("A", DAYS[3], "split", 3.0)))
    np.testing.assert_allclose(found[:2, 0], [100 / 6, 104 / 6])


def test_holes_stay_holes_and_nothing_else_becomes_one():
    raw = panel_of(A=[100.0, NAN, 52.0, NAN, 51.0, 55.0])
    raw.fields["volume"][2, 0] = NAN
    raw.fields["open"][0, 0] = NAN
    adjusted = adjust_panel(raw, ACTIONS, "all", "none")
    for field, values in raw.fields.items():
        np.testing.assert_array_equal(np.isnan(adjusted[field]), np.isnan(values))


def test_the_order_of_actions_does_not_matter():
    np.testing.assert_array_equal(closes_of(panel_of(), ACTIONS[::-1]), closes_of(panel_of(), ACTIONS))


def test_the_adjusted_return_over_an_ex_date_is_the_holders():
    found = closes_of(panel_of(), ACTIONS)[:, 0]
    assert found[2] / found[1] == pytest.approx(2 * 52 / 104, rel=1e-14)
    assert found[4] / found[3] == pytest.approx((51 + 3) / 50, rel=1e-14)


def test_a_single_field_is_adjusted_with_the_close_beside_it():
    whole = panel_of()
    part = Panel(whole.times, whole.symbols, {name: whole.fields[name] for name in ("low", "close")}, 1, None)
    both = adjust_panel(whole, ACTIONS, "all", "none")
    np.testing.assert_array_equal(adjust_panel(part, ACTIONS, "all", "none")["low"], both["low"])


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
    ours = closes_of(panel_of(), actions)[:, 0]
    np.testing.assert_allclose(ours, adjusted.to_numpy(), rtol=1e-6)
