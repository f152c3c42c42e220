"""Mail, chat and push services by Apprise's addresses and plugins, held to our rules; nothing else uses Apprise.

Apprise reads the address. A mail is then made and sent by ``mails``; a chat's or a push service's plugin sends by
itself, but each of its requests goes through a session of ours: encrypted, without redirects, proxies or log lines,
and connected to what its host was judged by. Of what an address may say to Apprise, all is refused that turns this off,
reads files or fetches other addresses.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from workbench.alerts.channels.addresses import (
    ForbiddenError,
    allowed,
    is_plain,
    require_host,
    scheme_of,
)
from workbench.alerts.channels.base import NAME, TIME_OUT, Channel, DeliveryError
from workbench.alerts.channels.lines import Line, require_public
from workbench.alerts.channels.mails import Mailbox, Person, RefusedError, make_mail, post
from workbench.alerts.channels.sessions import Requests, own_copy, quiet, words
from workbench.core.errors import ParameterError

if TYPE_CHECKING:
    import requests

    from workbench.alerts.messages import Message

_CHATS = {
    "discord": ("discord", "NotifyDiscord"),
    "gchat": ("google_chat", "NotifyGoogleChat"),
    "gotify": ("gotify", "NotifyGotify"),
    "gotifys": ("gotify", "NotifyGotify"),
    "mmost": ("mattermost", "NotifyMattermost"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "ntfy": ("ntfy", "NotifyNtfy"),
    "ntfys": ("ntfy", "NotifyNtfy"),
    "pbul": ("pushbullet", "NotifyPushBullet"),
    "pover": ("pushover", "NotifyPushover"),
    "rocket": ("rocketchat", "NotifyRocketChat"),
    "rockets": ("rocketchat", "NotifyRocketChat"),
    "slack": ("slack", "NotifySlack"),
    "tgram": ("telegram", "NotifyTelegram"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "wxteams": ("webexteams", "NotifyWebexTeams"),
    "zulip": ("zulip", "NotifyZulip"),
}
"""Schemes, and the plugin of each: those whose source was read. Many others run programs or open what is local."""

_OF_MAILS = frozenset({"from", "name", "smtp", "mode", "to", "cc", "bcc", "reply"})
_OF_APPRISE = (
    "verify",
    "redirect",
    "cto",
    "rto",
    "retry",
    "wait",
    "optional",
    "store",
    "tz",
    "format",
    "overflow",
    "emojis",
)
"""Certificates, redirects, time limits, retries, what counts as a failure, where state is kept, how texts change."""

_OF_PLUGINS = ("template", "tokens", "attach", "filename", "e2ee", "delay", "email", "actions", "details")
"""Files and addresses that are read, keys that are kept, other ways of the same service."""

_REFUSED = frozenset((*_OF_APPRISE, *_OF_PLUGINS, "avatar_url", "icon_url", "url", "href"))
"""What no address of a chat may say."""


class MailChannel(Channel):
    """Mails: ``mailtos://user:password@example.org?smtp=host&to=address``, as Apprise writes it."""

    schemes = ("mailto", "mailtos")

    def __init__(self, name: str, address: SecretStr, hosts: tuple[str, ...] = ()) -> None:
        super().__init__(name, address, hosts)
        self.mailbox = _mailbox(name, address, hosts)
        # Who has got a message that others of its recipients have not.
        self._taken = OrderedDict[str, set[str]]()

    def described(self) -> str:
        """Return where messages go: to how many, through which server."""
        count = len(self.mailbox.recipients)
        return f"mail to {count} recipient{'s' if count > 1 else ''} through {self.mailbox.host}"

    def check(self) -> None:
        """Look up whether messages may be sent there today."""
        require_public(self.name, self.mailbox.host, self.mailbox.port, self.hosts)

    def send(self, message: Message) -> None:
        """Send a mail, to all recipients that have not got it yet."""
        fault = self._post(message)
        if fault is not None:
            raise fault

    def _post(self, message: Message) -> DeliveryError | None:
        done = self._taken.get(message.key, set())
        wanted = [each for each in self.mailbox.recipients if each not in done]
        try:
            taken = post(self.mailbox, make_mail(self.mailbox, message), wanted, self.hosts)
        except ForbiddenError as error:
            return self.failure(str(error))
        except RefusedError as error:
            return self.failure(str(error), error.permanent)
        if len(taken) == len(wanted):
            self._taken.pop(message.key, None)
            return None
        self._taken[message.key] = done | set(taken)
        while len(self._taken) > 1000:
            self._taken.popitem(last=False)
        return self.failure(f"took only {len(taken)} of {len(wanted)} recipients")


