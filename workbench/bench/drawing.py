"""The pictures of a workbench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd
    import xarray as xr

    from workbench.core.calendar import Moment


class Drawing:
    """What notebooks and dashboards draw; every figure comes from the rooms below."""

    def studies(self) -> list[str]:
        """Return the names of the indicators that a chart can show."""
        from workbench.analytics.studies import STUDIES

        return list(STUDIES)

    def candles(
        self,
        bars: xr.Dataset,
        symbol: str,
        indicators: Sequence[str] = ("sma", "rsi"),
        *,
        patterns: Sequence[str] | str = (),
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> hv.Layout:
        """Draw one symbol's candles with volume, indicators (see ``studies``) and patterns (see ``patterns``).

        The indicators are computed on all of ``bars``; ``start`` and ``end`` only cut what is drawn. Patterns are those
        that lie within what is drawn.
        """
        from workbench.analytics.patterns import find, table
        from workbench.analytics.studies import study_lines
        from workbench.charts.candles import candlesticks
        from workbench.core.frames import between

        overlays, oscillators = study_lines(bars, indicators)
        shown = between(bars, start, end)
        found = table(find(shown.sel(symbol=[symbol]), patterns)) if patterns else None
        return candlesticks(shown, symbol, overlays, oscillators, patterns=found)

    def lines(self, table: pd.DataFrame, ylabel: str, title: str = "") -> hv.Overlay:
        """Draw each column of a table over time."""
        from workbench.charts.panels import lines, panel

        return panel(lines({str(name): table[name] for name in table}, ylabel), 320, ylabel, title=title)

    def page(self, title: str, sidebar: Sequence[Any], main: Sequence[Any]) -> Any:
        """Return the frame of a Panel app; see ``workbench.charts.page.page``."""
        from workbench.charts.page import page

        return page(title, sidebar, main)

    def pane(self) -> Any:
        """Return an empty Panel pane for pictures, in their look; set its ``object``."""
        from workbench.charts.page import pane

        return pane()

    def place(self) -> Any:
        """Return a place for a picture or a table that changes, in a notebook or on a Voilà page; see ``show``.

        ``workbench.charts.notebook.Place`` says more.
        """
        from workbench.charts.notebook import Place

        return Place()

    def heat_map(self, sweep: xr.Dataset, statistic: str = "sharpe", symbol: str | None = None) -> hv.Overlay:
        """Draw one statistic of a sweep over its two parameters."""
        from workbench.backtest.statistics import best_end
        from workbench.charts.heat import heat_map

        return heat_map(sweep, statistic, symbol, best_end(statistic))
