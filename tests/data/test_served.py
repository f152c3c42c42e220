"""``workbench://`` over the real store and a stranger's provider that comes through the plugin door."""

import sys
from datetime import date
from textwrap import dedent

import fsspec
import intake
import pandas as pd
import pytest

from workbench.core.errors import DateRangeError, InputError, UnknownNameError, UnsupportedError, WorkbenchError
from workbench.data.addresses import read_address, write_address
from workbench.data.served import WorkbenchFileSystem

STRANGER = """
from datetime import UTC, datetime

import pandas as pd

from workbench.core.errors import UnknownNameError
from workbench.data.providers.base import History, Provider, Quote

ASKED = []


class Stranger(Provider):
    name = "stranger"
    description = "A provider of somebody else"
    licence = "none"
    intervals = ("1d", "1h")

    def history(self, symbol, start, end, interval="1d"):
        ASKED.append((symbol, start, end, interval))
        if symbol == "NONE":
            raise UnknownNameError("symbol", symbol, ["ONE"], where="stranger")
        days = pd.date_range(start, periods=2)
        return History(pd.DataFrame({"time": days, "close": [1.0, float(len(ASKED))]}))

    def quotes(self, symbols):
        return [Quote(symbol, datetime(2026, 1, 5, tzinfo=UTC), 1.5, self.name) for symbol in symbols]

    def search(self, text):
        return pd.DataFrame({"symbol": ["T"], "name": [text]})

    def series(self, name, start=None, end=None):
        return pd.DataFrame({"time": [pd.Timestamp("2020-01-01")], "value": [1.0], "asked": [f"{name} {start} {end}"]})

    def news(self, text, start=None, end=None):
        return pd.DataFrame({"title": [f"{text} {start} {end}"]})

    def actions(self, symbol, start, end):
        return pd.DataFrame({"time": [pd.Timestamp(start), pd.Timestamp(end)], "kind": "split", "value": 2.0})
"""


