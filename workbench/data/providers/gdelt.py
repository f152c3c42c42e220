"""News of the world from the GDELT Project.

Parameters and modes are from "GDELT DOC 2.0 API Debuts!" (https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/): the
list of articles goes back three months and has 250 articles at most. Without any article the answer is ``{}``. A
refusal is a sentence in plain text, mostly with status 200. It asks for no key, and for 5 seconds between requests.
"""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from workbench.core.errors import InputError
from workbench.data.providers import shapes
from workbench.data.providers.base import Access, Provider
from workbench.data.providers.rest import Rate, Refusal, Reply, RestClient, Source

LONGEST = timedelta(days=90)
"""How far back the articles go."""

MOST = 250
SEEN = "%Y%m%dT%H%M%SZ"


def _judge(reply: Reply) -> Refusal | None:
    if reply.status == 429 or "limit requests to one every" in reply.text[:1000]:
        return Refusal("limit", "one request every 5 seconds", after=5.0)
    # What begins like JSON or HTML is a broken answer, and may be whole the next time.
    if (
        reply.status == 200
        and not reply.is_json
        and reply.text.strip()
        and not reply.text.lstrip().startswith(("{", "<"))
    ):
        return Refusal("error", reply.text)
    return None


SOURCE = Source("https://api.gdeltproject.org/api/v2/doc/", plans={"free": (Rate(1, 5.0),)}, judge=_judge)


class GdeltProvider(Provider):
    """Ask the GDELT Project."""

    name = "gdelt"
    description = "GDELT: news of the last three months, in 65 languages"
    licence = "GDELT terms of use: free with a citation; the articles belong to their publishers"

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self._rest = RestClient(self, SOURCE)

    def news(self, text: str, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """Return the latest 250 articles about a text, the newest first.

        ``time`` is when GDELT saw the article, never before it was published.

        Parameters
        ----------
        text : str
            Words, phrases in quotes and operators as the source documents them, such as ``"apple sourcelang:eng"``.
        start, end : date, optional
            UTC days, both included; without them the last three months.

        Raises
        ------
        InputError
            If ``text`` is empty.
        RateLimitError, ProviderError
            Like every question to a REST source; ``ProviderError`` for words that GDELT calls too short.
        """
        if not text.strip():
            raise InputError(f"{text!r} is no text to look for; write a word or a company's name")
        params: dict[str, object] = {"query": text, "mode": "artlist", "format": "json", "maxrecords": MOST}
        if start is not None or end is not None:
            last = end or self.access.clock().date()
            params["startdatetime"] = f"{start or last - LONGEST:%Y%m%d}000000"
            params["enddatetime"] = f"{last:%Y%m%d}235959"
        body = self._rest.get("doc", {**params, "sort": "datedesc"}, asked=text, kind="text")
        with self._rest.reading(text, "text"):
            rows = body.get("articles", [])
            columns = {
                "time": shapes.instants((row["seendate"] for row in rows), SEEN),
                "title": shapes.texts(row["title"] for row in rows),
                "url": shapes.texts(row["url"] for row in rows),
                "publisher": shapes.texts(row["domain"] for row in rows),
            }
        found = shapes.within(pd.DataFrame(columns), start, end)
        return found.sort_values("time", ascending=False, kind="stable", ignore_index=True)
