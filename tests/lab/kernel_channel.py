"""A kernel's websocket, spoken to by hand."""

from __future__ import annotations

import json
import uuid

import websocket
from workbench_server import Server


class Channel:
    """The websocket of one kernel. ``headers`` may replace the token or add an origin."""

    def __init__(self, server: Server, kernel: str, headers: dict[str, str] | None = None) -> None:
        given = {"Authorization": f"token {server.token}"} if headers is None else headers
        address = f"{server.base.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
        # A read that waits longer raises.
        self.socket = websocket.create_connection(address, header=given, suppress_origin=True, timeout=30)

    def send(self, kind: str, content: dict, channel: str = "shell") -> str:
        """Send a message and return its id."""
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": kind, "username": "", "session": "test", "version": "5.4", "date": ""}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        self.socket.send(json.dumps({**message, "buffers": []}))
        return name

    def execute(self, code: str, channel: str = "shell") -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return self.send("execute_request", content, channel)

    def answers(self, name: str, until: str) -> list[dict]:
        """Return what comes in answer to one message, up to the first of a kind."""
        return [message for message in self._read(name, until) if message["parent_header"].get("msg_id") == name]

    def answers_before_the_next(self, name: str, channel: str = "shell") -> list[dict]:
        """Return what came in answer to one message until the kernel answered a later one: it has had its chance."""
        later = self.send("kernel_info_request", {}, channel)
        seen = self._read(later, "kernel_info_reply")
        return [message for message in seen if message["parent_header"].get("msg_id") == name]

    def _read(self, name: str, until: str) -> list[dict]:
        seen = []
        while True:
            seen.append(json.loads(self.socket.recv()))
            if seen[-1]["parent_header"].get("msg_id") == name and seen[-1]["header"]["msg_type"] == until:
                return seen

    def close(self) -> None:
        self.socket.close()
