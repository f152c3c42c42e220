"""The World Bank. Shapes: https://datahelpdesk.worldbank.org/knowledgebase/articles/898581 (API Basic Call Structures),
898599 (Indicator API Queries) and 898620 (API Error Codes).
"""

# ruff: noqa: RUF012
from datetime import date

import pandas as pd
import pytest
from answering_server import Answer
from provider_contracts import RestProviderContract

from workbench.core.errors import InputError, ProviderError, RateLimitError, UnknownNameError
from workbench.data.providers.world_bank import WorldBankProvider

NAN = float("nan")


def day(text):
    return pd.Timestamp(text)


def page(*rows, number=1, pages=1):
    """An answer; a row is a period and a value."""
    about = {
        "page": number,
        "pages": pages,
        "per_page": 1000,
        "total": len(rows),
        "sourceid": "2",
        "lastupdated": "2024-06-28",
    }
    found = [
        {
            "indicator": {"id": "NY.GDP.MKTP.CD", "value": "GDP (current US$)"},
            "country": {"id": "US", "value": "United States"},
            "countryiso3code": "USA",
            "date": period,
            "value": value,
            "unit": "",
            "obs_status": "",
            "decimal": 0,
        }
        for period, value in rows
    ]
    return [about, found]


def refused(number, key, value):
    return [{"message": [{"id": number, "key": key, "value": value}]}]


INVALID = refused("120", "Invalid value", "The provided parameter value is not valid")


class TestSeries(RestProviderContract):
    provider = WorldBankProvider
    method, arguments, asked = "series", ("USA/NY.GDP.MKTP.CD",), "USA/NY.GDP.MKTP.CD"
    request = ("/country/USA/indicator/NY.GDP.MKTP.CD", {"format": "json", "page": "1"})
    key_in = None
    answer = page(("2023", 27360935000000), ("2022", 25744100000000))
    rows = {
        "time": [day("2023-01-01"), day("2022-01-01")],
        "value": [27360935000000.0, 25744100000000.0],
        "published": [pd.NaT, pd.NaT],
    }
    empty = [{"page": 0, "pages": 0, "per_page": 0, "total": 0, "sourceid": None, "lastupdated": None}, None]
    unknown = INVALID
    unsorted = page(("2021", 1), ("2023", 3), ("2021", 1))
    unsorted_rows = {"time": [day("2021-01-01"), day("2023-01-01"), day("2021-01-01")], "value": [1.0, 3.0, 1.0]}
    nulls = page(("2023", None), ("2022", 2))
    null_rows = {"time": [day("2023-01-01"), day("2022-01-01")], "value": [NAN, 2.0]}
    burst = None
    refusals = {
        "an indicator that was archived": (
            refused("175", "Invalid format", "The indicator was not found. It may have been deleted or archived."),
            UnknownNameError,
            1,
        ),
        "another refusal": (
            refused("199", "Endpoint not found", "XXXX The requested URL is incorrect"),
            ProviderError,
            1,
        ),
        "too fast for ever": (Answer("", 429), RateLimitError, 4),
        "a page of HTML": (Answer("<html>be back soon</html>"), ProviderError, 4),
    }

    def test_an_answer_of_several_pages_is_read_whole(self, answers, make):
        answers.play(Answer(page(("2023", 3), pages=2)), page="1")
        answers.play(Answer(page(("2022", 2), number=2, pages=2)), page="2")
        assert self.ask(make())["value"].tolist() == [3.0, 2.0]
        assert len(answers.requests) == 2

    def test_a_period_begins_with_its_first_day(self, answers, make):
        answers.play(Answer(page(("2012Q1", 1), ("2012Q4", 2), ("2012M05", 3), ("2012M12", 4), ("YTD2013", 5))))
        times = make().series("chn:DPANUSSPB")["time"]
        assert [str(time.date()) for time in times[:4]] == ["2012-01-01", "2012-10-01", "2012-05-01", "2012-12-01"]
        assert pd.isna(times[4])
        assert answers.requests[0].path == "/country/chn/indicator/DPANUSSPB"

    def test_a_range_is_of_first_days(self, answers, make):
        answers.play(Answer(page(("2023", 3), ("2022", 2), ("2021", 1))))
        found = make().series("USA/NY.GDP.MKTP.CD", date(2022, 1, 1), date(2022, 12, 31))
        assert found["value"].tolist() == [2.0]

    @pytest.mark.parametrize(
        "name", ["", "USA", "all/NY.GDP.MKTP.CD", "usa;chn/X", "../../X", "USA/..%2f", "USA/X/Y", "USA/a?b"]
    )
    def test_what_can_be_no_series_is_not_asked_for(self, answers, make, name):
        with pytest.raises(InputError, match="write country/indicator"):
            make().series(name)
        assert answers.requests == []
