"""The magics themselves: each reads its line, asks the bench, and shows the answer."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from workbench.core.errors import ParameterError
from workbench.core.known import limit
from workbench.lab.kernels.banner import served
from workbench.lab.magics.cells import strategy_of
from workbench.lab.magics.options import backtest_line, signals_line
from workbench.lab.magics.sentences import in_a_sentence
from workbench.lab.magics.signal_table import SignalTable

if TYPE_CHECKING:
    from workbench.backtest.result import BacktestResult
    from workbench.backtest.strategy import Strategy
    from workbench.bench import Workbench
    from workbench.data.catalog import DataCatalog


@magics_class
class WorkbenchMagics(Magics):
    """``%asof``, ``%backtest``, ``%%backtest``, ``%catalog`` and ``%signals``, on the notebook's ``bench``."""

    shell: Any
    """IPython's shell: there is one, as these magics are made with it."""

    @property
    def bench(self) -> Workbench:
        """The notebook's ``bench``; one of the settings where it has none."""
        from workbench.bench import Workbench

        own = self.shell.user_ns.get("bench")
        return own if isinstance(own, Workbench) else self._opened

    @cached_property
    def _opened(self) -> Workbench:
        from workbench.bench import open_workbench

        return open_workbench()

    @line_magic
    @in_a_sentence
    def asof(self, line: str) -> None:
        """Serve only what was known at a moment, in everything that is read from now on.

        ::

            %asof                     show the limit
            %asof 2015-06-30          what was known by the end of that day, UTC
            %asof 2015-06-30T14:30    what was known at that instant, UTC
            %asof now                 lift the limit

        It holds for this kernel and for the runs and commands that it starts. A frame that was read before keeps its
        rows. In a date to come, or before there were data, the limit stays what it was.
        """
        asked = line.strip().strip("\"'")
        if asked:
            self.bench.limit_as_of(None if asked == "now" else asked)
        told = served(self.bench)
        print(told if limit() else f"no limit: {told}")  # noqa: T201 - what the notebook shows

    @line_magic
    @in_a_sentence
    def catalog(self, line: str) -> DataCatalog:
        """Show the data catalog.

        ::

            %catalog                  all of it
            %catalog daily index      the entries in which these words occur
        """
        text = line.strip().strip("\"'")
        return self.bench.catalog.search(text) if text else self.bench.catalog

    @line_cell_magic
    @in_a_sentence
    def backtest(self, line: str, cell: str | None = None) -> BacktestResult:
        """Backtest the strategy that the cell defines, or one that there is.

        ::

            %%backtest AAPL MSFT --start 2010 -p fast=10
            def fast_cross(bars, *, fast: int = 20, slow: int = 100):
                close = bars["close"]
                quick, calm = close.rolling(time=fast).mean(), close.rolling(time=slow).mean()
                return wb.make_signals(wb.crossed_above(quick, calm), wb.crossed_above(calm, quick), quick / calm - 1)

            %backtest sma_cross AAPL -p fast=20 -o crossed

        The cell runs in the notebook and defines one strategy: a function decorated with ``wb.strategy``, or a plain
        one. The line alone takes an installed strategy, or one of the notebook, before the symbols. The result is
        shown and bound to ``result``. Signals are known at a bar's close and filled on the next bar, after costs; each
        backtest counts as a trial of its hypothesis, by default the strategy's name.

        Parameters
        ----------
        SYMBOLS
            All of the dataset where none is named.
        -p NAME=VALUE
            A parameter of the strategy; may be given for each.
        -o NAME
            What to bind the result to; ``result`` by default.
        --start, --end, --dataset, --adjust, --as-of
            Which bars; the last day is included. ``--adjust`` is none, splits or all.
        --benchmark SYMBOL, --hypothesis TEXT
            What to compare with, by default buying and holding; the idea under which the trial is counted.
        --cash, --commission, --slippage, --borrow
            Starting cash; fractions of an order, of a price and a year; those of the settings by default.
        --direction, --fill, --size, --stop-loss, --take-profit, --trailing-stop, --shared
            As ``bench.backtest`` takes them.
        """
        __tracebackhide__ = True
        asked = backtest_line("%backtest" if cell is None else "%%backtest", line)
        names, parameters, output = asked.pop("names"), asked.pop("parameters"), asked.pop("output", "result")
        if cell is not None:
            chosen: str | Strategy = strategy_of(self.shell, cell)
        elif names:
            chosen = self._strategy(names.pop(0))
        else:
            raise ParameterError("%backtest names no strategy; write one before the symbols: %backtest sma_cross AAPL")
        result = self.bench.backtest(chosen, names or None, **asked, **parameters)
        self.shell.user_ns[output] = result
        return result

    @line_magic
    @in_a_sentence
    def signals(self, line: str) -> SignalTable:
        """Show what strategies say at each symbol's last bar, and why.

        ::

            %signals AAPL MSFT
            %signals AAPL --strategy sma_cross -p fast=10 -o table

        Parameters
        ----------
        SYMBOLS
            All of the dataset where none is named.
        --strategy NAME
            An installed strategy or one of the notebook, may be given several times; all that fit by default.
        -p NAME=VALUE
            A parameter of the one strategy.
        -o NAME
            Bind the table, a DataFrame, to this name.
        --start, --end, --dataset, --adjust, --as-of
            Which bars; ``--end`` asks what was said at an earlier close.
        """
        asked = signals_line(line)
        names, parameters, output = asked.pop("names"), asked.pop("parameters"), asked.pop("output", None)
        chosen = [self._strategy(name) for name in asked.pop("strategy", ())]
        if parameters:
            if len(chosen) != 1:
                raise ParameterError(f"-p goes with one strategy (given: {len(chosen)}); name it with --strategy")
            chosen = [_set_to(chosen[0], parameters)]
        table = self.bench.signals(names or None, chosen or None, **asked)
        if output:
            self.shell.user_ns[output] = table
        return SignalTable(table)

    def _strategy(self, name: str) -> Strategy:
        """Return a strategy of the notebook by its variable, or an installed one."""
        from workbench.backtest.strategy import Strategy, find_strategy

        own = self.shell.user_ns.get(name)
        return own if isinstance(own, Strategy) else find_strategy(name)


def _set_to(strategy: Strategy, parameters: dict[str, str]) -> Strategy:
    """Return a strategy whose rule is given these parameters in place of the defaults."""
    values = strategy.validate(parameters)
    return replace(strategy, rule=lambda bars, **_defaults: strategy.rule(bars, **values))
