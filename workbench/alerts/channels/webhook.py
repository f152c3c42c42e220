"""Webhooks: a message as JSON to an address of HTTPS, without redirects, proxies or a second look-up of its host."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from pydantic import SecretStr

from workbench.alerts.channels.addresses import ForbiddenError, allowed, require_host, split
from workbench.alerts.channels.base import NAME, TIME_OUT, Channel, DeliveryError, answer_of
from workbench.alerts.channels.lines import Line, require_public
from workbench.core.clock import Clock, utc_now
from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    from workbench.alerts.messages import Message

_PORTS = {"https": 443, "http": 80}


class WebhookChannel(Channel):
    """Post each message to an address, as JSON; its key goes with it as the header ``Idempotency-Key``.

    The body has ``key``, ``topic``, ``subject``, ``text``, ``priority``, ``count``, of how many alerts it tells, and
    ``alerts``, the keys of those that it names. Any answer from 200 to 299 means that it was taken. Plain ``http`` is
    for hosts of ``alert_hosts`` only.
    """

    schemes = ("https", "http")

    def __init__(self, name: str, address: SecretStr, hosts: tuple[str, ...] = ()) -> None:
        super().__init__(name, address, hosts)
        host, port, self.secure, fault = _read(address)
        if fault:
            raise ParameterError(f"the address of channel {name!r} {fault}; write https://host/path")
        self.host = require_host(name, host, hosts)
        self.port = port
        if not self.secure and self.host not in allowed(hosts):
            message = (
                f"the address of channel {name!r} is not encrypted; write https://, or name its host in alert_hosts"
            )
            raise ParameterError(message)

    def described(self) -> str:
        """Return where messages go, of a host its last two parts only: what is before may be what nobody can guess."""
        labels = self.host.split(".")
        short = len(labels) <= 2 or labels[-1].isdigit() or ":" in self.host
        return f"a webhook at {self.host if short else '….' + '.'.join(labels[-2:])}"

    def check(self) -> None:
        """Look up whether messages may be sent there today."""
        require_public(self.name, self.host, self.port, self.hosts)

    def send(self, message: Message) -> None:
        """Post a message."""
        fault = self._post(message)
        # Raised here, where no variable holds the address.
        if fault is not None:
            raise fault

    def _post(self, message: Message) -> DeliveryError | None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.key, "User-Agent": NAME}
        with Line(self.hosts, TIME_OUT) as line:
            connection = _Connection(line, self.host, self.port, self.secure)
            try:
                connection.request("POST", self._target(), _body(message), headers)
                # What follows the answer's headers is of no interest and may be of any size.
                answer = connection.getresponse()
            except ForbiddenError as error:
                return self.failure(str(error))
            except ssl.SSLCertVerificationError:
                return self.failure("has a certificate that is not valid")
            except (OSError, HTTPException, ValueError):
                return self.failure(line.fault or "broke the connection off, or did not answer in time")
            finally:
                connection.close()
        if 200 <= answer.status < 300:
            return None
        how, permanent = answer_of(answer.status)
        return self.failure(how, permanent, seconds_of(answer.getheader("Retry-After")))

    def _target(self) -> str:
        parts = split(self.address.get_secret_value())
        path, query = (parts.path, parts.query) if parts else ("", "")
        return f"{path or '/'}?{query}" if query else path or "/"


class _Connection(HTTPConnection):
    """A connection to where a host was found to lead, its certificate the host's."""

    def __init__(self, line: Line, host: str, port: int, secure: bool) -> None:
        super().__init__(host, port, timeout=TIME_OUT)
        self.line, self.secure = line, secure
        self.default_port = 443 if secure else 80

    def connect(self) -> None:
        """Connect; called when the request is made."""
        self.sock = self.line.dial(self.host, self.port)
        if self.secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def seconds_of(header: str | None, clock: Clock = utc_now) -> float | None:
    """Return what ``Retry-After`` asks for (RFC 9110, 10.2.3), in seconds and at most a day."""
    if not header:
        return None
    text = header.strip()
    try:
        asked = float(text) if text.isdigit() else (_instant(text) - clock()).total_seconds()
    except ValueError:
        return None
    return min(max(asked, 0.0), 86400.0)


def _instant(text: str) -> datetime:
    found = parsedate_to_datetime(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read(address: SecretStr) -> tuple[str | None, int, bool, str]:
    """Return an address's host, port and whether it is encrypted, and what is wrong with it."""
    parts = split(address.get_secret_value())
    scheme = parts.scheme.lower() if parts else ""
    if parts is None or scheme not in _PORTS:
        return None, 0, False, "is none of a webhook"
    fault = "ends with a fragment, which is never sent" if parts.fragment else ""
    if "@" in parts.netloc:
        fault = "holds a user or a password"
    return parts.hostname, parts.port or _PORTS[scheme], scheme == "https", fault


def _body(message: Message) -> bytes:
    told = {
        "key": message.key,
        "topic": message.topic,
        "subject": message.subject,
        "text": message.text,
        "priority": message.priority,
        "count": message.alerts,
        "alerts": list(message.tells),
    }
    return json.dumps(told, ensure_ascii=False).encode()
