"""QuantLib's evaluation date, which is one for the whole process: held for a block of code, and given back.

Every price that QuantLib gives is a price *at* ``Settings.instance().evaluationDate``. Left alone, that date floats: it
is the machine's own day at each use, and what was priced before midnight is not told that the day changed. So a kernel
keeps a date set (``EvaluationDateGuard``), and whoever needs another one holds it with ``evaluation_date``.

- The date, and with it the settings ``includeReferenceDateEvents``, ``includeTodaysCashFlows`` and
  ``enforcesTodaysHistoricFixings``: a block gives all four back as they were, a floating date as a floating one
  (``QuantLib.SavedSettings``). Between cells only the date is put back: the other three are a notebook's choice.
- The past fixings of the indices (``QuantLib.IndexManager``) are data and are left alone. QuantLib itself uses no
  fixing of a day after the evaluation date: it forecasts that one from the index's curve.
- Threads share the one date. Those that want the same one hold it together; one that wants another waits until the
  date is free, and is refused when that takes too long.

A day is a day in UTC, as everywhere in the workbench.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import DateRangeError, FailureError, InputError
from workbench.core.plugins import extra

with extra("pricing", "pricing with QuantLib"):
    import QuantLib as ql  # noqa: N813 (its own documentation's name for it)

Day = Any
"""A ``date``, a ``datetime`` or ``Timestamp``, a text such as ``"2019-01-07"``, a ``datetime64`` or a ``ql.Date``."""

PATIENCE = 60.0
"""Seconds that a thread waits for a date which another thread holds."""

Owner = tuple[int, int]
"""A thread and the asyncio task that runs in it, 0 for none: tasks take turns inside one thread."""


def quantlib_date(day: Day) -> Any:
    """Return a day as a ``ql.Date``; an instant with a time zone counts by its day in UTC.

    Raises
    ------
    DateRangeError
        If it is no date, or one that QuantLib does not have (before 1901 or after 2199).
    """
    try:
        plain = _plain_date(day)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise DateRangeError(f"{day!r} is no date; write it as 2012-03-01") from error
    first, last = ql.Date.minDate().to_date(), ql.Date.maxDate().to_date()
    if not first <= plain <= last:
        raise DateRangeError(f"{plain} is none of QuantLib's dates; give one from {first} to {last}")
    return ql.Date(plain.day, plain.month, plain.year)


def _plain_date(day: Any) -> date:
    if isinstance(day, ql.Date):
        day = day.to_date()
    elif isinstance(day, str):
        day = datetime.fromisoformat(day)
    elif isinstance(day, np.datetime64):
        day = pd.Timestamp(day)
    if pd.isna(day):
        raise ValueError("no date")
    if isinstance(day, datetime):
        return (day if day.tzinfo is None else day.astimezone(UTC)).date()
    if isinstance(day, date):
        return day
    raise TypeError("no date")


@contextmanager
def evaluation_date(day: Day, *, patience: float = PATIENCE) -> Iterator[Any]:
    """Hold QuantLib's evaluation date for a block, and give back what was there before, whatever happens in it.

    Blocks nest. Threads that ask for the same day hold it together; while one of them has nested another day inside,
    and for any other day, a thread waits until the date is free.

    Parameters
    ----------
    day : date, datetime, Timestamp, str or ql.Date
        The day to price at; an instant counts by its day in UTC.
    patience : float, optional
        Seconds to wait for a date that another thread holds.

    Yields
    ------
    ql.Date
        The day.

    Raises
    ------
    DateRangeError
        If it is no date, or one that QuantLib does not have.
    FailureError
        If others hold another date for longer than ``patience``, or another asyncio task of this same thread does.
    """
    wanted = quantlib_date(day)
    owner = _owner()
    block = _GATE.enter(wanted, owner, patience)
    try:
        yield wanted
    finally:
        _GATE.leave(block, owner)


def _owner() -> Owner:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), 0 if task is None else id(task)


@dataclass(slots=True, eq=False)
class _Block:
    """A date that is held: by whom, how many times, and the settings to give back."""

    day: Any
    before: Any
    owners: Counter[Owner]


class _Gate:
    """Says who may hold the evaluation date; the blocks that do, the innermost last."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._blocks: list[_Block] = []

    @property
    def is_free(self) -> bool:
        """Whether nobody holds the date."""
        return not self._blocks

    def enter(self, day: Any, owner: Owner, patience: float) -> _Block:
        """Set the date for an owner, once it may; ``leave`` takes the block that this gives."""
        with self._change:
            # A task of this very thread cannot go on, and leave, while this one waits.
            beside = any(other != owner and other[0] == owner[0] for block in self._blocks for other in block.owners)
            if not self._change.wait_for(lambda: self._may_enter(day, owner), 0 if beside else patience):
                held = self._blocks[-1].day.ISO()
                raise FailureError(
                    f"the evaluation date is held at {held} elsewhere and cannot be {day.ISO()} at once; QuantLib "
                    "has one for the process: price one date after the other, or in processes of their own"
                )
            if self._blocks and not self._is_alone(owner):
                ql.Settings.instance().evaluationDate = day
                self._blocks[-1].owners[owner] += 1
                return self._blocks[-1]
            block = _Block(day, _saved(), Counter([owner]))
            try:
                ql.Settings.instance().evaluationDate = day
            except RuntimeError:
                # What listens to the date, such as a ql.Observer, has failed, and may fail again; the date was set.
                with suppress(SystemError):
                    block.before.__exit__(None, None, None)
                raise
            self._blocks.append(block)
            return block

    def _may_enter(self, day: Any, owner: Owner) -> bool:
        # A shared date can have no date nested inside: it would change for those who share it.
        return self._is_alone(owner) or (len(self._blocks) == 1 and self._blocks[0].day == day)

    def _is_alone(self, owner: Owner) -> bool:
        return all(set(block.owners) <= {owner} for block in self._blocks)

    def leave(self, block: _Block, owner: Owner) -> None:
        """Give back what was before a block, when its last owner leaves it."""
        with self._change:
            block.owners -= Counter([owner])
            try:
                if not block.owners:
                    self._give_back(block)
            finally:
                self._change.notify_all()

    def _give_back(self, block: _Block) -> None:
        position = self._blocks.index(block)
        del self._blocks[position]
        if position == len(self._blocks):
            block.before.__exit__(None, None, None)
            return
        # Left before a block that was entered later, as generators can: that one gives back what was before. A record
        # takes effect also when it is dropped, so what holds now is set again after that.
        present = _saved()
        self._blocks[position].before = block.before
        present.__exit__(None, None, None)


