from datetime import UTC, datetime, timedelta

from workbench.core.clock import utc_now


def test_the_clock_tells_the_present_in_utc():
    now = utc_now()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)
