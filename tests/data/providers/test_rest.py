"""The client of REST sources and its plan, against a real server; what providers make of it is in ``contracts``."""

from __future__ import annotations

import ipaddress
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from answering_server import KEY, Answer, AnsweringServer, Moments, access_to

from workbench.core.errors import CredentialError, ParameterError, ProviderError, RateLimitError, StoreError
from workbench.data.providers import rest
from workbench.data.providers.base import Provider
from workbench.data.providers.quota import PATIENCE, Quota, Rate, parse_rates
from workbench.data.providers.rest import RestClient, Source

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Example(Provider):
    name = "example"
    needs_key = False


PLANS = {"free": (Rate(1000, 1.0),), "large": (Rate(2, 60.0),)}


def client(server, moments=None, *, source=None, **options):
    source = source or Source("https://api.example.org/", plans=PLANS, key_parameter="key")
    return RestClient(Example(access_to(server, moments, **options)), source)


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("7", 7.0),
        ("Mon, 05 Jan 2026 12:00:30 GMT", 30.0),
        ("Mon, 05 Jan 2026 11:59:00 GMT", 0.0),
        ("Mon, 05 Jan 2026 12:00:30 -0000", 30.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date_by_the_injected_clock(answers, header, waits, status):
    moments = Moments(NOW)
    answers.play(Answer("", status, {"Retry-After": header}), Answer({"a": 1}))
    assert client(answers, moments).get("v1", asked="A") == {"a": 1}
    assert moments.pauses == [waits]


@pytest.mark.parametrize("header", ["soon", "", "-5", "1.5", "Mon, 99 Jan 2026 12:00:30 GMT"])
def test_a_retry_after_that_is_none_backs_off(answers, header):
    moments = Moments(NOW)
    answers.play(Answer("", 429, {"Retry-After": header}), Answer({"a": 1}))
    client(answers, moments).get("v1", asked="A")
    assert len(moments.pauses) == 1
    assert 0 < moments.pauses[0] < 5


def test_a_path_is_below_the_base_url_and_nothing_is_sent_for_none(answers):
    answers.play(Answer({"a": 1}))
    moments = Moments()
    access = access_to(answers, moments)
    served = RestClient(Example(access), Source(answers.url, key_header="X-Key", key_prefix="token "))
    served.get("v2/country", {"page": 2, "date": None}, asked="A")
    assert (answers.requests[0].path, answers.requests[0].params) == ("/v2/country", {"page": "2"})
    assert answers.requests[0].headers["x-key"] == f"token {KEY}"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_is_followed(answers, status):
    other = AnsweringServer()
    other.play(Answer({"a": 1}))
    answers.play(Answer("", status, {"Location": other.url}))
    with pytest.raises(ProviderError, match=str(status)):
        client(answers).get("v1", asked="A")
    assert other.requests == []
    other.close()


def test_an_answer_larger_than_the_cap_is_not_read_to_its_end(answers, monkeypatch):
    monkeypatch.setattr(rest, "LARGEST", 1000)
    answers.play(Answer("x" * 1001))
    with pytest.raises(ProviderError, match="more than 1000 bytes"):
        client(answers).get("v1", asked="A")
    assert len(answers.requests) == 1


def test_nobody_there_is_told(answers):
    server = AnsweringServer()
    gone = client(server)
    server.close()
    with pytest.raises(ProviderError, match=r"example did not answer for symbol 'A'.*ConnectError.*4 attempts"):
        gone.get("v1", asked="A")


@pytest.mark.parametrize("url", ["https://127.0.0.1:{}/", "HTTPS://127.0.0.1:{}/"])
def test_a_certificate_that_nobody_vouches_for_is_refused(answers, tmp_path, url):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    answers._server.socket = context.wrap_socket(answers._server.socket, server_side=True)
    answers.play(Answer({"a": 1}))
    with pytest.raises(ProviderError, match="ConnectError"):
        client(answers, base_url=url.format(answers._server.server_address[1])).get("v1", asked="A")
    assert answers.requests == []


def self_signed(folder):
    """Write a certificate for 127.0.0.1 and its key into one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_the_environments_proxy_is_used(answers, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", answers.url)
    answers.play(Answer({"a": 1}))
    assert client(answers, base_url="http://api.example.invalid/").get("v1", asked="A") == {"a": 1}
    assert answers.requests[0].headers["host"] == "api.example.invalid"


@pytest.mark.parametrize("key", ["two\nlines", "cl\u00e9", "", " k3y7", "k3y7\x00"])
def test_a_key_that_nothing_can_carry_is_refused_without_showing_it(answers, key):
    with pytest.raises(CredentialError, match="WORKBENCH_KEYS__EXAMPLE") as caught:
        client(answers, key=key).get("v1", asked="A")
    assert not key.strip() or key not in str(caught.value)
    assert answers.requests == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"base_url": "ftp://example.org"}, "base_url"),
        ({"base_url": "example.org"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": "https://user:s3same@example.org/"}, "base_url"),
        ({"base_url": "https://exa mple.org:port/"}, "base_url"),
        ({"deadline": "soon"}, "deadline 'soon'"),
        ({"deadline": "0"}, "deadline '0'"),
        ({"deadline": "nan"}, "deadline 'nan'"),
        ({"deadline": "inf"}, "deadline 'inf'"),
        ({"plan": "huge"}, "no plan 'huge'; it has free, large"),
        ({"limits": "8"}, "limits '8'"),
        ({"limits": "8/0"}, "limits '8/0'"),
        ({"limits": "0/60"}, "limits '0/60'"),
        ({"limits": "8/60;800/86400"}, "limits"),
        ({"limits": "8/nan"}, "limits"),
        ({"limits": ""}, "limits"),
    ],
)
def test_an_option_that_is_not_valid_is_told(answers, options, told):
    with pytest.raises(ParameterError, match=told) as caught:
        client(answers, **options)
    assert "s3same" not in str(caught.value)


def test_a_plan_is_chosen_by_name_and_rates_by_hand(answers):
    answers.play(Answer({"a": 1}))
    for options, waits in (({"plan": "large"}, [60.0]), ({"limits": "1/5,100/60"}, [5.0, 5.0])):
        moments = Moments()
        asking = client(answers, moments, **options)
        for _ in range(3):
            asking.get("v1", asked="A")
        assert moments.pauses == pytest.approx(waits)


def test_reading_a_shape_that_is_not_there_is_told_without_the_key(answers):
    asking = client(answers)
    with (
        pytest.raises(ProviderError, match=r"example answers series 'GDP'.*KeyError") as caught,
        asking.reading("GDP", "series"),
    ):
        {}[KEY]
    assert KEY not in str(caught.value)


def test_rates_are_written_as_requests_per_seconds():
    assert parse_rates("8/60,800/86400") == (Rate(8, 60.0), Rate(800, 86400.0))
    assert (
        ", ".join(map(str, parse_rates("1/1,8/60,800/86400,3/1.5"))) == "1 a second, 8 a minute, 800 a day, 3 in 1.5 s"
    )


def turns(quota, weights, now=NOW):
    return [quota.reserve(now, weight) for weight in weights]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    ("limits", "weights", "expected"),
    [
        ("2/10", [1] * 5, [0, 0, 10, 10, 20]),
        ("2/10,3/60", [1] * 4, [0, 0, 10, 60]),
        ("8/60", [8, 1, 7, 8], [0, 60, 60, 120]),
        ("8/60", [4, 5, 4], [0, 60, 120]),
        ("1/0.5", [1] * 3, [0, 0.5, 1.0]),
    ],
)
def test_requests_take_their_turn(tmp_path, kept, limits, weights, expected):
    quota = Quota("example", parse_rates(limits), tmp_path / "state" / "example.sqlite" if kept else None)
    assert turns(quota, weights) == pytest.approx(expected, abs=1e-4)


def test_a_turn_that_is_too_far_off_is_refused_and_not_entered():
    quota = Quota("example", parse_rates(f"1/{PATIENCE}"))
    assert turns(quota, [1, 1]) == [0, PATIENCE]
    for _ in range(3):
        with pytest.raises(RateLimitError, match="ask again after 2026-01-05 12:10 UTC"):
            quota.reserve(NOW)
    assert quota.reserve(NOW + timedelta(seconds=PATIENCE)) == pytest.approx(PATIENCE)


def test_what_has_left_the_window_counts_no_more(tmp_path):
    quota = Quota("example", parse_rates("25/86400"), tmp_path / "example.sqlite")
    assert turns(quota, [1] * 25) == [0.0] * 25
    with pytest.raises(RateLimitError, match="25 a day is used up"):
        quota.reserve(NOW + timedelta(hours=23))
    assert quota.reserve(NOW + timedelta(hours=24)) == 0.0


def test_a_clock_that_was_wrong_does_not_stop_us_for_ever(tmp_path):
    quota = Quota("example", parse_rates("1/60"), tmp_path / "example.sqlite")
    quota.reserve(NOW + timedelta(days=365))
    assert quota.reserve(NOW) == 0.0


def test_threads_never_get_the_same_turn():
    quota, before = Quota("example", parse_rates("1/0.1")), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: quota.reserve(NOW), range(400)))
    finally:
        sys.setswitchinterval(before)
    assert sorted(found) == pytest.approx([0.1 * turn for turn in range(400)], abs=1e-3)


def test_processes_share_the_plan(tmp_path):
    script = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path\n"
        "from workbench.data.providers.quota import Quota, parse_rates\n"
        "quota = Quota('example', parse_rates('1/1'), Path(sys.argv[1]))\n"
        "for _ in range(30): print(round(quota.reserve(datetime(2026, 1, 5, tzinfo=UTC))))\n"
    )
    path = tmp_path / "example.sqlite"
    started = [
        subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    told = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(int(turn) for turns in told for turn in turns) == list(range(90))


@pytest.mark.parametrize("damage", ["a torn file", "a folder in its place"])
def test_a_ledger_that_cannot_be_kept_is_told(tmp_path, damage):
    path = tmp_path / "example.sqlite"
    if damage == "a torn file":
        path.write_bytes(b"no database" * 100)
    else:
        path.mkdir()
    with pytest.raises(StoreError, match=r"example.*example\.sqlite"):
        Quota("example", parse_rates("1/1"), path).reserve(NOW)
