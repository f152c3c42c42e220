"""The analysing side of a workbench: indicators, patterns, what companies' accounts say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.bench.desk import Desk
from workbench.core.known import within

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from workbench.analytics.fundamentals import CashFlowValue, Reading
    from workbench.core.calendar import Moment


class Analysis(Desk):
    """What prices and accounts say by themselves."""

    def indicators(self, text: str = "") -> pd.DataFrame:
        """Return the indicators whose name, group or description has ``text``: TA-Lib's in capitals, and ours."""
        from workbench.analytics.indicators import table

        return table(text)

    def indicator(self, name: str, bars: xr.Dataset, **parameters: Any) -> xr.Dataset:
        """Compute one of ``indicators`` on Bars; see ``workbench.analytics.indicators.indicator``."""
        from workbench.analytics.indicators import indicator

        return indicator(name, bars, **parameters)

    def patterns(self, bars: xr.Dataset, names: Sequence[str] | str | None = None, **options: Any) -> pd.DataFrame:
        """Return the chart patterns and candlesticks in Bars, each with the bar at which it could be known.

        See ``workbench.analytics.patterns.find``; ``names`` are all chart patterns where ``None``.
        """
        from workbench.analytics.patterns import find, table

        return table(find(bars, names, **options))

    def statements(
        self, symbols: Sequence[str] | str, provider: str = "alpha_vantage", *, lag: int | None = None
    ) -> pd.DataFrame:
        """Ask a provider for companies' statements; see ``workbench.analytics.fundamentals.from_provider``.

        ``lag``: after how many days a figure counts as public where the source does not say when it was filed.
        """
        import pandas as pd

        from workbench.analytics.fundamentals import from_provider

        source, asked = self.market.provider(provider), [symbols] if isinstance(symbols, str) else list(symbols)
        return pd.concat(
            [from_provider(source.statements(symbol), symbol, provider, lag) for symbol in asked], ignore_index=True
        )

    def fundamentals(
        self, statements: pd.DataFrame, names: Sequence[str], as_of: Moment | None = None, **options: Any
    ) -> Reading:
        """Return ratios and scores as known at a moment; where none is given at the limit, or now.

        See ``workbench.analytics.fundamentals.snapshot``; ``names`` may be groups, such as ``"dupont"``.
        """
        from workbench.analytics.fundamentals import snapshot

        return snapshot(statements, names, within(as_of) or self.clock(), **options)

    def cash_flow_value(
        self,
        statements: pd.DataFrame,
        symbol: str,
        as_of: Moment | None = None,
        *,
        growth: Sequence[float],
        discount_rate: float,
        terminal_growth: float,
        **options: Any,
    ) -> CashFlowValue:
        """Return a company's value by its cash flows, from what was known; see ``fundamentals.value_company``."""
        from workbench.analytics.fundamentals import value_company

        moment = within(as_of) or self.clock()
        return value_company(statements, symbol, moment, growth, discount_rate, terminal_growth, **options)
