"""Mails and chats by addresses of Apprise, held to our rules, against real servers of SMTP and HTTP."""

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from urllib.parse import unquote_plus

import pytest
import requests
from message_sinks import smtp_sink
from pydantic import SecretStr
from web_answers import HOSTS, SECRET, everything_said

from workbench.alerts.channels import apprised, mails, sessions
from workbench.alerts.channels.apprised import ChatChannel, MailChannel
from workbench.alerts.channels.base import DeliveryError
from workbench.core.errors import ParameterError


def mail(address, hosts=HOSTS):
    return MailChannel("post", SecretStr(address), hosts)


def chat(address, hosts=HOSTS):
    return ChatChannel("chat", SecretStr(address), hosts)


@pytest.fixture(scope="module")
def sink():
    with smtp_sink() as server:
        yield server


@pytest.fixture
def postbox(sink):
    sink.received.clear()
    return sink


def test_a_message_arrives_as_a_mail_in_plain_text_with_its_key(postbox, message):
    mail(postbox.url).send(message)
    (received,) = postbox.received
    assert received.subject == "momentum: 2 alerts"
    assert received.text.splitlines() == ["AAPL close above 600", "IBM close above 200"]
    expected = {
        "from": "TRII Workbench <workbench@example.org>",
        "to": "reader@example.org",
        "idempotency-key": "message:0b5e",
        "message-id": "<message%3A0b5e@example.org>",
        "date": "Mon, 05 Jan 2026 12:00:00 +0000",
        "auto-submitted": "auto-generated",
        "importance": "high",
        "content-type": 'text/plain; charset="utf-8"',
    }
    assert {name: received.headers[name] for name in expected} == expected


def test_the_same_message_is_the_same_mail_whenever_it_is_sent(postbox, message):
    for _ in range(2):
        mail(postbox.url).send(replace(message, attempts=7))
    first, second = postbox.received
    assert (first.headers, first.text) == (second.headers, second.text)


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: evil@example.org",
        "a\nX-Evil: 1",
        "a\rb",
        "a\u2028b",
        "a\x00b\x1bc",
        "a\x85b",
        "=?utf-8?q?a=0AX-Evil:_1?=",
    ],
)
def test_a_subject_makes_no_header_of_its_own(postbox, message, subject):
    mail(postbox.url).send(replace(message, subject=subject, text=f"{subject}\n.\nQUIT\n"))
    (received,) = postbox.received
    assert not {"bcc", "x-evil"} & set(received.headers)
    assert not any(mark in received.subject for mark in "\r\n\x00\x1b\x85\u2028")


def test_words_of_any_script_and_long_lines_arrive_as_they_are(postbox, message):
    text = "Größe 株価 ☂\n" + "x" * 5000 + "\n.hidden\nFrom me"
    mail(postbox.url).send(replace(message, subject="Größe 株価 " + "w" * 150, text=text))
    (received,) = postbox.received
    assert received.subject == "Größe 株価 " + "w" * 150
    assert received.text.replace("\r\n", "\n").rstrip("\n") == text


USUAL = {"EHLO": "250-here\r\n250-AUTH\r\n250 SIZE 1000000", "DATA": "354 go on", "AUTH": "235 in", "QUIT": "221 bye"}


@contextmanager
def mail_server(answers=None, *, login=False):
    """A mail server that answers commands as the test says; yields its port and what it was told."""
    told, answers = [], answers or {}

    def serve(server):
        with suppress(OSError):
            while True:
                connection, _from = server.accept()
                with connection, connection.makefile("rwb", 0) as lines:
                    talk(lines)

    def talk(lines):
        lines.write(answers.get("", "220 ready").encode() + b"\r\n")
        for line in lines:
            words = line.decode().strip()
            told.append(words)
            verb = words.partition(" ")[0].upper()
            answer = answers.get(words, answers.get(verb, USUAL.get(verb, "250 fine")))
            lines.write(answer.replace("AUTH", "AUTH PLAIN" if login else "OTHER").encode() + b"\r\n")
            if verb == "DATA":
                told.append(("body", "".join(each.decode() for each in iter(lines.readline, b".\r\n"))))
                lines.write(answers.get("body", "250 taken").encode() + b"\r\n")
            if verb == "QUIT":
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1], told


TO = "?from=workbench@example.org&to=reader@example.org&mode=insecure"


