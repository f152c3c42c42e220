"""How firings are told: what a policy takes, what it refuses, and when it is quiet."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.alerts.policy import Policy, due, make_policy, quiet_until
from workbench.core.errors import ParameterError


def test_what_is_given_is_kept_and_comes_back_from_json():
    given_ = {
        "channels": ["mail", "chat", "mail"],
        "priority": "high",
        "group": "desk",
        "window": "15 min",
        "cool_down": timedelta(hours=2),
        "release": 2.5,
        "expires": "2026-12-31",
        "quiet": "22:00 - 07:00",
        "zone": "Europe/Berlin",
        "escalate_after": 3600,
        "escalate_to": "boss",
    }
    policy = make_policy(given_)
    assert policy.channels == ("mail", "chat")
    assert policy.window == timedelta(minutes=15)
    assert policy.expires == datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert policy.quiet == "22:00-07:00"
    assert policy.escalate_to == ("boss",)
    assert make_policy(json.loads(json.dumps(policy.plain()))) == policy


def test_nothing_given_is_nothing_kept():
    assert make_policy({}).plain() == {}
    assert make_policy({}) == Policy()
    assert Policy().window == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("expires", "meant"),
    [
        (date(2026, 3, 1), "2026-03-01T23:59:59.999999+00:00"),
        ("2026-03-01 09:30", "2026-03-01T09:30:00+00:00"),
        ("2026-03-01T09:30:00+02:00", "2026-03-01T07:30:00+00:00"),
    ],
)
def test_a_rule_expires_at_an_instant_or_after_a_day(expires, meant):
    assert make_policy({"expires": expires}).expires.isoformat() == meant


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"windo": 1}, "windo=1"),
        ({"window": "soon"}, "'20 min'"),
        ({"window": float("nan")}, "window=nan"),
        ({"window": "-5 min"}, "window"),
        ({"cool_down": timedelta(seconds=-3)}, "cool_down"),
        ({"cool_down": "400 days"}, "cool_down"),
        ({"release": -1}, "release=-1"),
        ({"release": float("inf")}, "release=inf"),
        ({"release": "eval('1')"}, "release"),
        ({"priority": "huge"}, "'urgent'"),
        ({"channels": []}, "channels"),
        ({"channels": [""]}, "channels"),
        ({"channels": 7}, "channels=7"),
        ({"quiet": "22-7"}, "'22:00-07:00'"),
        ({"quiet": "25:00-07:00"}, "'22:00-07:00'"),
        ({"quiet": "07:00-07:00"}, "snooze"),
        ({"zone": "Mars/Olympus"}, "no such time zone"),
        ({"zone": "../../etc/passwd"}, "no such time zone"),
        ({"zone": "America"}, "no such time zone"),
        ({"zone": ""}, "no such time zone"),
        ({"group": "desk\nBcc: x"}, "group="),
        ({"group": "\x00"}, "group="),
        ({"expires": "soon"}, "'soon' is no date"),
        ({"escalate_to": ["boss"]}, "go together"),
        ({"escalate_after": "1 h"}, "go together"),
        ({"escalate_after": 0, "escalate_to": ["boss"]}, "escalate_after"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(values, said):
    with pytest.raises(ParameterError, match=re.escape(said)) as refused:
        make_policy(values)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


def berlin(quiet):
    return make_policy({"quiet": quiet, "zone": "Europe/Berlin"})


# In Berlin clocks went from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October 2026 (01:00 UTC
# both times; directive 2000/84/EC).
@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        ("22:00-07:00", "2026-01-05 20:59:59", None),
        ("22:00-07:00", "2026-01-05 21:00", "2026-01-06 06:00"),
        ("22:00-07:00", "2026-01-06 05:59:59", "2026-01-06 06:00"),
        ("22:00-07:00", "2026-01-06 06:00", None),
        ("22:00-07:00", "2026-07-06 04:59", "2026-07-06 05:00"),
        ("12:00-13:30", "2026-01-05 11:15", "2026-01-05 12:30"),
        ("12:00-13:30", "2026-01-05 12:30", None),
        # The night in which the clocks are put forward has an hour less.
        ("22:00-07:00", "2026-03-28 21:00", "2026-03-29 05:00"),
        # 02:30 is not shown on that day: quiet hours that end or begin then do so with the end of the gap.
        ("22:00-02:30", "2026-03-29 00:59:59", "2026-03-29 01:00"),
        ("22:00-02:30", "2026-03-29 01:00", None),
        ("02:30-04:00", "2026-03-29 00:59:59", None),
        ("02:30-04:00", "2026-03-29 01:00", "2026-03-29 02:00"),
        # 02:30 is shown twice, at 00:30 and at 01:30 UTC.
        ("22:00-02:30", "2026-10-25 00:45", "2026-10-25 01:30"),
        ("02:30-04:00", "2026-10-25 00:29:59", None),
        ("02:30-04:00", "2026-10-25 00:30", "2026-10-25 03:00"),
        ("02:15-02:45", "2026-10-25 00:50", "2026-10-25 01:45"),
        ("22:00-07:00", "2026-10-24 20:00", "2026-10-25 06:00"),
    ],
)
def test_quiet_hours_go_by_the_clock_on_the_wall(quiet, now, until):
    found = quiet_until(berlin(quiet), datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (until and datetime.fromisoformat(until).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("policy", "now", "went", "goes"),
    [
        ({}, "12:00", None, "12:00:01"),
        ({}, "12:00", "11:58", "12:03"),
        ({}, "12:00", "11:55:00.5", "12:00:01"),
        ({"window": 0}, "12:00", "12:00", "12:00:01"),
        # A second later it is quiet; a window later it is so no more.
        ({"quiet": "12:00-13:00"}, "11:59:59", None, "13:00"),
        ({"quiet": "12:00-13:00", "window": "2 h"}, "12:30", "11:30", "13:30"),
        ({"quiet": "12:00-13:00", "priority": "urgent"}, "12:30", None, "12:30:01"),
        ({"quiet": "12:00-13:00", "priority": "high"}, "12:30", None, "13:00"),
    ],
)
def test_when_a_message_goes(policy, now, went, goes):
    moment, before, expected = (
        each and datetime.fromisoformat(f"2026-01-05 {each}+00:00") for each in (now, went, goes)
    )
    assert due(make_policy(policy), moment, before) == expected


def test_without_quiet_hours_it_is_never_quiet():
    assert quiet_until(Policy(), datetime(2026, 1, 5, 3, tzinfo=UTC)) is None


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["22:00-07:00", "02:15-02:45", "00:00-23:59", "23:30-00:30", "02:30-02:00"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
)
def test_the_end_of_quiet_hours_lies_ahead_and_is_not_quiet(now, quiet, zone):
    policy = make_policy({"quiet": quiet, "zone": zone})
    until = quiet_until(policy, now)
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        assert quiet_until(policy, until) is None
        assert quiet_until(policy, until - timedelta(microseconds=1)) == until
