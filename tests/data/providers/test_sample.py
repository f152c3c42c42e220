from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Lock

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import CatalogError, UnknownNameError, UnsupportedError
from workbench.core.market import FIELDS
from workbench.data.catalog import EntryMetadata
from workbench.data.providers.base import Access, Table
from workbench.data.providers.sample import SampleProvider

EVER = date(1900, 1, 1), date(2100, 1, 1)


@pytest.fixture
def open_sample(bench):
    def open_one(dataset, read=None, **changes):
        about = bench.catalog.about(dataset).model_copy(update=changes)
        return SampleProvider(Access(table=Table(dataset, about, read or bench.catalog[dataset].read)))

    return open_one


@pytest.mark.parametrize(
    ("dataset", "rows", "symbols"),
    [("us_equities", 3270 * 3 + 2148 + 196, 5), ("sp500_stocks", 8313 * 20, 20), ("aapl_recent", 1509, 1)],
)
def test_the_three_layouts_of_a_table(open_sample, dataset, rows, symbols):
    provider = open_sample(dataset)
    known = provider.search("")["symbol"]
    assert len(known) == symbols
    assert sum(len(provider.history(symbol, *EVER).bars) for symbol in known) == rows


def test_a_table_of_closes_has_nothing_else(open_sample):
    bars = open_sample("sp500_stocks").history("AAPL", *EVER).bars
    assert bars["close"].notna().all()
    assert bars[[field for field in FIELDS if field != "close"]].isna().all().all()


def test_prices_are_those_of_the_source(bench, open_sample):
    table = bench.catalog["us_equities"].read()
    own = table[table["Ticker"] == "IBM"]
    bars = open_sample("us_equities").history("IBM", *EVER).bars
    for field in FIELDS:
        np.testing.assert_array_equal(bars[field], own[field.capitalize()])
    assert (bars["time"].to_numpy() == pd.DatetimeIndex(own["Date"]).to_numpy()).all()


def test_a_source_without_adjusted_closes_implies_no_actions(open_sample):
    assert open_sample("sp500_ohlc").history("SPX", *EVER).actions.empty


def test_threads_share_one_reading_of_the_table(bench, open_sample):
    reads, lock = [], Lock()

    def read():
        with lock:
            reads.append(1)
        return bench.catalog["us_equities"].read()

    provider = open_sample("us_equities", read)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda symbol: provider.history(symbol, *EVER), ["AAPL", "IBM", "MSFT", "FB"] * 4))
    assert len(reads) == 1
    assert [len(history.bars) for history in found[:4]] == [3270, 3270, 3270, 196]


def test_an_action_needs_two_sessions_and_other_days_take_no_part(open_sample):
    # 2012-03-03 is a Saturday: its odd ratio would look like a split there and back.
    days = pd.to_datetime(["2012-03-01", "2012-03-02", "2012-03-03", "2012-03-05", "2012-03-06"])
    frame = pd.DataFrame({"Date": days, "Close": 10.0, "Adj Close": [5.0, 5.0, 1.0, 10.0, 10.0], "Symbol": "X"})
    layout = {"date": "Date", "symbol": "Symbol", "adjusted_close": "Adj Close"}
    about = metadata(layout=layout, fields=("close",))
    found = SampleProvider(Access(table=Table("own", about, lambda: frame))).history("X", *EVER)
    assert found.actions.to_dict("records") == [{"time": pd.Timestamp("2012-03-05"), "kind": "split", "value": 2.0}]
    assert len(found.bars) == 5


def metadata(**changes):
    base = {
        "kind": "bars",
        "description": "A small dataset for a test",
        "source": "a test",
        "licence": "none",
        "asset_class": "equity",
        "interval": "1d",
        "currency": "USD",
        "calendar": "XNYS",
    }
    return EntryMetadata.model_validate({**base, **changes})


def test_a_table_that_cannot_be_read_is_told(open_sample):
    def read():
        raise FileNotFoundError("no such file")

    with pytest.raises(CatalogError, match=r"'us_equities' cannot be read .* mend its catalog entry"):
        open_sample("us_equities", read).history("AAPL", *EVER)


def test_a_table_without_a_column_of_its_layout_is_told(open_sample):
    with pytest.raises(CatalogError, match="'us_equities' cannot be read"):
        open_sample("us_equities", lambda: pd.DataFrame({"Other": [1]})).search("")


def test_it_needs_a_table(bench):
    with pytest.raises(CatalogError, match="name a dataset"):
        SampleProvider(Access())


def test_a_symbol_or_interval_that_is_not_there_is_told(open_sample):
    with pytest.raises(UnknownNameError, match="'APPL' in dataset us_equities; nearest known: AAPL"):
        open_sample("us_equities").history("APPL", *EVER)
    with pytest.raises(UnsupportedError, match="'1h'"):
        open_sample("us_equities").history("AAPL", *EVER, "1h")


def test_search_finds_a_part_of_a_symbol_in_any_case(open_sample):
    found = open_sample("us_equities").search("b")
    assert found.to_dict("records") == [
        {"symbol": name, "name": "", "exchange": "XNYS", "currency": "USD", "asset_class": "equity"}
        for name in ("FB", "IBM")
    ]
