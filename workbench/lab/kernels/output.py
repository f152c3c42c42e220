"""What a kernel sends to its notebook: nothing over TCP, and of a scheduled run no more than it may put out.

What a run may not put out is best left out here: once it is on its way it takes memory in both processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ipykernel.iostream import IOPubThread, OutStream

RUN, LIMIT = "WORKBENCH_RUN_ID", "WORKBENCH_RUN_OUTPUT"
CUT = "trii_workbench_cut"
"""In the metadata of the message that stands for what was left out; ``workbench.jobs.execution`` looks for it."""

OUTPUT = ("stream", "display_data", "execute_result", "update_display_data", "error")


def most_output(environment: Mapping[str, str]) -> int | None:
    """Return how many bytes a notebook may put out: a number in a scheduled run, none elsewhere."""
    told = environment.get(LIMIT, "")
    return int(told) if environment.get(RUN) and told.isdecimal() else None


class PortlessIOPubThread(IOPubThread):
    """Publish output without a listening port, and up to a number of bytes; the last message says that it is cut."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call] # as all of ipykernel here
        self._most = most_output(os.environ)
        self._put_out = 0
        self._cut = False

    def _setup_pipe_in(self) -> None:
        self._pipe_flag = False

    def send_multipart(self, parts: Any, *arguments: Any, **options: Any) -> None:
        """Send a message, unless it is output that is too much."""
        if self._most is None or (kept := self._within(parts)) is None:
            super().send_multipart(parts, *arguments, **options)  # type: ignore[no-untyped-call]
        elif kept:
            super().send_multipart(kept, *arguments, **options)  # type: ignore[no-untyped-call]

    def _within(self, parts: list[Any]) -> list[Any] | None:
        """Return what is sent instead of a message: ``None`` for itself, an empty list for nothing."""
        session: Any = self.session
        _, message = session.feed_identities(parts)
        header, parent = (session.unpack(bytes(part)) for part in message[1:3])
        if header["msg_type"] not in OUTPUT:
            return None
        self._put_out += sum(len(part) for part in message)
        if self._put_out <= self._most:  # type: ignore[operator] # asked before
            return None
        if self._cut:
            return []
        self._cut = True
        content = {"name": "stderr", "text": f"\nThe output is cut here: it is more than {self._most:,} bytes.\n"}
        told = session.msg("stream", content, parent=parent, metadata={CUT: True})
        return [b"stream.stderr", *session.serialize(told)]


class CuttingOutStream(OutStream):
    """Standard output that gathers no more than may be sent: gathered text takes up to four times its size."""

    _most: int | None = None
    _written = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call] # as all of ipykernel here
        self._most = most_output(os.environ)

    def write(self, string: str) -> int | None:  # type: ignore[override] # as ipykernel's own
        """Write as much as may be; what is left out counts as written."""
        if self._most is None or not isinstance(string, str):
            return super().write(string)
        # One byte too many goes on: it tells the other end.
        free = max(0, self._most + 1 - self._written)
        self._written += len(string)
        if free:
            super().write(string[:free])
        return len(string)
