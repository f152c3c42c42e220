"""A fetch from end to end: a provider behind its entry point, real files, the real store, and a clock that we set."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from stranger_provider import StrangerProvider, asked, install, write_daily, write_entry

from workbench.core.errors import CredentialError, InputError, RateLimitError, StoreError, UnsupportedError
from workbench.core.market import FIELDS, PRICES
from workbench.core.settings import load_settings
from workbench.data import fetch
from workbench.data.ingest import Span
from workbench.data.market import open_market
from workbench.data.providers.base import Access, History
from workbench.data.quarantine import Quarantine

WEEK = {f"2024-07-{day:02}": float(day) for day in (1, 2, 3, 5, 8, 9, 10, 11, 12)}
FRIDAY = "2024-07-12 21:00"


class Clock:
    """Says what it is told to."""

    def __init__(self, now):
        self.set(now)

    def set(self, now):
        self.now = pd.Timestamp(now, tz="UTC").to_pydatetime()

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock(FRIDAY)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The stranger's folder; its package is installed."""
    monkeypatch.syspath_prepend(install(tmp_path / "site"))
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.fixture
def opened(home, folder, clock):
    """Open the market with options of the provider."""

    def opening(interval="1d", **options):
        write_entry(home, "stranger", interval)
        given = {"folder": str(folder), **options}
        return open_market(load_settings(home=home, providers={"stranger": given, "files": given}), clock)

    return opening


def questions(folder):
    return [line.removeprefix("history ") for line in asked(folder)]


def closes(market, symbol="A", dataset="stranger_1d"):
    rows = market.store.tables(dataset).bars.read([symbol])
    return dict(zip(rows["time"].dt.strftime("%Y-%m-%d"), rows["close"], strict=True))


def state(fetched):
    return {each.symbol: each.state for each in fetched.arrivals}


# ---------------------------------------------------------------- only what is missing


def test_the_samples_own_bars_arrive_whole_through_files(bench, home, folder, clock, opened):
    table = bench.catalog["us_equities"].read()
    for symbol, own in table.groupby("Ticker"):
        own[["Date", "Open", "High", "Low", "Close", "Volume"]].to_csv(folder / f"{symbol}.csv", index=False)
    clock.set("2013-03-02 12:00")
    market = opened()
    names = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    done = market.fetch("files", names, "2000", progress=False)
    assert done.complete
    bench.bars("AAPL")
    sample = bench.market.store.tables("us_equities")
    assert (done.requests, done.quarantined) == (5, len(sample.quarantine.read()))
    ours, theirs = market.store.tables("files_1d").bars.read(), sample.bars.read()
    pd.testing.assert_frame_equal(ours.drop(columns="learned_at"), theirs.drop(columns="learned_at"), check_like=True)
    again = market.fetch("files", names, "2000", progress=False)
    assert (again.requests, again.added, set(state(again).values())) == (0, 0, {"up to date"})


