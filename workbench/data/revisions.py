"""What a source said first and what it says now: changes between the versions of the same fact."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

COLUMNS = ("field", "old", "new", "change", "learned_before", "learned")


def revisions(history: pd.DataFrame, keys: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Return every value that was changed after it was first learned.

    Parameters
    ----------
    history : pandas.DataFrame
        Every row that a table ever learned: the keys, the values and ``learned_at``; see ``FactTable.history``.
    keys, values : sequence of str
        The columns that identify a fact, and those that may change.

    Returns
    -------
    pandas.DataFrame
        One row per changed value, in the order in which they were learned: the keys, ``field``, ``old``, ``new``,
        ``change`` (``new / old - 1``, decimal; NaN where one of them is missing or no number, or ``old`` is zero),
        ``learned_before`` and ``learned`` (UTC). A fact that was only added is no revision.
    """
    ordered = history.sort_values([*keys, "learned_at"], ignore_index=True)
    before = ordered.shift()
    same_fact = (ordered[list(keys)] == before[list(keys)]).all(axis=1)
    parts = [_changed(ordered, before, same_fact, list(keys), field) for field in values]
    found = pd.concat(parts, ignore_index=True)
    # By several columns pandas sorts stably: the fields of a row stay in the order of the table.
    return found.sort_values(["learned", *keys], ignore_index=True)


def _changed(
    ordered: pd.DataFrame, before: pd.DataFrame, same_fact: pd.Series, keys: list[str], field: str
) -> pd.DataFrame:
    old, new = before[field], ordered[field]
    unchanged = (old == new) | (old.isna() & new.isna())
    at = np.flatnonzero(same_fact & ~unchanged.astype(bool))
    old, new = old.iloc[at], new.iloc[at]
    change: float | pd.Series = np.nan
    if is_numeric_dtype(new):
        change = (new / old.astype(new.dtype) - 1).where(old != 0)
    return (
        ordered.iloc[at][keys]
        .assign(field=field, old=old, new=new, change=change)
        .assign(learned_before=before["learned_at"].iloc[at], learned=ordered["learned_at"].iloc[at])
    )
