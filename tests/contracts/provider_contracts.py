"""What every provider that asks a REST source must keep. A new one adds subclasses with facts only.

``AnswerContract`` plays the answers to one method: documented, empty, unsorted, with holes, for an unknown name.
``RestProviderContract`` plays what networks and plans do as well; one such class per provider is enough, over a method
that makes one request. ``tests/contracts`` is on pytest's ``pythonpath``::

    from provider_contracts import AnswerContract, RestProviderContract

    class TestExampleSeries(RestProviderContract):
        provider = ExampleProvider
        method, arguments, asked = "series", ("GDP",), "GDP"
        request = ("/v1/series", {"id": "GDP"})
        ...
"""

from __future__ import annotations

import json
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import ClassVar
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd
import pytest
from answering_server import KEY, Answer, AnsweringServer, Moments, access_to

from workbench.core.errors import (
    CredentialError,
    ProviderError,
    RateLimitError,
    UnknownNameError,
    UnsupportedError,
    WorkbenchError,
)
from workbench.core.market import FIELDS
from workbench.data.providers.base import METHODS, History, Provider

COLUMNS = {
    "history": ["time", *FIELDS],
    "actions": ["time", "kind", "value"],
    "search": ["symbol", "name", "exchange", "currency", "asset_class"],
    "series": ["time", "value", "published"],
    "statements": ["period_end", "period", "statement", "item", "value", "currency", "filed"],
    "news": ["time", "title", "url", "publisher"],
}
INSTANTS = {"history": [], "series": ["published"], "statements": ["filed"], "news": ["time"]}
"""Columns that are UTC; every other time is a day without a zone. Bars below a day are UTC as well."""


def frame_of(result: object) -> pd.DataFrame:
    """Return the frame that a method answers with."""
    if isinstance(result, History):
        return result.bars
    if isinstance(result, list):
        return pd.DataFrame([asdict(quote) for quote in result])
    assert isinstance(result, pd.DataFrame)
    return result


def assert_rows(result: object, expected: dict[str, list]) -> None:
    """Check columns and every row of them; NaN equals NaN."""
    frame = frame_of(result)[list(expected)]
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected, index=frame.index), check_dtype=False)


