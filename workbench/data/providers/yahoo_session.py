"""The way to Yahoo that yfinance is given: one HTTP session, and errors that say what happened.

yfinance keeps state in its own module: settings, caches and one session for all. What is set here therefore holds for
the whole process. This module loads yfinance; import it only where it is needed.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pandas as pd
import yfinance
from curl_cffi.requests import Response, Session
from yfinance.data import YfData

from workbench.core.errors import UnknownNameError

LIBRARY = yfinance
CHART = "/v8/finance/chart/"
DATA = (CHART, "/v1/finance/search", "/ws/fundamentals-timeseries/")
"""Paths that answer with data; the others are about cookies, and yfinance goes on without them."""


class ServerFault(Exception):  # noqa: N818 - never leaves the provider
    """A status from 500 on, or an answer that is not whole: it may pass."""


class YahooSession(Session[Response]):
    """Asks like a browser does, and fails with what Yahoo said instead of leaving it to be guessed.

    Parameters
    ----------
    base_url : str
        A server that answers in the place of all of Yahoo's, or nothing.
    """

    def __init__(self, base_url: str = "") -> None:
        super().__init__(impersonate="chrome")
        self._base = urlsplit(base_url)
        self._seen = threading.local()

    def request(self, method: Any, url: str, *args: Any, **kwargs: Any) -> Response:
        """Send one request.

        Raises
        ------
        UnknownNameError
            If there is no chart of the symbol.
        ServerFault
            If the server fails, or its answer is no JSON.
        """
        parts = urlsplit(url)
        if self._base.netloc:
            url = urlunsplit((self._base.scheme, self._base.netloc, parts.path or "/", parts.query, ""))
        response = super().request(method, url, *args, **kwargs)
        if not parts.path.startswith(DATA):
            return response
        if response.status_code == 404 and parts.path.startswith(CHART):
            raise UnknownNameError("symbol", unquote(parts.path.removeprefix(CHART)), (), "yahoo")
        if response.status_code >= 500:
            raise ServerFault(f"status {response.status_code}")
        if response.status_code < 300:
            is_chart = parts.path.startswith(CHART)
            value = _whole(response, "chart" if is_chart else None)
            self._seen.chart = value if is_chart else None
        return response

    def forget_chart(self) -> None:
        """Drop what this thread was answered."""
        self._seen.chart = None

    def repeated(self) -> pd.DataFrame:
        """Return the bars of this thread's last chart that begin when another one does.

        yfinance keeps one of them without a word. Columns ``Open High Low Close Volume``, the index is UTC.
        """
        result = ((getattr(self._seen, "chart", None) or {}).get("chart", {}).get("result") or [{}])[0]
        starts = pd.to_datetime(pd.Series(result.get("timestamp") or [], dtype="float64"), unit="s", utc=True)
        quotes = result.get("indicators", {}).get("quote") or [{}]
        columns = {name: quotes[0].get(name.lower()) for name in ("Open", "High", "Low", "Close", "Volume")}
        rows = pd.DataFrame(columns, index=pd.DatetimeIndex(starts), dtype="float64")
        return rows[rows.index.duplicated(keep=False)]


def _whole(response: Response, member: str | None) -> Any:
    try:
        value = json.loads(response.text)
    except ValueError:
        raise ServerFault("an answer that is no JSON") from None
    # yfinance takes any other answer for one without bars.
    if member is not None and not (isinstance(value, dict) and isinstance(value.get(member), dict)):
        raise ServerFault(f"an answer without a {member}")
    return value


@lru_cache(maxsize=8)
def session(base_url: str) -> YahooSession:
    """Return the session for a server; threads share it."""
    return YahooSession(base_url)


@lru_cache(maxsize=8)
def prepare(state: Path | None) -> None:
    """Set yfinance up: errors are raised instead of logged, and nothing is written to the user's own cache folder.

    What it remembers of symbols (their time zones) lies in ``state``, else in a folder that goes with this process;
    the folder of the first question counts. Cookies are not kept: yfinance would pickle them.
    """
    yfinance.config.debug.hide_exceptions = False
    # What it would log, it raises now.
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="yfinance")
    yfinance.cache.get_cookie_cache().dummy = True
    yfinance.set_tz_cache_location(str(state / "yfinance") if state else _temporary().name)


def forget() -> None:
    """Drop the answers that yfinance keeps: a restated history would never be seen, and a failed one stay failed."""
    YfData.cache_get.cache_clear()


@lru_cache(maxsize=1)
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="workbench-yfinance-", ignore_cleanup_errors=True)
