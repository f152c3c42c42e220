"""When a basket is rebalanced: a date is known from the bars that there were, never from those to come."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

Every = Annotated[
    Literal["month", "quarter", "year", "never"] | Annotated[int, Field(ge=1, le=2000)],
    Field(description="rebalanced at the first bar of each, or every so many bars"),
]
PERIODS = {"month": "M", "quarter": "Q", "year": "Y"}


def rebalancing(ready: NDArray[np.bool_], times: pd.DatetimeIndex, every: Every) -> NDArray[np.bool_]:
    """Say at which bars a basket is rebalanced.

    Parameters
    ----------
    ready : numpy.ndarray of bool
        Whether the rule can say anything at a bar, shape (n_bars,).
    times : pandas.DatetimeIndex
        The bars' times in UTC, shape (n_bars,).
    every : {"month", "quarter", "year", "never"} or int
        From the first bar that is ready on: at it, and at the first bar of each new period in UTC, or every so many
        bars. That a bar is the last of its month is known only later, so it is never asked.

    Returns
    -------
    numpy.ndarray of bool
        Shape (n_bars,).
    """
    due = np.zeros(len(times), dtype=bool)
    if not ready.any():
        return due
    first = int(ready.argmax())
    due[first] = True
    if isinstance(every, int):
        due[first::every] = True
    elif every != "never":
        period = np.asarray(times.to_period(PERIODS[every]).asi8)
        due[first + 1 :] = period[first + 1 :] != period[first:-1]
    return due & ready
