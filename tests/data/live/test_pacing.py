import itertools

import pytest

from workbench.data.live.pacing import Throttle, growing_delays


def test_a_symbol_passes_at_once_and_then_once_per_interval(quote):
    throttle = Throttle(1.0)
    passed = []
    for step in range(31):  # ten prices a second, for three seconds
        throttle.offer(quote(price=100.0 + step, second=step / 10))
        passed += [(step, one.price) for one in throttle.due(step / 10)]
    assert passed == [(0, 100.0), (10, 110.0), (20, 120.0), (30, 130.0)]


def test_the_last_price_is_never_lost(quote):
    throttle = Throttle(1.0)
    for price in (1.0, 2.0, 3.0):
        throttle.offer(quote(price=price))
        throttle.due(0.0)
    assert throttle.next_due() == 1.0
    assert [one.price for one in throttle.due(1.0)] == [3.0]
    assert throttle.next_due() is None


@pytest.mark.parametrize(
    ("prices", "volumes", "expected"),
    [
        ([1.0, 1.0], [5, 5], [1.0]),
        ([1.0, 1.0], [5, 6], [1.0, 1.0]),
        ([1.0, 2.0, 1.0], [5, 5, 5], [1.0]),  # there and back within the interval: nothing has changed
        ([1.0, 2.0], [None, None], [1.0, 2.0]),
    ],
)
def test_only_what_changed_passes(quote, prices, volumes, expected):
    throttle, passed = Throttle(1.0), []
    for second, (price, volume) in enumerate(zip(prices, volumes, strict=True)):
        throttle.offer(quote(price=price, volume=volume, second=second))
        passed += throttle.due(second / 10)
    assert [one.price for one in [*passed, *throttle.due(10.0)]] == expected


def test_what_is_older_than_the_known_quote_is_no_news(quote):
    throttle = Throttle(0.0)
    throttle.offer(quote(price=1.0, second=5))
    throttle.due(0.0)
    throttle.offer(quote(price=2.0, second=4))
    assert throttle.due(1.0) == []


def test_symbols_do_not_wait_for_each_other(quote):
    throttle = Throttle(1.0)
    throttle.offer(quote("AAPL"))
    throttle.due(0.0)
    throttle.offer(quote("AAPL", price=2.0))
    throttle.offer(quote("IBM"))
    assert [one.symbol for one in throttle.due(0.1)] == ["IBM"]


def test_delays_double_up_to_the_longest_and_differ_between_processes():
    assert list(itertools.islice(growing_delays(1.0, 10.0, lambda: 0.0), 6)) == [1, 2, 4, 8, 10, 10]
    assert list(itertools.islice(growing_delays(1.0, 10.0, lambda: 1.0), 3)) == [0.5, 1, 2]
    assert len({next(growing_delays()) for _ in range(20)}) > 1
