"""The limit of the process at the catalog's doors: each entry, each way to read it, and setting the limit itself."""

from datetime import UTC, datetime

import fsspec
import intake
import numpy as np
import pandas as pd
import pytest

from workbench.bench import Workbench
from workbench.core.errors import CatalogError, DateRangeError, UnknownNameError, UnsupportedError
from workbench.core.files import shipped
from workbench.core.known import VARIABLE, limit
from workbench.core.settings import load_settings
from workbench.data import market, sources
from workbench.data.providers.base import History, Provider, Quote

EARLY = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATE = datetime(2026, 3, 2, 12, tzinfo=UTC)
LIMIT = "2026-01-31"
REFUSED = r"does not say what was known by the limit 2026-01-31 23:59 UTC; .* lift the limit"

FILES = (
    "us_equities", "aapl_recent", "sp500_stocks", "sp500_index", "factor_etfs", "sp500_ohlc", "nasdaq_ohlc", "vix",
    "wti", "us_macro",
)  # fmt: skip
"""Entries that read a file: it does not say when its rows were known, and is refused."""

STORED = tuple(f"{provider}_{interval}" for provider in ("yahoo", "alpha_vantage", "twelve_data", "files")
               for interval in ("1d", "1h", "1m"))  # fmt: skip
"""Entries that read the store: what was known by the limit is served."""

PUBLISHED = ("fred_series",)
"""Entries whose source says when each value was published: those by the limit are served."""

NOW_ONLY = (
    "yahoo_history", "yahoo_actions", "yahoo_quotes", "yahoo_search", "yahoo_statements", "yahoo_news",
    "alpha_vantage_history", "alpha_vantage_actions", "alpha_vantage_quotes", "alpha_vantage_search",
    "alpha_vantage_statements", "alpha_vantage_news", "alpha_vantage_series",
    "twelve_data_history", "twelve_data_actions", "twelve_data_quotes", "twelve_data_search", "twelve_data_statements",
    "files_history", "files_actions", "files_search", "fred_search", "world_bank_series", "gdelt_news",
)  # fmt: skip
"""Entries that answer with what their source says now, restated or not: refused."""


class Source(Provider):
    """Answers everything; only FRED says when its values were published."""

    name = "fake"
    description = "For a test"
    licence = "none"

    def __init__(self, access, called):
        super().__init__(access)
        self.called = called

    def history(self, symbol, start, end, interval="1d"):
        return History(pd.DataFrame({"time": [pd.Timestamp("2026-02-03")], "close": [2.0]}))

    def actions(self, symbol, start, end):
        return pd.DataFrame({"time": [pd.Timestamp("2026-02-03")], "kind": "split", "value": 2.0})

    def quotes(self, symbols):
        return [Quote(symbols[0], LATE, 1.5, self.name)]

    def search(self, text):
        return pd.DataFrame({"symbol": ["T"]})

    def statements(self, symbol):
        return pd.DataFrame({"item": ["sales"], "value": [1.0], "filed": [pd.Timestamp("2026-01-02", tz="UTC")]})

    def news(self, text, start=None, end=None):
        return pd.DataFrame({"time": [LATE], "title": [text]})

    def series(self, name, start=None, end=None):
        days = pd.to_datetime(["2025-12-31 06:00Z", "2026-02-20 06:00Z", None])
        if self.called != "fred":
            days = days.where([False] * 3)
        return pd.DataFrame({"time": pd.Timestamp("2025-10-01"), "value": [1.0, 1.2, 0.9], "published": days})


