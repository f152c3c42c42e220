"""The F score: nine signals of a company's strength, each 1 or 0, and their sum.

Source: J. D. Piotroski, "Value Investing: The Use of Historical Financial Statement Information to Separate Winners
from Losers", J. Accounting Research 38, Supplement (2000), section 2.2. Return on assets, cash flow and turnover are
over the assets at the *beginning* of the year; leverage, the long-term debt with its part due within a year, is over
the average of its both ends. Where a source does not tell that part, all borrowings due within a year stand in for it.
A signal is 1 only where it improved: leverage that did not change, as without any debt, is 0. ``f_equity`` follows the
paper's words, that no common equity was issued, so that proceeds from employees' options make it 0; sources that count
shares instead differ. A signal with an item missing is NaN, and so is the score: a sum of fewer than nine is no F
score.
"""

from __future__ import annotations

import numpy as np

from workbench.analytics.fundamentals.formulas import Floats, Formula, average, divide, flag, joined, table

GROUP = "piotroski"


def _over_beginning(flow: Floats, beginning: Floats) -> Floats:
    return flag(divide(flow, beginning))


def _change_over_beginning(flow: Floats, beginning: Floats, flow_before: Floats, beginning_before: Floats) -> Floats:
    return flag(divide(flow, beginning) - divide(flow_before, beginning_before))


def _accrual(cash_flow: Floats, income: Floats, beginning: Floats) -> Floats:
    return flag(divide(cash_flow, beginning) - divide(income, beginning))


def _leverage(
    debt: Floats, due: Floats, debt_before: Floats, due_before: Floats, assets: Floats, before: Floats,
    two_before: Floats,
) -> Floats:  # fmt: skip
    former = divide(debt_before + due_before, average(before, two_before))
    return flag(former - divide(debt + due, average(assets, before)))


def _change(above: Floats, below: Floats, above_before: Floats, below_before: Floats) -> Floats:
    return flag(divide(above, below) - divide(above_before, below_before))


def _not_issued(issued: Floats) -> Floats:
    return np.where(np.isnan(issued), np.nan, (issued <= 0).astype("float64"))


SIGNALS = table(
    Formula(name, GROUP, about, needs, compute)
    for name, about, needs, compute in (
        ("f_return", "ROA: net_income / beginning assets above 0", ("net_income", "total_assets@1"), _over_beginning),
        (
            "f_cash_flow",
            "CFO: operating_cash_flow / beginning assets above 0",
            ("operating_cash_flow", "total_assets@1"),
            _over_beginning,
        ),
        (
            "f_return_change",
            "the change of ROA above 0",
            ("net_income", "total_assets@1", "net_income@1", "total_assets@2"),
            _change_over_beginning,
        ),
        (
            "f_accrual",
            "ACCRUAL: CFO above ROA",
            ("operating_cash_flow", "net_income", "total_assets@1"),
            _accrual,
        ),
        (
            "f_leverage",
            "LEVER: (long_term_debt + long_term_debt_current) / average assets fell",
            (
                *("long_term_debt", "long_term_debt_current", "long_term_debt@1", "long_term_debt_current@1"),
                *("total_assets", "total_assets@1", "total_assets@2"),
            ),
            _leverage,
        ),
        (
            "f_liquidity",
            "LIQUID: current_assets / current_liabilities rose",
            ("current_assets", "current_liabilities", "current_assets@1", "current_liabilities@1"),
            _change,
        ),
        ("f_equity", "EQ_OFFER: no common equity was issued", ("stock_issued",), _not_issued),
        (
            "f_margin",
            "MARGIN: gross_profit / revenue rose",
            ("gross_profit", "revenue", "gross_profit@1", "revenue@1"),
            _change,
        ),
        (
            "f_turnover",
            "TURN: revenue / beginning assets rose",
            ("revenue", "total_assets@1", "revenue@1", "total_assets@2"),
            _change_over_beginning,
        ),
    )
)
"""The nine signals by name, each 1, 0 or NaN."""

PIOTROSKI = {
    **SIGNALS,
    "f_score": joined(
        "f_score",
        GROUP,
        "the sum of the nine signals, 0 (weak) to 9 (strong); NaN where one is",
        SIGNALS.values(),
        lambda *signals: np.sum(signals, axis=0),
    ),
}
"""The signals and their sum by name."""
