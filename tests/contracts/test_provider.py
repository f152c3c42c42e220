"""What every provider must keep. A new one adds a subclass of ``ProviderContract`` with facts."""

import numpy as np
import pandas as pd
import pytest

from workbench.core.calendar import session_closes
from workbench.core.errors import UnknownNameError
from workbench.core.market import FIELDS
from workbench.core.plugins import load
from workbench.data.catalog import entry_metadata
from workbench.data.store import BarStore


class ProviderContract:
    """Facts: the provider's name, a dataset of it, and what that dataset is known to hold."""

    name: str
    dataset: str
    symbols: list
    first: str
    last: str
    rows: int
    actions: dict
    close: tuple  # symbol, day, close as the source gives it

    @pytest.fixture
    def provider(self):
        return load("workbench.providers", "provider", self.name)()

    @pytest.fixture
    def history(self, provider, bench):
        return provider.history(bench.catalog, self.dataset)

    @pytest.fixture
    def about(self, bench):
        return entry_metadata(bench.catalog, self.dataset)

    def test_bars_have_the_columns_and_types(self, history):
        bars = history.bars
        assert {"symbol", "time", "date", *FIELDS} <= set(bars.columns)
        assert str(bars["time"].dt.tz) == "UTC"
        assert all(bars[field].dtype == np.float64 for field in FIELDS)

    def test_every_row_of_the_source_is_there(self, history):
        assert len(history.bars) == self.rows
        assert sorted(history.bars["symbol"].unique()) == self.symbols

    def test_the_span_is_the_sources(self, history):
        times = history.bars["time"].dropna()
        assert [str(times.min().date()), str(times.max().date())] == [self.first, self.last]

    def test_a_time_is_the_sessions_close_or_nothing(self, history, about):
        days = pd.DatetimeIndex(history.bars["date"])
        expected = session_closes(about.calendar, days)
        assert (pd.DatetimeIndex(history.bars["time"]) == expected).sum() == expected.notna().sum()

    def test_a_field_that_the_source_lacks_is_nan_and_the_others_are_not(self, history, about):
        for field in FIELDS:
            assert history.bars[field].isna().all() == (field not in about.fields), field

    def test_a_known_close(self, history):
        symbol, day, close = self.close
        rows = history.bars[history.bars["symbol"] == symbol]
        assert rows[pd.DatetimeIndex(rows["date"]) == pd.Timestamp(day)]["close"].tolist() == [close]

    def test_actions_are_facts_of_stored_bars(self, history):
        actions = history.actions
        assert {"symbol", "time", "kind", "value"} <= set(actions.columns)
        assert actions["kind"].value_counts().to_dict() == self.actions
        assert not actions.duplicated(["symbol", "time", "kind"]).any()
        assert (actions["value"].astype(float) > 0).all()
        bars = set(zip(history.bars["symbol"], history.bars["time"], strict=True))
        assert set(zip(actions["symbol"], actions["time"], strict=True)) <= bars

    def test_no_split_is_left_where_the_source_has_taken_them_out(self, history, about):
        if about.adjustment != "none":
            assert "split" not in set(history.actions["kind"])

    def test_asking_again_gives_the_same(self, provider, history, bench):
        again = provider.history(bench.catalog, self.dataset)
        pd.testing.assert_frame_equal(again.bars, history.bars)
        pd.testing.assert_frame_equal(again.actions, history.actions)

    def test_it_can_be_stored_and_storing_it_again_adds_nothing(self, history, tmp_path):
        store = BarStore(tmp_path)
        written = store.write(self.dataset, history)
        assert (written.bars, written.actions) == (self.rows - written.quarantined, sum(self.actions.values()))
        again = store.write(self.dataset, history)
        assert (again.bars, again.actions, again.quarantined) == (0, 0, 0)

    def test_an_unknown_dataset_is_told(self, provider, bench):
        with pytest.raises(UnknownNameError, match="no_such_dataset"):
            provider.history(bench.catalog, "no_such_dataset")


class TestSampleOfTradedPrices(ProviderContract):
    name = "sample"
    dataset = "us_equities"
    symbols = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]  # noqa: RUF012
    first, last = "2000-03-01", "2013-03-01"
    rows = 3 * 3270 + 2148 + 196
    actions = {"dividend": 92, "split": 3}  # noqa: RUF012
    close = ("AAPL", "2012-09-19", 702.10)


class TestSampleAdjustedForSplits(ProviderContract):
    name = "sample"
    dataset = "aapl_recent"
    symbols = ["AAPL"]  # noqa: RUF012
    first, last = "2019-01-02", "2024-12-30"
    rows = 1509
    actions = {"dividend": 24}  # noqa: RUF012
    close = ("AAPL", "2024-12-30", 252.20)


class TestSampleOfClosesOnly(ProviderContract):
    name = "sample"
    dataset = "sp500_index"
    symbols = ["SP500"]  # noqa: RUF012
    first, last = "1990-01-02", "2022-12-28"
    rows = 8313
    actions = {}  # noqa: RUF012
    close = ("SP500", "2009-03-09", 676.53)