def row(time, close, symbol="AAPL"):
    stamp = pd.Timestamp(time, tz="UTC")
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return {"symbol": symbol, "date": str(time), "time": stamp, **prices, "volume": 1.0}


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A home in which every dataset of the store has a bar, that was restated, and a newer one."""
    now = [EARLY]
    bench = Workbench(load_settings(home=tmp_path_factory.mktemp("home")), clock=lambda: now[0])
    actions = pd.DataFrame(
        {"symbol": ["AAPL"], "time": pd.to_datetime(["2026-01-02 21:00Z"]), "kind": "dividend", "value": [0.1]}
    )
    for moment, rows in (
        (EARLY, [row("2026-01-02 21:00", 100.0)]),
        (LATE, [row("2026-01-02 21:00", 150.0), row("2026-02-27 21:00", 160.0), row("2026-01-02 21:00", 7.0, "LATE")]),
    ):
        now[0] = moment
        for name in STORED:
            bench.market.store.write(name, pd.DataFrame(rows), actions, "USD")
    return bench


@pytest.fixture
def bench(stocked, monkeypatch):
    """That home as this process', without a limit and without a network."""
    monkeypatch.setenv("WORKBENCH_HOME", str(stocked.settings.home))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(sources, "open_provider", lambda name, settings, clock, table=None: Source(None, name))
    # Read once: each address opens the catalogs anew, which is most of what these tests would take.
    monkeypatch.setattr(market, "merge_catalogs", lambda _files: stocked.market.catalog)
    return stocked


def test_every_entry_of_the_catalogs_has_a_decision(bench):
    decided = [*FILES, *STORED, *PUBLISHED, *NOW_ONLY]
    assert sorted(decided) == sorted(bench.catalog)
    assert len(set(decided)) == len(decided)


@pytest.mark.parametrize("name", [*FILES, *NOW_ONLY])
def test_an_entry_that_cannot_say_is_refused_also_by_a_reader_of_before(bench, monkeypatch, name):
    catalog = bench.catalog
    reader = catalog[name]
    assert len(reader.read())
    monkeypatch.setenv(VARIABLE, LIMIT)
    for read in (reader.read, catalog.search(name)[name].read):
        with pytest.raises(UnsupportedError, match=REFUSED):
            read()


@pytest.mark.parametrize("name", STORED)
def test_an_entry_of_the_store_is_read_as_it_was_known(bench, monkeypatch, name):
    reader = bench.catalog[name]
    closes = [reader.read(adjust="none")["close"].tolist()]
    for text in (LIMIT, ""):
        monkeypatch.setenv(VARIABLE, text)
        closes.append(reader.read(adjust="none")["close"].tolist())
    assert closes == [[150.0, 160.0], [100.0], [150.0, 160.0]]


def test_an_entry_of_the_store_takes_no_later_moment_and_knows_no_later_symbol(bench, monkeypatch):
    reader = bench.catalog["yahoo_1d"]
    monkeypatch.setenv(VARIABLE, LIMIT)
    with pytest.raises(UnknownNameError, match=r"unknown symbol 'LATE' in dataset .* by the limit.*known: AAPL$"):
        reader.read(symbol="LATE")
    with pytest.raises(DateRangeError, match="as_of '2026-02' is later than the limit"):
        reader.read(as_of="2026-02")
    assert reader.read(as_of="2026-01-10", adjust="none")["close"].tolist() == [100.0]


def test_a_series_with_its_days_of_publication_is_read_up_to_the_limit(bench, monkeypatch):
    reader = bench.catalog["fred_series"]
    assert reader.read(name="GDPC1")["value"].tolist() == [1.0, 1.2, 0.9]
    monkeypatch.setenv(VARIABLE, LIMIT)
    # The last value does not say when it was published.
    assert reader.read(name="GDPC1")["value"].tolist() == [1.0]
    monkeypatch.setenv(VARIABLE, "2025-12-30")
    with pytest.raises(
        DateRangeError, match="nothing of series 'GDPC1' of 'fred' was published by the limit 2025-12-30"
    ):
        reader.read(name="GDPC1")


