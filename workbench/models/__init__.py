"""Models: training that gives the same bits again, and what is kept of it. PyTorch and MLflow nowhere else."""

from __future__ import annotations

from typing import Any


def names(seed: int) -> dict[str, Any]:
    """Make this process reproducible and return what a notebook that trains starts with, by name.

    These are PyTorch itself, the ``device`` to train on and the ``seed``; ``tracking.ready`` gives where to write.

    Raises
    ------
    ParameterError
        For a seed that is none.
    FailureError
        If PyTorch is not installed.
    """
    from workbench.models.reproducible import make_reproducible, pick_device

    make_reproducible(seed)
    # Not before that, which says what to install.
    import torch

    return {"torch": torch, "device": torch.device(pick_device()), "seed": seed}
