"""To which hosts messages go: judged by how they are written, by what they stand for, and connected to that only."""

import socket
import threading
import time

import pytest
from pydantic import SecretStr

from workbench.alerts.channels.addresses import ForbiddenError, check_host, normal_host, scheme_of, split
from workbench.alerts.channels.lines import Line, UnreachableError, resolve

LOCAL = ("127.0.0.1",)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.1",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",  # RFC 6598
        "198.18.0.1",  # RFC 2544
        "203.0.113.7",  # RFC 5737
        "192.0.2.1",
        "[::1]",
        "::1",
        "fd12:3456::1",  # RFC 4193
        "fec0::1",  # RFC 3879
        "::ffff:127.0.0.1",  # RFC 4291, 2.5.5.2
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",  # RFC 6052
        "2002:7f00:1::",  # RFC 3056
        "2002:a00:1::5",
        "::127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "printer",
        "db.internal",
        "nas.local",
        "box.localdomain",
        "me.localhost",
    ],
)
def test_a_host_of_this_machine_or_of_a_private_network_is_refused_unless_it_is_allowed(host):
    with pytest.raises(ForbiddenError):
        check_host(host, ())
    with pytest.raises(ForbiddenError):
        check_host(host, ("other.example.org", "10.9.9.9"))
    assert check_host(host, (host,)) == normal_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "192.0.0.192",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::7f00:1",  # RFC 8215
        "64:ff9b:1:a9fe:a9:fe00:808:808",  # 169.254.169.254 as RFC 6052 has it in a prefix of 48 bits
        "2002:a9fe:a9fe::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_the_link_a_metadata_service_and_nobody_are_refused_even_if_they_are_allowed(host):
    with pytest.raises(ForbiddenError, match="never used"):
        check_host(host, (host,))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "1.2.3.4.5",
        "1.2.3",
        "8.8.8.8.",
        "example.123",
        "example.0xab",
        "127.0.0.1%00.example.org",
        "fe80::1%eth0",
        "",
        ".",
        "a..b",
        "-a.example.org",
        "a_very long.example.org",
        "x" * 64 + ".example.org",
        "exa/mple.org",
        "ex@mple.org",
        "example.org:80",
        "\uff11\uff12\uff17.0.0.1",
    ],
)
def test_what_programs_read_in_different_ways_is_no_host(host):
    with pytest.raises(ForbiddenError):
        check_host(host, (host,))


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("hooks.example.org", "hooks.example.org"),
        ("Hooks.Example.ORG.", "hooks.example.org"),
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "::ffff:808:808"),
        ("2001:4860:4860::8888", "2001:4860:4860::8888"),
        ("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("my_hook.example.org", "my_hook.example.org"),
    ],
)
def test_a_public_host_is_fine(host, normal):
    assert check_host(host, ()) == normal or host.startswith("::ffff")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org\\@evil.example/",
        "https://exam\tple.org/",
        "https://example.org/\n",
        "https://example.org/a b",
        "https://example.org:port/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://[::1/",
        "https://exämple.org/",
        "//example.org/",
        "",
    ],
)
def test_an_address_that_can_be_read_in_two_ways_is_none(address):
    assert split(address) is None


def test_a_scheme_is_what_stands_before_the_slashes_and_nothing_else():
    assert scheme_of(SecretStr("HTTPS://example.org")) == "https"
    for each in ("s3cret", "s3 cret://x", "://x", "1s3cret://x", "s" * 60 + "://x", ""):
        assert scheme_of(SecretStr(each)) == ""


@pytest.fixture
def names(monkeypatch):
    """Name servers that know what the test says; each look-up takes the next answer of a name."""

    class Names(dict):
        asked = 0

    known = Names()

    def getaddrinfo(host, port, *_given, **_options):
        known.asked += 1
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        kinds = [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in found]
        tail = {socket.AF_INET: (port,), socket.AF_INET6: (port, 0, 0)}
        return [(kind, socket.SOCK_STREAM, 6, "", (each, *tail[kind])) for kind, each in kinds]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def test_a_name_that_stands_for_a_private_address_is_refused(names):
    names["hook.example.org"] = [["10.1.2.3"]]
    with pytest.raises(ForbiddenError, match="private network"):
        resolve("hook.example.org", 443, ())
    assert resolve("hook.example.org", 443, ("hook.example.org",)) == [(socket.AF_INET, ("10.1.2.3", 443))]


@pytest.mark.parametrize("inner", ["169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254", "fe80::1"])
def test_an_allowed_name_never_leads_to_a_metadata_service(names, inner):
    names["hook.example.org"] = [[inner]]
    with pytest.raises(ForbiddenError, match="never used"):
        resolve("hook.example.org", 443, ("hook.example.org",))


def test_of_several_addresses_only_the_public_ones_are_used(names):
    names["hook.example.org"] = [["127.0.0.1", "::1", "8.8.8.8", "fd00::1"]]
    assert resolve("hook.example.org", 443, ()) == [(socket.AF_INET, ("8.8.8.8", 443))]


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(names, monkeypatch):
    # First a public address, then, as soon as anyone asks again, this machine.
    names["hook.example.org"] = [["93.184.215.14"], ["127.0.0.1"]]
    connected = []

    class Silent(socket.socket):
        def connect(self, address):
            connected.append(address)
            raise ConnectionRefusedError

    monkeypatch.setattr(socket, "socket", Silent)
    with Line((), 5) as line, pytest.raises(UnreachableError, match="cannot be connected to"):
        line.dial("hook.example.org", 443)
    assert connected == [("93.184.215.14", 443)]
    assert names.asked == 1


def test_a_name_that_is_not_known_may_be_later(names):
    with pytest.raises(UnreachableError, match="not known"):
        resolve("gone.example.org", 443, ())


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_o: answered.wait(20) and [])
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="name server does not answer"):
        resolve("slow.example.org", 443, (), 0.1)
    assert time.monotonic() - began < 10
    answered.set()


def test_a_connection_ends_in_time_however_slowly_bytes_come():
    with socket.create_server(("127.0.0.1", 0)) as server, Line(LOCAL, 0.6) as line:

        def drip():
            connection, _from = server.accept()
            with connection:
                try:
                    for _ in range(400):
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        connection = line.dial("127.0.0.1", server.getsockname()[1])
        read = 0
        # Each byte comes within the socket's own limit: only the line's ends this.
        while connection.recv(1):
            read += 1
        connection.close()
    assert 0 < read < 200
    assert line.fault == "did not answer within 0.6 seconds"


def test_an_address_that_stays_silent_leaves_time_for_the_next_one(names, monkeypatch):
    names["hook.example.org"] = [["2001:4860:4860::8888", "8.8.8.8"]]
    connected = []

    class HalfSilent(socket.socket):
        def connect(self, address):
            connected.append((address[0], self.gettimeout()))
            if ":" in address[0]:
                time.sleep(self.gettimeout())
                raise TimeoutError

        def dup(self):
            return socket.socket()

    monkeypatch.setattr(socket, "socket", HalfSilent)
    with Line((), 1.0) as line:
        line.dial("hook.example.org", 443).close()
    (_, first), (other, left) = connected
    assert other == "8.8.8.8"
    assert first == pytest.approx(0.5, abs=0.1)
    assert left > 0.3
