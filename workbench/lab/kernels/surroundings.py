"""What a kernel takes over from whoever starts it, and what of that a fork cannot take over.

A kernel that is forked from a warm process must be the kernel that its starter would have started itself: same user,
same limits, same variables. What a fork can set, it sets (``Circumstances``). What is fixed once a process runs, or
once a library is loaded, is part of the key under which a warm process is looked for: one with other limits, in
another control group or with another ``OMP_NUM_THREADS`` is never found.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

READ_AT_IMPORT = (
    *("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_", "_RJEM_", "JE_ARROW_", "ARROW_"),
    *("OMP_", "OPENBLAS_", "GOTO_", "BLIS_", "MKL_", "KMP_", "GOMP_", "NUMEXPR_", "NUMBA_", "NUMPY_", "NPY_"),
    *("TORCH", "PYTORCH_", "CUDA_", "CUBLAS_", "NVIDIA_", "HIP_", "ROCR_", "XLA_", "TF_", "POLARS_", "RAYON_"),
    *("BOKEH_", "PANEL_", "HOLOVIEWS", "HVPLOT_", "PLOTLY_", "MPL", "MATPLOTLIBRC", "PARAM_", "VSCODE_"),
    *("PANDAS_", "SCIPY_", "SKLEARN_", "JOBLIB_", "LOKY_", "DASK_", "FSSPEC_", "INTAKE_", "PYDANTIC_"),
    *("JUPYTER_WIDGETS_", "PYDEVD_", "HOME", "XDG_CONFIG_", "XDG_CACHE_"),
)
"""Variables that libraries and the interpreter read while they load; matched by their beginning."""

INLINE = "module://matplotlib_inline.backend_inline"
SET_BY_OTHERS = {
    "MPLBACKEND": INLINE,
    "KMP_DUPLICATE_LIB_OK": "True",
    "KMP_INIT_AT_FORK": "FALSE",
    "PYDEVD_USE_FRAME_EVAL": "NO",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
"""What ipykernel, threadpoolctl, debugpy and a TRII PyTorch kernel set where nothing else is: whether the asker is a
kernel itself makes no difference."""

READ_LATER = {"TORCHINDUCTOR_CACHE_DIR"}
"""What begins like a variable of ``READ_AT_IMPORT`` and is read at each use; PyTorch also sets it, from ``TMPDIR``."""

LIMITS = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
STATUS = ("Uid", "Gid", "Groups", "CapEff", "NoNewPrivs", "Seccomp")


def surroundings_key(profile: str, environment: Mapping[str, str]) -> str:
    """Return the name of the warm process that may fork a kernel for this process.

    Parameters
    ----------
    profile : str
        See ``workbench.lab.kernels.profiles``.
    environment : mapping
        The variables of the kernel to be.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    OSError
        If this system does not tell what a process is like.
    """
    variables = {**SET_BY_OTHERS, **environment}
    fixed = {
        "profile": profile,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "interpreter": [sys.executable, sys.version],
        "user": [os.getuid(), os.geteuid(), os.getgid(), sorted(os.getgroups())],
        "inherited": _inherited(os.getpid()),
        "variables": {name: variables[name] for name in sorted(variables) if _read_at_import(name)},
    }
    return hashlib.sha256(json.dumps(fixed).encode()).hexdigest()[:32]


def _read_at_import(name: str) -> bool:
    return name.startswith(READ_AT_IMPORT) and name not in READ_LATER


def apart(pid: int) -> str | None:
    """Return in what another process differs from this one, of what it would give to a kernel that it starts itself.

    The key is a name, which anybody can read in the folder of the sockets; this is the check of who comes with it.

    Parameters
    ----------
    pid : int
        0, as the kernel says it of a process in another namespace, is one that cannot be looked at.

    Returns
    -------
    str or None
        The first difference in a word or two; ``None`` where there is none.
    """
    try:
        theirs = _inherited(pid)
    except OSError:
        return "process, not to be looked at"
    own = _inherited(os.getpid())
    return next((name for name in own if own[name] != theirs[name]), None)


def _inherited(pid: int) -> dict[str, object]:
    """Return what a process has from whoever started it, and what no fork could change."""
    process = Path(f"/proc/{pid}")
    status = _status(process)
    return {
        "namespaces": [str((process / "ns" / name).readlink()) for name in NAMESPACES],
        "control group": (process / "cgroup").read_text(),
        # A sandbox may leave out lines; then it does so for everybody.
        "rights": [status.get(name, "") for name in STATUS],
        "hard limits": {name: resource.prlimit(pid, getattr(resource, name))[1] for name in LIMITS},
        # The C library has taken the size of a thread's stack from it, OpenMP and numba their number of threads.
        "stack": resource.prlimit(pid, resource.RLIMIT_STACK)[0],
        "processors": sorted(os.sched_getaffinity(pid)),
        "niceness": os.getpriority(os.PRIO_PROCESS, pid),
        "out of memory": (process / "oom_score_adj").read_text().strip(),
    }


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a forked kernel sets to what it is in the process that asked for it.

    Attributes
    ----------
    environment : dict
        All variables.
    folder : str
        Working folder.
    umask : int
    limits : dict
        Soft limits by their name.
    """

    environment: dict[str, str]
    folder: str
    umask: int
    limits: dict[str, int]

    @classmethod
    def here(cls, environment: Mapping[str, str], folder: str | None) -> Circumstances:
        """Return those of this process, for a kernel with these variables and this folder.

        Raises
        ------
        OSError
            If this system does not tell the umask.
        """
        umask = _status(Path("/proc/self")).get("Umask")
        if umask is None:
            raise OSError("this system does not tell the umask of a process")
        return cls(
            environment=dict(environment),
            folder=str(folder or Path.cwd()),
            umask=int(umask, 8),
            limits={name: resource.getrlimit(getattr(resource, name))[0] for name in LIMITS},
        )

    def as_json(self) -> dict[str, object]:
        """Return plain values; ``Circumstances(**values)`` is the way back."""
        return asdict(self)

    def take_over(self) -> None:
        """Set them in this process."""
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
        os.chdir(self.folder)
        os.umask(self.umask)
        for name, soft in self.limits.items():
            kind = getattr(resource, name)
            resource.setrlimit(kind, (soft, resource.getrlimit(kind)[1]))


def _status(process: Path) -> dict[str, str]:
    lines = (process / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
