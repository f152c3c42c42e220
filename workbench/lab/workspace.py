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
    known: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    for folder, suffix in FOLDERS.items():
        origin = shipped(folder)
        for source in sorted(origin.rglob(f"*{suffix}")):
            name = str(Path(folder) / source.relative_to(origin))
            if ".ipynb_checkpoints" in name:
                continue
            target, content = workspace / name, source.read_bytes()
            untouched = not target.exists() or _digest(target.read_bytes()) == known.get(name)
            if untouched and _digest(content) != known.get(name, ""):
                replace_file(target, content)
            if untouched:
                known[name] = _digest(content)
    replace_file(record, json.dumps(known, indent=1))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
