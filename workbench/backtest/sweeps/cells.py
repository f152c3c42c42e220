"""A cell of a sweep on its own: its parameters, and the bars to run it on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from workbench.backtest.sweeps.simulated import BASKET
from workbench.core.errors import ParameterError, UnknownNameError


def cell_parameters(sweep: xr.Dataset, **selection: Any) -> dict[str, Any]:
    """Return all parameters of one cell of a sweep.

    Parameters
    ----------
    sweep : xarray.Dataset
        What ``sweep`` returned, or a selection of it.
    selection
        A value for each axis that is left; an axis of a single value needs none. ``symbol`` is looked up, too.

    Returns
    -------
    dict
        As the strategy takes them: those of the grid, and the defaults of the others at the time of the sweep.

    Raises
    ------
    UnknownNameError
        For a name that is no axis of the sweep.
    ParameterError
        For an axis without a value, or a value that is not on it.
    """
    fixed: dict[str, Any] = json.loads(sweep.attrs["parameters"])
    axes = [name for name in sweep.coords if name not in ("symbol", "time")]
    for name in selection:
        if name not in axes and name not in fixed and name != "symbol":
            raise UnknownNameError("parameter", name, [*map(str, axes), *fixed], where="this sweep")
    for name in {"symbol", *fixed} & set(selection):
        known = np.ravel(sweep["symbol"].to_numpy()).tolist() if name == "symbol" else [fixed[name]]
        _on_axis(name, selection[name], known)
    chosen = {str(name): _chosen(sweep, str(name), selection) for name in axes}
    return {**fixed, **chosen}


def cell_bars(bars: xr.Dataset, symbol: str) -> xr.Dataset:
    """Return the bars that a cell of ``symbol`` was run on: its own, without the times at which it has none.

    All of ``bars`` for the column ``"basket"``.

    Raises
    ------
    UnknownNameError
        If the symbol is not among the bars.
    """
    if symbol == BASKET:
        return bars
    known = [str(name) for name in bars["symbol"].to_numpy()]
    if symbol not in known:
        raise UnknownNameError("symbol", symbol, known, where="these bars")
    own = bars.sel(symbol=[symbol])
    return own.isel(time=np.flatnonzero(own["close"].notnull().to_numpy()))


def _chosen(sweep: xr.Dataset, name: str, selection: dict[str, Any]) -> Any:
    values = np.ravel(sweep[name].to_numpy()).tolist()
    if name in selection:
        return _on_axis(name, selection[name], values)
    if len(values) == 1:
        return values[0]
    raise ParameterError(f"the cell has no {name}; give one of {_some(values)}")


def _on_axis(name: str, value: Any, values: list[Any]) -> Any:
    found = [each for each in values if each == value]
    if not found:
        raise ParameterError(f"{name}={value!r} is not on the sweep's axis; give one of {_some(values)}")
    return found[0]


def _some(values: list[Any]) -> str:
    shown = [str(value) for value in values[:8]]
    return ", ".join([*shown, f"... {values[-1]}"] if len(values) > len(shown) else shown)
