"""What a channel is: where messages go, and what it says when one could not be taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pydantic import SecretStr

from workbench.core.errors import FailureError

if TYPE_CHECKING:
    from workbench.alerts.messages import Message

TIME_OUT = 20.0
"""How long the sending of one message may take in all, in seconds."""

NAME = "TRII Workbench"
"""Who messages come from, where a channel shows that."""


class DeliveryError(FailureError):
    """A message that a channel did not take; nothing of the channel's address is part of the text.

    Parameters
    ----------
    sentence : str
        What happened, without a full stop and without what becomes of the message.
    permanent : bool
        Whether trying again would end the same way, as where the message itself is refused. A channel that is set up
        wrongly is tried again: it may be mended before the message is given up.
    retry_after : float, optional
        How long the channel asks to be left alone, in seconds.
    """

    def __init__(self, sentence: str, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(f"{sentence}; {'it is not tried again' if permanent else 'it is tried again later'}")
        self.sentence = sentence
        self.permanent = permanent
        self.retry_after = retry_after


class Channel(ABC):
    """Somewhere that messages go; the base of every kind.

    A kind is a class of the entry-point group ``workbench.alert_channels``, a built-in's like a stranger's. One object
    sends one message at a time. It never shows its address: in no text, log or error.

    Parameters
    ----------
    name : str
        What the channel is called in the settings.
    address : SecretStr
        Where it leads, ``scheme://...``.
    hosts : tuple of str
        Hosts in a private network to which messages may be sent all the same.

    Raises
    ------
    ParameterError
        For an address that cannot be used; the text repeats no part of it.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    """With which schemes an address is one of this kind, in small letters."""

    def __init__(self, name: str, address: SecretStr, hosts: tuple[str, ...] = ()) -> None:
        self.name, self.address, self.hosts = name, address, hosts

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send a message, with its key where the channel has room for one.

        Raises
        ------
        DeliveryError
            If it was not taken, or if it cannot be known whether it was.
        """

    @abstractmethod
    def described(self) -> str:
        """Return in a few words where messages go, without anything that is secret."""

    def failure(self, how: str, permanent: bool = False, retry_after: float | None = None) -> DeliveryError:
        """Return the error on a message that this channel did not take."""
        return DeliveryError(f"channel {self.name!r} ({self.described()}) {how}", permanent, retry_after)

    def check(self) -> None:  # noqa: B027 - what most kinds need not do
        """Look up whether messages may be sent where the address leads today; whether it answers is not asked.

        Raises
        ------
        ParameterError
            If they may not.
        """


def one_line(text: str, most: int = 200) -> str:
    """Return a text as one line without control characters, cut to a length."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def answer_of(status: int) -> tuple[str, bool]:
    """Return what an HTTP status says that is no success, and whether trying again would end the same way."""
    if 300 <= status < 400:
        return f"answered {status}, a redirect, which is not followed: give the address that it leads to", False
    if status in (401, 403, 404, 410):
        return f"answered {status}: its address may no longer be the right one", False
    # Bad Request, Content Too Large, URI Too Long, Unsupported Media Type, Unprocessable Content, Header Fields Too
    # Large: RFC 9110, RFC 6585. They are about the message, and it stays the same.
    return f"answered {status}", status in (400, 413, 414, 415, 422, 431)
