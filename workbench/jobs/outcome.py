"""The folder of an attempt, and what says in it how the attempt ended: written last, so whoever finds it finds all."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.core.files import replace_file
from workbench.jobs.records import OUTCOMES, Outcome

FILE = "outcome.json"
LOG = "runner.log"
MOST_LETTERS = 400
"""So long at most is what an error says of itself."""
STAGING, TEMPORARY = ".run-", ".tmp"
"""How the names of the folders begin that an attempt has only while it is at work."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended.

    Attributes
    ----------
    run : str
    n : int
        The attempt.
    outcome : {"succeeded", "failed", "timed out", "limit", "cancelled", "lost"}
    reason : str, optional
        Why, unless it succeeded.
    """

    run: str
    n: int
    outcome: Outcome
    reason: str | None


def attempt_folder(reports: Path, run: str, n: int) -> Path:
    """Return where an attempt leaves its files."""
    return reports / run / str(n)


def write_outcome(folder: Path, ending: Ending) -> None:
    """Say how an attempt ended; whatever else is in its folder must be there by now.

    Raises
    ------
    OSError
    """
    replace_file(folder / FILE, json.dumps(asdict(ending)))


def read_outcome(folder: Path) -> Ending | None:
    """Return how an attempt ended; ``None`` if its folder does not say."""
    try:
        ending = Ending(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return ending if ending.outcome in OUTCOMES else None


def one_line(told: object) -> str:
    """Return what a row, a table and an alert have room for: the words of a message in a line, of a long one the first.

    An error without a message goes by its type.
    """
    words = " ".join(str(told).split())
    if isinstance(told, BaseException):
        words = f"{type(told).__name__}: {words}" if words else type(told).__name__
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}…"


def clear_up(folder: Path) -> None:
    """Keep, of an attempt whose runner was killed, the notebook as far as it came, and remove what was temporary."""
    # Seconds of imports, which only a run that ended badly costs a service.
    import nbformat

    for staging in sorted(folder.glob(f"{STAGING}*")):
        for partial in staging.glob("*.ipynb"):
            with suppress(OSError, ValueError, nbformat.ValidationError):
                nbformat.read(partial, as_version=4)
                if not (kept := folder / partial.name).exists():
                    partial.rename(kept)
        shutil.rmtree(staging, ignore_errors=True)
    shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
