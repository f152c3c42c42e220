"""What every provider of bars that lie on this machine must keep. A new one adds a subclass with facts.

That its bars can be stored, and storing them again adds nothing, is a fact of the ingestion; it is tested there.
"""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from workbench.core.calendar import session_closes
from workbench.core.errors import UnknownNameError, UnsupportedError
from workbench.core.market import ADJUSTMENTS, FIELDS
from workbench.data.providers.base import Access, Table
from workbench.data.providers.files import FilesProvider
from workbench.data.providers.sample import SampleProvider

EVER = date(1900, 1, 1), date(2100, 1, 1)


class LocalProviderContract:
    """Facts: the provider, what it may use, and what it is known to hold."""

    provider_class: type
    symbols: list
    first: str
    last: str
    rows: int
    fields: tuple = FIELDS
    actions: dict
    action: tuple | None = None  # symbol, day, kind, value
    close: tuple  # symbol, day, close as the source gives it
    adjustment: str
    days_that_are_no_session: int = 0
    currency: str = "USD"

    @pytest.fixture
    def access(self):
        raise NotImplementedError

    @pytest.fixture
    def provider(self, access):
        return self.provider_class(access)

    @pytest.fixture
    def histories(self, provider):
        return {symbol: provider.history(symbol, *EVER) for symbol in provider.search("")["symbol"]}

    @pytest.fixture
    def bars(self, histories):
        return pd.concat([history.bars.assign(symbol=symbol) for symbol, history in histories.items()])

    @pytest.fixture
    def every_action(self, histories):
        return pd.concat([history.actions.assign(symbol=symbol) for symbol, history in histories.items()])

    def test_it_says_what_it_is(self, provider):
        assert provider.name
        assert provider.description
        assert provider.licence
        assert "1d" in provider.intervals
        assert provider.adjustment == self.adjustment
        assert provider.adjustment in ADJUSTMENTS
        assert not provider.needs_key
        assert set(provider.offers()) == {"history", "actions", "search"}

    def test_bars_have_the_columns_and_types(self, histories):
        for history in histories.values():
            assert list(history.bars.columns) == ["time", *FIELDS]
            assert history.bars["time"].dt.tz is None
            assert all(history.bars[field].dtype == np.float64 for field in FIELDS)
            assert history.currency == self.currency

    def test_every_row_of_the_source_is_there(self, bars):
        assert len(bars) == self.rows
        assert sorted(bars["symbol"].unique()) == self.symbols

    def test_the_span_is_the_sources(self, bars):
        days = bars["time"].dropna()
        assert [str(days.min().date()), str(days.max().date())] == [self.first, self.last]

    def test_a_time_is_a_day(self, bars):
        days = pd.DatetimeIndex(bars["time"].dropna())
        assert (days == days.normalize()).all()
        assert session_closes("XNYS", days).isna().sum() == self.days_that_are_no_session

    def test_a_field_that_the_source_lacks_is_nan_and_the_others_are_not(self, bars):
        for field in FIELDS:
            assert bars[field].isna().all() == (field not in self.fields), field

    def test_a_known_close(self, bars):
        symbol, day, close = self.close
        own = bars[(bars["symbol"] == symbol) & (bars["time"] == pd.Timestamp(day))]
        assert own["close"].tolist() == [close]

    def test_actions_are_facts_of_the_bars_days(self, bars, every_action):
        assert every_action["kind"].value_counts().to_dict() == self.actions
        assert not every_action.duplicated(["symbol", "time", "kind"]).any()
        assert (every_action["value"].astype(float) > 0).all()
        days = set(zip(bars["symbol"], bars["time"], strict=True))
        assert set(zip(every_action["symbol"], every_action["time"], strict=True)) <= days

    def test_a_known_action(self, provider):
        if self.action is None:
            return
        symbol, day, kind, value = self.action
        found = provider.actions(symbol, date.fromisoformat(day), date.fromisoformat(day))
        assert found.to_dict("records") == [{"time": pd.Timestamp(day), "kind": kind, "value": value}]

    def test_no_split_is_left_where_the_source_has_taken_them_out(self, every_action):
        if self.adjustment != "none":
            assert "split" not in set(every_action["kind"])

    def test_a_range_includes_both_its_days_and_no_other(self, provider, histories):
        symbol = self.symbols[0]
        days = histories[symbol].bars["time"].dropna().sort_values().unique()
        first, last = days[10], days[20]
        cut = provider.history(symbol, first.date(), last.date())
        inside = histories[symbol].bars["time"]
        expected = histories[symbol].bars[inside.between(first, last) | inside.isna()].reset_index(drop=True)
        pd.testing.assert_frame_equal(cut.bars, expected)
        assert cut.actions["time"].between(first, last).all()
        pd.testing.assert_frame_equal(cut.actions, provider.actions(symbol, first.date(), last.date()))

    def test_asking_again_gives_the_same(self, provider, histories):
        for symbol, history in histories.items():
            again = provider.history(symbol, *EVER)
            pd.testing.assert_frame_equal(again.bars, history.bars)
            pd.testing.assert_frame_equal(again.actions, history.actions)

    def test_what_is_changed_outside_does_not_come_back(self, provider, histories):
        symbol = self.symbols[0]
        spoilt = provider.history(symbol, *EVER).bars
        spoilt.loc[:, "close"] = 0.0
        pd.testing.assert_frame_equal(provider.history(symbol, *EVER).bars, histories[symbol].bars)

    def test_search_tells_its_symbols(self, provider):
        found = provider.search(self.symbols[0].lower())
        assert list(found.columns) == ["symbol", "name", "exchange", "currency", "asset_class"]
        assert self.symbols[0] in set(found["symbol"])
        assert provider.search("no such symbol").empty

    def test_an_unknown_symbol_is_told(self, provider):
        with pytest.raises(UnknownNameError, match="NOSUCH"):
            provider.history("NOSUCH", *EVER)

    def test_what_it_lacks_is_told(self, provider):
        with pytest.raises(UnsupportedError, match="history, actions, search"):
            provider.quotes(["AAPL"])
        with pytest.raises(UnsupportedError, match="3d"):
            provider.history(self.symbols[0], *EVER, "3d")


