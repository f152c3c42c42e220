"""A notebook through Papermill: with a kernel of its own, over sockets that nobody else can enter."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from workbench.core.errors import FailureError, InputError
from workbench.core.files import socket_folder
from workbench.jobs.limits import Watch

# Papermill reports each step to its logger, and nbclient a kernel's death; a run says what it did by itself.
logging.getLogger("papermill").setLevel(logging.CRITICAL)

CUT = "trii_workbench_cut"
"""What our kernels write into the metadata of a message that stands for output that they left out."""

_ENGINE = "trii-workbench"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a notebook is executed.

    Attributes
    ----------
    folder : Path
        The kernel works there.
    name : str
        The notebook's, for an error.
    environment : mapping
        Variables for the kernel, beside those of this process.
    kernel : str, optional
        The kernel's name, if the notebook or somebody else has named one.
    progress : bool
        Show a progress bar on stderr.
    watch : Watch, optional
        Counts what the notebook puts out.
    """

    folder: Path
    name: str
    environment: Mapping[str, str]
    kernel: str | None = None
    progress: bool = False
    watch: Watch | None = None


def execute(
    source: Path, target: Path, parameters: Mapping[str, Any], setting: Setting
) -> PapermillExecutionError | None:
    """Execute ``source`` into ``target``, which is written after each cell.

    Returns
    -------
    PapermillExecutionError, optional
        The error of a failed cell.

    Raises
    ------
    InputError
        For a notebook that names no kernel.
    FailureError
        If the kernel is not there or died.
    """
    name, watch = setting.name, setting.watch
    if not setting.kernel:
        raise InputError(f"{name} names no kernel; open it in JupyterLab and choose one")
    with socket_folder() as sockets:
        # Over IPC nobody else on the host can reach the kernel, and parallel starts do not race for ports.
        private = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/k"}})
        try:
            papermill.execute_notebook(
                _as_it_is(source),
                _as_it_is(target),
                parameters=dict(parameters),
                cwd=setting.folder,
                kernel_name=setting.kernel,
                # The kernel's own: a notebook need not name it, and this may be another kernel than the notebook's.
                language=KernelSpecManager().get_kernel_spec(setting.kernel).language,
                engine_name=_ENGINE,
                progress_bar={"desc": Path(name).stem, "disable": not setting.progress, "leave": False},
                config=private,
                kernel_manager_class=_kernel_manager(setting.environment, watch),
                watch=watch,
            )
        except PapermillExecutionError as error:
            return error
        except NoSuchKernel as error:
            wanted = f"{name} wants the kernel {error.name!r}"
            raise FailureError(f"{wanted}, which is not installed; choose another") from error
        except RuntimeError as error:
            raise FailureError(f"the kernel of {name} died ({error}); try again or give it more memory") from error
    return None


class _Client(PapermillNotebookClient):  # type: ignore[misc] # Papermill has no types
    """Counts what the cells put out."""

    watch: Watch | None = None

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Keep an output while that is allowed."""
        cut = bool(msg.get("metadata", {}).get(CUT))
        if self.watch and not self.watch.count_output(_size(msg["content"]), cut=cut):
            return None
        return super().output(outs, msg, display_id, cell_index)


class _Engine(Engine):  # type: ignore[misc] # Papermill has no types
    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, watch: Watch | None = None, start_timeout: int = 60, **options: Any
    ) -> None:
        """Execute the cells of a notebook."""
        options = {name: options[name] for name in ("config", "kernel_manager_class")}
        client = _Client(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, timeout=None, **options)
        client.watch = watch
        client.execute()


papermill_engines.register(_ENGINE, _Engine)


def _kernel_manager(environment: Mapping[str, str], watch: Watch | None) -> type[AsyncKernelManager]:
    """Return a manager whose kernels have further variables: Papermill itself hands none on."""

    class Manager(AsyncKernelManager):
        async def _async_pre_start_kernel(self, **options: Any) -> Any:
            options["env"] = {**os.environ, **(options.get("env") or {}), **environment}
            return await super()._async_pre_start_kernel(**options)

        pre_start_kernel = _async_pre_start_kernel

        async def _async_post_start_kernel(self, **options: Any) -> None:
            await super()._async_post_start_kernel(**options)
            # The client asks how it ended; whoever asked before would leave it no answer.
            if watch and (pid := getattr(self.provisioner, "pid", None)):
                watch.own.add(pid)

        post_start_kernel = _async_post_start_kernel

    return Manager


def _as_it_is(path: Path) -> str:
    """Return a path as Papermill is to be given it: it would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _size(content: Mapping[str, Any]) -> int:
    """Return about how many bytes the content of a message is."""
    data = content.get("data") or {}
    return sum(len(str(part)) for part in (*data.values(), content.get("text", ""), *content.get("traceback", ())))
