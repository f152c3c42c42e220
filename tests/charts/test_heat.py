import holoviews as hv
import numpy as np
import pytest
import xarray as xr

from workbench.charts.heat import heat_map
from workbench.core.errors import InputError, UnknownNameError


def sweep_of(values, **coords):
    named = coords or {"fast": [5, 10], "slow": [20, 30, 40], "symbol": ["A", "B"]}
    return xr.Dataset({"sharpe": (tuple(named), np.asarray(values, "float64"))}, coords=named)


SWEEP = sweep_of([[[1, 0], [2, 1], [3, -9]], [[4, 6], [-2, 0], [np.nan, np.nan]]])


@pytest.mark.parametrize(
    ("symbol", "best", "value", "whose"),
    [(None, (10, 20), 5, "mean of A, B"), ("A", (10, 20), 4, "A"), ("B", (10, 20), 6, "B")],
)
def test_the_ring_lies_on_the_best_point(symbol, best, value, whose):
    grid, ring = heat_map(SWEEP, "sharpe", symbol)
    assert (ring["fast"].item(), ring["slow"].item()) == best
    title = heat_map(SWEEP, "sharpe", symbol).opts.get().kwargs["title"]
    assert title == f"sharpe, {whose} · best {value:.2f} at fast {best[0]}, slow {best[1]}"
    assert len(grid) == 5  # the invalid point is left blank


def test_the_colors_lie_evenly_around_zero():
    grid, _ = heat_map(SWEEP, "sharpe", "B")
    assert grid.opts.get().kwargs["clim"] == (-9, 9)


def test_a_map_is_drawn():
    assert hv.render(heat_map(SWEEP, "sharpe")).title.text.startswith("sharpe")


@pytest.mark.parametrize(
    ("sweep", "statistic", "symbol", "error", "told"),
    [
        (SWEEP, "sharp", None, UnknownNameError, "statistic 'sharp'; nearest known: sharpe"),
        (SWEEP, "sharpe", "C", UnknownNameError, "symbol 'C' in the sweep"),
        (SWEEP.isel(fast=0, drop=True), "sharpe", "A", InputError, "needs two parameters .* this sweep has 1"),
        (SWEEP * np.nan, "sharpe", "A", InputError, "sharpe"),
    ],
)
def test_what_cannot_be_drawn_is_told(sweep, statistic, symbol, error, told):
    with pytest.raises(error, match=told):
        heat_map(sweep, statistic, symbol)


def test_an_endless_value_does_not_bleach_the_others():
    endless = sweep_of([[1.0, np.inf], [2.0, 3.0]], fast=[5, 10], slow=[20, 30]).expand_dims(symbol=["A"])
    grid, _ = heat_map(endless, "sharpe", "A")
    assert np.isfinite(grid.opts.get().kwargs["clim"]).all()
