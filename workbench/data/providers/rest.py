"""Asking a REST source: one client for every provider that does. It keeps the plan, tries again, and guards the key.

A provider describes its source once and asks through its client::

    PLANS = {"free": (Rate(60, 60.0),)}
    SOURCE = Source("https://api.example.org/", plans=PLANS, key_parameter="api_key", judge=_judge)

    class ExampleProvider(Provider):
        def __init__(self, access: Access) -> None:
            super().__init__(access)
            self._rest = RestClient(self, SOURCE)

        def series(self, name, start=None, end=None):
            body = self._rest.get("v1/series", {"id": name, "from": start}, asked=name, kind="series")

Options that every such provider has: ``base_url``, ``plan`` (a name in ``Source.plans``), ``limits`` (rates of one's
own, such as ``8/60,800/86400``) and ``deadline`` (seconds for one request).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from workbench.core.credentials import how_to_give
from workbench.core.errors import CredentialError, ParameterError, ProviderError, RateLimitError, UnknownNameError
from workbench.data.providers.base import Access, Provider
from workbench.data.providers.quota import PATIENCE, Quota, Rate, parse_rates
from workbench.data.providers.source import Refusal, Reply, Source, read_reply, refusal_of
from workbench.data.providers.wire import check_base_url, connect

__all__ = ["Rate", "Refusal", "Reply", "RestClient", "Source"]

ATTEMPTS = 4
BACK_OFF = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)
DEADLINE = 60.0
LARGEST = 64 * 2**20
"""Bytes of an answer, decompressed."""


class RestClient:
    """Asks one source for one provider; threads share it.

    Parameters
    ----------
    provider : Provider
        Its name, its access and whether it needs a key.
    source : Source

    Raises
    ------
    ParameterError
        For an option that is not valid.
    """

    def __init__(self, provider: Provider, source: Source) -> None:
        self.name = provider.name
        self._needs_key = provider.needs_key
        self._access = provider.access
        self._source = source
        self._base_url = check_base_url(self.name, provider.access.options.get("base_url", source.base_url))
        self._deadline = _deadline(self.name, provider.access.options.get("deadline", str(DEADLINE)))
        state = provider.access.state
        path = state / f"{self.name}.sqlite" if state else None
        self._quota = Quota(self.name, _rates(self.name, provider.access, source), path)
        self._client: httpx.Client | None = None
        self._lock = Lock()

    def get(
        self,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        asked: str,
        kind: str = "symbol",
        weight: int = 1,
    ) -> Any:
        """Return the JSON that the source answers with.

        Parameters
        ----------
        path : str
            Below the base URL.
        params : mapping, optional
            The query without the key; values that are ``None`` are left out.
        asked, kind : str
            What an error says was asked for: the name, and what it is a name of.
        weight : int
            Credits that the request costs.

        Raises
        ------
        CredentialError
            If the key is missing (nothing is sent then) or refused.
        UnknownNameError
            If the source does not know the name.
        RateLimitError
            If the plan is used up.
        ProviderError
            If there is no sound answer after several attempts.
        """
        self._check_key()
        query = {name: str(value) for name, value in (params or {}).items() if value is not None}
        retrying = Retrying(
            retry=retry_if_exception_type(_Again),
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self._access.pause,
            reraise=True,
        )
        try:
            return retrying(self._attempt, path, query, asked, kind, weight)
        except _Again as failure:
            error = RateLimitError if failure.limited else ProviderError
            sentence = f"{self.name} did not answer for {kind} {asked!r} ({failure}, {ATTEMPTS} attempts): try later"
            # From None: no cause that shows what was sent.
            raise error(sentence) from None

    @contextmanager
    def reading(self, asked: str, kind: str = "symbol") -> Iterator[None]:
        """Raise ``ProviderError`` where reading an answer meets a shape that the source does not document."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            told = f"{type(error).__name__}: {self._without_key(str(error))}"
            sentence = (
                f"{self.name} answers {kind} {asked!r} with a shape that it does not document ({told}): report it"
            )
            raise ProviderError(sentence) from None

    def _check_key(self) -> None:
        if self._access.key is None:
            if self._needs_key:
                raise CredentialError(f"{self.name} needs a key: {how_to_give(self.name)}")
            return
        key = self._access.key.get_secret_value()
        # A key that no header can carry would come back in the text of an encoding error.
        if not (key.isascii() and key.isprintable() and key.strip() == key and key):
            raise CredentialError(f"the key of {self.name} is not plain text in one line: {how_to_give(self.name)}")

    def _attempt(self, path: str, query: Mapping[str, str], asked: str, kind: str, weight: int) -> Any:
        wait = self._quota.reserve(self._access.clock(), weight)
        if wait > 0:
            self._access.pause(wait)
        try:
            reply, retry_after = self._fetch(path, query)
        except httpx.TimeoutException:
            raise _Again("no answer in time") from None
        except httpx.RequestError as error:
            raise _Again(f"the connection failed: {type(error).__name__}") from None
        refusal = self._source.judge(reply) or refusal_of(reply)
        if refusal is None:
            return reply.value
        raise self._error(refusal, reply.status, retry_after, asked, kind)

    def _fetch(self, path: str, query: Mapping[str, str]) -> tuple[Reply, float | None]:
        ends = time.monotonic() + self._deadline
        body = bytearray()
        with self._connected().stream("GET", path, params=query) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise ProviderError(
                        f"{self.name} answers with more than {LARGEST} bytes: ask for a shorter range of days"
                    )
                if time.monotonic() > ends:
                    raise httpx.ReadTimeout("the deadline has passed")
            text = bytes(body).decode("utf-8", errors="replace")
            return read_reply(response.status_code, text), self._retry_after(response.headers.get("Retry-After"))

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = connect(self._base_url, self._source, self._access.key, self._deadline)
                weakref.finalize(self, self._client.close)
            return self._client

    def _retry_after(self, header: str | None) -> float | None:
        """Return the seconds of ``Retry-After``, a number or a date (RFC 9110, section 10.2.3)."""
        if header is None:
            return None
        if header.strip().isdecimal():
            return float(header)
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - self._access.clock()).total_seconds())

    def _error(self, refusal: Refusal, status: int, retry_after: float | None, asked: str, kind: str) -> Exception:
        reason = self._without_key(refusal.reason)
        told = f"status {status}: {reason}" if reason else f"status {status}"
        after = retry_after if retry_after is not None else refusal.after
        if refusal.kind == "unknown":
            return UnknownNameError(kind, asked, (), where=self.name)
        if refusal.kind == "key":
            return CredentialError(
                f"{self.name} refuses the key for {kind} {asked!r} ({told}): {how_to_give(self.name)}"
            )
        if refusal.kind == "error":
            return ProviderError(f"{self.name} refuses {kind} {asked!r} ({told}): ask for something that it has")
        if refusal.kind == "used_up" or (after or 0.0) > PATIENCE:
            when = f"in {after:.0f} s" if after else "later"
            return RateLimitError(f"{self.name} lets nobody ask for {kind} {asked!r} now ({told}): try {when}")
        return _Again(told, after, limited=refusal.kind == "limit")

    def _without_key(self, reason: str) -> str:
        reason = " ".join(reason.split())
        if self._access.key is not None:
            key = self._access.key.get_secret_value()
            for form in (key, quote(key), quote_plus(key)):
                reason = reason.replace(form, "***")
        return reason if len(reason) <= 200 else reason[:199] + "…"


class _Again(Exception):  # noqa: N818 - never leaves this module
    """A failure that may pass."""

    def __init__(self, reason: str, after: float | None = None, *, limited: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.limited = limited


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    if isinstance(failure, _Again) and failure.after is not None:
        return failure.after
    return BACK_OFF(state)


def _rates(name: str, access: Access, source: Source) -> tuple[Rate, ...]:
    if "limits" in access.options:
        return parse_rates(access.options["limits"])
    plan = access.options.get("plan", next(iter(source.plans)))
    if plan not in source.plans:
        raise ParameterError(f"{name} has no plan {plan!r}; it has {', '.join(source.plans)}")
    return source.plans[plan]


def _deadline(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ParameterError(f"deadline {text!r} of {name} is no number of seconds; write one above 0, such as 60")
    return seconds
