import numpy as np
import pandas as pd
import pytest

from workbench.core.market import FIELDS
from workbench.data.providers.sample import SampleProvider


@pytest.mark.parametrize(
    ("dataset", "rows", "symbols"),
    [("us_equities", 3270 * 3 + 2148 + 196, 5), ("sp500_stocks", 8313 * 20, 20), ("aapl_recent", 1509, 1)],
)
def test_the_three_layouts_of_a_table(bench, dataset, rows, symbols):
    bars = SampleProvider().history(bench.catalog, dataset).bars
    assert len(bars) == rows
    assert bars["symbol"].nunique() == symbols


def test_a_table_of_closes_has_nothing_else(bench):
    bars = SampleProvider().history(bench.catalog, "sp500_stocks").bars
    assert bars["close"].notna().all()
    assert bars[[field for field in FIELDS if field != "close"]].isna().all().all()


def test_prices_are_those_of_the_source(bench):
    table = bench.catalog["us_equities"].read()
    bars = SampleProvider().history(bench.catalog, "us_equities").bars
    for field in FIELDS:
        np.testing.assert_array_equal(bars[field], table[field.capitalize()])
    assert (bars["date"] == pd.DatetimeIndex(table["Date"])).all()


def test_a_source_without_adjusted_closes_implies_no_actions(bench):
    assert SampleProvider().history(bench.catalog, "sp500_ohlc").actions.empty
