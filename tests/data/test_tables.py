import numpy as np
import pandas as pd
import pytest

from workbench.data.store import BARS
from workbench.data.tables import FactTable

FIRST = pd.Timestamp("2026-01-05 12:00", tz="UTC")
LATER = FIRST + pd.Timedelta(days=1)


@pytest.fixture
def table(tmp_path):
    return FactTable(tmp_path / "bars", BARS, keys=("symbol", "time"))


def test_a_table_that_was_never_written_is_empty(table):
    assert table.version() is None
    found = table.read()
    assert found.empty
    assert list(found.columns) == [*BARS.names, "learned_at"]
    assert not table.path.exists()


def test_what_was_written_is_read_back_sorted(table, make_rows):
    rows = pd.concat([make_rows([3, 4], "B"), make_rows([1, 2], "A")])
    assert table.write(rows, FIRST) == 4
    found = table.read()
    assert found["symbol"].tolist() == ["A", "A", "B", "B"]
    assert found["close"].tolist() == [1, 2, 3, 4]
    assert (found["learned_at"] == FIRST).all()
    assert found["time"].dt.tz is not None


def test_writing_the_same_rows_again_adds_nothing(table, make_rows):
    rows = make_rows([1, np.nan, 3])
    assert table.write(rows, FIRST) == 3
    version = table.version()
    assert table.write(rows, LATER) == 0
    assert table.version() == version


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [([1, 2], [1, 2, 3], 1), ([1, 2], [1, 5], 1), ([1, np.nan], [1, 5], 1), ([1, 5], [1, np.nan], 1), ([1, 2], [1], 0)],
)
def test_only_what_is_new_or_differs_is_added(table, make_rows, before, after, added):
    table.write(make_rows(before), FIRST)
    assert table.write(make_rows(after), LATER) == added
    latest = (after + before[len(after) :])[: max(len(before), len(after))]
    np.testing.assert_array_equal(table.read()["close"], latest)


def test_as_of_answers_with_what_was_known_then(table, make_rows):
    table.write(make_rows([1, 2]), FIRST)
    table.write(make_rows([1, 5, 6]), LATER)
    known = {
        FIRST - pd.Timedelta(microseconds=1): [],
        FIRST: [1, 2],
        LATER - pd.Timedelta(microseconds=1): [1, 2],
        LATER: [1, 5, 6],
    }
    assert {moment: table.read(as_of=moment)["close"].tolist() for moment in known} == known


def test_a_correction_back_to_the_first_value_is_kept(table, make_rows):
    for day, close in enumerate([1, 2, 1]):
        assert table.write(make_rows([close]), FIRST + pd.Timedelta(days=day)) == 1
    assert table.read()["close"].tolist() == [1]
    assert table.read(as_of=LATER)["close"].tolist() == [2]


def test_a_correction_within_the_same_instant_is_what_is_read(table, make_rows):
    table.write(make_rows([1, 2]), FIRST)
    table.write(make_rows([1, 5]), FIRST)
    assert table.read()["close"].tolist() == [1, 5]
    assert table.write(make_rows([1, 5]), FIRST) == 0


def test_a_fact_given_twice_at_once_does_not_grow_the_table_for_ever(table, make_rows):
    doubled = pd.concat([make_rows([1]), make_rows([2])])
    table.write(doubled, FIRST)
    assert table.write(doubled, LATER) == 0


def test_only_the_symbols_asked_for_are_read(table, make_rows):
    table.write(pd.concat([make_rows([1], name) for name in "ABC"]), FIRST)
    assert table.read(["C", "A"])["symbol"].tolist() == ["A", "C"]
    assert table.read(["Z"]).empty


def test_an_empty_write_adds_no_version(table, make_rows):
    assert table.write(make_rows([]), FIRST) == 0
    assert table.version() is None


def test_the_index_and_further_columns_of_the_rows_do_not_matter(table, make_rows):
    rows = make_rows([1, 2]).set_index(pd.Index(["x", "x"])).assign(extra="?")
    assert table.write(rows, FIRST) == 2
    assert list(table.read().columns) == [*BARS.names, "learned_at"]
