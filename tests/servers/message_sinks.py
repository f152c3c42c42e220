"""A mail server and a webhook server on this machine that refuse a given share, and keep what they took."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """What came: ``at`` by the machine's monotonic clock; ``headers`` in small letters."""

    key: str
    subject: str
    text: str
    at: float
    headers: dict = field(default_factory=dict)
    body: object = None


@dataclass
class Sink:
    """A server: what it took, and how often it refused.

    ``fail`` may be set while it runs: 1.0 refuses all, as a server that is down for its users does.
    """

    port: int
    url: str
    fail: float
    chance: random.Random
    received: list[Received] = field(default_factory=list)
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, made) -> bool:
        """Keep what came, unless it is the turn of a refusal."""
        with self._lock:
            if self.chance.random() < self.fail:
                self.refused += 1
                return False
            self.received.append(made)
            return True

    def wait(self, count, seconds=20.0):
        """Wait until so many have come; return what has."""
        until = time.monotonic() + seconds
        while len(self.received) < count and time.monotonic() < until:
            time.sleep(0.02)
        return list(self.received)


@contextmanager
def smtp_sink(fail=0.0, seed=0, host="127.0.0.1"):
    """A mail server without users; a refused mail gets 451. ``url`` is an address of Apprise to it."""
    from aiosmtpd.controller import Controller

    class OnFreePort(Controller):
        def _trigger_server(self):
            # It tries its own server out, at the port that it was given: here that one is not known before.
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()

    handler = _Mail()
    controller = OnFreePort(handler, hostname=host, port=0)
    controller.start()
    try:
        port = controller.port
        url = f"mailto://{host}:{port}/?from=workbench@example.org&to=reader@example.org&mode=insecure"
        handler.sink = Sink(port, url, fail, random.Random(seed))
        yield handler.sink
    finally:
        controller.stop()


@contextmanager
def webhook_sink(fail=0.0, seed=0, host="127.0.0.1"):
    """A webhook server over plain HTTP; what it refuses gets 503."""
    server = _HookServer((host, 0), _Hook)
    port = server.server_address[1]
    server.sink = Sink(port, f"http://{host}:{port}/hook", fail, random.Random(seed))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Mail:
    sink: Sink

    async def handle_DATA(self, _server, _session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        headers = {name.lower(): str(value) for name, value in mail.items()}
        part = mail.get_body(("plain", "html"))
        text = part.get_content() if part is not None else ""
        made = Received(headers.get("idempotency-key", ""), headers.get("subject", ""), text, time.monotonic(), headers)
        return "250 OK" if self.sink.take(made) else "451 Try again later"


class _HookServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    sink: Sink


class _Hook(BaseHTTPRequestHandler):
    server: _HookServer

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        told = body if isinstance(body, dict) else {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        key = headers.get("idempotency-key") or str(told.get("key", ""))
        words = (str(told.get("subject", "")), str(told.get("text", "")))
        taken = self.server.sink.take(Received(key, *words, time.monotonic(), headers, body))
        self.send_response(200 if taken else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words):
        pass
