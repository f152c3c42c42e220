"""A webhook gets a message as JSON; it cannot send us anywhere else, hold us up, or make us tell its address."""

import re
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from web_answers import HOSTS, SECRET, everything_said

from workbench.alerts.channels import webhook
from workbench.alerts.channels.base import DeliveryError
from workbench.alerts.channels.webhook import WebhookChannel, seconds_of
from workbench.core.errors import ParameterError


def hook(address, hosts=HOSTS):
    return WebhookChannel("hook", SecretStr(address), hosts)


def test_a_message_is_posted_as_json_with_its_key(web, message):
    hook(f"http://{web.at}/hook/{SECRET}?room=a%20b&x=1").send(message)
    ((verb, path, headers, body),) = web.asked
    assert (verb, path) == ("POST", f"/hook/{SECRET}?room=a%20b&x=1")
    assert headers["idempotency-key"] == "message:0b5e"
    assert headers["content-type"] == "application/json"
    assert body == {
        "key": "message:0b5e",
        "topic": "momentum",
        "subject": "momentum: 2 alerts",
        "text": "AAPL close above 600\nIBM close above 200",
        "priority": "high",
        "count": 2,
        "alerts": ["rule:a:AAPL:2026-01-05", "rule:a:IBM:2026-01-05"],
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_answer_of_success_means_that_it_was_taken(web, message, status):
    web.status, web.body = status, b""
    hook(f"http://{web.at}/").send(message)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        # RFC 9110, 15.5 and 15.6; what is about the message itself will be answered again.
        (400, True), (413, True), (415, True), (422, True),
        (401, False), (403, False), (404, False), (408, False), (409, False), (410, False), (425, False),
        (429, False), (500, False), (502, False), (503, False), (504, False), (507, False),
    ],
)  # fmt: skip
def test_an_error_says_whether_trying_again_may_help(web, message, status, permanent):
    web.status = status
    with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
        hook(f"http://{web.at}/").send(message)
    assert caught.value.permanent is permanent
    assert ("it is not tried again" if permanent else "it is tried again later") in str(caught.value)


def test_a_server_says_how_long_it_wants_to_be_left_alone(web, message):
    web.status, web.headers = 429, {"Retry-After": "120"}
    with pytest.raises(DeliveryError) as caught:
        hook(f"http://{web.at}/").send(message)
    assert caught.value.retry_after == 120


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        # The date is the example of RFC 9110, 5.6.7.
        ("0", 0.0), ("3600", 3600.0), ("99999999", 86400.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 37.0),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 0.0), ("soon", None), ("-5", None), ("", None), (None, None), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_of_seconds_or_a_date(header, seconds):
    assert seconds_of(header, lambda: datetime(1994, 11, 6, 8, 49, 0, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(web, inner, message, status):
    web.status, web.headers = status, {"Location": f"http://{inner.at}/admin"}
    with pytest.raises(DeliveryError, match="redirect"):
        hook(f"http://{web.at}/").send(message)
    assert not inner.asked


def test_the_environments_proxies_are_not_used(web, inner, message, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{inner.at}")
    monkeypatch.setenv("no_proxy", "")
    hook(f"http://{web.at}/").send(message)
    assert len(web.asked) == 1
    assert not inner.asked


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"http://hooks.example.org/{SECRET}", "not encrypted"),
        (f"https://10.0.0.7/{SECRET}", "private network"),
        (f"https://127.0.0.1/{SECRET}", "this machine"),
        (f"https://[::1]/{SECRET}", "this machine"),
        (f"https://[::ffff:127.0.0.1]/{SECRET}", "this machine"),
        (f"https://localhost/{SECRET}", "private network"),
        (f"https://169.254.169.254/latest/meta-data/{SECRET}", "metadata"),
        (f"https://2130706433/{SECRET}", "written plainly"),
        (f"https://0x7f.1/{SECRET}", "written plainly"),
        (f"https://0177.0.0.1/{SECRET}", "written plainly"),
        (f"https://user:{SECRET}@hooks.example.org/", "a user or a password"),
        (f"https://hooks.example.org@10.0.0.7/{SECRET}", "a user or a password"),
        (f"https://hooks.example.org\\@10.0.0.7/{SECRET}", "none of a webhook"),
        (f"https://hooks.example.org:{SECRET}/", "none of a webhook"),
        (f"https://hooks.example.org/#{SECRET}", "fragment"),
        (f"https:///{SECRET}", "has no host"),
        (f"https://hooks.example.org/{SECRET}\r\nX-Evil: 1", "none of a webhook"),
        (f"ftp://hooks.example.org/{SECRET}", "none of a webhook"),
        (SECRET, "none of a webhook"),
    ],
)
def test_a_wrong_address_is_refused_and_never_repeated(address, reason, logged):
    with pytest.raises(ParameterError, match=reason) as caught:
        hook(address, ())
    assert SECRET.lower() not in everything_said(caught.value).lower()
    assert SECRET not in logged()


