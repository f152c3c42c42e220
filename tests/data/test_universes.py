import threading
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from workbench.core.errors import DataError, DateRangeError, InputError, UnknownNameError
from workbench.data.tables.delta import DeltaTables
from workbench.data.tables.postgres import PostgresTables
from workbench.data.universes import Loaded, Universes

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FILE = """symbol,start,end
AAPL,1982-11-30,
BRK-B,2010-02-16,2012-12-31
BRK-B,2013-01-01,
GM,1957-03-04,2009-06-02
GM,2013-06-07,
"""


class Clock:
    """Says what it is told."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture(params=["delta", "postgresql"])
def tables(request, tmp_path):
    if request.param == "delta":
        return DeltaTables(tmp_path / "store")
    started = request.getfixturevalue("postgres_server")
    return PostgresTables(started.create_database(f"d{tmp_path.stat().st_ino}"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def universes(tables, clock):
    return Universes(tables, clock)


@pytest.fixture
def load(universes, tmp_path):
    def write_and_load(text, name="big"):
        path = tmp_path / "universe.csv"
        path.write_text(text)
        return universes.load(name, path)

    return write_and_load


@pytest.mark.parametrize(
    ("day", "members"),
    [
        ("1957-03-04", ["GM"]),
        ("1982-11-29", ["GM"]),
        ("1982-11-30", ["AAPL", "GM"]),
        ("2009-06-02", ["AAPL", "GM"]),
        ("2009-06-03", ["AAPL"]),
        (date(2012, 12, 31), ["AAPL", "BRK-B"]),
        ("2013-01-01", ["AAPL", "BRK-B"]),
        ("2013-06-07T23:59:59", ["AAPL", "BRK-B", "GM"]),
        # It is the next day in UTC.
        ("2013-06-06T23:00:00-05:00", ["AAPL", "BRK-B", "GM"]),
        # Of a year and a month the last day counts, as it does for bars.
        (2013, ["AAPL", "BRK-B", "GM"]),
        ("2009-05", ["AAPL", "GM"]),
        ("2009-06", ["AAPL"]),
        (pd.Timestamp("2200-12-31"), ["AAPL", "BRK-B", "GM"]),
        (None, ["AAPL", "BRK-B", "GM"]),
    ],
)
def test_the_members_of_a_day_include_the_first_and_the_last_day(universes, load, day, members):
    load(FILE)
    assert universes.members("big", day) == members


def test_today_is_what_the_clock_says(universes, load, clock):
    load("symbol,start,end\nA,2026-01-05,\nB,2026-01-01,2026-01-05\n")
    assert universes.members("big") == ["A", "B"]
    clock.now += timedelta(days=1)
    assert universes.members("big") == ["A"]


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("1957-03-03", "'big' has no member on 1957-03-03; it has from 1957-03-04 to today"),
        ("whenever", "is no date"),
    ],
)
def test_a_day_before_the_first_membership_is_refused(universes, load, day, words):
    load(FILE)
    with pytest.raises(DateRangeError, match=words):
        universes.members("big", day)


def test_a_day_without_any_member_is_refused(universes, load):
    load("symbol,start,end\nA,2001-01-01,2001-02-01\nB,2002-01-01,2002-02-01\n")
    for day in ("2001-06-01", None):
        with pytest.raises(DateRangeError, match="it has from 2001-01-01 to 2002-02-01"):
            universes.members("big", day)


def test_an_unknown_universe_is_told_with_the_known_ones(universes, load):
    with pytest.raises(UnknownNameError, match="'bigg'; nearest known: none"):
        universes.members("bigg")
    load(FILE)
    with pytest.raises(UnknownNameError, match="'bigg'; nearest known: big"):
        universes.changes("bigg")


def test_each_universe_has_its_own_members(universes, load):
    load(FILE)
    load("symbol,start,end\nAAPL,2020-01-01,\n", "small")
    assert universes.names() == ["big", "small"]
    assert universes.members("small") == ["AAPL"]
    assert universes.members("big", "1990") == ["AAPL", "GM"]


def test_loading_the_same_file_again_adds_nothing(universes, load, clock):
    assert load(FILE) == Loaded("big", 5, 5, 0)
    version = universes.table.version()
    clock.now += timedelta(days=1)
    header, *lines = FILE.splitlines()
    assert load("\n".join([header, *reversed(lines)])) == Loaded("big", 5, 0, 0)
    assert universes.table.version() == version


def test_a_membership_that_a_newer_file_no_longer_has_does_not_linger(universes, load, clock):
    load(FILE)
    clock.now += timedelta(days=1)
    assert load("symbol,start,end\nAAPL,1982-11-30,2020-01-01\nIBM,1957-03-04,\n") == Loaded("big", 2, 2, 4)
    assert universes.members("big", "2013-06-07") == ["AAPL", "IBM"]
    assert universes.members("big") == ["IBM"]


def test_a_past_edition_can_be_asked_for_again(universes, load, clock):
    load(FILE)
    clock.now += timedelta(days=1)
    load("symbol,start,end\nIBM,1957-03-04,\n")
    assert universes.members("big", "2013-06-07", known="2026-01-05") == ["AAPL", "BRK-B", "GM"]
    assert universes.members("big", "2013-06-07", known="2026-01-06") == ["IBM"]
    with pytest.raises(UnknownNameError, match="known on 2026-01-04"):
        universes.members("big", "2013-06-07", known="2026-01-04")


@pytest.mark.parametrize("step", [timedelta(days=1), timedelta(0), timedelta(days=-1)])
def test_an_edition_that_returns_counts_whatever_the_clock_does(universes, load, clock, step):
    other = "symbol,start,end\nIBM,1957-03-04,\n"
    for text, members in [(FILE, ["AAPL", "BRK-B", "GM"]), (other, ["IBM"])] * 2:
        load(text)
        assert universes.members("big") == members
        clock.now += step
    assert len(universes.table.history()) == 2 * (5 + 1)


def test_of_two_files_that_are_loaded_at_once_one_wins(tables, tmp_path):
    files = {}
    for letter in "AB":
        files[letter] = tmp_path / f"{letter}.csv"
        rows = [
            f"{letter}{number},2020-01-01,\nSHARED{number},2020-01-01,{'' if letter == 'A' else '2030-01-01'}"
            for number in range(20)
        ]
        files[letter].write_text("symbol,start,end\n" + "\n".join(rows))
    start = threading.Barrier(2)

    def load(letter):
        start.wait()
        Universes(tables, lambda: NOW).load("big", files[letter])

    threads = [threading.Thread(target=load, args=(letter,)) for letter in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Universes(tables, lambda: NOW).members("big", "2025")
    shared = {f"SHARED{number}" for number in range(20)}
    assert set(found) in [shared | {f"{letter}{number}" for number in range(20)} for letter in "AB"]
    later = Universes(tables, lambda: NOW).members("big", "2035")
    assert set(later) == (set(found) if found[0].startswith("A") else set(found) - shared)


def test_who_joined_and_who_left_is_a_table_of_days(universes, load):
    load("symbol,start,end\nB,2020-01-01,9999-12-31\nA,2020-01-01,2020-02-28\nA,2020-03-01,2020-12-31\n")
    found = universes.changes("big")
    assert [(f"{row.date:%Y-%m-%d}", row.symbol, row.change) for row in found.itertuples()] == [
        ("2020-01-01", "A", "joined"),
        ("2020-01-01", "B", "joined"),
        ("2020-02-29", "A", "left"),
        ("2020-03-01", "A", "joined"),
        ("2021-01-01", "A", "left"),
    ]


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "x" * 65, "grün"])
def test_a_name_that_cannot_be_one_is_refused(load, name):
    with pytest.raises(InputError, match="no name of a universe"):
        load(FILE, name)


def test_a_file_with_a_fault_leaves_the_last_edition(universes, load):
    load(FILE)
    with pytest.raises(DataError, match="line 3"):
        load("symbol,start,end\nIBM,1957-03-04,\nX,today,\n")
    assert universes.members("big") == ["AAPL", "BRK-B", "GM"]
