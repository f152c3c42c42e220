"""Panels on disk: whole or not there, equal to the Bars they were made of, read lazily."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import count

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.core.errors import DateRangeError, StoreError, UnknownNameError
from workbench.core.frames import validate_bars
from workbench.data.panel import open_panel, write_panel
from workbench.data.panel_blocks import panel

ATTRS = {
    "dataset": "own",
    "version": "own@3.1",
    "interval": "1d",
    "currency": "USD",
    "calendar": "XNYS",
    "adjustment": "all",
    "source": "a test",
    "as_of": "2026-01-05T12:00:00+00:00",
    "fields": ("open", "high", "low", "close", "volume"),
}


def make_bars(symbols, days=40, first="2012-03-05T21:00:00.000000001", seed=0, **attrs):
    """Bars with a hole for each symbol, at times with nanoseconds."""
    values = np.random.default_rng(seed).uniform(10, 20, (days, len(symbols)))
    values[[index % days for index in range(len(symbols))], range(len(symbols))] = np.nan
    fields = dict.fromkeys(ATTRS["fields"], (("time", "symbol"), values))
    times = pd.date_range(first, periods=days).to_numpy(dtype="datetime64[ns]")
    coords = {"time": times, "symbol": np.array(symbols, dtype=object)}
    return validate_bars(xr.Dataset(fields, coords=coords, attrs={**ATTRS, **attrs}))


@pytest.fixture
def bars():
    return make_bars(["AAPL", "BRK-B", "^GSPC", "Ä"])


class Store:
    """A reader of Bars in memory, whose dataset changes when it is told to."""

    def __init__(self, *groups):
        self.groups = groups
        self.asked = []
        self.versions = (3 for _ in count())

    def symbols(self, dataset):
        return [str(symbol) for group in self.groups for symbol in group["symbol"].to_numpy()]

    def bars(self, symbols, start, end, *, dataset, adjust, as_of=None):
        names = list(symbols) if symbols is not None else self.symbols(dataset)
        self.asked.append(names)
        known = [group.sel(symbol=[name]) for name in names for group in self.groups if name in group["symbol"]]
        if len(known) < len(names):
            raise UnknownNameError("symbol", names[0], self.symbols(dataset))
        cut = [part.sel(time=slice(start, end)) for part in known]
        if any(not part.sizes["time"] for part in cut):
            raise DateRangeError("no bars")
        whole = xr.concat(cut, "symbol", join="outer", combine_attrs="override")
        moment = str(as_of) if as_of else max(part.attrs["as_of"] for part in cut)
        return whole.assign_attrs(version=f"own@{next(self.versions)}", as_of=moment)


@pytest.fixture
def store():
    return Store(
        make_bars([f"A{number}" for number in range(5)]),
        make_bars(["B0", "B1"], days=60, first="2012-02-01T21:00", seed=1, as_of="2026-01-05T12:00:00.000001+00:00"),
        make_bars(["C0"], days=10, first="1999-02-01T21:00", seed=2),
    )


def ask(store, folder, symbols=None, start=None, end=None, as_of=None, **options):
    given = {"dataset": "own", "adjust": "all", "as_of": as_of}
    return panel(store, symbols, start, end, **given, folder=folder, chunks={"symbol": 2, "time": 16}, **options)


def test_a_panel_is_its_bars_again(bars, tmp_path):
    again = open_panel(write_panel(bars, tmp_path))
    assert isinstance(again["close"].data, dask.array.Array)
    assert again.identical(bars)
    assert again.compute().identical(bars)
    assert again["symbol"].dtype == object
    assert validate_bars(again.compute()).attrs["fields"] == ATTRS["fields"]


def test_the_bars_of_the_store_are_kept(bench, tmp_path):
    stored = bench.bars(["AAPL", "FB", "IBM"], start="2005")
    assert open_panel(write_panel(stored, tmp_path)).identical(stored)


def test_chunks_are_as_asked(bars, tmp_path):
    path = write_panel(bars, tmp_path, {"time": 16, "symbol": 3})
    assert open_panel(path)["close"].chunks == ((16, 16, 8), (3, 1))
    assert open_panel(path, {"time": 32, "symbol": -1})["close"].chunks == ((32, 8), (4,))


def test_nothing_is_pickled(bars, tmp_path):
    path = write_panel(bars, tmp_path)
    assert not [file for file in path.rglob("*") if file.is_file() and b"pickle" in file.read_bytes()]


def test_the_name_says_what_determines_the_content(bars, tmp_path):
    path = write_panel(bars, tmp_path)
    assert path.name.startswith("own@3.1-all-2026-01-05T1200000000-")
    assert write_panel(bars, tmp_path, {"time": 5}) == path
    others = [
        bars.assign_attrs(version="own@4.1"),
        bars.assign_attrs(adjustment="none"),
        bars.assign_attrs(as_of="2026-01-06T12:00:00+00:00"),
        bars.isel(symbol=[0, 1]),
        bars.isel(symbol=[1, 0, 2, 3]),
        bars.isel(time=slice(1, None)),
    ]
    paths = {write_panel(other, tmp_path) for other in others}
    assert len(paths | {path}) == 7
    assert all(open_panel(write_panel(other, tmp_path)).identical(other) for other in others)


def test_a_name_cannot_lead_out_of_its_folder(bars, tmp_path):
    path = write_panel(bars.assign_attrs(version="../../evil/@1\x00"), tmp_path)
    assert path.parent == tmp_path


def test_no_panel_and_a_damaged_one_are_told(bars, tmp_path):
    with pytest.raises(StoreError, match=r"nowhere\.zarr cannot be read"):
        open_panel(tmp_path / "nowhere.zarr")
    path = write_panel(bars, tmp_path)
    (path / ".zmetadata").write_text("{")
    with pytest.raises(StoreError, match="remove it and write it again"):
        open_panel(path)


def test_a_folder_that_cannot_be_written_is_told(bars, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write panel"):
        write_panel(bars, tmp_path / "file")


def test_a_failed_write_leaves_nothing(bars, tmp_path, monkeypatch):
    monkeypatch.setattr(xr.Dataset, "to_zarr", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(StoreError, match="No space left"):
        write_panel(bars, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_killed_writers_left_is_removed_after_a_day(bars, tmp_path):
    old, young = tmp_path / ".a.zarr.0.part", tmp_path / ".b.zarr.0.part"
    for folder in (old, young):
        folder.mkdir()
        (folder / "0.0").touch()
    for path in (old, old / "0.0", young):
        os.utime(path, (0, 0))
    write_panel(bars, tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


WRITER = """
import sys
from pathlib import Path
import xarray as xr
from workbench.data.panel import open_panel, write_panel
bars = open_panel(Path(sys.argv[1])).compute()
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(sys.argv[3])):
    write_panel(bars.assign_attrs(version=f"own@{turn}"), Path(sys.argv[2]))
