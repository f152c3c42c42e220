"""Every formula by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from workbench.analytics.fundamentals.altman import ALTMAN
from workbench.analytics.fundamentals.dupont import DUPONT
from workbench.analytics.fundamentals.formulas import Formula
from workbench.analytics.fundamentals.piotroski import PIOTROSKI
from workbench.analytics.fundamentals.ratios import RATIOS
from workbench.core.errors import UnknownNameError

FORMULAS: Mapping[str, Formula] = {**RATIOS, **DUPONT, **PIOTROSKI, **ALTMAN}
"""Every ratio, step, signal and score by name."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(name for name, formula in FORMULAS.items() if formula.group == group)
    for group in dict.fromkeys(formula.group for formula in FORMULAS.values())
}
"""Names by group: liquidity, leverage, profitability, margins, efficiency, growth, valuation, dupont, ..."""


def formulas(names: Sequence[str]) -> list[Formula]:
    """Return the formulas of names; the name of a group is all of its names.

    Raises
    ------
    UnknownNameError
        For a name that is neither.
    """
    listed = [one for name in names for one in GROUPS.get(name, (name,))]
    for name in listed:
        if name not in FORMULAS:
            raise UnknownNameError("ratio", name, [*FORMULAS, *GROUPS])
    return [FORMULAS[name] for name in dict.fromkeys(listed)]


def described() -> pd.DataFrame:
    """Return every name with what it is.

    Returns
    -------
    pandas.DataFrame
        Index ``name``; columns ``group``, ``about`` and ``needs``.
    """
    rows = [(one.name, one.group, one.about, ", ".join(one.needs)) for one in FORMULAS.values()]
    return pd.DataFrame(rows, columns=["name", "group", "about", "needs"]).set_index("name")
