"""Histories without their true future: cut off after a bar, or gone on with other prices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.core.errors import InputError
from workbench.core.market import PRICES

Future = Literal["cut off", "replaced"]

_EXTREME = 20
"""A close that is the highest or the lowest of so many bars is a turning point for a rule that looks ahead."""
_BEGINNINGS = 3


def choose_cuts(bars: xr.Dataset, signals: xr.Dataset, cuts: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the bars after which the future is taken away, in order; never the last bar.

    Raises
    ------
    InputError
        For fewer than two bars.
    """
    last = bars.sizes["time"] - 1
    if last < 1:
        raise InputError(f"{bars.sizes['time']} bars are too few to look for the future in them; give a longer range")
    known = signals["strength"].notnull().transpose("time", "symbol").to_numpy()
    first = min(int(known.any(axis=1).argmax()), last - 1)
    fired: NDArray[np.bool_] = (signals["entry"] | signals["exit"]).any("symbol").to_numpy()
    if "weight" in signals:
        fired = fired | signals["weight"].notnull().any("symbol").to_numpy()
    close = pd.DataFrame(bars["close"].transpose("time", "symbol").to_numpy())
    rolling = close.rolling(_EXTREME)
    extreme = ((close == rolling.max()) | (close == rolling.min())).to_numpy()
    turning = np.logical_or.reduce(extreme, axis=1)
    # Where the rule begins to speak of a symbol: a start that was filled from behind shows nowhere else.
    begins = np.unique(known.argmax(axis=0))[:_BEGINNINGS]
    chosen = {min(int(begin), last - 1) for begin in begins}
    for eligible, share in ((fired, 0.4), (turning, 0.3)):
        there = np.flatnonzero(eligible[:last])
        take = min(len(there), int(cuts * share))
        chosen.update(generator.choice(there, take, replace=False).tolist())
    # The rest one from each of equal stretches, so that no part of history is left out.
    edges = np.linspace(first, last, max(cuts - len(chosen), 1) + 1)
    chosen.update(min(int(generator.uniform(low, high)), last - 1) for low, high in pairwise(edges))
    return np.array(sorted(chosen), dtype=np.int64)


def histories(
    bars: xr.Dataset, ends: NDArray[np.int64], generator: np.random.Generator
) -> Iterator[tuple[int, Future, xr.Dataset]]:
    """Yield, for each bar, the history that ends there and the one that goes on with other prices.

    Yields
    ------
    end : int
        The last true bar.
    future : {"cut off", "replaced"}
    bars : xarray.Dataset
    """
    for turn, end in enumerate(ends.tolist()):
        yield end, "cut off", bars.isel(time=slice(end + 1))
        yield end, "replaced", _replaced(bars, end, up=turn % 2 == 0, generator=generator)


def _replaced(bars: xr.Dataset, end: int, *, up: bool, generator: np.random.Generator) -> xr.Dataset:
    """Return bars whose prices go another way after ``end``: a bar keeps its shape and its gaps.

    Each symbol is multiplied by a path of its own, which starts with a jump: up and down by turns, so that both the
    highest and the lowest price of the sample become others.
    """
    shape = (bars.sizes["time"] - end - 1, bars.sizes["symbol"])
    steps = generator.normal(0, 0.03, shape)
    steps[0] += generator.uniform(0.5, 1.5, shape[1]) * (1 if up else -1)
    factor = np.ones((bars.sizes["time"], shape[1]))
    # Bounded, so that a long future stays within what prices can be.
    factor[end + 1 :] = np.exp(np.clip(np.cumsum(steps, axis=0), -5, 5))
    volume = np.ones_like(factor)
    volume[end + 1 :] = np.exp(generator.normal(0, 1, shape))
    changed = {name: bars[name].copy(data=bars[name].to_numpy() * factor) for name in PRICES}
    changed["volume"] = bars["volume"].copy(data=bars["volume"].to_numpy() * volume)
    return bars.assign(changed)
