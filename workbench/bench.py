"""The wiring: one object that builds the parts and hands them down. No formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.clock import Clock, utc_now
from workbench.core.market import Adjustment, Direction, Fill
from workbench.core.settings import Settings, load_settings

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd
    import xarray as xr

    from workbench.backtest.result import BacktestResult
    from workbench.backtest.strategies import Strategy
    from workbench.core.calendar import Moment
    from workbench.data.arrivals import Fetched
    from workbench.data.catalog import DataCatalog
    from workbench.data.live.feed import Feed
    from workbench.data.market import MarketData
    from workbench.data.uses import UseKind, UseLedger
    from workbench.jobs.run import Run


class Workbench:
    """Everything that a researcher, a dashboard or a command asks for.

    Parameters
    ----------
    settings : Settings
    clock : callable
        The present instant; every part that needs the time gets this one.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    def __repr__(self) -> str:
        return f"<Workbench at {self.settings.home}, dataset {self.settings.dataset}>"

    @cached_property
    def market(self) -> MarketData:
        """The data room: the catalog's datasets through the store."""
        from workbench.data.market import open_market

        return open_market(self.settings, self.clock)

    @property
    def catalog(self) -> DataCatalog:
        """The catalog: the sample, the store, the providers, and the files in the home's ``catalogs`` folder."""
        return self.market.catalog

    def symbols(self, dataset: str | None = None) -> list[str]:
        """Return the symbols of a dataset."""
        return self.market.symbols(dataset or self.settings.dataset)

    def bars(
        self,
        symbols: Sequence[str] | str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> xr.Dataset:
        """Return Bars of one dataset; see ``workbench.data.market.MarketData.bars``."""
        chosen = dataset or self.settings.dataset
        bars = self.market.bars(symbols, start, end, dataset=chosen, adjust=adjust, as_of=as_of)
        self._used(bars, "run")
        return bars

    def field(
        self,
        name: str,
        symbols: Sequence[str] | str | None = None,
        *,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> pd.DataFrame:
        """Return one field of a dataset, such as ``"close"``, as a wide frame, shape (n_bars, n_symbols)."""
        chosen = dataset or self.settings.dataset
        wide = self.market.field(name, symbols, dataset=chosen, adjust=adjust, as_of=as_of)
        self._used(wide, "run")
        return wide

    def fetch(self, provider: str, symbols: Sequence[str] | str, **wanted: Any) -> Fetched:
        """Bring missing sessions into the store; see ``workbench.data.market.MarketData.fetch``."""
        return self.market.fetch(provider, symbols, **wanted)

    def live(self, symbols: Sequence[str] | str, source: str = "replay", **wanted: Any) -> Feed:
        """Follow symbols, stored or as they trade; see ``workbench.data.market.MarketData.live``."""
        return self.market.live(symbols, source, **{"dataset": self.settings.dataset, **wanted})

    def universe(self, name: str, as_of: Moment | None = None, *, known: Moment | None = None) -> list[str]:
        """Return who was a member on a day, today where none is given; ``known``: by the edition of that moment."""
        return self.market.universes.members(name, as_of, known=known)

    def revisions(self, symbol: str, dataset: str | None = None) -> pd.DataFrame:
        """Return what has changed of a symbol; see ``workbench.data.review.Review.revisions``."""
        return self.market.review.revisions(symbol, dataset or self.settings.dataset)

    def impact(self, dataset: str | None = None) -> pd.DataFrame:
        """Return the runs and results that used rows which were restated or arrived since."""
        return self.market.review.impact(self.uses.list(dataset))

    @cached_property
    def uses(self) -> UseLedger:
        """Which run or result used which rows."""
        from workbench.core.database import open_database
        from workbench.data.uses import UseLedger

        return UseLedger(open_database(self.settings))

    def _used(self, bars: Any, kind: UseKind, name: str = "", chosen: Mapping[str, Any] | None = None) -> None:
        from workbench.data.uses import use_of

        run = self.settings.run
        if run or kind != "run":
            self.uses.record(use_of(bars, kind, name or Path(run).stem, chosen or {}, self.clock(), run or None))

    def strategies(self) -> dict[str, Strategy]:
        """Return the installed strategies by name."""
        from workbench.backtest.strategies import installed

        return installed()

    def backtest(
        self,
        strategy: str | Strategy,
        symbols: Sequence[str] | str | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        direction: Direction = "long",
        fill: Fill = "next_open",
        commission: float | None = None,
        slippage: float | None = None,
        cash: float | None = None,
        record: bool = True,
        **parameters: Any,
    ) -> BacktestResult:
        """Run a strategy on one dataset's bars, after costs, against buy-and-hold.

        Signals are known at a bar's close and filled on the next bar. Costs default to the settings' and are never
        zero unless asked for. ``record=False``: not kept for ``impact``. See ``workbench.backtest.run.backtest``.
        """
        from workbench.backtest.costs import Terms
        from workbench.backtest.run import backtest
        from workbench.backtest.strategies import find_strategy

        found = find_strategy(strategy)
        values = found.validate(parameters)  # told before any data are read
        agreed = Terms.agreed(self.settings, commission, slippage, cash, direction, fill)
        bars = self.bars(symbols, start, end, dataset=dataset, adjust=adjust, as_of=as_of)
        if record:
            self._used(bars, "backtest", found.name, values)
        return backtest(bars, found, values, agreed, created=self.clock())

    def sweep(
        self,
        strategy: str | Strategy,
        symbols: Sequence[str] | str | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        direction: Direction = "long",
        fill: Fill = "next_open",
        commission: float | None = None,
        slippage: float | None = None,
        cash: float | None = None,
        progress: bool = True,
        **grid: Any,
    ) -> xr.Dataset:
        """Run a strategy over a grid of parameters; see ``workbench.backtest.sweep.sweep``."""
        from workbench.backtest.costs import Terms
        from workbench.backtest.strategies import find_strategy
        from workbench.backtest.sweep import sweep

        found = find_strategy(strategy)
        agreed = Terms.agreed(self.settings, commission, slippage, cash, direction, fill)
        bars = self.bars(symbols, start, end, dataset=dataset, adjust=adjust, as_of=as_of)
        result = sweep(bars, found, grid, agreed, progress=progress)
        axes = {name: f"{length} values" for name, length in result.sizes.items() if name in grid}
        self._used(bars, "sweep", found.name, {**grid, **axes})
        return result

    def signals(self, bars: xr.Dataset, strategies: Sequence[str | Strategy] | None = None) -> pd.DataFrame:
        """Return what strategies say at each symbol's last bar; see ``workbench.backtest.strategies.last_signals``."""
        from workbench.backtest.strategies import find_strategy, last_signals

        return last_signals(bars, [find_strategy(name) for name in strategies or self.strategies()])

    def indicators(self) -> list[str]:
        """Return the names of the indicators that a chart can show."""
        from workbench.analytics.studies import STUDIES

        return list(STUDIES)

    def candles(
        self,
        bars: xr.Dataset,
        symbol: str,
        indicators: Sequence[str] = ("sma", "rsi"),
        *,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> hv.Layout:
        """Draw one symbol's candles with volume and indicators (see ``indicators``).

        The indicators are computed on all of ``bars``; ``start`` and ``end`` only cut what is drawn.
        """
        from workbench.analytics.studies import study_lines
        from workbench.charts.candles import candlesticks
        from workbench.core.frames import between

        overlays, oscillators = study_lines(bars, indicators)
        return candlesticks(between(bars, start, end), symbol, overlays, oscillators)

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

    def figure_widget(self, figure: Any) -> Any:
        """Return a Jupyter widget that shows a picture, for a Voilà dashboard."""
        from workbench.charts.notebook import figure_widget

        return figure_widget(figure)

    def heat_map(self, sweep: xr.Dataset, statistic: str = "sharpe", symbol: str | None = None) -> hv.Overlay:
        """Draw one statistic of a sweep over its two parameters."""
        from workbench.backtest.statistics import best_end
        from workbench.charts.heat import heat_map

        return heat_map(sweep, statistic, symbol, best_end(statistic))

    def run(
        self,
        notebook: str | Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        output: str | Path | None = None,
        progress: bool = True,
        show_code: bool = False,
    ) -> Run:
        """Run a notebook with parameters and keep it beside its HTML report; see ``workbench.jobs.run.run``."""
        from workbench.jobs.run import run

        self.settings.require_home()
        folder = Path(output or self.settings.reports)
        own: dict[str, Any] = {"environment": self.settings.environment(), "clock": self.clock}
        return run(Path(notebook), parameters or {}, folder, progress=progress, show_code=show_code, **own)


def open_workbench(settings: Settings | None = None, **overrides: Any) -> Workbench:
    """Open a workbench, and let the running notebook draw without the network.

    Parameters
    ----------
    settings : Settings, optional
        Read from ``WORKBENCH_*`` and ``workbench.toml`` where ``None``.
    overrides
        Single settings, such as ``home="..."``.

    Raises
    ------
    ParameterError
        If a setting is not valid.
    """
    from workbench.charts.notebook import register

    register()
    return Workbench(settings or load_settings(**overrides))