@pytest.mark.parametrize(
    "read",
    [
        lambda: pd.read_parquet("workbench://bars/yahoo_1d/AAPL.parquet?adjust=none"),
        lambda: pd.read_parquet(
            fsspec.filesystem("workbench").open("workbench://bars/yahoo_1d/AAPL.parquet?adjust=none")
        ),
        lambda: intake.open_catalog(str(shipped("catalogs") / "store.yaml"))["yahoo_1d"].read(adjust="none"),
        lambda: intake.open_catalog(str(shipped("catalogs") / "store.yaml"))(adjust="none")["yahoo_1d"].read(),
        lambda: Workbench(load_settings()).catalog["yahoo_1d"].read(adjust="none"),
    ],
)
def test_whoever_reads_an_address_of_the_store_gets_what_was_known(bench, monkeypatch, read):
    assert read()["close"].tolist() == [150.0, 160.0]
    monkeypatch.setenv(VARIABLE, LIMIT)
    assert read()["close"].tolist() == [100.0]


SAMPLE = "package://bokeh_sampledata/_data/stocks.csv.gz"


@pytest.mark.parametrize(
    "read",
    [
        lambda: pd.read_csv(SAMPLE),
        lambda: fsspec.filesystem("package").cat_file(SAMPLE),
        lambda: fsspec.open(SAMPLE).open().read(),
        lambda: fsspec.filesystem("package").get_file(SAMPLE, "/dev/null"),
        lambda: intake.open_catalog(str(shipped("catalogs") / "sample.yaml"))["us_equities"].read(),
        lambda: intake.open_catalog(str(shipped("catalogs") / "providers.yaml"))["yahoo_quotes"].read(),
        lambda: pd.read_parquet("workbench://news/gdelt/rates.parquet"),
        lambda: fsspec.filesystem("workbench").info("workbench://history/yahoo/AAPL.parquet"),
    ],
)
def test_whoever_reads_what_cannot_say_is_refused(bench, monkeypatch, read):
    read()
    monkeypatch.setenv(VARIABLE, LIMIT)
    with pytest.raises(UnsupportedError, match=REFUSED):
        read()


def test_a_file_system_that_is_kept_has_another_answer_under_another_limit(bench, monkeypatch):
    kept, address = fsspec.filesystem("workbench"), "bars/yahoo_1d/AAPL.parquet?adjust=none"
    kept.keep = 3600.0
    answers = []
    for text in ("", LIMIT, "", LIMIT):
        monkeypatch.setenv(VARIABLE, text)
        answers.append(len(pd.read_parquet(kept.open(address))))
    assert answers == [2, 1, 2, 1]


@pytest.mark.parametrize("kind", ["CSV", "Parquet"])
def test_a_file_of_ones_own_catalog_is_refused_however_its_entry_is_read(
    home, tmp_path, monkeypatch, write_catalog, kind
):
    path = tmp_path / f"own.{kind.lower()}"
    days = pd.bdate_range("2012-03-05", periods=3)
    table = pd.DataFrame({"Date": days, "Symbol": "A", **dict.fromkeys(("open", "high", "low", "close"), 2.0)})
    table = table.assign(volume=1.0)
    table.to_csv(path, index=False) if kind == "CSV" else table.to_parquet(path)
    changes = [
        (("entries", "own", "reader"), f"intake.readers.readers:Pandas{kind}"),
        (("data", "own_file", "datatype"), f"intake.readers.datatypes:{kind}"),
    ]
    given = (("entries", "own", "kwargs", "parse_dates"), ["Date"] if kind == "CSV" else ...)
    catalogs = write_catalog(*changes, given, file="home/catalogs/own.yaml", url=path)
    assert catalogs.parent == home / "catalogs"
    bench = Workbench(load_settings(), clock=lambda: EARLY)
    reader, file = bench.catalog["own"], bench.catalog["own"].data
    assert len(reader.read()) == 3
    assert file.url == str(path)
    monkeypatch.setenv(VARIABLE, LIMIT)
    for read in (reader.read, reader.discover, lambda: reader.data, lambda: bench.catalog["own"].to_reader("dask")):
        with pytest.raises(UnsupportedError, match=REFUSED):
            read()
    # It is stored all the same, with the moment at which that was done: by then it is known.
    np.testing.assert_array_equal(bench.bars("A", dataset="own")["close"].to_numpy(), 2.0)
    monkeypatch.setenv(VARIABLE, "2026-01-04")
    with pytest.raises(DateRangeError, match="nothing of dataset 'own' was known"):
        bench.symbols("own")