def test_a_fetch_asks_for_the_sessions_that_are_missing_and_nothing_else(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    market = opened()

    def fetched(start, end):
        done = market.fetch("stranger", ["A"], start, end, progress=False)
        assert done.complete
        return done.added, questions(folder)

    assert fetched("2024-07-03", "2024-07-03") == (1, ["A 2024-07-03 2024-07-03"])
    assert fetched("2024-07-03", "2024-07-03") == (0, [])
    assert fetched("2024-07-09", "2024-07-10") == (2, ["A 2024-07-09 2024-07-10"])
    # To both sides, and the hole between the two.
    assert fetched("2024-07-01", "2024-07-12") == (
        6,
        ["A 2024-07-01 2024-07-02", "A 2024-07-05 2024-07-08", "A 2024-07-11 2024-07-12"],
    )
    assert fetched("2024-07-01", "2024-07-12") == (0, [])
    # A weekend and a holiday are no gap, and the end may be left to the clock.
    assert fetched("2024-06-29", None) == (0, [])
    assert fetched("2024-07-04", "2024-07-04") == (0, [])
    assert closes(market) == WEEK
    reopened = opened()
    assert reopened.fetch("stranger", ["A"], "2024-07-01", progress=False).requests == 0


def test_a_symbol_is_not_asked_for_the_time_before_its_first_bar_again(folder, clock, opened):
    write_daily(folder, "NEW", {day: WEEK[day] for day in ("2024-07-10", "2024-07-11", "2024-07-12")})
    market = opened()
    first = market.fetch("stranger", ["NEW"], "2024-06-03", progress=False)
    assert (first.complete, first.added, questions(folder)) == (True, 3, ["NEW 2024-06-03 2024-07-12"])
    assert market.fetch("stranger", ["NEW"], "2024-06-03", progress=False).requests == 0


def test_a_bar_right_after_the_close_is_asked_for_again(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    clock.set("2024-07-12 20:05")
    market = opened()
    assert state(market.fetch("stranger", ["A"], "2024-07-01", progress=False)) == {"A": "incomplete"}
    write_daily(folder, "A", {**WEEK, "2024-07-12": 13.0})
    clock.set("2024-07-12 20:40")
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).complete
    assert closes(market)["2024-07-12"] == 13.0
    assert questions(folder) == ["A 2024-07-01 2024-07-12", "A 2024-07-12 2024-07-12"]


def test_an_empty_answer_leaves_splits_and_dividends_as_they_are(folder, clock, opened):
    market = opened()
    write_paid(folder, "2024-07-09")
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    (folder / "A.csv").write_text("date,open,high,low,close,volume,dividend\n")
    market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False)
    assert market.store.tables("stranger_1d").actions.history(["A"])["value"].tolist() == [1.0]


def test_a_symbol_named_twice_is_asked_for_once(folder, opened):
    write_daily(folder, "A", WEEK)
    done = opened().fetch("stranger", ["A", "A"], "2024-07-01", progress=False)
    assert [each.symbol for each in done.arrivals] == ["A"]


def test_a_session_that_is_late_is_incomplete_and_asked_for_again(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    early = opened(late="2024-07-12").fetch("stranger", ["A"], "2024-07-10", progress=False)
    assert (early.complete, state(early), early.arrivals[0].missing) == (False, {"A": "incomplete"}, 1)
    assert early.added == 2
    questions(folder)
    done = opened().fetch("stranger", ["A"], "2024-07-10", progress=False)
    assert (done.complete, done.added, questions(folder)) == (True, 1, ["A 2024-07-12 2024-07-12"])


def test_a_symbol_that_trades_no_more_is_left_alone_after_a_week(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    market = opened()
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    questions(folder)
    clock.set("2024-07-19 21:00")
    assert state(market.fetch("stranger", ["A"], "2024-07-01", progress=False)) == {"A": "incomplete"}
    assert questions(folder) == ["A 2024-07-15 2024-07-19"]
    done = market.fetch("stranger", ["A"], "2024-07-01", "2024-07-12", progress=False)
    assert (done.complete, done.requests) == (True, 0)
    clock.set("2024-07-30 21:00")
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    assert questions(folder) == ["A 2024-07-15 2024-07-30"]
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    assert questions(folder) == ["A 2024-07-24 2024-07-30"]


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2024-07-03 16:59", "2024-07-02"),
        ("2024-07-03 17:30", "2024-07-03"),
        ("2024-07-05 19:00", "2024-07-03"),
        ("2024-07-06 12:00", "2024-07-05"),
    ],
)
def test_only_sessions_that_have_ended_are_asked_for(folder, clock, opened, now, last):
    write_daily(folder, "A", WEEK)
    clock.set(now)
    market = opened()
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).complete
    assert questions(folder) == [f"A 2024-07-01 {last}"]
    assert max(closes(market)) == last
    # Neither does a later end help.
    market.fetch("stranger", ["A"], "2024-07-01", "2030-01-01", progress=False)
    assert questions(folder) == []


@pytest.mark.parametrize(("interval", "first"), [("1d", "2014-07-14"), ("1h", "2024-05-13"), ("1m", "2024-07-08")])
def test_without_a_start_a_fetch_reaches_some_way_back(folder, opened, interval, first):
    write_daily(folder, "A", WEEK)
    if interval != "1d":
        pd.DataFrame({"time": ["2024-07-12 19:59"], "close": [1.0]}).to_csv(folder / f"A.{interval}.csv", index=False)
    opened(interval).fetch("stranger", ["A"], interval=interval, progress=False)
    assert questions(folder) == [f"A {first} 2024-07-12"]


