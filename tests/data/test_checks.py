"""What is odd about stored bars is found, and what is not odd is not."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.core.calendar import session_closes
from workbench.core.errors import ParameterError
from workbench.core.frames import validate_bars
from workbench.core.market import FIELDS, PRICES
from workbench.data.checks import check_bars, reconcile
from workbench.data.stamps import bar_ends, sessions_between

NAN = np.nan
NONE_KEPT_OUT = pd.DataFrame(
    {"symbol": pd.Series(dtype="str"), "reason": [], "session": pd.DatetimeIndex([], tz="UTC")}
)


def bars_of(closes, times=None, fields=FIELDS, first="2012-11-12", interval="1d", **own):
    """Bars of symbols with these closes, NaN where there is no bar; daily sessions from ``first`` on by default."""
    wide = np.column_stack([np.asarray(values, dtype="float64") for values in closes.values()])
    if times is None:
        times = session_closes("XNYS", sessions_between("XNYS", pd.Timestamp(first), pd.Timestamp("2014"))[: len(wide)])
    given = {**dict.fromkeys(PRICES, wide), "volume": wide * 0 + 1000.0}
    given = {name: given[name] if name in fields else wide * NAN for name in FIELDS}
    given |= {name: np.column_stack([np.asarray(values, dtype="float64")]) for name, values in own.items()}
    attrs = {
        "dataset": "own",
        "version": "own@1.1",
        "interval": interval,
        "currency": "USD",
        "calendar": "XNYS",
        "adjustment": "all",
        "source": "a test",
        "as_of": "2026-01-05T12:00:00+00:00",
        "fields": tuple(fields),
    }
    coords = {
        "time": pd.DatetimeIndex(times).tz_localize(None).to_numpy(dtype="datetime64[ns]"),
        "symbol": np.asarray(list(closes), dtype=object),
    }
    variables = {name: (("time", "symbol"), values) for name, values in given.items()}
    return validate_bars(xr.Dataset(variables, coords=coords, attrs=attrs))


def found(bars, kept_out=NONE_KEPT_OUT, stored=None):
    table = check_bars(bars, kept_out, stored)
    return [(row.symbol, row.rule, row.rows, f"{row.first:%m-%d}", f"{row.last:%m-%d}") for row in table.itertuples()]


def test_sound_bars_have_nothing_odd():
    table = check_bars(bars_of({"A": [10, 11, 12, 11, 10, 11, 12]}), NONE_KEPT_OUT)
    assert table.empty
    assert list(table) == ["symbol", "rule", "rows", "first", "last", "detail"]


# ---------------------------------------------------------------- missing sessions


def test_sessions_between_the_first_and_the_last_bar_are_missed():
    bars = bars_of({"A": [10, NAN, NAN, 11, 12], "B": [10, 11, 12, 11, 12]})
    assert found(bars) == [("A", "missing sessions", 2, "11-13", "11-14")]
    assert check_bars(bars, NONE_KEPT_OUT)["detail"].tolist() == ["2012-11-13, 2012-11-14"]


def test_a_session_that_no_symbol_has_is_missed():
    bars = bars_of({"A": [10, 11, 12, 11, 12]})
    assert found(bars.isel(time=[0, 1, 3, 4])) == [("A", "missing sessions", 1, "11-14", "11-14")]


def test_sessions_before_the_first_and_after_the_last_bar_are_not_missed():
    assert found(bars_of({"A": [NAN, 10, 11, NAN], "B": [10, 11, 12, 11]})) == []


def test_a_half_day_a_weekend_and_a_holiday_are_not_missed():
    # 2012-11-19 to 11-27 with Thanksgiving and the half day after it.
    bars = bars_of({"A": [10, 11, 12, 11, 12, 11]}, first="2012-11-19")
    times = bars.indexes["time"]
    assert {f"{time:%d %H:%M}" for time in times} >= {"23 18:00", "27 21:00"}
    assert found(bars) == []


def test_a_long_list_of_missing_sessions_is_cut_short():
    (detail,) = check_bars(bars_of({"A": [10, *[NAN] * 6, 11]}), NONE_KEPT_OUT)["detail"]
    assert detail == "2012-11-13, 2012-11-14, 2012-11-15, ..."


def hourly(*days):
    starts = [f"{day} {hour}:30" for day in days for hour in range(14, 21)]
    return bar_ends(pd.Series(pd.DatetimeIndex(starts, tz="UTC")), "1h", "XNYS")


def test_an_intraday_session_without_a_bar_is_missed():
    times = hourly("2012-11-12", "2012-11-14", "2012-11-15")
    bars = bars_of({"A": 10 + np.arange(21) % 3}, times, interval="1h")
    assert found(bars) == [("A", "missing sessions", 1, "11-13", "11-13")]


def test_a_half_day_and_a_single_bar_of_a_session_are_enough():
    half = hourly("2012-11-23")[:4]
    assert f"{half[-1]:%H:%M}" == "18:00"
    times = hourly("2012-11-21").append(half).append(hourly("2012-11-26")[-1:])
    assert found(bars_of({"A": 10 + np.arange(12) % 3}, times, interval="1h")) == []


# ---------------------------------------------------------------- jumps


@pytest.mark.parametrize(("close", "odd"), [(14.0, False), (14.01, True), (6.0, False), (5.99, True), (20.0, True)])
def test_a_jump_is_a_return_beyond_two_fifths(close, odd):
    expected = [("A", "jump without an action", 1, "11-13", "11-13")] if odd else []
    assert found(bars_of({"A": [10.0, close, close * 1.1]})) == expected


def test_the_worst_of_several_jumps_is_told():
    table = check_bars(bars_of({"A": [10, 15, 14, 13, 30, 31]}), NONE_KEPT_OUT)
    assert table[["rows", "detail"]].to_numpy().tolist() == [[2, "+131% on 2012-11-16"]]


def test_a_jump_over_a_hole_is_found():
    assert [each[1] for each in found(bars_of({"A": [10, NAN, 20]}))] == ["jump without an action", "missing sessions"]


# ---------------------------------------------------------------- stale runs


@pytest.mark.parametrize(
    ("length", "expected"),
    [(4, []), (5, [("A", "stale run", 5, "11-14", "11-20")]), (7, [("A", "stale run", 7, "11-14", "11-23")])],
)
def test_a_run_of_the_same_prices_is_stale_from_five_bars_on(length, expected):
    assert found(bars_of({"A": [9, 10, *[11] * length, 12]})) == expected


def test_a_stale_run_may_stand_at_both_ends():
    table = check_bars(bars_of({"A": [*[10] * 5, 11, *[12] * 6]}), NONE_KEPT_OUT)
    assert table[["rule", "rows", "detail"]].to_numpy().tolist() == [
        ["stale run", 11, "the same prices for up to 6 bars"]
    ]


def test_equal_closes_in_a_moving_range_are_not_stale():
    highs = 11 + np.arange(8) * 0.1
    assert found(bars_of({"A": [10.0] * 8}, high=highs)) == []


def test_a_source_with_closes_only_can_be_stale():
    assert [each[1] for each in found(bars_of({"A": [9, *[10] * 5, 11]}, fields=("close",)))] == ["stale run"]


def test_a_dividend_in_a_stale_run_does_not_hide_it():
    stored = bars_of({"A": [9, *[10] * 6, 11]})
    factor = np.where(np.arange(8) < 4, 0.97, 1.0)
    adjusted = bars_of({"A": np.array([9, *[10] * 6, 11]) * factor})
    assert found(adjusted, stored=stored) == [("A", "stale run", 6, "11-13", "11-20")]


def test_rounding_of_a_factor_does_not_hide_a_stale_run():
    noisy = np.array([9, *[10] * 6, 11]) * (1 + 1e-15 * np.arange(8))
    assert [each[1:3] for each in found(bars_of({"A": noisy}))] == [("stale run", 6)]


# ---------------------------------------------------------------- volume and what was kept out


def test_bars_without_volume_are_told():
    bars = bars_of({"A": [10, 11, 12, 11]}, volume=[5, 0, 0, 5])
    assert found(bars) == [("A", "zero volume", 2, "11-13", "11-14")]
    assert check_bars(bars, NONE_KEPT_OUT)["detail"].tolist() == ["50.0% of its bars"]


def test_a_volume_that_is_not_known_is_not_zero():
    assert found(bars_of({"A": [10, 11, 12]}, volume=[5, NAN, 5])) == []
    assert found(bars_of({"A": [10, 11, 12]}, fields=("close",), volume=[0, 0, 0])) == []


def test_what_was_kept_out_is_told_by_symbol_and_reason():
    kept_out = pd.DataFrame(
        [
            ("B", "no close", pd.Timestamp("2012-11-13 21:00", tz="UTC")),
            ("B", "no close", pd.Timestamp("2012-11-15 21:00", tz="UTC")),
            ("B", "not in a session of the calendar", pd.NaT),
            ("A", "no close", pd.Timestamp("2012-11-14 21:00", tz="UTC")),
        ],
        columns=["symbol", "reason", "session"],
    )
    table = check_bars(bars_of({"A": [10, 11, 12]}), kept_out)
    assert table[["symbol", "rule", "rows", "detail"]].to_numpy().tolist() == [
        ["A", "in quarantine", 1, "no close"],
        ["B", "in quarantine", 2, "no close"],
        ["B", "in quarantine", 1, "not in a session of the calendar"],
    ]
    assert table["first"].dt.strftime("%m-%d").tolist()[:2] == ["11-14", "11-13"]
    assert table["last"].isna().tolist() == [False, False, True]


# ---------------------------------------------------------------- two datasets


def compared(one, other, field="close", tolerance=1e-4, symbol="A"):
    table = reconcile(one, other, tolerance)
    return table[(table["field"] == field) & (table["symbol"] == symbol)].iloc[0]


def test_a_dataset_equals_itself():
    bars = bars_of({"A": [10, 11, NAN, 12], "B": [1, 2, 3, 4]})
    table = reconcile(bars, bars, 0.0)
    assert list(zip(table["symbol"], table["field"], strict=True)) == [(name, each) for name in "AB" for each in FIELDS]
    assert table["common"].tolist() == [3] * 5 + [4] * 5
    assert (table[["only_one", "only_other", "differ", "largest"]] == 0).all(axis=None)
    assert table[["where", "first", "last"]].isna().all(axis=None)


@pytest.mark.parametrize(("theirs", "largest"), [(8.0, 0.25), (12.5, -0.2)])
def test_a_difference_has_the_sign_of_the_first_above_the_other(theirs, largest):
    row = compared(bars_of({"A": [10, 10, 10, 10]}), bars_of({"A": [10, theirs, 10.1, 10]}))
    assert (row["common"], row["differ"]) == (4, 2)
    assert row["largest"] == pytest.approx(largest)
    assert [f"{row[name]:%m-%d %H:%M}" for name in ("where", "first", "last")] == [
        "11-13 00:00",
        "11-13 00:00",
        "11-14 00:00",
    ]


def test_swapping_the_datasets_turns_the_difference_around():
    one, other = bars_of({"A": [10, 12, 10]}), bars_of({"A": [10, 10, NAN]})
    there, back = compared(one, other), compared(other, one)
    assert there["largest"] == pytest.approx(0.2)
    assert back["largest"] == pytest.approx(1 / 1.2 - 1)
    assert (there["only_one"], there["only_other"]) == (back["only_other"], back["only_one"])


@pytest.mark.parametrize(("tolerance", "differ"), [(0.5, 0), (0.49, 1), (0.0, 1)])
def test_a_difference_as_large_as_the_tolerance_is_none(tolerance, differ):
    row = compared(bars_of({"A": [10, 15, 10]}), bars_of({"A": [10, 10, 10]}), tolerance=tolerance)
    assert (row["differ"], row["largest"]) == (differ, 0.5)


@pytest.mark.parametrize("turned", [False, True])
def test_a_value_that_one_of_them_lacks_differs(turned):
    pair = [
        bars_of({"A": [10, 11, 12, 11]}, volume=[5, NAN, 5, NAN]),
        bars_of({"A": [10, 11, 12, 11]}, volume=[5, 5, 5, NAN]),
    ]
    row = compared(*(pair[::-1] if turned else pair), "volume")
    # What neither of them has is no difference.
    assert row["differ"] == 1
    assert np.isnan(row["largest"])
    assert f"{row['where']:%m-%d}" == "11-13"


def test_a_volume_of_zero_is_compared():
    row = compared(
        bars_of({"A": [10, 11, 12]}, volume=[0, 0, 5]), bars_of({"A": [10, 11, 12]}, volume=[0, 5, 5]), "volume"
    )
    assert (row["differ"], row["largest"]) == (1, -1.0)
    row = compared(
        bars_of({"A": [10, 11, 12]}, volume=[0, 5, 5]), bars_of({"A": [10, 11, 12]}, volume=[0, 0, 5]), "volume"
    )
    assert (row["differ"], row["largest"]) == (1, np.inf)


def test_bars_of_one_side_count_within_the_common_span_only():
    one = bars_of({"A": [10, 11, NAN, 12, 11, NAN]})
    other = bars_of({"A": [NAN, 11, 10, 12, NAN, 12]})
    row = compared(one, other)
    assert (row["common"], row["only_one"], row["only_other"], row["differ"]) == (2, 0, 1, 0)


def test_bars_of_different_times_have_nothing_in_common():
    row = compared(bars_of({"A": [10, 11]}), bars_of({"A": [10, 11, 12]}, first="2013-03-04"))
    assert (row["common"], row["only_one"], row["only_other"], row["differ"]) == (0, 2, 3, 0)
    assert np.isnan(row["largest"])


def test_fields_and_symbols_that_one_of_them_lacks_are_left_out():
    table = reconcile(
        bars_of({"A": [10, 11], "B": [1, 2]}), bars_of({"B": [1, 2], "C": [1, 2]}, fields=("close",)), 0.0
    )
    assert table[["symbol", "field", "common", "differ"]].to_numpy().tolist() == [["B", "close", 2, 0]]


def test_bars_of_one_symbol_do_not_count_for_another():
    one, other = bars_of({"A": [10, 11], "B": [1, 2]}), bars_of({"B": [1, 3], "A": [10, 11]})
    assert compared(one, other, symbol="A")["differ"] == 0
    assert compared(one, other, symbol="B")["largest"] == pytest.approx(2 / 3 - 1)


@pytest.mark.parametrize("tolerance", [-0.1, NAN, np.inf])
def test_a_tolerance_that_is_none_is_told(tolerance):
    bars = bars_of({"A": [10, 11]})
    with pytest.raises(ParameterError, match=f"tolerance={tolerance} is no relative difference; give 0 or more"):
        reconcile(bars, bars, tolerance)
