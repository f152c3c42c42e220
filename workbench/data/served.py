"""``workbench://``: bars of the store and answers of providers as Parquet files, a read-only fsspec file system.

With it a catalog names stored or live data by a plain URL, so that intake, pandas and whatever else reads through
fsspec can have them. An address (see ``workbench.data.addresses``) is checked whole before anything is opened.
"""

from __future__ import annotations

import time
from dataclasses import asdict, fields
from datetime import date, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import pandas as pd
import xarray as xr
from fsspec.spec import AbstractFileSystem

from workbench.core.calendar import EARLIEST, date_range
from workbench.core.clock import Clock, utc_now
from workbench.core.errors import ParameterError, UnsupportedError
from workbench.core.frames import per_symbol
from workbench.core.known import limit
from workbench.core.market import Adjustment
from workbench.data.addresses import PROTOCOL, Address, read_address
from workbench.data.providers.base import Quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.data.market import MarketData
    from workbench.data.providers.base import Provider

DAYS = {"1d": 365, "1h": 30, "1m": 5}
"""How far back from its end a history goes where no start is given, in days by interval."""


class WorkbenchFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Read answers by their address.

    Nothing is remembered from one reading to the next: no instance is kept by fsspec, and an answer lives for
    ``keep`` seconds, because one reading of a Parquet file asks for its size and opens it twice.
    """

    protocol = PROTOCOL
    cachable = False
    keep = 1.0

    def __init__(self, **options: Any) -> None:
        if options:
            raise ParameterError(f"{PROTOCOL}:// takes no {', '.join(sorted(options))}; write options into the address")
        super().__init__()
        self._answers: dict[tuple[str, pd.Timestamp | None], tuple[float, bytes]] = {}

    def _answer(self, path: str) -> bytes:
        name = self._strip_protocol(path)
        # An answer under one limit is none under another.
        asked = (name, limit())
        made, content = self._answers.get(asked, (0.0, b""))
        if not content or time.monotonic() - made > self.keep:
            content = _parquet(answer(read_address(name)))
            self._answers = {asked: (time.monotonic(), content)}
        return content

    def _open(self, path: str, mode: str = "rb", **_kwargs: Any) -> BinaryIO:
        if mode != "rb":
            self._refuse()
        return BytesIO(self._answer(path))

    def info(self, path: str, **_kwargs: Any) -> dict[str, Any]:
        """Return name, size in bytes and type of an answer."""
        return {"name": self._strip_protocol(path), "size": len(self._answer(path)), "type": "file"}

    def ls(self, path: str, detail: bool = True, **_kwargs: Any) -> list[Any]:  # noqa: ARG002 - fsspec's signature
        """Refuse: answers are made when they are asked for.

        Raises
        ------
        UnsupportedError
        """
        raise UnsupportedError(f"{PROTOCOL}://{self._strip_protocol(path)} cannot be listed; see the catalog instead")

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise PermissionError(f"{PROTOCOL}:// is read-only; fetch data with: workbench data fetch")

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = pipe_file = put_file = touch = _refuse


def answer(address: Address, clock: Clock = utc_now) -> pd.DataFrame:
    """Return the table at an address: bars from the store, anything else from its provider now.

    Raises
    ------
    WorkbenchError
        What the market says of a name, a range, a key, a source, or the limit of the process.
    """
    from workbench.core.settings import load_settings
    from workbench.data.market import open_market

    market = open_market(load_settings(), clock)
    if address.kind == "bars":
        return _bars(market, address)
    if address.kind == "series":
        return market.series(address.source, address.subject, *_days(address))
    return _ANSWERS[address.kind](market.provider(address.source), address, clock)


def _bars(market: MarketData, address: Address) -> pd.DataFrame:
    given = address.options
    adjust: Adjustment = given.get("adjust", "all")  # type: ignore[assignment]  # checked with the address
    bars: xr.Dataset = market.bars(
        [address.subject],
        given.get("start"),
        given.get("end"),
        dataset=address.source,
        adjust=adjust,
        as_of=given.get("as_of"),
    )
    frame = dict(per_symbol(bars))[address.subject].reset_index()
    told = frame.assign(time=pd.DatetimeIndex(frame["time"]).tz_localize("UTC"))
    # pandas writes these into the file and reads them back: the version and the moment stay with the rows.
    told.attrs = {name: list(value) if isinstance(value, tuple) else value for name, value in bars.attrs.items()}
    return told


def _days(address: Address) -> tuple[date | None, date | None]:
    first, last = date_range(address.options.get("start"), address.options.get("end"))
    return None if first is None else first.date(), None if last is None else last.date()


def _history(provider: Provider, address: Address, clock: Clock) -> pd.DataFrame:
    interval = address.options.get("interval", "1d")
    start, end = _days(address)
    end = end or clock().date()
    return provider.history(address.subject, start or end - timedelta(days=DAYS[interval]), end, interval).bars


def _actions(provider: Provider, address: Address, clock: Clock) -> pd.DataFrame:
    start, end = _days(address)
    return provider.actions(address.subject, start or date.fromisoformat(EARLIEST), end or clock().date())


def _news(provider: Provider, address: Address, _clock: Clock) -> pd.DataFrame:
    return provider.news(address.subject, *_days(address))


def _quotes(provider: Provider, address: Address, _clock: Clock) -> pd.DataFrame:
    quotes = provider.quotes(address.subject.split(","))
    return pd.DataFrame([asdict(quote) for quote in quotes], columns=[field.name for field in fields(Quote)])


def _search(provider: Provider, address: Address, _clock: Clock) -> pd.DataFrame:
    return provider.search(address.subject)


def _statements(provider: Provider, address: Address, _clock: Clock) -> pd.DataFrame:
    return provider.statements(address.subject)


_ANSWERS: dict[str, Callable[[Provider, Address, Clock], pd.DataFrame]] = {
    "history": _history,
    "actions": _actions,
    "quotes": _quotes,
    "search": _search,
    "statements": _statements,
    "news": _news,
}


def _parquet(table: pd.DataFrame) -> bytes:
    content = BytesIO()
    table.reset_index(drop=True).to_parquet(content)
    return content.getvalue()
