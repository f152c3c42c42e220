"""Parity: whether the signals that were reported are still what the backtest says of those days.

Each reported signal is computed anew from all bars as they are now, as a backtest of today does. Where that gives
something else, two further looks tell why: at the bars as they are now up to that day, and at those that were known
when the signal was reported.

- *data revised*: today's rule says on the old data what was reported, and something else on the new.
- *rule changed*: today's rule says something else already on the data of then, and its code is another one.
- *rule changed, data revised*: it does, and the data differ as well.
- *looks ahead*: rule and data of that day give what was reported; only the bars that came later change it.
- *not reproducible*: the same code on the data of then gives something else: chance, a library, or data that the store
  no longer has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pandas as pd
import xarray as xr

from workbench.backtest.statements import Said, Statements
from workbench.backtest.strategy import Strategy
from workbench.backtest.told import Told
from workbench.core.code_hash import code_hash
from workbench.core.errors import WorkbenchError
from workbench.core.provenance import code_version

Cause = Literal["data revised", "rule changed", "rule changed, data revised", "looks ahead", "not reproducible"]
Outcome = Literal["agrees", "differs", "not compared"]

TOLERANCE = 0.005
"""By how much a strength may differ: half of the last digit that a report shows."""

COLUMNS = ("session", "strategy", "symbol", "outcome", "reported", "now", "cause", "run", "known", "id")

Reader = Callable[[Told, datetime | None, datetime | None], xr.Dataset]
"""Gives the bars of a reported signal: ``(told, end, as_of)``, up to now and as they are now where ``None``."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One reported signal, and what the backtest says now.

    Attributes
    ----------
    told : Told
    now : Said, optional
        ``None`` where the bar is not there, or nothing could be computed.
    outcome : {"agrees", "differs", "not compared"}
    cause : str
        Why they differ, or why they were not compared; empty where they agree.
    """

    told: Told
    now: Said | None
    outcome: Outcome
    cause: str = ""


@dataclass(frozen=True, repr=False)
class Parity:
    """How many reported signals are still what the backtest says.

    Attributes
    ----------
    comparisons : tuple of Comparison
        In the order of their bars.
    """

    comparisons: tuple[Comparison, ...]

    def count(self, outcome: Outcome) -> int:
        """Return how many signals there are of an outcome."""
        return sum(each.outcome == outcome for each in self.comparisons)

    @property
    def holds(self) -> bool:
        """Whether no signal differs."""
        return not self.count("differs")

    @property
    def differing(self) -> list[Comparison]:
        """What differs."""
        return [each for each in self.comparisons if each.outcome == "differs"]

    def table(self, outcome: Outcome | None = None) -> pd.DataFrame:
        """Return the comparisons of an outcome, or all, the newest bar first.

        Returns
        -------
        pandas.DataFrame
            Columns ``session strategy symbol outcome reported now cause run known id``.
        """
        rows = [_row(each) for each in reversed(self.comparisons) if outcome in (None, each.outcome)]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def __str__(self) -> str:
        compared = self.count("agrees") + self.count("differs")
        if not compared:
            return "Parity: no reported signal to compare yet"
        told = f"Parity: {self.count('agrees'):,} of {compared:,} reported signals are what the backtest says now"
        left = self.count("not compared")
        return f"{told}; {left:,} could not be compared" if left else told

    def __repr__(self) -> str:
        return f"<{self}>"

    def _repr_html_(self) -> str:
        from workbench.backtest.parity_page import parity_html

        return parity_html(self)


def compare(told: Sequence[Told], read: Reader, find: Callable[[str], Strategy]) -> Parity:
    """Compare reported signals with what the backtest says now.

    Parameters
    ----------
    told : sequence of Told
    read : callable
        Gives the bars of a signal; see ``Reader``.
    find : callable
        Gives a strategy by its name.

    Returns
    -------
    Parity
        A signal whose strategy or bars cannot be had any more is not compared, and says why.
    """
    found: dict[int, Comparison] = {}
    for places in _by_source(told):
        group = [told[place] for place in places]
        found |= dict(zip(places, _compared(group, read, find), strict=True))
    return Parity(tuple(found[place] for place in range(len(told))))


def _by_source(told: Sequence[Told]) -> Iterable[list[int]]:
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(told):
        groups.setdefault(each.source, []).append(place)
    return groups.values()


def _compared(group: Sequence[Told], read: Reader, find: Callable[[str], Strategy]) -> list[Comparison]:
    """Compare signals of one source: one look at the bars of now answers them all."""
    try:
        look = _Look(read, find(group[0].strategy), group[0].parameters)
        now = look.statements(group[0])
    except WorkbenchError as error:
        return [Comparison(each, None, "not compared", str(error)) for each in group]
    return [_comparison(each, now.at(each.symbol, each.session), look) for each in group]


def _comparison(told: Told, now: Said | None, look: _Look) -> Comparison:
    if agree(told.said, now):
        return Comparison(told, now, "agrees")
    # The cause is told as it was when the difference was new: what has changed since would hide it.
    return Comparison(told, now, "differs", told.cause or look.cause(told, now))


def agree(one: Said | None, other: Said | None) -> bool:
    """Say whether two statements mean the same: signal and position are equal, and the strength as far as it shows."""
    if one is None or other is None:
        return one is other
    same = (one.signal, one.position) == (other.signal, other.position)
    return same and abs(one.strength - other.strength) <= TOLERANCE


class _Look:
    """What a strategy says of bars as they are now, or were known at a moment."""

    def __init__(self, read: Reader, strategy: Strategy, parameters: Mapping[str, Any]) -> None:
        self.read = read
        self.strategy = strategy
        self.parameters = strategy.validate(parameters)
        self.kept: dict[tuple[datetime, datetime | None], Statements | None] = {}

    def statements(self, told: Told, end: datetime | None = None, as_of: datetime | None = None) -> Statements:
        return Statements(self.strategy.signals(self.read(told, end, as_of), **self.parameters))

    def said(self, told: Told, as_of: datetime | None) -> Said | None:
        """Return what the rule says with nothing after the signal's bar; ``None`` where it cannot say anything."""
        asked = (told.session, as_of)
        if asked not in self.kept:
            try:
                self.kept[asked] = self.statements(told, *asked)
            except WorkbenchError:
                self.kept[asked] = None
        statements = self.kept[asked]
        return None if statements is None else statements.at(told.symbol, told.session)

    def cause(self, told: Told, now: Said | None) -> Cause:
        then, cut = self.said(told, told.known), self.said(told, None)
        if agree(told.said, then):
            return "looks ahead" if agree(cut, told.said) and not agree(cut, now) else "data revised"
        hashed = code_hash(self.strategy.rule)
        # Of code without a hash nobody can say that it has changed.
        if then is None or None in (hashed, told.rule) or (told.rule, told.code) == (hashed, code_version()):
            return "not reproducible"
        return "rule changed" if agree(then, cut) else "rule changed, data revised"


def _row(each: Comparison) -> tuple[object, ...]:
    told = each.told
    said, now = in_words(told.said), in_words(each.now)
    return (
        *(pd.Timestamp(told.session), told.strategy, told.symbol, each.outcome, said, now, each.cause),
        *(told.run, pd.Timestamp(told.known), told.id),
    )


def in_words(said: Said | None) -> str:
    """Return a statement as a table shows it."""
    return "nothing" if said is None else f"{said.signal} {said.strength:+.2f}"
