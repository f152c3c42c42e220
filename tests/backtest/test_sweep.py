from __future__ import annotations

import numpy as np
import pytest

from workbench.backtest.statistics import NAMES
from workbench.core.errors import InputError, ParameterError, UnknownNameError


@pytest.fixture(scope="module")
def grid(bench):
    return bench.sweep("sma_cross", ["AAPL", "IBM"], fast=[10, 60], slow=range(50, 151, 50), progress=False)


def test_a_sweep_spans_the_grid_and_the_symbols(grid):
    assert dict(grid.sizes) == {"fast": 2, "slow": 3, "symbol": 2}
    assert tuple(grid.data_vars) == NAMES


def test_every_cell_is_the_backtest_of_its_parameters(bench, grid):
    for fast, slow in [(10, 50), (60, 100), (10, 150)]:
        for symbol in ("AAPL", "IBM"):
            alone = bench.backtest("sma_cross", [symbol], fast=fast, slow=slow).statistics
            cell = {name: float(grid[name].sel(fast=fast, slow=slow, symbol=symbol)) for name in NAMES}
            assert cell == pytest.approx(dict(alone), rel=1e-12)


def test_a_point_whose_parameters_do_not_go_together_is_nan(grid):
    assert np.isnan(grid["sharpe"].sel(fast=60, slow=50)).all()
    assert grid["sharpe"].sel(fast=10, slow=50).notnull().all()


def test_a_single_value_is_no_axis_and_texts_are_typed(bench):
    found = bench.sweep("sma_cross", ["AAPL"], fast=["10", "20"], slow=100, progress=False)
    assert dict(found.sizes) == {"fast": 2, "symbol": 1}
    assert found["fast"].to_numpy().tolist() == [10, 20]
    assert float(found["slow"]) == 100


@pytest.mark.parametrize(
    ("grid", "error", "said"),
    [
        ({"fst": [1]}, UnknownNameError, "parameter 'fst'"),
        ({"fast": []}, ParameterError, "no values for 'fast'"),
        ({"fast": [1]}, ParameterError, "fast=1 is not valid"),
        ({"fast": [200], "slow": [50, 100]}, ParameterError, "no point of the grid is valid"),
    ],
)
def test_a_grid_that_is_not_valid_is_refused(bench, grid, error, said):
    with pytest.raises(error, match=said):
        bench.sweep("sma_cross", ["AAPL"], progress=False, **grid)


def test_a_heat_map_needs_two_parameters_and_a_known_statistic(bench, grid):
    assert "best" in bench.heat_map(grid, "sharpe").opts.get("plot").kwargs["title"]
    with pytest.raises(UnknownNameError, match="statistic 'sharp'"):
        bench.heat_map(grid, "sharp")
    with pytest.raises(InputError, match="two parameters"):
        bench.heat_map(grid.sel(fast=10), "sharpe")