# ---------------------------------------------------------------- what goes wrong


def test_one_bad_symbol_loses_no_other(folder, opened):
    for symbol in ("A", "B", "DOWN", "ODD"):
        write_daily(folder, symbol, WEEK)
    write_daily(folder, "WRONG", WEEK, dividend="x")
    market = opened()
    names = ["A", "ODD", "DOWN", "GONE", "WRONG", "B"]
    done = market.fetch("stranger", names, "2024-07-01", progress=False)
    assert not done.complete
    assert list(state(done).values()) == ["arrived", "failed", "failed", "failed", "failed", "arrived"]
    errors = {each.symbol: each.error for each in done.arrivals}
    assert errors["ODD"] == "provider 'stranger' broke with ZeroDivisionError; report it to its makers"
    assert "answered 503 three times" in errors["DOWN"]
    assert "unknown symbol 'GONE'" in errors["GONE"]
    assert "is no dividend" in errors["WRONG"]
    assert errors["A"] == errors["B"] == ""
    assert closes(market, "B") == WEEK
    # They are asked for again, the others are not.
    questions(folder)
    market.fetch("stranger", names, "2024-07-01", progress=False)
    assert {line.split()[0] for line in questions(folder)} == {"ODD", "DOWN", "GONE", "WRONG"}


def test_an_action_that_can_be_none_goes_to_quarantine(folder, opened):
    write_daily(folder, "SPIN", WEEK)
    market = opened()
    done = market.fetch("stranger", ["SPIN"], "2024-07-01", progress=False)
    assert (state(done), done.added, done.quarantined) == ({"SPIN": "arrived"}, len(WEEK), 1)
    assert "spin-off" in market.store.tables("stranger_1d").quarantine.read()["reason"].item()
    assert market.store.tables("stranger_1d").actions.read().empty


def test_an_action_without_a_date_goes_to_quarantine(folder, opened):
    write_daily(folder, "UNDATED", WEEK)
    done = opened().fetch("stranger", ["UNDATED"], "2024-07-01", progress=False)
    assert (state(done), done.added, done.quarantined) == ({"UNDATED": "arrived"}, len(WEEK), 1)


def test_a_split_that_can_be_none_loses_one_symbol_where_prices_are_adjusted_for_it(folder, opened):
    write_daily(folder, "A", WEEK)
    write_daily(folder, "SPLIT", WEEK)
    done = opened(adjustment="splits").fetch("stranger", ["SPLIT", "A"], "2024-07-01", progress=False)
    assert state(done) == {"SPLIT": "failed", "A": "arrived"}
    assert "a split of SPLIT by 0.0 on 2024-07-02" in done.arrivals[0].error


def test_a_key_that_is_refused_ends_the_fetch_and_what_has_arrived_is_kept(folder, opened):
    names = [f"S{number:02}" for number in range(20)]
    for symbol in [*names, "KEY"]:
        write_daily(folder, symbol, WEEK)
    market = opened()
    with pytest.raises(CredentialError, match="refuses its key; set WORKBENCH_KEYS__STRANGER"):
        market.fetch("stranger", [*names, "KEY"], "2024-07-01", progress=False)
    kept = market.store.tables("stranger_1d").bars.symbols()
    asked_for = {line.split()[0] for line in questions(folder)} - {"KEY"}
    assert set(kept) <= asked_for
    # At most those that were being asked at that moment are asked for again.
    market.fetch("stranger", names, "2024-07-01", progress=False)
    assert market.store.tables("stranger_1d").bars.symbols() == names


