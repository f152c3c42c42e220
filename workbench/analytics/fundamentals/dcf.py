"""A discounted-cash-flow value: what the free cash flows to the firm (FCFF) are worth today.

Conventions: rates are decimal, a year; flows, debt and values are in one currency and nominal like the rates; the
first flow is the one of the year that begins on the day of the value. Sources: A. Damodaran, "Investment Valuation",
3rd edition (2012), chapters 12 and 15; T. Koller, M. Goedhart, D. Wessels, "Valuation", 7th edition (2020), chapter
10; M. J. Gordon, "Dividends, Earnings, and Stock Prices", Rev. Economics and Statistics 41 (1959).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.core.errors import ParameterError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CashFlowValue:
    """What a company is worth, by path of its growth.

    Attributes
    ----------
    flows, present_values : numpy.ndarray
        The explicit flows and their value today, shape (n_paths, n_years).
    terminal_value : numpy.ndarray
        Of all later flows, at the end of the last explicit year, shape (n_paths,).
    terminal_present_value, enterprise_value, equity_value, per_share : numpy.ndarray
        Today, shape (n_paths,). Equity is the enterprise less net debt, and can be negative.
    terminal_share : numpy.ndarray
        The part of the enterprise's value that lies beyond the explicit years, decimal, shape (n_paths,).
    """

    flows: Floats
    present_values: Floats
    terminal_value: Floats
    terminal_present_value: Floats
    enterprise_value: Floats
    equity_value: Floats
    per_share: Floats
    terminal_share: Floats


def free_cash_flow_to_firm(
    ebit: ArrayLike, tax_rate: ArrayLike, depreciation: ArrayLike, capital_expenditure: ArrayLike, reinvested: ArrayLike
) -> Floats:
    """Return ``EBIT (1 - t) + depreciation - capital expenditure - increase of working capital``.

    Parameters
    ----------
    ebit, depreciation, capital_expenditure, reinvested : array_like
        Of a period, in one currency, expenditures positive; ``reinvested`` is the increase of non-cash working capital.
        Of shapes that broadcast; NaN where one is NaN.
    tax_rate : array_like
        Decimal.

    Notes
    -----
    Damodaran (2012), chapter 15.
    """
    given = (
        np.asarray(value, dtype="float64") for value in (ebit, tax_rate, depreciation, capital_expenditure, reinvested)
    )
    income, rate, written_off, spent, tied_up = given
    return np.asarray(income * (1 - rate) + written_off - spent - tied_up)


def cost_of_equity(risk_free: float, beta: float, premium: float) -> float:
    """Return the capital asset pricing model's ``risk_free + beta * premium`` (Sharpe, J. Finance 19, 1964)."""
    return risk_free + beta * premium


def weighted_cost_of_capital(
    equity: float, debt: float, *, cost_of_equity: float, cost_of_debt: float, tax_rate: float
) -> float:
    """Return ``(E cost_of_equity + D cost_of_debt (1 - tax_rate)) / (D + E)``, market values (Damodaran 2012, ch. 8).

    Raises
    ------
    ParameterError
        If equity or debt is negative, or both are zero.
    """
    if not (equity >= 0 and debt >= 0 and equity + debt > 0):
        raise ParameterError(f"equity {equity} and debt {debt} must be 0 or more and not both 0; give market values")
    return (equity * cost_of_equity + debt * cost_of_debt * (1 - tax_rate)) / (equity + debt)


