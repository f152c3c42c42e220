"""One run of a notebook: load, check, execute, keep, raise."""

from __future__ import annotations

import logging
import os
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from workbench.core.clock import Clock, utc_now
from workbench.core.errors import FailureError, InputError, RunError, StoreError
from workbench.core.files import replace_file, socket_folder
from workbench.core.provenance import code_version, library_versions
from workbench.jobs.parameters import check_parameters
from workbench.jobs.report import report_html

# Papermill reports each step to its logger, and nbclient a kernel's death; a run says what it did by itself.
logging.getLogger("papermill").setLevel(logging.CRITICAL)


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


def run(
    notebook: Path,
    parameters: Mapping[str, Any],
    output: Path,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock = utc_now,
    progress: bool = True,
    show_code: bool = False,
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

    Returns
    -------
    Run

    Raises
    ------
    InputError, ParameterError, UnknownNameError
        For a file that is no notebook, or parameters that it does not take.
    RunError
        If a cell failed; names the cell, its error and the partial notebook.
    FailureError
        If the kernel is not there or died.
    """
    # Absolute: the kernel works in the notebook's folder.
    notebook, output = notebook.resolve(), output.resolve()
    source = _load(notebook)
    values = check_parameters(source, parameters, notebook.name)
    started = clock()
    name = f"{notebook.stem}-{started:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    executed, page = output / f"{name}.ipynb", output / f"{name}.html"
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".run-", dir=output) as staging:
            own = {**(environment or {}), "WORKBENCH_RUN": str(executed)}
            failure = _execute(notebook, Path(staging) / executed.name, values, own, progress)
            result = nbformat.read(Path(staging) / executed.name, as_version=4)
    except OSError as error:
        raise StoreError(f"cannot write to {output} ({error.strerror or error}); choose another --output") from error
    result.metadata["trii_workbench"] = {
        "run": name,
        "parameters": values,
        "started": started.isoformat(),
        "finished": (finished := clock()).isoformat(),
        "state": "failed" if failure else "succeeded",
        "code": code_version(),
        "libraries": library_versions(),
    }
    html = report_html(result, notebook.stem, show_code=show_code)
    try:
        replace_file(executed, nbformat.writes(result))
        replace_file(page, html)
    except OSError as error:
        raise StoreError(f"cannot write to {output} ({error.strerror or error}); choose another --output") from error
    if failure:
        raise _run_error(failure, notebook, executed) from failure
    return Run(name, notebook, values, started, finished, executed, page)


def _load(path: Path) -> NotebookNode:
    if not path.is_file():
        raise InputError(f"there is no notebook {path}; give the path of an .ipynb file")
    try:
        found: NotebookNode = nbformat.read(path, as_version=4)
        return found
    except (OSError, ValueError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise InputError(
            f"{path} is no notebook ({' '.join(str(error).split())[:120]}); give an .ipynb file"
        ) from error


def _execute(
    notebook: Path, target: Path, parameters: Mapping[str, Any], environment: Mapping[str, str], progress: bool
) -> PapermillExecutionError | None:
    """Execute into ``target``; return the error of a failed cell."""
    with socket_folder() as sockets:
        # Over IPC nobody else on the host can reach the kernel, and parallel starts do not race for ports.
        private = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}})
        try:
            papermill.execute_notebook(
                notebook,
                target,
                parameters=dict(parameters),
                cwd=notebook.parent,
                progress_bar={"desc": notebook.stem, "disable": not progress, "leave": False},
                config=private,
                kernel_manager_class=_kernel_manager(environment),
            )
        except PapermillExecutionError as error:
            return error
        except NoSuchKernel as error:
            raise FailureError(
                f"{notebook.name} wants the kernel {error.name!r}, which is not installed; choose another"
            ) from error
        except ValueError as error:
            if "kernel name" not in str(error):
                raise
            raise InputError(f"{notebook.name} names no kernel; open it in JupyterLab and choose one") from error
        except RuntimeError as error:
            raise FailureError(
                f"the kernel of {notebook.name} died ({error}); try again or give it more memory"
            ) from error
    return None


def _kernel_manager(environment: Mapping[str, str]) -> type[AsyncKernelManager]:
    """Return a manager whose kernels have further variables: Papermill itself hands none on."""

    class Manager(AsyncKernelManager):
        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            options["env"] = {**os.environ, **(options.get("env") or {}), **environment}
            return await super()._async_pre_start_kernel(**options)

        pre_start_kernel = _async_pre_start_kernel

    return Manager


def _run_error(failure: PapermillExecutionError, notebook: Path, executed: Path) -> RunError:
    head = f"cell {failure.exec_count} of {notebook.name} failed with {failure.ename}: {failure.evalue}"
    return RunError(f"{head}; the notebook up to there is {executed}", failure.source.strip())
