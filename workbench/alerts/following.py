"""A feed of the symbols of rules: opened again where it breaks off, and without what its source does not know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workbench.alerts.attempts import Attempt
from workbench.core.errors import UnknownNameError
from workbench.data.live.base import Event, Gap

if TYPE_CHECKING:
    from workbench.data.live.feed import Feed
    from workbench.data.live.mailbox import Subscription

SLICE = 0.5
"""Seconds after which a reader without quotes looks up."""
GAPS = 100
"""So many of the last gaps are kept."""

_LOG = logging.getLogger(__name__)


class Following:
    """What a monitor hears; for its thread alone.

    Attributes
    ----------
    gaps : tuple of Gap
        The last ones that were read.
    unknown : set of str
        Symbols that the source refuses by name.

    Parameters
    ----------
    feed : callable
        Opens a feed of the symbols that it is given. One that follows others, such as fixed ones, is kept.
    stopped : threading.Event
        Ends what waits.
    """

    def __init__(self, feed: Callable[[Sequence[str]], Feed], stopped: threading.Event) -> None:
        self._open, self._stopped = feed, stopped
        self.gaps: tuple[Gap, ...] = ()
        self.unknown = set[str]()
        self._attempt = Attempt(_LOG, "the stream broke off")
        self._feed: Feed | None = None
        self._reader: Subscription | None = None
        self._asked: tuple[str, ...] = ()

    @property
    def error(self) -> str:
        """Why nothing is heard; empty once something is."""
        return self._attempt.error

    @property
    def has_ended(self) -> bool:
        """Whether all is read that the source has to say."""
        return self._reader is not None and self._reader.ended

    def follow(self, symbols: Sequence[str]) -> None:
        """Follow symbols, unless they are followed already, or the stream has just broken off.

        Raises
        ------
        WorkbenchError
            If the feed cannot be opened.
        """
        wanted = tuple(each for each in symbols if each not in self.unknown)
        if {*wanted} <= {*self._asked} or not self._attempt.is_due:
            return
        try:
            # Nothing is asked of its source yet.
            feed = self._open(wanted)
        except UnknownNameError as error:
            if not self._leave_out(error, wanted):
                raise
            return
        if self._feed is None or {*feed.symbols} != {*self._feed.symbols}:
            self.close()
            self._feed, self._reader = feed, feed.subscribe()
        self._asked = wanted

    def hear(self) -> list[Event]:
        """Return what there is to hear, after half a second at most; gaps are told in the log."""
        if self._reader is None or not self._attempt.is_due:
            self._stopped.wait(SLICE)
            return []
        try:
            events = self._reader.drain(SLICE)
        except Exception as error:
            is_over, asked = self._reader.ended, self._asked
            if is_over:
                self.close()
            if not self._leave_out(error, asked):
                self._attempt.failed(error)
            return []
        if events:
            self._attempt.done()
        self._tell([each for each in events if isinstance(each, Gap)])
        return events

    def close(self) -> None:
        """End the feed; ``follow`` opens another one."""
        feed, self._feed, self._reader, self._asked = self._feed, None, None, ()
        if feed is not None:
            feed.close()

    def _leave_out(self, error: Exception, asked: Sequence[str]) -> bool:
        """Leave a symbol out that the stream does not know, and tell so; return whether that is what went wrong."""
        if not isinstance(error, UnknownNameError):
            return False
        found = {each for each in asked if str(error).startswith(f"unknown symbol {each!r}")}
        if found:
            _LOG.error("%s; rules on it are looked at on schedule alone", error)
        self.unknown |= found
        return bool(found)

    def _tell(self, gaps: Sequence[Gap]) -> None:
        for gap in gaps:
            names = ", ".join(gap.symbols[:5]) + (f" and {len(gap.symbols) - 5} more" if len(gap.symbols) > 5 else "")
            since = f"{gap.since:%H:%M:%S}"
            if gap.until is None:
                _LOG.warning("no quotes of %s by %s since %s UTC: %s", names, gap.source, since, gap.reason)
            else:
                until = f"{gap.until:%H:%M:%S}"
                _LOG.warning("%s by %s: quotes from %s to %s UTC may have been missed", names, gap.source, since, until)
        self.gaps = (*self.gaps, *gaps)[-GAPS:]