def test_a_name_that_begins_to_lead_inside_is_refused_when_it_is_saved_and_when_a_message_is_sent(message, monkeypatch):
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_options: inside)
    channel = hook(f"https://hooks.example.org/{SECRET}", ())
    with pytest.raises(ParameterError, match=r"this machine.*alert_hosts") as refused:
        channel.check()
    with pytest.raises(DeliveryError, match="this machine") as caught:
        channel.send(message)
    assert not caught.value.permanent
    assert SECRET not in everything_said(refused.value) + everything_said(caught.value)


def test_nobody_answering_is_told_without_the_address(message, logged):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryError, match="cannot be connected to; it is tried again later") as caught:
        hook(f"http://127.0.0.1:{port}/{SECRET}").send(message)
    assert SECRET not in everything_said(caught.value)
    assert SECRET not in logged()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: 1\r\n"])
def test_a_server_that_breaks_off_has_not_taken_it(message, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak():
            connection, _from = server.accept()
            with connection:
                connection.recv(1)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        threading.Thread(target=speak, daemon=True).start()
        channel = hook(f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}")
        if answer.startswith(b"HTTP/1.1 200"):
            # The status is all that counts.
            channel.send(message)
            return
        with pytest.raises(DeliveryError, match="it is tried again later") as caught:
            channel.send(message)
    assert SECRET not in everything_said(caught.value)


def test_a_server_that_answers_a_byte_at_a_time_does_not_hold_us_up(message, monkeypatch):
    monkeypatch.setattr(webhook, "TIME_OUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _from = server.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 2")
                    for _ in range(600):
                        connection.sendall(b"0")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(DeliveryError, match=r"within 0\.5 seconds"):
            hook(f"http://127.0.0.1:{server.getsockname()[1]}/").send(message)
    assert time.monotonic() - began < 15


def test_an_answer_without_end_is_not_read(web, message):
    web.body = b"x" * (64 << 20)
    hook(f"http://{web.at}/").send(message)
    assert len(web.asked) == 1


def whole(connection):
    """Read a request to its end: a connection that is closed before is broken off for who still writes."""
    found = b""
    while (head := found.partition(b"\r\n\r\n"))[1] == b"" or len(head[2]) < int(
        re.search(rb"content-length: (\d+)", head[0].lower())[1]
    ):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the client has gone")
        found += more
    return found


def test_a_certificate_must_be_valid_and_be_the_hosts(tmp_path, message, monkeypatch):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=hooks.example.org", "-addext", "subjectAltName=DNS:hooks.example.org"]
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*made, *subject], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer():
            while True:
                try:
                    connection, _from = server.accept()
                    with context.wrap_socket(connection, server_side=True) as secure:
                        asked.append(whole(secure))
                        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                except (ssl.SSLError, ConnectionError):
                    continue
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        local = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_options: local)
        named, other = "hooks.example.org", "others.example.org"
        with pytest.raises(DeliveryError, match="certificate"):
            hook(f"https://{named}:{port}/", (named,)).send(message)
        assert not asked
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        hook(f"https://{named}:{port}/", (named,)).send(message)
        with pytest.raises(DeliveryError, match="certificate"):
            hook(f"https://{other}:{port}/", (other,)).send(message)
    assert len(asked) == 1


def test_what_a_channel_says_of_itself_holds_no_secret():
    channel = hook(f"https://{SECRET}.in.hooks.example.org/{SECRET}", ())
    assert channel.described() == "a webhook at ….example.org"
    assert SECRET.lower() not in (repr(channel) + str(channel)).lower()
