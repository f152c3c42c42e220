"""FRED and its archive ALFRED: economic series of the Federal Reserve Bank of St. Louis, with every vintage.

Names, parameters and shapes are from https://fred.stlouisfed.org/docs/api/fred/series_observations.html,
``series_vintagedates.html``, ``series_search.html`` and ``errors.html``; a refusal is ``{"error_code": 400,
"error_message": "..."}``. At most 120 requests a minute are let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import pandas as pd

from workbench.core.errors import InputError, ProviderError
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, Provider
from workbench.data.providers.rest import Rate, Refusal, Reply, RestClient, Source

FIRST, LAST = "1776-07-04", "9999-12-31"
"""The earliest and the latest real-time date that FRED knows."""

PAGE = 100_000
VINTAGES = 2000
"""How many vintages FRED gives in one answer."""

ZONE = "America/Chicago"
"""FRED's dates are those of St. Louis."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,25}")


def _judge(reply: Reply) -> Refusal | None:
    told = reply.value.get("error_message") if isinstance(reply.value, dict) else None
    if not isinstance(told, str) or reply.status >= 429:
        return None
    for words, kind in (("does not exist", "unknown"), ("api_key", "key")):
        if words in told:
            return Refusal("unknown" if kind == "unknown" else "key", told)
    return Refusal("error", told)


SOURCE = Source(
    "https://api.stlouisfed.org/fred/", plans={"free": (Rate(120, 60.0),)}, key_parameter="api_key", judge=_judge
)


class FredProvider(Provider):
    """Ask FRED."""

    name = "fred"
    description = "FRED: economic series of the Federal Reserve Bank of St. Louis, with every vintage"
    licence = "FRED terms of use; some series belong to others, see the notes of each"
    needs_key = True

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._rest = RestClient(self, SOURCE)

    def series(self, name: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return a series with every vintage, a row for each value that an observation ever had.

        FRED tells the day of a vintage, not the hour: ``published`` is the end of that day in St. Louis, so that no
        value is known before it was. The archive of many a series begins long after its first observation; those
        observations are published with the first vintage.

        Parameters
        ----------
        name : str
            A series ID such as ``"GDPC1"``.
        start, end : date, optional
            Of the observations.

        Raises
        ------
        InputError
            If ``name`` can be none.
        UnknownNameError
            If FRED does not know it.
        CredentialError, RateLimitError, ProviderError
            Like every question to a REST source.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no FRED series; write its ID, such as GDPC1")
        try:
            return _frame(self._observations(name, start, end, FIRST, LAST))
        except ProviderError as error:
            # "There are 2004 vintage dates in the specified real-time period ... exceeds the maximum"
            if "vintage dates in the specified" not in str(error):
                raise
        pieces = [self._observations(name, start, end, first, last) for first, last in self._periods(name)]
        return _frame(_unclipped([row for piece in pieces for row in piece]))

    def search(self, text: str) -> pd.DataFrame:
        """Return the series that FRED finds for a text, the best first, at most 1,000.

        Raises
        ------
        CredentialError, RateLimitError, ProviderError
            Like every question to a REST source.
        """
        params = {"search_text": text, "file_type": "json", "limit": 1000}
        body = self._rest.get("series/search", params, asked=text, kind="text")
        with self._rest.reading(text, "text"):
            rows = body["seriess"]
            columns = {
                "symbol": shapes.texts(row["id"] for row in rows),
                "name": shapes.texts(f"{row['title']} ({row['units']}, {row['frequency']})" for row in rows),
                "exchange": shapes.texts("" for _ in rows),
                "currency": shapes.texts("" for _ in rows),
                "asset_class": shapes.texts("macro" for _ in rows),
            }
            return pd.DataFrame(columns)

    def _observations(
        self, name: str, start: date | None, end: date | None, first: str, last: str
    ) -> list[tuple[str, str, str]]:
        """Return day, value and first real-time day of each row, of the vintages from ``first`` to ``last``."""
        params = {
            "series_id": name,
            "realtime_start": first,
            "realtime_end": last,
            "observation_start": start,
            "observation_end": end,
            "output_type": 1,
        }
        rows = self._pages("series/observations", params, "observations", name)
        with self._rest.reading(name, "series"):
            return [(row["date"], row["value"], row["realtime_start"]) for row in rows]

    def _periods(self, name: str) -> list[tuple[str, str]]:
        """Return real-time periods from the first vintage on, none with more vintages than FRED gives at once."""
        params = {"series_id": name, "realtime_start": FIRST, "realtime_end": LAST}
        days = list(self._pages("series/vintagedates", params, "vintage_dates", name, limit=10_000))
        with self._rest.reading(name, "series"):
            starts = days[::VINTAGES]
            ends = [str(date.fromisoformat(day) - timedelta(days=1)) for day in starts[1:]]
            return list(zip(starts, [*ends, LAST], strict=True)) if starts else []

    def _pages(
        self, path: str, params: Mapping[str, object], member: str, name: str, limit: int = PAGE
    ) -> Iterator[Any]:
        offset = 0
        while True:
            query = {**params, "file_type": "json", "limit": limit, "offset": offset}
            body = self._rest.get(path, query, asked=name, kind="series")
            with self._rest.reading(name, "series"):
                rows, count = list(body[member]), int(body["count"])
            yield from rows
            offset += limit
            if not rows or offset >= count:
                return


def _unclipped(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return rows of several periods as one answer: FRED begins a value that holds on anew with each period."""
    latest: dict[str, str] = {}
    kept = []
    for day, value, known in sorted(rows, key=lambda row: (row[0], row[2])):
        if latest.get(day) != value:
            kept.append((day, value, known))
        latest[day] = value
    return kept


def _frame(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    # A series that the archive does not have is known "since" the first date of all.
    vintages = shapes.days(known if known != FIRST else None for _, _, known in rows)
    published = (vintages + pd.Timedelta(days=1)).dt.tz_localize(ZONE).dt.tz_convert("UTC")
    columns = {
        "time": shapes.days(day for day, _, _ in rows),
        "value": shapes.numbers(value for _, value, _ in rows),
        "published": published,
    }
    return pd.DataFrame(columns)
