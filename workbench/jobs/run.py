"""One run of a notebook: load, check, execute, keep, raise."""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import nbformat
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import FailureError, RunError, StoreError
from workbench.core.files import replace_file
from workbench.core.provenance import code_version, library_versions
from workbench.jobs.execution import Setting, execute
from workbench.jobs.formats import print_pdf
from workbench.jobs.limits import Verdict, Watch
from workbench.jobs.outcome import STAGING, one_line
from workbench.jobs.parameters import check_parameters
from workbench.jobs.report import report_html
from workbench.jobs.schedule import Format
from workbench.jobs.source import parse_notebook, read_text, sha256_of

log = logging.getLogger("workbench.jobs")

Failure: TypeAlias = PapermillExecutionError | FailureError | Verdict


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left behind.

    Attributes
    ----------
    id : str
        Unique.
    notebook : Path
        What was run.
    parameters : mapping
        The values given, typed.
    started, finished : datetime
        UTC.
    executed : Path
        The notebook with its outputs.
    report : Path
        The HTML page beside it.
    """

    id: str
    notebook: Path
    parameters: Mapping[str, Any]
    started: datetime
    finished: datetime
    executed: Path
    report: Path


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a scheduled run is told beyond its notebook and parameters.

    Attributes
    ----------
    text : str
        The notebook that is run, whatever its file holds now.
    watch : Watch
        Stops it at its limits.
    kernel : str, optional
        Instead of the notebook's own.
    formats : tuple of {"ipynb", "html", "pdf"}
        What it leaves; the notebook always.
    about : mapping
        Kept in the executed notebook: which schedule, when it was due, ...
    """

    text: str
    watch: Watch
    kernel: str | None = None
    formats: tuple[Format, ...] = ("ipynb", "html")
    about: Mapping[str, Any] = field(default_factory=dict)


def run(
    notebook: Path,
    parameters: Mapping[str, Any],
    output: Path,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock = utc_now,
    progress: bool = True,
    show_code: bool = False,
    assignment: Assignment | None = None,
) -> Run:
    """Run a notebook through Papermill and keep the executed notebook and its HTML report side by side.

    The kernel talks over sockets in a private folder, and works in the notebook's folder. Files appear under their
    names when they are whole. A failed run keeps its notebook up to the failed cell, with a report of it.

    Parameters
    ----------
    notebook : Path
    parameters : mapping
        Values by the names that the notebook declares; see ``workbench.jobs.parameters``.
    output : Path
        The folder for both files; made if need be.
    environment : mapping, optional
        Variables for the kernel, beside those of this process.
    clock : callable
    progress : bool
        Show a progress bar on stderr.
    show_code : bool
        Show the cells' source in the report.
    assignment : Assignment, optional
        Of a scheduled run: its files have the notebook's name, and it keeps them also where its kernel died.

    Returns
    -------
    Run

    Raises
    ------
    InputError, ParameterError, UnknownNameError
        For a file that is no notebook, or parameters that it does not take.
    RunError
        If a cell failed; names the cell, its error and the partial notebook. If the run was stopped; says why.
    FailureError
        If the kernel is not there or died, or a PDF could not be made.
    """
    # Absolute: the kernel works in the notebook's folder.
    notebook, output = notebook.resolve(), output.resolve()
    text = assignment.text if assignment else read_text(notebook)
    book = parse_notebook(text, notebook)
    values = check_parameters(book, parameters, notebook.name)
    started = clock()
    name = f"{notebook.stem}-{started:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    executed = output / f"{notebook.stem if assignment else name}.ipynb"
    kernel, watch = (assignment.kernel, assignment.watch) if assignment else (None, None)
    kernel = kernel or book.metadata.get("kernelspec", {}).get("name")
    own = {**(environment or {}), "WORKBENCH_RUN": str(executed)}
    setting = Setting(notebook.parent, notebook.name, own, kernel, progress, watch)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=STAGING, dir=output) as staging:
            result, failure = _executed(Path(staging) / executed.name, text, values, setting)
    except OSError as error:
        raise _unwritten(output, error) from error
    result.metadata.setdefault("papermill", {}).update(input_path=str(notebook), output_path=str(executed))
    result.metadata["trii_workbench"] = {
        "run": name,
        "notebook": notebook.stem,
        **(assignment.about if assignment else {}),
        "parameters": values,
        "sha256": sha256_of(text),
        "started": started.isoformat(),
        "finished": (finished := clock()).isoformat(),
        "state": failure.outcome if isinstance(failure, Verdict) else "failed" if failure else "succeeded",
        "reason": None if failure is None else _why(failure, notebook),
        "code": code_version(),
        "libraries": library_versions(),
    }
    if watch:
        watch.rest()
    try:
        _keep(result, executed, assignment.formats if assignment else ("ipynb", "html"), show_code)
    except FailureError as error:
        if not failure:
            raise
        # The notebook's own failure is the one to be told.
        log.warning("%s", error)
    if failure:
        raise _error(failure, notebook, executed)
    return Run(name, notebook, values, started, finished, executed, executed.with_suffix(".html"))


