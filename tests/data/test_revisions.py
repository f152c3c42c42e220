import numpy as np
import pandas as pd
import pytest

from workbench.data.revisions import revisions
from workbench.data.store import ACTIONS, BARS
from workbench.data.tables.delta import DeltaTables

FIRST = pd.Timestamp("2026-01-05 12:00", tz="UTC")
DAY = pd.Timedelta(days=1)
BAR_KEYS, BAR_VALUES = ["symbol", "time"], ["open", "high", "low", "close", "volume"]


@pytest.fixture
def bars(tmp_path):
    return DeltaTables(tmp_path).table("own", "bars", BARS, BAR_KEYS)


def test_each_changed_value_is_a_row(bars, make_rows):
    bars.write(make_rows([100, 110]), FIRST)
    bars.write(make_rows([100, 110]).assign(close=[100, 99], volume=[1e3, 2e3]), FIRST + DAY)
    found = revisions(bars.history(), BAR_KEYS, BAR_VALUES)
    assert list(found.columns) == [*BAR_KEYS, "field", "old", "new", "change", "learned_before", "learned"]
    assert found[["field", "old", "new"]].values.tolist() == [["close", 110, 99], ["volume", 1e3, 2e3]]
    np.testing.assert_allclose(found["change"], [-0.1, 1.0])
    assert found["time"].unique().tolist() == [make_rows([1, 1])["time"][1]]
    assert (found["learned_before"] == FIRST).all()
    assert (found["learned"] == FIRST + DAY).all()


def test_every_step_of_a_value_is_told_in_the_order_of_learning(bars, make_rows):
    for day, closes in enumerate([[1, 5], [2, 5], [2, 6], [1, 6]]):
        bars.write(make_rows([10, 10]).assign(close=closes), FIRST + day * DAY)
    found = revisions(bars.history(), BAR_KEYS, BAR_VALUES)
    assert found[["old", "new"]].values.tolist() == [[1, 2], [5, 6], [2, 1]]
    assert found["learned"].tolist() == [FIRST + day * DAY for day in (1, 2, 3)]
    assert found["learned_before"].tolist() == [FIRST, FIRST, FIRST + DAY]


@pytest.mark.parametrize(
    ("before", "after", "rows", "change"),
    [
        (np.nan, 5.0, 1, np.nan),
        (5.0, np.nan, 1, np.nan),
        (np.nan, np.nan, 0, None),
        (0.0, 5.0, 1, np.nan),
        (5.0, 0.0, 1, -1.0),
    ],
)
def test_missing_values_and_zero_have_no_relative_change(bars, make_rows, before, after, rows, change):
    bars.write(make_rows([1]).assign(volume=before), FIRST)
    bars.write(make_rows([1]).assign(volume=after), FIRST + DAY)
    found = revisions(bars.history(), BAR_KEYS, BAR_VALUES)
    assert len(found) == rows
    if rows:
        np.testing.assert_equal(found["change"].tolist(), [change])


def test_what_is_only_added_is_no_revision(bars, make_rows):
    bars.write(make_rows([1, 2]), FIRST)
    bars.write(pd.concat([make_rows([1, 2, 3]), make_rows([4], "B")]), FIRST + DAY)
    found = revisions(bars.history(), BAR_KEYS, BAR_VALUES)
    assert found.empty
    assert "change" in found


def test_an_empty_history_has_no_revisions(bars):
    assert revisions(bars.history(), BAR_KEYS, BAR_VALUES).empty


def test_the_order_of_the_history_does_not_matter(bars, make_rows):
    for day in range(3):
        bars.write(pd.concat([make_rows([1 + day], name) for name in "AB"]), FIRST + day * DAY)
    history = bars.history()
    shuffled = history.sample(frac=1, random_state=3)
    expected = revisions(history, BAR_KEYS, BAR_VALUES)
    pd.testing.assert_frame_equal(revisions(shuffled, BAR_KEYS, BAR_VALUES), expected)
    assert len(expected) == 2 * 2 * 4


def test_facts_with_other_keys_and_texts_are_compared_too(tmp_path):
    table = DeltaTables(tmp_path).table("own", "actions", ACTIONS, ("symbol", "time", "kind"))
    rows = pd.DataFrame({"symbol": "A", "time": FIRST, "kind": ["dividend", "split"], "value": [0.5, 2.0]})
    table.write(rows, FIRST)
    table.write(rows.assign(value=[0.6, 2.0]), FIRST + DAY)
    found = revisions(table.history(), table.keys, table.values)
    assert found[["kind", "field", "old", "new"]].values.tolist() == [["dividend", "value", 0.5, 0.6]]

    texts = pd.DataFrame(
        {"symbol": "A", "state": ["new", None, "old"], "learned_at": [FIRST + n * DAY for n in range(3)]}
    )
    told = revisions(texts, ["symbol"], ["state"])
    assert told["new"].tolist()[1:] == ["old"]
    assert told["change"].isna().all()
