from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from workbench.data.actions import COLUMNS
from workbench.data.providers.base import History
from workbench.data.store import BarStore, Written

MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "store", clock=lambda: MOMENT)


@pytest.fixture
def history(make_rows):
    rows = make_rows([10, 11, 12])
    actions = pd.DataFrame([("A", rows["time"].iloc[1], "dividend", 0.5)], columns=list(COLUMNS))
    return History(rows, actions)


def test_a_dataset_that_was_never_written(store):
    assert not store.has("own")
    assert store.tables("own").bars.read().empty
    assert not store.root.exists()


def test_bars_and_actions_are_stored_as_given(store, history):
    assert store.write("own", history) == Written(bars=3, actions=1, quarantined=0)
    assert store.has("own")
    tables = store.tables("own")
    assert tables.bars.read()["close"].tolist() == [10, 11, 12]
    assert tables.actions.read()["value"].tolist() == [0.5]
    assert (tables.bars.read()["learned_at"] == pd.Timestamp(MOMENT)).all()


def test_writing_again_adds_nothing_and_keeps_the_version(store, history):
    store.write("own", history)
    assert store.write("own", history) == Written(0, 0, 0)
    assert store.tables("own").bars.version() == 1


def test_bad_rows_are_kept_apart_with_their_reason(store, history):
    rows = history.bars.copy()
    rows.loc[0, "high"] = 1.0
    rows.loc[1, "time"] = pd.NaT
    written = store.write("own", History(rows, history.actions))
    assert written == Written(bars=1, actions=1, quarantined=2)
    apart = store.tables("own").quarantine.read()
    assert apart["reason"].tolist() == ["high below open or close", "not a session of the calendar"]
    assert apart["date"].str[:10].tolist() == ["2012-03-05", "2012-03-06"]
    assert apart["close"].tolist() == [10, 11]


def test_two_rows_for_one_session_are_one_finding_and_no_bar(store, history):
    doubled = pd.concat([history.bars, history.bars.iloc[[2]].assign(close=99.0, high=99.0)])
    assert store.write("own", History(doubled, history.actions)) == Written(bars=2, actions=1, quarantined=1)
    assert store.tables("own").quarantine.read()["reason"].tolist() == ["more than one row for the session"]


def test_a_dataset_counts_as_stored_only_once_its_bars_are(store, history):
    store.tables("own").actions.write(history.actions, pd.Timestamp(MOMENT))
    assert not store.has("own")


def test_datasets_do_not_touch_each_other(store, history):
    store.write("own", history)
    store.write("other", History(history.bars.assign(open=10.0, low=9.0), history.actions))
    assert store.tables("own").bars.read()["low"].tolist() == [10, 11, 12]


def test_missing_fields_stay_missing(store, history):
    store.write("own", History(history.bars.assign(open=np.nan, volume=np.nan), history.actions))
    assert store.tables("own").bars.read()[["open", "volume"]].isna().all().all()


def test_two_dividends_of_one_day_are_not_made_one(store, history):
    twice = pd.concat([history.actions, history.actions.assign(value=3.0)])
    store.write("own", History(history.bars, twice))
    assert store.tables("own").actions.read()["value"].sum() == 3.5
