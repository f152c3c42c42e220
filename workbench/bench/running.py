"""The running side of a workbench: notebooks that run when they should, and what their runs have left."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.bench.desk import Desk
from workbench.core.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd

    from workbench.core.calendar import Moment
    from workbench.jobs.comparison import RunComparison
    from workbench.jobs.history import History
    from workbench.jobs.records import RunRecord
    from workbench.jobs.schedule import Mode, Ready, Schedule
    from workbench.jobs.schedules import Schedules


class Running(Desk):
    """Schedules and their runs.

    What is kept here is run by a service: the one that comes with JupyterLab, or ``workbench schedule serve``. A
    schedule goes by its name or its id, a run by its id or the beginning of it.
    """

    @property
    def jobs(self) -> Schedules:
        """What is done with schedules and runs, by their types; paths of notebooks begin in the working folder."""
        from workbench.jobs.claims import Claims
        from workbench.jobs.ledger import Ledger
        from workbench.jobs.schedule import CALENDAR
        from workbench.jobs.schedules import Schedules

        ledger, claims = Ledger(self.records, self.clock), Claims(self.records, self.clock)
        return Schedules(ledger, claims, Path.cwd(), CALENDAR, self._known)

    @cached_property
    def history(self) -> History:
        """What ran, with what it left."""
        from workbench.jobs.history import History

        return History(self.records, self.clock, self.settings.reports)

    def schedule(
        self,
        notebook: str | Path,
        when: str,
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        zone: str | None = None,
        mode: Mode = "now",
        ready: Ready | Mapping[str, Any] | Sequence[str] | str | None = None,
        formats: Sequence[str] = ("ipynb", "html"),
        kernel: str | None = None,
        **policies: Any,
    ) -> Schedule:
        """Run a notebook again and again.

        Parameters
        ----------
        notebook : str or Path
        when : str
            A cron line such as ``"30 17 * * MON-FRI"``, or a market trigger such as ``"XNYS close + 20 min"``.
        name : str, optional
            The notebook's where ``None``; 1 to 63 letters of a to z, digits, dots, blanks, underscores and dashes.
        parameters : mapping, optional
            By the names that the notebook declares. Relative dates such as ``"last_session"`` are read by each run.
        zone : str, optional
            Time zone of a cron line; UTC where ``None``.
        mode : {"now", "pinned"}
            Run the notebook as it is then, or as it is now.
        ready : sequence of str, mapping or Ready, optional
            For a market trigger: symbols whose bars of the session a run waits for; a mapping may name ``dataset`` and
            ``deadline``, too.
        formats : sequence of {"ipynb", "html", "pdf"}
            What a run leaves.
        kernel : str, optional
            Instead of the notebook's own.
        policies
            See ``workbench.jobs.schedule.Policies``; lengths of time as ``"90 min"``.

        Returns
        -------
        Schedule

        Raises
        ------
        InputError
            For whatever could not run; see ``workbench.jobs.schedules.Schedules.add``.
        """
        from workbench.jobs.schedule import Schedule
        from workbench.jobs.wording import read_policies, read_ready, read_when

        rules = {**read_when(when, zone), "ready": read_ready(ready, self.settings.dataset)}
        values = {"name": _name(name, notebook), "notebook": notebook, "parameters": dict(parameters or {})}
        own = {"mode": mode, "formats": tuple(formats), "kernel": kernel, "policies": read_policies(policies)}
        return self.jobs.add(Schedule.of({**values, **own, **rules}))

    def change_schedule(self, name: str, /, **changes: Any) -> Schedule:
        """Change a schedule; what was due by now is planned as it was, and what is not named stays.

        Parameters
        ----------
        name : str
            Or its id.
        changes
            What ``schedule`` takes, by the same names: ``parameters`` replace all those from before, ``zone`` stays
            with a new cron line, and a pinned notebook stays as it was pinned unless ``notebook`` or ``mode="pinned"``
            is given.

        Returns
        -------
        Schedule

        Raises
        ------
        InputError
            For whatever could not run; see ``workbench.jobs.schedules.Schedules.change``.
        """
        from workbench.jobs.wording import read_change

        jobs = self.jobs
        kept = jobs.get(name).schedule
        if "name" in changes:
            changes["name"] = _name(changes["name"], kept.notebook)
        return jobs.change(kept.id, **read_change(kept, self.settings.dataset, changes))

    def schedules(self) -> pd.DataFrame:
        """Return the schedules by name: when, what is due next (UTC), how the last run ended, and what is wrong."""
        import pandas as pd

        from workbench.jobs.schedules import next_due

        jobs, now = self.jobs, self.clock()
        rows, last = [], jobs.ledger.last_states()
        for record in jobs.list():
            schedule = record.schedule
            own = {"name": schedule.name, "notebook": schedule.notebook.name, "when": schedule.when}
            state = {"active": schedule.active, "next": next_due(record, now), "fault": record.fault}
            rows.append({**own, "mode": schedule.mode, **state, "last": last.get(schedule.id)})
        columns = ["name", "notebook", "when", "mode", "active", "next", "last", "fault"]
        return pd.DataFrame(rows, columns=columns).astype({"next": "datetime64[us, UTC]"}).set_index("name")

    def pause_schedule(self, name: str) -> Schedule:
        """Let a schedule not be due until it is resumed."""
        return self.jobs.pause(name)

    def resume_schedule(self, name: str) -> Schedule:
        """Let a paused schedule be due from now on."""
        return self.jobs.resume(name)

    def remove_schedule(self, name: str) -> Schedule:
        """Remove a schedule: runs that wait are cancelled, one at work goes on, and its history stays."""
        return self.jobs.remove(name)

    def run_now(
        self,
        notebook: str | Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        time_out: str | timedelta | None = None,
        token: str | None = None,
    ) -> RunRecord:
        """Let a service run a notebook, or a schedule's by its name, now.

        Parameters
        ----------
        notebook : str or Path
            The path of an ``.ipynb`` file, or a schedule's name.
        parameters : mapping, optional
            Those of a schedule are kept where none is given.
        time_out : str or timedelta, optional
            How long an attempt may take, such as ``"90 min"``; an hour where ``None``. A schedule has its own.
        token : str, optional
            A request that is repeated with the same token makes one run.

        Returns
        -------
        RunRecord
            The run as it stands; ``bench.jobs.wait(run.id)`` waits for its end.
        """
        from workbench.jobs.schedule import Job
        from workbench.jobs.wording import read_policies

        jobs = self.jobs
        if not str(notebook).endswith(".ipynb"):
            if time_out is not None:
                raise ParameterError(
                    f"time_out={str(time_out)!r} does not go with {str(notebook)!r}, a schedule has its own; leave it "
                    "out, or give the path of an .ipynb file"
                )
            return jobs.ledger.run(jobs.run_now(str(notebook), parameters, token))
        rules = read_policies({} if time_out is None else {"time_out": time_out})
        values = {"name": _name(None, notebook), "notebook": notebook, "parameters": dict(parameters or {})}
        return jobs.ledger.run(jobs.submit(Job.of({**values, "policies": rules}), token=token))

    def runs(
        self,
        *,
        schedule: str | None = None,
        notebook: str | Path | None = None,
        parameter: Mapping[str, Any] | None = None,
        state: str | Collection[str] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        text: str | None = None,
        most: int = 200,
    ) -> pd.DataFrame:
        """Return runs, the last in front; see ``workbench.jobs.history.History.search``."""
        found = self.history.search(
            schedule=schedule,
            notebook=notebook,
            parameter=parameter,
            state=state,
            since=since,
            until=until,
            text=text,
            most=most,
        )
        return self.history.frame(found)

    def rerun(self, run: str, parameters: Mapping[str, Any] | None = None) -> RunRecord:
        """Run again what ran, with the same or changed parameters; see ``Schedules.rerun``."""
        jobs = self.jobs
        return jobs.ledger.run(jobs.rerun(run, parameters))

    def compare_runs(self, one: str, other: str) -> RunComparison:
        """Return how two runs differ: parameters, data, libraries, and what each cell shows."""
        from workbench.jobs.comparison import compare_runs

        jobs = self.jobs
        return compare_runs(self.history, jobs.run(one).id, jobs.run(other).id)

    def report(self, run: str) -> Path:
        """Return the HTML page of a run."""
        return self.history.report(self.jobs.run(run).id)

    def prune_reports(self, *, dry: bool = False) -> list[str]:
        """Remove the files of runs that their schedules keep no longer, and return the runs' ids.

        The rows stay; ``dry`` removes nothing and says what would go.
        """
        from workbench.jobs.retention import prune

        return prune(self.records, self.clock, self.settings.reports, dry=dry)

    def _known(self, ready: Ready) -> None:
        known = self.market.symbols(ready.dataset)
        for symbol in ready.symbols:
            if symbol not in known:
                raise UnknownNameError("symbol", symbol, known, where=f"dataset {ready.dataset}")


def _name(given: str | None, notebook: str | Path) -> str:
    """Return the name of a schedule or run: the one that was given, or its notebook's."""
    from workbench.jobs.refusal import NAMED
    from workbench.jobs.schedule import NAME, job_name

    if given is None:
        return job_name(Path(notebook))
    if re.fullmatch(NAME, given) is None:
        raise ParameterError(f"name={given[:80]!r} cannot be used; {NAMED}")
    return given
