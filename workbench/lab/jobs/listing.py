"""The pages of Lab's lists: runs and schedules, filtered, sorted and counted by the records themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from jupyter_scheduler.models import (
    DescribeJobDefinition,
    ListJobDefinitionsQuery,
    ListJobDefinitionsResponse,
    ListJobsQuery,
    SortDirection,
    SortField,
    Status,
)

from workbench.core.database import Database
from workbench.core.errors import ParameterError
from workbench.jobs.records import RunRecord, run_record
from workbench.jobs.tables import RUNS
from workbench.lab.jobs.describing import STATES

SHOWN: sa.ColumnElement[bool] = sa.or_(RUNS.c.folder.is_not(None), RUNS.c.started.is_(None), RUNS.c.finished.is_(None))
"""Not the runs whose files were deleted: they stay in the gallery, and each skipped one stays here, too."""

_RANKS = {state: list(Status).index(status) for state, status in STATES.items()}
SORTED_BY: dict[str, sa.ColumnElement[Any]] = {
    "name": sa.func.lower(RUNS.c.name),
    "input_filename": RUNS.c.notebook,
    "create_time": RUNS.c.planned,
    "status": sa.case(_RANKS, value=RUNS.c.state, else_=len(_RANKS)),
}
DEFINITIONS_SORTED_BY: dict[str, Callable[[DescribeJobDefinition], Any]] = {
    "name": lambda each: each.name.lower(),
    "input_filename": lambda each: each.input_filename.lower(),
    "create_time": lambda each: each.create_time,
}


def list_runs(database: Database, query: ListJobsQuery) -> tuple[list[RunRecord], int, str | None]:
    """Return a page of runs, how many there are on all pages, and the token of the next page.

    Raises
    ------
    ParameterError
        For a column that cannot be sorted by, or a token that is none.
    """
    wanted = [SHOWN, *_conditions(query)]
    most, first = max(0, int(query.max_items or 0)), _offset(query.next_token)
    page = RUNS.select().where(*wanted).order_by(*_order(query.sort_by), RUNS.c.id).limit(most).offset(first)
    with database.reading() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(RUNS).where(*wanted)).scalar_one()
        found = [run_record(row) for row in connection.execute(page)] if most else []
    after = first + len(found)
    return found, total, str(after) if found and after < total else None


def count_runs(database: Database, status: Status) -> int:
    """Return how many runs are in one of jupyter-scheduler's states."""
    wanted = sa.select(sa.func.count()).select_from(RUNS).where(SHOWN, _in_status(status))
    with database.reading() as connection:
        return int(connection.execute(wanted).scalar_one())


def page_of(query: ListJobDefinitionsQuery, found: list[DescribeJobDefinition]) -> ListJobDefinitionsResponse:
    """Return a page of schedules; there are few enough to sort them here.

    Raises
    ------
    ParameterError
        For a column that cannot be sorted by, or a token that is none.
    """
    wanted = [] if query.tags else [each for each in found if each.name.startswith(query.name or "")]
    wanted = [each for each in wanted if each.create_time >= (query.create_time or 0)]
    for field in reversed(query.sort_by):
        if field.name not in DEFINITIONS_SORTED_BY:
            raise _unsortable("job definitions", field.name, DEFINITIONS_SORTED_BY)
        wanted.sort(key=DEFINITIONS_SORTED_BY[field.name], reverse=field.direction is SortDirection.desc)
    first = _offset(query.next_token)
    after = first + max(0, int(query.max_items or 0))
    return ListJobDefinitionsResponse(
        job_definitions=wanted[first:after],
        total_count=len(wanted),
        next_token=str(after) if first < after < len(wanted) else None,
    )


def _conditions(query: ListJobsQuery) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if query.job_definition_id:
        found.append(RUNS.c.schedule == query.job_definition_id)
    if query.status:
        found.append(_in_status(query.status))
    if query.name:
        found.append(RUNS.c.name.startswith(query.name, autoescape=True))
    if query.start_time:
        found.append(RUNS.c.started >= datetime.fromtimestamp(query.start_time / 1000, UTC))
    return found


def _in_status(status: Status) -> sa.ColumnElement[bool]:
    stopping = sa.and_(RUNS.c.cancel.is_not(None), RUNS.c.finished.is_(None))
    if status is Status.STOPPING:
        return stopping
    states = [state for state, shown in STATES.items() if shown is status]
    return sa.and_(RUNS.c.state.in_(states), sa.not_(stopping))


def _order(wanted: Sequence[SortField]) -> list[sa.ColumnElement[Any]]:
    unknown = [each.name for each in wanted if each.name not in SORTED_BY]
    if unknown:
        raise _unsortable("jobs", unknown[0], SORTED_BY)
    columns = [(SORTED_BY[each.name], each.direction is SortDirection.desc) for each in wanted]
    return [column.desc() if falling else column.asc() for column, falling in columns]


def _unsortable(what: str, name: str, known: Iterable[str]) -> ParameterError:
    return ParameterError(f"{what} cannot be sorted by {name[:40]!r}; choose one of {', '.join(known)}")


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise ParameterError(f"next_token={token[:40]!r} is none that was given; leave it out")
    return int(token)