def test_a_missing_key_is_told_before_anything_is_asked(home, monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    market = open_market(load_settings(home=home), Clock(FRIDAY))
    with pytest.raises(CredentialError, match="WORKBENCH_KEYS__ALPHA_VANTAGE"):
        market.fetch("alpha_vantage", ["IBM"], "2024-07-01", progress=False)
    assert not (home / "store").exists()


@pytest.mark.parametrize(
    ("asking", "error", "message"),
    [
        ({"symbols": []}, InputError, "no symbols given; name some, or a --universe"),
        ({"symbols": ["../A"]}, InputError, r"'\.\./A' is no symbol"),
        ({"interval": "5m"}, UnsupportedError, "no bars of '5m'; it has bars of 1d, 1h, 1m"),
        ({"interval": "1h"}, InputError, "holds 1d bars of stranger, not 1h bars"),
        ({"start": "2024-07-15"}, InputError, "no session has ended from 2024-07-15 to 2024-07-12"),
        ({"start": "2024-07-12", "end": "2024-07-01"}, InputError, "reversed"),
        ({"provider": "files"}, InputError, "holds 1d bars of stranger, not 1d bars of files"),
        ({"dataset": "us_equities"}, InputError, "holds 1d bars of sample"),
    ],
)
def test_a_bad_request_is_told_before_anything_is_asked(folder, opened, asking, error, message):
    write_daily(folder, "A", WEEK)
    request = {"provider": "stranger", "symbols": ["A"], "dataset": "stranger_1d", "progress": False, **asking}
    market = opened()
    with pytest.raises(error, match=message):
        market.fetch(**request)
    assert questions(folder) == []


def test_prices_of_another_measure_are_told_before_anything_is_asked(folder, opened):
    write_daily(folder, "A", WEEK)
    with pytest.raises(InputError, match=r"adjusts its prices for all, .*; set adjustment: all in its catalog entry"):
        opened(adjustment="all").fetch("stranger", ["A"], "2024-07-01", progress=False)
    assert questions(folder) == []


def test_a_store_that_cannot_be_written_is_told(home, folder, opened):
    write_daily(folder, "A", WEEK)
    market = opened()
    (home / "store").write_text("in the way")
    with pytest.raises(StoreError):
        market.fetch("stranger", ["A"], "2024-07-01", progress=False)


# ---------------------------------------------------------------- rows that cannot be trusted


def test_bad_rows_go_to_quarantine_and_the_others_arrive(folder, opened):
    lines = [
        "date,open,high,low,close,volume",
        "2024-07-01,1,2,1,2,10",
        "2024-07-02,1,2,1,,10",  # no close
        "2024-07-03,1,2,1,2,10",
        "2024-07-03,1,2,1,1.5,10",  # a second row for the day
        "2024-07-05,3,2,1,2,10",  # high below open
        "2024-07-06,1,2,1,2,10",  # Saturday
        "someday,1,2,1,2,10",
        "another day,1,2,1,2,11",
        "2024-07-08,1,2,1,2,10",
    ]
    (folder / "A.csv").write_text("\n".join(lines))
    market = opened()
    done = market.fetch("stranger", ["A"], "2024-07-01", "2024-07-08", progress=False)
    assert (state(done), done.added) == ({"A": "arrived"}, 2)
    assert list(closes(market)) == ["2024-07-01", "2024-07-08"]
    kept_out = Quarantine(market.store, "stranger_1d").rows()
    dates = ["2024-07-02", "2024-07-03", "2024-07-03", "2024-07-05", "2024-07-06", "no date", "no date"]
    assert sorted(kept_out["date"]) == dates
    assert done.quarantined == len(kept_out)
    # The session is not asked for again, and doing so adds nothing.
    assert market.fetch("stranger", ["A"], "2024-07-01", "2024-07-08", progress=False).requests == 0
    once_more = market.fetch("stranger", ["A"], "2024-07-01", "2024-07-08", again=True, progress=False)
    assert (once_more.added, once_more.quarantined) == (0, 0)


def test_prices_in_another_currency_go_to_quarantine(folder, opened):
    write_daily(folder, "A", WEEK)
    done = opened(currency="EUR").fetch("stranger", ["A"], "2024-07-01", progress=False)
    assert (done.added, done.quarantined) == (0, len(WEEK))
    market = opened()
    assert set(market.store.tables("stranger_1d").quarantine.read()["reason"]) == {
        "a currency other than the dataset's USD"
    }


def test_an_unfinished_bar_is_not_stored(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    clock.set("2024-07-12 15:00")
    market = opened()
    market.fetch("stranger", ["A"], "2024-07-10", "2024-07-12", progress=False)
    assert max(closes(market)) == "2024-07-11"
    assert market.store.tables("stranger_1d").quarantine.read().empty


# ---------------------------------------------------------------- short bars


def hours(first, last, step):
    """UTC starts of bars in New York's session of a day."""
    day = pd.date_range(first, last, freq=step, tz="America/New_York", inclusive="left")
    return day.tz_convert("UTC")


def write_short(folder, interval, starts):
    rows = pd.DataFrame({"time": starts.strftime("%Y-%m-%dT%H:%M:%SZ"), "close": range(1, len(starts) + 1)})
    rows.to_csv(folder / f"A.{interval}.csv", index=False)


@pytest.mark.parametrize(
    ("day", "close", "count"),
    [
        ("2024-07-02", "16:00", {"1h": 7, "1m": 390}),
        ("2024-07-03", "13:00", {"1h": 4, "1m": 210}),
        ("2024-03-08", "16:00", {"1h": 7, "1m": 390}),
        ("2024-03-11", "16:00", {"1h": 7, "1m": 390}),
        ("2024-11-01", "16:00", {"1h": 7, "1m": 390}),
        ("2024-11-04", "16:00", {"1h": 7, "1m": 390}),
    ],
)
@pytest.mark.parametrize("interval", ["1h", "1m"])
def test_short_bars_of_a_day_with_those_around_the_session_in_quarantine(
    folder, clock, opened, interval, day, close, count
):
    step = {"1h": "60min", "1m": "1min"}[interval]
    # An hour before the open to two hours after the close.
    after = pd.Timestamp(f"{day} {close}") + pd.Timedelta(hours=2)
    starts = hours(f"{day} 08:30", after, step)
    write_short(folder, interval, starts)
    clock.set("2024-12-02 12:00")
    market = opened(interval)
    done = market.fetch("stranger", ["A"], day, day, interval=interval, progress=False)
    assert (state(done), done.added) == ({"A": "arrived"}, count[interval])
    bars = market.store.tables(f"stranger_{interval}").bars.read()
    local = bars["time"].dt.tz_convert("America/New_York")
    assert f"{local.iloc[-1]:%Y-%m-%d %H:%M}" == f"{day} {close}"
    assert f"{local.iloc[0]:%Y-%m-%d %H:%M}" == (f"{day} 10:30" if interval == "1h" else f"{day} 09:31")
    kept_out = market.store.tables(f"stranger_{interval}").quarantine.read()
    assert set(kept_out["reason"]) == {"not in a session of the calendar"}
    assert len(kept_out) == len(starts) - count[interval] == done.quarantined
    assert market.fetch("stranger", ["A"], day, day, interval=interval, progress=False).requests == 0


# ---------------------------------------------------------------- what a source changes later


def test_a_restated_row_is_learned_when_asked_again_and_kept_beside_the_old_one(folder, clock, opened):
    write_daily(folder, "A", WEEK)
    market = opened()
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    write_daily(folder, "A", {**WEEK, "2024-07-03": 3.5})
    clock.set("2024-07-13 12:00")
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).added == 0
    done = market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False)
    assert (done.added, done.requests, state(done)) == (1, 1, {"A": "arrived"})
    assert closes(market)["2024-07-03"] == 3.5
    kept = market.store.tables("stranger_1d").bars.history(["A"])
    assert kept[kept["time"].dt.day == 3]["close"].tolist() == [3.0, 3.5]
    then = market.bars("A", None, None, dataset="stranger_1d", adjust="none", as_of="2024-07-12")
    assert then["close"].sel(symbol="A").to_numpy().tolist() == list(WEEK.values())