@pytest.mark.parametrize(
    ("answers", "reason", "permanent"),
    [
        # RFC 5321, 4.2.1: 4yz may pass, 5yz will not; what is said before the mail itself is about how we are set up.
        ({"": "554 no"}, "answered 554", False),
        ({"": "421 later"}, "answered 421", False),
        ({"MAIL": "550 who are you"}, "answered 550", False),
        ({"MAIL": "451 later"}, "answered 451", False),
        ({"RCPT": "550 nobody"}, "took none of its 1 recipients: it answered 550", True),
        ({"RCPT": "450 greylisted"}, "it answered 450", False),
        ({"body": "554 spam"}, "answered 554", True),
        ({"body": "452 full"}, "answered 452", False),
        ({"": "what"}, "later", False),
    ],
)
def test_a_mail_servers_refusal_says_whether_trying_again_may_help(message, answers, reason, permanent):
    with mail_server(answers) as (port, _told), pytest.raises(DeliveryError, match=reason) as caught:
        mail(f"mailto://127.0.0.1:{port}/{TO}").send(message)
    assert caught.value.permanent is permanent


def test_a_mail_server_that_knows_us_not_is_told_without_the_password(message, logged):
    with mail_server({"AUTH": "535 wrong"}, login=True) as (port, told):
        channel = mail(f"mailto://me:{SECRET}@127.0.0.1:{port}/{TO}")
        with pytest.raises(DeliveryError, match=r"refused the user or the password \(535\)") as caught:
            channel.send(message)
    assert not caught.value.permanent
    assert SECRET not in everything_said(caught.value) + logged() + repr(channel) + channel.described()
    assert SECRET not in repr(channel.mailbox)
    assert any(str(each).startswith("AUTH") for each in told)


def test_recipients_that_have_got_a_mail_do_not_get_it_again(message):
    answers = {"rcpt TO:<b@example.org>": "450 later"}
    with mail_server(answers) as (port, told):
        channel = mail(f"mailto://127.0.0.1:{port}/{TO}&cc=b@example.org,c@example.org")
        with pytest.raises(DeliveryError, match="took only 2 of 3 recipients"):
            channel.send(message)
        answers.clear()
        told.clear()
        channel.send(message)
    asked = [each for each in told if str(each).startswith("rcpt")]
    assert len(asked) == 1
    assert "b@example.org" in asked[0]


def test_a_mail_that_was_taken_counts_even_if_the_goodbye_fails(message):
    with mail_server({"QUIT": "500 no"}) as (port, told):
        mail(f"mailto://127.0.0.1:{port}/{TO}").send(message)
    assert any(each[0] == "body" for each in told)


def test_who_gets_a_blind_copy_stands_in_no_header(message):
    with mail_server() as (port, told):
        mail(f"mailto://127.0.0.1:{port}/{TO}&bcc=boss@example.org").send(message)
    (body,) = [each[1] for each in told if each[0] == "body"]
    assert "boss" not in body
    assert sum(str(each).startswith("rcpt") for each in told) == 2


def test_a_mail_server_without_the_encryption_that_is_asked_for_gets_nothing(message):
    with mail_server() as (port, told):
        channel = mail(f"mailtos://me:{SECRET}@127.0.0.1:{port}/{TO.replace('insecure', 'starttls')}")
        with pytest.raises(DeliveryError, match="does not offer the encryption"):
            channel.send(message)
    assert not any(str(each).startswith(("AUTH", "mail")) for each in told)


