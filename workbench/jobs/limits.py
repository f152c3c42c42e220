"""What a run may take: watched while it works, and a run that takes more is ended with all its processes."""

from __future__ import annotations

import logging
import os
import resource
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import psutil

from workbench.core.settings import Settings
from workbench.jobs.disks import Usage, size_text
from workbench.jobs.processes import bury, descendants, end_own, end_tree, keep_descendants

__all__ = ["Limits", "Verdict", "Watch", "end_tree", "prepare_process", "size_text"]

log = logging.getLogger("workbench.jobs")

LOOK_SECONDS = 0.25
"""How often processes, memory and free space are looked at."""
DISK_SHARE = 0.05
"""Which share of the time the sizes of folders may be looked at."""
Stopped = Literal["timed out", "limit", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may take.

    Attributes
    ----------
    time_out : timedelta
    memory : int
        Bytes that all its processes hold; what several of them share counts once.
    disk : int
        Bytes by which its folders have grown.
    output : int
        Bytes that the notebook puts out.
    processes : int
        The runner not counted.
    """

    time_out: timedelta
    memory: int
    disk: int
    output: int
    processes: int

    @classmethod
    def of(cls, settings: Settings, time_out: timedelta) -> Limits:
        """Return the limits that the settings give."""
        sizes = int(settings.run_memory), int(settings.run_disk), int(settings.run_output)
        return cls(time_out, *sizes, settings.run_processes)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an attempt was ended before its notebook was done: the outcome and a sentence."""

    outcome: Stopped
    reason: str

    def __str__(self) -> str:
        return self.reason


class Watch:
    """Watches this process's descendants; whoever stops it first says why.

    Parameters
    ----------
    limits : Limits
    folder : Path
        Where the run leaves its files.
    others : sequence of Path
        Further folders that it writes to, such as the notebook's.
    spared : sequence of Path
        Folders within those that others write to.
    printed : Path, optional
        A file to which goes what the processes print past the notebook: it counts as output.
    make_room : callable
        Called when the run was ended because of what it wrote to disk.
    """

    def __init__(
        self,
        limits: Limits,
        folder: Path,
        others: Sequence[Path] = (),
        spared: Sequence[Path] = (),
        printed: Path | None = None,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits
        self.make_room = make_room
        self.printed = printed
        self.verdict: Verdict | None = None
        self.own: set[int] = set()
        """Children that somebody in this process waits for."""
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._put_out = 0
        self._resting = False
        self._usage = Usage([folder, *others], {*spared} - {folder}, folder)
        self._next_sizes = self._began
        self._thread = threading.Thread(target=self._look_on, name="limits", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        end_own()

    def stop(self, outcome: Stopped, reason: str) -> None:
        """End the run's processes; the first reason given is the one that counts."""
        with self._lock:
            if self.verdict is None and not self._ended.is_set():
                self.verdict = Verdict(outcome, reason)
                log.warning("stopped (%s): %s", outcome, reason)
        end_own()
        if self._printed() > self.limits.output:
            os.truncate(str(self.printed), self.limits.output)

    def rest(self) -> None:
        """Look at nothing but the time: the notebook is done, and what is still done is the runner's own."""
        self._resting = True
        end_own()

    def count_output(self, size: int, *, cut: bool = False) -> bool:
        """Count what the notebook puts out, in bytes; ``cut`` if its kernel has left something out.

        Returns
        -------
        bool
            Whether it is to be kept.
        """
        self._put_out += size
        if self._put_out <= self.limits.output and not cut:
            return True
        self.stop("limit", self._wordy())
        return False

    def _wordy(self) -> str:
        most = size_text(self.limits.output)
        return f"its cells put out more than the {most} allowed; print less or raise run_output"

    def _printed(self) -> int:
        with suppress(OSError):
            return self.printed.stat().st_size if self.printed else 0
        return 0

    def _look_on(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self._look()
            except (OSError, psutil.Error) as error:
                # Something vanished between two looks, or descriptors are short for a moment.
                log.warning("could not look at the run: %s", error)
            except Exception as error:  # without its watch no run goes on
                log.exception("the run cannot be watched")
                self.stop("failed", f"its limits could not be watched ({error!r}); see its log")

    def _look(self) -> None:
        if self.verdict:
            # What was started in the meantime.
            end_own()
        elif time.monotonic() - self._began > self.limits.time_out.total_seconds():
            most = self.limits.time_out
            self.stop("timed out", f"it was not done within its time-out of {most}; raise time_out or do less")
        elif self._resting:
            return
        elif excess := self._excess():
            self.stop("limit", excess)
        elif full := self._usage.shortage() or self._written():
            # What it has left in its own folder goes; beside it a file may be somebody's, and is only named.
            if left := self._usage.left():
                told, _, remedy = full.rpartition("; ")
                full = f"{told}; {left}; {remedy}"
            self.stop("limit", full)
            self.make_room()

    def _excess(self) -> str | None:
        limits = self.limits
        if self._printed() > limits.output:
            return self._wordy()
        living = self._living()
        if len(living) > limits.processes:
            number = f"it had {len(living)} processes, more than the {limits.processes} allowed"
            return f"{number}; start fewer or raise run_processes"
        held = _memory([psutil.Process(), *living], limits.memory)
        if held > limits.memory:
            size = f"its processes held {size_text(held)} of memory, more than the {size_text(limits.memory)} allowed"
            return f"{size}; load less or raise run_memory"
        return None

    def _living(self) -> list[psutil.Process]:
        found = descendants()
        bury(found, self.own)
        return found

    def _written(self) -> str | None:
        """Say how much the folders have grown, if by too much; large ones are looked at seldom."""
        began = time.monotonic()
        if began < self._next_sizes:
            return None
        grown, folder = self._usage.growth()
        taken = time.monotonic() - began
        self._next_sizes = began + max(LOOK_SECONDS, taken / DISK_SHARE)
        if grown <= self.limits.disk:
            return None
        most = size_text(self.limits.disk)
        written = f"it wrote {size_text(grown)}, most of it to {folder}, more than the {most} allowed"
        return f"{written}; write less or raise run_disk"


def prepare_process() -> None:
    """Prepare this process for being a run: nothing that it starts gets away, leaves a core or outlives others."""
    keep_descendants()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where the machine's memory ends all the same, a run is the first to go.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _memory(processes: Sequence[psutil.Process], most: int) -> int:
    """Return what processes hold together; shared pages are told apart only where it matters, which takes a while."""
    held = sum(_held(each, "rss") for each in processes)
    return held if held <= most else sum(_held(each, "pss") for each in processes)


def _held(process: psutil.Process, kind: str) -> int:
    try:
        info = process.memory_info() if kind == "rss" else process.memory_full_info()
    except psutil.Error:
        return 0
    # Only Linux tells the share of shared pages.
    return int(getattr(info, kind, info.rss))
