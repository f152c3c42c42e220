import numpy as np
import pandas as pd
import pytest

from workbench.data.quality import inspect

SOUND = {"symbol": "A", "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
DAYS = pd.date_range("2012-03-05 21:00", periods=3, tz="UTC")


def spoiled(**changes):
    rows = pd.DataFrame([SOUND] * 3, index=[7, 8, 9]).assign(time=DAYS)
    for name, value in changes.items():
        rows.loc[8, name] = value
    return rows


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"time": pd.NaT}, "not a session of the calendar"),
        ({"close": np.nan}, "no close"),
        ({"low": 0.0}, "a price that is not positive and finite"),
        ({"open": -1.0}, "a price that is not positive and finite"),
        ({"high": np.inf}, "a price that is not positive and finite"),
        ({"volume": -1.0}, "negative volume"),
        ({"high": 10.5}, "high below open or close"),
        ({"low": 10.5}, "low above open or close"),
        ({"volume": 0.0}, ""),
        ({"volume": np.nan}, ""),
        ({"open": np.nan}, "a price of the source is missing"),
        ({"high": 11.0 * (1 - 1e-12)}, ""),  # rounding is no fault
    ],
)
def test_a_row_is_told_apart_by_its_fault(changes, reason):
    found = inspect(spoiled(**changes))
    assert found.to_dict() == {7: "", 8: reason, 9: ""}


def test_both_of_two_rows_for_one_session_are_kept_apart():
    doubled = "more than one row for the session"
    assert inspect(spoiled(time=DAYS[0])).tolist() == [doubled, doubled, ""]


def test_two_symbols_may_share_a_session():
    assert inspect(spoiled(time=DAYS[0], symbol="B")).tolist() == ["", "", ""]


def test_a_source_with_closes_only_lacks_nothing():
    rows = spoiled().assign(open=np.nan, high=np.nan, low=np.nan, volume=np.nan)
    assert inspect(rows).tolist() == ["", "", ""]
