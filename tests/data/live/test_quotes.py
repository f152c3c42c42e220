import threading
from datetime import timedelta

import pytest
from pydantic import SecretStr
from quote_server import until
from redis import Redis
from redis_server import redis_server

from workbench.core.errors import CredentialError, InputError, ProviderError, UnsupportedError
from workbench.data.live.quotes import ProcessShelf, QuoteCache, RedisShelf, open_quotes
from workbench.data.providers.base import Access, Provider, Quote

KNOWN = ("AAPL", "IBM", "MSFT")


class Counting(Provider):
    """A provider that remembers what it was asked, and can be held up."""

    name, description, licence = "counting", "a test", "none"

    def __init__(self):
        super().__init__(Access())
        self.asked, self.open, self.error = [], threading.Event(), None
        self.open.set()

    def quotes(self, symbols):
        self.asked.append(list(symbols))
        assert self.open.wait(10)
        if self.error:
            raise self.error
        now = self.access.clock()
        return [Quote(symbol, now, 100.0 + len(self.asked), self.name) for symbol in symbols if symbol in KNOWN]


@pytest.fixture
def provider():
    return Counting()


@pytest.fixture
def clock(quote):
    class Clock:
        now = quote().time

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture(params=["process", "redis"])
def cache(request, clock, redis):
    if request.param == "process":
        return QuoteCache(ProcessShelf(5.0, clock))
    Redis.from_url(redis.url).flushall()
    return QuoteCache(RedisShelf(SecretStr(redis.url), 5.0))


def test_a_provider_is_asked_only_for_what_is_missing(cache, provider):
    first = cache.quotes(provider, ["AAPL", "IBM"])
    second = cache.quotes(provider, ["MSFT", "AAPL", "IBM"])
    assert provider.asked == [["AAPL", "IBM"], ["MSFT"]]
    assert second[1:] == first
    assert [quote.symbol for quote in second] == ["MSFT", "AAPL", "IBM"]


def test_a_symbol_that_the_provider_does_not_know_is_left_out_and_not_asked_again(cache, provider):
    for _ in range(2):
        assert [quote.symbol for quote in cache.quotes(provider, ["AAPL", "NOPE", "AAPL"])] == ["AAPL"]
    assert provider.asked == [["AAPL", "NOPE"]]


def test_what_is_too_old_is_asked_again(provider, clock):
    cache = QuoteCache(ProcessShelf(5.0, clock))
    cache.quotes(provider, ["AAPL"])
    clock.now += timedelta(seconds=4.9)
    assert cache.quotes(provider, ["AAPL"])[0].price == 101.0
    clock.now += timedelta(seconds=0.2)
    assert cache.quotes(provider, ["AAPL"])[0].price == 102.0


def test_redis_forgets_by_itself(provider, redis):
    Redis.from_url(redis.url).flushall()
    cache = QuoteCache(RedisShelf(SecretStr(redis.url), 0.05))
    cache.quotes(provider, ["AAPL"])
    until(lambda: not Redis.from_url(redis.url).keys())
    assert cache.quotes(provider, ["AAPL"])[0].price == 102.0


def test_two_processes_share_what_is_in_redis(provider, redis):
    Redis.from_url(redis.url).flushall()
    one, other = (open_quotes(SecretStr(redis.url), 5.0) for _ in range(2))
    assert one.quotes(provider, ["AAPL"]) == other.quotes(provider, ["AAPL"])
    assert provider.asked == [["AAPL"]]


def test_threads_that_ask_at_the_same_time_make_one_request(cache, provider):
    provider.open.clear()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(cache.quotes(provider, ["AAPL"]))) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: provider.asked)
    provider.open.set()
    for thread in threads:
        thread.join(10)
    assert provider.asked == [["AAPL"]]
    assert len(answers) == 20
    assert all(answer == answers[0] for answer in answers)


def test_an_error_reaches_all_who_wait_and_is_not_kept(cache, provider):
    provider.open.clear()
    provider.error = ProviderError("no answer")
    raised = []

    def ask():
        with pytest.raises(ProviderError) as error:
            cache.quotes(provider, ["AAPL"])
        raised.append(error.value)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: provider.asked)
    provider.open.set()
    for thread in threads:
        thread.join(10)
    assert len(raised) == 3
    provider.error = None
    assert cache.quotes(provider, ["AAPL"])


@pytest.mark.parametrize(
    "text", ["", "\xff", "{", '{"symbol": "A"}', '{"symbol":"A","time":"x","price":1,"source":"y"}']
)
def test_garbage_in_redis_is_not_believed(provider, redis, text):
    client = Redis.from_url(redis.url)
    client.set("workbench:quotes:counting:AAPL", text)
    cache = QuoteCache(RedisShelf(SecretStr(redis.url), 5.0))
    assert cache.quotes(provider, ["AAPL"])[0].price == 101.0


def test_symbols_are_checked_before_anyone_is_asked(cache, provider):
    with pytest.raises(InputError, match="is no symbol"):
        cache.quotes(provider, ["AAPL", "a:b"])
    assert provider.asked == []


def test_a_provider_without_quotes_says_so(cache):
    class Silent(Provider):
        name = "silent"

    with pytest.raises(UnsupportedError, match="has no quotes"):
        cache.quotes(Silent(Access()), ["AAPL"])


def test_a_redis_that_is_away_is_told_without_its_address(provider):
    with redis_server() as gone:
        cache = open_quotes(SecretStr(gone.url.replace("unix://", "unix://:p4ss@")))
    with pytest.raises(ProviderError, match="Redis does not answer") as raised:
        cache.quotes(provider, ["AAPL"])
    assert "p4ss" not in str(raised.value)
    assert provider.asked == []


def test_a_wrong_password_is_told_and_not_shown(provider):
    with redis_server("--requirepass", "right") as closed:
        cache = open_quotes(SecretStr(closed.url.replace("unix://", "unix://:wr0ng@")))
        with pytest.raises(CredentialError, match="WORKBENCH_REDIS_URL") as raised:
            cache.quotes(provider, ["AAPL"])
    assert "wr0ng" not in str(raised.value)
