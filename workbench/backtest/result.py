"""What a backtest found: ours, frozen, and able to show itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from workbench.backtest.figures import figure, plain, words
from workbench.backtest.statistics import returns_of
from workbench.core.errors import UnknownNameError
from workbench.core.provenance import Provenance
from workbench.risk.measures import drawdowns

if TYPE_CHECKING:
    from pathlib import Path

    import holoviews as hv

    from workbench.backtest.strategy import Strategy
    from workbench.backtest.terms import Terms
    from workbench.backtest.trials import Trial
    from workbench.backtest.validation.verdict import Validation

RIGHT = "style='text-align:right;padding-left:16px'"


@dataclass(frozen=True, repr=False)
class BacktestResult:
    """A strategy on real bars, after costs, against a benchmark.

    Attributes
    ----------
    strategy : str
    parameters : mapping
        The strategy's parameters, all of them.
    rule : Strategy
        The strategy itself.
    terms : Terms
        Costs, cash, direction, fill, sizing, stops.
    bars, signals : xarray.Dataset
        What it was run on, and what the rule said, over the time of the account.
    equity, benchmark_equity : pandas.Series
        Value of the account and of the benchmark's at each close, in the bars' currency, shape (n_bars,).
    returns : pandas.Series
        Simple returns per bar, shape (n_bars,).
    benchmark_name : str
        ``"buy and hold"`` of the same symbols, or the symbol that was compared with.
    holdings : pandas.DataFrame
        Shares held at each close, negative when short, NaN where the symbol has no bar, shape (n_bars, n_symbols).
    costs : pandas.DataFrame
        Money paid on each bar: ``commission slippage borrow``, shape (n_bars, 3).
    trades : pandas.DataFrame
        Round trips; see ``workbench.backtest.accounts.Account``.
    statistics, benchmark : mapping of str to float
        See ``workbench.backtest.statistics.statistics``.
    relative : mapping of str to float
        Against the benchmark; see ``workbench.backtest.statistics.relative``.
    provenance : Provenance
    trial : Trial, optional
        Which trial of its idea this is, where trials are counted.
    """

    strategy: str
    parameters: Mapping[str, Any]
    rule: Strategy
    terms: Terms
    bars: xr.Dataset
    signals: xr.Dataset
    equity: pd.Series
    returns: pd.Series
    benchmark_name: str
    benchmark_equity: pd.Series
    holdings: pd.DataFrame
    costs: pd.DataFrame
    trades: pd.DataFrame
    statistics: Mapping[str, float]
    benchmark: Mapping[str, float]
    relative: Mapping[str, float]
    provenance: Provenance
    trial: Trial | None = None

    @property
    def symbols(self) -> list[str]:
        """The symbols in the order of the bars."""
        return [str(symbol) for symbol in self.bars["symbol"].to_numpy()]

    def plot(self, symbol: str | None = None) -> hv.Layout:
        """Draw prices with entries and exits, equity against the benchmark, and drawdowns.

        Parameters
        ----------
        symbol : str, optional
            Whose prices and trades; the first symbol where ``None``.

        Raises
        ------
        UnknownNameError
            For a symbol that was not part of the backtest.
        """
        from workbench.charts.performance import backtest_picture

        chosen = symbol or self.symbols[0]
        if chosen not in self.symbols:
            raise UnknownNameError("symbol", chosen, self.symbols, where="this backtest")
        cash = self.terms.cash
        equity = {self.strategy: self.equity, self.benchmark_name: self.benchmark_equity}
        depths = {
            name: pd.Series(drawdowns(returns_of(values, cash)), index=values.index) for name, values in equity.items()
        }
        return backtest_picture(self.bars, chosen, self.trades, equity, depths)

    def report(self, path: str | Path | None = None, *, validation: Validation | None = None) -> Path:
        """Write the tear sheet, one self-contained HTML page; see ``workbench.backtest.tearsheet.report``."""
        from workbench.backtest.tearsheet import report

        return report(self, path, validation=validation)

    def table(self) -> pd.DataFrame:
        """Return the statistics beside those of the benchmark, shape (12, 2)."""
        return pd.DataFrame({self.strategy: self.statistics, self.benchmark_name: self.benchmark})

    def to_dict(self) -> dict[str, Any]:
        """Return statistics, benchmark and provenance as plain values; what is not finite becomes ``None``."""
        return {
            "statistics": _finite(self.statistics),
            "benchmark": _finite(self.benchmark),
            "relative": _finite(self.relative),
            "trial": self.trial.to_dict() if self.trial else None,
            "provenance": self.provenance.to_dict(),
        }

    def to_json(self) -> str:
        """Return ``to_dict`` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def __repr__(self) -> str:
        figures = self.table().T.map(lambda value: f"{value:.4g}").T
        return "\n".join([self._heading(), figures.to_string(), *([str(self.trial)] if self.trial else [])])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{words(name)}</th>"
            f"<td {RIGHT}>{figure(name, self.statistics[name])}</td>"
            f"<td {RIGHT}>{figure(name, self.benchmark[name])}</td></tr>"
            for name in self.statistics
        )
        head = (
            f"<tr><th></th><th {RIGHT}>{escape(self.strategy)}</th><th {RIGHT}>{escape(self.benchmark_name)}</th></tr>"
        )
        data = self.provenance.data
        note = f"{data['version']} · {data['adjustment']} · workbench {self.provenance.code}"
        standing = f"<div>{escape(str(self.trial))}</div>" if self.trial else ""
        return (
            f"<div><strong>{escape(self._heading())}</strong><table><thead>{head}</thead><tbody>{rows}</tbody></table>"
            f"{standing}<small>{escape(note)}</small></div>"
        )

    def _heading(self) -> str:
        chosen = ", ".join(f"{name}={plain(value)}" for name, value in self.parameters.items())
        times = self.bars.indexes["time"]
        span = f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}"
        return f"{self.strategy}({chosen}) on {', '.join(self.symbols)}, {span}"


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
