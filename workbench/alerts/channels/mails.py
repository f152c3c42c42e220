"""Mails: plain text, with the message's key, over a connection that leads nowhere else than where it was judged to."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from pydantic import SecretStr

from workbench.alerts.channels.base import TIME_OUT, one_line
from workbench.alerts.channels.lines import Line

if TYPE_CHECKING:
    from workbench.alerts.messages import Message

Mode = Literal["insecure", "starttls", "ssl"]
Person = tuple[str, str]
"""A name, which may be empty, and an address."""

_IMPORTANCE = {"low": "low", "high": "high", "urgent": "high"}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who writes to whom, through which server."""

    host: str
    port: int
    mode: Mode
    user: str
    password: SecretStr
    sender: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...] = ()
    bcc: tuple[Person, ...] = ()
    reply: tuple[Person, ...] = ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """All that get it, each once."""
        return tuple(dict.fromkeys(address for _name, address in (*self.to, *self.cc, *self.bcc)))

    @property
    def is_sound(self) -> bool:
        """Whether all have addresses that headers and servers can take."""
        people = (self.sender, *self.to, *self.cc, *self.bcc, *self.reply)
        try:
            return bool(self.to) and all(_address(each).addr_spec.isascii() for each in people)
        except Exception:
            # The parser of addresses raises what it meets.
            return False


class RefusedError(Exception):
    """A mail that the server did not take from us, or not for all.

    Parameters
    ----------
    how : str
    permanent : bool
    """

    def __init__(self, how: str, permanent: bool = False) -> None:
        super().__init__(how)
        self.permanent = permanent


def make_mail(mailbox: Mailbox, message: Message) -> EmailMessage:
    """Return a message as a mail; the same message is the same mail, with the same ``Message-ID``.

    Raises
    ------
    ValueError
        For a name or an address that no header can hold.
    """
    # Seven bits go through every server.
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["From"] = _address(mailbox.sender)
    mail["To"] = [_address(each) for each in mailbox.to]
    if mailbox.cc:
        mail["Cc"] = [_address(each) for each in mailbox.cc]
    if mailbox.reply:
        mail["Reply-To"] = [_address(each) for each in mailbox.reply]
    mail["Subject"] = _words(message.subject) or "Alert"
    if message.created is not None:
        mail["Date"] = format_datetime(message.created)
    mail["Message-ID"] = f"<{quote(message.key, safe='')}@{_address(mailbox.sender).domain}>"
    mail["Idempotency-Key"] = _words(message.key)
    # No holiday answers: RFC 3834.
    mail["Auto-Submitted"] = "auto-generated"
    if message.priority in _IMPORTANCE:
        mail["Importance"] = _IMPORTANCE[message.priority]
    mail.set_content(message.text)
    return mail


def post(mailbox: Mailbox, mail: EmailMessage, recipients: Iterable[str], hosts: tuple[str, ...]) -> list[str]:
    """Hand a mail to its server and return the recipients that it took.

    Raises
    ------
    RefusedError
        If it took none; or if the server cannot be reached, or broke off.
    ForbiddenError
        If no message may be sent to the server.
    """
    wanted = list(recipients)
    with Line(hosts, TIME_OUT) as line:
        try:
            server = _Server(line, mailbox)
            try:
                if mailbox.mode == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if mailbox.user and mailbox.password:
                    server.login(mailbox.user, mailbox.password.get_secret_value())
                refused = server.sendmail(mailbox.sender[1], wanted, mail.as_bytes())
            finally:
                with suppress(OSError, smtplib.SMTPException, ValueError):
                    server.quit()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            fault = _refusal(error, line)
        else:
            return [each for each in wanted if each not in refused]
    raise fault


class _Server(smtplib.SMTP):
    def __init__(self, line: Line, mailbox: Mailbox) -> None:
        self._line, self._mode = line, mailbox.mode
        # Without a name of this machine, which would be looked up, and told.
        super().__init__(mailbox.host, mailbox.port, local_hostname="[127.0.0.1]", timeout=TIME_OUT)

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:  # noqa: ARG002
        found = self._line.dial(host, port)
        if self._mode != "ssl":
            return found
        return ssl.create_default_context().wrap_socket(found, server_hostname=host)


def _refusal(error: Exception, line: Line) -> RefusedError:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _words in error.recipients.values()]
        how = f"took none of its {len(codes)} recipients: it answered {', '.join(map(str, sorted(set(codes))))}"
        return RefusedError(how, all(code >= 500 for code in codes))
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return RefusedError(f"refused the user or the password ({error.smtp_code})")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return RefusedError("does not offer the encryption or the log-in that its address asks for")
    if isinstance(error, smtplib.SMTPResponseException):
        # Only what is said of the mail itself will be said again.
        return RefusedError(
            f"answered {error.smtp_code}", isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return RefusedError("has a certificate that is not valid")
    return RefusedError(line.fault or "broke the connection off, or did not answer in time")


def _address(person: Person) -> Address:
    name, address = person
    return Address(display_name=_words(name), addr_spec=address)


def _words(text: str) -> str:
    """Return a text as a header may hold it."""
    # "=?utf-8?q?a=0Ab?=" would be decoded when it is set, into a line break and whatever stands behind it.
    return one_line(text).replace("=?", "= ?")
