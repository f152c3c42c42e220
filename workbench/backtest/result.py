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

from workbench.backtest.statistics import returns_of
from workbench.core.errors import UnknownNameError
from workbench.core.provenance import Provenance
from workbench.risk.measures import drawdowns

if TYPE_CHECKING:
    import holoviews as hv

RIGHT = "style='text-align:right;padding-left:16px'"
_PERCENT = {"total_return", "annual_return", "volatility", "max_drawdown", "win_rate", "exposure"}


@dataclass(frozen=True, repr=False)
class BacktestResult:
    """A strategy on real bars, after costs, against buy-and-hold.

    Attributes
    ----------
    strategy : str
    parameters : mapping
        The strategy's parameters, all of them.
    bars, signals : xarray.Dataset
        What it was run on, and what the rule said.
    equity, benchmark_equity : pandas.Series
        Value of the account and of buy-and-hold at each close, in the bars' currency, shape (n_bars,).
    returns : pandas.Series
        Simple returns per bar, shape (n_bars,).
    trades : pandas.DataFrame
        Round trips; see ``workbench.backtest.engine.Account``, with ``symbol`` in front.
    statistics, benchmark : mapping of str to float
        See ``workbench.backtest.statistics.statistics``.
    provenance : Provenance
    """

    strategy: str
    parameters: Mapping[str, Any]
    bars: xr.Dataset
    signals: xr.Dataset
    equity: pd.Series
    returns: pd.Series
    benchmark_equity: pd.Series
    trades: pd.DataFrame
    statistics: Mapping[str, float]
    benchmark: Mapping[str, float]
    provenance: Provenance

    @property
    def symbols(self) -> list[str]:
        """The symbols in the order of the bars."""
        return [str(symbol) for symbol in self.bars["symbol"].to_numpy()]

    def plot(self, symbol: str | None = None) -> hv.Layout:
        """Draw prices with entries and exits, equity against buy-and-hold, and drawdowns.

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
        cash = self.provenance.parameters["cash"]
        equity = {self.strategy: self.equity, "buy and hold": self.benchmark_equity}
        depths = {
            name: pd.Series(drawdowns(returns_of(values, cash)), index=values.index) for name, values in equity.items()
        }
        return backtest_picture(self.bars, chosen, self.trades, equity, depths)

    def table(self) -> pd.DataFrame:
        """Return the statistics beside those of buy-and-hold, shape (12, 2)."""
        return pd.DataFrame({self.strategy: self.statistics, "buy and hold": self.benchmark})

    def to_dict(self) -> dict[str, Any]:
        """Return statistics, benchmark and provenance as plain values; what is not finite becomes ``None``."""
        return {
            "statistics": _finite(self.statistics),
            "benchmark": _finite(self.benchmark),
            "provenance": self.provenance.to_dict(),
        }

    def to_json(self) -> str:
        """Return ``to_dict`` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def __repr__(self) -> str:
        figures = self.table().T.map(lambda value: f"{value:.4g}").T
        return f"{self._heading()}\n{figures.to_string()}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{name.replace('_', ' ')}</th>"
            f"<td {RIGHT}>{_figure(name, self.statistics[name])}</td>"
            f"<td {RIGHT}>{_figure(name, self.benchmark[name])}</td></tr>"
            for name in self.statistics
        )
        head = f"<tr><th></th><th {RIGHT}>{escape(self.strategy)}</th><th {RIGHT}>buy and hold</th></tr>"
        data = self.provenance.data
        note = f"{data['version']} · {data['adjustment']} · workbench {self.provenance.code}"
        return (
            f"<div><strong>{escape(self._heading())}</strong><table><thead>{head}</thead><tbody>{rows}</tbody></table>"
            f"<small>{escape(note)}</small></div>"
        )

    def _heading(self) -> str:
        chosen = ", ".join(f"{name}={_plain(value)}" for name, value in self.parameters.items())
        times = self.bars.indexes["time"]
        span = f"{times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d}"
        return f"{self.strategy}({chosen}) on {', '.join(self.symbols)}, {span}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _figure(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    if name in _PERCENT:
        return f"{value:.1%}"
    return f"{value:,.0f}" if name == "trades" else f"{value:,.2f}"