class AnswerContract:
    """Facts about one method of one provider.

    ``provider``, ``method``, ``arguments``; ``asked``: what an error must name; ``request``: the path and a part of the
    query of the first request; ``key_in``: ``("params" | "headers", name, text in front of the key)`` or ``None``;
    ``answer``: the documented answer, and ``rows``: what is read from it, by column. ``empty``: an answer without rows,
    or an ``Answer``. ``unknown``: the answer for a name that does not exist, or ``None`` where the source answers that
    as it answers nothing. ``unsorted`` and ``unsorted_rows``: out of order and, where the shape can say so, twice.
    ``nulls`` and ``null_rows``: a day without values.
    """

    provider: ClassVar[type[Provider]]
    method: ClassVar[str]
    arguments: ClassVar[tuple]
    asked: ClassVar[str]
    request: ClassVar[tuple[str, dict]]
    key_in: ClassVar[tuple[str, str, str] | None]
    answer: ClassVar[object]
    rows: ClassVar[dict[str, list]]
    empty: ClassVar[object]
    unknown: ClassVar[object | None]
    unsorted: ClassVar[object]
    unsorted_rows: ClassVar[dict[str, list]]
    nulls: ClassVar[object]
    null_rows: ClassVar[dict[str, list]]

    @pytest.fixture
    def answers(self):
        server = AnsweringServer()
        yield server
        server.close()

    @pytest.fixture
    def moments(self):
        return Moments()

    @pytest.fixture
    def make(self, answers, moments):
        """Make the provider; the plan lets everything through unless a test says otherwise."""

        def make(**given):
            options = {"limits": "1000000/1", **given}
            return self.provider(access_to(answers, options.pop("moments", moments), **options))

        return make

    def ask(self, provider: Provider) -> object:
        return getattr(provider, self.method)(*self.arguments)

    def script(self, answers: AnsweringServer, *played: object) -> None:
        """Play answers; a subclass whose method makes several requests adds the others."""
        answers.play(*(one if isinstance(one, Answer) else Answer(one) for one in played))

    def test_the_documented_answer_is_read(self, answers, make):
        self.script(answers, self.answer)
        assert_rows(self.ask(make()), self.rows)
        path, query = self.request
        assert answers.requests[0].path == path
        assert query.items() <= answers.requests[0].params.items()

    def test_the_frame_has_the_columns_and_types_of_the_contract(self, answers, make):
        self.script(answers, self.answer)
        if self.method == "quotes":
            assert all(one.time.tzinfo is not None for one in self.ask(make()))
            return
        frame = frame_of(self.ask(make()))
        self.check_types(frame)
        assert isinstance(frame.index, pd.RangeIndex)

    def check_types(self, frame: pd.DataFrame) -> None:
        assert list(frame.columns) == COLUMNS[self.method]
        intraday = self.method == "history" and len(self.arguments) > 3 and self.arguments[3] != "1d"
        for column in frame.columns.intersection(["time", "published", "filed", "period_end"]):
            zone = "UTC" if column in INSTANTS.get(self.method, []) or intraday else "None"
            assert str(frame[column].dt.tz) == zone, column
        for column in frame.columns.intersection([*FIELDS, "value"]):
            assert frame[column].dtype == np.float64, column

    def test_an_empty_answer_is_an_empty_frame(self, answers, make):
        self.script(answers, self.empty)
        result = self.ask(make())
        if self.method == "quotes":
            assert result == []
            return
        assert len(frame_of(result)) == 0
        self.check_types(frame_of(result))

    def test_a_name_that_does_not_exist_is_told(self, answers, make):
        if self.unknown is None:
            pytest.skip("the source answers an unknown name as it answers one without rows")
        self.script(answers, self.unknown)
        with pytest.raises(UnknownNameError, match=self.asked) as caught:
            self.ask(make())
        assert self.provider.name in str(caught.value)
        assert len(answers.requests) == 1

    def test_rows_arrive_as_the_source_gives_them(self, answers, make):
        self.script(answers, self.unsorted)
        assert_rows(self.ask(make()), self.unsorted_rows)

    def test_a_day_of_nulls_is_nan(self, answers, make):
        self.script(answers, self.nulls)
        assert_rows(self.ask(make()), self.null_rows)

    @pytest.mark.parametrize("body", [[], {}, "a text", 7, None, [None], {"data": 3}])
    def test_a_shape_that_is_not_documented_is_told_in_one_sentence_or_is_empty(self, answers, make, body):
        self.script(answers, body)
        caught, rows = None, 0
        try:
            result = self.ask(make())
            rows = len(result.bars if isinstance(result, History) else result)
        except (ProviderError, UnknownNameError) as error:
            caught = str(error)
        assert rows == 0
        assert caught is None or (self.provider.name in caught and "\n" not in caught)

    def test_what_it_does_not_have_it_says(self, make):
        provider = make()
        assert self.method in provider.offers()
        for method in set(METHODS) - set(provider.offers()):
            with pytest.raises(UnsupportedError, match=method):
                getattr(provider, method)(
                    *{"history": ("A", None, None), "actions": ("A", None, None)}.get(method, "A")
                )