def test_a_mail_server_that_drips_does_not_hold_us_up(message, monkeypatch):
    monkeypatch.setattr(mails, "TIME_OUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _from = server.accept()
            with connection:
                try:
                    for _ in range(400):
                        connection.sendall(b"220-x\r\n")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(DeliveryError, match=r"within 0\.5 seconds"):
            mail(f"mailto://127.0.0.1:{server.getsockname()[1]}/{TO}").send(message)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("address", "host", "port", "mode", "user"),
    [
        # Apprise's own defaults for known providers.
        (f"mailto://me:{SECRET}@gmail.com", "smtp.gmail.com", 587, "starttls", "me@gmail.com"),
        (f"mailtos://me:{SECRET}@example.org", "example.org", 587, "starttls", "me"),
        (f"mailtos://me:{SECRET}@example.org?smtp=out.example.org&mode=ssl", "out.example.org", 465, "ssl", "me"),
    ],
)
def test_an_address_of_a_mailbox_is_read_as_apprise_writes_it(address, host, port, mode, user):
    found = mail(address, ()).mailbox
    assert (found.host, found.port, found.mode, found.user) == (host, port, mode, user)
    assert found.password.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"mailto://me:{SECRET}@example.org", "password unencrypted"),
        (f"mailtos://me:{SECRET}@example.org?mode=insecure", "password unencrypted"),
        (f"mailtos://me:{SECRET}@example.org?smtp=10.0.0.7", "private network"),
        (f"mailtos://me:{SECRET}@example.org?smtp=localhost", "private network"),
        (f"mailtos://me:{SECRET}@169.254.169.254", "never used|not complete"),
        (f"mailtos://me:{SECRET}@example.org?verify=no", r"has \?verify="),
        (f"mailtos://me:{SECRET}@example.org?to=a@b.org;verify=no", r"has \?verify="),
        (f"mailtos://me:{SECRET}@example.org?VeRiFy=no", r"has \?verify="),
        (f"mailtos://me:{SECRET}@example.org?%76erify=no", r"has \?verify="),
        (f"mailtos://me:{SECRET}@example.org?redirect=yes", r"has \?redirect="),
        (f"mailtos://me:{SECRET}@example.org?cto=900", r"has \?cto="),
        (f"mailtos://me:{SECRET}@example.org?retry=5", r"has \?retry="),
        (f"mailtos://me:{SECRET}@example.org?pgp=sign&pgpprv=/etc/{SECRET}", "unknown parameter"),
        (f"mailtos://me:{SECRET}@example.org?wkd=yes", "unknown parameter"),
        (f"mailtos://me:{SECRET}@example.org?+X-Header={SECRET}", "unknown parameter"),
        (f"mailtos://me:{SECRET}@example.org?{SECRET}=1", "unknown parameter"),
        (f"mailtos://me:{SECRET}@example.org?to=good@example.org,{SECRET}", "no mail address"),
        (f"mailtos://me:{SECRET}@example.org?mode=rot13", "not complete"),
        (f"mailtos://me:{SECRET} @example.org", "not complete"),
        (f"mailtos://me:{SECRET}@example.org?from=a%0aBcc:%20x@example.org", "not complete"),
        (f"mailtos://me:{SECRET}@example.org?from=a%250aBcc:%2520x@example.org", "not complete"),
        (f"mailtos://me:{SECRET}@example.org?to=gr%C3%B6%C3%9Fe@example.org", "mail address|not complete"),
        (f"mailtos://{SECRET}", "not complete|has no host|private network"),
    ],
)
def test_a_wrong_address_of_a_mailbox_is_refused_and_never_repeated(address, reason, logged):
    with pytest.raises(ParameterError, match=reason) as caught:
        mail(address, ())
    assert SECRET.lower() not in everything_said(caught.value).lower()
    assert SECRET not in logged()


T = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
CHATS = {
    "discord": f"discord://1234567890/{SECRET}",
    "gchat": f"gchat://workspace/{SECRET}/token",
    "gotifys": f"gotifys://push.example.org/{SECRET}",
    "mmosts": f"mmosts://chat.example.org/{SECRET}abcdefghij",
    "ntfys": f"ntfys://push.example.org/{SECRET}",
    "ntfys of all": f"ntfys://{SECRET}",
    "pbul": f"pbul://{SECRET}{'a' * 18}",
    "pover": f"pover://{'u' * 30}@{SECRET}{'a' * 16}",
    "rockets": f"rockets://{SECRET}/abc@chat.example.org/room",
    "slack": f"slack://{T}",
    "slack of a bot": "slack://xoxb-1234567890-1234567890-4ddbc191d40ee098cbaae6f3523ada2d/#room",
    "tgram": f"tgram://123456789:{SECRET}_abcdefghijklmnopqrs/12315544",
    "workflows": f"workflows://prod-1.westus.logic.azure.com/643e69f83c8944438d68119179a10a64/{SECRET}",
    "wxteams": f"wxteams://{'a' * 80}",
    "zulip": f"zulip://bot@organisation/{'a' * 32}/stream",
}


class Session:
    """What takes the place of a session: it keeps what it was asked, and every service is content with its answer."""

    def __init__(self, asked):
        self.headers, self.asked = {}, asked

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def request(self, method, url, **options):
        self.asked.append((method, url, options, dict(self.headers)))
        answer = Answer()
        answer.status_code, answer.headers = 200, requests.structures.CaseInsensitiveDict()
        told = b'{"ok": true, "result": {}, "success": true, "channel": {"id": "C1"}}'
        answer.raw = Raw(b"ok" if "hooks.slack.com" in url else told)
        return answer