def at(home, moment):
    return Workbench(load_settings(home=home), clock=lambda: moment)


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A home that loaded the sample on 5 January 2026, and two months later."""
    monkeypatch.setenv(VARIABLE, "")
    at(tmp_path, EARLY).symbols()
    return at(tmp_path, LATE)


def test_the_bench_sets_shows_and_lifts_the_limit(sample):
    assert sample.as_of is None
    sample.limit_as_of("2026-01-05")
    assert sample.as_of == datetime(2026, 1, 5, 23, 59, 59, 999999, tzinfo=UTC)
    assert sample.bars("IBM").attrs["as_of"] == sample.as_of.isoformat()
    sample.limit_as_of(LATE)
    assert sample.as_of == LATE
    sample.limit_as_of(None)
    assert sample.as_of is None
    assert limit() is None


@pytest.mark.parametrize("moment", ["2026-03-03", "2026-04", 2027, datetime(2026, 3, 2, 13, tzinfo=UTC)])
def test_a_moment_to_come_is_one_sentence(sample, moment):
    with pytest.raises(DateRangeError, match=r"^'.*' is still to come; give a day up to 2026-03-02$"):
        sample.limit_as_of(moment)
    assert limit() is None


@pytest.mark.parametrize("moment", ["2026-03-02", "2026-03", 2026, "2026-01-05", "2026-01"])
def test_a_day_that_has_begun_and_the_first_day_work(sample, moment):
    sample.limit_as_of(moment)
    assert len(sample.symbols()) == 5


@pytest.mark.parametrize("moment", ["2026-01-04", 2012, "2026-01-05T11:59Z"])
def test_a_moment_before_anything_was_known_names_the_first_day_that_works(sample, moment):
    with pytest.raises(
        DateRangeError, match=r"^nothing of dataset 'us_equities' was known .* that works is 2026-01-05$"
    ):
        sample.limit_as_of(moment)
    assert limit() is None


def test_a_moment_before_the_first_bar_names_the_first_day_that_works(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    # A clock of 1999: everything was known then, by the record, but no bar was traded yet.
    made = at(tmp_path, EARLY)
    made.market.store.clock = lambda: datetime(1999, 1, 4, tzinfo=UTC)
    made.market.store.write("us_equities", pd.DataFrame([row("2026-01-02 21:00", 100.0)]), no_actions(), "USD")
    with pytest.raises(DateRangeError, match="the first day that works is 2026-01-02"):
        at(tmp_path, EARLY).limit_as_of("2026-01-01")
    at(tmp_path, EARLY).limit_as_of("2026-01-02")


def no_actions():
    none = {"symbol": pd.Series(dtype="str"), "time": pd.to_datetime(pd.Series(dtype="str"), utc=True)}
    return pd.DataFrame({**none, "kind": pd.Series(dtype="str"), "value": pd.Series(dtype="float64")})


def test_a_home_that_has_stored_nothing_says_so_and_works_from_today_on(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    fresh = at(tmp_path, EARLY)
    with pytest.raises(DateRangeError, match="it is not stored yet; the first day that works is 2026-01-05"):
        fresh.limit_as_of("2026-01-04")
    # Setting it is cheap: nothing was loaded for that.
    assert not fresh.market.store.has("us_equities")
    fresh.limit_as_of("2026-01-05")
    assert len(fresh.symbols()) == 5


def test_what_is_no_date_is_told(sample):
    with pytest.raises(DateRangeError, match="'soon' is no date; write it as 2012-03-01"):
        sample.limit_as_of("soon")


def test_a_dataset_that_is_not_there_is_told_as_ever(bench, monkeypatch):
    monkeypatch.setenv(VARIABLE, LIMIT)
    with pytest.raises((UnknownNameError, CatalogError), match="unknown bars dataset 'nowhere'"):
        bench.bars(dataset="nowhere")
