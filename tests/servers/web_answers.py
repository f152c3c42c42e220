"""A web server on this machine that answers as the test says, and what an error could give away."""

import json
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOSTS = ("127.0.0.1",)
SECRET = "S3cretHushHush"


@dataclass
class Web:
    """A web server: what it answers, and what it was asked."""

    port: int = 0
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b"{}"
    asked: list = field(default_factory=list)

    @property
    def at(self):
        return f"127.0.0.1:{self.port}"


@contextmanager
def web_server():
    told = Web()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(raw) if raw.startswith(b"{") else raw
            told.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(told.body)

        do_GET = do_POST = do_PUT = do_CONNECT = answer  # noqa: N815 - names of the library

        def log_message(self, *_words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def everything_said(error):
    """What an error can show: its text, its traceback, and what it came of, even where that is not shown."""
    said = [str(error), repr(error), "".join(traceback.format_exception(error))]
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            said.append(everything_said(cause))
    frame = error.__traceback__
    while frame is not None:
        # Of our own frames, what a debugger would show.
        if "workbench/alerts" in frame.tb_frame.f_code.co_filename:
            said.append(repr(frame.tb_frame.f_locals))
        frame = frame.tb_next
    return "\n".join(said)
