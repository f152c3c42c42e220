"""What people do with schedules and runs: each is checked, and refused with the reason, before it is kept.

Every door (a notebook, the command line, JupyterLab) comes through here, so that all of them refuse the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

import sqlalchemy as sa

from workbench.core.errors import DateRangeError, FailureError, ParameterError, UnknownNameError
from workbench.jobs.claims import Claims
from workbench.jobs.ledger import Ledger
from workbench.jobs.market import parse_trigger
from workbench.jobs.moments import literal
from workbench.jobs.records import OPEN, Identity, RunRecord, ScheduleRecord
from workbench.jobs.schedule import AnyJob, Job, Ready, Schedule, check
from workbench.jobs.services import Services
from workbench.jobs.tables import RUNS

FAR = timedelta(days=3653)
"""How far ahead a due time is looked for."""

POLL = 0.2
"""How often a run that is waited for is looked at, in seconds."""


class Schedules:
    """The schedules of a home, and the runs that are asked for.

    Parameters
    ----------
    ledger : Ledger
    claims : Claims
    folder : Path
        Where a relative path of a notebook begins.
    calendar : str
        Exchange whose sessions relative dates mean, where no market trigger names another.
    known : callable
        Raises for data that are not in the catalog; called with what a schedule waits for.

    Notes
    -----
    Every method that keeps something raises what ``workbench.jobs.schedule.check`` does, and ``StoreError`` if the
    records cannot be read or written.
    """

    def __init__(
        self, ledger: Ledger, claims: Claims, folder: Path, calendar: str, known: Callable[[Ready], None]
    ) -> None:
        self.ledger = ledger
        self.claims = claims
        self.folder = folder
        self.calendar = calendar
        self._known = known

    def add(self, schedule: Schedule) -> Schedule:
        """Keep a schedule, and return it in its normal form; it is due from now on.

        Raises
        ------
        ParameterError
            If its name is taken, or it cannot be used.
        UnknownNameError
            For a kernel, zone, calendar, parameter, dataset or symbol that is not there.
        InputError
            For a file that is no notebook.
        """
        checked, text = self._checked(schedule)
        self.ledger.add(checked, text)
        return checked

    def change(self, name: str, /, **values: Any) -> Schedule:
        """Change a schedule by its name or id; what was due by now is planned as it was.

        A pinned notebook stays as it was pinned, unless ``notebook`` or ``mode="pinned"`` is given: then it is the
        file as it is now. ``parameters`` replace all those from before, ``policies`` only those that are named. A
        ``cron`` line takes the place of a market trigger, and a ``market`` trigger that of a cron line.

        Raises
        ------
        ParameterError
            For a value that cannot be used, or a name that is taken.
        UnknownNameError
            If there is no such schedule.
        """
        if "id" in values:
            raise ParameterError(f"id={values['id']!r} cannot be given, a schedule keeps its own; leave it out")
        kept = self.ledger.schedule(name).schedule
        if isinstance(values.get("policies"), Mapping):
            values["policies"] = {**kept.policies.model_dump(), **values["policies"]}
        if values.get("cron") is not None:
            values = {"market": None, "ready": None, **values}
        elif values.get("market") is not None:
            values = {"cron": None, **values}
        changed = Schedule.of({**kept.model_dump(), **values})
        stays = kept.sha256 is not None and changed.mode == "pinned" and not {"notebook", "mode"} & set(values)
        checked, text = self._checked(changed, self.ledger.pinned_text(str(kept.sha256)) if stays else None)
        self.ledger.replace(checked, text)
        return checked

    def pause(self, name: str) -> Schedule:
        """Let a schedule, by its name or id, not be due until it is resumed; what was due before goes on."""
        return self.ledger.set_active(name, active=False)

    def resume(self, name: str) -> Schedule:
        """Let a paused schedule be due from now on; what it would have been due for in the meantime was not missed."""
        return self.ledger.set_active(name, active=True)

    def remove(self, name: str) -> Schedule:
        """Remove a schedule by its name or id; its history stays, runs that wait are cancelled, one at work goes on."""
        schedule = self.ledger.schedule(name).schedule
        self.ledger.remove(schedule.id)
        return schedule

    def get(self, name: str) -> ScheduleRecord:
        """Return a schedule by its name or id.

        Raises
        ------
        UnknownNameError
        """
        return self.ledger.schedule(name)

    def list(self) -> list[ScheduleRecord]:
        """Return the schedules by name."""
        return self.ledger.schedules()

    def submit(self, job: Job, kind: Literal["now", "rerun"] = "now", token: str | None = None) -> str:
        """Let a notebook run now, by itself; return the run's id.

        Parameters
        ----------
        job : Job
        kind : {"now", "rerun"}
        token : str, optional
            A request that is repeated with the same token makes one run.
        """
        checked, text = self._checked(job)
        return self.ledger.submit(checked, text, kind=kind, token=token)

    def run_now(self, name: str, parameters: Mapping[str, Any] | None = None, token: str | None = None) -> str:
        """Let a schedule's notebook run now, out of its turn and without waiting for data; return the run's id.

        Parameters
        ----------
        name : str
            Of the schedule, or its id.
        parameters : mapping, optional
            In the place of the schedule's own of the same name.
        token : str, optional
            A request that is repeated with the same token makes one run.
        """
        schedule = self.ledger.schedule(name).schedule
        asked = schedule.model_copy(update={"parameters": {**schedule.parameters, **(parameters or {})}})
        checked, text = self._checked(asked, self._pinned(asked))
        return self.ledger.submit(checked, text, token=token)

    def rerun(self, run: str, parameters: Mapping[str, Any] | None = None, token: str | None = None) -> str:
        """Run again what ran, with the same or changed parameters; return the new run's id.

        Relative dates keep the days that they were for the first one, and data are those that were known when the first
        one's were complete, if it waited for them. A changed parameter may hold a relative date of now. The notebook
        is the file as it is now, unless it was pinned.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        first = self.run(run)
        same = literal(dict(first.resolved)) if first.resolved is not None else first.job.parameters
        asked = first.job.model_copy(update={"parameters": {**same, **(parameters or {})}})
        checked, text = self._checked(asked, self._pinned(asked), calendar=self._calendar(first), zone=first.zone)
        where: dict[str, Any] = {
            "schedule": first.schedule,
            "as_of": first.as_of,
            "zone": first.zone,
            "market": first.market,
        }
        return self.ledger.submit(checked, text, kind="rerun", token=token, **where)

    def run(self, text: str) -> RunRecord:
        """Return a run by its id, or by the beginning of it if no other one begins so.

        Raises
        ------
        UnknownNameError
            If there is none.
        ParameterError
            If there are several.
        """
        begins = RUNS.c.id.startswith(text.lower(), autoescape=True)
        with self.ledger.database.reading() as connection:
            found = connection.execute(sa.select(RUNS.c.id).where(begins).order_by(RUNS.c.id).limit(2)).scalars().all()
        if len(found) > 1 and text:
            raise ParameterError(
                f"several runs begin with {text!r}, such as {found[0]} and {found[1]}; write more of it"
            )
        if len(found) != 1 or not text:
            raise UnknownNameError("run", text, [run.id[:8] for run in self.ledger.runs(most=3)])
        return self.ledger.run(found[0])

    def wait(self, run: str, patience: float = 600.0) -> RunRecord:
        """Return a run once it has ended, by its id or the beginning of it.

        Parameters
        ----------
        run : str
        patience : float
            How long to wait, in seconds.

        Raises
        ------
        FailureError
            If it has not ended by then.
        """
        found = self.run(run)
        ends = monotonic() + patience
        while found.state in OPEN:
            if monotonic() >= ends:
                raise FailureError(
                    f"run {found.id} is still {found.state} after {patience:g} s; see whether a service is there "
                    f"(workbench schedule serve, or JupyterLab), or wait longer"
                )
            sleep(POLL)
            found = self.ledger.run(found.id)
        return found

    def cancel(self, run: str, reason: str) -> str | None:
        """Cancel a run: ``"cancelled"`` at once, ``"asked"`` if its runner must stop first, ``None`` if it had ended.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        return self.claims.cancel(self.run(run).id, reason)

    def served(self) -> bool:
        """Say whether there is a service that could run what is due; one of another host is taken at its word."""
        from workbench.jobs.identity import lives

        services = Services(self.ledger.database, self.ledger.clock).services()
        return any(lives(Identity(each.host, each.boot, each.pid, each.ticks)) is not False for each in services)

    def _checked(
        self, job: AnyJob, pinned: str | None = None, *, calendar: str | None = None, zone: str = "UTC"
    ) -> tuple[AnyJob, str]:
        from workbench.jobs.formats import check_formats

        check_formats(job.formats)
        if isinstance(job, Schedule) and job.ready is not None:
            self._known(job.ready)
        chosen = calendar or self.calendar
        return check(job, self.folder, self.ledger.clock(), calendar=chosen, zone=zone, pinned=pinned)

    def _pinned(self, job: Job) -> str | None:
        return self.ledger.pinned_text(job.sha256) if job.sha256 is not None else None

    def _calendar(self, run: RunRecord) -> str:
        return self.calendar if run.market is None else parse_trigger(run.market).calendar


def next_due(record: ScheduleRecord, now: datetime) -> datetime | None:
    """Return when a schedule is due next, ``None`` if it is paused or that lies more than ten years ahead.

    Where the calendar of a market trigger ends before then, that is ``None``, too.
    """
    if not record.schedule.active:
        return None
    try:
        start = max(now, record.planned_until)
        return next(iter(record.schedule.dues(start, now + FAR)), None)
    except DateRangeError:
        return None
