"""What is due, what is skipped and why, and when a failed attempt is tried again. Values in, values out.

Due times are looked at in their order, each once: ``planned_until`` says how far, and never goes back. After the clock
went back an hour nothing is planned until it has caught up; after it went forward an hour, the due times in between
were missed, as if no service had been there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Protocol

from workbench.core.errors import DateRangeError
from workbench.jobs.schedule import Policies

GRACE = timedelta(minutes=1)
"""A due time no older than this was not missed: services start anew in less."""

MOST = 500
"""Due times of one schedule that are looked at in one go."""

LOOK_AHEAD = timedelta(days=8)
"""How far the next due time is looked for; calendars do not reach for ever."""

AGAIN = timedelta(hours=1)
"""When a schedule whose next due time cannot be told is looked at again."""

MOST_LOST = 3
"""How often a runner that did not begin is started anew; it has done nothing yet, so this is no retry."""


class Planned(Protocol):
    """What is planned: a ``Schedule``."""

    @property
    def policies(self) -> Policies:
        """Its rules."""

    def dues(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield ``after < due <= until``, ascending."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended.

    Attributes
    ----------
    id : str
    due : datetime
    begun : bool
        Whether an attempt at it was begun, one that is to be repeated included.
    late : bool
        Whether it makes up for a due time that was missed, or waits for data: not begun, it is in no later one's way.
    """

    id: str
    due: datetime
    begun: bool = True
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each due time up to ``planned_until``.

    Attributes
    ----------
    due : tuple of datetime
        To be run, ascending.
    skipped : tuple of (datetime, str)
        With the reason, ascending.
    cancelled : tuple of (str, str)
        Open runs that give way, by id, with the reason.
    planned_until : datetime
    complete : bool
        Whether that is as far as there is to plan; else go on from there at once.
    fault : str, optional
        Why what is due later cannot be told; what is due up to ``planned_until`` was.
    """

    due: tuple[datetime, ...]
    skipped: tuple[tuple[datetime, str], ...]
    cancelled: tuple[tuple[str, str], ...]
    planned_until: datetime
    complete: bool = True
    fault: str | None = None


def plan(
    schedule: Planned, planned_until: datetime, now: datetime, runs: Sequence[OpenRun] = (), most: int = MOST
) -> Plan:
    """Return what becomes of the due times with ``planned_until < due <= now``.

    One that is older than ``GRACE`` was missed, and the catch-up policy decides: ``skip`` skips it; ``latest`` skips it
    if a later one is due, too; ``all`` runs each. One older than the window is skipped. What is caught up waits for its
    turn. One that was not missed, while a run of the schedule is open, is up to the overlap policy: ``queue`` lets it
    wait, ``cancel`` cancels the open ones, and ``skip`` skips it if an open one has begun, or waits for a free place
    already: those do not pile up. What makes up for a missed due time, or waits for its own session's data, makes none
    be skipped before it has begun.

    Parameters
    ----------
    schedule : Planned
    planned_until : datetime
        Up to where it has been planned.
    now : datetime
    runs : sequence of OpenRun
        Its scheduled runs that have not ended.
    most : int
        Due times to look at.

    Returns
    -------
    Plan
        Each due time once; ``planned_until`` no earlier than the one given.

    Raises
    ------
    DateRangeError
        Where the calendar ends before the first due time that is looked for.
    """
    if now <= planned_until:
        return Plan((), (), (), planned_until)
    policies = schedule.policies
    found, fault = _known(schedule, planned_until, now, most + 1)
    looked_at = found[:most]
    due: list[datetime] = []
    fresh: list[OpenRun] = []
    skipped: list[tuple[datetime, str]] = []
    giving_way: dict[str, str] = {}
    for instant in looked_at:
        missed = now - instant > GRACE
        reason = _missed(policies, instant, found[-1], now) if missed else _overlapping(policies, [*runs, *fresh])
        if reason:
            skipped.append((instant, reason))
            continue
        if not missed:
            fresh.append(OpenRun("", instant, begun=False))
        if (due or len(runs) > len(giving_way)) and not missed and policies.overlap == "cancel":
            way = f"gave way to the run that is due at {_told(instant)} (overlap: cancel)"
            skipped += [(earlier, way) for earlier in due]
            giving_way |= {run.id: giving_way.get(run.id, way) for run in runs}
            due.clear()
        due.append(instant)
    complete = len(found) <= most
    until = looked_at[-1] if fault or not complete else now
    told = str(fault) if fault and complete else None
    return Plan(tuple(due), tuple(sorted(skipped)), tuple(giving_way.items()), until, complete, told)


def next_look(schedule: Planned, after: datetime) -> datetime:
    """Return when there is something to plan again: the next due time, or after eight days without one.

    Where the calendar ends before the next one, that is an hour later: no error before its end, and no silence after.
    """
    until = after + LOOK_AHEAD
    try:
        return next(iter(schedule.dues(after, until)), until)
    except DateRangeError:
        return after + AGAIN


def next_try(policies: Policies, state: str, tries: int, lost: int, now: datetime) -> datetime | None:
    """Return when an attempt is to be repeated, ``None`` for not at all.

    Parameters
    ----------
    policies : Policies
    state : str
        How the attempt ended.
    tries, lost : int
        Attempts so far that began, and that did not, this one included.
    now : datetime

    Returns
    -------
    datetime, optional
        ``now + back_off * 2 ** (tries - 1)``, the pause no longer than the longest.
    """
    if state == "lost":
        return now if lost <= MOST_LOST else None
    if state not in policies.retry_on or tries > policies.retries:
        return None
    pause: timedelta = policies.back_off * 2 ** (tries - 1)
    return now + min(pause, policies.longest_back_off)


def _known(
    schedule: Planned, after: datetime, until: datetime, most: int
) -> tuple[list[datetime], DateRangeError | None]:
    """Return the due times that a calendar knows, and the error at its end, if it ends among them."""
    found: list[datetime] = []
    try:
        found.extend(islice(schedule.dues(after, until), most))
    except DateRangeError as error:
        if not found:
            raise
        return found, error
    return found, None


def _missed(policies: Policies, instant: datetime, last: datetime, now: datetime) -> str:
    """Return why a due time that was missed is skipped, or nothing."""
    head = "missed while no service ran"
    if policies.catch_up == "skip":
        return f"{head} (catch-up: skip)"
    if now - instant > policies.window:
        return f"{head}, longer ago than the window of {policies.window} (catch-up: {policies.catch_up})"
    if policies.catch_up == "latest" and instant < last:
        return f"{head}; a later one was due, too (catch-up: latest)"
    return ""


def _overlapping(policies: Policies, runs: Sequence[OpenRun]) -> str:
    """Return why a due time that was not missed is skipped, or nothing."""
    ahead = [run for run in runs if run.begun or not run.late]
    if not ahead or policies.overlap != "skip":
        return ""
    # One that is at work tells more than one that waits.
    earlier = max(ahead, key=lambda run: (run.begun, run.due))
    state = "had not ended" if earlier.begun else "still waited for a free place"
    return f"the run that was due at {_told(earlier.due)} {state} (overlap: skip)"


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