def _executed(
    target: Path, text: str, values: Mapping[str, Any], setting: Setting
) -> tuple[NotebookNode, Failure | None]:
    """Return the executed notebook and what went wrong; raise what leaves no notebook."""
    source = target.with_name("source.json")
    source.write_bytes(text.encode())
    failure: Failure | None
    try:
        failure = execute(source, target, values, setting)
    except FailureError as error:
        # What somebody runs by hand is told and leaves nothing; nobody watched a scheduled one.
        if setting.watch is None:
            raise
        failure = error
    except Exception as error:
        if setting.watch is None:
            raise
        log.exception("the notebook was not executed to its end")
        failure = FailureError(f"{setting.name} was not executed to its end ({one_line(error)}); see the run's log")
    if setting.watch and setting.watch.verdict:
        failure = setting.watch.verdict
    result = _read_first(target, source)
    if isinstance(failure, Verdict | FailureError):
        _say(result, str(failure))
    return result, failure


def _read_first(*paths: Path) -> NotebookNode:
    """Return the first of these notebooks that is whole; the last one is."""
    found: NotebookNode = nbformat.read(paths[-1], as_version=4)
    for path in paths[-2::-1]:
        with suppress(OSError, ValueError, nbformat.ValidationError):
            found = nbformat.read(path, as_version=4)
    return found


def _say(notebook: NotebookNode, reason: str) -> None:
    """Write why a run was stopped under the cell that was at work."""
    begun = [cell for cell in notebook.cells if cell.metadata.get("papermill", {}).get("start_time")]
    cells = [cell for cell in begun or notebook.cells if cell.cell_type == "code"]
    if cells:
        told = nbformat.v4.new_output("stream", name="stderr", text=f"\nThe run was stopped: {reason}\n")
        cells[-1 if begun else 0].outputs.append(told)


def _keep(result: NotebookNode, executed: Path, formats: tuple[Format, ...], show_code: bool) -> None:
    """Write the executed notebook, which the other formats are made of, and those."""
    page = executed.with_suffix(".html")
    about = result.metadata["trii_workbench"]
    try:
        replace_file(executed, nbformat.writes(result))
        if {*formats} == {"ipynb"}:
            return
        html = report_html(result, about["notebook"], show_code=show_code)
        if "html" in formats:
            replace_file(page, html)
        if "pdf" in formats and about["state"] in ("succeeded", "failed"):
            with tempfile.TemporaryDirectory(prefix=STAGING, dir=executed.parent) as staging:
                copy = replace_file(Path(staging) / page.name, html)
                print_pdf(copy, executed.with_suffix(".pdf"))
    except OSError as error:
        raise _unwritten(executed.parent, error) from error


def _unwritten(output: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write to {output} ({error.strerror or error}); mend its rights or make room")


def _error(failure: Failure, notebook: Path, executed: Path) -> FailureError:
    """Return the error that tells a failure."""
    if isinstance(failure, FailureError):
        return failure
    kept = f"the notebook up to there is {executed}"
    if isinstance(failure, Verdict):
        return RunError(f"{notebook.name} was stopped: {failure.reason}; {kept}")
    error = RunError(f"{_why(failure, notebook)}; {kept}", failure.source.strip())
    error.__cause__ = failure
    return error


def _why(failure: Failure, notebook: Path) -> str:
    """Return why a run has stopped, without where what it left lies."""
    if isinstance(failure, PapermillExecutionError):
        told = one_line(f"{failure.ename}: {failure.evalue}")
        return f"cell {failure.exec_count} of {notebook.name} failed with {told}"
    return str(failure)
