from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.market import FIELDS
from workbench.data.actions import COLUMNS
from workbench.data.store import BarStore, Written
from workbench.data.tables.base import scatter
from workbench.data.tables.delta import DeltaTables

MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 6, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return BarStore(DeltaTables(tmp_path / "store"), clock=lambda: MOMENT)


@pytest.fixture
def rows(make_rows):
    return make_rows([10, 11, 12])


@pytest.fixture
def actions(rows):
    return pd.DataFrame([("A", rows["time"].iloc[1], "dividend", 0.5)], columns=list(COLUMNS))


def apart(store):
    return store.tables("own").quarantine.read()


def test_a_dataset_that_was_never_written(store, tmp_path):
    assert not store.has("own")
    assert store.tables("own").bars.read().empty
    assert not (tmp_path / "store").exists()


def test_bars_and_actions_are_stored_as_given(store, rows, actions):
    assert store.write("own", rows, actions) == Written(bars=3, actions=1, quarantined=0)
    assert store.has("own")
    tables = store.tables("own")
    assert tables.bars.read()["close"].tolist() == [10, 11, 12]
    assert tables.actions.read()["value"].tolist() == [0.5]
    assert (tables.bars.read()["learned_at"] == pd.Timestamp(MOMENT)).all()


def test_writing_again_adds_nothing_and_keeps_the_version(store, rows, actions):
    store.write("own", rows, actions)
    version = store.tables("own").bars.version()
    assert store.write("own", rows, actions) == Written(0, 0, 0)
    assert store.tables("own").bars.version() == version


def test_the_order_of_rows_does_not_matter(store, rows, actions):
    store.write("own", rows[::-1], actions)
    assert store.tables("own").bars.read()["close"].tolist() == [10, 11, 12]
    assert store.write("own", rows, actions) == Written(0, 0, 0)


def test_bad_rows_are_kept_apart_with_their_reason(store, rows, actions):
    rows.loc[0, "high"] = 1.0
    rows.loc[1, "time"] = pd.NaT
    assert store.write("own", rows, actions) == Written(bars=1, actions=1, quarantined=2)
    found = apart(store)
    assert found["reason"].tolist() == ["high below open or close", "not in a session of the calendar"]
    assert found["date"].str[:10].tolist() == ["2012-03-05", "2012-03-06"]
    assert found["close"].tolist() == [10, 11]
    assert found["session"].isna().tolist() == [False, True]


def test_rows_in_another_currency_are_kept_apart(store, rows, actions):
    told = rows.assign(currency=["USD", "EUR", None])
    assert store.write("own", told, actions, "USD") == Written(bars=2, actions=1, quarantined=1)
    assert apart(store)["reason"].tolist() == ["a currency other than the dataset's USD"]
    assert store.write("other", told, actions) == Written(bars=3, actions=1, quarantined=0)


def test_of_two_rows_for_one_bar_neither_is_stored_and_neither_is_lost(store, rows, actions):
    doubled = pd.concat([rows, rows.iloc[[2]].assign(close=99.0, high=99.0)])
    assert store.write("own", doubled, actions) == Written(bars=2, actions=1, quarantined=2)
    found = apart(store)
    assert found["reason"].tolist() == ["more than one row for the bar", "more than one row for the bar (2)"]
    assert found["close"].tolist() == [12, 99]
    # A source that turns its rows around, or repeats these, finds nothing new.
    again = pd.concat([doubled[::-1], doubled.iloc[2:]])
    assert store.write("own", again, actions) == Written(0, 0, 0)


def test_a_row_that_is_repeated_is_stored_once_and_told(store, rows, actions):
    assert store.write("own", pd.concat([rows, rows.iloc[[2]]]), actions) == Written(3, 1, 1)
    assert apart(store)["reason"].tolist() == ["more than one row for the bar"]


