"""What a REST source documents of itself, what it replies, and when a reply is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.data.providers.quota import Rate


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes
    ----------
    status : int
    text : str
    value : object
        The text as JSON, ``None`` where it is none (see ``is_json``).
    is_json : bool
    """

    status: int
    text: str
    value: Any = None
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a reply is no answer, in the source's words.

    Attributes
    ----------
    kind : {"again", "limit", "used_up", "unknown", "key", "error"}
        A passing failure; too fast (both are tried again); the plan is used up (``RateLimitError``); no such name
        (``UnknownNameError``); a refused key (``CredentialError``); anything else (``ProviderError``).
    reason : str
        May hold the key: it is taken out before anybody sees it.
    after : float, optional
        Seconds to wait before trying again, where the source has no ``Retry-After``.
    """

    kind: Literal["again", "limit", "used_up", "unknown", "key", "error"]
    reason: str
    after: float | None = None


def _sound(reply: Reply) -> Refusal | None:  # noqa: ARG001 - the signature of a judge
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """What a REST source documents of itself.

    Attributes
    ----------
    base_url : str
    plans : mapping of str to tuple of Rate
        How much each plan allows; the first one is meant where none is named.
    key_parameter : str
        The query's parameter for the key.
    key_header, key_prefix : str
        Or the header for it, and what stands before the key in it.
    judge : callable
        Given any ``Reply``, says whether it is a refusal that its status does not tell; ``None`` where it is not.
    """

    base_url: str
    plans: Mapping[str, tuple[Rate, ...]] = field(default_factory=lambda: {"free": ()})
    key_parameter: str = ""
    key_header: str = ""
    key_prefix: str = ""
    judge: Callable[[Reply], Refusal | None] = _sound


def read_reply(status: int, text: str) -> Reply:
    """Read a text as JSON, if it is."""
    try:
        return Reply(status, text, json.loads(text), is_json=True)
    except ValueError:
        return Reply(status, text)


def refusal_of(reply: Reply) -> Refusal | None:
    """Judge by the status alone."""
    status = reply.status
    if status == 429:
        return Refusal("limit", "too many requests")
    if status >= 500 or status == 408:
        return Refusal("again", "")
    if status in (401, 403):
        return Refusal("key", "")
    if status >= 300:
        # Redirects are not followed: the key is for one host.
        return Refusal("error", "")
    if not reply.is_json:
        return Refusal("again", "an answer that is no JSON")
    return None
