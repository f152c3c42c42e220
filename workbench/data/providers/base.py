"""The contract of a provider: a source of market data, ours or a stranger's, behind the same door.

A provider is a class offered under the entry-point group ``workbench.providers``. It overrides the methods for what its
source has; the others say what it does have. It returns what the source says, unchecked and unsorted: sessions, quality
and adjustment are the business of ``workbench.data.ingest``. One instance is used by several threads at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from pydantic import SecretStr

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import UnsupportedError
from workbench.core.market import Adjustment

if TYPE_CHECKING:
    from workbench.data.catalog import EntryMetadata

GROUP = "workbench.providers"
METHODS = ("history", "actions", "quotes", "search", "series", "statements", "news")


@dataclass(frozen=True, slots=True)
class History:
    """What a provider says of one symbol over a range of days.

    Attributes
    ----------
    bars : pandas.DataFrame
        Columns ``time`` and ``open high low close volume`` (float64, NaN where the source has none), a row per bar as
        the source gives them: duplicates, holes and order included. ``time`` is the session's day without a zone for
        daily bars, and the UTC *start* of the bar for shorter ones (``NaT`` for what is no date).
    actions : pandas.DataFrame, optional
        Like the answer of ``Provider.actions``, where it arrives together with the bars.
    currency : str, optional
        ISO 4217 code of the prices, where the source tells.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """The latest price of a symbol.

    Attributes
    ----------
    symbol : str
    time : datetime
        When the price was made, UTC, as the source says.
    price : float
        In ``currency``.
    source : str
        The provider's name.
    currency : str, optional
        ISO 4217 code, where the source tells.
    volume : float, optional
        Shares traded this day so far.
    previous_close : float, optional
        The last session's close.
    """

    symbol: str
    time: datetime
    price: float
    source: str
    currency: str | None = None
    volume: float | None = None
    previous_close: float | None = None


def quote_table(quotes: Sequence[Quote]) -> pd.DataFrame:
    """Return quotes as a table.

    Returns
    -------
    pandas.DataFrame
        Index ``symbol``; columns ``price``, ``change`` (since the last session's close, decimal, NaN where the source
        does not tell it), ``volume``, ``currency`` and ``time`` (UTC).
    """
    columns = ["symbol", "price", "previous_close", "volume", "currency", "time"]
    table = pd.DataFrame([asdict(quote) for quote in quotes], columns=columns).set_index("symbol")
    change = table["price"].astype(float) / table.pop("previous_close").astype(float) - 1
    table.insert(1, "change", change)
    return table


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the catalog, for a provider that reads one.

    Attributes
    ----------
    name : str
        The dataset's name.
    about : EntryMetadata
    read : callable
        Returns the table, as intake reads it.
    """

    name: str
    about: EntryMetadata
    read: Callable[[], pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Access:
    """What a provider may use.

    Attributes
    ----------
    key : SecretStr, optional
        Its key, from the settings, the environment or the keyring; never part of a text.
    options : mapping of str to str
        Its settings: ``[providers.NAME]`` of ``workbench.toml``, or ``WORKBENCH_PROVIDERS__NAME__OPTION``.
    clock : callable
        The present instant.
    pause : callable
        Waits for some seconds.
    state : Path, optional
        A folder in which it may remember how much of its plan is used.
    table : Table, optional
        The catalog's table, for a provider that reads one.
    """

    key: SecretStr | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    clock: Clock = utc_now
    pause: Callable[[float], None] = time.sleep
    state: Path | None = None
    table: Table | None = None


class Provider:
    """A source of market data.

    Attributes
    ----------
    name : str
        As registered.
    description, licence : str
        One line each; the licence is that of the data.
    needs_key : bool
        Whether it answers nothing without a key.
    intervals : tuple of str
        The bars it has: ``"1d"``, ``"1h"``, ``"1m"``.
    adjustment : {"none", "splits", "all"}
        What its prices, volumes and dividends are adjusted for as they arrive.

    Parameters
    ----------
    access : Access
    """

    name: ClassVar[str]
    description: ClassVar[str]
    licence: ClassVar[str]
    needs_key: ClassVar[bool] = False
    intervals: ClassVar[tuple[str, ...]] = ()
    adjustment: Adjustment = "none"

    def __init__(self, access: Access) -> None:
        self.access = access

    @classmethod
    def offers(cls) -> tuple[str, ...]:
        """Return the names of the methods that this provider has."""
        return tuple(name for name in METHODS if getattr(cls, name) is not getattr(Provider, name))

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return the bars of the days from ``start`` to ``end``, both included.

        Raises
        ------
        UnknownNameError
            For a symbol that the source does not know.
        ProviderError
            If the source does not answer, or not with what it documents.
        """
        raise self._lacks("history")

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return splits and dividends with ex-dates from ``start`` to ``end``.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (the ex-date without a zone), ``kind`` (``"split"`` or ``"dividend"``) and ``value`` (new
            shares for one old, or currency per share).
        """
        raise self._lacks("actions")

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return the latest price of each symbol that the source knows."""
        raise self._lacks("quotes")

    def search(self, text: str) -> pd.DataFrame:
        """Return symbols that match a text.

        Returns
        -------
        pandas.DataFrame
            Columns ``symbol name exchange currency asset_class`` (texts, empty where the source does not tell).
        """
        raise self._lacks("search")

    def series(self, name: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return an economic series with every vintage that the source has.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (first day of the period, without a zone), ``value`` (float64, NaN where the source says
            that there is none) and ``published`` (UTC instant from which this value was known, ``NaT`` where the
            source does not tell).
        """
        raise self._lacks("series")

    def statements(self, symbol: str) -> pd.DataFrame:
        """Return the items of a company's financial statements.

        Returns
        -------
        pandas.DataFrame
            Columns ``period_end`` (day without a zone), ``period`` (``"annual"`` or ``"quarterly"``), ``statement``
            (``"income"``, ``"balance"``, ``"cash_flow"``), ``item`` (in snake case, as the source names it), ``value``
            (float64), ``currency`` and ``filed`` (UTC instant, ``NaT`` where the source does not tell).
        """
        raise self._lacks("statements")

    def news(self, text: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return articles about a text or a symbol, the newest first.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (UTC instant), ``title``, ``url`` and ``publisher``.
        """
        raise self._lacks("news")

    def _lacks(self, method: str) -> UnsupportedError:
        offered = ", ".join(self.offers()) or "nothing"
        return UnsupportedError(f"provider {self.name!r} has no {method}; it offers {offered}")
