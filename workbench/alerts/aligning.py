"""The readings of a composition's parts: put side by side, and taken out again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray


def part_of(own: xr.Dataset, place: int) -> xr.Dataset:
    """Return a part's reading out of that of a composition, of any shape."""
    start = f"{place}:"
    names = {str(name): str(name)[len(start) :] for name in own.data_vars if str(name).startswith(start)}
    return own[list(names)].rename(names).assign_attrs(own.attrs["parts"][place])


def aligned(reading: xr.Dataset, times: pd.Index) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Return a reading at other times, each as at the symbol's last own bar by then, and where it looks itself."""
    looks = reading["here"].transpose("time", "symbol").to_numpy()
    if not len(looks):
        return _nothing((len(times), looks.shape[1]))
    rows = reading.indexes["time"].searchsorted(times, side="right") - 1
    own = np.maximum.accumulate(np.where(looks, np.arange(len(looks))[:, None], -1), axis=0)
    place = np.where((rows >= 0)[:, None], own[np.maximum(rows, 0)], -1)
    begun = place >= 0
    found = {
        str(name): np.take_along_axis(_laid_out(each, reading), np.maximum(place, 0), axis=0)
        for name, each in reading.data_vars.items()
    }
    unknown = {name: np.where(begun, found[name], np.nan) for name in ("value", "gap")}
    there = {name: found[name] & begun for name in ("holds", "here")}
    exact = begun & (reading.indexes["time"].to_numpy()[place] == times.to_numpy()[:, None])
    return found | unknown | there, exact


def _nothing(shape: tuple[int, int]) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Return what is known where a rule has not looked at any time yet."""
    unknown = {name: np.full(shape, np.nan) for name in ("value", "level", "gap")}
    return unknown | {name: np.zeros(shape, dtype=bool) for name in ("holds", "here")}, np.zeros(shape, dtype=bool)


def _laid_out(each: xr.DataArray, reading: xr.Dataset) -> NDArray[Any]:
    return each.broadcast_like(reading["here"]).transpose("time", "symbol").to_numpy()
