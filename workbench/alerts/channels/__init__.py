"""Channels: where messages go. Their kinds are plugins; their addresses are settings, or kept by the system's keyring.

The kind of an address is the installed one that knows its scheme. ``lab`` is always there and needs no address.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from workbench.alerts.channels.addresses import scheme_of
from workbench.alerts.channels.base import Channel
from workbench.core.credentials import SERVICE, find_secret
from workbench.core.errors import FailureError, InputError, ParameterError, UnknownNameError
from workbench.core.plugins import available, load
from workbench.core.settings import Settings

GROUP = "workbench.alert_channels"
LAB = "lab"


def find_channel(settings: Settings, name: str) -> Channel:
    """Return a channel by its name.

    Raises
    ------
    UnknownNameError
        If nothing says where it leads.
    ParameterError
        If its address cannot be used; the text repeats no part of it.
    FailureError
        If the kinds of channels cannot be loaded.
    """
    if name == LAB:
        if LAB in settings.channels:
            raise ParameterError("channel 'lab' is JupyterLab and has no address; give yours another name")
        return _make(_load(LAB), name, SecretStr(""), settings)
    address = find_secret(settings.channels, name, f"channel_{name}")
    if address is None:
        raise UnknownNameError(
            "channel", name, names(settings), f"the settings (WORKBENCH_CHANNELS__{name.upper()}) and the keyring"
        )
    return _make(_kind_of(name, address), name, address, settings)


def names(settings: Settings) -> tuple[str, ...]:
    """Return the channels that are known; the keyring cannot be asked for its own."""
    return LAB, *sorted(each for each in settings.channels if each != LAB)


def channels(settings: Settings) -> dict[str, str]:
    """Return where messages go by each channel, without anything that is secret; or why they cannot."""
    return {name: _described(settings, name) for name in names(settings)}


def require_channels(settings: Settings, wanted: Iterable[str]) -> None:
    """Raise where one of the channels is unknown, or may not be sent to.

    Raises
    ------
    UnknownNameError
    ParameterError
    FailureError
    """
    for name in dict.fromkeys(wanted):
        find_channel(settings, name).check()


def how_to_give(name: str) -> str:
    """Return how a channel gets its address."""
    return f"set WORKBENCH_CHANNELS__{name.upper()}, or keep it with: keyring set {SERVICE} channel_{name}"


def _described(settings: Settings, name: str) -> str:
    try:
        return find_channel(settings, name).described()
    except (InputError, FailureError) as error:
        return f"cannot be used: {error}"


def _kind_of(name: str, address: SecretStr) -> type[Channel]:
    found, known, fault = [], set[str](), None
    for each in sorted(available(GROUP)):
        try:
            kind = _load(each)
        except FailureError as error:
            # One that is broken stands in the way of its own addresses only.
            fault = error
            continue
        known.update(kind.schemes)
        if scheme_of(address) in kind.schemes:
            found.append(kind)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        kinds = " and ".join(f"{each.__module__}.{each.__qualname__}" for each in found)
        raise ParameterError(f"the address of channel {name!r} is claimed by {kinds}; remove one of their packages")
    if fault is not None:
        raise fault
    # The one that it has may be a part of something secret.
    raise ParameterError(
        f"the address of channel {name!r} begins with no known scheme; known: {', '.join(sorted(known))}"
    )


def _load(kind: str) -> type[Channel]:
    found: type[Channel] = load(GROUP, "kind of alert channel", kind)
    return found


def _make(kind: type[Channel], name: str, address: SecretStr, settings: Settings) -> Channel:
    return kind(name, address, settings.alert_hosts)
