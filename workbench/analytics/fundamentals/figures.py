"""Figures as known at moments: the one place where versions, periods and trailing sums are looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.analytics.fundamentals.items import DERIVED, FLOWS, ITEMS
from workbench.analytics.fundamentals.statements import period_month, validate_statements
from workbench.core.errors import InputError, ParameterError, UnknownNameError

Basis = Literal["annual", "trailing"]

BASES = ("annual", "trailing")

MONTHS = 100_000
"""More than the months of any period, so that a symbol and a month make one number."""

SHARES_KNOWN = "shares known"
"""When the number of shares was learned: it is that of the splits until then."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Versions:
    """Rows in the order of their group and of the instant at which they were learned.

    Attributes
    ----------
    groups : numpy.ndarray
        Shape (n,), int64.
    instants : numpy.ndarray
        The different instants, increasing, in nanoseconds since 1970.
    places : numpy.ndarray
        Group and instant of each row as one increasing number, shape (n,).
    """

    groups: Ints
    instants: Ints
    places: Ints

    @classmethod
    def of(cls, groups: Ints, known: Ints) -> Versions:
        """Index rows that are sorted by group, then by instant."""
        instants = np.unique(known)
        return cls(groups, instants, groups * (len(instants) + 1) + np.searchsorted(instants, known, side="right"))

    def last(self, groups: Ints, moments: Ints) -> Ints:
        """Return the row of each group learned last at or before each moment, -1 where there is none."""
        if not len(self.groups):
            return np.full(len(groups), -1)
        ranks = np.searchsorted(self.instants, moments, side="right")
        found = np.searchsorted(self.places, groups * (len(self.instants) + 1) + ranks, side="right") - 1
        return np.where((found >= 0) & (self.groups[found] == groups), found, -1)


@dataclass(frozen=True)
class Figures:
    """Items of companies at moments, each as known then.

    ``figures("revenue")`` is the figure of the latest period known at each moment, ``figures("revenue@1")`` that of the
    period ended a year before it. What was not known is NaN.

    Attributes
    ----------
    symbols : numpy.ndarray
        Position of the company among ``names``, shape (n,).
    moments : numpy.ndarray
        Nanoseconds since 1970 in UTC, shape (n,).
    months : numpy.ndarray
        The month in which the latest period known ended, -1 where none was known.
    """

    basis: Basis
    symbols: Ints
    moments: Ints
    months: Ints
    versions: Versions
    values: dict[str, Floats]
    rows: dict[int, Ints] = field(default_factory=dict)

    def __call__(self, need: str) -> Floats:
        """Return an item, or one of some years before, shape (n,).

        Raises
        ------
        UnknownNameError
            For a name that is no item.
        """
        item, years = split_need(need)
        found = self._reported(item, years)
        for signed in DERIVED.get(item, ()):
            if np.isnan(found).any():
                parts = [sign * self(f"{name}@{years}") for sign, name in signed]
                found = np.where(np.isnan(found), np.sum(parts, axis=0), found)
        return found

    def shares_known(self) -> Floats:
        """Return when the latest number of shares was learned (nanoseconds since 1970), NaN where none was."""
        return self._at(SHARES_KNOWN, 0)

    def _reported(self, item: str, years: int) -> Floats:
        if self.basis == "trailing" and item in FLOWS:
            # A sum over a missing quarter is NaN: three quarters are no year.
            return cast("Floats", np.sum([self._at(item, 12 * years + back) for back in (0, 3, 6, 9)], axis=0))
        return self._at(item, 12 * years)

    def _at(self, item: str, back: int) -> Floats:
        if back not in self.rows:
            groups = np.where(self.months < 0, -1, self.symbols * MONTHS + self.months - back)
            self.rows[back] = self.versions.last(groups, self.moments)
        rows = self.rows[back]
        if item not in self.values or not len(self.versions.groups):
            return np.full(len(rows), np.nan)
        return np.where(rows < 0, np.nan, self.values[item][rows])


def split_need(need: str) -> tuple[str, int]:
    """Return item and years before of a text such as ``"revenue@1"``."""
    item, _, years = need.partition("@")
    if item not in ITEMS:
        raise UnknownNameError("statement item", item, ITEMS)
    return item, int(years or 0)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Statements of one basis, arranged so that figures at any moments are found at once.

    Attributes
    ----------
    names : list of str
        The symbols, sorted.
    learned : pandas.DataFrame
        Columns ``symbol`` (position) and ``known`` (nanoseconds): when something of a company was learned, sorted.
    """

    basis: Basis
    names: list[str]
    learned: pd.DataFrame
    latest: Versions
    months: Ints
    versions: Versions
    values: dict[str, Floats]

    def figures(self, symbols: Ints, moments: Ints) -> Figures:
        """Return the figures of companies (by position) at moments (nanoseconds), both of shape (n,)."""
        rows = self.latest.last(symbols, moments)
        months = np.where(rows < 0, -1, self.months[rows]) if len(self.months) else np.full(len(rows), -1)
        return Figures(self.basis, symbols, moments, months, self.versions, self.values)


def accounts(statements: pd.DataFrame, basis: Basis) -> Accounts:
    """Arrange Statements.

    Parameters
    ----------
    statements : pandas.DataFrame
        Statements; every symbol in it becomes one of ``names``.
    basis : {"annual", "trailing"}
        Annual figures; or quarterly ones, of which a flow is the sum of four consecutive quarters.

    Raises
    ------
    ParameterError
        For another basis.
    InputError
        For statements that are of the other frequency only.
    """
    if basis not in BASES:
        raise ParameterError(f"basis {basis!r} is none; choose one of {', '.join(BASES)}")
    checked = validate_statements(statements)
    names = sorted(str(name) for name in pd.unique(checked["symbol"]))
    own = checked[checked["frequency"] == ("annual" if basis == "annual" else "quarterly")]
    if len(checked) and own.empty:
        frequency, other = ("quarterly", "trailing") if basis == "annual" else ("annual", "annual")
        raise InputError(f"the statements are {frequency} only; give basis={other!r}")
    codes = pd.Index(names).get_indexer(pd.Index(own["symbol"])).astype("int64")
    known = own["known"].dt.tz_localize(None).astype("datetime64[ns]").to_numpy().astype("int64")
    keys = own.assign(symbol=codes, known=known, month=period_month(own["period_end"]))
    wide = keys.set_index(["symbol", "month", "known", "item"])["value"].unstack("item")  # noqa: PD010
    if "shares" in wide:
        wide[SHARES_KNOWN] = (
            wide.index.get_level_values("known").to_series(index=wide.index).where(wide["shares"].notna())
        )
    # A version tells what changed; the rest of its period stays as it was known before.
    wide = wide.groupby(level=["symbol", "month"]).ffill()
    rows = wide.index.to_frame(index=False).astype("int64")
    order = rows.sort_values(["symbol", "known"], kind="stable")
    latest = order.assign(month=order.groupby("symbol")["month"].cummax())
    latest = latest.drop_duplicates(["symbol", "known"], keep="last")
    groups = (rows["symbol"] * MONTHS + rows["month"]).to_numpy()
    return Accounts(
        basis,
        names,
        latest[["symbol", "known"]].reset_index(drop=True),
        Versions.of(latest["symbol"].to_numpy(), latest["known"].to_numpy()),
        latest["month"].to_numpy(),
        Versions.of(groups, rows["known"].to_numpy()),
        {str(item): wide[item].to_numpy(dtype="float64") for item in wide},
    )