SPLIT = {"2024-07-10": 7.0}
"""Seven for one on the 10th."""


def write_adjusted(folder, raw, split=None, decimals=6):
    """Write a source's file: prices before the split are a seventh, volumes seven times as much."""
    days = list(raw)
    factor = [7.0 if split and day < split else 1.0 for day in days]
    prices = [round(close / by, decimals) for close, by in zip(raw.values(), factor, strict=True)]
    rows = pd.DataFrame({"date": days, **dict.fromkeys(PRICES, prices)})
    rows["volume"] = [1001 * by for by in factor]
    rows["dividend"] = [
        round(0.7 / by, 4) if day == "2024-07-05" else None for day, by in zip(days, factor, strict=True)
    ]
    rows["split"] = [7.0 if day == split else None for day in days]
    rows.to_csv(folder / "A.csv", index=False)


RAW = {
    "2024-07-01": 645.57, "2024-07-02": 640.01, "2024-07-03": 633.33, "2024-07-05": 650.0, "2024-07-08": 655.11,
    "2024-07-09": 651.0, "2024-07-10": 92.7, "2024-07-11": 93.86, "2024-07-12": 91.28,
}  # fmt: skip


def test_prices_that_arrive_adjusted_for_splits_are_stored_as_traded(folder, opened):
    write_adjusted(folder, RAW, "2024-07-10")
    market = opened(adjustment="splits")
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).added == len(RAW)
    assert closes(market) == pytest.approx(RAW, rel=1e-6)
    tables = market.store.tables("stranger_1d")
    assert tables.bars.read()["volume"].to_numpy() == pytest.approx(1001)
    actions = tables.actions.read().set_index("kind")["value"]
    assert actions.to_dict() == pytest.approx({"dividend": 0.7, "split": 7.0})


