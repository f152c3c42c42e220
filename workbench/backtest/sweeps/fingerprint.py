"""What makes two sweeps the same: the bars' values, the rule's code, the grid, the terms, and the workbench's code."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator

import numpy as np
import xarray as xr

from workbench.backtest.strategy import Strategy
from workbench.backtest.sweeps.grid import Grid
from workbench.backtest.terms import Terms
from workbench.core.code_hash import code_hash
from workbench.core.market import FIELDS
from workbench.core.provenance import code_version, library_versions


def fingerprint(bars: xr.Dataset, strategy: Strategy, grid: Grid, terms: Terms) -> str:
    """Return a name for a sweep, 64 hexadecimal digits; anything that could change a figure changes it.

    Bars count by their values: the moment at which they were asked for does not. A strategy counts by its code and
    the data that it holds, see ``workbench.core.code_hash``; one that holds what cannot be read has another name each
    time, so that it is never resumed.

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
    for function in (strategy.rule, strategy.check, strategy.crosses):
        yield code_hash(function) or secrets.token_hex(16)
