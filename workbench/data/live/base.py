"""The contract of a stream: a source of live quotes, ours or a stranger's, behind the same door.

A stream is a class offered under the entry-point group ``workbench.streams``. It holds one connection at a time and
tells what it hears, as it hears it. Pace, reconnecting and readers are the business of ``workbench.data.live.feed``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from workbench.core.known import limit, require_no_limit
from workbench.data.providers.base import Access, Quote

GROUP = "workbench.streams"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which updates may have been missed.

    Attributes
    ----------
    source : str
        The stream's name.
    symbols : tuple of str
        For which symbols, in order.
    since : datetime
        The last moment at which nothing was missing, UTC.
    until : datetime, optional
        When updates came again, UTC; ``None`` while they do not.
    reason : str
        What happened, in a few words.
    """

    source: str
    symbols: tuple[str, ...]
    since: datetime
    until: datetime | None
    reason: str

    def merged(self, later: Gap) -> Gap:
        """Return one gap that covers this one and a later one."""
        symbols = tuple(sorted({*self.symbols, *later.symbols}))
        return Gap(later.source, symbols, min(self.since, later.since), later.until, later.reason)


Event = Quote | Gap


class Stream:
    """A source of live quotes.

    Attributes
    ----------
    name : str
        As registered.
    description, licence : str
        One line each; the licence is that of the data.
    needs_key : bool
        Whether it tells nothing without a key.
    silence : float, optional
        After how many seconds without a word a connection counts as lost; ``None`` where silence means nothing.
    lossless : bool
        Whether the source waits for its readers, so that every update can be read and none has to be left out.
    known : datetime, optional
        Up to when its source was known, UTC; ``None`` for one that tells what is known now.

    Parameters
    ----------
    access : Access
    """

    name: ClassVar[str]
    description: ClassVar[str]
    licence: ClassVar[str]
    needs_key: ClassVar[bool] = False
    silence: float | None = 60.0
    lossless: bool = False
    known: datetime | None = None

    def __init__(self, access: Access) -> None:
        self.access = access

    def check_limit(self) -> None:
        """Raise where the stream tells more than the limit of the process lets be known.

        Raises
        ------
        UnsupportedError
        """
        ends = limit()
        if ends is not None and (self.known is None or self.known > ends):
            require_no_limit(f"stream {self.name!r}, opened before it was set,")

    def updates(self, symbols: Collection[str]) -> AsyncGenerator[Event | None, None]:
        """Connect, and yield what the source says of some symbols until it has no more to say.

        Parameters
        ----------
        symbols : collection of str
            As ``workbench.core.market.check_symbol`` lets them pass.

        Yields
        ------
        Quote, Gap or None
            ``None`` says that the source is there and has nothing new. A ``Gap`` without an end tells that the source
            refuses some of the symbols.

        Raises
        ------
        CredentialError
            Without the key that it needs, or if the source refuses it.
        UnknownNameError
            If the source knows none of the symbols.
        ProviderError
            If the connection is lost, or the source does not say what it documents; connecting again may help.
        """
        raise NotImplementedError

    def change(self, symbols: Collection[str]) -> bool:  # noqa: ARG002
        """Ask for other symbols on the connection that there is.

        Returns
        -------
        bool
            Whether that is possible; if not, the caller ends ``updates`` and begins anew.
        """
        return False
