"""FRED. Shapes: https://fred.stlouisfed.org/docs/api/fred/series_observations.html and its neighbours; the texts of
refusals are of ``errors.html`` and as users of fredapi report them (its issues 28 and 48).
"""

# ruff: noqa: RUF012
from datetime import date

import pandas as pd
import pytest
from answering_server import Answer
from provider_contracts import AnswerContract, RestProviderContract, assert_rows

from workbench.core.errors import CredentialError, InputError, ProviderError, RateLimitError
from workbench.data.providers.fred import FredProvider

NAN = float("nan")


def day(text):
    return pd.Timestamp(text)


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def observations(*rows, count=None, offset=0):
    """The answer of series/observations; a row is first real-time day, day and value."""
    return {
        "realtime_start": "1776-07-04",
        "realtime_end": "9999-12-31",
        "observation_start": "1600-01-01",
        "observation_end": "9999-12-31",
        "units": "lin",
        "output_type": 1,
        "file_type": "json",
        "order_by": "observation_date",
        "sort_order": "asc",
        "count": len(rows) if count is None else count,
        "offset": offset,
        "limit": 100000,
        "observations": [
            {"realtime_start": known, "realtime_end": "9999-12-31", "date": day, "value": value}
            for known, day, value in rows
        ],
    }


def refused(message, code=400):
    return Answer({"error_code": code, "error_message": message}, code)


ADVANCE = ("2014-04-30", "2014-01-01", "17149.6")
SECOND = ("2014-05-29", "2014-01-01", "17101.3")
TOO_MANY = refused(
    "Bad Request.  There are 2004 vintage dates in the specified real-time period: 1776-07-04 to 9999-12-31.  "
    "This exceeds the maximum number of vintage dates allowed (2000)."
)


class TestSeries(RestProviderContract):
    provider = FredProvider
    method, arguments, asked = "series", ("GDP", date(2014, 1, 1), date(2014, 6, 30)), "GDP"
    request = (
        "/series/observations",
        {
            "series_id": "GDP",
            "file_type": "json",
            "realtime_start": "1776-07-04",
            "realtime_end": "9999-12-31",
            "observation_start": "2014-01-01",
            "observation_end": "2014-06-30",
            "output_type": "1",
        },
    )
    key_in = ("params", "api_key", "")
    answer = observations(ADVANCE, SECOND)
    # A vintage is known from the end of its day in St. Louis on.
    rows = {
        "time": [day("2014-01-01"), day("2014-01-01")],
        "value": [17149.6, 17101.3],
        "published": [utc("2014-05-01 05:00"), utc("2014-05-30 05:00")],
    }
    empty = observations()
    unknown = refused("Bad Request.  The series does not exist.")
    unsorted = observations(SECOND, ADVANCE, SECOND)
    unsorted_rows = {"value": [17101.3, 17149.6, 17101.3]}
    nulls = observations(("2014-01-31", "2014-01-01", "."), ("1776-07-04", "2014-02-01", "1.5"))
    null_rows = {
        "time": [day("2014-01-01"), day("2014-02-01")],
        "value": [NAN, 1.5],
        "published": [utc("2014-02-01 06:00"), pd.NaT],
    }
    burst = (120, 60.0)
    refusals = {
        "a key that is not registered": (
            refused("Bad Request.  The value for variable api_key is not registered."),
            CredentialError,
            1,
        ),
        "a key of another form": (
            refused("Bad Request.  The value XXXX for variable api_key is not a 32 character alpha-numeric string."),
            CredentialError,
            1,
        ),
        "a request that breaks a rule": (refused("Bad Request.  Variable limit is not between 1"), ProviderError, 1),
        "too fast for ever": (refused("Too Many Requests.  Exceeded Rate Limit", 429), RateLimitError, 4),
        "a failure of theirs": (refused("Internal Server Error", 500), ProviderError, 4),
    }

    def test_an_answer_of_several_pages_is_read_whole(self, answers, make):
        answers.play(Answer(observations(ADVANCE, count=100_001)), offset="0")
        answers.play(Answer(observations(SECOND, count=100_001, offset=100_000)), offset="100000")
        assert self.ask(make())["value"].tolist() == [17149.6, 17101.3]
        assert len(answers.requests) == 2

    def test_a_series_of_very_many_vintages_is_asked_for_in_periods(self, answers, make):
        vintages = [str(stamp.date()) for stamp in pd.date_range("2000-01-03", periods=2004)]
        turn, before = vintages[2000], vintages[1999]
        answers.play(TOO_MANY, path="/series/observations")
        answers.play(Answer({"count": 2004, "vintage_dates": vintages}), path="/series/vintagedates")
        # The value of 2000-01-01 holds on: FRED says that it begins with the period that was asked for.
        first = observations(("2000-01-03", "2000-01-01", "1"), ("2000-01-05", "2000-02-01", "3"))
        second = observations((turn, "2000-01-01", "1"), (turn, "2000-02-01", "4"), (vintages[2003], "2000-02-01", "5"))
        answers.play(Answer(first), realtime_start="2000-01-03", realtime_end=before)
        answers.play(Answer(second), realtime_start=turn, realtime_end="9999-12-31")
        found = make().series("DFF")
        assert_rows(found, {"time": [day("2000-01-01")] + 3 * [day("2000-02-01")], "value": [1.0, 3.0, 4.0, 5.0]})
        assert found["published"].tolist()[0] == utc("2000-01-04 06:00")

    @pytest.mark.parametrize("name", ["", "GDP/../x", "GDP?a=b", "A" * 26, "GDP 1", "../GDP"])
    def test_what_can_be_no_series_is_not_asked_for(self, answers, make, name):
        with pytest.raises(InputError, match="is no FRED series; write its ID"):
            make().series(name)
        assert answers.requests == []


def found(*rows):
    """The answer of series/search, shortened; a row is ID and title."""
    return {
        "count": len(rows),
        "offset": 0,
        "limit": 1000,
        "seriess": [
            {"id": name, "title": title, "frequency": "Quarterly", "units": "Billions of Dollars", "popularity": 1}
            for name, title in rows
        ],
    }


class TestSearch(AnswerContract):
    provider = FredProvider
    method, arguments, asked = "search", ("gross domestic",), "gross domestic"
    request = ("/series/search", {"search_text": "gross domestic", "file_type": "json"})
    key_in = ("params", "api_key", "")
    answer = found(("GDP", "Gross Domestic Product"))
    rows = {
        "symbol": ["GDP"],
        "name": ["Gross Domestic Product (Billions of Dollars, Quarterly)"],
        "exchange": [""],
        "currency": [""],
        "asset_class": ["macro"],
    }
    empty = found()
    unknown = None
    unsorted = found(("B", "b"), ("A", "a"), ("B", "b"))
    unsorted_rows = {"symbol": ["B", "A", "B"]}
    nulls = found((None, "a"))
    null_rows = {"symbol": [""]}