def _saved() -> Any:
    settings = ql.SavedSettings()
    settings.__enter__()
    return settings


# One for the process, because QuantLib's date is.
_GATE = _Gate()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


class EvaluationDateGuard:
    """Keeps a kernel's evaluation date where it belongs: at the as-of limit's day, else at today.

    Before each cell the date is set anew, so that it follows ``%asof`` and the turn of the day. After each cell a date
    that the cell has changed outside of ``evaluation_date`` is put back, and one line says so; the cell's other results
    stand. While an ``evaluation_date`` block is open, as in a thread that outlives its cell, the date is that block's.

    Parameters
    ----------
    limit : callable
        Gives the as-of limit, an instant in UTC, or None where there is none; asked before each cell.
    clock : callable, optional
        Gives the present instant; its day in UTC is today.
    tell : callable, optional
        Takes the line that says that a date was put back; by default it is written to ``sys.stderr``.
    """

    def __init__(
        self, limit: Callable[[], datetime | None], clock: Clock = utc_now, tell: Callable[[str], None] = _to_stderr
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._tell = tell
        self._held = quantlib_date(self._today())

    def _today(self) -> datetime:
        return self._limit() or self._clock()

    def begin(self, day: Day | None = None) -> date:
        """Set the date for a cell: ``day``, else that of the as-of limit, else today; return it.

        Raises
        ------
        DateRangeError
            If ``day`` is no date, or one that QuantLib does not have.
        """
        self._held = quantlib_date(self._today() if day is None else day)
        if _GATE.is_free:
            ql.Settings.instance().evaluationDate = self._held
        return _plain_date(self._held)

    def end(self) -> None:
        """Put the date back to that of ``begin``, and tell it where it had been changed."""
        if not _GATE.is_free:
            return
        settings = ql.Settings.instance()
        found = settings.evaluationDate
        # Also where the two are equal: the cell may have let the date float, and today it floats over the same day.
        settings.evaluationDate = self._held
        if found != self._held:
            self._tell(
                f"this cell left the evaluation date at {found.ISO()}; it is {self._held.ISO()} again: hold another "
                "one with `with evaluation_date(day):`"
            )

    def before_cell(self, _info: object) -> None:
        """Set the date, or tell which one a block that is still open holds; IPython's ``pre_run_cell``."""
        try:
            day = self.begin()
        except InputError as error:
            self._tell(f"the evaluation date stays as it is: {error}")
            return
        found = ql.Settings.instance().evaluationDate
        if found != self._held:
            self._tell(
                f"this cell starts at the evaluation date {found.ISO()}, which an open block holds, not at {day}"
            )

    def after_cell(self, _result: object) -> None:
        """Put the date back; IPython's ``post_run_cell``."""
        self.end()


def guard(shell: Any, limit: Callable[[], datetime | None], clock: Clock = utc_now) -> EvaluationDateGuard:
    """Guard the evaluation date of an IPython shell's cells from now on, as ``EvaluationDateGuard`` describes."""
    watch = EvaluationDateGuard(limit, clock)
    watch.begin()
    shell.events.register("pre_run_cell", watch.before_cell)
    shell.events.register("post_run_cell", watch.after_cell)
    return watch
