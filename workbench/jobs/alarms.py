"""An alarm that holds nothing back: where it cannot be raised, what it tells of is kept all the same.

It is raised in the transaction that ends a run, so that there is one for each and none for what did not happen. What
goes wrong with it alone is undone alone; it is then raised later, from what the run's row says by then, or the log
names it as lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from workbench.jobs.outcome import one_line
from workbench.jobs.records import Alarm

MOST_TRIES = 120
"""How often an alarm is tried; ten minutes, by the beat of a service."""
RUN = "run:"
"""How the key of a run's alarm begins."""

_LOG = logging.getLogger("workbench.jobs")


@dataclass(slots=True)
class _Untold:
    subject: str
    tries: int = 0


class Alarms:
    """Calls an alarm, and remembers the runs that it could not tell of; any number of threads may call it.

    Parameters
    ----------
    alarm : callable, optional
        It may raise.
    """

    def __init__(self, alarm: Alarm | None) -> None:
        self._alarm = alarm
        self._untold: dict[str, _Untold] = {}

    def __call__(self, connection: sa.Connection, key: str, subject: str, text: str) -> None:
        """Raise an alarm in a savepoint of the transaction; an error of its own is logged.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            If the transaction cannot go on either: then nothing of it is kept, and all of it is to be done again.
        """
        if self._alarm is None:
            return
        savepoint = connection.begin_nested()
        try:
            self._alarm(connection, key, subject, text)
        except Exception as error:
            savepoint.rollback()
            self._missed(key, subject, getattr(error, "orig", None) or error)
        else:
            savepoint.commit()
            self._untold.pop(key, None)

    def again(self, tell: Callable[[str], None]) -> None:
        """Call ``tell`` with the id of each run that is still to be told of; it raises the alarm if there is one."""
        for key, untold in [*self._untold.items()]:
            tries = untold.tries
            tell(key.removeprefix(RUN))
            # It was not called: its row does not say any more that the run ended in trouble.
            if untold.tries == tries:
                self._untold.pop(key, None)

    def lose(self) -> None:
        """Name in the log what will not be raised any more."""
        while self._untold:
            key, untold = self._untold.popitem()
            _LOG.error("the alert %r (%s) is lost, it could not be raised", untold.subject, key)

    def _missed(self, key: str, subject: str, error: Exception) -> None:
        if not key.startswith(RUN):
            # A schedule that cannot be planned is found anew in an hour.
            _LOG.error("the alert %r (%s) could not be raised: %s", subject, key, one_line(error))
            return
        untold = self._untold.setdefault(key, _Untold(subject))
        untold.tries += 1
        if untold.tries == 1:
            _LOG.error("the alert %r (%s) could not be raised and is tried again: %s", subject, key, one_line(error))
        elif untold.tries >= MOST_TRIES:
            self._untold.pop(key, None)
            _LOG.error("the alert %r (%s) is lost, it could not be raised: %s", subject, key, one_line(error))
