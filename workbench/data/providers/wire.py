"""The wire to a source: an HTTP client that goes through the environment's proxy and adds the key last."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import SecretStr

from workbench.core.errors import ParameterError
from workbench.data.providers.source import Source


def connect(base_url: str, source: Source, key: SecretStr | None, deadline: float) -> httpx.Client:
    """Return a client for one source; no part of a connection waits longer than ``deadline`` seconds."""
    # Certificates are loaded for https alone: it takes a tenth of a second, and nothing leads from http to https.
    wire = httpx.HTTPTransport(verify=httpx.URL(base_url).scheme != "http", proxy=_proxy(base_url))
    return httpx.Client(
        base_url=base_url,
        headers={"User-Agent": "trii-workbench", "Accept": "application/json"},
        timeout=httpx.Timeout(min(deadline, 30.0), connect=min(deadline, 10.0)),
        transport=_Keyed(wire, source, key),
    )


def check_base_url(name: str, text: str) -> str:
    """Return ``text`` if it is an address without a user or a password.

    Raises
    ------
    ParameterError
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise ParameterError(
            f"base_url of {name} is no address; write http(s)://host/path without a user or a password"
        )
    return text


class _Keyed(httpx.BaseTransport):
    """Adds the key on the wire only: httpx logs the request, and puts it into its errors, as it was before."""

    def __init__(self, wire: httpx.BaseTransport, source: Source, key: SecretStr | None) -> None:
        self._wire = wire
        self._key = key
        self._source = source

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url, headers = request.url, request.headers.copy()
        if self._key is not None and self._source.key_parameter:
            url = url.copy_merge_params({self._source.key_parameter: self._key.get_secret_value()})
        if self._key is not None and self._source.key_header:
            headers[self._source.key_header] = self._source.key_prefix + self._key.get_secret_value()
        return self._wire.handle_request(
            httpx.Request(request.method, url, headers=headers, extensions=request.extensions)
        )

    def close(self) -> None:
        self._wire.close()


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names: httpx itself does not look where it is given a transport."""
    url = httpx.URL(base_url)
    return None if proxy_bypass(url.host) else getproxies().get(url.scheme)
