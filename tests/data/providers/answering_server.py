"""A real HTTP server in a thread that plays scripted answers and remembers what it was asked.

``tests/data/providers`` is on pytest's ``pythonpath``: ``from answering_server import Answer, AnsweringServer`` works
in every test file. The fixture ``answers`` (in this folder's ``conftest.py``, and in ``RestProviderContract`` of
``tests/contracts/provider_contracts.py``) gives a running server::

    def test_it(answers):
        answers.play(Answer({"a": 1}, status=500), Answer({"a": 2}))  # in this order; the last one for ever
        answers.play(Answer({"b": 3}), path="/v1/b", function="SPLITS")  # for these requests only
        provider = MyProvider(access_to(answers))
        ...
        assert answers.requests[0].params == {"function": "SPLITS"}
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from workbench.data.providers.base import Access

KEY = "S3CR3T-k3y+of/this=test"
"""Holds what a URL must quote, so that a leak in quoted form can be told."""


@dataclass(frozen=True)
class Answer:
    """``body`` is sent as it is if text or bytes, else as JSON.

    ``cut`` sends so many bytes of it and breaks the connection; ``drip`` sends a byte each so many seconds; ``delay``
    waits before the first one.
    """

    body: object = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    cut: int | None = None

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Request:
    """What was asked; header names in lower case."""

    path: str
    params: dict
    headers: dict


class Moments:
    """A clock that stands still until somebody pauses, and the pauses."""

    def __init__(self, now: datetime = datetime(2026, 1, 5, 12, 0, tzinfo=UTC), *, standing: bool = False) -> None:
        self.now = now
        self.standing = standing
        self.pauses: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        return self.now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self.pauses.append(seconds)
            if not self.standing:
                self.now += timedelta(seconds=seconds)


class AnsweringServer:
    """Listens on 127.0.0.1 until it is closed."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._scripts: list[tuple[str | None, dict, list[Answer]]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def play(self, *answers: Answer, path: str | None = None, **params: str) -> None:
        """Answer matching requests with these, one after the other and the last one for ever.

        A script given later is looked at first.
        """
        with self._lock:
            self._scripts.insert(0, (path, params, list(answers)))

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            for path, params, answers in self._scripts:
                if path in (None, request.path) and params.items() <= request.params.items():
                    return answers.pop(0) if len(answers) > 1 else answers[0]
        return Answer({"unexpected": request.path}, status=400)

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether to go on."""
        return not self._closing.wait(seconds)


def _handler(owner: AnsweringServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            params = dict(parse_qsl(url.query, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = owner.next_answer(Request(url.path, params, headers))
            if answer.delay and not owner.wait(answer.delay):
                return
            # A client that has gone is what several tests are about.
            with contextlib.suppress(OSError):
                self._send(answer)

        def _send(self, answer: Answer) -> None:
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if answer.drip:
                for byte in content:
                    if not owner.wait(answer.drip):
                        break
                    self.wfile.write(bytes([byte]))
            else:
                self.wfile.write(content if answer.cut is None else content[: answer.cut])
            self.close_connection = answer.cut is not None or bool(answer.drip)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def access_to(server: AnsweringServer, moments: Moments | None = None, *, key: str | None = KEY, **options) -> Access:
    """Access to a server; by default with a key and a clock that only moves when somebody pauses.

    ``state`` is taken out of the options; the others are texts.
    """
    moments = moments or Moments()
    state = options.pop("state", None)
    return Access(
        key=SecretStr(key) if key is not None else None,
        options={"base_url": server.url, **options},
        clock=moments,
        pause=moments.pause,
        state=state,
    )