def discounted_cash_flow(
    flow: float,
    growth: ArrayLike,
    discount_rate: float,
    terminal_growth: float,
    *,
    net_debt: float = 0.0,
    shares: float = 1.0,
    mid_year: bool = False,
) -> CashFlowValue:
    """Return the value of growing flows: explicit years, then Gordon's growth for ever.

    Parameters
    ----------
    flow : float
        Free cash flow to the firm of the year that just ended.
    growth : array_like
        Growth of each explicit year, shape (n_years,), or several paths, shape (n_paths, n_years).
    discount_rate : float
        Weighted average cost of capital.
    terminal_growth : float
        After the explicit years; below ``discount_rate``.
    net_debt : float
        Debt and what ranks with it, less cash; negative for net cash.
    shares : float
        Shares outstanding, diluted.
    mid_year : bool
        Whether flows come in the middle of their years instead of at their ends; the later ones then too, so that every
        value is ``(1 + discount_rate) ** 0.5`` times as high.

    Returns
    -------
    CashFlowValue

    Raises
    ------
    ParameterError
        If the terminal growth is not below the discount rate, a number is not finite, a growth is -1 or less, there are
        no explicit years, or shares are not positive.
    """
    paths = np.atleast_2d(np.asarray(growth, dtype="float64"))
    _refuse(paths, flow, discount_rate, terminal_growth, net_debt, shares)
    years = np.arange(1, paths.shape[1] + 1) - (0.5 if mid_year else 0.0)
    flows = flow * np.cumprod(1 + paths, axis=1)
    present = flows * (1 + discount_rate) ** -years
    terminal = flows[:, -1] * (1 + terminal_growth) / (discount_rate - terminal_growth)
    terminal_present = terminal * (1 + discount_rate) ** -years[-1]
    enterprise = present.sum(axis=1) + terminal_present
    equity = enterprise - net_debt
    share = np.divide(terminal_present, enterprise, out=np.full_like(enterprise, np.nan), where=enterprise != 0)
    return CashFlowValue(flows, present, terminal, terminal_present, enterprise, equity, equity / shares, share)


def sensitivity(
    flow: float,
    growth: Sequence[float],
    discount_rates: Sequence[float],
    terminal_growths: Sequence[float],
    *,
    net_debt: float = 0.0,
    shares: float = 1.0,
    mid_year: bool = False,
) -> pd.DataFrame:
    """Return the value per share for discount rates and terminal growths.

    Parameters
    ----------
    flow, growth, net_debt, shares, mid_year
        As ``discounted_cash_flow``, one path of growth.
    discount_rates, terminal_growths : sequence of float

    Returns
    -------
    pandas.DataFrame
        Index ``discount_rate``, columns ``terminal_growth``, in the order given.

    Raises
    ------
    ParameterError
        As ``discounted_cash_flow``, for any cell, or for more than one path.
    """
    if np.ndim(growth) != 1:
        raise ParameterError(f"growth has {np.ndim(growth)} dimensions; a sensitivity table takes one path of years")
    cells = [
        [
            float(
                discounted_cash_flow(
                    flow, growth, rate, later, net_debt=net_debt, shares=shares, mid_year=mid_year
                ).per_share[0]
            )
            for later in terminal_growths
        ]
        for rate in discount_rates
    ]
    return pd.DataFrame(
        cells,
        index=pd.Index(list(discount_rates), name="discount_rate"),
        columns=pd.Index(list(terminal_growths), name="terminal_growth"),
    )


def _refuse(
    paths: Floats, flow: float, discount_rate: float, terminal_growth: float, net_debt: float, shares: float
) -> None:
    if paths.ndim != 2 or not paths.size:
        raise ParameterError(f"growth has shape {paths.shape}; give one rate a year, or a row of them for each path")
    given = {"flow": flow, "discount_rate": discount_rate, "terminal_growth": terminal_growth, "net_debt": net_debt}
    for name, value in given.items():
        if not np.isfinite(value):
            raise ParameterError(f"{name} is {value}; give a finite number")
    if not np.isfinite(paths).all() or (paths <= -1).any() or terminal_growth <= -1:
        worst = min(float(np.min(paths)), terminal_growth)
        raise ParameterError(f"growth {worst} is not finite and above -1; give decimal rates such as 0.05")
    if terminal_growth >= discount_rate:
        raise ParameterError(
            f"terminal growth {terminal_growth} is not below the discount rate {discount_rate}; "
            "lower it, at most to the growth of the economy"
        )
    if not 0 < shares < np.inf:
        raise ParameterError(f"shares {shares} is not positive; give the number outstanding")
