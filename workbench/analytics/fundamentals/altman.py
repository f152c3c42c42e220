"""Altman's Z scores: how near a company is to bankruptcy.

=========  ====================================  ===============================================================
name       for                                   formula; below is distress, above is safe
=========  ====================================  ===============================================================
``z``      manufacturers with traded shares      1.2 X1 + 1.4 X2 + 3.3 X3 + 0.6 X4 + 0.999 X5; 1.81, 2.99
           (1968)
``z1``     private manufacturers, Z' (1983)      0.717 X1 + 0.847 X2 + 3.107 X3 + 0.42 X4 + 0.998 X5; 1.23, 2.90
``z2``     others, Z'' (1995)                    6.56 X1 + 3.26 X2 + 6.72 X3 + 1.05 X4; 1.10, 2.60
``z2_em``  the same on the scale for emerging    3.25 + Z''; 4.35, 5.85
           markets
=========  ====================================  ===============================================================

X1 is working capital, X2 retained earnings and X3 EBIT over total assets; X4 the value of equity over total
liabilities (``z``: the market's, else the book's); X5 revenue over total assets. All balances are those of the year's
end.

Sources: E. I. Altman, "Financial Ratios, Discriminant Analysis and the Prediction of Corporate Bankruptcy", J.
Finance 23 (1968), equation I, which takes X1 to X4 in percent: the ratios here are decimal, and the coefficients a
hundred times his; "Corporate Financial Distress" (1983); E. I. Altman, J. Hartzell and M. Peck, "Emerging Markets
Corporate Bonds: A Scoring System" (1995); all in E. I. Altman, "Predicting Financial Distress of Companies" (2000).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from workbench.analytics.fundamentals.formulas import PRICE, Floats, Formula, divide, table
from workbench.core.errors import UnknownNameError

GROUP = "altman"

COEFFICIENTS: Mapping[str, tuple[float, ...]] = {
    "z": (1.2, 1.4, 3.3, 0.6, 0.999),
    "z1": (0.717, 0.847, 3.107, 0.420, 0.998),
    "z2": (6.56, 3.26, 6.72, 1.05),
    "z2_em": (6.56, 3.26, 6.72, 1.05),
}

CONSTANTS: Mapping[str, float] = {"z": 0.0, "z1": 0.0, "z2": 0.0, "z2_em": 3.25}

ZONES: Mapping[str, tuple[float, float]] = {
    "z": (1.81, 2.99),
    "z1": (1.23, 2.90),
    "z2": (1.10, 2.60),
    "z2_em": (4.35, 5.85),
}
"""Below the first is distress, above the second safe, between them Altman's zone of ignorance."""

BALANCE = ("current_assets", "current_liabilities", "retained_earnings", "ebit", "total_liabilities", "total_assets")


def z_score(model: str, *ratios: Floats) -> Floats:
    """Return the score of a model from its ratios X1 to X5 (X4 for ``z2``), decimal, arrays of one shape.

    Raises
    ------
    UnknownNameError
        For a model that is none.
    """
    weights = COEFFICIENTS[_known(model)]
    terms = [weight * np.asarray(ratio) for weight, ratio in zip(weights, ratios, strict=True)]
    return np.asarray(CONSTANTS[model] + np.sum(terms, axis=0))


def zone(model: str, score: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    """Return ``"distress"``, ``"grey"`` or ``"safe"`` for each score, an empty text for NaN.

    Raises
    ------
    UnknownNameError
        For a model that is none.
    """
    low, high = ZONES[_known(model)]
    known = np.asarray(score, dtype="float64")
    return np.select([np.isnan(known), known < low, known > high], ["", "distress", "safe"], "grey")


def _known(model: str) -> str:
    if model not in COEFFICIENTS:
        raise UnknownNameError("Z score", model, COEFFICIENTS)
    return model


def _formula(model: str, equity: tuple[str, ...], value: Callable[..., Floats]) -> Formula:
    sales = len(COEFFICIENTS[model]) == 5
    needs = (*BALANCE, *(("revenue",) if sales else ()), *equity)

    def compute(
        assets: Floats, due: Floats, retained: Floats, ebit: Floats, liabilities: Floats, total: Floats, *rest: Floats
    ) -> Floats:
        ratios = [divide(assets - due, total), divide(retained, total), divide(ebit, total)]
        ratios.append(divide(value(*rest[int(sales) :]), liabilities))
        return z_score(model, *ratios, *([divide(rest[0], total)] if sales else []))

    low, high = ZONES[model]
    return Formula(f"altman_{model}", GROUP, f"below {low} distress, above {high} safe", needs, compute)


ALTMAN = table(
    [
        _formula("z", (PRICE, "shares"), lambda price, shares: price * shares),
        *(_formula(model, ("equity",), lambda equity: equity) for model in ("z1", "z2", "z2_em")),
    ]
)
"""The scores by name: ``altman_z``, ``altman_z1``, ``altman_z2``, ``altman_z2_em``."""
