"""Files that are there whole or not at all, and the files that the distribution ships."""

from __future__ import annotations

import os
import tempfile
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
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, path.stat().st_mode & 0o777 if path.exists() else 0o644 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def shipped(name: str) -> Path:
    """Return a folder of the distribution: ``catalogs``, ``notebooks`` or ``apps``.

    A wheel carries them inside the package; a checkout has them beside it.
    """
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped" / name
    return inside if inside.is_dir() else package.parent / name
