import subprocess
import sys

import pytest
from pydantic import SecretStr

from workbench.core.errors import CredentialError, FailureError, UnknownNameError
from workbench.core.settings import load_settings
from workbench.data.live.opening import open_stream
from workbench.data.live.quotes import open_quotes
from workbench.data.live.shared import SharedStream
from workbench.data.live.twelve_data import TwelveDataStream
from workbench.data.live.yahoo import YahooStream


@pytest.fixture
def settings(tmp_path):
    return lambda **more: load_settings(home=tmp_path, **more)


def test_a_stream_gets_its_options_and_its_key(settings):
    own = settings(keys={"twelve_data": "k3y"}, providers={"twelve_data": {"stream_url": "ws://127.0.0.1:1/x"}})
    stream = open_stream(own, "twelve_data")
    assert isinstance(stream, TwelveDataStream)
    assert stream.address() == "ws://127.0.0.1:1/x?apikey=k3y"
    assert "k3y" not in repr(vars(stream))


def test_with_a_redis_the_same_stream_is_shared(settings):
    assert isinstance(open_stream(settings(), "yahoo"), YahooStream)
    shared = open_stream(settings(redis_url="redis://:p4ss@127.0.0.1:1/0"), "yahoo", interval=0.5)
    assert isinstance(shared, SharedStream)
    assert (shared.name, shared.interval, type(shared.upstream)) == ("yahoo", 0.5, YahooStream)
    assert "p4ss" not in repr(vars(shared))


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("yaho", UnknownNameError, "nearest known: yahoo"),
        ("twelve_data", CredentialError, "WORKBENCH_KEYS__TWELVE_DATA"),
    ],
)
def test_what_cannot_be_opened_is_told(settings, name, error, words):
    with pytest.raises(error, match=words):
        open_stream(settings(), name)


def test_without_the_package_redis_one_sentence_says_what_to_install(scripted, follow, monkeypatch):
    for name in [*(name for name in sys.modules if name.split(".")[0] == "redis"), "redis"]:
        monkeypatch.setitem(sys.modules, name, None)
    url = SecretStr("redis://127.0.0.1:1/0")
    with pytest.raises(FailureError, match=r"install trii-workbench\[servers\]"):
        open_quotes(url)
    with pytest.raises(FailureError, match=r"install trii-workbench\[servers\]"):
        follow(SharedStream(scripted(), url)).drain(timeout=10)


def test_a_feed_loads_no_client_before_it_is_used():
    code = (
        "import sys, workbench.data.live.opening, workbench.data.live.feed, workbench.data.live.quotes\n"
        "import workbench.data.live.yahoo, workbench.data.live.twelve_data\n"
        "print([name for name in ('websockets', 'redis', 'yfinance') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
