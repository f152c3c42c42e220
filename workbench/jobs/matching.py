"""The rows of runs that somebody looks for: by what the records can say, page by page, and by what a row holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import sqlalchemy as sa

from workbench.core.calendar import Moment, date_range
from workbench.core.database import Database
from workbench.core.errors import UnknownNameError
from workbench.jobs.records import OPEN, Ended
from workbench.jobs.tables import RUNS, SCHEDULES

STATES: tuple[str, ...] = (*OPEN, *get_args(Ended))

_PAGE = 500
"""Rows in one short transaction: a reader that takes its time would keep SQLite's writers waiting."""


def rows_of(
    database: Database,
    *,
    schedule: str | None = None,
    state: str | Collection[str] | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Iterator[sa.Row[Any]]:
    """Yield the rows of these runs, the one that was due last in front; see ``History.search``."""
    wanted = RUNS.select()
    if schedule is not None:
        wanted = wanted.where(RUNS.c.schedule.in_(_schedules(database, schedule)))
    if state is not None:
        wanted = wanted.where(RUNS.c.state.in_(_states(state)))
    first, last = date_range(since, until)
    if first is not None:
        wanted = wanted.where(RUNS.c.due >= first)
    if last is not None:
        wanted = wanted.where(RUNS.c.due <= last)
    return _pages(database, wanted.order_by(RUNS.c.due.desc(), RUNS.c.id).limit(_PAGE))


def text_of(value: Any) -> str:
    """Return a parameter's value as people write it: a list's items after commas, a text without quotes."""
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    return value if isinstance(value, str) else str(value)


def is_notebook(row: sa.Row[Any], notebook: str | Path | None) -> bool:
    """Say whether a run's notebook is the one that is meant by its name or its path; ``None`` is any."""
    if notebook is None:
        return True
    path = Path(row.notebook)
    return str(notebook) in (str(path), path.name, path.stem)


def has_parameters(row: sa.Row[Any], wanted: Mapping[str, Any]) -> bool:
    """Say whether a run was given all these values; see ``History.search``."""
    return all(
        any(name in given and _is_value(given[name], value) for given in (row.resolved or {}, row.parameters))
        for name, value in wanted.items()
    )


def _is_value(given: Any, wanted: Any) -> bool:
    if given == wanted and isinstance(given, bool) == isinstance(wanted, bool):
        return True
    told = text_of(wanted).casefold()
    return text_of(given).casefold() == told or (
        isinstance(given, list) and any(_is_value(item, wanted) for item in given)
    )


def has_text(row: sa.Row[Any], text: str | None) -> bool:
    """Say whether a text is in what a run tells of itself; an empty one always is."""
    if not text:
        return True
    wanted = text.casefold()
    given = {**row.parameters, **(row.resolved or {})}
    parameters = " ".join(f"{name}={text_of(value)}" for name, value in given.items())
    told = (row.name, Path(row.notebook).name, parameters, row.reason or "")
    return row.id.startswith(wanted) or any(wanted in each.casefold() for each in told)


def _schedules(database: Database, name: str) -> Sequence[str]:
    """Return the ids of a schedule, and of removed ones that had the name."""
    named = sa.select(SCHEDULES.c.id).where(sa.or_(SCHEDULES.c.id == name, SCHEDULES.c.name == name))
    with database.reading() as connection:
        found = connection.execute(named).scalars().all()
        if not found:
            known = connection.execute(sa.select(SCHEDULES.c.name).distinct().order_by(SCHEDULES.c.name))
            raise UnknownNameError("schedule", name, known.scalars().all())
    return found


def _states(state: str | Collection[str]) -> list[str]:
    asked = [state] if isinstance(state, str) else list(state)
    for each in asked:
        if each not in STATES:
            raise UnknownNameError("state", each, STATES)
    return asked


def _pages(database: Database, wanted: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """Yield rows, page by page: what comes in meanwhile moves none of them."""
    page = wanted
    while True:
        with database.reading() as connection:
            rows = connection.execute(page).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        due, last = rows[-1].due, rows[-1].id
        page = wanted.where(sa.or_(RUNS.c.due < due, sa.and_(RUNS.c.due == due, RUNS.c.id > last)))