@pytest.mark.parametrize(("date", "label"), [("soon", "soon"), (None, "no date"), (pd.NaT, "no date")])
def test_every_row_without_a_date_is_kept(store, rows, actions, date, label):
    dateless = rows.assign(time=pd.NaT, date=date)
    assert store.write("own", dateless, actions) == Written(bars=0, actions=1, quarantined=3)
    found = apart(store)
    assert (found["close"].tolist(), found["date"].tolist()) == ([10, 11, 12], [label] * 3)
    assert store.write("own", dateless, actions) == Written(0, 0, 0)


def test_an_action_without_a_session_is_kept_apart(store, rows, actions):
    lost = actions.assign(time=pd.DatetimeIndex([pd.NaT], tz="UTC"))
    assert store.write("own", rows, lost) == Written(bars=3, actions=0, quarantined=1)
    assert apart(store)[["date", "reason"]].to_numpy().tolist() == [["no date", "no split or dividend: dividend 0.5"]]


def test_actions_that_would_spoil_prices_are_kept_apart(store, rows, actions):
    bad = pd.DataFrame([("A", rows["time"].iloc[2], "split", 0.0)], columns=list(COLUMNS))
    assert store.write("own", rows, pd.concat([actions, bad])) == Written(bars=3, actions=1, quarantined=1)
    assert store.tables("own").actions.read()["kind"].tolist() == ["dividend"]
    assert apart(store)["reason"].tolist() == ["no split or dividend: split 0.0"]


def test_a_dataset_counts_as_stored_only_once_its_bars_are(store, rows, actions):
    store.tables("own").actions.write(actions, pd.Timestamp(MOMENT))
    assert not store.has("own")


def test_a_dataset_without_any_action_counts_as_stored(store, rows, actions):
    store.write("own", rows, actions.iloc[:0])
    assert store.has("own")


def test_actions_alone_can_be_written(store, rows, actions):
    store.write("own", rows, actions.iloc[:0])
    assert store.write("own", rows.iloc[:0], actions) == Written(0, 1, 0)


def test_datasets_do_not_touch_each_other(store, rows, actions):
    store.write("own", rows, actions)
    store.write("other", rows.assign(open=10.0, low=9.0), actions)
    assert store.tables("own").bars.read()["low"].tolist() == [10, 11, 12]


def test_missing_fields_stay_missing(store, rows, actions):
    store.write("own", rows.assign(open=np.nan, volume=np.nan), actions)
    assert store.tables("own").bars.read()[["open", "volume"]].isna().all().all()


def test_actions_of_one_day_become_one_of_each_kind(store, rows, actions):
    day = rows["time"].iloc[1]
    more = [("A", day, "dividend", 3.0), ("A", day, "split", 2.0), ("A", day, "split", 3.0), ("B", day, "split", 5.0)]
    store.write("own", rows, pd.concat([actions, pd.DataFrame(more, columns=list(COLUMNS))]))
    found = store.tables("own").actions.read()
    assert list(zip(found["symbol"], found["kind"], found["value"], strict=True)) == [
        ("A", "dividend", 3.5),
        ("A", "split", 6.0),
        ("B", "split", 5.0),
    ]


def test_a_restated_volume_alone_is_a_new_row_beside_the_old_one(store, rows, actions):
    store.write("own", rows, actions)
    restated = rows.assign(volume=[1e3, 7.0, 1e3])
    assert BarStore(store.place, clock=lambda: LATER).write("own", restated, actions) == Written(1, 0, 0)
    bars = store.tables("own").bars
    assert bars.panel(FIELDS).fields["volume"][:, 0].tolist() == [1e3, 7.0, 1e3]
    assert bars.panel(FIELDS, as_of=pd.Timestamp(MOMENT)).fields["volume"][:, 0].tolist() == [1e3, 1e3, 1e3]
    assert bars.panel(FIELDS).fields["close"][:, 0].tolist() == [10, 11, 12]
    assert len(bars.history()) == 4