print("done", flush=True)
"""


@pytest.fixture
def start_writer(bars, tmp_path):
    """Start a process that writes panels of the same bars, one version after another."""
    source = write_panel(bars, tmp_path / "source")
    started = []

    def start(turns):
        command = [sys.executable, "-c", WRITER, str(source), str(tmp_path / "panels"), str(turns)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def released(*processes):
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def test_two_writers_leave_one_panel_each(bars, start_writer, tmp_path):
    writers = [start_writer(5), start_writer(5)]
    released(*writers)
    assert [writer.stdout.readline() for writer in writers] == ["done\n"] * 2
    panels = sorted((tmp_path / "panels").iterdir())
    assert len(panels) == 5
    for turn, path in enumerate(panels):
        assert open_panel(path).identical(bars.assign_attrs(version=f"own@{turn}"))


def test_a_kill_leaves_no_torn_panel(bars, start_writer, tmp_path):
    writers = [start_writer(100_000) for _ in range(3)]
    released(*writers)
    while not (panels := list((tmp_path / "panels").glob("own@*.zarr"))):
        time.sleep(0.01)
    for wait, writer in zip((0.03, 0.06, 0.09), writers, strict=True):
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    panels = list((tmp_path / "panels").glob("own@*.zarr"))
    for path in panels:
        again = open_panel(path).compute()
        assert again.identical(bars.assign_attrs(version=again.attrs["version"]))


def test_a_panel_by_blocks_equals_the_bars(store, tmp_path):
    lazy = ask(store, tmp_path)
    assert isinstance(lazy["close"].data, dask.array.Array)
    assert lazy["close"].chunks[1] == (2, 2, 2, 2)
    assert max(len(asked) for asked in store.asked) == 2
    assert lazy.identical(store.bars(None, None, None, dataset="own", adjust="all"))
    assert lazy.attrs["as_of"] == "2026-01-05T12:00:00.000001+00:00"


def test_a_panel_by_blocks_equals_the_bars_of_the_store(bench, tmp_path):
    terms = {"dataset": "us_equities", "adjust": "all", "as_of": None}
    for symbols, start in ((None, "2012"), (["MSFT", "AAPL", "FB"], None), ("IBM", "2010")):
        lazy = panel(bench.market, symbols, start, "2013-02", **terms, folder=tmp_path, chunks={"symbol": 2})
        assert lazy.identical(bench.market.bars(symbols, start, "2013-02", **terms))


def test_symbols_without_bars_are_left_out_where_none_was_named(store, tmp_path):
    lazy = ask(store, tmp_path, start="2012-03-10")
    assert "C0" not in lazy["symbol"]
    assert lazy.sizes["symbol"] == 7
    assert lazy.identical(
        store.bars(store.symbols("own")[:7], "2012-03-10", None, dataset="own", adjust="all").assign_attrs(lazy.attrs)
    )
    with pytest.raises(DateRangeError, match="no bars"):
        ask(store, tmp_path, ["A0", "C0"], start="2012-03-10")
    with pytest.raises(DateRangeError, match="no symbol of dataset 'own' has bars in this range"):
        ask(store, tmp_path, start="2030")


def test_symbols_stay_in_the_order_that_was_asked(store, tmp_path):
    assert ask(store, tmp_path, ["B1", "A3", "B1", "A0"])["symbol"].to_numpy().tolist() == ["B1", "A3", "A0"]
    assert ask(store, tmp_path, "B0")["symbol"].to_numpy().tolist() == ["B0"]


def test_a_panel_that_is_there_is_not_made_again(store, tmp_path):
    ask(store, tmp_path)
    store.asked.clear()
    ask(store, tmp_path)
    assert len(store.asked) == 1
    store.versions = (4 for _ in count())
    assert ask(store, tmp_path).attrs["version"] == "own@4"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_dataset_that_changes_meanwhile_is_read_as_of_now(store, tmp_path):
    store.versions = count()
    moment = datetime(2026, 1, 6, tzinfo=UTC)
    lazy = ask(store, tmp_path, clock=lambda: moment)
    assert pd.Timestamp(lazy.attrs["as_of"]) == moment
    assert lazy["close"].compute().equals(store.bars(None, None, None, dataset="own", adjust="all")["close"])
    assert len(list(tmp_path.iterdir())) == 1


def test_symbols_that_come_and_go_are_told(store, tmp_path):
    store.versions = count()
    groups = store.groups

    class Flickering:
        def __iter__(self):
            return iter(groups if len(store.asked) % 3 else groups[:1])

    store.groups = Flickering()
    with pytest.raises((StoreError, UnknownNameError)):
        ask(store, tmp_path, ["A0", "B0", "C0"])
    assert not list(tmp_path.iterdir())