class Answer(requests.Response):
    def __exit__(self, *_error):
        pass


class Raw(BytesIO):
    def read(self, size=-1, **_options):
        return super().read(size)


@pytest.mark.parametrize("address", CHATS.values(), ids=CHATS)
def test_each_chat_is_reached_over_our_own_session_alone(address, message, monkeypatch, logged):
    asked = []

    def nowhere(*_given):
        raise AssertionError("a connection that is not ours")

    monkeypatch.setattr(apprised, "_session", lambda _line: Session(asked))
    channel = chat(address, ())
    monkeypatch.setattr(socket.socket, "connect", nowhere)
    channel.send(message)
    assert asked
    for _method, url, options, headers in asked:
        assert url.startswith("https://")
        assert options["allow_redirects"] is False
        assert {"verify", "proxies", "cert"}.isdisjoint(options)
        assert headers["Idempotency-Key"] == "message:0b5e"
    assert "AAPL close above 600" in str(asked)
    assert SECRET not in repr(channel) + channel.described() + logged()


# What the services document: Discord 2,000, Telegram 4,096 characters; Google Chat cuts at 4,000.
@pytest.mark.parametrize(("name", "most"), [("discord", 2000), ("tgram", 4096), ("gchat", 4000)])
def test_a_long_message_is_one_post_that_the_service_takes(name, most, message, monkeypatch):
    asked = []
    monkeypatch.setattr(apprised, "_session", lambda _line: Session(asked))
    chat(CHATS[name], ()).send(replace(message, text="AAPL close above 600 & more\n" * 2000))
    posts = [json.loads(options["data"]) for _method, _url, options, _headers in asked]
    assert len(posts) == 1
    words = posts[0].get("content") or posts[0].get("text") or posts[0]["embeds"][0]["description"]
    assert 0.4 * most < len(words) <= most
    assert "AAPL close above 600" in words


def test_the_plugins_of_the_process_stay_as_they_are(message):
    from apprise.plugins import gotify

    chat(f"gotifys://push.example.org/{SECRET}")
    assert gotify.requests is requests


def test_a_message_reaches_a_service_of_ones_own(web, message):
    chat(f"gotify://{web.at}/{SECRET}").send(message)
    ((verb, path, headers, body),) = web.asked
    assert (verb, path) == ("POST", "/message")
    assert headers["x-gotify-key"] == SECRET
    assert headers["idempotency-key"] == "message:0b5e"
    assert body["title"] == "momentum: 2 alerts"
    assert body["message"] == "AAPL close above 600\nIBM close above 200"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_chat_is_not_followed_to_another_address(web, inner, message, status, logged):
    web.status, web.headers = status, {"Location": f"http://{inner.at}/admin"}
    with pytest.raises(DeliveryError, match="redirect") as caught:
        chat(f"gotify://{web.at}/{SECRET}").send(message)
    assert not inner.asked
    assert SECRET not in everything_said(caught.value) + logged()


def test_the_environments_proxies_and_passwords_are_not_used(web, inner, message, monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{inner.at}")
    monkeypatch.setenv("no_proxy", "")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hushed\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    chat(f"gotify://{web.at}/{SECRET}").send(message)
    assert len(web.asked) == 1
    assert not inner.asked
    assert "authorization" not in web.asked[0][2]


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (401, False), (404, False), (429, False), (500, False), (503, False)]
)
def test_a_chats_refusal_says_whether_trying_again_may_help(web, message, status, permanent, logged):
    web.status, web.headers = status, {"Retry-After": "77"}
    with pytest.raises(DeliveryError, match=f"answered {status}") as caught:
        chat(f"gotify://{web.at}/{SECRET}").send(message)
    assert (caught.value.permanent, caught.value.retry_after) == (permanent, 77)
    assert SECRET not in everything_said(caught.value) + logged()


def test_a_chat_whose_name_leads_inside_is_not_reached(inner, message, monkeypatch):
    inside = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", inner.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_options: inside)
    channel = chat(f"gotifys://push.example.org:{inner.port}/{SECRET}", ())
    with pytest.raises(ParameterError, match="this machine"):
        channel.check()
    with pytest.raises(DeliveryError, match="this machine") as caught:
        channel.send(message)
    assert not inner.asked
    assert SECRET not in everything_said(caught.value)


def test_nobody_answering_is_told(message, logged):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeliveryError, match="cannot be connected to") as caught:
        chat(f"gotify://127.0.0.1:{port}/{SECRET}").send(message)
    assert SECRET not in everything_said(caught.value) + logged()


