from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from workbench.data.impact import COLUMNS, impact
from workbench.data.store import DatasetTables
from workbench.data.tables.delta import DeltaTables
from workbench.data.uses import Use

FIRST = pd.Timestamp("2026-01-05 12:00", tz="UTC")
DAY = pd.Timedelta(days=1)
USE = Use(
    kind="backtest",
    name="sma_cross A",
    made=datetime(2026, 1, 6, tzinfo=UTC),
    dataset="own",
    version="own@1.1",
    symbols=("A",),
    first=datetime(2012, 3, 5, 21, 0, tzinfo=UTC),
    last=datetime(2012, 3, 9, 21, 0, tzinfo=UTC),
    adjustment="all",
    known=FIRST.to_pydatetime(),
    id=7,
)
WEEK = [100, 101, 102, 103, 104]


@pytest.fixture
def store(tmp_path):
    places = DeltaTables(tmp_path)
    return lambda dataset: DatasetTables(places, dataset)


@pytest.fixture
def own(store, make_rows):
    """The tables of a dataset with the bars of a week, learned at ``FIRST``."""
    tables = store("own")
    tables.bars.write(pd.concat([make_rows(WEEK), make_rows(WEEK, "B")]), FIRST)
    return tables


def action(day, kind="dividend", value=0.5, symbol="A"):
    return pd.DataFrame({"symbol": [symbol], "time": [pd.Timestamp(day, tz="UTC")], "kind": [kind], "value": [value]})


def changed(make_rows, symbol="A", **closes):
    """The week with other closes on some days, such as ``d2=50``."""
    rows = make_rows(WEEK, symbol)
    for day, close in closes.items():
        rows.loc[int(day[1:]), "close"] = close
    return rows


def test_a_use_of_rows_that_never_changed_is_not_touched(store, own):
    found = impact([USE], store)
    assert found.empty
    assert {name: str(kind) for name, kind in found.dtypes.items()} == COLUMNS


def test_restated_bars_are_counted_and_dated(store, own, make_rows):
    own.bars.write(changed(make_rows, d1=90.9, d3=104), FIRST + DAY)
    (row,) = impact([USE], store).to_dict("records")
    times = make_rows(WEEK)["time"]
    assert row == {
        "kind": "backtest",
        "id": 7,
        "name": "sma_cross A",
        "made": pd.Timestamp(USE.made),
        "dataset": "own",
        "symbol": "A",
        "rows": 2,
        "restated": 2,
        "late": 0,
        "actions": 0,
        "first_time": times[1],
        "last_time": times[3],
        "largest_change": pytest.approx(-0.1),
        "learned": FIRST + DAY,
    }


def test_bars_that_arrive_late_are_told_apart_from_restated_ones(store, make_rows):
    tables = store("own")
    tables.bars.write(make_rows(WEEK).drop(index=[1, 2]), FIRST)
    tables.bars.write(make_rows(WEEK).drop(index=[2]), FIRST + DAY)
    tables.bars.write(changed(make_rows, d1=50, d4=52), FIRST + 2 * DAY)
    (row,) = impact([USE], store).to_dict("records")
    # The bar that came late and was then corrected was never known: it is late.
    assert (row["rows"], row["restated"], row["late"]) == (3, 1, 2)
    assert row["largest_change"] == pytest.approx(52 / 104 - 1)
    assert row["learned"] == FIRST + DAY


def test_only_late_bars_have_no_change_of_the_close(store, make_rows):
    tables = store("own")
    tables.bars.write(make_rows(WEEK[:4]), FIRST)
    tables.bars.write(make_rows(WEEK), FIRST + DAY)
    (row,) = impact([USE], store).to_dict("records")
    assert (row["restated"], row["late"]) == (0, 1)
    assert np.isnan(row["largest_change"])


@pytest.mark.parametrize(
    ("use", "touched"),
    [
        ({}, True),
        ({"last": USE.first + timedelta(days=1)}, False),
        ({"last": USE.first + timedelta(days=2)}, True),
        ({"first": USE.first + timedelta(days=3)}, False),
        ({"symbols": ("B",)}, False),
        ({"symbols": ("B", "A")}, True),
        ({"dataset": "other"}, False),
        ({"known": (FIRST + DAY).to_pydatetime(), "made": (FIRST + DAY).to_pydatetime()}, False),
        ({"known": (FIRST + DAY).to_pydatetime() - timedelta(microseconds=1), "made": (FIRST + DAY)}, True),
        # "as of 2030" knew no more than there was.
        ({"known": datetime(2030, 1, 1, tzinfo=UTC)}, True),
    ],
)
def test_only_what_a_use_read_and_could_not_know_touches_it(store, own, make_rows, use, touched):
    own.bars.write(changed(make_rows, d2=50), FIRST + DAY)
    assert (len(impact([replace(USE, **use)], store)) == 1) is touched


