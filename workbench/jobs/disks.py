"""What is written to disks: by how much folders grow, and what is left free."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

FREE_BYTES, FREE_SHARE = 1 << 30, 0.05
"""What of a disk is left free: the smaller of both."""
TEMPORARY = tuple(Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108 - only their disks are meant
MOST_ENTRIES = 20_000
"""A folder with more entries, such as somebody's home, is not measured; the space that is free still is."""
SLACK = 16 << 20
"""How much a disk that was nearly full may lose while a run is at work before the run is blamed; a file that is smaller
is not worth naming."""


class Usage:
    """How much folders have grown, and how much is free on the disks.

    Parameters
    ----------
    folders : sequence of Path
    spared : set of Path
        What is within and not counted.
    own : Path
        Counted although it lies in one that is spared.
    """

    def __init__(self, folders: Sequence[Path], spared: set[Path], own: Path) -> None:
        self.own, self.began = str(own), _now(own)
        self.spared = {str(path) for path in spared} | {self.own}
        sizes = {str(path): self._size(str(path), MOST_ENTRIES) for path in folders}
        self.folders = {path: size for path, size in sizes.items() if size is not None}
        self.disks = {device: (path, _free(path)) for device, path in _disks([*folders, *TEMPORARY, Path.home()])}

    def growth(self) -> tuple[int, str]:
        """Return by how many bytes the folders have grown together, and which of them most."""
        grown = {path: max(0, (self._size(path) or 0) - before) for path, before in self.folders.items()}
        return sum(grown.values()), max(grown, key=lambda path: grown[path], default="")

    def shortage(self) -> str | None:
        """Say which disk is nearly full, if it has become so."""
        for path, before in self.disks.values():
            # What the notebook has removed still tells of its disk, by what it lay in.
            place = next(each for each in (path, *path.parents) if each.exists())
            free, total = _free(place), _total(place)
            floor = int(min(FREE_BYTES, FREE_SHARE * total))
            if free < floor and free < before - min(SLACK, floor // 4):
                least = f"less than the {size_text(floor)} that stay free"
                return f"only {size_text(free)} was left on the disk of {path}, {least}; write less or make room"
        return None

    def left(self) -> str | None:
        """Say which large file was written since beside the run's own folder, the largest of them; it stays there."""
        largest, size = "", SLACK
        for folder in self.folders.keys() - {self.own}:
            for entry in self._files(folder):
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    # When it was changed: a time that no program can set.
                    if found.st_ctime >= self.began and found.st_blocks * 512 > size:
                        largest, size = entry.path, found.st_blocks * 512
        return f"{largest} ({size_text(size)}) was left there" if largest else None

    def _size(self, folder: str, most: int | None = None) -> int | None:
        """Return what is allotted to the files, whatever holes they have; ``None`` if they are more than ``most``."""
        total = 0
        for number, entry in enumerate(self._files(folder), 1):
            if most is not None and number > most:
                return None
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
        return total

    def _files(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Yield the files below a folder, links as themselves; nothing of what is spared."""
        folders = [folder]
        while folders:
            with suppress(OSError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        if not entry.is_dir(follow_symlinks=False):
                            yield entry
                        elif entry.path not in self.spared:
                            folders.append(entry.path)


def size_text(size: float) -> str:
    """Return a number of bytes in the largest unit of which there is one, such as ``"1.5 GiB"``."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or size == int(size) else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _disks(paths: Sequence[Path]) -> Iterator[tuple[int, Path]]:
    known = set[int]()
    for path in paths:
        with suppress(OSError):
            device = path.stat().st_dev
            if device not in known:
                known.add(device)
                yield device, path


def _now(folder: Path) -> float:
    """Return what time it is where files are written: of a server's disk it is the server's."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_ctime
    return time.time()


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _total(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize
