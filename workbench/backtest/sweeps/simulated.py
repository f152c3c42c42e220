"""Blocks of any other strategy: point by point through the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench.backtest.accounts import Account
from workbench.backtest.engine import simulate, simulate_shared, simulate_weights
from workbench.backtest.rebalance import weights_of
from workbench.backtest.run import known_on
from workbench.backtest.statistics import NAMES, statistics
from workbench.backtest.strategy import Strategy
from workbench.backtest.sweeps.blocks import Block, Figures, divided
from workbench.backtest.sweeps.grid import Grid
from workbench.backtest.terms import Terms
from workbench.core.calendar import periods_per_year
from workbench.core.errors import StrategyError
from workbench.core.frames import per_symbol

BASKET = "basket"
"""The one column of a strategy whose symbols share an account."""

CELLS = 32
"""Cells of a block: less than a second of work."""


@dataclass
class SimulatedWork:
    """See ``blocks.Work``.

    Attributes
    ----------
    bars : xarray.Dataset
    grid : Grid
    strategy : Strategy
    terms : Terms
    basket : bool
        All symbols draw on one account, and a point is one cell.
    """

    bars: xr.Dataset
    grid: Grid
    strategy: Strategy
    terms: Terms
    basket: bool

    @property
    def columns(self) -> list[str]:
        """The symbols, or ``basket``."""
        return [BASKET] if self.basket else [str(symbol) for symbol in self.bars["symbol"].to_numpy()]

    @property
    def threads(self) -> int:
        """One: the engine holds the interpreter's lock."""
        return 1

    @property
    def most(self) -> int:
        """Cells of a block, at most."""
        return CELLS

    def blocks(self) -> list[Block]:
        """Return blocks of all columns; the signals of a point are those of all symbols."""
        return divided(self.grid.size, len(self.columns), len(self.columns), 1, CELLS)

    def run(self, block: Block) -> Figures:
        """Return the statistics of a block, shape (12, n_points, n_columns)."""
        found = np.full((len(NAMES), *block.shape), np.nan)
        for place, column, account in self.accounts(block):
            held = account.holdings
            figures = statistics(account.equity, self.terms.cash, held, account.traded, account.trades, self._periods)
            found[:, place, column] = [figures[name] for name in NAMES]
        return found

    def accounts(self, block: Block) -> Iterator[tuple[int, int, Account]]:
        """Yield a point's place in the block, a column and its account, for what is valid and has enough bars."""
        for place, point in enumerate(self.grid.points(block.first, block.last)):
            if self.grid.fault(point) is None:
                signals = signals_at(self.bars, self.strategy, self.grid, point)
                for column, account in self._accounts(signals):
                    yield place, column, account

    def _accounts(self, signals: xr.Dataset) -> Iterator[tuple[int, Account]]:
        known = known_on(signals).any("time").to_numpy()
        if self.basket:
            if known.any():
                yield 0, self._shared(signals)
            return
        entry, leave = self._sides(signals)
        for column, (symbol, frame) in enumerate(self._frames.items()):
            if known[column]:
                own = frame.index
                sides = entry.loc[own, symbol], leave.loc[own, symbol]
                yield column, simulate(frame, *sides, self.terms, self._periods)

    def _shared(self, signals: xr.Dataset) -> Account:
        if "weight" in signals:
            weights = weights_of(signals, self.terms, self.strategy.name)
            return simulate_weights(self._frames, weights, self.terms, self._periods)
        return simulate_shared(self._frames, *self._sides(signals), self.terms, self._periods)

    def _sides(self, signals: xr.Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
        entry, leave = (
            pd.DataFrame(
                side.transpose("time", "symbol").to_numpy(), signals.indexes["time"], signals.indexes["symbol"]
            )
            for side in (signals["entry"], signals["exit"])
        )
        return entry, leave

    @cached_property
    def _frames(self) -> dict[str, pd.DataFrame]:
        return dict(per_symbol(self.bars))

    @cached_property
    def _periods(self) -> float:
        return periods_per_year(self.bars.attrs["interval"], self.bars.attrs["calendar"])


def signals_at(bars: xr.Dataset, strategy: Strategy, grid: Grid, point: dict[str, Any]) -> xr.Dataset:
    """Return a strategy's Signals at one point.

    Raises
    ------
    StrategyError
        If the rule fails there; the point is named.
    """
    try:
        return strategy.signals(bars, **point)
    except StrategyError as error:
        raise StrategyError(f"at {grid.told(point)}: {error}") from error


def shares_an_account(bars: xr.Dataset, strategy: Strategy, grid: Grid, terms: Terms) -> bool:
    """Say whether the symbols share one account: on shared terms, and where the rule gives weights.

    Raises
    ------
    ParameterError
        If no point of the grid is valid.
    StrategyError
    """
    if terms.shared:
        return True
    return "weight" in signals_at(bars, strategy, grid, grid.first_valid())
