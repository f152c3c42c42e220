"""Bars laid out symbol by symbol, and functions of one symbol's own bars applied to all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from workbench.core.errors import ParameterError
from workbench.core.frames import require_fields
from workbench.core.market import FIELDS

Values = str | xr.DataArray
"""A field of the bars by its name, or values of one's own with dims out of ``(time, symbol)``."""

Found = np.ndarray | Sequence[np.ndarray]


class Panel:
    """Bars with each symbol's values side by side in memory, as functions of one symbol read them.

    Parameters
    ----------
    bars : xarray.Dataset
        Bars, shape (n_bars, n_symbols); they are left as they are.
    """

    def __init__(self, bars: xr.Dataset) -> None:
        self.bars = bars
        self._rows: dict[str, np.ndarray] = {}
        self._own: dict[tuple[str, ...], np.ndarray] = {}

    def rows(self, inputs: Sequence[Values], purpose: str) -> list[np.ndarray]:
        """Return each of the inputs as float64 of shape (n_symbols, n_bars).

        Raises
        ------
        InputError
            If the source of the bars lacks a field.
        ParameterError
            If an input is no field, or is not aligned with the bars.
        """
        fields = [values for values in inputs if isinstance(values, str)]
        for field in fields:
            if field not in FIELDS:
                raise ParameterError(
                    f"{purpose} cannot be computed on {field!r}; give a DataArray or one of: {', '.join(FIELDS)}"
                )
        require_fields(self.bars, fields, purpose)
        return [self._row(values) if isinstance(values, str) else self._aligned(values, purpose) for values in inputs]

    def own(self, inputs: Sequence[Values], rows: Sequence[np.ndarray]) -> np.ndarray:
        """Return where all the inputs have a value, shape (n_symbols, n_bars)."""
        fields = tuple(values for values in inputs if isinstance(values, str))
        if len(fields) == len(inputs) and fields in self._own:
            return self._own[fields]
        known: np.ndarray = ~np.isnan(rows[0])
        for values in rows[1:]:
            known &= ~np.isnan(values)
        if len(fields) == len(inputs):
            self._own[fields] = known
        return known

    def _row(self, field: str) -> np.ndarray:
        if field not in self._rows:
            across = self.bars[field].transpose("symbol", "time").to_numpy()
            self._rows[field] = np.ascontiguousarray(across, dtype="float64")
        return self._rows[field]

    def _aligned(self, values: xr.DataArray, purpose: str) -> np.ndarray:
        same = set(values.dims) <= {"time", "symbol"} and all(
            dim in values.indexes and values.indexes[dim].equals(self.bars.indexes[dim]) for dim in values.dims
        )
        if not same or not values.dims:
            raise ParameterError(
                f"the values given to {purpose} have dims {values.dims} or labels other than the bars'; "
                "reindex them to the bars' time and symbol"
            )
        whole = values.broadcast_like(self.bars["close"]).transpose("symbol", "time")
        return np.ascontiguousarray(whole.to_numpy(), dtype="float64")


def lay_out(
    panel: Panel, inputs: Sequence[Values], outputs: Sequence[str], function: Callable[..., Found], purpose: str
) -> xr.Dataset:
    """Apply ``function`` to each symbol's own bars: those at which every one of the inputs has a value.

    Parameters
    ----------
    panel : Panel
        The bars.
    inputs : sequence of str or xarray.DataArray
        What ``function`` takes, in order.
    outputs : sequence of str
        The names of what it gives, in order.
    function : callable
        Takes arrays of shape (n_own_bars,) and gives one such array, or one for each output.
    purpose : str
        The name of the indicator, for errors.

    Returns
    -------
    xarray.Dataset
        The outputs as float64 over ``(time, symbol)``, one time after the other in memory, as compiled readers want
        them; NaN where a symbol has no bar.
    """
    rows = panel.rows(inputs, purpose)
    return over_symbols(panel, rows, panel.own(inputs, rows), outputs, function, by_time=True)


def over_symbols(
    panel: Panel,
    rows: Sequence[np.ndarray],
    own: np.ndarray,
    outputs: Sequence[str],
    function: Callable[..., Found],
    head: int = 0,
    *,
    by_time: bool = False,
) -> xr.Dataset:
    """Apply ``function`` to rows that are laid out already, see ``lay_out``; the result lies symbol by symbol.

    With ``by_time`` it lies time by time. The first ``head`` values of an output of whole numbers are not known yet,
    which it cannot say itself.
    """
    laid = [np.empty(own.shape) for _ in outputs]
    for row, known in enumerate(own):
        if not known.any():
            for values in laid:
                values[row] = np.nan
            continue
        complete = bool(known.all())
        taken = slice(None) if complete else np.flatnonzero(known)
        found = function(*(values[row] if complete else values[row][taken] for values in rows))
        for values, one in zip(laid, found if len(outputs) > 1 else (found,), strict=True):
            if one.dtype.kind == "i":
                one = np.where(np.arange(len(one)) < head, np.nan, one)
            if not complete:
                values[row] = np.nan
            values[row, taken] = one
    across = [np.ascontiguousarray(values.T) if by_time else values.T for values in laid]
    variables = {name: (("time", "symbol"), values) for name, values in zip(outputs, across, strict=True)}
    # Coordinates as they are bring their indexes along; made anew they would be aligned for every indicator.
    return xr.Dataset(variables, coords=panel.bars.coords)
