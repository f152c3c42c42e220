"""What all rules say at one moment, and the tables of it that a notebook shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from workbench.alerts.evaluate import State, Verdict

STATES: tuple[State, ...] = get_args(State)
COLUMNS = ("rule", "symbol", "condition", "state", "found", "distance", "since", "time")


@dataclass(frozen=True, repr=False)
class VerdictTable:
    """Verdicts, as a notebook shows them.

    Attributes
    ----------
    verdicts : tuple of Verdict
    raised : frozenset of str
        The keys of the alerts that are new.
    """

    verdicts: tuple[Verdict, ...]
    raised: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.verdicts)

    @property
    def table(self) -> pd.DataFrame:
        """The verdicts: columns ``rule symbol condition state found distance since time``."""
        return pd.DataFrame([_row(each) for each in self.verdicts], columns=list(COLUMNS))

    @property
    def symbols(self) -> list[tuple[str, str]]:
        """The datasets and symbols that it tells of, each pair once, in this order; runs have neither."""
        on_bars = [each for each in self.verdicts if each.rule.rule.on_bars]
        return list(dict.fromkeys((each.rule.rule.dataset, each.symbol) for each in on_bars))

    def __repr__(self) -> str:
        return "nothing" if not self.verdicts else self.table.to_string(index=False, float_format="{:.1f}".format)

    def _repr_html_(self) -> str:
        from workbench.alerts.page import table_of

        return table_of(self)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What all rules say at one moment.

    Attributes
    ----------
    at : pandas.Timestamp
        The moment, UTC without a zone.
    verdicts : tuple of Verdict
    raised : frozenset of str
        The keys of the alerts that are new by it.
    """

    at: pd.Timestamp
    verdicts: tuple[Verdict, ...]
    raised: frozenset[str] = frozenset()

    def of(self, state: State) -> VerdictTable:
        """Return the verdicts of a state: the nearest first, and of those that fired the newest."""
        own = [each for each in self.verdicts if each.state == state]
        if state == "fired":
            own.sort(key=lambda each: each.since, reverse=True)
        else:
            own.sort(key=lambda each: (np.isnan(each.distance), each.distance))
        return VerdictTable(tuple(own), self.raised)

    @property
    def fired(self) -> VerdictTable:
        """What fired."""
        return self.of("fired")

    @property
    def near(self) -> VerdictTable:
        """What nearly fired."""
        return self.of("near")

    @property
    def quiet(self) -> VerdictTable:
        """What is far from firing."""
        return self.of("quiet")

    @property
    def unknown(self) -> VerdictTable:
        """What could not be said, and why."""
        return self.of("unknown")

    @property
    def versions(self) -> list[str]:
        """The versions of the data that were looked at."""
        return sorted({each.version for each in self.verdicts if each.version})

    @property
    def last_bar(self) -> pd.Timestamp | None:
        """The newest bar that was looked at, UTC without a zone."""
        own = (each.time for each in self.verdicts if each.rule.rule.on_bars and not pd.isna(each.time))
        return max(own, default=None)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.of(state))} {state}" for state in STATES)
        return f"At {self.at:%Y-%m-%d %H:%M} UTC: {counts}"

    def __repr__(self) -> str:
        return f"<Evaluation {self}>"

    def _repr_html_(self) -> str:
        from workbench.alerts.page import counts_of

        return counts_of(self)


def _row(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.rule.name,
        verdict.symbol,
        verdict.rule.rule.condition,
        verdict.state,
        verdict.found,
        verdict.distance,
        verdict.since,
        verdict.time,
    )
