"""A rule on runs: one that failed, or that was not done in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from workbench.alerts.policy import Names, Span
from workbench.alerts.rules import AlertRule
from workbench.core.errors import UnsupportedError
from workbench.core.market import Adjustment
from workbench.core.spans import span_text

if TYPE_CHECKING:
    from workbench.alerts.evaluate import NamedRule, Verdict

FAILED = ("failed", "timed out", "limit", "orphaned")
"""How a run ends that has failed."""
UNTOLD = ("skipped", "cancelled")
"""How a run ends that is neither good nor bad: somebody, or a policy, wanted it so."""

Trouble = Literal["failed", "late", "failed or late"]


@dataclass(frozen=True, slots=True)
class RunFact:
    """What is known of one run of a schedule.

    Attributes
    ----------
    schedule : str
        The schedule's name.
    due : datetime
        Aware, like all of these.
    started, ended : datetime, optional
        ``None`` where it has not.
    state : str
        Such as ``"due"``, ``"running"``, ``"succeeded"``, ``"failed"``.
    reason : str
        Why it is in that state.
    """

    schedule: str
    due: datetime
    started: datetime | None = None
    ended: datetime | None = None
    state: str = "due"
    reason: str = ""


class RunRule(AlertRule):
    """A run that failed, or that was not done in time.

    It looks at no bars, and its schedules stand for symbols: at each of them it fires at the first run that is in
    trouble, and again once a run was not. A run that was skipped or cancelled counts for neither.

    Attributes
    ----------
    schedules : tuple of str
        Names; every schedule where there are none.
    when : {"failed", "late", "failed or late"}
    within : timedelta
        How long after its due time a run must be done so as not to be late; 1 h.
    times : int
        After how many runs in a row that are in trouble the rule holds.
    """

    on_bars = False

    dataset: str = ""
    symbols: Annotated[tuple[str, ...], Field(max_length=0)] = ()
    schedules: Names = ()
    when: Trouble = "failed or late"
    within: Span = Field(default=timedelta(hours=1), gt=timedelta(0), le=timedelta(days=31))
    times: int = Field(default=1, ge=1, le=1000)

    @property
    def adjusts(self) -> tuple[Adjustment, ...]:
        """None."""
        return ()

    @property
    def widest_gap(self) -> float:
        """As many runs as it asks for."""
        return float(self.times)

    @property
    def condition(self) -> str:
        """The rule in words."""
        late = f"not done within {span_text(self.within)}"
        trouble = {"failed": "failed", "late": late, "failed or late": f"failed or {late}"}[self.when]
        return f"run {trouble}" if self.times == 1 else f"{self.times} runs in a row {trouble}"

    def reading(self, bars: xr.Dataset, at: pd.Timestamp) -> xr.Dataset:  # noqa: ARG002 - as every kind is asked
        """Raise: see ``look``.

        Raises
        ------
        UnsupportedError
        """
        raise UnsupportedError("a rule on runs looks at no bars; evaluate it by bench.evaluate_rules")

    def look(self, facts: Iterable[RunFact], at: pd.Timestamp) -> xr.Dataset:
        """Return the reading of runs: times are due times, symbols are schedules.

        Parameters
        ----------
        facts : iterable of RunFact
            Of two runs of a schedule that were due at one instant, the later one in this order counts.
        at : pandas.Timestamp
            The moment, UTC without a zone. What was due, or has ended, later is not known yet; a run that has not
            ended and is not late is not looked at yet.

        Returns
        -------
        xarray.Dataset
            See ``workbench.alerts.rules``; ``value`` is how many runs in a row are in trouble, ``told`` why.
        """
        now = at.tz_localize(UTC).to_pydatetime()
        groups = _grouped(facts, self.schedules, now)
        words = {name: self._said_of(own, now) for name, own in groups.items()}
        return _reading({name: own for name, own in words.items() if own}, self.times)

    def said(self, row: xr.Dataset, bars: xr.Dataset) -> str:  # noqa: ARG002
        """Return what became of the run."""
        return self.tell(row, {})

    def tell(self, row: xr.Dataset, by: Mapping[Adjustment, xr.Dataset]) -> str:  # noqa: ARG002
        """Return what became of the run."""
        return str(row["told"].item()) or "the run was done in time"

    def distance(self, own: xr.Dataset) -> float:
        """Return how many runs are left; NaN after one that was in no trouble."""
        return float(own["gap"][-1]) if float(own["value"][-1]) > 0 else float("nan")

    def _said_of(self, runs: Mapping[datetime, RunFact], now: datetime) -> dict[datetime, str]:
        """Return what is wrong with each run of which that can be said, by due time; nothing for one that went well."""
        found = {due: self._trouble(run, now) for due, run in runs.items()}
        return {due: text for due, text in found.items() if text is not None}

    def _trouble(self, run: RunFact, now: datetime) -> str | None:
        ended = run.ended is not None and run.ended <= now
        if ended and run.state in UNTOLD:
            return None
        if ended and run.state in FAILED and self.when != "late":
            return f"the run ended as {run.state}" + (f": {run.reason}" if run.reason else "")
        done = run.ended if ended and run.ended is not None else now
        if self.when != "failed" and done > run.due + self.within:
            return _lateness(run, ended, done, now)
        return "" if ended else None


def judge_runs(named: NamedRule, facts: Sequence[RunFact], at: pd.Timestamp, lookback: int = 1) -> list[Verdict]:
    """Return what a rule on runs says of each schedule.

    Parameters
    ----------
    named : NamedRule
    facts : sequence of RunFact
    at : pandas.Timestamp
        The moment, UTC without a zone.
    lookback : int
        At how many of a schedule's last runs the rule may have fired, at least 1.

    Returns
    -------
    list of Verdict
        See ``workbench.alerts.evaluate.judge``, with schedules for symbols and due times for those of bars.

    Raises
    ------
    ParameterError
        For a lookback of less than a run.
    """
    from workbench.alerts.evaluate import Verdict, check_lookback, verdicts

    check_lookback(lookback)
    rule = named.rule
    if not isinstance(rule, RunRule):
        raise TypeError(f"{type(rule).__name__} is no rule on runs")
    reading = rule.look(facts, at)
    there = [str(name) for name in reading["symbol"].to_numpy()]
    found = [verdict for name in there for verdict in verdicts(named, name, reading.sel(symbol=name), {}, lookback)]
    absent = [name for name in dict.fromkeys(rule.schedules) if name not in there]
    return found + [Verdict(named, name, "unknown", "no run of it has ended yet") for name in absent]


def _grouped(facts: Iterable[RunFact], schedules: Sequence[str], now: datetime) -> dict[str, dict[datetime, RunFact]]:
    groups: dict[str, dict[datetime, RunFact]] = {}
    for fact in facts:
        if fact.due <= now and (not schedules or fact.schedule in schedules):
            groups.setdefault(fact.schedule, {})[fact.due] = fact
    return dict(sorted(groups.items()))


def _reading(words: Mapping[str, Mapping[datetime, str]], times: int) -> xr.Dataset:
    """Put the reading together from what is wrong with each run, by schedule and due time."""
    due = sorted({moment for own in words.values() for moment in own})
    shape = len(due), len(words)
    here, count = np.zeros(shape, dtype=bool), np.full(shape, np.nan)
    told = np.full(shape, "", dtype=object)
    places = {moment: place for place, moment in enumerate(due)}
    for column, own in enumerate(words.values()):
        in_a_row = 0
        for moment, text in sorted(own.items()):
            in_a_row = in_a_row + 1 if text else 0
            place = places[moment], column
            here[place], count[place], told[place] = True, in_a_row, text
    gap, holds = np.maximum(times - count, 0.0), count >= times
    parts = {"value": count, "level": np.full(shape, float(times)), "holds": holds, "gap": gap, "here": here}
    stamps = np.array([moment.astimezone(UTC).replace(tzinfo=None) for moment in due], dtype="datetime64[ns]")
    coords = {"time": stamps, "symbol": np.array(list(words), dtype=object)}
    named = {name: (("time", "symbol"), values) for name, values in {**parts, "told": told}.items()}
    return xr.Dataset(named, coords=coords)


def _lateness(run: RunFact, ended: bool, done: datetime, now: datetime) -> str:
    late = _roughly(done - run.due)
    if ended:
        return f"the run was done {late} after its due time"
    begun = run.started is not None and run.started <= now
    reason = f": {run.reason}" if run.reason and not begun else ""
    return f"the run {'is not done' if begun else 'has not begun'} {late} after its due time{reason}"


def _roughly(span: timedelta) -> str:
    """Return a length of time in two units at the most, such as ``"1 day 2 h"``."""
    days, hours, minutes = span.days, span.seconds // 3600, span.seconds // 60 % 60
    counts = ((days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"))
    told = [f"{count} {unit}" for count, unit in counts if count][:2]
    return " ".join(told) or "less than a minute"
