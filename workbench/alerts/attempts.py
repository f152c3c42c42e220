"""Something that is tried again and again, after waits that grow."""

from __future__ import annotations

import logging
from time import monotonic

from workbench.core.errors import WorkbenchError
from workbench.data.live.pacing import growing_delays


class Attempt:
    """When something is to be tried next, and why it failed last.

    Attributes
    ----------
    error : str
        What went wrong; empty since it was done.

    Parameters
    ----------
    log : logging.Logger
        Is told of each failure, with its trace where it is no fault that we know.
    what : str
        What cannot be done, as a sentence begins.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self.error = ""
        self._due, self._delays = 0.0, growing_delays()

    @property
    def is_due(self) -> bool:
        """Whether it is to be tried."""
        return monotonic() >= self._due

    def done(self, pause: float = 0.0) -> None:
        """Note that it was done; it is due again after ``pause`` seconds."""
        self.error = ""
        self._due, self._delays = monotonic() + pause, growing_delays()

    def failed(self, error: Exception) -> None:
        """Note that it failed, and tell why."""
        is_told = isinstance(error, WorkbenchError)
        self.error = str(error) if is_told else f"{type(error).__name__}: {error}"
        self._log.error("%s: %s", self._what, self.error, exc_info=None if is_told else error)
        self._due = monotonic() + next(self._delays)
