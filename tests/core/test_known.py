"""The limit of the process: one variable, read at each read."""

import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from workbench.core.errors import DateRangeError, ParameterError, UnsupportedError
from workbench.core.known import VARIABLE, limit, require_no_limit, set_limit, storing, within
from workbench.core.settings import load_settings


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch):
    # Set and deleted, so that what a test writes into the environment is taken back.
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012", "2012-12-31T23:59:59.999999"),
        ("2012-02", "2012-02-29T23:59:59.999999"),
        ("2012-03-01", "2012-03-01T23:59:59.999999"),
        (" 2012-03-01 ", "2012-03-01T23:59:59.999999"),
        ("2012-03-01T15:00", "2012-03-01T15:00"),
        ("2012-03-01T15:00:00-05:00", "2012-03-01T20:00"),
    ],
)
def test_the_variable_means_what_as_of_means(monkeypatch, text, expected):
    monkeypatch.setenv(VARIABLE, text)
    assert limit() == pd.Timestamp(expected, tz="UTC")


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_no_limit(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    assert limit() is None


@pytest.mark.parametrize("text", ["yesterday", "now", "2012-13-01", "20120301T", "{env(HOME)}"])
def test_a_variable_that_is_no_date_is_one_sentence(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    for read in (limit, lambda: within("2012"), lambda: require_no_limit("a file")):
        with pytest.raises(ParameterError, match=r"WORKBENCH_AS_OF='.*' is no date; write it as 2012-03-01, or unset"):
            read()


@pytest.mark.parametrize(
    "moment", ["2012-03-01", date(2012, 3, 1), datetime(2012, 3, 1), pd.Timestamp("2012-03-01 23:59:59.999999Z")]
)
def test_what_is_set_is_what_is_read(moment):
    set_limit(moment)
    assert limit() == pd.Timestamp("2012-03-01 23:59:59.999999", tz="UTC")
    # The text of an instant is that instant again, and not a day.
    text = os.environ[VARIABLE]
    set_limit(limit())
    assert os.environ[VARIABLE] == text
    set_limit(None)
    assert limit() is None
    assert VARIABLE not in os.environ


def test_midnight_with_a_zone_is_an_instant():
    set_limit(datetime(2012, 3, 1, tzinfo=UTC))
    assert limit() == pd.Timestamp("2012-03-01", tz="UTC")


def test_what_is_no_date_leaves_the_limit_as_it_was():
    set_limit("2012")
    with pytest.raises(DateRangeError, match="'soon' is no date"):
        set_limit("soon")
    assert limit().year == 2012


@pytest.mark.parametrize("as_of", ["2012-03-01", date(2012, 2, 29), 2011, "2012-03-01T23:59:59.999999Z"])
def test_an_as_of_up_to_the_limit_stays(as_of):
    assert within(as_of) is as_of
    set_limit("2012-03-01")
    assert within(as_of) is as_of
    assert within(None) == limit()


@pytest.mark.parametrize("as_of", ["2012", "2012-03", "2012-03-02", "2012-03-02T00:00Z", date(2013, 1, 1)])
def test_an_as_of_beyond_the_limit_is_refused(as_of):
    set_limit("2012-03-01")
    with pytest.raises(DateRangeError, match=r"is later than the limit 2012-03-01 23:59 UTC; give an earlier one, or"):
        within(as_of)


def test_what_does_not_say_when_it_was_known_is_refused_under_a_limit_only():
    require_no_limit("file a.csv")
    set_limit("2012-03-01")
    with pytest.raises(
        UnsupportedError, match=r"^file a.csv does not say what was known by the limit 2012-03-01 23:59"
    ):
        require_no_limit("file a.csv")


def test_storing_lets_its_own_thread_alone_read_a_source_as_it_is():
    set_limit("2012-03-01")
    told = []

    def other():
        try:
            require_no_limit("a file")
        except UnsupportedError as error:
            told.append(error)

    with storing():
        require_no_limit("a file")
        assert limit() is not None
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(told) == 1
    with pytest.raises(UnsupportedError):
        require_no_limit("a file")


def test_a_process_that_is_started_inherits_it():
    set_limit("2012-03-01")
    code = "from workbench.core.known import limit; print(limit().isoformat())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "2012-03-01T23:59:59.999999+00:00"


def test_it_is_no_setting_and_troubles_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "2012")
    settings = load_settings(home=tmp_path)
    assert VARIABLE not in settings.environment()
    (tmp_path / "workbench.toml").write_text("as_of = '2012'\n")
    with pytest.raises(ParameterError, match="setting 'as_of' is not valid"):
        load_settings(home=tmp_path)
