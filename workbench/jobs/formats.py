"""What a run can leave, and its report as PDF: printed by Chromium, where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from workbench.core.errors import FailureError, UnsupportedError
from workbench.core.files import replace_file
from workbench.jobs.schedule import Format

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PRINT_SECONDS = 120


def available() -> tuple[Format, ...]:
    """Return the formats in which a run can leave its result here."""
    return ("ipynb", "html", "pdf") if _browser() else ("ipynb", "html")


def check_formats(formats: Iterable[Format]) -> None:
    """Check that a run can leave these formats.

    Raises
    ------
    UnsupportedError
    """
    if "pdf" in formats and not _browser():
        raise UnsupportedError("no PDF can be made here, as Chromium is not installed; install it or leave out pdf")


def print_pdf(page: Path, target: Path) -> None:
    """Print a page of HTML.

    Parameters
    ----------
    page : Path
    target : Path
        The PDF; its folder must be there.

    Raises
    ------
    FailureError
        If there is no Chromium, or it does not print within two minutes.
    """
    browser = _browser()
    if browser is None:
        raise FailureError("the report was not printed, as Chromium is not installed; install it or leave out pdf")
    with tempfile.TemporaryDirectory(prefix="trii-pdf-", ignore_cleanup_errors=True) as own:
        printed = Path(own) / "report.pdf"
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            # The page brings all it needs; what a notebook put into it is to reach nobody.
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={own}/profile",
            "--no-pdf-header-footer",
            # Pictures are drawn by scripts, after the page is loaded.
            "--virtual-time-budget=10000",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        # Its sandbox does not work for root.
        command[1:1] = ["--no-sandbox"] if os.geteuid() == 0 else []
        try:
            done = subprocess.run(  # noqa: S603 - no part of it is a user's
                command, capture_output=True, timeout=PRINT_SECONDS, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FailureError(f"the report could not be printed as PDF ({error}); try again") from error
        if not printed.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = said[-1][:160] if said else f"exit code {done.returncode}"
            raise FailureError(f"the report could not be printed as PDF ({why}); try again")
        replace_file(target, printed.read_bytes())


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)
