"""Every indicator by name: TA-Lib's in capitals, ours in small letters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pandas as pd
import xarray as xr

from workbench.analytics.indicators.candles import heikin_ashi
from workbench.analytics.indicators.channels import donchian, keltner
from workbench.analytics.indicators.computing import compute
from workbench.analytics.indicators.named import atr, bollinger, ema, macd, rsi, sma, stddev
from workbench.analytics.indicators.reference import describe, names
from workbench.analytics.indicators.trend import ichimoku, supertrend
from workbench.analytics.indicators.volatility import realised_volatility
from workbench.analytics.indicators.volume import vwap
from workbench.core.errors import ParameterError, UnknownNameError

_OWN: tuple[Callable[..., xr.Dataset | xr.DataArray], ...] = (
    *(atr, bollinger, donchian, ema, heikin_ashi, ichimoku, keltner, macd, realised_volatility, rsi, sma, stddev),
    *(supertrend, vwap),
)
OWN = {function.__name__: function for function in _OWN}
"""The indicators that are functions here, by name."""


def table(text: str = "") -> pd.DataFrame:
    """Return the indicators whose name, group or description has ``text``.

    Returns
    -------
    pandas.DataFrame
        By name: ``group``, ``description`` and ``parameters`` with their defaults.
    """
    rows = [(name, "Workbench", _first_line(function), _defaults(function)) for name, function in OWN.items()]
    for name in names():
        about = describe(name)
        given = {**about.choosable, **{one.name: one.default for one in about.parameters}}
        rows.append((name, about.group, about.title, ", ".join(f"{key}={value}" for key, value in given.items())))
    found = [row for row in rows if text.lower() in " ".join(row[:3]).lower()]
    return pd.DataFrame(found, columns=["name", "group", "description", "parameters"]).set_index("name")


def indicator(name: str, bars: xr.Dataset, **given: Any) -> xr.Dataset:
    """Compute an indicator by its name.

    Parameters
    ----------
    name : str
        Out of ``table``.
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols).
    given
        Its parameters.

    Returns
    -------
    xarray.Dataset
        A variable for each output, shape (n_bars, n_symbols).

    Raises
    ------
    UnknownNameError, ParameterError
        For a name, or a parameter, that there is none of.
    InputError
        If the dataset lacks a field.
    """
    if name not in OWN:
        if name.upper() not in names():
            raise UnknownNameError("indicator", name, [*OWN, *names()])
        return compute(name, bars, **given)
    known = list(inspect.signature(OWN[name]).parameters)[1:]
    for key in given:
        if key not in known:
            raise ParameterError(f"{name} has no parameter {key!r}; it takes: {', '.join(known) or 'none'}")
    found = OWN[name](bars, **given)
    return found if isinstance(found, xr.Dataset) else found.to_dataset(name=name)


def _first_line(function: Callable[..., Any]) -> str:
    line = (inspect.getdoc(function) or "").splitlines()[0]
    return line.removeprefix("Return ").removeprefix("the ").split(";")[0].rstrip(".")


def _defaults(function: Callable[..., Any]) -> str:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return ", ".join(f"{each.name}={each.default}" for each in parameters)