class SampleContract(LocalProviderContract):
    provider_class = SampleProvider
    dataset: str

    @pytest.fixture
    def access(self, bench):
        return Access(table=Table(self.dataset, bench.catalog.about(self.dataset), bench.catalog[self.dataset].read))


class TestSampleOfTradedPrices(SampleContract):
    dataset = "us_equities"
    symbols = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]  # noqa: RUF012
    first, last = "2000-03-01", "2013-03-01"
    rows = 3 * 3270 + 2148 + 196
    actions = {"dividend": 92, "split": 3}  # noqa: RUF012
    action = ("AAPL", "2005-02-28", "split", 2.0)
    close = ("AAPL", "2012-09-19", 702.10)
    adjustment = "none"


class TestSampleAdjustedForSplits(SampleContract):
    dataset = "aapl_recent"
    symbols = ["AAPL"]  # noqa: RUF012
    first, last = "2019-01-02", "2024-12-30"
    rows = 1509
    actions = {"dividend": 24}  # noqa: RUF012
    close = ("AAPL", "2024-12-30", 252.20)
    adjustment = "splits"


class TestSampleOfClosesOnly(SampleContract):
    dataset = "sp500_index"
    symbols = ["SP500"]  # noqa: RUF012
    first, last = "1990-01-02", "2022-12-28"
    rows = 8313
    fields = ("close",)
    actions = {}  # noqa: RUF012
    close = ("SP500", "2009-03-09", 676.53)
    adjustment = "none"


class TestFilesOfTwoKinds(LocalProviderContract):
    """Twenty-two sessions of March 2012, one file of text and one of Parquet."""

    provider_class = FilesProvider
    symbols = ["AAA", "BRK-B"]  # noqa: RUF012
    first, last = "2012-03-01", "2012-03-30"
    rows = 44
    actions = {"dividend": 2, "split": 2}  # noqa: RUF012
    action = ("BRK-B", "2012-03-15", "split", 2.0)
    close = ("AAA", "2012-03-01", 10.5)
    adjustment = "none"

    @pytest.fixture
    def access(self, tmp_path):
        days = session_days("2012-03-01", "2012-03-30")
        table = pd.DataFrame({"Date": days, "Open": 10.0, "High": 11.0, "Low": 9.0, "Close": 10.5, "Volume": 1000})
        table["Dividend"] = np.where(table["Date"] == "2012-03-08", 0.25, 0.0)
        table["Split"] = np.where(table["Date"] == "2012-03-15", 2.0, 0.0)
        table.to_csv(tmp_path / "AAA.csv", index=False)
        table.to_parquet(tmp_path / "BRK-B.parquet", index=False)
        return Access(options={"folder": str(tmp_path), "currency": "USD"})


def session_days(first, last):
    days = pd.date_range(first, last)
    return days[session_closes("XNYS", days).notna()]
