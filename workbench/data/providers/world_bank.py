"""The World Bank's indicators, by country.

Paths, parameters and shapes are from the World Bank's "API Basic Call Structures" and "Indicator API Queries"
(https://datahelpdesk.worldbank.org/knowledgebase/articles/898581 and 898599). An answer is ``[{"page": 1, "pages": 1,
...}, [row, ...]]``, without any row ``[{..., "total": 0}, null]``; a refusal is ``[{"message": [{"id": "120", ...}]}]``
with status 200. It asks for no key and documents no limit of requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd

from workbench.core.errors import InputError
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, Provider
from workbench.data.providers.rest import Refusal, Reply, RestClient, Source

PAGE = 1000
_NAME = re.compile(r"(?!(?i:all)[/:])([A-Za-z0-9]{2,3})[/:]([A-Za-z0-9._]{1,64})")
_PERIOD = re.compile(r"(\d{4})(?:Q([1-4])|M(0[1-9]|1[0-2]))?")


def _judge(reply: Reply) -> Refusal | None:
    first = reply.value[0] if isinstance(reply.value, list) and reply.value else None
    messages = first.get("message") if isinstance(first, dict) else None
    if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
        return None
    told = f"{messages[0].get('key', '')}: {messages[0].get('value', '')}"
    # 120: a parameter, such as the country or the indicator, is not valid; 175: the indicator was archived.
    return Refusal("unknown" if str(messages[0].get("id")) in ("120", "175") else "error", told)


SOURCE = Source("https://api.worldbank.org/v2/", judge=_judge)


class WorldBankProvider(Provider):
    """Ask the World Bank."""

    name = "world_bank"
    description = "World Bank: indicators of countries and regions"
    licence = "CC BY 4.0, The World Bank; some indicators belong to others"

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._rest = RestClient(self, SOURCE)

    def series(self, name: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return an indicator of one country, the latest vintage only and without its date.

        Parameters
        ----------
        name : str
            Country and indicator, such as ``"USA/NY.GDP.MKTP.CD"``; a region such as ``WLD`` counts as a country.
        start, end : date, optional
            Of the periods' first days.

        Raises
        ------
        InputError
            If ``name`` can be none.
        UnknownNameError
            If the World Bank does not know the country or the indicator.
        RateLimitError, ProviderError
            Like every question to a REST source.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise InputError(f"{name!r} is no World Bank series; write country/indicator, such as USA/NY.GDP.MKTP.CD")
        rows = list(self._rows(f"country/{found[1]}/indicator/{found[2]}", name))
        with self._rest.reading(name, "series"):
            columns = {
                "time": shapes.days(_first_day(row["date"]) for row in rows),
                "value": shapes.numbers(row["value"] for row in rows),
                "published": shapes.never(len(rows)),
            }
        return shapes.within(pd.DataFrame(columns), start, end)

    def _rows(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            params = {"format": "json", "per_page": PAGE, "page": page}
            body = self._rest.get(path, params, asked=name, kind="series")
            with self._rest.reading(name, "series"):
                about, rows = body
                pages = int(about["pages"])
                found = list(rows or [])
            yield from found
            if page >= pages:
                return
            page += 1


def _first_day(period: str) -> str | None:
    """Return the first day of ``2012``, ``2012Q2`` or ``2012M05``."""
    found = _PERIOD.fullmatch(period)
    if found is None:
        return None
    month = 3 * int(found[2]) - 2 if found[2] else int(found[3] or 1)
    return f"{found[1]}-{month:02d}-01"