def test_a_split_between_two_fetches_leaves_what_is_stored_as_it_is(folder, clock, opened):
    before = {day: close for day, close in RAW.items() if day < "2024-07-10"}
    write_adjusted(folder, before)
    clock.set("2024-07-09 21:00")
    market = opened(adjustment="splits")
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).added == len(before)
    write_adjusted(folder, RAW, "2024-07-10")
    clock.set(FRIDAY)
    assert market.fetch("stranger", ["A"], "2024-07-01", progress=False).added == 3
    # Undoing the split leaves other digits behind; that is no restatement.
    again = market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False)
    assert (again.added, again.quarantined) == (0, 0)
    tables = market.store.tables("stranger_1d")
    assert len(tables.bars.history()) == len(RAW)
    assert closes(market) == RAW
    adjusted = market.bars("A", None, None, dataset="stranger_1d", adjust="splits")["close"].sel(symbol="A")
    assert adjusted.to_numpy()[:2].tolist() == pytest.approx([645.57 / 7, 640.01 / 7])
    assert adjusted.to_numpy()[-1] == 91.28


def test_actions_are_no_restatement_after_a_split_either(folder, clock, opened):
    write_adjusted(folder, {day: close for day, close in RAW.items() if day < "2024-07-10"})
    clock.set("2024-07-09 21:00")
    market = opened(adjustment="splits")
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    write_adjusted(folder, RAW, "2024-07-10")
    clock.set(FRIDAY)
    market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False)
    known = market.store.tables("stranger_1d").actions.history()
    assert sorted(zip(known["kind"], known["value"], strict=True)) == [("dividend", 0.7), ("split", 7.0)]


# ---------------------------------------------------------------- many, and at once


def write_paid(folder, day, dividend=1.0, name="A"):
    rows = pd.DataFrame({"date": WEEK, **dict.fromkeys(FIELDS, 10.0)}, index=list(WEEK)).assign(date=list(WEEK))
    rows["dividend"] = 0.0
    rows.loc[day, "dividend"] = dividend
    rows.to_csv(folder / f"{name}.csv", index=False)


def test_an_action_that_its_source_moves_is_applied_once(folder, clock, opened):
    market = opened()
    write_paid(folder, "2024-07-09")
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    clock.set("2024-07-12 22:00")
    write_paid(folder, "2024-07-10")
    market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False)
    prices = market.field("close", "A", dataset="stranger_1d")["A"]
    assert prices.iloc[0] == pytest.approx(10 * 10 / 11)
    assert prices.loc["2024-07-09"].item() == pytest.approx(10 * 10 / 11)
    assert prices.loc["2024-07-10"].item() == 10
    # What was known before is still known as of then.
    before = market.field("close", "A", dataset="stranger_1d", as_of=pd.Timestamp(FRIDAY, tz="UTC"))["A"]
    assert before.loc["2024-07-09"].item() == 10
    clock.set("2024-07-12 23:00")
    assert market.fetch("stranger", ["A"], "2024-07-01", again=True, progress=False).added == 0
    assert len(market.store.tables("stranger_1d").actions.history(["A"])) == 3


