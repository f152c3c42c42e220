"""Ratios of a company: liquidity, leverage, profitability, margins, efficiency, growth and valuation.

Conventions: decimal, not percent; a return or a turnover divides a year's flow by the average of the balance at the
year's both ends; a year has 365 days; a ratio whose denominator is zero or negative is NaN, and so is growth from
such a base. Definitions are those of the CFA Program Curriculum, "Financial Analysis Techniques" (liquidity,
solvency, activity, profitability) and "Market-Based Valuation: Price and Enterprise Value Multiples" (valuation), but
where told; payables are over the cost of revenue where these take purchases (that cost and the rise of inventory).
"""

from __future__ import annotations

import numpy as np

from workbench.analytics.fundamentals.formulas import PRICE, Floats, Formula, average, divide, table

DAYS = 365.0

PURCHASES = "; the cost stands in for the CFA Program's purchases, which statements do not tell"


def _over(name: str, group: str, above: str, below: str, about: str = "") -> Formula:
    """Return one item over another."""
    return Formula(name, group, about or f"{above} / {below}", (above, below), divide)


def _turnover(name: str, above: str, below: str, group: str = "efficiency", note: str = "") -> Formula:
    """Return a flow over the average of a balance."""

    def compute(flow: Floats, now: Floats, before: Floats) -> Floats:
        return divide(flow, average(now, before))

    return Formula(name, group, f"{above} / average {below}{note}", (above, below, f"{below}@1"), compute)


def _days(name: str, above: str, below: str, note: str = "") -> Formula:
    """Return how many days of a flow a balance holds on average: 365 over the turnover."""

    def compute(flow: Floats, now: Floats, before: Floats) -> Floats:
        return divide(DAYS * average(now, before), flow)

    return Formula(name, "efficiency", f"365 * average {below} / {above}{note}", (above, below, f"{below}@1"), compute)


def _growth(item: str, years: int = 1) -> Formula:
    """Return compound growth a year: ``(now / before) ** (1 / years) - 1``."""

    def compute(now: Floats, before: Floats) -> Floats:
        ratio = divide(now, before)
        # A profit that became a loss has no rate of compound growth, but has a change over one year.
        return ratio - 1 if years == 1 else _positive(ratio) ** (1 / years) - 1

    name = f"{item}_growth" if years == 1 else f"{item}_cagr_{years}"
    about = (
        f"{item} over that of a year before, less 1" if years == 1 else f"compound growth over {years} years, a year"
    )
    return Formula(name, "growth", about, (item, f"{item}@{years}"), compute)


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def _market_value(price: Floats, shares: Floats) -> Floats:
    return price * shares


def _enterprise_value(price: Floats, shares: Floats, debt: Floats, cash: Floats) -> Floats:
    return price * shares + debt - cash


MARKET = (PRICE, "shares")
ENTERPRISE = (PRICE, "shares", "total_debt", "cash_and_investments")


def _multiple(name: str, below: str) -> Formula:
    """Return the value of the equity over an item."""

    def compute(price: Floats, shares: Floats, item: Floats) -> Floats:
        return divide(_market_value(price, shares), item)

    return Formula(name, "valuation", f"price * shares / {below}", (*MARKET, below), compute)


def _yield(name: str, above: str) -> Formula:
    """Return an item over the value of the equity."""

    def compute(price: Floats, shares: Floats, item: Floats) -> Floats:
        return divide(item, _market_value(price, shares))

    return Formula(name, "valuation", f"{above} / (price * shares)", (*MARKET, above), compute)


def _enterprise_multiple(name: str, below: str) -> Formula:
    """Return the enterprise value over an item; NaN for an enterprise value that is not positive."""

    def compute(price: Floats, shares: Floats, debt: Floats, cash: Floats, item: Floats) -> Floats:
        value = _enterprise_value(price, shares, debt, cash)
        return divide(_positive(value), item)

    return Formula(name, "valuation", f"enterprise value / {below}", (*ENTERPRISE, below), compute)


def _cash_flow_to_firm(cash_flow: Floats, interest: Floats, tax: Floats, pretax: Floats, spent: Floats) -> Floats:
    return cash_flow + interest * (1 - divide(tax, pretax)) - spent


def _cash_conversion(
    revenue: Floats, cost: Floats, receivables: Floats, receivables_before: Floats, inventory: Floats,
    inventory_before: Floats, payables: Floats, payables_before: Floats,
) -> Floats:  # fmt: skip
    outstanding = divide(DAYS * average(receivables, receivables_before), revenue)
    held = divide(DAYS * average(inventory, inventory_before), cost)
    return outstanding + held - divide(DAYS * average(payables, payables_before), cost)


def _invested_capital_return(
    ebit: Floats, tax: Floats, pretax: Floats, debt: Floats, debt_before: Floats, equity: Floats, equity_before: Floats
) -> Floats:
    return divide(ebit * (1 - divide(tax, pretax)), average(debt + equity, debt_before + equity_before))


