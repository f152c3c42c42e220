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

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from workbench.risk.pricing.days import Day, quantlib_date
from workbench.risk.pricing.gate import GATE, present_owner
from workbench.risk.pricing.guard import EvaluationDateGuard, guard

__all__ = ["PATIENCE", "Day", "EvaluationDateGuard", "evaluation_date", "guard", "quantlib_date"]

PATIENCE = 60.0
"""Seconds that a thread waits for a date which another thread holds."""


def evaluation_date(day: Day, *, patience: float = PATIENCE) -> AbstractContextManager[Any]:
    """Hold QuantLib's evaluation date for a block, and give back what was there before, whatever happens in it.

    Blocks nest. Threads that ask for the same day hold it together; while one of them has nested another day inside,
    and for any other day, a thread waits until the date is free.

    Parameters
    ----------
    day : date, datetime, Timestamp, str or ql.Date
        The day to price at; an instant counts by its day in UTC.
    patience : float, optional
        Seconds to wait for a date that another thread holds.

    Returns
    -------
    context manager
        For ``with``; it gives the day as a ``ql.Date``.

    Raises
    ------
    DateRangeError
        If it is no date, or one that QuantLib does not have.
    FailureError
        If others hold another date for longer than ``patience``, or another asyncio task of this same thread does.
    """
    # Checked at the call, not only once the block is entered.
    return _held(quantlib_date(day), patience)


@contextmanager
def _held(wanted: Any, patience: float) -> Iterator[Any]:
    owner = present_owner()
    block = GATE.enter(wanted, owner, patience)
    try:
        yield wanted
    finally:
        GATE.leave(block, owner)
