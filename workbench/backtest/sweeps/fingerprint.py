"""What makes two sweeps the same: the bars' values, the rule's code, the grid, the terms, and the workbench's code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import xarray as xr

from workbench.backtest.strategy import Strategy
from workbench.backtest.sweeps.grid import Grid
from workbench.backtest.terms import Terms
from workbench.core.fingerprint import code_hash
from workbench.core.market import FIELDS
from workbench.core.provenance import code_version, library_versions


def fingerprint(bars: xr.Dataset, strategy: Strategy, grid: Grid, terms: Terms) -> str:
    """Return a name for a sweep, 64 hexadecimal digits; anything that could change a figure changes it.

    Bars count by their values: the moment at which they were asked for does not. A strategy counts by its code, see
    ``workbench.core.fingerprint``; one that closes over objects which do not say what they are has another name in
    each process.

    Parameters
    ----------
    bars : xarray.Dataset
    strategy : Strategy
    grid : Grid
    terms : Terms
    """
    digest = hashlib.sha256()
    for part in _told(bars, strategy, grid, terms):
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def _told(bars: xr.Dataset, strategy: Strategy, grid: Grid, terms: Terms) -> Iterator[str | bytes]:
    yield json.dumps([code_version(), library_versions(), terms.to_dict(), strategy.name], sort_keys=True)
    yield repr((dict(grid.axes), dict(grid.fixed), strategy.direction, strategy.symbols, strategy.fields))
    yield repr([bars.attrs[name] for name in ("interval", "calendar", "fields")])
    yield repr([str(symbol) for symbol in bars["symbol"].to_numpy()])
    yield bars["time"].to_numpy().tobytes()
    for name in FIELDS:
        yield np.ascontiguousarray(bars[name].transpose("time", "symbol").to_numpy(), dtype=np.float64).tobytes()
    yield from (code_hash(function) for function in (strategy.rule, strategy.check, strategy.crosses))