RATIOS = table([
    _over("current_ratio", "liquidity", "current_assets", "current_liabilities"),
    Formula(
        "quick_ratio", "liquidity", "(cash_and_investments + receivables) / current_liabilities",
        ("cash_and_investments", "receivables", "current_liabilities"),
        lambda cash, receivables, due: divide(cash + receivables, due),
    ),
    _over("cash_ratio", "liquidity", "cash_and_investments", "current_liabilities"),
    _over("debt_to_equity", "leverage", "total_debt", "equity"),
    _over("debt_to_assets", "leverage", "total_debt", "total_assets"),
    Formula(
        "debt_to_capital", "leverage", "total_debt / (total_debt + equity)", ("total_debt", "equity"),
        lambda debt, equity: divide(debt, debt + equity),
    ),
    _over("liabilities_to_assets", "leverage", "total_liabilities", "total_assets"),
    _over("interest_coverage", "leverage", "ebit", "interest_expense"),
    Formula(
        "net_debt_to_ebitda", "leverage", "(total_debt - cash_and_investments) / ebitda; negative for net cash",
        ("total_debt", "cash_and_investments", "ebitda"), lambda debt, cash, ebitda: divide(debt - cash, ebitda),
    ),
    _turnover("return_on_assets", "net_income", "total_assets", "profitability"),
    _turnover("return_on_equity", "net_income", "equity", "profitability"),
    Formula(
        "return_on_invested_capital", "profitability",
        "ebit * (1 - income_tax / pretax_income) / average (total_debt + equity)",
        ("ebit", "income_tax", "pretax_income", "total_debt", "total_debt@1", "equity", "equity@1"),
        _invested_capital_return,
    ),
    _over("effective_tax_rate", "profitability", "income_tax", "pretax_income"),
    _over("gross_margin", "margins", "gross_profit", "revenue"),
    _over("operating_margin", "margins", "operating_income", "revenue"),
    _over("ebitda_margin", "margins", "ebitda", "revenue"),
    _over("net_margin", "margins", "net_income", "revenue"),
    _over("free_cash_flow_margin", "margins", "free_cash_flow", "revenue"),
    _turnover("asset_turnover", "revenue", "total_assets"),
    _turnover("inventory_turnover", "cost_of_revenue", "inventory"),
    _turnover("receivables_turnover", "revenue", "receivables"),
    _turnover("payables_turnover", "cost_of_revenue", "payables", note=PURCHASES),
    _days("days_sales_outstanding", "revenue", "receivables"),
    _days("days_of_inventory", "cost_of_revenue", "inventory"),
    _days("days_payable", "cost_of_revenue", "payables", PURCHASES),
    Formula(
        "cash_conversion_cycle", "efficiency", "days_sales_outstanding + days_of_inventory - days_payable",
        ("revenue", "cost_of_revenue", "receivables", "receivables@1", "inventory", "inventory@1", "payables",
         "payables@1"), _cash_conversion,
    ),
    *(_growth(item) for item in ("revenue", "gross_profit", "operating_income", "net_income", "operating_cash_flow",
                                 "free_cash_flow", "total_assets", "equity")),
    *(_growth(item, years) for item in ("revenue", "net_income") for years in (3, 5)),
    Formula(
        "cash_flow_to_firm", "cash_flow",
        "operating_cash_flow + interest_expense * (1 - income_tax / pretax_income) - capital_expenditure (currency); "
        "CFA Program Curriculum, Free Cash Flow Valuation",
        ("operating_cash_flow", "interest_expense", "income_tax", "pretax_income", "capital_expenditure"),
        _cash_flow_to_firm,
    ),
    Formula(
        "net_debt", "cash_flow", "total_debt - cash_and_investments (currency); negative for net cash",
        ("total_debt", "cash_and_investments"), lambda debt, cash: debt - cash,
    ),
    Formula("shares_outstanding", "cash_flow", "shares, after later splits", ("shares",), lambda shares: shares),
    Formula("market_value", "valuation", "price * shares (currency)", MARKET, _market_value),
    Formula(
        "enterprise_value", "valuation", "price * shares + total_debt - cash_and_investments (currency)", ENTERPRISE,
        _enterprise_value,
    ),
    _multiple("price_to_earnings", "net_income"),
    _multiple("price_to_book", "equity"),
    _multiple("price_to_sales", "revenue"),
    _multiple("price_to_cash_flow", "operating_cash_flow"),
    _enterprise_multiple("ev_to_ebitda", "ebitda"),
    _enterprise_multiple("ev_to_ebit", "ebit"),
    _enterprise_multiple("ev_to_sales", "revenue"),
    _yield("earnings_yield", "net_income"),
    _yield("free_cash_flow_yield", "free_cash_flow"),
    _yield("dividend_yield", "dividends_paid"),
    _over("payout_ratio", "profitability", "dividends_paid", "net_income"),
])  # fmt: skip
"""The ratios by name."""
