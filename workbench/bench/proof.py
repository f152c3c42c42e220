"""The proving side of a workbench: what is left of the best point of a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.bench.research import Research, Symbols
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from workbench.backtest.strategy import Strategy
    from workbench.backtest.terms import Terms
    from workbench.backtest.validation.crossvalidation import CrossValidation
    from workbench.backtest.validation.lookahead import LookAheadCheck
    from workbench.backtest.validation.verdict import Validation
    from workbench.backtest.validation.walkforward import WalkForward
    from workbench.core.calendar import Moment

SPAN = ("start", "end", "dataset", "adjust", "as_of")


class Proof(Research):
    """What tells luck from skill. Each method takes what ``sweep`` takes: a grid, the terms, and which bars."""

    def walk_forward(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        train: int,
        test: int,
        anchored: bool = False,
        purge: int = 0,
        frequency: str | None = None,
        statistic: str = "sharpe",
        hypothesis: str | None = None,
        progress: bool = True,
        **given: Any,
    ) -> WalkForward:
        """Choose on one window, trade on the next; see ``workbench.backtest.validation.walkforward``."""
        from workbench.backtest.validation.walkforward import walk_forward

        found, bars, grid, terms = self._asked(strategy, symbols, given)
        windows = {"train": train, "test": test, "anchored": anchored, "purge": purge, "frequency": frequency}
        chosen: dict[str, Any] = {**windows, "statistic": statistic, "progress": progress}
        result = walk_forward(bars, found, grid, terms, created=self.clock(), **chosen)
        self._note(hypothesis, found, "walk_forward", result.t_statistics, n_bars=1)
        return result

    def cross_validate(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        n_folds: int = 10,
        n_test_folds: int = 2,
        purge: int = 1,
        embargo: int | None = None,
        hypothesis: str | None = None,
        progress: bool = True,
        **given: Any,
    ) -> CrossValidation:
        """Choose without some folds, look at these; see ``workbench.backtest.validation.crossvalidation``."""
        from workbench.backtest.validation.crossvalidation import cross_validate

        found, bars, grid, terms = self._asked(strategy, symbols, given)
        folds: dict[str, Any] = {"n_folds": n_folds, "n_test_folds": n_test_folds, "purge": purge, "embargo": embargo}
        result = cross_validate(bars, found, grid, terms, **folds, progress=progress)
        self._note(hypothesis, found, "cross_validation", result.sharpes, n_bars=len(result.paths))
        return result

    def validate(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        confidence: float = 0.95,
        seed: int = 0,
        hypothesis: str | None = None,
        progress: bool = True,
        **given: Any,
    ) -> Validation:
        """Say what is left of the best point of a grid; see ``workbench.backtest.validation.verdict``."""
        from workbench.backtest.validation.verdict import validate

        found, bars, grid, terms = self._asked(strategy, symbols, given)

        def counting(sharpes: NDArray[Any], n_bars: int) -> tuple[int, float]:
            standing = self._note(hypothesis, found, "sweep", sharpes, n_bars=n_bars)
            return standing.number, standing.variance_per_bar(n_bars)

        own: dict[str, Any] = {"confidence": confidence, "seed": seed, "progress": progress}
        return validate(bars, found, grid, terms, created=self.clock(), counting=counting, **own)

    def check_lookahead(
        self,
        strategy: str | Strategy,
        symbols: Symbols | xr.Dataset = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        cuts: int = 30,
        seed: int = 0,
        **parameters: Any,
    ) -> LookAheadCheck:
        """Say whether a strategy's past changes with its future; see ``workbench.backtest.validation.lookahead``."""
        from workbench.backtest.strategy import find_strategy
        from workbench.backtest.validation.lookahead import check_lookahead

        span = {"start": start, "end": end, "dataset": dataset, "adjust": adjust, "as_of": as_of}
        return check_lookahead(find_strategy(strategy), self._bars(symbols, span), parameters, cuts=cuts, seed=seed)

    def _asked(
        self, strategy: str | Strategy, symbols: Any, given: dict[str, Any]
    ) -> tuple[Strategy, xr.Dataset, dict[str, Any], Terms]:
        span = {"adjust": "all", **dict.fromkeys(("start", "end", "dataset", "as_of"))}
        span |= {name: value for name, value in given.items() if name in SPAN}
        found, terms, grid = self._agreed(strategy, {name: given[name] for name in given if name not in SPAN})
        return found, self._bars(symbols, span), grid, terms
