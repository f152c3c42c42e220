"""Rows that were kept out: see them, accept them as they are, or store what they should have been."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from workbench.core.errors import InputError, ParameterError, UnknownNameError
from workbench.core.known import limit
from workbench.core.market import FIELDS, PRICES
from workbench.data.quality import INCOMPLETE, NO_ACTION, inspect
from workbench.data.store import BarStore

State = Literal["open", "accepted", "fixed", "replaced"]
"""Not judged yet; stored as it is; stored with other values; the source has sent a sound one since."""

STATES: tuple[State, ...] = get_args(State)


class Quarantine:
    """The rows of one dataset that could not be trusted.

    Parameters
    ----------
    store : BarStore
    dataset : str
    """

    def __init__(self, store: BarStore, dataset: str) -> None:
        self.store = store
        self.dataset = dataset
        self.tables = store.tables(dataset)

    def rows(self, state: State | None = "open") -> pd.DataFrame:
        """Return the rows in a state, or all of them; under the limit of the process, as they were then.

        Returns
        -------
        pandas.DataFrame
            Index ``id`` (eight hexadecimal digits, the same as long as the row is); columns ``symbol``, ``date`` (as
            the source wrote it), ``reason``, ``open high low close volume``, ``session`` (UTC, ``NaT`` where there is
            none), ``state`` and ``learned_at``.
        """
        if state is not None and state not in STATES:
            raise UnknownNameError("state", state, STATES)
        return self._rows(state, limit())

    def _rows(self, state: State | None, as_of: pd.Timestamp | None = None) -> pd.DataFrame:
        rows = self.tables.quarantine.read(as_of=as_of)
        names = [_identity(*key) for key in zip(rows["symbol"], rows["date"], rows["reason"], strict=True)]
        named = rows.assign(id=names).set_index("id")
        return named if state is None else named[named["state"] == state]

    def accept(self, ids: Sequence[str]) -> int:
        """Store rows as they are; they are not questioned again unless the source changes them.

        Returns
        -------
        int
            How many bars were added.

        Raises
        ------
        InputError
            For a row that can be no bar: without a session, without a close, with a price that is not positive; and
            for one whose bar was stored since.
        """
        chosen = self._chosen(ids)
        prices = chosen[list(PRICES)]
        # Whatever else is wrong with it: the reason is but the first one.
        never = chosen["close"].isna() | ((prices <= 0) | np.isinf(prices)).any(axis=1)
        for name, reason in chosen.loc[never, "reason"].items():
            raise InputError(f"row {name} cannot be accepted ({reason}); fix it with the right values")
        doubled = chosen[chosen.duplicated(["symbol", "session"], keep=False)]
        if len(doubled):
            raise InputError(f"rows {', '.join(doubled.index)} are of one bar; accept one of them")
        self._check_not_stored_since(chosen)
        return self._settle(chosen, "accepted")

    def fix(self, identity: str, values: Mapping[str, float]) -> int:
        """Store a row with other values in the place of some of its own.

        Raises
        ------
        ParameterError
            For a field that is none, or a value that is no number.
        InputError
            If the row is still one that cannot be trusted.
        """
        row = self._chosen([identity])
        mended = row.assign(**{name: _number(name, value) for name, value in values.items()})
        reason = inspect(mended.assign(time=mended["session"])).iloc[0]
        if not reason and row["reason"].iloc[0].startswith(INCOMPLETE) and mended[list(PRICES)].isna().any(axis=None):
            # One row alone does not tell which prices its source has.
            reason = INCOMPLETE
        if reason:
            raise InputError(
                f"row {identity} still cannot be trusted ({reason}); give other values for {', '.join(FIELDS)}"
            )
        return self._settle(mended, "fixed", as_found=row)

    def _chosen(self, ids: Sequence[str]) -> pd.DataFrame:
        # To be written: as it stands now, whatever the limit.
        known = self._rows("open")
        for name in ids:
            if name not in known.index:
                raise UnknownNameError("open row", name, known.index, where=f"the quarantine of {self.dataset!r}")
        chosen = known.loc[list(dict.fromkeys(ids))]
        never = chosen["session"].isna() | chosen["reason"].str.startswith(NO_ACTION)
        for row, reason in chosen.loc[never, "reason"].items():
            raise InputError(f"row {row} can be no bar ({reason}); correct it where it comes from")
        return chosen

    def _check_not_stored_since(self, chosen: pd.DataFrame) -> None:
        """Raise where the source has given a sound row later, which the old bad one would replace."""
        bars = self.tables.bars.read(sorted(chosen["symbol"].unique()), columns=[])
        bars = bars.rename(columns={"time": "session", "learned_at": "stored_at"})
        both = chosen.reset_index().merge(bars, on=["symbol", "session"])
        for name in both.loc[both["stored_at"] > both["learned_at"], "id"]:
            raise InputError(f"the bar of row {name} was stored since; to replace it, fix the row with its values")

    def _settle(self, bars: pd.DataFrame, state: State, as_found: pd.DataFrame | None = None) -> int:
        """Store bars and remember what became of the rows, whose values stay as the source gave them."""
        now = pd.Timestamp(self.store.clock())
        added = self.tables.bars.write(bars.assign(time=bars["session"]), now)
        self.tables.quarantine.write((bars if as_found is None else as_found).assign(state=state), now)
        return added


def _number(field: str, value: object) -> float:
    if field not in FIELDS:
        raise ParameterError(f"{field!r} is no field of a bar; choose from {', '.join(FIELDS)}")
    try:
        number = float(value)  # type: ignore[arg-type]  # a text of the command line
    except (TypeError, ValueError):
        number = np.nan
    if np.isnan(number):
        raise ParameterError(f"{field}={value!r} is no number; write it as 12.5")
    return number


def _identity(symbol: str, date: str, reason: str) -> str:
    return hashlib.sha256("\0".join((symbol, date, reason)).encode()).hexdigest()[:8]
