"""The data side of a workbench: bars, fields, feeds, and the record of who used which rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.clock import Clock, utc_now
from workbench.core.known import limit, set_limit
from workbench.core.market import Adjustment, check_symbols
from workbench.core.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import xarray as xr

    from workbench.core.calendar import Moment
    from workbench.core.database import Database
    from workbench.data.arrivals import Fetched
    from workbench.data.catalog import DataCatalog
    from workbench.data.live.feed import Feed
    from workbench.data.market import MarketData
    from workbench.data.uses import UseKind, UseLedger


class Desk:
    """What is known, and where it was used.

    Parameters
    ----------
    settings : Settings
    clock : callable
        The present instant; every part that needs the time gets this one.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    def __repr__(self) -> str:
        return f"<Workbench at {self.settings.home}, dataset {self.settings.dataset}>"

    @cached_property
    def market(self) -> MarketData:
        """The data room: the catalog's datasets through the store."""
        from workbench.data.market import open_market

        return open_market(self.settings, self.clock)

    @property
    def catalog(self) -> DataCatalog:
        """The catalog: the sample, the store, the providers, and the files in the home's ``catalogs`` folder."""
        return self.market.catalog

    @property
    def as_of(self) -> datetime | None:
        """The last moment of which this process may know, UTC, ``None`` without a limit; see ``limit_as_of``."""
        return limit()

    def limit_as_of(self, moment: Moment | None) -> None:
        """Serve only what was known at a moment, in everything that is read from now on; ``None`` lifts the limit.

        It holds for the whole process and for what it starts, as the variable ``WORKBENCH_AS_OF`` does. Every read
        answers as with ``as_of``; a later ``as_of`` is refused, and so is what cannot say when it was known: files,
        quotes, live streams, and what providers say now. A frame that was read before keeps its rows.

        Parameters
        ----------
        moment : date-like, optional
            A day, to its end in UTC, or an instant.

        Raises
        ------
        DateRangeError
            For a moment to come, one at which nothing of the settings' dataset was known, or what is no date.
        """
        if moment is not None:
            from workbench.data.reading import check_moment

            check_moment(self.market.store, self.settings.dataset, moment)
        set_limit(moment)

    def symbols(self, dataset: str | None = None) -> list[str]:
        """Return the symbols of a dataset, up to the limit those that were known."""
        return self.market.symbols(dataset or self.settings.dataset)

    def bars(
        self,
        symbols: Sequence[str] | str | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> xr.Dataset:
        """Return Bars of one dataset; see ``workbench.data.market.MarketData.bars``."""
        check_symbols(symbols)
        chosen = dataset or self.settings.dataset
        bars = self.market.bars(symbols, start, end, dataset=chosen, adjust=adjust, as_of=as_of)
        self._used(bars, "run")
        return bars

    def field(
        self,
        name: str,
        symbols: Sequence[str] | str | None = None,
        *,
        dataset: str | None = None,
        adjust: Adjustment = "all",
        as_of: Moment | None = None,
    ) -> pd.DataFrame:
        """Return one field of a dataset, such as ``"close"``, as a wide frame, shape (n_bars, n_symbols)."""
        chosen = dataset or self.settings.dataset
        wide = self.market.field(name, symbols, dataset=chosen, adjust=adjust, as_of=as_of)
        self._used(wide, "run")
        return wide

    def fetch(self, provider: str, symbols: Sequence[str] | str, **wanted: Any) -> Fetched:
        """Bring missing sessions into the store; see ``workbench.data.market.MarketData.fetch``."""
        return self.market.fetch(provider, symbols, **wanted)

    def live(self, symbols: Sequence[str] | str, source: str = "replay", **wanted: Any) -> Feed:
        """Follow symbols, stored or as they trade; see ``workbench.data.market.MarketData.live``."""
        return self.market.live(symbols, source, **{"dataset": self.settings.dataset, **wanted})

    def universe(self, name: str, as_of: Moment | None = None, *, known: Moment | None = None) -> list[str]:
        """Return who was a member on a day, by default the limit or today; ``known``: by the edition of that moment."""
        return self.market.universes.members(name, as_of, known=known)

    def revisions(self, symbol: str, dataset: str | None = None) -> pd.DataFrame:
        """Return what has changed of a symbol; see ``workbench.data.review.Review.revisions``."""
        return self.market.review.revisions(symbol, dataset or self.settings.dataset)

    def impact(self, dataset: str | None = None) -> pd.DataFrame:
        """Return the runs and results that used rows which were restated or arrived since."""
        return self.market.review.impact(self.uses.list(dataset))

    @cached_property
    def records(self) -> Database:
        """The records database: uses, trials."""
        from workbench.core.database import open_database

        return open_database(self.settings)

    @cached_property
    def uses(self) -> UseLedger:
        """Which run or result used which rows."""
        from workbench.data.uses import UseLedger

        return UseLedger(self.records)

    def _used(self, bars: Any, kind: UseKind, name: str = "", chosen: Mapping[str, Any] | None = None) -> None:
        from workbench.data.uses import use_of

        run = self.settings.run
        if run or kind != "run":
            self.uses.record(use_of(bars, kind, name or Path(run).stem, chosen or {}, self.clock(), run or None))