def test_an_action_outside_of_what_was_asked_for_is_not_taken_for_withdrawn(folder, clock, opened):
    market = opened()
    write_paid(folder, "2024-07-09")
    market.fetch("stranger", ["A"], "2024-07-01", progress=False)
    market.fetch("stranger", ["A"], "2024-07-01", "2024-07-05", again=True, progress=False)
    assert market.store.tables("stranger_1d").actions.history(["A"])["value"].tolist() == [1.0]


class WithoutActions(StrangerProvider):
    """A plan that has bars, and splits and dividends for those who pay more."""

    def history(self, symbol, start, end, interval="1d"):
        answer = super().history(symbol, start, end, interval)
        return History(answer.bars, None, answer.currency)

    def actions(self, symbol, start, end):
        raise RateLimitError("the plan has no actions; take a larger one")


@pytest.mark.parametrize("choice", ["", "no"])
def test_bars_without_their_actions_are_taken_on_request_only(folder, opened, monkeypatch, choice):
    market = opened(actions=choice)
    write_paid(folder, "2024-07-09")
    monkeypatch.setattr("workbench.data.providers.opening.load", lambda *_: WithoutActions)
    (found,) = market.fetch("stranger", ["A"], "2024-07-01", progress=False).arrivals
    if choice:
        assert (found.state, found.bars) == ("arrived", 9)
    else:
        assert (found.state, found.bars) == ("failed", 0)
        assert "WORKBENCH_PROVIDERS__STRANGER__ACTIONS=no takes bars without them" in found.error


def test_a_universe_is_stored_in_batches(folder, opened):
    write_daily(folder, "A", WEEK)
    names = [f"S{number:04}" for number in range(250)]
    for name in names:
        os.link(folder / "A.csv", folder / f"{name}.csv")
    market = opened()
    done = market.fetch("stranger", names, "2024-07-01", progress=False)
    assert (done.complete, done.added, done.requests) == (True, 2250, 250)
    assert [each.symbol for each in done.arrivals] == names
    again = market.fetch("stranger", names, "2024-07-01", progress=False)
    assert (again.complete, again.requests, again.added) == (True, 0, 0)
    tables = market.store.tables("stranger_1d")
    # A hundred symbols at a time, or what arrives in five seconds.
    assert 3 <= tables.bars.version() <= 10
    assert len(tables.bars.history()) == 2250


class Hanging(StrangerProvider):
    """Answers for one symbol only when it is allowed to."""

    allowed = threading.Event()

    def history(self, symbol, start, end, interval="1d"):
        if symbol == "SLOW":
            assert self.allowed.wait(30)
        return super().history(symbol, start, end, interval)