@pytest.fixture
def stranger(tmp_path, home, monkeypatch):
    """An installed package that offers the provider ``stranger``; what it was asked."""
    folder = tmp_path / "packages"
    (folder / "stranger-1.dist-info").mkdir(parents=True)
    (folder / "stranger-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (folder / "stranger-1.dist-info" / "entry_points.txt").write_text(
        "[workbench.providers]\nstranger = stranger_source:Stranger\n"
    )
    (folder / "stranger_source.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(folder)
    import stranger_source

    yield stranger_source.ASKED
    sys.modules.pop("stranger_source", None)


@pytest.fixture
def stored(bench, monkeypatch):
    """The shared home, with the sample in its store."""
    monkeypatch.setenv("WORKBENCH_HOME", str(bench.settings.home))
    bench.bars(["AAPL"])
    return bench


def test_stored_bars_are_read_by_their_address(stored):
    read = pd.read_parquet("workbench://bars/us_equities/AAPL.parquet?start=2012&end=2012&adjust=splits")
    bars = stored.bars(["AAPL"], start="2012", end="2012", adjust="splits")
    assert list(read.columns) == ["time", "open", "high", "low", "close", "volume"]
    assert str(read["time"].dt.tz) == "UTC"
    assert read["time"].dt.tz_localize(None).tolist() == bars.indexes["time"].tolist()
    assert read["close"].tolist() == bars["close"].to_numpy()[:, 0].tolist()
    assert read.attrs == {**bars.attrs, "fields": list(bars.attrs["fields"])}


def test_bars_are_adjusted_for_all_where_nothing_else_is_asked(stored):
    read = pd.read_parquet("workbench://bars/us_equities/AAPL.parquet?start=2012&adjust=")
    assert read.attrs["adjustment"] == "all"


def test_bars_are_those_that_were_known(stored):
    # The clock of the shared bench stands at 2026-01-05 12:00 UTC: nothing was learned before.
    with pytest.raises(DateRangeError, match="nothing was known of AAPL as of 2025-12-31"):
        pd.read_parquet("workbench://bars/us_equities/AAPL.parquet?as_of=2025")
    assert len(pd.read_parquet("workbench://bars/us_equities/AAPL.parquet?as_of=2026-01-06")) == 3270


def test_each_question_reaches_its_provider(stranger):
    def read(address):
        return pd.read_parquet(f"workbench://{address}")

    assert read("history/stranger/BRK-B.parquet?start=2020&end=2020-02&interval=1h")["close"].tolist() == [1.0, 1.0]
    assert stranger == [("BRK-B", date(2020, 1, 1), date(2020, 2, 29), "1h")]
    assert read("quotes/stranger/A,%5EGSPC.parquet")["symbol"].tolist() == ["A", "^GSPC"]
    assert read("search/stranger/AT%26T%20100%25.parquet")["name"].item() == "AT&T 100%"
    assert read("series/stranger/USA/NY.GDP:x.parquet?start=2020")["asked"].item() == "USA/NY.GDP:x 2020-01-01 None"
    assert read("news/stranger/rates.parquet?end=2020-05")["title"].item() == "rates None 2020-05-31"
    assert read("actions/stranger/A.parquet?start=2020&end=2021")["time"].dt.year.tolist() == [2020, 2021]


@pytest.mark.parametrize(("interval", "days"), [("1d", 365), ("1h", 30), ("1m", 5)])
def test_a_history_without_a_start_goes_back_from_its_end(stranger, interval, days):
    pd.read_parquet(f"workbench://history/stranger/A.parquet?end=2020-03-01&interval={interval}")
    (_, start, end, _) = stranger[0]
    assert (end, (end - start).days) == (date(2020, 3, 1), days)


def test_one_reading_asks_once_and_the_next_asks_again(stranger):
    address = "workbench://history/stranger/A.parquet?start=2020"
    assert [pd.read_parquet(address)["close"].iloc[1] for _ in range(3)] == [1.0, 2.0, 3.0]
    assert len(stranger) == 3


def test_a_file_system_that_is_kept_gives_no_stale_answer(stranger, monkeypatch):
    monkeypatch.setattr(WorkbenchFileSystem, "keep", 0.0)
    kept = fsspec.filesystem("workbench")
    assert kept is not fsspec.filesystem("workbench")
    first, second = (kept.cat_file("history/stranger/A.parquet?start=2020") for _ in range(2))
    assert (first[:4], first != second) == (b"PAR1", True)


def test_the_size_is_that_of_the_answer(stranger):
    files = fsspec.filesystem("workbench")
    address = "workbench://search/stranger/a.parquet"
    assert files.info(address)["size"] == len(files.cat_file(address))
    assert files.exists(address)
    assert not files.exists("workbench://history/stranger/NONE.parquet")


FEED = """
version: 2
aliases: {mine: mine}
metadata: {}
user_parameters: {}
data: {}
entries:
  mine:
    reader: workbench.data.readers:ServedParquet
    output_instance: pandas:DataFrame
    kwargs:
      url: "workbench://history/stranger"
      parameters: {symbol: "{symbol}", start: "{start}", interval: 1h}
    user_parameters:
      symbol: {cls: "workbench.data.readers:Parameter", form: symbol, default: A, description: "One symbol"}
      start: {cls: "workbench.data.readers:Parameter", form: start, default: "", description: "First day"}
    metadata:
      kind: feed
      description: Bars of a stranger
      source: a test
      licence: none
      asset_class: any
      interval: 1h
      currency: USD
      calendar: XNYS
      provider: stranger
      fields: [time, close]
"""


@pytest.mark.parametrize(
    "read",
    [
        lambda catalog: catalog["mine"].read(symbol="B", start=date(2020, 1, 2)),
        lambda catalog: catalog(symbol="B", start="2020-01-02")["mine"].read(),
        lambda catalog: catalog["mine"](symbol="B", start=pd.Timestamp("2020-01-02")).read(),
    ],
)
def test_intake_alone_reads_an_entry_with_parameters(stranger, tmp_path, read):
    path = tmp_path / "mine.yaml"
    path.write_text(dedent(FEED))
    assert read(intake.open_catalog(str(path)))["time"].iloc[0] == pd.Timestamp("2020-01-02")
    assert stranger[0][0] == "B"
    assert stranger[0][3] == "1h"


def test_the_bench_reads_the_entry_of_a_users_catalog(stranger, home):
    from workbench.bench import Workbench
    from workbench.core.settings import load_settings

    (home / "catalogs").mkdir(parents=True)
    (home / "catalogs" / "mine.yml").write_text(FEED)
    catalog = Workbench(load_settings()).catalog
    assert "mine" in catalog.search(interval="1h", kind="feed")
    assert len(catalog["mine"].read(start="2020")) == 2
    with pytest.raises(UnknownNameError, match="unknown option 'colour'"):
        catalog["mine"].read(colour="red")
    with pytest.raises(InputError, match="unknown kind of address 'file:'"):
        catalog["mine"].read(url="file:///etc/passwd")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "unknown kind of address ''"),
        ("orders/yahoo/A.parquet", "unknown kind of address 'orders'"),
        ("bars", "'' is no name of a dataset or provider"),
        ("bars/../A.parquet", "'..' is no name of a dataset or provider"),
        ("bars/%2e%2e/A.parquet", "'%2e%2e' is no name of a dataset or provider"),
        ("bars/us_equities", "names no table; end it with a symbol and .parquet"),
        ("bars/us_equities/AAPL.csv", "names no table"),
        ("bars/us_equities/.parquet", "'' is no symbol"),
        ("bars/us_equities/../../etc/passwd.parquet", "'../../etc/passwd' is no symbol"),
        ("bars/us_equities/%2e%2e%2fetc.parquet", "'../etc' is no symbol"),
        ("bars/us_equities/A%00.parquet", r"'A\\x00' is no symbol"),
        ("bars/us_equities/%ff.parquet", "is no address"),
        ("bars/us_equities/*.parquet", "'[*]' is no symbol"),
        ("bars/us_equities/A.parquet?colour=red", "unknown option 'colour' in an address of bars"),
        ("bars/us_equities/A.parquet?adjust=dividends", "unknown adjustment 'dividends'"),
        ("bars/us_equities/A.parquet?start=yesterday", "'yesterday' is no date"),
        ("bars/us_equities/A.parquet?start=now", "'now' is no date"),
        ("bars/us_equities/A.parquet?as_of={env(HOME)}", "is no date"),
        ("bars/us_equities/A.parquet?start=2020&start=2021", "given twice"),
        ("bars/us_equities/A.parquet?start", "is no address"),
        ("bars/us_equities/A.parquet?" + "&".join(["start=1"] * 9), "is no address"),
        ("history/yahoo/A.parquet?interval=5m", "unknown interval '5m'"),
        ("history/yahoo/A.parquet?as_of=2020", "unknown option 'as_of' in an address of history"),
        ("quotes/yahoo/A,,B.parquet", "'' is no symbol"),
        ("series/fred/../keys.parquet", "is no name of a series"),
        ("series/fred/a//b.parquet", "is no name of a series"),
        ("news/gdelt/%7Benv(HOME)%7D.parquet", "cannot be looked for"),
        ("news/gdelt/func(posix:system).parquet", "cannot be looked for"),
        ("news/gdelt/x%20env(HOME).parquet", "cannot be looked for"),
        ("news/gdelt/%20.parquet", "cannot be looked for"),
        ("search/yahoo/" + "x" * 201 + ".parquet", "cannot be looked for"),
    ],
)  # fmt: skip
def test_an_address_that_can_be_none_is_refused_before_anything_is_opened(address, told, home):
    with pytest.raises(InputError, match=told):
        read_address(address)
    with pytest.raises(InputError):
        fsspec.filesystem("workbench").open(f"workbench://{address}")
    assert not home.exists()


