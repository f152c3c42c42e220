"""A company's value by its discounted cash flows, from its statements as known at a date."""

from __future__ import annotations

import pandas as pd
from numpy.typing import ArrayLike

from workbench.analytics.fundamentals.dcf import CashFlowValue, discounted_cash_flow
from workbench.analytics.fundamentals.figures import Basis
from workbench.analytics.fundamentals.panel import snapshot
from workbench.core.calendar import Moment
from workbench.core.errors import InputError, UnknownNameError

INPUTS = ("cash_flow_to_firm", "net_debt", "shares_outstanding")


def value_company(
    statements: pd.DataFrame,
    symbol: str,
    as_of: Moment,
    growth: ArrayLike,
    discount_rate: float,
    terminal_growth: float,
    *,
    splits: pd.DataFrame | None = None,
    basis: Basis = "trailing",
    mid_year: bool = False,
) -> CashFlowValue:
    """Return a company's value from the last year's free cash flow to the firm, net debt and shares known at a date.

    Parameters
    ----------
    statements : pandas.DataFrame
        Statements.
    symbol : str
    as_of : date or instant
        A date is its end, UTC.
    growth, discount_rate, terminal_growth, mid_year
        As ``discounted_cash_flow``.
    splits, basis
        As ``history``.

    Returns
    -------
    CashFlowValue
        In the statements' currency; per share of ``as_of`` where the splits are given.

    Raises
    ------
    UnknownNameError
        For a symbol without statements.
    InputError
        For statements that are not of the basis, naming the items that were not known, or where the year had no taxable
        profit to take a rate from.
    ParameterError
        As ``discounted_cash_flow``.
    """
    own = statements[statements["symbol"] == symbol]
    if own.empty:
        raise UnknownNameError(
            "symbol", symbol, (str(name) for name in statements["symbol"].unique()), "the statements"
        )
    found = snapshot(own, INPUTS, as_of, splits=splits, basis=basis)
    row = found.figures.loc[symbol, list(INPUTS)].to_numpy(dtype="float64")
    flow, debt, shares = (float(value) for value in row)
    if symbol in found.missing:
        raise InputError(
            f"{', '.join(found.missing[symbol])} of {symbol} not known at {as_of}; "
            "give the flow, net debt and shares to discounted_cash_flow"
        )
    if pd.isna(flow):
        raise InputError(
            f"{symbol} had no profit before taxes in the year known at {as_of}, and so no tax rate; "
            "give a normal year's flow to discounted_cash_flow"
        )
    return discounted_cash_flow(
        flow, growth, discount_rate, terminal_growth, net_debt=debt, shares=shares, mid_year=mid_year
    )
