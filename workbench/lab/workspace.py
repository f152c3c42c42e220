"""The user's own copies of the shipped notebooks and apps.

A file that the user has changed is left alone; one that was never touched follows the distribution.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from workbench.core.files import replace_file, shipped

FOLDERS = {"notebooks": ".ipynb", "apps": ".py"}
RECORD = ".shipped.json"


def prepare_workspace(workspace: Path, reports: Path) -> None:
    """Copy what is new or untouched, and make the folder for reports.

    Parameters
    ----------
    workspace : Path
        Root of the file browser.
    reports : Path
        Folder for runs.
    """
    reports.mkdir(parents=True, exist_ok=True)
    record = workspace / RECORD
    known = _read(record)
    for folder, suffix in FOLDERS.items():
        origin = shipped(folder)
        for source in sorted(origin.rglob(f"*{suffix}")):
            name = str(Path(folder) / source.relative_to(origin))
            if ".ipynb_checkpoints" in name:
                continue
            target, content = workspace / name, source.read_bytes()
            untouched = not target.exists() or _digest(target.read_bytes()) == known.get(name)
            if not untouched:
                continue
            if known.get(name) != _digest(content) or not target.exists():
                replace_file(target, content)
            known[name] = _digest(content)
    replace_file(record, json.dumps(known, indent=1))


def _read(record: Path) -> dict[str, str]:
    """Return what was copied before; without a readable record every file counts as the user's."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _digest(content: bytes) -> str:
    """Return a digest of a file; of a notebook's sources, since opening and running it changes the rest."""
    try:
        cells = json.loads(content)["cells"]
        content = json.dumps([[cell["cell_type"], "".join(cell["source"])] for cell in cells]).encode()
    except (ValueError, KeyError, TypeError):
        pass
    return hashlib.sha256(content).hexdigest()
