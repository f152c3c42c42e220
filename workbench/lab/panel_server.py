"""The process of the Panel apps: ``panel serve``, which ends with the server that started it."""

from __future__ import annotations

import os
import signal
import time

from panel.command import main

from workbench.core.parent import when_parent_ends
from workbench.lab.children import STOP_SECONDS


def end_group() -> None:
    """End this process and what it started, by force where asking does not help."""
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    when_parent_ends(end_group)
    main()
