"""What this process may compute on."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores this process may use; all of the machine's where the system does not tell which."""
    # Only Linux tells which ones.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors() -> str:
    """Return ``cores`` in words: ``"cpu (1 core)"``, ``"cpu (2 cores)"``."""
    count = cores()
    return f"cpu ({count} {'core' if count == 1 else 'cores'})"


def memory() -> int:
    """Return the memory of the machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
