"""What "Delete" means for a run: what it left goes; its row stays, since the history tells of every due time."""

from __future__ import annotations

from workbench.bench import Workbench
from workbench.core.errors import ParameterError
from workbench.jobs.retention import discard


def delete_run(desk: Workbench, run: str) -> None:
    """Remove the files of a run that has ended, or cancel one that has not begun.

    Raises
    ------
    UnknownNameError
        If there is no such run.
    ParameterError
        If it is at work, or never left anything.
    """
    record = desk.jobs.ledger.run(run)
    if record.state == "running":
        raise ParameterError(f"the run of {record.job.name!r} is at work; stop it first, then delete what it left")
    if record.finished is None:
        desk.jobs.cancel(record.id, "deleted in JupyterLab before it began")
    elif record.started is None:
        raise ParameterError(f"the run of {record.job.name!r} was {record.state} and left nothing; its row is history")
    else:
        discard(desk.records, desk.settings.reports, record.id)
