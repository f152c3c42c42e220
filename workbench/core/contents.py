"""What arrays and tables hold, told in parts that can be hashed one by one.

Each function returns ``None`` for what it does not know. The libraries are imported when one of their objects is met.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any


class UnreadableError(Exception):
    """Something that does not say what it holds."""


def of_numpy(value: Any) -> list[Any] | None:
    """Return dtype, shape and values of an array or a scalar; of objects one by one, as their bytes are addresses."""
    import numpy as np

    if type(value) is not np.ndarray and not isinstance(value, np.generic):
        return None
    if value.dtype.hasobject:
        return [str(value.dtype), value.shape, value.ravel().tolist() if value.shape else [value.item()]]
    return [str(value.dtype), value.shape, sha256(value.tobytes()).hexdigest()]


def of_pandas(value: Any) -> list[Any] | None:
    """Return labels and values of a table, a column, an index or an extension array."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        columns = [value.iloc[:, place] for place in range(value.shape[1])]
        return [value.index, value.columns, value.attrs, *(_column(each) for each in columns)]
    if isinstance(value, pd.Series):
        return [value.index, value.name, value.attrs, *_column(value)]
    if isinstance(value, pd.MultiIndex):
        return [list(value.names), *(value.get_level_values(place) for place in range(value.nlevels))]
    if isinstance(value, pd.Index):
        return [value.name, getattr(value, "freqstr", None), *_column(pd.Series(value))]
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return list(_column(pd.Series(value)))
    return None


def _column(column: Any) -> tuple[Any, ...]:
    """Return the dtype and the values of a column."""
    import numpy as np
    import pandas as pd

    if isinstance(column.dtype, np.dtype):
        return str(column.dtype), column.to_numpy()
    categories = (column.cat.categories, column.cat.ordered) if column.dtype.name == "category" else ()
    try:
        rows = pd.util.hash_pandas_object(column, index=False).to_numpy()
    except Exception as error:
        raise UnreadableError(str(column.dtype)) from error
    return str(column.dtype), *categories, rows


def of_xarray(value: Any) -> list[Any] | None:
    """Return names, dimensions, coordinates and values."""
    import xarray as xr

    if isinstance(value, xr.Dataset):
        return [value.attrs, dict(value.sizes), list(value.coords), dict(value.variables)]
    if isinstance(value, xr.DataArray):
        return [value.name, value.variable, {name: each.variable for name, each in value.coords.items()}]
    if isinstance(value, xr.Variable):
        return [value.dims, value.attrs, value.to_numpy()]
    return None