class ChatChannel(Channel):
    """Chat and push services, as Apprise writes their addresses: ``slack://``, ``discord://``, ``tgram://``, ..."""

    schemes = tuple(_CHATS)

    def __init__(self, name: str, address: SecretStr, hosts: tuple[str, ...] = ()) -> None:
        super().__init__(name, address, hosts)
        plugin = _plugin(name, address, Requests(Line(hosts, TIME_OUT), "", _session))
        self.service = str(plugin.service_name)
        # Services without a server of one's own have their key where others have a host.
        own = "host" in plugin.template_tokens and getattr(plugin, "mode", None) != "cloud"
        self.host = require_host(name, plugin.host, hosts) if own else None
        self.port = int(plugin.port or 443)
        # Most schemes without an s at the end have no encrypted twin: they are encrypted.
        secure = f"{scheme_of(address)}s"
        if secure in _CHATS and self.host not in allowed(hosts):
            raise ParameterError(f"the address of channel {name!r} is not encrypted; write {secure}://")

    def described(self) -> str:
        """Return where messages go: the service's name."""
        return self.service

    def check(self) -> None:
        """Look up whether messages may be sent there today."""
        if self.host is not None:
            require_public(self.name, self.host, self.port, self.hosts)

    def send(self, message: Message) -> None:
        """Send a message by the service's plugin."""
        fault = self._notify(message)
        if fault is not None:
            raise fault

    def _notify(self, message: Message) -> DeliveryError | None:
        with Line(self.hosts, TIME_OUT) as line:
            requests = Requests(line, message.key, _session)
            try:
                # Made anew: it keeps nothing of the message before, and no address in between.
                plugin = _plugin(self.name, self.address, requests)
                with quiet():
                    done = plugin.notify(**words(message, int(plugin.body_maxlen)))
            except ForbiddenError as error:
                return self.failure(str(error))
            except Exception:
                # What a plugin raises may repeat its address.
                return self.failure(line.fault or "has a plugin that failed")
        if done:
            return None
        return self.failure(*requests.refusal()) if requests.status else self.failure(line.fault or "did not take it")


def _session(line: Line) -> requests.Session:
    from apprise.utils.http import HTTPPolicy, HTTPPolicySession

    class Judged(HTTPPolicy):
        def create_connection(self, host: str, port: int, *_given: Any, **_options: Any) -> Any:
            return line.dial(host, port)

    # Apprise's session asks neither the environment for proxies nor a file for passwords.
    session: requests.Session = HTTPPolicySession(Judged())  # type: ignore[no-untyped-call]
    return session


def _plugin(name: str, address: SecretStr, requests: Requests) -> Any:
    """Return the plugin of an address, whose requests are those.

    Raises
    ------
    ParameterError
    """
    module, kind = _CHATS[scheme_of(address)]
    found = own_copy(f"apprise.plugins.{module}")
    found.__dict__["requests"] = requests
    plugin_class = getattr(found, kind)
    return _built(name, address, plugin_class, frozenset(plugin_class.template_args) - _REFUSED)