def test_a_correction_that_was_taken_back_touches_nothing(store, own, make_rows):
    own.bars.write(changed(make_rows, d2=50), FIRST + DAY)
    own.bars.write(make_rows(WEEK), FIRST + 2 * DAY)
    assert impact([USE], store).empty
    between = replace(USE, known=(FIRST + DAY).to_pydatetime(), made=(FIRST + DAY).to_pydatetime())
    (row,) = impact([between], store).to_dict("records")
    assert row["largest_change"] == pytest.approx(102 / 50 - 1)


def test_a_value_that_went_missing_is_a_restatement(store, own, make_rows):
    own.bars.write(make_rows(WEEK).assign(volume=[np.nan, *[1e3] * 4]), FIRST + DAY)
    (row,) = impact([USE], store).to_dict("records")
    assert (row["restated"], row["largest_change"]) == (1, 0)
    own.bars.write(make_rows(WEEK).assign(volume=[np.nan, *[1e3] * 4], low=1.0), FIRST + 2 * DAY)
    (row,) = impact([USE], store).to_dict("records")
    assert row["restated"] == 5


@pytest.mark.parametrize(
    ("adjustment", "facts", "counted"),
    [
        ("all", action("2012-03-07 21:00"), 1),
        ("splits", action("2012-03-07 21:00"), 0),
        ("splits", action("2012-03-07 21:00", "split", 2.0), 1),
        ("none", action("2012-03-07 21:00", "split", 2.0), 0),
        ("all", action("2012-03-05 21:00"), 1),
        ("all", action("2012-03-04 21:00"), 0),
        ("all", action("2012-03-12 21:00"), 0),
        ("all", action("2012-03-07 21:00", symbol="B"), 0),
        ("all", pd.concat([action("2012-03-07 21:00"), action("2012-03-07 21:00", "split", 2.0)]), 2),
    ],
)
def test_actions_count_where_the_prices_were_adjusted_for_them(store, own, adjustment, facts, counted):
    own.actions.write(facts, FIRST + DAY)
    found = impact([replace(USE, adjustment=adjustment)], store)
    assert found["actions"].tolist() == ([counted] if counted else [])
    if counted:
        (row,) = found.to_dict("records")
        assert row["rows"] == 0
        assert row["first_time"] == row["last_time"] == facts["time"].iloc[0]
        assert row["learned"] == FIRST + DAY
        assert np.isnan(row["largest_change"])


def test_a_changed_dividend_counts_and_an_unchanged_one_does_not(store, own):
    own.actions.write(action("2012-03-07 21:00"), FIRST)
    assert impact([USE], store).empty
    own.actions.write(action("2012-03-07 21:00", value=0.6), FIRST + DAY)
    assert impact([USE], store)["actions"].tolist() == [1]


def test_every_touched_symbol_of_every_use_is_a_row(store, own, make_rows):
    own.bars.write(pd.concat([changed(make_rows, name, d2=50) for name in "AB"]), FIRST + DAY)
    other = store("other")
    other.bars.write(make_rows(WEEK), FIRST)
    other.bars.write(changed(make_rows, d0=1), FIRST + DAY)
    uses = [
        replace(USE, id=1, symbols=("A", "B", "UNKNOWN")),
        replace(USE, id=2, dataset="other", kind="run", link="x"),
        replace(USE, id=3, symbols=("B",)),
        replace(USE, id=4, symbols=("A",), last=USE.first),
    ]
    found = impact(iter(uses), store)
    assert found[["id", "dataset", "symbol"]].values.tolist() == [
        [2, "other", "A"],
        [1, "own", "A"],
        [1, "own", "B"],
        [3, "own", "B"],
    ]


def test_a_use_of_many_symbols_is_read_in_parts_and_told_in_one_piece(store, make_rows):
    names = [f"S{number:03}" for number in range(230)]
    tables = store("own")
    tables.bars.write(pd.concat([make_rows([1, 2], name) for name in names]), FIRST)
    tables.bars.write(pd.concat([make_rows([1, 3], name) for name in names]), FIRST + DAY)
    found = impact([replace(USE, symbols=tuple(reversed(names)))], store)
    assert found["symbol"].tolist() == names
    assert (found["restated"] == 1).all()
    np.testing.assert_allclose(found["largest_change"], 0.5)


def test_no_uses_have_no_impact(store):
    assert list(impact([], store).columns) == list(COLUMNS)


def test_many_uses_are_compared_without_a_look_at_the_store_for_each(store, own, make_rows):
    own.bars.write(changed(make_rows, d2=50), FIRST + DAY)
    reads = []
    history = own.bars.history

    def counted(*arguments, **options):
        reads.append(arguments)
        return history(*arguments, **options)

    own.bars.history = counted
    uses = [replace(USE, id=number, made=USE.made + timedelta(seconds=number)) for number in range(2_000)]
    found = impact(uses, lambda dataset: own)
    assert found["id"].tolist() == list(range(2_000))
    assert len(reads) == 1
