"""What is written to disks: by how much folders grow, and what is left free."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

FREE_BYTES, FREE_SHARE = 1 << 30, 0.05
"""What of a disk is left free: the smaller of both."""
TEMPORARY = tuple(Path(name) for name in ("/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108 - only their disks are meant
MOST_ENTRIES = 20_000
"""A folder with more entries, such as somebody's home, is not measured; the space that is free still is."""
SLACK = 16 << 20
"""How much a disk that was nearly full may lose while a run is at work before the run is blamed."""


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
        self.spared = {str(path) for path in spared} | {str(own)}
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

    def _size(self, folder: str, most: int | None = None) -> int | None:
        """Return what is allotted to the files, whatever holes they have; ``None`` if they are more than ``most``."""
        total = number = 0
        left = [folder]
        while left:
            with suppress(OSError), os.scandir(left.pop()) as entries:
                for entry in entries:
                    number += 1
                    with suppress(OSError):
                        if not entry.is_dir(follow_symlinks=False):
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
                        elif entry.path not in self.spared:
                            left.append(entry.path)
            if most is not None and number > most:
                return None
        return total


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


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _total(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize
