"""Which alert services are up, by what each says of itself once a minute."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa

from workbench.alerts.tables import SERVICES
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import WorkbenchError

EVERY = timedelta(minutes=1)
SILENT = timedelta(minutes=3)
"""After this a service that has not spoken counts as dead; its row is removed by the next one that speaks."""

_LAST_WORDS = 2.0

_LOG = logging.getLogger(__name__)


class AlertServices:
    """The services of a home that look after alerts.

    Nothing is decided by it but what people are told: who claims what is settled in the outbox. So the clocks of the
    machines are good enough, and one that was killed counts as up for three minutes more.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def served(self) -> bool:
        """Say whether there is a service that evaluates rules and sends messages."""
        wanted = sa.select(SERVICES.c.id).where(SERVICES.c.seen > self.clock() - SILENT).limit(1)
        with self.database.reading() as connection:
            return connection.execute(wanted).first() is not None

    def speak(self, service: str) -> None:
        """Say that a service is up."""
        now = self.clock()
        old = sa.or_(SERVICES.c.id == service, SERVICES.c.seen <= now - SILENT)
        with self.database.writing() as connection:
            connection.execute(SERVICES.delete().where(old))
            connection.execute(SERVICES.insert().values(id=service, seen=now))

    def leave(self, service: str) -> None:
        """Say that a service has ended."""
        with self.database.writing() as connection:
            connection.execute(SERVICES.delete().where(SERVICES.c.id == service))

    @contextmanager
    def present(self) -> Iterator[None]:
        """Let this process count as a service, from a thread of its own; records that do not answer hold up nothing."""
        service, over = str(uuid4()), threading.Event()

        def attend() -> None:
            is_over = False
            while not is_over:
                self._noted(lambda: self.speak(service))
                is_over = over.wait(EVERY.total_seconds())
            self._noted(lambda: self.leave(service))

        thread = threading.Thread(target=attend, name="alert service", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_LAST_WORDS)

    def _noted(self, note: Callable[[], None]) -> None:
        try:
            note()
        except WorkbenchError as error:
            _LOG.warning("that this service is up could not be noted: %s", error)