def test_a_value_that_is_withdrawn_is_missing_from_then_on(store, rows, actions):
    store.write("own", rows, actions)
    BarStore(store.place, clock=lambda: LATER).write("own", rows.assign(volume=[1e3, np.nan, 1e3]), actions)
    np.testing.assert_array_equal(store.tables("own").bars.panel(["volume"]).fields["volume"][:, 0], [1e3, np.nan, 1e3])


def test_a_wide_panel_equals_a_pivot_of_the_rows(store):
    generator = np.random.default_rng(1)
    times = pd.bdate_range("2012-01-02", periods=500, tz="UTC") + pd.Timedelta(hours=21)
    symbols = [f"S{number:03}" for number in generator.permutation(200)]
    index = pd.MultiIndex.from_product([symbols, times], names=["symbol", "time"])
    whole = pd.DataFrame(generator.uniform(1, 9, (len(index), 5)), index=index, columns=list(FIELDS)).reset_index()
    some = whole.sample(frac=0.7, random_state=1)
    bars = store.tables("own").bars
    # Three writes, the last of which restates a part of the first.
    bars.write(some.iloc[:40_000], pd.Timestamp(MOMENT))
    bars.write(some.iloc[40_000:], pd.Timestamp(MOMENT))
    restated = some.iloc[:5_000].assign(close=5.0, volume=np.nan)
    bars.write(restated, pd.Timestamp(LATER))
    latest = pd.concat([restated, some.iloc[5_000:]])
    panel = bars.panel(FIELDS)
    for field in FIELDS:
        pivot = latest.pivot(index="time", columns="symbol", values=field)
        np.testing.assert_array_equal(panel.fields[field], pivot.to_numpy())
    assert panel.symbols == sorted(symbols)
    assert pd.DatetimeIndex(panel.times).tolist() == sorted(latest["time"].dt.tz_localize(None).unique())
    between = pd.Timestamp(MOMENT) + pd.Timedelta(hours=1)
    before = bars.panel(["close"], as_of=between).fields["close"]
    np.testing.assert_array_equal(before, some.pivot(index="time", columns="symbol", values="close").to_numpy())


def scattered(symbols, rows):
    """Scatter (symbol, day, learned, value) rows."""
    codes, days, learned, values = (np.array(column) for column in zip(*rows, strict=True))
    stamps = np.datetime64("2012-01-01", "us") + days * np.timedelta64(1, "D")
    moments = np.datetime64("2026-01-01", "us") + learned * np.timedelta64(1, "s")
    return scatter(codes, symbols, stamps, moments, {"close": values.astype(float)}, version=3)


facts = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 3)),
    st.floats(1, 9) | st.just(np.nan),
    min_size=1,
    max_size=40,
)


@given(facts, st.permutations(["E", "A", "D", "B", "C"]), st.randoms(use_true_random=False))
def test_rows_in_any_order_give_one_panel_in_which_the_latest_counts(known, symbols, chance):
    rows = [(*key, value) for key, value in known.items()]
    chance.shuffle(rows)
    panel = scattered(symbols, rows)
    expected = {}
    for code, day, _, value in sorted(rows, key=lambda row: row[2]):
        expected[symbols[code], day] = value
    assert panel.symbols == sorted({name for name, _ in expected})
    days = sorted({day for _, day in expected})
    assert pd.DatetimeIndex(panel.times).day.tolist() == [day + 1 for day in days]
    wide = [[expected.get((name, day), np.nan) for name in panel.symbols] for day in days]
    np.testing.assert_array_equal(panel.fields["close"], wide)
    assert panel.version == 3
    assert panel.learned == pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(seconds=max(row[2] for row in rows))


def test_no_rows_are_an_empty_panel():
    empty = np.array([], dtype="datetime64[us]")
    panel = scatter(np.array([], dtype=int), ["A"], empty, empty, {"close": np.array([])}, version=0)
    assert (panel.symbols, panel.learned, panel.fields["close"].shape) == ([], None, (0, 0))
