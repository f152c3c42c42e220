"""The end of the process that started this one: noticed however it ended."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

STDIN = 0


def when_parent_ends(then: Callable[[], None]) -> None:
    """Call ``then``, in a thread, once the standard input ends.

    It is a pipe whose other end the parent alone holds and never writes to: the system closes that with the parent,
    also where it is killed.
    """

    def wait() -> None:
        # Not by `sys.stdin`: an interpreter that ends while a thread reads from it is aborted.
        with suppress(OSError):
            while os.read(STDIN, 4096):
                pass
        then()

    threading.Thread(target=wait, name="parent", daemon=True).start()
