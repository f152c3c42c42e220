"""Pricing with QuantLib, which is imported in this package and nowhere else: ``trii-workbench[pricing]``."""

from __future__ import annotations

from typing import Any


def names() -> dict[str, Any]:
    """Return what a notebook that prices starts with, by name: QuantLib itself, its date and the conventions.

    Raises
    ------
    FailureError
        If QuantLib is not installed.
    """
    from workbench.risk.pricing import conventions, valuation

    # Not before those two, which say what to install.
    import QuantLib  # isort: skip

    return {
        "ql": QuantLib,
        "evaluation_date": valuation.evaluation_date,
        "conventions": conventions.conventions,
        "conventions_table": conventions.conventions_table,
    }
