"""The equity of every cell is that of the backtest which the cell stands for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr

from workbench.backtest.run import backtest
from workbench.backtest.strategy import find_strategy
from workbench.backtest.sweeps import compiled, paths
from workbench.backtest.sweeps.cells import cell_bars
from workbench.backtest.sweeps.paths import cell_equity
from workbench.backtest.sweeps.sweep import sweep
from workbench.backtest.terms import Costs, Terms
from workbench.core.errors import ParameterError

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
TERMS = Terms(Costs(0.001, 0.0005, 0.01), 1000.0, "both")
SMA = find_strategy("sma_cross")
GRID = {"fast": [10, 60], "slow": [50, 100]}
WAYS = {"compiled": SMA, "through the engine": replace(SMA, crosses=None)}


@pytest.fixture(scope="module")
def equity(bars):
    return cell_equity(bars, SMA, GRID, TERMS)


def test_paths_are_over_the_axes_the_symbols_and_time(bars, equity):
    assert equity.dims == ("fast", "slow", "symbol", "time")
    assert equity.shape == (2, 2, 3, bars.sizes["time"])
    assert cell_equity(bars, SMA, {"fast": 10}, TERMS).dims == ("fast", "symbol", "time")


@pytest.mark.parametrize("way", WAYS)
def test_a_path_is_the_equity_of_the_backtest_in_units_of_its_cash(bars, way):
    found = cell_equity(bars, WAYS[way], {"fast": 10, "slow": [50, 100]}, TERMS)
    for symbol in ("FB", "IBM"):
        alone = backtest(cell_bars(bars, symbol), SMA, {"fast": 10, "slow": 50}, TERMS, created=MOMENT).equity / 1000.0
        path = found.sel(fast=10, slow=50, symbol=symbol).to_pandas()
        np.testing.assert_allclose(path[alone.index], alone, rtol=1e-9)
        assert (path[path.index < alone.index[0]] == 1.0).all()


def test_a_path_ends_at_the_total_return_of_the_sweep(bars, equity):
    total = sweep(bars, SMA, GRID, TERMS, progress=False)["total_return"]
    xr.testing.assert_allclose(equity.isel(time=-1, drop=True) - 1, total.rename("equity"), rtol=1e-9)


def test_a_point_whose_parameters_do_not_go_together_has_no_path(equity):
    assert equity.sel(fast=60, slow=50).isnull().all()
    assert equity.sel(fast=60, slow=100).notnull().all()


def test_a_missing_bar_keeps_the_last_value(bars):
    at = bars["time"].to_numpy()[1000]
    holed = bars.where((bars["time"] != at) | (bars["symbol"] != "IBM"))
    for way in WAYS.values():
        path = cell_equity(holed, way, {"fast": 10, "slow": 50}, TERMS).sel(symbol="IBM").squeeze()
        assert float(path[1000]) == float(path[999])
        assert path.notnull().all()


def test_both_ways_give_the_same_paths_also_in_small_blocks(bars, equity, monkeypatch):
    xr.testing.assert_allclose(cell_equity(bars, WAYS["through the engine"], GRID, TERMS), equity, rtol=1e-9)
    monkeypatch.setattr(compiled, "LEAST", 1)
    monkeypatch.setattr(compiled, "MOST", 1)
    xr.testing.assert_identical(cell_equity(bars, SMA, GRID, TERMS), equity)


def test_paths_that_take_too_much_memory_are_refused(bars, monkeypatch):
    monkeypatch.setattr(paths, "BYTES", 10_000)
    with pytest.raises(ParameterError, match=r"4 points x 3 symbols x 2,054 bars take .* as paths"):
        cell_equity(bars, SMA, GRID, TERMS)