def _built(name: str, address: SecretStr, plugin_class: Any, known: frozenset[str]) -> Any:
    """Return a plugin for an address that says nothing else than what is known.

    Raises
    ------
    ParameterError
    """
    plugin, strange = _tried(address, plugin_class, known)
    if strange:
        words = ", ".join(sorted(known))
        raise ParameterError(f"the address of channel {name!r} has {strange}, which it may not; known: {words}")
    if plugin is None:
        raise ParameterError(
            f"the address of channel {name!r} is not complete, or a part of it is not valid; mend it, and write spaces "
            "and characters of other scripts as %xx"
        )
    return plugin


def _tried(address: SecretStr, plugin_class: Any, known: frozenset[str]) -> tuple[Any, str]:
    """Return a plugin, or ``None`` where some part cannot be used; and what is said that may not be."""
    text = address.get_secret_value()
    # Neither does anything that is sent need line breaks and the like.
    if not is_plain(text) or re.search("%(25)*([01][0-9a-f]|7f)", text, re.IGNORECASE):
        return None, ""
    plugin = None
    # What it raises and logs repeats the address.
    with quiet() as warnings, suppress(Exception):
        values = plugin_class.parse_url(text) or {}
        # As Apprise reads it: it also takes a semicolon for an ampersand.
        strange = [
            each for kind in ("qsd", "qsd+", "qsd-", "qsd:") for each in values.get(kind, ()) if each not in known
        ]
        if strange:
            # Others are not repeated: they may be a part of something secret.
            return None, next((f"?{each}=" for each in strange if each in _REFUSED), "an unknown parameter")
        plugin = plugin_class(**values, asset=_asset())
    # Apprise leaves out what it cannot read, a recipient for one, and goes on.
    return (None if warnings else plugin), ""


def _asset() -> Any:
    from apprise import AppriseAsset

    return AppriseAsset(
        storage_mode="memory",
        http_redirects=False,
        allow_templates=False,
        async_mode=False,
        pgp_autogen=False,
        pem_autogen=False,
        app_id=NAME,
        app_desc=NAME,
        app_url="",
        # They would be fetched from a server of Apprise's.
        image_url_mask="",
        image_url_logo="",
    )


def _names_recipients(address: SecretStr, plugin_class: Any) -> bool:
    """Say whether all that should be recipients have the form of one; Apprise passes over others without a word."""
    with quiet():
        said = plugin_class.parse_url(address.get_secret_value())["qsd"]
    given = [each for kind in ("to", "cc", "bcc", "reply") for each in re.split("[,;]", said.get(kind, ""))]
    return all("@" in each for each in given if each.strip())


def _mailbox(name: str, address: SecretStr, hosts: tuple[str, ...]) -> Mailbox:
    from apprise.plugins.email import NotifyEmail

    plugin = _built(name, address, NotifyEmail, _OF_MAILS)
    host = require_host(name, plugin.smtp_host, hosts)
    if plugin.password and plugin.secure_mode == "insecure" and host not in allowed(hosts):
        raise ParameterError(f"the address of channel {name!r} sends a password unencrypted; write mailtos://")

    def people(addresses: Any) -> tuple[Person, ...]:
        return tuple((str(plugin.names.get(each) or ""), str(each)) for each in sorted(addresses))

    mailbox = Mailbox(
        host=host,
        port=int(plugin.port),
        mode=plugin.secure_mode,
        user=str(plugin.user or ""),
        password=SecretStr(plugin.password or ""),
        sender=(str(plugin.from_addr[0] or NAME), str(plugin.from_addr[1])),
        to=tuple((str(given or ""), str(each)) for given, each in plugin.targets),
        cc=people(plugin.cc),
        bcc=people(plugin.bcc),
        reply=people(plugin.reply_to),
    )
    if not (mailbox.is_sound and _names_recipients(address, NotifyEmail)):
        raise ParameterError(f"the address of channel {name!r} names somebody who has no mail address; mend it")
    return mailbox
