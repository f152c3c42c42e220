"""What has changed among the open messages, as Jupyter events."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from jupyter_events import EventLogger

from workbench.core.errors import WorkbenchError
from workbench.lab.alerts.standing import OpenMessage, Standing

SCHEMA = "https://trii-workbench/events/alert/v1"
SCHEMA_FILE = Path(__file__).with_name("event.yaml")
EVERY = 2.0
"""How often it is looked, in seconds."""


class Telling:
    """Looks for open messages while somebody listens, and emits what has changed.

    Parameters
    ----------
    standing : Standing
    events : jupyter_events.EventLogger
        Knows the schema from here on.
    log : logging.Logger
    """

    def __init__(self, standing: Standing, events: EventLogger, log: logging.Logger) -> None:
        events.register_event_schema(SCHEMA_FILE)
        self.standing = standing
        self.events = events
        self.log = log
        self._known: dict[int, OpenMessage] | None = None
        self._looking = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_heard(self) -> bool:
        """Whether a browser, or anything else, listens to these events."""
        # The logger itself looks there before it emits; it has no other name for it.
        return bool(self.events.handlers or self.events._modified_listeners.get(SCHEMA))

    def start(self) -> None:
        """Look from now on."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no longer."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching

    async def look(self) -> list[OpenMessage]:
        """Return the open messages, the newest first, and emit what has changed since the last time.

        Raises
        ------
        StoreError
            If the records cannot be read.
        """
        async with self._looking:
            found = await asyncio.to_thread(self.standing.look)
            known, self._known = self._known, found
        if known is not None:
            for id_ in [each for each in known if each not in found]:
                self.events.emit(schema_id=SCHEMA, data={"action": "closed", "id": id_})
            for each in [found[id_] for id_ in reversed(found) if id_ not in known]:
                self.events.emit(schema_id=SCHEMA, data={"action": "opened", **each.plain()})
        return list(found.values())

    async def _watch(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(EVERY)
            if not self.is_heard:
                continue
            try:
                await self.look()
                told = ""
            except Exception as error:
                # Whatever it is, ending here would leave everybody in the dark until the server is started again.
                if str(error) != told:
                    is_told = isinstance(error, WorkbenchError)
                    self.log.error("alerts cannot be shown: %s", error, exc_info=None if is_told else error)
                told = str(error)
