"""A feed: what a notebook, a dashboard or an alert follows. One connection for any number of readers."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import InputError
from workbench.core.market import check_symbol
from workbench.data.live.base import Event, Gap, Stream
from workbench.data.live.line import Line
from workbench.data.live.mailbox import Subscription
from workbench.data.live.pacing import growing_delays
from workbench.data.providers.base import Quote

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("price", "change", "volume", "currency", "time", "age")


class Feed:
    """Follow some symbols: at most one update per symbol and interval, only what changed, and every gap is told.

    The connection is opened when the first reader asks, in a thread of its own. A lost one is opened again, after
    waits that grow. It ends with ``close``, at the end of a ``with`` block, or when nobody holds the feed any more.

    Parameters
    ----------
    stream : Stream
    symbols : sequence of str
    interval : float
        Seconds between two updates of one symbol. A lossless stream without an interval (0) waits for its readers.
    clock : callable
        The present instant.
    delays : callable
        Returns the seconds to wait before each next try, anew after each success.

    Raises
    ------
    InputError
        Without a symbol, or with a text that can be none.
    """

    def __init__(
        self,
        stream: Stream,
        symbols: Sequence[str],
        *,
        interval: float = 1.0,
        clock: Clock = utc_now,
        delays: Callable[[], Iterator[float]] = growing_delays,
    ) -> None:
        names = tuple(dict.fromkeys(check_symbol(symbol) for symbol in symbols))
        if not names:
            raise InputError("a feed needs a symbol to follow; name at least one")
        self.symbols = names
        self._own: Subscription | None = None
        self._line = Line(stream, names, interval, clock, delays)
        # Also runs when the interpreter ends, so that no thread is cut off in the middle of a word.
        self._end = weakref.finalize(self, Line.close, self._line)

    def __repr__(self) -> str:
        state = "ended" if self._line.done else "open" if self._line.thread else "not asked yet"
        return f"<Feed of {self._line.stream.name}: {', '.join(self.symbols)}; {state}>"

    def subscribe(self) -> Subscription:
        """Return a mailbox of one's own; what comes from now on arrives in it."""
        return self._line.subscribe(keeps=self)

    def drain(self, timeout: float | None = 0.0) -> list[Event]:
        """Return all updates and gaps since the last reading; see ``Subscription.drain``."""
        return self._reader().drain(timeout)

    def __iter__(self) -> Iterator[Event]:
        # A generator holds the feed: it stays open while it is iterated, also where it has no name.
        yield from self._reader()

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._reader():
            yield event

    def _reader(self) -> Subscription:
        if self._own is None:
            self._own = self._line.subscribe()
        return self._own

    @property
    def gaps(self) -> list[Gap]:
        """The interruptions so far, oldest first; the last one has no end while it lasts."""
        return list(self._line.gaps)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._line.done

    def latest(self, timeout: float = 0.0) -> pd.DataFrame:
        """Return the latest quote of each symbol.

        Parameters
        ----------
        timeout : float
            Seconds to wait until every symbol has one.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``symbol``, shape (n_symbols, 6): ``price``, ``change`` (since the previous close, a fraction),
            ``volume``, ``currency``, ``time`` (when the price was made, UTC) and ``age`` (seconds since it arrived
            here); missing where nothing was heard yet.

        Raises
        ------
        WorkbenchError
            What ended the feed.
        """
        import pandas as pd

        known, now = self._line.latest(timeout), self._line.clock()
        rows = {symbol: _row(*known[symbol], now) if symbol in known else {} for symbol in self.symbols}
        frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("symbol").reindex(columns=list(COLUMNS))
        numbers = ["price", "change", "volume", "age"]
        return frame.astype(dict.fromkeys(numbers, "float64")).assign(time=pd.to_datetime(frame["time"], utc=True))

    def close(self) -> None:
        """End the connection; what is unread can still be read."""
        self._end()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(quote: Quote, arrived: datetime, now: datetime) -> dict[str, object]:
    change = quote.price / quote.previous_close - 1 if quote.previous_close else None
    return {
        "price": quote.price,
        "change": change,
        "volume": quote.volume,
        "currency": quote.currency,
        "time": quote.time,
        "age": (now - arrived).total_seconds(),
    }