class RestProviderContract(AnswerContract):
    """Further facts: ``credits`` that the request costs; ``burst``: after so many requests at once by the first plan
    the next one waits so many seconds, ``None`` without a plan; ``refusals``: name of the case -> (answer, error,
    number of requests), for what the source refuses, mostly with status 200.
    """

    credits: ClassVar[int] = 1
    burst: ClassVar[tuple[int, float] | None]
    refusals: ClassVar[dict[str, tuple[object, type[WorkbenchError], int]]]

    def pytest_generate_tests(self, metafunc):
        if "refusal" in metafunc.fixturenames:
            metafunc.parametrize("refusal", list(self.refusals))

    def sound(self) -> Answer:
        return self.answer if isinstance(self.answer, Answer) else Answer(self.answer)

    def assert_told(self, error: BaseException, status: str = "") -> None:
        text = str(error)
        assert self.provider.name in text
        assert self.asked in text
        assert status in text
        assert "\n" not in text

    def test_the_key_travels_where_the_source_documents(self, answers, make):
        self.script(answers, self.answer)
        self.ask(make())
        if self.key_in is None:
            assert KEY not in str(answers.requests)
            return
        place, name, front = self.key_in
        assert getattr(answers.requests[0], place)[name] == front + KEY

    def test_too_many_requests_waits_as_long_as_the_source_asks(self, answers, make, moments):
        self.script(answers, Answer("", 429, {"Retry-After": "7"}), self.answer)
        assert_rows(self.ask(make()), self.rows)
        assert (len(answers.requests), moments.pauses) == (2, [7.0])

    def test_too_many_requests_for_an_hour_is_not_waited_for(self, answers, make, moments):
        self.script(answers, Answer("", 429, {"Retry-After": "3600"}), self.answer)
        with pytest.raises(RateLimitError) as caught:
            self.ask(make())
        self.assert_told(caught.value, "3600")
        assert (len(answers.requests), moments.pauses) == (1, [])

    def test_a_failing_server_that_recovers_is_asked_again(self, answers, make, moments):
        self.script(answers, Answer("<html>oops</html>", 500), self.answer)
        assert_rows(self.ask(make()), self.rows)
        assert len(answers.requests) == 2
        assert len(moments.pauses) == 1

    def test_a_server_that_fails_for_ever_is_told_after_some_attempts(self, answers, make, moments):
        self.script(answers, Answer("<html>oops</html>", 500))
        with pytest.raises(ProviderError) as caught:
            self.ask(make())
        assert not isinstance(caught.value, RateLimitError)
        self.assert_told(caught.value, "500")
        assert len(answers.requests) == 4
        assert len(moments.pauses) == 3
        assert moments.pauses[2] > moments.pauses[0] > 0

    @pytest.mark.parametrize("broken", ["the connection", "the text"])
    def test_a_truncated_answer_is_asked_for_again(self, answers, make, broken):
        self.script(answers, self.truncated(broken), self.answer)
        assert_rows(self.ask(make()), self.rows)
        assert len(answers.requests) == 2

    @pytest.mark.parametrize("broken", ["the connection", "the text"])
    def test_an_answer_that_stays_truncated_is_told(self, answers, make, broken):
        self.script(answers, self.truncated(broken))
        with pytest.raises(ProviderError) as caught:
            self.ask(make())
        self.assert_told(caught.value)
        assert len(answers.requests) == 4

    def truncated(self, broken: str) -> Answer:
        content = self.sound().content()
        half = len(content) // 2
        return Answer(content, cut=half) if broken == "the connection" else Answer(content[:half])

    def test_a_slow_drip_ends(self, answers, make):
        self.script(answers, Answer(self.sound().content(), drip=0.01))
        with pytest.raises(ProviderError, match="in time") as caught:
            self.ask(make(deadline="0.04"))
        self.assert_told(caught.value)

    def test_a_refusal_is_told_by_its_kind(self, answers, make, refusal):
        answer, error, requests = self.refusals[refusal]
        self.script(answers, answer)
        with pytest.raises(error) as caught:
            self.ask(make())
        assert type(caught.value) is error
        self.assert_told(caught.value)
        assert len(answers.requests) == requests

    def test_without_its_key_it_asks_nothing(self, answers, make):
        self.script(answers, self.answer)
        provider = make(key=None)
        if not self.provider.needs_key:
            assert_rows(self.ask(provider), self.rows)
            return
        with pytest.raises(CredentialError, match=f"WORKBENCH_KEYS__{self.provider.name.upper()}"):
            self.ask(provider)
        assert answers.requests == []

    def test_the_key_is_in_no_text(self, answers, make, caplog):
        caplog.set_level(logging.DEBUG)
        provider = make(deadline="0.5")
        scripts = [[self.answer], [Answer(f"<html>{KEY}</html>", 500)], [Answer(f"{KEY}", 403)], [Answer("x", cut=0)]]
        told = [repr(provider), str(provider), repr(vars(provider)), repr(provider.access)]
        for played in [*scripts, *([self.keyed(case)] for case in self.refusals)]:
            self.script(answers, *played)
            try:
                self.ask(provider)
            except WorkbenchError as error:
                told.append("".join(traceback.format_exception(error)))
        assert len(caplog.records) > 0
        told += [repr(vars(record)) + record.getMessage() for record in caplog.records]
        for form in {KEY, quote(KEY), quote_plus(KEY), json.dumps(KEY)[1:-1]}:
            assert not [text for text in told if form in text]

    def keyed(self, case: str) -> Answer:
        """A refusal whose text repeats the key, as some sources do."""
        answer = self.refusals[case][0]
        answer = answer if isinstance(answer, Answer) else Answer(answer)
        return Answer(answer.content().replace(b"XXXX", KEY.encode()), answer.status, answer.headers)

    def test_eight_threads_keep_the_plan_together(self, answers, make):
        standing = Moments(standing=True)
        self.script(answers, self.answer)
        provider = make(moments=standing, limits=f"{2 * self.credits}/1")
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: self.ask(provider), range(8)))
        for result in results:
            assert_rows(result, self.rows)
        assert sorted(standing.pauses) == pytest.approx([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])

    def test_the_first_plan_is_kept(self, answers):
        if self.burst is None:
            pytest.skip("the source documents no plan")
        count, seconds = self.burst
        standing = Moments(standing=True)
        self.script(answers, self.answer)
        provider = self.provider(access_to(answers, standing))
        for _ in range(count // self.credits):
            self.ask(provider)
        assert standing.pauses == []
        self.ask(provider)
        assert standing.pauses == [pytest.approx(seconds)]
