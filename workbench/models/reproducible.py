"""Training that gives the same bits again, and the device that it runs on.

What is set is what PyTorch's notes on reproducibility ask for (https://docs.pytorch.org/docs/stable/notes/randomness.html).
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from operator import index

import numpy as np

from workbench.core.errors import ParameterError
from workbench.core.machine import processors
from workbench.core.plugins import extra

_LARGEST_SEED = 2**32 - 1
"""What NumPy's legacy generator takes; those of Python and PyTorch take more."""


def pick_device() -> str:
    """Return the device to train on: ``"cuda"`` where there is one, else ``"mps"``, else ``"cpu"``.

    CUDA is looked for through the driver's management library (NVML) and not started, so that the process can still
    fork; where that library is missing, PyTorch asks CUDA itself. ``CUDA_VISIBLE_DEVICES`` is obeyed.

    Raises
    ------
    FailureError
        If PyTorch is not installed.
    """
    with extra("models", "training a model"):
        import torch
    # PyTorch reads it at each look; a user's own value is kept.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def describe_device() -> str:
    """Return the device that ``pick_device`` picks, in a few words: ``"cpu (2 cores)"``, ``"cuda (1 GPU)"``.

    The cores are those that this process may run on. The GPUs are counted without starting CUDA, as their names would:
    the process can still fork, and while it is idle it holds none of their memory.

    Raises
    ------
    FailureError
        If PyTorch is not installed.
    """
    device = pick_device()
    if device == "cuda":
        import torch

        count = torch.cuda.device_count()
        return f"cuda ({count} GPU{'s' if count > 1 else ''})"
    if device == "mps":
        return "Apple GPU"
    return processors()


def make_reproducible(seed: int) -> None:
    """Seed every generator of this process, and let PyTorch use deterministic algorithms only.

    Seeded are Python's ``random``, NumPy's legacy global generator and PyTorch's on every device. An operation of
    PyTorch that has no deterministic implementation raises ``RuntimeError`` from then on. Call it before the first work
    on a GPU: cuBLAS reads its setting once.

    The same bits come back on the same machine, device, PyTorch and number of threads: sums of floats depend on how
    they are split, and the number of threads is left alone. The order of a ``set`` of strings depends on
    ``PYTHONHASHSEED``, which only a new process can change. A ``numpy.random.Generator`` has a seed of its own.

    Parameters
    ----------
    seed : int
        From 0 to 4294967295.

    Raises
    ------
    ParameterError
        For another seed; nothing is changed then.
    FailureError
        If PyTorch is not installed.
    """
    number = _checked(seed)
    with extra("models", "reproducible training"):
        import torch
    # Without a workspace of a fixed size cuBLAS, and cuDNN's recurrent layers on it, may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002 - libraries still draw from the global one
    torch.manual_seed(number)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    # It would time several algorithms at the first call and keep the fastest one of that day.
    torch.backends.cudnn.benchmark = False


def _checked(seed: object) -> int:
    """Return a seed as Python's own whole number."""
    if not isinstance(seed, bool | np.bool_):
        with suppress(TypeError):
            number = index(seed)  # type: ignore[arg-type]
            if 0 <= number <= _LARGEST_SEED:
                return number
    raise ParameterError(f"seed {seed!r} is not valid; give a whole number from 0 to {_LARGEST_SEED}")
