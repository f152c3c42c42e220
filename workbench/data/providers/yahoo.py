"""Yahoo Finance, asked through ``yfinance`` (1.7).

Yahoo's prices, volumes and dividends arrive adjusted for splits: below its historical data it says "Close price
adjusted for splits. Adjusted close price adjusted for splits and dividend and/or capital gain distributions".
``auto_adjust`` is always off here, and the adjusted close is not used. Distributions of capital gains are left out:
Yahoo counts some of them among the dividends already (``PriceHistory._repair_capital_gains`` of yfinance).

A volume that is null arrives as 0. Prices of some exchanges are
in hundredths; their currency is then ``GBp``, ``ZAc`` or ``ILA``, as Yahoo says it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from workbench.core.errors import (
    DateRangeError,
    ParameterError,
    ProviderError,
    RateLimitError,
    UnknownNameError,
    UnsupportedError,
    WorkbenchError,
)
from workbench.core.market import FIELDS, check_symbol
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, History, Provider, Quote
from workbench.data.providers.yahoo_rows import (
    METADATA,
    action_rows,
    bar_rows,
    item_rows,
    latest_quote,
    news_rows,
    search_rows,
)

if TYPE_CHECKING:
    from yfinance import Ticker

ATTEMPTS = 4
LONGEST = {"1m": timedelta(days=7)}
"""The days that Yahoo gives in one answer, where it limits them ("Only 8 days worth of 1m granularity data")."""

TIMEOUT = 20.0
STATEMENTS = {"income": "get_income_stmt", "balance": "get_balance_sheet", "cash_flow": "get_cash_flow"}
FREQUENCIES = {"annual": "yearly", "quarterly": "quarterly"}

_Answer = TypeVar("_Answer")


class YahooProvider(Provider):
    """Ask Yahoo Finance.

    Option: ``base_url``, a server that answers in the place of Yahoo's own.

    Parameters
    ----------
    access : Access

    Raises
    ------
    ParameterError
        If ``base_url`` is no address.
    """

    name = "yahoo"
    description = "Yahoo Finance: prices of most exchanges, statements and news"
    licence = "Yahoo's terms of service: for personal use only"
    intervals = ("1d", "1h", "1m")
    adjustment = "splits"

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._base_url = access.options.get("base_url", "")
        if self._base_url and not re.fullmatch(r"https?://[^\s/@?#]+/?", self._base_url):
            raise ParameterError("base_url of provider 'yahoo' is no address; write http(s)://host, without a path")

    def history(self, symbol: str, start: date, end: date, interval: str = "1d") -> History:
        """Return the bars of the days from ``start`` to ``end``, days of the exchange, with the actions among them.

        Days on which Yahoo has nulls come as rows of NaN; a range without any bar gives an empty table.

        Raises
        ------
        InputError
            If ``symbol`` can be none.
        UnknownNameError
            For a symbol that Yahoo does not know (any more).
        DateRangeError
            If Yahoo keeps bars so short for a shorter time only.
        UnsupportedError
            For an interval other than a day, an hour or a minute.
        RateLimitError, ProviderError
            If there is no sound answer after several attempts.
        """
        check_symbol(symbol)
        if interval not in self.intervals:
            raise UnsupportedError(f"provider 'yahoo' has no bars of {interval!r}; ask for {', '.join(self.intervals)}")
        found = [self._piece(symbol, first, last, interval) for first, last in _pieces(start, end, interval)]
        bars = pd.concat([bars for bars, _ in found], ignore_index=True)
        currency = next((currency for _, currency in found if currency), None)
        return History(bars[["time", *FIELDS]], action_rows(bars), currency)

    def actions(self, symbol: str, start: date, end: date) -> pd.DataFrame:
        """Return splits and dividends; dividends per share of today, after all splits.

        Raises
        ------
        InputError, UnknownNameError, RateLimitError, ProviderError
            Like ``history``.
        """
        found = self.history(symbol, start, end).actions
        assert found is not None  # noqa: S101 - history gives them always
        return found

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return the latest price of each symbol that Yahoo knows.

        Raises
        ------
        InputError, RateLimitError, ProviderError
            Like ``history``.
        """
        found = []
        for symbol in symbols:
            try:
                about = self._about(check_symbol(symbol))
            except UnknownNameError:
                continue
            if about.get("regularMarketPrice") is not None and about.get("regularMarketTime") is not None:
                found.append(latest_quote(symbol, about))
        return found

    def search(self, text: str) -> pd.DataFrame:
        """Return the symbols that Yahoo's search finds.

        Raises
        ------
        RateLimitError, ProviderError
            Like ``history``.
        """
        from workbench.data.providers.yahoo_session import LIBRARY, session

        return search_rows(
            self._ask(
                text, lambda: LIBRARY.Search(text, max_results=25, news_count=0, session=session(self._base_url)).quotes
            )
        )

    def statements(self, symbol: str) -> pd.DataFrame:
        """Return the items of the last annual and quarterly statements.

        yfinance tells neither the currency (empty) nor the day of filing (``NaT``).

        Raises
        ------
        InputError, UnknownNameError, RateLimitError, ProviderError
            Like ``history``.
        """
        check_symbol(symbol)
        tables = [
            item_rows(self._statement(symbol, method, frequency), period, statement)
            for period, frequency in FREQUENCIES.items()
            for statement, method in STATEMENTS.items()
        ]
        items = pd.concat(tables, ignore_index=True)
        return items.assign(currency=pd.Series("", index=items.index, dtype="str"), filed=shapes.never(len(items)))

    def news(self, text: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return the latest articles about a text or a symbol, the newest first.

        Raises
        ------
        RateLimitError, ProviderError
            Like ``history``.
        """
        from workbench.data.providers.yahoo_session import LIBRARY, session

        found = self._ask(
            text, lambda: LIBRARY.Search(text, max_results=0, news_count=50, session=session(self._base_url)).news
        )
        return shapes.within(news_rows(found), start, end)

    def _ticker(self, symbol: str) -> Ticker:
        from workbench.data.providers.yahoo_session import LIBRARY, session

        return LIBRARY.Ticker(symbol, session=session(self._base_url))

    def _piece(self, symbol: str, start: date, end: date, interval: str) -> tuple[pd.DataFrame, str | None]:
        from workbench.data.providers.yahoo_session import session

        after = end + timedelta(days=1)

        def ask() -> tuple[pd.DataFrame, str | None]:
            way, ticker = session(self._base_url), self._ticker(symbol)
            way.forget_chart()
            found = _history(ticker, interval=interval, start=start.isoformat(), end=after.isoformat(), keepna=True)
            currency = ticker.get_history_metadata().get("currency")
            return bar_rows(found, way.repeated(), interval), currency

        return self._ask(symbol, ask)

    def _about(self, symbol: str) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            ticker = self._ticker(symbol)
            _history(ticker, interval="1d", period="1d")
            about = ticker.get_history_metadata()
            return {name: about.get(name) for name in METADATA}

        return self._ask(symbol, ask)

    def _statement(self, symbol: str, method: str, frequency: str) -> pd.DataFrame:
        from yfinance.exceptions import YFException, YFRateLimitError

        def ask() -> pd.DataFrame:
            try:
                table: pd.DataFrame = getattr(self._ticker(symbol), method)(freq=frequency)
            except YFRateLimitError:
                raise
            except YFException:
                # What yfinance says of an answer without any item: a fund or an index has no statements.
                return pd.DataFrame()
            return table

        return self._ask(symbol, ask)

    def _ask(self, asked: str, question: Callable[[], _Answer]) -> _Answer:
        """Return the answer to a question, asked again after a while where the failure may pass."""
        from curl_cffi.requests.exceptions import RequestException
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
        from yfinance.exceptions import YFPricesMissingError, YFRateLimitError, YFTzMissingError

        from workbench.data.providers.yahoo_session import ServerFault, forget, prepare

        prepare(self.access.state)
        forget()
        retrying = Retrying(
            retry=retry_if_exception_type((YFRateLimitError, ServerFault, RequestException)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=2, max=60),
            sleep=self.access.pause,
            reraise=True,
        )
        try:
            return retrying(question)
        except WorkbenchError:
            raise
        except YFRateLimitError:
            raise RateLimitError(f"yahoo asks for fewer requests ({asked!r}, {ATTEMPTS} attempts): try later") from None
        except YFTzMissingError:
            raise UnknownNameError("symbol", asked, (), "yahoo") from None
        except YFPricesMissingError as error:
            raise _refusal(asked, str(error.yahoo_reason)) from None
        except (ServerFault, RequestException) as error:
            told = f"{type(error).__name__}: {error}" if isinstance(error, RequestException) else str(error)
            raise ProviderError(
                f"yahoo did not answer for {asked!r} ({told}, {ATTEMPTS} attempts): try later"
            ) from None
        except Exception as error:
            # yfinance reads what Yahoo does not document, and fails in any way where that has changed.
            told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            remedy = "try later, or upgrade yfinance"
            raise ProviderError(
                f"yahoo's answer for {asked!r} is not as yfinance knows it ({told}): {remedy}"
            ) from error


def _pieces(start: date, end: date, interval: str) -> Iterator[tuple[date, date]]:
    """Yield ranges, each short enough for one answer."""
    longest = LONGEST.get(interval, end - start + timedelta(days=1))
    while start <= end:
        last = min(end, start + longest - timedelta(days=1))
        yield start, last
        start = last + timedelta(days=1)


def _history(ticker: Ticker, **chosen: Any) -> pd.DataFrame:
    """Return what ``Ticker.history`` gives, as traded but for splits; empty where Yahoo has no bars of these days."""
    from yfinance.exceptions import YFPricesMissingError

    fixed = {"auto_adjust": False, "back_adjust": False, "actions": True, "repair": False}
    try:
        found: pd.DataFrame = ticker.history(**fixed, prepost=False, rounding=False, timeout=TIMEOUT, **chosen)
    except YFPricesMissingError as error:
        if error.yahoo_reason is None or error.yahoo_reason.startswith("Data doesn't exist for startDate"):
            return pd.DataFrame()
        raise
    return found


def _refusal(asked: str, reason: str) -> WorkbenchError:
    if "must be within the last" in reason or "data not available for" in reason:
        return DateRangeError(f"yahoo has no such bars of {asked!r} ({reason}); ask for later days or longer bars")
    return ProviderError(f"yahoo refuses {asked!r} ({reason}): ask for something that it has")
