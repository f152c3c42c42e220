"""Rows that were kept out: seen, accepted, fixed, and not questioned again until the source changes them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.data.actions import COLUMNS
from workbench.data.quarantine import Quarantine
from workbench.data.store import BarStore, Written
from workbench.data.tables.delta import DeltaTables

NO_ACTIONS = pd.DataFrame({"symbol": [], "time": pd.DatetimeIndex([], tz="UTC"), "kind": [], "value": []})


class Clock:
    def __init__(self):
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def store(tmp_path):
    return BarStore(DeltaTables(tmp_path / "store"), Clock())


@pytest.fixture
def keep_out(store, make_rows):
    """Write three rows of which the second is changed; return the ids that are open then."""

    def written(**changes):
        rows = make_rows([10, 11, 12])
        for name, value in changes.items():
            rows.loc[1, name] = value
        store.write("own", rows, NO_ACTIONS)
        return list(Quarantine(store, "own").rows("open").index)

    return written


def closes(store):
    return store.tables("own").bars.read()["close"].tolist()


def test_a_row_that_was_kept_out_can_be_seen(store, keep_out):
    (name,) = keep_out(high=1.0)
    row = Quarantine(store, "own").rows().loc[name]
    assert row["symbol"] == "A"
    assert row["date"] == "2012-03-06"
    assert row["reason"] == "high below open or close"
    assert row[["open", "high", "low", "close", "volume"]].tolist() == [11, 1, 11, 11, 1000]
    assert row["session"] == pd.Timestamp("2012-03-06 21:00", tz="UTC")
    assert row["state"] == "open"


def test_nothing_was_kept_out_of_a_sound_dataset(store, keep_out):
    assert keep_out() == []
    assert Quarantine(store, "own").rows(None).empty


def test_an_accepted_row_is_a_bar_and_is_not_questioned_again(store, keep_out):
    quarantine = Quarantine(store, "own")
    ids = keep_out(high=1.0)
    assert closes(store) == [10, 12]
    assert quarantine.accept(ids) == 1
    assert store.tables("own").bars.read()["high"].tolist() == [10, 1, 12]
    assert keep_out(high=1.0) == []
    assert quarantine.rows("accepted").index.tolist() == ids
    assert closes(store) == [10, 11, 12]


def test_a_fixed_row_survives_another_load(store, keep_out):
    quarantine = Quarantine(store, "own")
    (name,) = keep_out(high=1.0)
    assert quarantine.fix(name, {"high": 11.5, "volume": 7}) == 1
    assert keep_out(high=1.0) == []
    bars = store.tables("own").bars.read()
    assert (bars["high"].tolist(), bars["volume"].tolist()) == ([10, 11.5, 12], [1000, 7, 1000])
    # What the source said stays to be seen.
    fixed = quarantine.rows("fixed").loc[name]
    assert (fixed["high"], fixed["volume"]) == (1, 1000)


@pytest.mark.parametrize("settle", ["accept", "fix"])
def test_a_row_that_the_source_changes_is_questioned_anew_under_the_same_name(store, keep_out, settle):
    quarantine = Quarantine(store, "own")
    (name,) = keep_out(high=1.0)
    quarantine.accept([name]) if settle == "accept" else quarantine.fix(name, {"high": 11.0})
    before = store.tables("own").bars.read()["high"].tolist()
    assert keep_out(high=2.0) == [name]
    assert quarantine.rows("open").loc[name, "high"] == 2
    # The bar stays as it was settled until somebody has looked.
    assert store.tables("own").bars.read()["high"].tolist() == before
    quarantine.accept([name])
    assert keep_out(high=2.0) == []
    assert store.tables("own").bars.read()["high"].tolist() == [10, 2, 12]


def test_another_fault_of_the_same_row_is_another_finding(store, keep_out):
    first = keep_out(high=1.0)
    second = keep_out(low=99.0)
    assert set(first) < set(second)
    assert len(second) == 2


def test_names_are_the_same_in_another_store(tmp_path, store, keep_out, make_rows):
    (name,) = keep_out(high=1.0)
    rows = make_rows([10, 11, 12])
    rows.loc[1, "high"] = 5.0
    other = BarStore(DeltaTables(tmp_path / "other"), Clock())
    other.write("own", rows[::-1], NO_ACTIONS)
    assert Quarantine(other, "own").rows().index.tolist() == [name]
    assert len(name) == 8
    assert set(name) <= set("0123456789abcdef")


def test_what_was_known_before_an_acceptance_can_still_be_asked(store, keep_out):
    ids = keep_out(high=1.0)
    before = store.clock()
    Quarantine(store, "own").accept(ids)
    panel = store.tables("own").bars.panel(["close"], as_of=pd.Timestamp(before))
    assert panel.fields["close"][:, 0].tolist() == [10, 12]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"close": np.nan}, "cannot be accepted (no close); fix it"),
        ({"low": -1.0}, "cannot be accepted (a price that is not positive and finite); fix it"),
        ({"open": np.inf}, "cannot be accepted (a price that is not positive and finite); fix it"),
        # The first reason is another one.
        ({"open": np.nan, "low": 0.0}, "cannot be accepted (a price of the source is missing); fix it"),
        ({"time": pd.NaT}, "can be no bar (not in a session of the calendar); correct it where it comes from"),
    ],
)
def test_what_can_be_no_bar_is_not_accepted(store, keep_out, changes, told):
    ids = keep_out(**changes)
    with pytest.raises(InputError) as caught:
        Quarantine(store, "own").accept(ids)
    assert str(caught.value) == f"row {ids[0]} {told}" + (" with the right values" if told.endswith("fix it") else "")
    assert closes(store) == [10, 12]
    assert Quarantine(store, "own").rows("open").index.tolist() == ids


def test_a_row_in_another_currency_without_a_close_is_not_accepted(store, make_rows):
    rows = make_rows([10, 11]).assign(currency=["USD", "EUR"])
    rows.loc[1, "close"] = np.nan
    store.write("own", rows, NO_ACTIONS, "USD")
    quarantine = Quarantine(store, "own")
    with pytest.raises(InputError, match="cannot be accepted"):
        quarantine.accept(list(quarantine.rows().index))


def test_one_of_two_rows_for_a_bar_is_accepted(store, make_rows):
    rows = make_rows([10, 11])
    store.write("own", pd.concat([rows, rows.iloc[[1]].assign(close=10.5, low=10.5)]), NO_ACTIONS)
    quarantine = Quarantine(store, "own")
    found = quarantine.rows()
    with pytest.raises(InputError, match="are of one bar; accept one of them"):
        quarantine.accept(list(found.index))
    assert quarantine.accept(list(found.index[found["close"] == 10.5])) == 1
    assert closes(store) == [10, 10.5]


def test_a_row_whose_bar_arrives_sound_is_closed_and_opens_again_with_the_fault(store, keep_out):
    (name,) = keep_out(high=1.0)
    assert keep_out(high=13.0) == []
    quarantine = Quarantine(store, "own")
    assert quarantine.rows("replaced").index.tolist() == [name]
    with pytest.raises(UnknownNameError, match=name):
        quarantine.accept([name])
    assert store.tables("own").bars.read()["high"].tolist() == [10, 13, 12]
    assert keep_out(high=1.0) == [name]
    assert quarantine.fix(name, {"high": 12.5}) == 1
    assert store.tables("own").bars.read()["high"].tolist() == [10, 12.5, 12]


def test_the_second_of_two_rows_does_not_replace_the_first_that_was_accepted(store, make_rows):
    rows = make_rows([10, 11])
    store.write("own", pd.concat([rows, rows.iloc[[1]].assign(close=10.5, low=10.5)]), NO_ACTIONS)
    quarantine = Quarantine(store, "own")
    first, second = quarantine.rows().index
    quarantine.accept([first])
    with pytest.raises(InputError, match=f"the bar of row {second} was stored since"):
        quarantine.accept([second])


def test_a_name_given_twice_is_accepted_once(store, keep_out):
    (name,) = keep_out(high=1.0)
    assert Quarantine(store, "own").accept([name, name]) == 1


@pytest.mark.parametrize("state", ["open", "accepted", "fixed"])
def test_a_name_that_is_not_open_is_told(store, keep_out, state):
    quarantine = Quarantine(store, "own")
    (name,) = keep_out(high=1.0)
    if state != "open":
        quarantine.accept([name]) if state == "accepted" else quarantine.fix(name, {"high": 11.0})
    for settle in (lambda given: quarantine.accept([given]), lambda given: quarantine.fix(given, {"high": 11.0})):
        with pytest.raises(UnknownNameError, match=r"unknown open row '.*' in the quarantine of 'own'"):
            settle("00000000" if state == "open" else name)


def test_accepting_stores_all_or_nothing(store, make_rows):
    rows = make_rows([10, 11, 12])
    rows.loc[1, "high"] = 1.0
    rows.loc[2, "close"] = np.nan
    store.write("own", rows, NO_ACTIONS)
    quarantine = Quarantine(store, "own")
    with pytest.raises(InputError, match="no close"):
        quarantine.accept(list(quarantine.rows().index))
    assert closes(store) == [10]
    assert quarantine.rows("accepted").empty


@pytest.mark.parametrize(
    ("values", "error", "told"),
    [
        ({"high": 2.0}, InputError, r"still cannot be trusted \(high below open or close\)"),
        ({"high": 11.0, "close": np.nan}, ParameterError, "close=nan is no number"),
        ({"high": np.inf}, InputError, "not positive and finite"),
        ({"high": 11.0, "volume": -1}, InputError, "negative or infinite volume"),
        ({"hgih": 11.0}, ParameterError, "'hgih' is no field of a bar; choose from open, high"),
        ({"high": "much"}, ParameterError, "high='much' is no number; write it as 12.5"),
        ({"high": None}, ParameterError, "high=None is no number"),
    ],
)
def test_a_row_that_is_still_at_fault_is_not_stored(store, keep_out, values, error, told):
    (name,) = keep_out(high=1.0)
    with pytest.raises(error, match=told):
        Quarantine(store, "own").fix(name, values)
    assert closes(store) == [10, 12]
    assert Quarantine(store, "own").rows("open").index.tolist() == [name]


def test_values_may_be_texts_of_the_command_line(store, keep_out):
    (name,) = keep_out(close=np.nan)
    assert Quarantine(store, "own").fix(name, {"close": "11"}) == 1
    assert closes(store) == [10, 11, 12]


def test_a_price_that_the_source_left_out_is_to_be_given(store, keep_out):
    (name,) = keep_out(open=np.nan)
    quarantine = Quarantine(store, "own")
    with pytest.raises(InputError, match="a price of the source is missing"):
        quarantine.fix(name, {"volume": 5})
    assert quarantine.fix(name, {"open": 11}) == 1
    assert store.tables("own").bars.read()["open"].tolist() == [10, 11, 12]


def test_a_row_of_no_session_cannot_be_fixed(store, keep_out):
    (name,) = keep_out(time=pd.NaT)
    with pytest.raises(InputError, match="can be no bar"):
        Quarantine(store, "own").fix(name, {"close": 11})


def test_an_action_is_never_made_a_bar(store, make_rows):
    rows = make_rows([10, 11])
    bad = pd.DataFrame([("A", rows["time"].iloc[1], "split", 0.0)], columns=list(COLUMNS))
    assert store.write("own", rows, bad) == Written(2, 0, 1)
    quarantine = Quarantine(store, "own")
    (name,) = quarantine.rows().index
    for settle in (
        lambda: quarantine.accept([name]),
        lambda: quarantine.fix(name, dict.fromkeys(["open", "high", "low", "close"], 5)),
    ):
        with pytest.raises(InputError, match=r"can be no bar \(no split or dividend: split 0.0\)"):
            settle()
    assert closes(store) == [10, 11]


def test_an_unknown_state_is_told(store):
    with pytest.raises(UnknownNameError, match="unknown state 'opne'; nearest known: open"):
        Quarantine(store, "own").rows("opne")