def test_what_has_arrived_is_stored_while_another_symbol_is_waited_for(folder, clock, opened, monkeypatch):
    monkeypatch.setattr(fetch, "PAUSE", 0.05)
    monkeypatch.setattr(fetch, "LOOK", 0.02)
    for symbol in ("A", "SLOW"):
        write_daily(folder, symbol, WEEK)
    market = opened()
    provider = Hanging(Access(options={"folder": str(folder)}, clock=clock))
    one = fetch.Fetch(market.store, provider, "stranger_1d", market.catalog.about("stranger_1d"))
    span = Span(pd.Timestamp("2024-07-01"), pd.Timestamp("2024-07-12"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(one.run, ["SLOW", "A"], span, progress=False)
        try:
            bars, patience = market.store.tables("stranger_1d").bars, time.monotonic() + 20
            while not bars.exists() or not len(bars.read(["A"])):
                assert time.monotonic() < patience
                time.sleep(0.02)
            assert not running.done()
        finally:
            provider.allowed.set()
        assert state(running.result()) == {"SLOW": "arrived", "A": "arrived"}
    assert closes(market, "SLOW") == WEEK


PROCESS = """
    import sys
    import pandas as pd
    from workbench.core.settings import load_settings
    from workbench.data import fetch
    from workbench.data.market import open_market

    fetch.BATCH = 5
    market = open_market(load_settings(), lambda: pd.Timestamp("{now}", tz="UTC").to_pydatetime())
    print("ready", flush=True)
    sys.stdin.readline()
    done = market.fetch("stranger", sys.argv[1].split(","), "2024-07-01", progress=False)
    print(done.added, flush=True)
"""


def start(home, folder, names, seconds=0.0):
    """Start a process that fetches as soon as it is told, five symbols to a batch."""
    variables = {
        "WORKBENCH_HOME": str(home),
        "WORKBENCH_PROVIDERS__STRANGER__FOLDER": str(folder),
        "WORKBENCH_PROVIDERS__STRANGER__SECONDS": str(seconds),
        "PYTHONPATH": os.pathsep.join([str(folder.parent / "site"), str(Path(__file__).parents[1] / "servers")]),
    }
    program = textwrap.dedent(PROCESS).format(now=FRIDAY)
    process = subprocess.Popen(
        [sys.executable, "-c", program, ",".join(names)],
        env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n", "it died; its error is on stderr"
    return process


def begin(process):
    process.stdin.write("\n")
    process.stdin.flush()


def end(process):
    process.kill()
    process.communicate()


@pytest.fixture
def universe(folder):
    names = [f"S{number:02}" for number in range(40)]
    for place, name in enumerate(names):
        write_daily(folder, name, {day: close + place for day, close in WEEK.items()}, dividend=0.1)
    return names


def expect_whole(market, names):
    """Every row is there, and once."""
    tables = market.store.tables("stranger_1d")
    for table, keys in ((tables.bars, ["symbol", "time"]), (tables.actions, ["symbol", "time", "kind"])):
        rows = table.history()
        assert len(rows) == len(names) * len(WEEK)
        assert not rows.duplicated(keys).any()
    closes_of_last = tables.bars.read([names[-1]])["close"].tolist()
    assert closes_of_last == [close + len(names) - 1 for close in WEEK.values()]


def test_two_processes_that_fetch_the_same_universe_store_every_row_once(home, folder, universe, opened):
    market = opened()
    processes = [start(home, folder, universe), start(home, folder, universe)]
    try:
        for process in processes:
            begin(process)
        added = [int(process.stdout.readline()) for process in processes]
        assert sum(added) == len(universe) * len(WEEK)
    finally:
        for process in processes:
            end(process)
    expect_whole(market, universe)
    assert market.fetch("stranger", universe, "2024-07-01", progress=False).requests == 0


def test_a_fetch_that_is_killed_goes_on_where_it_was(home, folder, universe, opened):
    market = opened()
    process = start(home, folder, universe, seconds=0.02)
    try:
        begin(process)
        tables = market.store.tables("stranger_1d")
        while not tables.coverage.exists() or len(tables.coverage.read()) < 10:
            assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        end(process)
    there = set(tables.coverage.read()["symbol"])
    assert 10 <= len(there) < len(universe)
    questions(folder)
    done = market.fetch("stranger", universe, "2024-07-01", progress=False)
    # What was stored is not asked for again; what was stored and not noted yet adds nothing.
    assert {line.split()[0] for line in questions(folder)} == set(universe) - there
    assert done.complete
    expect_whole(market, universe)

    undisturbed = tables.bars.read().drop(columns="learned_at")
    shutil.rmtree(home / "store")
    fresh = opened()
    fresh.fetch("stranger", universe, "2024-07-01", progress=False)
    pd.testing.assert_frame_equal(fresh.store.tables("stranger_1d").bars.read().drop(columns="learned_at"), undisturbed)


def test_what_was_stored_before_its_coverage_was_noted_is_asked_for_again_and_adds_nothing(
    home, folder, universe, opened
):
    market = opened()
    market.fetch("stranger", universe, "2024-07-01", progress=False)
    shutil.rmtree(home / "store" / "stranger_1d" / "coverage")
    done = opened().fetch("stranger", universe, "2024-07-01", progress=False)
    assert (done.requests, done.added) == (len(universe), 0)
    expect_whole(market, universe)


def test_the_summary_is_plain(folder, opened):
    write_daily(folder, "A", WEEK, dividend=0.1)
    told = opened().fetch("stranger", ["A"], "2024-07-01", progress=False).to_dict()
    assert told == {
        "provider": "stranger",
        "dataset": "stranger_1d",
        "complete": True,
        "added": 9,
        "quarantined": 0,
        "requests": 1,
        "symbols": [
            {"symbol": "A", "state": "arrived", "requests": 1, "bars": 9, "actions": 9, "missing": 0, "error": ""}
        ],
    }
    assert set(FIELDS) <= set(opened().store.tables("stranger_1d").bars.read().columns)
