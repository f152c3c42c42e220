"""GDELT. Shapes: https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/; the texts of refusals as users report them
(gdelt-doc-api, issues 5 and 68).
"""

# ruff: noqa: RUF012
from datetime import date

import pandas as pd
import pytest
from answering_server import Answer
from provider_contracts import RestProviderContract

from workbench.core.errors import InputError, ProviderError, RateLimitError
from workbench.data.providers.gdelt import GdeltProvider


def articles(*rows):
    """The answer of the mode ArtList; a row is a time and a title."""
    return {
        "articles": [
            {
                "url": f"https://example.com/{title}",
                "url_mobile": "",
                "title": title,
                "seendate": seen,
                "socialimage": "",
                "domain": "example.com",
                "language": "English",
                "sourcecountry": "United States",
            }
            for seen, title in rows
        ]
    }


def utc(text):
    return pd.Timestamp(text, tz="UTC")


class TestNews(RestProviderContract):
    provider = GdeltProvider
    method, arguments, asked = "news", ("apple",), "apple"
    request = (
        "/doc",
        {"query": "apple", "mode": "artlist", "format": "json", "maxrecords": "250", "sort": "datedesc"},
    )
    key_in = None
    answer = articles(("20230918T031500Z", "Two"), ("20230918T030000Z", "One"))
    rows = {
        "time": [utc("2023-09-18 03:15"), utc("2023-09-18 03:00")],
        "title": ["Two", "One"],
        "url": ["https://example.com/Two", "https://example.com/One"],
        "publisher": ["example.com", "example.com"],
    }
    empty = {}
    unknown = None
    unsorted = articles(("20230918T030000Z", "One"), ("20230918T031500Z", "Two"), ("20230918T030000Z", "One"))
    unsorted_rows = {"title": ["Two", "One", "One"]}
    nulls = articles(("20230918T030000Z", None), (None, "Two"))
    null_rows = {"time": [utc("2023-09-18 03:00"), pd.NaT], "title": ["", "Two"]}
    burst = (1, 5.0)
    refusals = {
        "words that are too short": (Answer("The specified phrase is too short. XXXX\n"), ProviderError, 1),
        "a query that is too long": (Answer("Your query was too short or too long."), ProviderError, 1),
        "too fast for ever": (
            Answer("Please limit requests to one every 5 seconds or contact us for larger queries."),
            RateLimitError,
            4,
        ),
        "too fast for ever, with the status": (Answer("Please limit requests", 429), RateLimitError, 4),
        "a page of HTML": (Answer("<!DOCTYPE html><html></html>"), ProviderError, 4),
    }

    def test_too_fast_waits_five_seconds(self, answers, make, moments):
        self.script(answers, Answer("Please limit requests to one every 5 seconds"), self.answer)
        assert len(self.ask(make())) == 2
        assert moments.pauses == [5.0]

    @pytest.mark.parametrize(
        ("start", "end", "first", "last"),
        [
            (date(2023, 9, 1), date(2023, 9, 18), "20230901000000", "20230918235959"),
            (date(2025, 12, 1), None, "20251201000000", "20260105235959"),
            (None, date(2023, 9, 18), "20230620000000", "20230918235959"),
        ],
    )
    def test_a_range_includes_both_its_days(self, answers, make, start, end, first, last):
        self.script(answers, self.empty)
        make().news("apple", start, end)
        params = answers.requests[0].params
        assert (params["startdatetime"], params["enddatetime"]) == (first, last)

    def test_without_a_range_the_source_chooses(self, answers, make):
        self.script(answers, self.empty)
        self.ask(make())
        assert not {"startdatetime", "enddatetime"} & set(answers.requests[0].params)

    @pytest.mark.parametrize("text", ["", "  "])
    def test_nothing_is_not_looked_for(self, answers, make, text):
        with pytest.raises(InputError, match="no text to look for"):
            make().news(text)
        assert answers.requests == []
