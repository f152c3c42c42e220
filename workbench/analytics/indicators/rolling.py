"""Windows over one symbol's own bars."""

from __future__ import annotations

import numpy as np

from workbench.core.errors import ParameterError


def windows(values: np.ndarray, window: int) -> np.ndarray:
    """Return for each value the ``window`` values up to and including it.

    Each window is seen on its own, so that no rounding is carried from one to the next.

    Returns
    -------
    numpy.ndarray
        Shape (n, window); a row has NaN where it begins before the first value.
    """
    padded = np.concatenate([np.full(window - 1, np.nan), values])
    return np.lib.stride_tricks.sliding_window_view(padded, window)


def check_window(indicator: str, name: str, value: int, *, at_least: int) -> None:
    """Raise ``ParameterError`` where a number of bars is no whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
        raise ParameterError(
            f"{indicator} does not take {name}={value!r}; give a whole number of bars from {at_least} on"
        )
