"""What companies' accounts say, as known at a date: ratios, growth, DuPont, Piotroski, Altman, cash-flow values."""

from workbench.analytics.fundamentals.altman import zone
from workbench.analytics.fundamentals.dcf import (
    CashFlowValue,
    cost_of_equity,
    discounted_cash_flow,
    free_cash_flow_to_firm,
    sensitivity,
    weighted_cost_of_capital,
)
from workbench.analytics.fundamentals.panel import Reading, history, snapshot
from workbench.analytics.fundamentals.registry import FORMULAS, GROUPS, described
from workbench.analytics.fundamentals.statements import as_known, from_provider, validate_statements
from workbench.analytics.fundamentals.value import value_company

__all__ = [
    "FORMULAS",
    "GROUPS",
    "CashFlowValue",
    "Reading",
    "as_known",
    "cost_of_equity",
    "described",
    "discounted_cash_flow",
    "free_cash_flow_to_firm",
    "from_provider",
    "history",
    "sensitivity",
    "snapshot",
    "validate_statements",
    "value_company",
    "weighted_cost_of_capital",
    "zone",
]
