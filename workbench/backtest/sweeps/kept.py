"""The finished blocks of a sweep on disk, so that one that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import shutil
from pathlib import Path

import numpy as np

from workbench.backtest.sweeps.blocks import Block, Figures
from workbench.core.errors import StoreError

DIGEST = 32
"""Bytes of the SHA-256 that follows the array in a file."""

ABANDONED = 30 * 24 * 3600
"""Seconds after which a sweep that nobody went on with is forgotten."""

_KEY = re.compile(r"[0-9a-f]{64}")


class KeptBlocks:
    """A folder with a file for each finished block.

    A file is a ``.npy`` array followed by its SHA-256; one that is torn, foreign or changed counts as not there. The
    first block that is written removes the sweeps beside this one that were not written to for ``ABANDONED`` seconds.

    Parameters
    ----------
    folder : Path
        Where sweeps are kept.
    key : str
        The sweep's fingerprint.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = Path(folder) / key
        self._tidy = False

    def read(self, block: Block, statistics: int) -> Figures | None:
        """Return a block's figures, shape (statistics, n_points, n_columns), if they are there."""
        try:
            content = self._path(block).read_bytes()
        except OSError:
            return None
        array, digest = content[:-DIGEST], content[-DIGEST:]
        if hashlib.sha256(array).digest() != digest:
            return None
        try:
            found: Figures = np.load(io.BytesIO(array), allow_pickle=False)
        except (ValueError, EOFError):
            return None
        return found if found.shape == (statistics, *block.shape) and found.dtype == np.float64 else None

    def write(self, block: Block, figures: Figures) -> None:
        """Keep a block: written beside and renamed, so that a kill leaves all of it or nothing.

        Raises
        ------
        StoreError
            If the folder cannot be written to.
        """
        buffer = io.BytesIO()
        np.save(buffer, figures, allow_pickle=False)
        array = buffer.getvalue()
        beside = self.folder / f".{block.number}.{secrets.token_hex(6)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                beside.write_bytes(array + hashlib.sha256(array).digest())
                os.replace(beside, self._path(block))
            finally:
                beside.unlink(missing_ok=True)
            if not self._tidy:
                self._tidy = True
                self._remove_abandoned()
        except FileNotFoundError:
            # The same sweep has just finished in another process, and took the folder away.
            return
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot keep the sweep's progress ({error}); make room, or choose another home"
            ) from error

    def remove(self) -> None:
        """Forget the sweep: it is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_abandoned(self) -> None:
        # Writing into a folder sets its time: this one's is the present by the clock that set the others'.
        oldest = self.folder.stat().st_mtime - ABANDONED
        for other in self.folder.parent.iterdir():
            if _KEY.fullmatch(other.name) and other.lstat().st_mtime < oldest:
                shutil.rmtree(other, ignore_errors=True)

    def _path(self, block: Block) -> Path:
        return self.folder / f"{block.number:06d}-{block.first}-{block.last}-{block.begin}-{block.end}.npy"
