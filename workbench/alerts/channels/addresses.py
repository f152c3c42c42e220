"""Which hosts messages may be sent to, judged by how they are written and by the IP addresses that they stand for.

Private networks are refused, unless the settings name the
host; addresses of a machine's own metadata service, of this link and of nobody are always refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

from workbench.core.errors import ParameterError

Address = IPv4Address | IPv6Address

_NEVER: tuple[IPv4Network | IPv6Network, ...] = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8",  # this host, on this network: RFC 1122
        "169.254.0.0/16",  # the link, and most clouds' metadata: RFC 3927
        "192.0.0.0/24",  # protocol assignments (RFC 6890), among them a cloud's metadata
        "100.100.100.200/32",  # another cloud's metadata, in what carriers share
        "224.0.0.0/4",  # many at once: RFC 5771
        "240.0.0.0/4",  # reserved, and broadcast: RFC 1112
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "64:ff9b:1::/48",  # any IPv4 address, in bits that a network chooses for itself: RFC 8215
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    )
)
"""Where no message ever goes."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator, in the last 32 bits: RFC 6052."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LOCAL_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "arpa")


class ForbiddenError(Exception):
    """A host to which no message may be sent; the text names no part of its address."""


def is_plain(address: str) -> bool:
    """Say whether every program reads an address in the same way."""
    # urlsplit leaves out tabs and line breaks, browsers take a backslash for a slash.
    return address.isascii() and address.isprintable() and not any(each in address for each in ' \\"<>')


def split(address: str) -> SplitResult | None:
    """Return the parts of an address; ``None`` for what another parser might read in another way."""
    if not is_plain(address):
        return None
    with suppress(ValueError):
        parts = urlsplit(address)
        # Reading the port checks it.
        return parts if parts.scheme and parts.port != 0 else None
    return None


def check_host(host: str | None, hosts: tuple[str, ...]) -> str:
    """Return a host in its normal form, judged by how it is written; nothing is looked up.

    Parameters
    ----------
    host : str or None
        A name, or an IP address.
    hosts : tuple of str
        Hosts that are allowed all the same.

    Raises
    ------
    ForbiddenError
    """
    found = normal_host(host or "")
    if found is None:
        raise ForbiddenError("has no host, or one that is not written plainly: write its name, or four decimal numbers")
    literal = _literal(found)
    if literal is not None:
        require_address(literal, found in allowed(hosts))
    elif found not in allowed(hosts) and (found.rpartition(".")[2] in _LOCAL_NAMES or "." not in found):
        raise ForbiddenError("leads to a name of this machine or of a private network")
    return found


def scheme_of(address: SecretStr) -> str:
    """Return an address's scheme in small letters; empty where it has none."""
    scheme, mark, _rest = address.get_secret_value().partition("://")
    return scheme.lower() if mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme) else ""


def normal_host(host: str) -> str | None:
    """Return a host in small letters, as name servers know it; ``None`` for what is neither a name nor an IP address.

    Addresses in other ways than ``127.0.0.1`` and ``::1``, such as ``2130706433``, ``0x7f.1`` or ``0177.0.0.1``, are
    none: they are read differently by different programs.
    """
    literal = _literal(host.strip("[]") if host.startswith("[") else host)
    if literal is not None:
        return str(literal)
    try:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        return None
    labels = name.split(".")
    # A name whose last part is a number is an address to most programs: URL Standard, "ends in a number".
    numeric = re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1])
    sound = len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return name if sound and not numeric else None


def allowed(hosts: tuple[str, ...]) -> set[str]:
    """Return the normal forms of the hosts that are allowed all the same."""
    return {found for host in hosts if (found := normal_host(host.strip())) is not None}


def judged(address: Address) -> str | None:
    """Return why no message is sent to an IP address unless its host is allowed; ``None`` for a public one.

    Raises
    ------
    ForbiddenError
        For one to which none is ever sent.
    """
    plain = _unwrapped(address)
    if plain is None or any(plain in network for network in _NEVER if network.version == plain.version):
        raise ForbiddenError(
            "leads to an address of the link, of a metadata service, or of nobody, and those are never used"
        )
    if plain.is_loopback:
        return "leads to this machine"
    public = plain.is_global and not plain.is_reserved and not (plain.version == 6 and plain.is_site_local)
    return None if public else "leads to a private network"


def require_address(address: Address, free: bool) -> None:
    """Raise where no message may be sent to an IP address; ``free`` says whether its host is allowed all the same.

    Raises
    ------
    ForbiddenError
    """
    reason = judged(address)
    if reason is not None and not free:
        raise ForbiddenError(reason)


def require_host(channel: str, host: str | None, hosts: tuple[str, ...]) -> str:
    """Return a channel's host in its normal form.

    Raises
    ------
    ParameterError
        If no message may be sent there, judged by how it is written.
    """
    try:
        return check_host(host, hosts)
    except ForbiddenError as error:
        reason = str(error)
    raise ParameterError(not_allowed(channel, reason))


def not_allowed(channel: str, reason: str) -> str:
    """Return the sentence on an address that may not be used."""
    return f"the address of channel {channel!r} {reason}; give another, or name a private host in alert_hosts"


def _literal(host: str) -> Address | None:
    # A zone ("fe80::1%eth0") is one of this machine's interfaces.
    if "%" in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address | None:
    """Return the IPv4 address that an IPv6 one carries, or itself; ``None`` for one that nobody answers at any more."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return None
    return address.ipv4_mapped or address.sixtofour or address
