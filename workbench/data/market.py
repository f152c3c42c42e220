"""The data room as one thing: what a bench, a command and a file system ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from workbench.core.calendar import EARLIEST, Moment
from workbench.core.clock import Clock, utc_now
from workbench.core.errors import CatalogError, InputError, UnsupportedError
from workbench.core.files import shipped
from workbench.core.known import require_no_limit, within
from workbench.core.market import Adjustment, check_symbol
from workbench.core.settings import Settings
from workbench.data.arrivals import Fetched
from workbench.data.catalog import catalog_files, merge_catalogs
from workbench.data.entries import EntryMetadata
from workbench.data.fetch import Fetch
from workbench.data.ingest import Span, ask
from workbench.data.reading import Reading
from workbench.data.review import Review
from workbench.data.sources import Sources
from workbench.data.spans import wanted_span
from workbench.data.stamps import last_closed_session
from workbench.data.store import BarStore, Written
from workbench.data.tables.opening import open_tables
from workbench.data.universes import Universes

if TYPE_CHECKING:
    from workbench.data.live.feed import Feed


class MarketData(Sources):
    """The datasets of a catalog, through the store.

    Parameters
    ----------
    settings : Settings
    catalog : DataCatalog
    store : BarStore
    """

    def load(self, dataset: str) -> Written:
        """Read a dataset whose catalog entry reads a table into the store; rows that are there are left alone.

        Raises
        ------
        UnsupportedError
            For a dataset that is fetched symbol by symbol.
        CatalogError
            If the entry cannot be read, or its table lacks a column that the layout names.
        """
        about = self.catalog.about(dataset, kind="bars")
        if about.layout is None:
            raise UnsupportedError(
                f"dataset {dataset!r} has no table to load; it is filled symbol by symbol: workbench data fetch "
                f"{about.provider} SYMBOL --interval {about.interval}"
            )
        provider, now = self._source(about.provider, dataset), pd.Timestamp(self.store.clock())
        every = Span(pd.Timestamp(EARLIEST), last_closed_session(about.calendar, now))
        batches = [ask(provider, about, symbol, [every], now) for symbol in provider.search("")["symbol"]]
        if not batches:
            raise CatalogError(f"dataset {dataset!r} has no rows; mend its catalog entry")
        rows, actions = (pd.concat([getattr(batch, name) for batch in batches]) for name in ("rows", "actions"))
        return self.store.write(dataset, rows, actions, about.currency)

    def fetch(
        self,
        provider: str,
        symbols: Sequence[str] | str,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        interval: str = "1d",
        dataset: str | None = None,
        again: bool = False,
        progress: bool = True,
    ) -> Fetched:
        """Bring the sessions that are missing into the store.

        Parameters
        ----------
        provider : str
        symbols : str or sequence of str
        start, end : date-like, optional
            First and last day, both included; ten years (``1d``), 60 days (``1h``) or 5 days (``1m``) to the last
            session that has ended by default.
        interval : {"1d", "1h", "1m"}
        dataset : str, optional
            Where to; ``PROVIDER_INTERVAL`` by default. Its catalog entry names provider, calendar and currency.
        again : bool
            Ask for everything anew, to learn what the source has restated.
        progress : bool
            Show a progress bar on stderr.

        Returns
        -------
        Fetched
            What became of each symbol.

        Raises
        ------
        InputError
            For something that is no symbol, an interval that the provider does not have, a dataset of another one.
        CredentialError
            If the provider's key is not there or refused.
        """
        named = [symbols] if isinstance(symbols, str) else symbols
        names = [check_symbol(symbol) for symbol in dict.fromkeys(named)]
        if not names:
            raise InputError("no symbols given; name some, or a --universe")
        opened = self._source(provider)
        if "history" not in opened.offers() or interval not in opened.intervals:
            has = f"bars of {', '.join(opened.intervals)}" if opened.intervals else ", ".join(opened.offers())
            raise UnsupportedError(f"provider {provider!r} has no bars of {interval!r}; it has {has}")
        chosen = dataset or f"{provider}_{interval}"
        about = self.catalog.about(chosen, kind="bars")
        if (about.provider, about.interval) != (provider, interval):
            raise InputError(
                f"dataset {chosen!r} holds {about.interval} bars of {about.provider}, not {interval} bars of "
                f"{provider}; choose another --dataset"
            )
        wanted = wanted_span(about, start, end, pd.Timestamp(self.store.clock()))
        return Fetch(self.store, opened, chosen, about).run(names, wanted, again=again, progress=progress)

    def filled(self) -> list[str]:
        """Return the datasets of bars that have some: those that a catalog entry reads, and those that were fetched."""
        abouts = {name: self.catalog.about(name) for name in self.catalog}
        bars = [(name, about) for name, about in abouts.items() if about.kind == "bars"]
        return [name for name, about in bars if about.layout is not None or self.store.has(name)]

    def symbols(self, dataset: str) -> list[str]:
        """Return the symbols of a dataset, sorted; under the limit of the process, those known by then."""
        return self._reading(dataset).symbols()

    def bars(
        self,
        symbols: Sequence[str] | str | None,
        start: Moment | None,
        end: Moment | None,
        *,
        dataset: str,
        adjust: Adjustment,
        as_of: Moment | None = None,
    ) -> xr.Dataset:
        """Return Bars of one dataset.

        Parameters
        ----------
        symbols : str or sequence of str, optional
            Which ones, in this order; all that have bars in the range where ``None``.
        start, end : date-like, optional
            First and last day, both included.
        dataset : str
            The dataset; prices of two datasets are never mixed.
        adjust : {"none", "splits", "all"}
            What to take out of the prices: nothing, splits, splits and dividends. The factors are those of all
            actions known ``as_of``, so that a price does not depend on ``end``.
        as_of : date-like, optional
            Answer with what the store knew then; the limit of the process where none is given (see
            ``workbench.core.known``).

        Returns
        -------
        xarray.Dataset
            Bars, shape (n_bars, n_symbols), see ``workbench.core.frames``.

        Raises
        ------
        UnknownNameError
            For a dataset or a symbol that is not there.
        DateRangeError
            For a reversed range, or one without bars of a symbol that was asked for; for a moment beyond the limit.
        InputError
            If the source's prices are adjusted for more than was asked.
        """
        return self._reading(dataset, as_of).bars(symbols, start, end, adjust)

    def field(
        self,
        name: str,
        symbols: Sequence[str] | str | None = None,
        *,
        dataset: str,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> pd.DataFrame:
        """Return one field of a dataset as a wide frame, shape (n_bars, n_symbols), NaN where there is no bar.

        Its ``attrs`` are those of Bars.
        """
        return self._reading(dataset, as_of).field(name, symbols, adjust)

    def panel(
        self,
        symbols: Sequence[str] | str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        dataset: str,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
        chunks: Mapping[str, int] | None = None,
    ) -> xr.Dataset:
        """Return Bars that lie in the home as Zarr, read with Dask; see ``workbench.data.panel_blocks.panel``."""
        from workbench.data.panel_blocks import panel

        # The moment is a part of a panel's name: those of other limits are not found.
        wanted: dict[str, Any] = {"dataset": dataset, "adjust": adjust, "as_of": within(as_of), "chunks": chunks}
        folder = self.settings.require_home() / "panels"
        return panel(self, symbols, start, end, **wanted, folder=folder, clock=self.store.clock)

    def live(
        self,
        symbols: Sequence[str] | str,
        source: str = "replay",
        *,
        dataset: str,
        adjust: Adjustment = "all",
        start: Moment | None = None,
        speed: float | None = 5.0,
        interval: float = 1.0,
    ) -> Feed:
        """Follow symbols.

        Parameters
        ----------
        symbols : str or sequence of str
        source : str
            ``"replay"``: the stored bars again; ``"yahoo"``, ``"twelve_data"``: as they trade.
        dataset, adjust, start, speed
            Of a replay: whose bars, adjusted for what, from when on, and how many bars a second; ``speed=None`` waits
            for the reader and leaves nothing out.
        interval : float
            Seconds between two updates of a symbol.

        Raises
        ------
        UnknownNameError
            For a source or a symbol that is not there.
        CredentialError
            Without the key that the source needs.
        """
        from workbench.data.live.opening import open_feed, open_stream, replay

        names = [symbols] if isinstance(symbols, str) else list(symbols)
        clock = self.store.clock
        if source != "replay":
            require_no_limit(f"stream {source!r}")
            return open_feed(open_stream(self.settings, source, clock, interval), names, interval, clock)
        bars = self.bars(names, None, None, dataset=dataset, adjust=adjust)
        return open_feed(replay(bars, speed, start, clock), names, interval, clock)

    @cached_property
    def review(self) -> Review:
        """Checks, quarantine, comparison, revisions."""
        return Review(self)

    @cached_property
    def universes(self) -> Universes:
        """Who was a member of an index, and when."""
        return Universes(self.store.place, self.store.clock)

    def _reading(self, dataset: str, as_of: Moment | None = None) -> Reading:
        about, now = self.ensure(dataset), pd.Timestamp(self.store.clock())
        return Reading(dataset, about, self.store.tables(dataset), now, within(as_of))

    def ensure(self, dataset: str) -> EntryMetadata:
        """Return what a dataset of bars says about itself; on first use it is loaded into the store."""
        about = self.catalog.about(dataset, kind="bars")
        if not self.store.has(dataset):
            self.load(dataset)
        return about


def open_market(settings: Settings, clock: Clock = utc_now) -> MarketData:
    """Open the catalog and the store that the settings name."""
    files = [*catalog_files(shipped("catalogs")), *catalog_files(settings.home / "catalogs")]
    return MarketData(settings, merge_catalogs(files), BarStore(open_tables(settings), clock))
