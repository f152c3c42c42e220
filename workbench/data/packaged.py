"""``package://NAME/path``: data files of installed Python packages, as a read-only fsspec file system.

With it a catalog names a file inside a package by a plain URL, so that intake alone reads it with its own CSV reader
and the catalog holds neither code nor a path of one machine.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.spec import AbstractFileSystem

from workbench.core.known import require_no_limit


class PackageFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Read the data files of installed packages.

    A package is found without being imported, and a path may not leave its package's folder. Everything that would
    write is left as the base class has it: refused. Under the limit of the process nothing is read, as a file does not
    say when its rows were known.
    """

    protocol = "package"

    def _locate(self, path: str) -> Path:
        name, _, inside = self._strip_protocol(path).partition("/")
        spec = find_spec(name) if name.isidentifier() and name != "__main__" else None
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"package {name!r} is not installed; install it to read package://{name}/{inside}")
        root = Path(next(iter(spec.submodule_search_locations))).resolve()
        target: Path = (root / inside).resolve()
        if not target.is_relative_to(root):
            raise PermissionError(f"package://{name}/{inside} leaves its package; name a file inside it")
        return target

    def _open(self, path: str, mode: str = "rb", **_kwargs: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(f"package:// is read-only; {path} cannot be opened with mode {mode!r}")
        found = self._locate(path)
        require_no_limit(f"package://{self._strip_protocol(path)}")
        return found.open("rb")

    def info(self, path: str, **_kwargs: Any) -> dict[str, Any]:
        """Return name, size in bytes and type of a path."""
        found = self._locate(path)
        kind = "directory" if found.is_dir() else "file"
        return {"name": self._strip_protocol(path), "size": found.stat().st_size, "type": kind}

    def ls(self, path: str, detail: bool = True, **_kwargs: Any) -> list[Any]:
        """List a folder."""
        base = self._strip_protocol(path).rstrip("/")
        names = [f"{base}/{child.name}" for child in sorted(self._locate(path).iterdir())]
        return [self.info(name) for name in names] if detail else names