def test_a_chat_that_drips_does_not_hold_us_up(message, monkeypatch):
    monkeypatch.setattr(apprised, "TIME_OUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _from = server.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    for _ in range(400):
                        connection.sendall(b" ")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        # What says 200 and then goes on for ever has taken it, or not: it ends in any case.
        with suppress(DeliveryError):
            chat(f"gotify://127.0.0.1:{server.getsockname()[1]}/{SECRET}").send(message)
    assert time.monotonic() - began < 15


def test_no_more_of_an_answer_is_read_than_a_megabyte(web, message, monkeypatch):
    kept = []
    original = sessions.Requests._kept

    def keep(self, answer):
        kept.append(original(self, answer))
        return kept[-1]

    monkeypatch.setattr(sessions.Requests, "_kept", keep)
    web.body = b"x" * (8 << 20)
    chat(f"gotify://{web.at}/{SECRET}").send(message)
    assert len(kept[0].content) == 1 << 20


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"gotify://push.example.org/{SECRET}", "not encrypted"),
        (f"gotifys://10.0.0.7/{SECRET}", "private network"),
        (f"gotifys://localhost/{SECRET}", "private network"),
        (f"mmosts://169.254.169.254/{SECRET}abcdefgh", "never used"),
        (f"ntfys://127.0.0.1/{SECRET}", "this machine"),
        (f"gotifys://push.example.org/{SECRET}?redirect=yes", r"\?redirect="),
        (f"gotifys://push.example.org/{SECRET}?priority=1;redirect=yes", r"\?redirect="),
        (f"gotifys://push.example.org/{SECRET}?verify=no", r"\?verify="),
        (f"gotifys://push.example.org/{SECRET}?cto=600", r"\?cto="),
        (f"gotifys://push.example.org/{SECRET}?rto=600", r"\?rto="),
        (f"gotifys://push.example.org/{SECRET}?retry=9&wait=9", r"\?retry="),
        (f"gotifys://push.example.org/{SECRET}?optional=yes", r"\?optional="),
        (f"slack://{T}?template=/etc/{SECRET}", r"\?template="),
        (f"slack://{T}?template=http://10.0.0.7/{SECRET}", r"\?template="),
        (f"slack://{T}?:token={SECRET}", "unknown parameter"),
        (f"ntfys://push.example.org/{SECRET}?attach=http://10.0.0.7/", r"\?attach="),
        (f"slack://{SECRET}", "not complete"),
        (f"discord://{SECRET}", "not complete"),
        (f"tgram://{SECRET}", "not complete"),
    ],
)
def test_a_wrong_address_of_a_chat_is_refused_and_never_repeated(address, reason, logged):
    with pytest.raises(ParameterError, match=reason) as caught:
        chat(address, ())
    assert SECRET.lower() not in everything_said(caught.value).lower()
    assert SECRET not in logged()


def test_what_others_log_of_theirs_is_not_silenced(caplog):
    import apprise

    chat(f"gotifys://push.example.org/{SECRET}")
    caplog.clear()
    assert apprise.Apprise().add("nonsense://") is False
    assert caplog.records


@pytest.mark.parametrize(
    "name", ["Session", "session", "sessions", "api", "adapters", "patch", "delete", "head", "options"]
)
def test_a_plugin_has_no_way_round_our_session(name):
    with pytest.raises(Exception, match="goes other ways"):
        getattr(sessions.Requests(None, "", None), name)


def test_a_plugin_finds_what_it_catches_and_compares_with():
    given = sessions.Requests(None, "", None)
    assert given.RequestException is requests.RequestException
    assert given.codes.ok == 200


@pytest.mark.parametrize("address", CHATS.values(), ids=CHATS)
def test_what_an_alert_says_calls_nobody(address, message, monkeypatch):
    asked = []
    monkeypatch.setattr(apprised, "_session", lambda _line: Session(asked))
    calls = ["@everyone", "@here", "@all", "@channel", "@**all**", "<!channel>", "<!here|x>", "<@U024BE7LH>"]
    calls += ["<users/all>", "<at>everyone</at>", "<@&165511591545143296>"]
    chat(address, ()).send(replace(message, subject=f"AAPL {calls[0]}", text=" ".join(calls)))
    said = unquote_plus(str([options for _method, _url, options, _headers in asked]))
    for call in calls:
        assert call not in said
        # As JSON has it.
        assert call.replace("<", "\\u003c") not in said
    assert "everyone" in said
