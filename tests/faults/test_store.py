"""The store beside other writers, killed in the middle, on a full disk, damaged, and without a place to write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from deltalake import DeltaTable
from store_killer import PIECES, ROWS, kill_writers, look, servers, write_piece

from workbench.bench import Workbench
from workbench.core.errors import StoreError
from workbench.core.settings import load_settings
from workbench.data.store import BarStore
from workbench.data.tables.delta import DeltaTables

SAMPLE_ROWS = 3 * 3270 + 2148 + 196
SAMPLE_ACTIONS = 95
EVERY_PIECE = set(range(PIECES))


def bench_at(home):
    return Workbench(load_settings(home=home))


def stored(folder):
    """Rows of a table as they lie there, none taken for another's latest."""
    return DeltaTable(str(folder)).to_pyarrow_table().to_pandas()


def assert_whole(folder):
    bars, actions = stored(folder / "us_equities" / "bars"), stored(folder / "us_equities" / "actions")
    assert (len(bars), len(actions)) == (SAMPLE_ROWS, SAMPLE_ACTIONS)
    assert not bars.duplicated(["symbol", "time"]).any()
    assert not actions.duplicated(["symbol", "time", "kind"]).any()


# ---------------------------------------------------------------- several writers


def test_two_processes_that_write_at_once_store_every_row_once(tmp_path):
    with servers(2) as both:
        for turn in range(2):
            folder = tmp_path / f"store{turn}"
            for server in both:
                server.start(folder)
            told = [server.reap() for server in both]
            assert [set(each) for each in told] == [EVERY_PIECE, EVERY_PIECE], "a writer died; its error is on stderr"
            added = [sum(one[number][place] for one in told for number in EVERY_PIECE) for place in range(3)]
            assert added == [rows * PIECES for rows in ROWS.values()]
            assert look(folder, EVERY_PIECE) == (0, 0, PIECES)


# ---------------------------------------------------------------- kill -9


def test_killed_writers_leave_whole_writes_and_lose_none_that_was_done(tmp_path):
    found = kill_writers(tmp_path, kills=15, seed=time.time_ns())
    assert (found["kills"], found["torn"], found["lost"]) == (15, 0, 0), found
    assert found["midway"] >= 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_killed_writers_leave_whole_writes_and_lose_none_that_was_done(tmp_path, capsys):
    found = kill_writers(tmp_path, kills=100, seed=time.time_ns())
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert (found["kills"], found["torn"], found["lost"]) == (100, 0, 0)
    assert found["midway"] >= 30


def test_a_writer_killed_while_it_makes_its_tables_can_be_followed_by_another(tmp_path):
    with servers(1) as (server,):
        for turn in range(6):
            folder = tmp_path / f"store{turn}"
            writer = server.start(folder)
            time.sleep(0.01 + 0.02 * turn)
            os.kill(writer, signal.SIGKILL)
            done = set(server.reap())
            assert look(folder, done)[:2] == (0, 0)
            write_piece(BarStore(DeltaTables(folder)), PIECES)
            assert look(folder, {*done, PIECES})[:2] == (0, 0)


# ---------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def leave(place, free):
    """Fill a disk but for some bytes."""
    with (place / "filler").open("wb") as filler:
        space = os.statvfs(place)
        left = space.f_bavail * space.f_frsize - free
        filler.write(b"\0" * left)


def test_on_a_full_disk_what_is_stored_stays_readable_and_writing_goes_on_once_there_is_room(small_disk):
    folder = small_disk / "store"
    store = BarStore(DeltaTables(folder))
    for number in range(3):
        write_piece(store, number)
    refused, done = [], {0, 1, 2}
    # With more room each time the write fails at a later step: data, commit, the next table.
    for number, pages in enumerate((0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16), start=3):
        before = store.tables("own").bars.version()
        leave(small_disk, pages * 4096)
        try:
            write_piece(store, number)
            done.add(number)
        except StoreError as error:
            refused.append(str(error))
            assert store.tables("own").bars.version() == before
        torn, lost, _ = look(folder, done)
        assert (torn, lost) == (0, 0)
        (small_disk / "filler").unlink()
    assert len(refused) >= 4
    assert all(error.startswith(f"cannot write table {folder}/own/") for error in refused)
    assert all(error.endswith("; check the disk and its rights") and "\n" not in error for error in refused)
    for number in range(PIECES):
        write_piece(store, number)
    assert look(folder, EVERY_PIECE) == (0, 0, PIECES)


LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from store_killer import PIECES, look, write_piece
    from workbench.core.errors import StoreError
    from workbench.data.store import BarStore
    from workbench.data.tables.delta import DeltaTables

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    store = BarStore(DeltaTables(folder))
    write_piece(store, 0)
    for number, size in enumerate((0, 200, 1000, 1500, 2000, 3000), start=1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            write_piece(store, number)
        except StoreError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert look(folder, {0})[:2] == (0, 0)
    for number in range(PIECES):
        write_piece(store, number)
    print(look(folder, set(range(PIECES))))
"""


def test_a_file_that_cannot_grow_is_told_and_nothing_is_torn(tmp_path):
    """A limit on the size of files, for machines on which nothing can be mounted."""
    folder = tmp_path / "store"
    path = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), folder]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *errors, last = done.stdout.splitlines()
    assert last == str((0, 0, PIECES))
    assert len(errors) >= 3
    assert all(error.startswith(f"cannot write table {folder}/own/") for error in errors)


# ---------------------------------------------------------------- what others left


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
