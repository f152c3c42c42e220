"""The pictures of a tear sheet: growth and drawdown, rolling figures, and how returns are distributed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd

from workbench.charts.panels import BACKEND, FINE_PERCENT, MONEY, PERCENT, drawdown_panel, line, panel, stack, ticks
from workbench.charts.theme import ACCENT, GRID, MUTED

MANIFOLD = 3.0
"""From this growth on an even scale would flatten the beginning."""

# Without the wheel: it scrolls the page.
_STILL: dict[str, Any] = {"default_tools": ["xpan", "xbox_zoom", "reset", "save"], "active_tools": []}


def growth_picture(
    equity: Mapping[str, pd.Series], drawdown: Mapping[str, pd.Series], currency: str
) -> tuple[hv.Layout, bool]:
    """Draw equity above drawdowns.

    Parameters
    ----------
    equity, drawdown : mapping of str to pandas.Series
        Strategy first, then the benchmark or nothing else: value in ``currency`` and return from the running peak, by
        label.
    currency : str

    Returns
    -------
    picture : holoviews.Layout
    even : bool
        Whether the scale of equity is even; it is logarithmic where the values differ threefold and none is zero.
    """
    lowest = min(float(values.min()) for values in equity.values())
    highest = max(float(values.max()) for values in equity.values())
    even = lowest <= 0 or highest / lowest < MANIFOLD
    scale: dict[str, Any] = {} if even else {"logy": True, "autorange": None, "yticks": _round_ticks(lowest, highest)}
    top = panel(_curves(equity, "equity"), 300, f"equity, {currency}", yformatter=ticks(MONEY), **_STILL, **scale)
    return stack([top, drawdown_panel(drawdown, 140, padding=(0.01, 0.05), **_STILL)]), even


def rolling_picture(sharpe: Mapping[str, pd.Series], volatility: Mapping[str, pd.Series]) -> hv.Layout:
    """Draw Sharpe ratios above volatilities, over a window that moves.

    Parameters
    ----------
    sharpe, volatility : mapping of str to pandas.Series
        Strategy first, then the benchmark or nothing else; scaled to a year, NaN where there is none.
    """
    zero = hv.HLine(0).opts(color=GRID, line_width=1, line_dash="dotted", backend=BACKEND)
    top = panel([zero, *_curves(sharpe, "Sharpe ratio")], 190, "Sharpe ratio", **_STILL)
    low = panel(
        _curves(volatility, "volatility"), 150, "volatility", yformatter=ticks(PERCENT), show_legend=False, **_STILL
    )
    return stack([top, low])


def distribution_picture(returns: pd.Series) -> hv.Overlay:
    """Draw how often returns per bar, shape (n_bars,), lie where, and their mean.

    Returns of zero, those of a flat account, are left out, and NaN is. Where nothing is left the picture is empty.
    """
    values = returns[returns.notna() & (returns != 0)].to_numpy()
    counts, edges = _counted(values) if len(values) else (np.zeros(1, dtype=int), np.array([-0.01, 0.01]))
    bars = hv.Histogram((edges, counts), kdims=["returns"], vdims=["bars"])
    bars = bars.opts(color=ACCENT, fill_alpha=0.55, line_color=ACCENT, line_width=0.5, backend=BACKEND)
    # Without returns there is no mean.
    means = [float(values.mean())] if len(values) else []
    marks = [hv.VLine(mean).opts(color=MUTED, line_width=1.5, line_dash="dashed", backend=BACKEND) for mean in means]
    options = {
        "xformatter": ticks(FINE_PERCENT),
        "padding": (0.01, (0, 0.08)),
        "autorange": None,
        "show_legend": False,
    }
    return panel([bars, *marks], 240, "bars", **{**_STILL, **options})


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of at least one value lie in each bin, and the bins' edges."""
    # Freedman and Diaconis (1981), within what a picture of this width can show.
    spread = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
    width = 2 * spread / len(values) ** (1 / 3)
    number = int(np.clip(np.ptp(values) / width if width else 10, 10, 80))
    return np.histogram(values, bins=number)


def _curves(series: Mapping[str, pd.Series], axis: str) -> list[hv.Curve]:
    """Return the lines, the first on top of the others."""
    curves = [line(values, name, MUTED if i else ACCENT, axis) for i, (name, values) in enumerate(series.items())]
    return curves[::-1]


def _round_ticks(lowest: float, highest: float) -> list[float]:
    """Return round values between two, near enough to each other to read a logarithmic scale."""
    powers = range(int(np.floor(np.log10(lowest))), int(np.ceil(np.log10(highest))) + 1)
    wide = highest / lowest > 200
    steps = (1.0,) if highest / lowest > 1e5 else (1.0, 3.0) if wide else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if 0.8 * lowest <= tick <= 1.2 * highest]
