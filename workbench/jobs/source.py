"""The text of a notebook: read, parsed and known by its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from nbformat import NotebookNode


def read_text(path: Path) -> str:
    """Return the text of a notebook.

    Raises
    ------
    InputError
        If there is none.
    """
    if not path.is_file():
        raise InputError(f"there is no notebook {path}; give the path of an .ipynb file")
    try:
        return path.read_bytes().decode()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path} ({error}); give an .ipynb file") from error


def parse_notebook(text: str, path: Path) -> NotebookNode:
    """Return the notebook that a text holds; ``path`` is named in an error.

    Raises
    ------
    InputError
    """
    # Seconds of imports (jsonschema's formats), which a service does without.
    import nbformat

    try:
        found: NotebookNode = nbformat.reads(text, as_version=4)
        nbformat.validate(found)
        return found
    except (ValueError, AttributeError, TypeError, KeyError, nbformat.ValidationError) as error:
        raise InputError(
            f"{path} is no notebook ({' '.join(str(error).split())[:120]}); give an .ipynb file"
        ) from error


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_kernel(name: str | None, path: Path) -> None:
    """Check that a notebook's kernel is installed; ``path`` is named in an error.

    Raises
    ------
    InputError
        Without a name.
    UnknownNameError
    """
    from jupyter_client.kernelspec import KernelSpecManager

    if not name:
        raise InputError(f"{path} names no kernel; open it in JupyterLab and choose one")
    known = KernelSpecManager().find_kernel_specs()
    if name not in known:
        raise UnknownNameError("kernel", name, known)
