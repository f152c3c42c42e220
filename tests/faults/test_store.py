"""The store beside other writers, killed in the middle, damaged, and without a place to write."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from deltalake import DeltaTable

from workbench.bench import Workbench
from workbench.core.errors import StoreError
from workbench.core.settings import load_settings

ROWS = 3 * 3270 + 2148 + 196
ACTIONS = 95

WRITER = """
import sys
from workbench.bench import Workbench
from workbench.core.settings import load_settings
from workbench.data.providers.base import History
from workbench.data.providers.sample import SampleProvider
from workbench.data.store import BarStore

bench = Workbench(load_settings())
history = SampleProvider().history(bench.catalog, "us_equities")
step = int(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    store = BarStore(bench.settings.home / line.strip())
    rows = []
    for first in range(0, len(history.bars), step):
        rows.append(store.write("us_equities", History(history.bars[first:first + step], history.actions)))
    print(sum(each.bars for each in rows), sum(each.actions for each in rows), flush=True)
"""


def start_writer(step):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(step)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def tell(writer, store):
    writer.stdin.write(f"{store}\n")
    writer.stdin.flush()


def bench_at(home):
    return Workbench(load_settings(home=home))


def stored(folder):
    """Rows of a table as they lie there, none taken for another's latest."""
    return DeltaTable(str(folder)).to_pyarrow_table().to_pandas()


def assert_whole(folder):
    bars, actions = stored(folder / "us_equities" / "bars"), stored(folder / "us_equities" / "actions")
    assert (len(bars), len(actions)) == (ROWS, ACTIONS)
    assert not bars.duplicated(["symbol", "time"]).any()
    assert not actions.duplicated(["symbol", "time", "kind"]).any()


def test_two_processes_loading_at_once_store_every_row_once(home):
    writers = [start_writer(10_000), start_writer(10_000)]
    try:
        assert [writer.stdout.readline() for writer in writers] == ["ready\n", "ready\n"]
        for turn in range(12):
            for writer in writers:
                tell(writer, f"store{turn}")
            added = [[int(number) for number in writer.stdout.readline().split()] for writer in writers]
            assert [len(each) for each in added] == [2, 2], "a writer died; its error is on stderr"
            assert [sum(column) for column in zip(*added, strict=True)] == [ROWS, ACTIONS]
            assert_whole(home / f"store{turn}")
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def kill_after(seconds, step, store):
    writer = start_writer(step)
    assert writer.stdout.readline() == "ready\n"
    tell(writer, store)
    time.sleep(seconds)
    writer.kill()
    writer.communicate()


def test_a_killed_writer_leaves_whole_commits_and_a_later_load_completes_them(home):
    step, seen = 400, 0
    for turn in range(8):
        kill_after(0.05 + 0.07 * turn, step, "store")
        market = bench_at(home).market
        bars = market.store.tables("us_equities").bars.read()
        assert len(bars) % step == 0 or len(bars) == ROWS
        assert len(bars) >= seen
        seen = len(bars)
    assert seen
    market.load("us_equities")
    assert_whole(home / "store")


def test_a_writer_killed_while_it_makes_its_tables_can_be_followed_by_another(home):
    for turn in range(4):
        kill_after(0.004 + 0.012 * turn, 10_000, "store")
        bench_at(home).market.load("us_equities")
        assert_whole(home / "store")
        shutil.rmtree(home / "store")


@pytest.mark.parametrize("left", ["bars", "bars/_delta_log", "actions/_delta_log"])
def test_a_folder_that_was_made_and_not_yet_filled_is_no_damage(home, left):
    (home / "store" / "us_equities" / left).mkdir(parents=True)
    bench_at(home).bars("AAPL")
    assert_whole(home / "store")


def test_data_of_a_write_that_was_never_committed_are_not_read(home):
    bench = bench_at(home)
    before = bench.bars("AAPL")
    folder = home / "store" / "us_equities" / "bars"
    whole = next(folder.glob("*.parquet"))
    shutil.copy(whole, folder / "part-00000-left-behind.snappy.parquet")
    os.truncate(folder / "part-00000-left-behind.snappy.parquet", 1000)
    assert bench_at(home).bars("AAPL").equals(before)


def truncate_data(folder):
    path = next(folder.glob("*.parquet"))
    os.truncate(path, path.stat().st_size // 2)


def remove_data(folder):
    next(folder.glob("*.parquet")).unlink()


def overwrite_data(folder):
    path = next(folder.glob("*.parquet"))
    path.write_bytes(b"\0" * path.stat().st_size)


def truncate_commit(folder):
    path = folder / "_delta_log" / f"{1:020}.json"
    os.truncate(path, path.stat().st_size // 2)


def empty_commit(folder):
    os.truncate(folder / "_delta_log" / f"{1:020}.json", 0)


def garbage_commit(folder):
    (folder / "_delta_log" / f"{1:020}.json").write_text("garbage\n")


def remove_first_commit(folder):
    (folder / "_delta_log" / f"{0:020}.json").unlink()


def unknown_protocol(folder):
    path = folder / "_delta_log" / f"{0:020}.json"
    protocol = json.dumps({"protocol": {"minReaderVersion": 99, "minWriterVersion": 99}})
    lines = [protocol if "protocol" in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines))


DAMAGES = [
    truncate_data,
    remove_data,
    overwrite_data,
    truncate_commit,
    empty_commit,
    garbage_commit,
    remove_first_commit,
    unknown_protocol,
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    home = tmp_path_factory.mktemp("loaded")
    return bench_at(home).bars("AAPL"), home


@pytest.mark.parametrize("table", ["bars", "actions"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_table_is_named_and_never_read_as_sound(home, loaded, damage, table):
    shutil.copytree(loaded[1], home)
    folder = home / "store" / "us_equities" / table
    damage(folder)
    with pytest.raises(StoreError, match=f"table {folder} ") as caught:
        bench_at(home).bars("AAPL")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match=str(folder)):
        bench_at(home).market.load("us_equities")


@pytest.mark.parametrize("table", ["bars", "actions"])
def test_the_remedy_for_a_damaged_table_is_true(home, loaded, table):
    before, source = loaded
    shutil.copytree(source, home)
    folder = home / "store" / "us_equities" / table
    truncate_data(folder)
    with pytest.raises(StoreError, match="delete that folder to load it anew"):
        bench_at(home).bars("AAPL")
    shutil.rmtree(folder)
    assert bench_at(home).bars("AAPL").equals(before)


@pytest.mark.parametrize("place", ["", "store", "store/us_equities", "store/us_equities/bars"])
def test_a_file_in_the_place_of_a_folder_is_told(home, place):
    blocked = home / place
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("in the way")
    with pytest.raises(StoreError, match=str(home)):
        bench_at(home).bars("AAPL")
    assert blocked.read_text() == "in the way"