@pytest.mark.parametrize(
    ("base", "parameters", "written"),
    [
        ("workbench://bars/a", {"symbol": "^X", "start": date(2020, 1, 2)}, "%5EX.parquet?start=2020-01-02"),
        ("workbench://bars/a", {"symbol": "BRK-B", "adjust": ""}, "BRK-B.parquet"),
        ("workbench://quotes/a", {"symbols": ["A", "B"]}, "A%2CB.parquet"),
        ("workbench://search/a", {"text": "(AT&T OR X) / 100% ?"}, "%28AT%26T%20OR%20X%29%20/%20100%25%20%3F.parquet"),
        ("workbench://series/a", {"name": "USA/X.Y"}, "USA/X.Y.parquet"),
    ],
)  # fmt: skip
def test_what_is_written_is_read_again(base, parameters, written):
    address = write_address(base, parameters)
    assert address == f"{base}/{written}"
    read = read_address(address)
    assert f"workbench://{read.kind}/{read.source}" == base
    given = {name: value for name, value in parameters.items() if value}
    assert write_address(base, {next(iter(given)): read.subject, **read.options}) == address


def test_an_address_without_a_subject_is_told():
    with pytest.raises(InputError, match="workbench://bars/yahoo_1d needs a symbol; give one with read"):
        write_address("workbench://bars/yahoo_1d", {"start": "2020"})


