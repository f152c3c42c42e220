"""Files that are there whole or not at all, and the files that the distribution ships."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> Path:
    """Write beside ``path`` and rename, so that a crash leaves the old file or the new one, never half of either.

    Returns
    -------
    Path
        ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666
    beside = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


@contextmanager
def socket_folder() -> Iterator[Path]:
    """Give a folder for sockets that only this user can enter, and remove it at the end.

    A kernel's socket is ``<folder>/kernel-<uuid>-ipc-<n>``, and the path of a unix socket has at most 107 characters: a
    long folder for temporary files is passed over.
    """
    longest = 57
    folder = Path(tempfile.mkdtemp(prefix="trii-"))
    if len(str(folder)) > longest:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="trii-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shipped(name: str) -> Path:
    """Return a folder of the distribution: ``catalogs``, ``notebooks`` or ``apps``.

    A wheel carries them inside the package; a checkout has them beside it.
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped" / name
    return inside if inside.is_dir() else package.parent / name
