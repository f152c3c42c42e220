"""The store against its peers, in one run: ``python tests/benchmarks/store.py [--json]``.

1,000 symbols of 2,520 made-up daily bars in a Delta table of ours.

- ``symbol_read_vs_polars``: ``bench.bars`` of one symbol (adjusted, as an xarray.Dataset) divided by a bare
  ``polars.scan_delta(...).filter(...).collect()`` on the same table; ``symbol_read_seconds`` is ours, warm.
- ``panel_vs_pivot``: ``DeltaTable.to_pandas().pivot(...)`` divided by ``bench.field`` of all symbols.
- ``append_seconds_first``, ``append_seconds_after_250``: adding a session of 1,000 symbols to the full table, and after
  250 such sessions, the median of five; ``append_seconds_worst``: the slowest of all, which merges small files.
- ``aged_...``: the same after these appends, with 40 dividends a symbol.
- ``refetch_requests``: what a second fetch of an up-to-date universe asks of its provider.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from deltalake import DeltaTable

from workbench.core.market import FIELDS
from workbench.core.settings import load_settings
from workbench.data.fetch import Fetch
from workbench.data.ingest import Span
from workbench.data.market import MarketData, open_market
from workbench.data.providers.base import Access, History, Provider
from workbench.data.stamps import bar_ends, sessions_between

SYMBOLS = [f"S{number:04d}" for number in range(1_000)]
BARS = 2_520
DATASET = "yahoo_1d"


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes (s)."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median(call: Callable[[], object], turns: int) -> float:
    """Return the median time of a call after one to warm it (s)."""
    call()
    return statistics.median(timed(call) for _ in range(turns))


def sessions() -> pd.DatetimeIndex:
    """Return the sessions of the table and of those that are appended."""
    return sessions_between("XNYS", pd.Timestamp("2012-01-03"), pd.Timestamp("2024-12-31"))


def made_up_rows(days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return bars of all symbols on some days, prices a random walk."""
    generator = np.random.default_rng(7)
    ends = bar_ends(pd.Series(days), "1d", "XNYS")
    closes = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, (len(SYMBOLS), len(days))), axis=1)).ravel()
    rows = pd.DataFrame({"symbol": np.repeat(SYMBOLS, len(days)), "time": np.tile(ends, len(SYMBOLS))})
    volumes = generator.integers(1_000, 1_000_000, len(rows)).astype(float)
    return rows.assign(open=closes, high=closes, low=closes, close=closes, volume=volumes)


def quarterly_dividends(days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a dividend of each symbol every 63 sessions."""
    ends = bar_ends(pd.Series(days[62::63]), "1d", "XNYS")
    paid = pd.DataFrame({"symbol": np.repeat(SYMBOLS, len(ends)), "time": np.tile(ends, len(SYMBOLS))})
    return paid.assign(kind="dividend", value=0.25)


class Counted(Provider):
    """A provider that counts what is asked of it."""

    name = "yahoo"
    intervals = ("1d",)
    asked = 0

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return a bar for each session."""
        Counted.asked += 1
        days = sessions_between("XNYS", pd.Timestamp(start), pd.Timestamp(end))
        return History(pd.DataFrame({"time": days, **dict.fromkeys(FIELDS, 1.0)}))


def refetch_requests(market: MarketData) -> int:
    """Fetch a universe twice and return how many requests the second time made."""
    span = Span(pd.Timestamp("2024-01-02"), pd.Timestamp("2024-03-28"))
    job = Fetch(market.store, Counted(Access()), "files_1d", market.catalog.about("files_1d"))
    job.run(SYMBOLS, span, progress=False)
    before = Counted.asked
    job.run(SYMBOLS, span, progress=False)
    return Counted.asked - before


def measure(home: Path) -> dict[str, float]:
    """Return the figures."""
    market = open_market(load_settings(home=home), lambda: datetime(2025, 1, 2, tzinfo=UTC))
    tables, days = market.store.tables(DATASET), sessions()
    learned = pd.Timestamp("2025-01-01", tz="UTC")
    tables.actions.write(pd.DataFrame(columns=["symbol", "time", "kind", "value"]), learned)
    tables.bars.write(made_up_rows(days[:BARS]), learned)
    place = str(home / "store" / DATASET / "bars")

    def one_symbol() -> object:
        return market.bars("S0500", None, None, dataset=DATASET, adjust="all")

    def bare() -> object:
        return pl.scan_delta(place).filter(pl.col("symbol") == "S0500").collect()

    def pivot() -> object:
        return DeltaTable(place).to_pandas().pivot(index="time", columns="symbol", values="close")

    def wide() -> object:
        return market.field("close", dataset=DATASET)

    ours, theirs = median(one_symbol, 25), median(bare, 25)
    panel_vs_pivot = median(pivot, 3) / median(wide, 5)
    later = made_up_rows(days[BARS : BARS + 260])
    added = [timed(lambda own=own: tables.bars.write(own, learned)) for _, own in later.groupby("time")]
    # As it is after a year of daily fetches, with ten years of quarterly dividends.
    tables.actions.write(quarterly_dividends(days[:BARS]), learned)
    aged, aged_bare, aged_panel = median(one_symbol, 25), median(bare, 25), median(pivot, 3) / median(wide, 5)
    return {
        "symbol_read_vs_polars": ours / theirs,
        "symbol_read_seconds": ours,
        "panel_vs_pivot": panel_vs_pivot,
        "append_seconds_first": statistics.median(added[:5]),
        "append_seconds_after_250": statistics.median(added[250:255]),
        "append_seconds_worst": max(added),
        "aged_symbol_read_vs_polars": aged / aged_bare,
        "aged_symbol_read_seconds": aged,
        "aged_panel_vs_pivot": aged_panel,
        "refetch_requests": refetch_requests(market),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        print("\n".join(f"{name:<26} {value:.4g}" for name, value in found.items()))
