"""A kernel's evaluation date, kept where it belongs from cell to cell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import InputError
from workbench.core.plugins import extra
from workbench.risk.pricing.days import Day, plain_date, quantlib_date
from workbench.risk.pricing.gate import GATE

with extra("pricing", "pricing with QuantLib"):
    import QuantLib as ql  # noqa: N813 (its own documentation's name for it)


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
        self._held = quantlib_date(clock())

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
        if GATE.is_free:
            ql.Settings.instance().evaluationDate = self._held
        return plain_date(self._held)

    def end(self) -> None:
        """Put the date back to that of ``begin``, and tell it where it had been changed."""
        if not GATE.is_free:
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
    """Guard the evaluation date of an IPython shell's cells from now on, as ``EvaluationDateGuard`` describes.

    A limit that cannot be read is told before each cell; until it can be, the date is today's.
    """
    watch = EvaluationDateGuard(limit, clock)
    shell.events.register("pre_run_cell", watch.before_cell)
    shell.events.register("post_run_cell", watch.after_cell)
    try:
        watch.begin()
    except InputError:
        watch.begin(clock())
    return watch
