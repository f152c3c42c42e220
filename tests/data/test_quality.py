import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.quality import DOUBLED, NO_CLOSE, inspect, inspect_actions

SOUND = {"symbol": "A", "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
DAYS = pd.date_range("2012-03-05 21:00", periods=3, tz="UTC")
NOT_POSITIVE = "a price that is not positive and finite"
MISSING = "a price of the source is missing"
VOLUME = "negative or infinite volume"


def spoiled(**changes):
    rows = pd.DataFrame([SOUND] * 3, index=[7, 8, 9]).assign(time=DAYS)
    for name, value in changes.items():
        rows.loc[8, name] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"time": pd.NaT}, "not in a session of the calendar"),
        ({"close": np.nan}, NO_CLOSE),
        ({"close": np.nan, "open": np.nan, "high": np.nan, "low": np.nan, "volume": np.nan}, NO_CLOSE),
        ({"low": 0.0}, NOT_POSITIVE),
        ({"open": -1.0}, NOT_POSITIVE),
        ({"high": np.inf}, NOT_POSITIVE),
        ({"close": -np.inf}, NOT_POSITIVE),
        ({"volume": -1.0}, VOLUME),
        ({"volume": np.inf}, VOLUME),
        ({"high": 10.5}, "high below open or close"),
        ({"low": 10.5}, "low above open or close"),
        ({"volume": 0.0}, ""),
        ({"volume": np.nan}, ""),
        ({"open": np.nan}, MISSING),
        ({"high": 11.0 * (1 - 1e-12)}, ""),  # rounding is no fault
        ({"high": 11.0 * (1 - 1e-6)}, "high below open or close"),
    ],
)
def test_a_row_is_told_apart_by_its_fault(changes, reason):
    found = inspect(spoiled(**changes))
    assert found.to_dict() == {7: "", 8: reason, 9: ""}


def test_two_rows_for_one_bar_that_differ_are_both_kept_apart():
    assert inspect(spoiled(time=DAYS[0], close=10.5)).tolist() == [DOUBLED, DOUBLED, ""]


def test_a_row_that_is_merely_repeated_is_good_once():
    assert inspect(spoiled(time=DAYS[0])).tolist() == ["", DOUBLED, ""]


def test_repeats_do_not_settle_which_of_two_rows_is_right():
    rows = pd.DataFrame([SOUND, SOUND, {**SOUND, "close": 10.5}]).assign(time=DAYS[0])
    assert inspect(rows).tolist() == [DOUBLED] * 3


def test_a_repeated_row_with_holes_is_good_once():
    rows = pd.DataFrame([{**SOUND, "volume": np.nan}] * 2).assign(time=DAYS[0])
    assert inspect(rows).tolist() == ["", DOUBLED]


def test_two_symbols_may_share_a_session():
    assert inspect(spoiled(time=DAYS[0], symbol="B")).tolist() == ["", "", ""]


def test_a_source_with_closes_only_lacks_nothing():
    rows = spoiled().assign(open=np.nan, high=np.nan, low=np.nan, volume=np.nan)
    assert inspect(rows).tolist() == ["", "", ""]


def test_a_symbol_with_closes_only_lacks_nothing_beside_one_that_has_more():
    closes_only = spoiled().assign(symbol="INDEX", open=np.nan, high=np.nan, low=np.nan)
    assert inspect(pd.concat([spoiled(open=np.nan), closes_only])).tolist() == ["", MISSING, "", "", "", ""]


@pytest.mark.parametrize(
    ("told", "wanted", "reason"),
    [
        ("USD", "USD", ""),
        ("EUR", "USD", "a currency other than the dataset's USD"),
        ("GBp", "GBP", "a currency other than the dataset's GBP"),  # pence are not pounds
        (None, "USD", ""),  # the source does not tell
        ("EUR", None, ""),  # nobody minds
    ],
)
def test_a_currency_is_the_datasets(told, wanted, reason):
    rows = spoiled().assign(currency=[wanted or "USD", told, None])
    assert inspect(rows, wanted).tolist() == ["", reason, ""]


def test_rows_without_a_currency_are_not_asked_for_one():
    assert inspect(spoiled(), "USD").tolist() == ["", "", ""]


def test_no_rows_have_no_reasons():
    assert inspect(spoiled().iloc[:0], "USD").empty


prices = st.sampled_from([8.0, 10.0, 11.0, 12.0, 0.0, -1.0, np.inf, np.nan])


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "symbol": st.sampled_from("AB"),
                "day": st.integers(0, 3),
                **dict.fromkeys(("open", "high", "low", "close"), prices),
                "volume": st.sampled_from([0.0, 5.0, -1.0, np.nan]),
            }
        ),
        max_size=8,
    )
)
def test_what_passes_is_one_bar_that_can_be(drawn):
    columns = ["symbol", "day", "open", "high", "low", "close", "volume"]
    rows = pd.DataFrame(drawn, columns=columns).astype({"symbol": "object", **dict.fromkeys(columns[2:], "float64")})
    stamps = pd.DatetimeIndex(DAYS.append(pd.DatetimeIndex([pd.NaT], tz="UTC")))
    rows["time"] = stamps[rows["day"].to_numpy(dtype=int)]
    good = rows[inspect(rows) == ""]
    assert not good.duplicated(["symbol", "time"]).any()
    assert good["time"].notna().all()
    assert np.isfinite(good["close"]).all()
    held = good[["open", "high", "low", "close"]]
    assert (held.isna() | ((held > 0) & np.isfinite(held))).all(axis=None)
    # Where the source has it, the close lies between low and high.
    assert not (good["high"] < good["close"]).any()
    assert not (good["low"] > good["open"]).any()
    assert not (good["volume"] < 0).any()


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("split", 2.0, ""),
        ("split", 0.05, ""),
        ("dividend", 0.5, ""),
        ("dividend", 0.0, ""),
        ("split", 0.0, "no split or dividend: split 0.0"),
        ("split", -2.0, "no split or dividend: split -2.0"),
        ("split", np.nan, "no split or dividend: split nan"),
        ("split", np.inf, "no split or dividend: split inf"),
        ("dividend", -0.5, "no split or dividend: dividend -0.5"),
        ("dividend", np.nan, "no split or dividend: dividend nan"),
        ("merger", 1.0, "no split or dividend: merger 1.0"),
    ],
)
def test_an_action_that_would_spoil_prices_is_told(kind, value, told):
    actions = pd.DataFrame({"time": DAYS[:1], "kind": kind, "value": value})
    assert inspect_actions(actions).tolist() == [told]


def test_an_action_without_a_session_is_told():
    actions = pd.DataFrame({"time": pd.DatetimeIndex([pd.NaT], tz="UTC"), "kind": "split", "value": 2.0})
    assert inspect_actions(actions).tolist() == ["no split or dividend: split 2.0"]
