"""How large a position an entry opens: known at the signal's close, from closes up to it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.backtest.terms import Sizing


def sizes(close: pd.Series, sizing: Sizing, periods: float, side: float = 1.0) -> pd.Series:
    """Return the size of a position that a signal at each close would open.

    - ``all``: 1. ``percent``: its fraction. ``fixed``: its amount of money.
    - ``volatility``: ``target / realised``, at most 1; ``realised`` is the standard deviation (``n - 1``) of the last
      ``window`` simple returns, times the root of ``periods``. Prices that stood still allow 1. Source: A. Moreira and
      T. Muir, "Volatility-Managed Portfolios", J. Finance 72 (2017), equation 1, here with a target of volatility.
    - ``kelly``: ``value * mean / variance`` of the last ``window`` simple returns (for a short, ``mean`` has the other
      sign), from 0 to 1. Where it is zero or less, no position is taken. Source: E. O. Thorp, "The Kelly Criterion in
      Blackjack, Sports Betting, and the Stock Market" (2006), section 7.1, with no interest.

    Parameters
    ----------
    close : pandas.Series
        The symbol's own closes, shape (n_bars,).
    sizing : Sizing
    periods : float
        Bars in a year.
    side : {1.0, -1.0}
        For a long or for a short position.

    Returns
    -------
    pandas.Series
        A fraction of the account's value, or the amount of money for ``fixed``; shape (n_bars,). NaN where there are
        fewer than ``window`` returns: an entry signalled there opens nothing.
    """
    if sizing.kind == "all":
        return pd.Series(1.0, index=close.index)
    if sizing.kind in ("percent", "fixed"):
        return pd.Series(sizing.value, index=close.index)
    rolling = close.pct_change(fill_method=None).rolling(sizing.window)
    with np.errstate(divide="ignore", invalid="ignore"):
        if sizing.kind == "volatility":
            size = sizing.value / (rolling.std() * np.sqrt(periods))
        else:
            size = sizing.value * side * rolling.mean() / rolling.var()
    return pd.Series(size.clip(0.0, 1.0), index=close.index)
