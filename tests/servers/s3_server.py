"""Start moto's S3 server as a process of its own, on a free port of 127.0.0.1."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

REGION = "us-east-1"
KEY_ID = "a-test"
SECRET = "not-to-be-shown"


@dataclass(frozen=True)
class S3Server:
    """A server that answers at ``endpoint``."""

    endpoint: str

    @property
    def storage_options(self) -> dict[str, str]:
        """What ``deltalake`` and Polars take; the names are those of the environment's variables."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def create_bucket(self, name: str) -> str:
        self._client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, bucket: str) -> list[str]:
        return [each["Key"] for each in self._client().list_objects_v2(Bucket=bucket).get("Contents", [])]

    def _client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )


@contextmanager
def s3() -> Iterator[S3Server]:
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline().strip()
        assert port, f"the S3 server ended with {process.wait()}; its error is on stderr"
        yield S3Server(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


def serve() -> None:
    """Serve until the process that started this one is gone."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *arguments: object) -> None:
            """Say nothing of a request."""

    backend = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def one_at_a_time(environ, start_response):
        # S3 looks whether a key is there and puts it in one step; moto does so only where nobody comes between.
        with turn:
            return [b"".join(backend(environ, start_response))]

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    serve()
