"""Return on equity taken apart, in three steps and in five.

Source: CFA Program Curriculum, "Financial Analysis Techniques", DuPont analysis; the three steps are those of F.
Donaldson Brown at DuPont (1912 to 1919). Balances are averages of the year's both ends, so that the product of either
is the ratio ``return_on_equity``. The five steps are not defined for a loss before taxes or before interest: their
signs would cancel.
"""

from __future__ import annotations

from workbench.analytics.fundamentals.formulas import Floats, Formula, average, divide, joined, table
from workbench.analytics.fundamentals.ratios import RATIOS

GROUP = "dupont"


def _multiplier(assets: Floats, assets_before: Floats, equity: Floats, equity_before: Floats) -> Floats:
    return divide(average(assets, assets_before), average(equity, equity_before))


_MULTIPLIER = Formula(
    "equity_multiplier",
    GROUP,
    "average total_assets / average equity",
    ("total_assets", "total_assets@1", "equity", "equity@1"),
    _multiplier,
)
_TAX = Formula("tax_burden", GROUP, "net_income / pretax_income", ("net_income", "pretax_income"), divide)
_INTEREST = Formula("interest_burden", GROUP, "pretax_income / ebit", ("pretax_income", "ebit"), divide)
_MARGIN = Formula("ebit_margin", GROUP, "ebit / revenue", ("ebit", "revenue"), divide)

DUPONT = table(
    [
        _MULTIPLIER,
        _TAX,
        _INTEREST,
        _MARGIN,
        joined(
            "dupont_3",
            GROUP,
            "net_margin * asset_turnover * equity_multiplier",
            (RATIOS["net_margin"], RATIOS["asset_turnover"], _MULTIPLIER),
            lambda margin, turnover, multiplier: margin * turnover * multiplier,
        ),
        joined(
            "dupont_5",
            GROUP,
            "tax_burden * interest_burden * ebit_margin * asset_turnover * equity_multiplier",
            (_TAX, _INTEREST, _MARGIN, RATIOS["asset_turnover"], _MULTIPLIER),
            lambda tax, interest, margin, turnover, multiplier: tax * interest * margin * turnover * multiplier,
        ),
    ]
)
"""The steps and both products by name; margin and turnover of the three steps are ratios of their own."""