def test_errors_of_the_room_reach_a_reader_as_they_are(stranger):
    with pytest.raises(UnknownNameError, match="unknown symbol 'NONE' in stranger; nearest known: ONE"):
        pd.read_parquet("workbench://history/stranger/NONE.parquet")
    with pytest.raises(UnsupportedError, match="provider 'stranger' has no statements; it offers history, actions"):
        pd.read_parquet("workbench://statements/stranger/A.parquet")
    with pytest.raises(UnknownNameError, match=r"unknown provider 'strange'.*stranger"):
        pd.read_parquet("workbench://history/strange/A.parquet")
    with pytest.raises(DateRangeError, match="reversed"):
        pd.read_parquet("workbench://history/stranger/A.parquet?start=2021&end=2020")
    with pytest.raises(UnknownNameError, match=r"unknown bars dataset 'us_equity'.*us_equities"):
        pd.read_parquet("workbench://bars/us_equity/A.parquet")


@pytest.mark.parametrize(
    "write",
    [
        lambda files, path: files.open(path, "wb"),
        lambda files, path: files.open(path, "ab"),
        lambda files, path: files.open(path, "r+b"),
        lambda files, path: files.open(path, "w"),
        lambda files, path: files.pipe_file(path, b"x"),
        lambda files, path: files.pipe(path, b"x"),
        lambda files, path: files.touch(path),
        lambda files, path: files.mkdir(path),
        lambda files, path: files.makedirs(path),
        lambda files, path: files.rmdir(path),
        lambda files, path: files.rm(path),
        lambda files, path: files.rm_file(path),
        lambda files, path: files.cp_file(path, path),
        lambda files, path: files.put_file(__file__, path),
        lambda files, path: files.mv(path, "workbench://bars/a/B.parquet"),
        lambda files, path: pd.DataFrame({"a": [1]}).to_parquet(path),
    ],
)
def test_everything_that_would_write_is_refused(write, home):
    with pytest.raises(PermissionError, match="workbench:// is read-only"):
        write(fsspec.filesystem("workbench"), "workbench://bars/a/A.parquet")


@pytest.mark.parametrize(
    "read",
    [
        lambda: pd.read_parquet("workbench://bars/a/A.parquet", storage_options={"clock": "x"}),
        lambda: fsspec.open("workbench://bars/a/A.parquet::file:///etc/passwd").open(),
        lambda: fsspec.filesystem("workbench").ls("workbench://bars"),
    ],
)
def test_there_is_no_other_way_in(read, home):
    with pytest.raises(WorkbenchError):
        read()
