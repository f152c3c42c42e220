"""The research side of a workbench: backtests, sweeps, and what tells luck from skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.bench.desk import Desk
from workbench.core.errors import ParameterError, UnknownNameError
from workbench.core.known import within
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.backtest.result import BacktestResult
    from workbench.backtest.strategy import Strategy
    from workbench.backtest.terms import Terms
    from workbench.backtest.trials import Standing, TrialKind, TrialLedger
    from workbench.core.calendar import Moment

Symbols = Sequence[str] | str | None


class Research(Desk):
    """What proves an idea.

    Every method takes a strategy (a name, or what ``wb.strategy`` made), symbols of one dataset or Bars, and in one go
    the strategy's parameters and the terms: ``commission slippage borrow cash direction fill size stop_loss
    take_profit trailing_stop shared`` (see ``workbench.backtest.terms``). What is not given comes from the settings;
    costs are never zero unless asked for. Every look is counted as a trial of its ``hypothesis``, by default the
    strategy's name.
    """

    @cached_property
    def trials(self) -> TrialLedger:
        """How often each idea was tried."""
        from workbench.backtest.trials import TrialLedger

        return TrialLedger(self.records, self.clock)

    def strategies(self) -> dict[str, Strategy]:
        """Return the installed strategies by name."""
        from workbench.backtest.strategy import installed

        return installed()

    def backtest(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        benchmark: str | None = None,
        hypothesis: str | None = None,
        record: bool = True,
        **given: Any,
    ) -> BacktestResult:
        """Run a strategy after costs, against buy-and-hold or another symbol.

        Signals are known at a bar's close and filled on the next bar.

        Parameters
        ----------
        strategy : str or Strategy
        symbols : sequence of str, str or xarray.Dataset, optional
            Symbols of the dataset, all of it where ``None``; or Bars, such as converted ones.
        start, end, dataset, adjust, as_of
            Which bars; see ``bars``.
        benchmark : str, optional
            A symbol to compare with, of the same dataset or written as ``dataset/symbol``.
        hypothesis : str, optional
            The idea under which the trial is counted.
        record : bool
            Kept for ``impact``; a dashboard that redraws leaves it out. It is counted as a trial all the same.
        given
            The strategy's parameters and the terms.

        Returns
        -------
        BacktestResult

        Raises
        ------
        UnknownNameError, ParameterError
            For names and values that are not valid.
        InputError
            If there are too few bars, or the dataset lacks what the fill or the strategy needs.
        """
        from workbench.backtest.run import backtest
        from workbench.backtest.trials import trial_of

        found, terms, parameters = self._agreed(strategy, given)
        values = found.validate(parameters)  # told before any data are read
        span = {"start": start, "end": end, "dataset": dataset, "adjust": adjust, "as_of": as_of}
        bars = self._bars(symbols, span)
        against = self._benchmark(benchmark, bars, span)
        result = backtest(bars, found, values, terms, created=self.clock(), benchmark=against)
        if record:
            self._used(bars, "backtest", found.name, values)
        standing = self._count(hypothesis, found, "backtest", bars, result.statistics["sharpe"], len(result.returns))
        return replace(result, trial=trial_of(result.returns, standing))

    def sweep(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        hypothesis: str | None = None,
        progress: bool = True,
        cluster: Any = None,
        **given: Any,
    ) -> xr.Dataset:
        """Run a strategy over a grid of parameters; see ``workbench.backtest.sweeps.sweep.sweep``.

        Parameters
        ----------
        strategy, symbols, start, end, dataset, adjust, as_of, hypothesis
            As in ``backtest``. Each symbol has the whole of the cash.
        progress : bool
            Show a progress bar. A long sweep that is interrupted goes on where it was when it is asked for again.
        cluster : dask.distributed cluster or client, optional
            Where to compute; threads of this machine where ``None``.
        given
            For each of the strategy's parameters a value or values; and the terms.

        Returns
        -------
        xarray.Dataset
            Each statistic over the parameters with several values, and ``symbol``.
        """
        import numpy as np
        import xarray as xr

        from workbench.backtest.sweeps.sweep import sweep

        found, terms, grid = self._agreed(strategy, given)
        span = {"start": start, "end": end, "dataset": dataset, "adjust": adjust, "as_of": as_of}
        bars = self._bars(symbols, span)
        folder = self.settings.home / "sweeps"
        result = sweep(bars, found, grid, terms, progress=progress, folder=folder, cluster=cluster)
        axes = {name: f"{length} values" for name, length in result.sizes.items() if name in grid}
        self._used(bars, "sweep", found.name, {**grid, **axes})
        # A sweep without any figure is no look.
        valid = np.isfinite(result["total_return"].to_numpy())
        # Each cell is measured on its symbol's own bars; the one account of a basket, on all of them.
        own = bars["close"].count("time").reindex(symbol=result["symbol"], fill_value=bars.sizes["time"])
        n_bars = own.broadcast_like(result["sharpe"]).transpose(*result["sharpe"].dims).to_numpy()
        self._count(hypothesis, found, "sweep", bars, result["sharpe"].to_numpy()[valid], n_bars[valid])
        times = bars.indexes["time"]
        span = {"first_bar": times[0].isoformat(), "last_bar": times[-1].isoformat(), "as_of": bars.attrs["as_of"]}
        span["hypothesis"] = found.name if hypothesis is None else hypothesis
        span["own_bars"] = isinstance(symbols, xr.Dataset)
        return result.assign_attrs(**span, symbols=[str(symbol) for symbol in bars["symbol"].to_numpy()])

    def open_cell(
        self,
        sweep: xr.Dataset,
        *,
        strategy: Strategy | None = None,
        bars: xr.Dataset | None = None,
        **selection: Any,
    ) -> BacktestResult:
        """Run one cell of a sweep again as a full result; it was counted as a trial by the sweep.

        Parameters
        ----------
        sweep : xarray.Dataset
            What ``sweep`` returned.
        strategy : Strategy, optional
            The strategy where it is no installed one.
        bars : xarray.Dataset, optional
            The Bars where the sweep was given Bars.
        selection
            ``symbol`` and a value for each axis.

        Raises
        ------
        UnknownNameError, ParameterError
            For a name that is no axis, or a value that is not on it.
        """
        import numpy as np

        from workbench.backtest.run import backtest
        from workbench.backtest.strategy import find_strategy
        from workbench.backtest.sweeps.cells import cell_bars, cell_parameters
        from workbench.backtest.terms import CHOICES, Terms
        from workbench.backtest.trials import trial_of

        told = sweep.attrs
        found = find_strategy(strategy or told["strategy"])
        values = cell_parameters(sweep, **selection)
        columns = [str(symbol) for symbol in np.ravel(sweep["symbol"].to_numpy())]
        if len(columns) > 1 and "symbol" not in selection:
            raise ParameterError(f"the cell has no symbol; give one of {', '.join(columns[:8])}")
        column = selection.get("symbol", columns[0])
        if bars is None and told["own_bars"]:
            raise ParameterError("the sweep was run on Bars of your own; give them: open_cell(sweep, bars=...)")
        if bars is None:
            span = {"start": told["first_bar"], "end": told["last_bar"], "as_of": told["as_of"]}
            bars = self.bars(told["symbols"], **span, dataset=told["dataset"], adjust=told["adjustment"])
        terms = Terms.agreed(self.settings, **{name: told[name] for name in CHOICES if name in told})
        result = backtest(cell_bars(bars, column), found, values, terms, created=self.clock())
        return replace(result, trial=trial_of(result.returns, self.trials.standing(told["hypothesis"])))

    def signals(
        self,
        symbols: Symbols = None,
        strategies: Sequence[str | Strategy] | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> pd.DataFrame:
        """Return what strategies say at each symbol's last bar; see ``workbench.backtest.strategy.last_signals``.

        Parameters
        ----------
        symbols : sequence of str or str, optional
            All of the dataset where ``None``.
        strategies : sequence, optional
            All installed ones that these bars are enough for, with their defaults, where ``None``.
        start, end, dataset, adjust, as_of
            Which bars; ``as_of`` takes what was known then.
        """
        from workbench.backtest.strategy import find_strategy, last_signals

        bars = self.bars(symbols, start, end, dataset=dataset, adjust=adjust, as_of=as_of)
        chosen = None if strategies is None else [find_strategy(name) for name in strategies]
        return last_signals(bars, chosen)

    def _agreed(self, strategy: str | Strategy, given: Mapping[str, Any]) -> tuple[Strategy, Terms, dict[str, Any]]:
        """Return the strategy, the terms, and what is left: the strategy's parameters."""
        from workbench.backtest.strategy import find_strategy
        from workbench.backtest.terms import CHOICES, Terms

        found = find_strategy(strategy)
        for name in given:
            if name not in CHOICES and name not in found.parameters.model_fields:
                known = [*found.parameters.model_fields, *CHOICES]
                raise UnknownNameError("parameter", name, known, where=f"strategy {found.name!r} and the terms")
        chosen = {name: value for name, value in given.items() if name in CHOICES and value is not None}
        chosen.setdefault("direction", found.direction)
        return found, Terms.agreed(self.settings, **chosen), {n: v for n, v in given.items() if n not in CHOICES}

    def _bars(self, symbols: Any, span: Mapping[str, Any]) -> xr.Dataset:
        import xarray as xr

        from workbench.core.frames import between, validate_bars

        if isinstance(symbols, xr.Dataset):
            for name in ("dataset", "as_of"):
                if span[name] is not None:
                    raise ParameterError(
                        f"{name}={span[name]!r} does not go with Bars, which have their own; leave it out"
                    )
            own = validate_bars(symbols)
            within(own.attrs["as_of"], "the as_of of these Bars,")
            return between(own, span["start"], span["end"])
        return self.bars(symbols, **span)

    def _benchmark(self, name: str | None, bars: xr.Dataset, span: Mapping[str, Any]) -> xr.Dataset | None:
        if name is None:
            return None
        dataset, _, symbol = name.rpartition("/")
        asked = {**span, "dataset": dataset or span["dataset"] or bars.attrs["dataset"]}
        return self.bars([symbol], **asked)

    def _count(
        self, hypothesis: str | None, found: Strategy, kind: TrialKind, bars: xr.Dataset, sharpes: Any, n_bars: Any
    ) -> Standing:
        """Count trials by their annual Sharpe ratios, of any shape, and the bars that each was measured on."""
        from workbench.core.calendar import periods_per_year

        a_year = periods_per_year(bars.attrs["interval"], bars.attrs["calendar"])
        return self._note(hypothesis, found, kind, sharpes, n_bars, a_year)

    def _note(
        self, hypothesis: str | None, found: Strategy, kind: TrialKind, sharpes: Any, n_bars: Any, periods: float = 1.0
    ) -> Standing:
        """Count trials by their Sharpe ratios per bar, or scaled to ``periods`` bars."""
        run = self.settings.run or None
        return self.trials.record(
            found.name if hypothesis is None else hypothesis, kind, sharpes, n_bars=n_bars, periods=periods, run=run
        )
