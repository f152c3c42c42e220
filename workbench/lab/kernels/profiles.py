"""The kernels of the distribution: what each imports ahead, puts into a notebook's namespace, and computes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from workbench.core.known import limit
from workbench.core.machine import processors

SEED = 0
"""What a TRII PyTorch kernel begins with; ``seed`` in the notebook."""

READ_AHEAD = (".bokeh/bokeh.yaml", ".config/dask", ".config/matplotlib/matplotlibrc")
"""Files and folders in the user's own that libraries read while they are imported: a warm process that was there before
one of them changed is too old."""


def _nothing(*_given: Any) -> None:
    """Do nothing more."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of kernel.

    Attributes
    ----------
    name : str
    title : str
        How Jupyter shows it.
    modules : tuple of str
        What a warm process imports before it forks, in this order. None of them starts a thread, reads a
        setting or opens a file of the user, but for ``READ_AHEAD``.
    prepare : tuple of (str, callable)
        What the notebook's namespace begins with, in parts: what a part is, in words, and what gives its names. Each
        is called in the kernel, forked or cold, and one that fails takes only its own names away. Nothing before
        depends on the user's variables, folder, clock or device.
    device : callable
        Says in words what the kernel computes on.
    needs : tuple of str
        Modules that have to be installed.
    extra : str
        The extra that brings them, empty where none is needed.
    ahead : callable
        Called once the modules are imported: computes what does not depend on the user and what a first call would
        wait for.
    attend : callable
        Given IPython's shell in the kernel, for what goes with each cell.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    prepare: tuple[tuple[str, Callable[[], Mapping[str, Any]]], ...]
    device: Callable[[], str]
    needs: tuple[str, ...] = ()
    extra: str = ""
    ahead: Callable[[], None] = _nothing
    attend: Callable[[Any], object] = _nothing

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return all(find_spec(name) for name in self.needs)


def _workbench() -> dict[str, Any]:
    import workbench as wb

    return {"wb": wb, "bench": wb.open()}


def _pytorch() -> dict[str, Any]:
    from workbench.models import names

    return names(SEED)


def _tracking() -> dict[str, Any]:
    from workbench.core.settings import load_settings
    from workbench.models.tracking import ready

    return {"tracking": ready(load_settings())}


def _torch_device() -> str:
    from workbench.models.reproducible import describe_device

    return describe_device()


def _quantlib() -> dict[str, Any]:
    from workbench.risk.pricing import names

    return names()


def _quantlib_dates(shell: Any) -> object:
    from workbench.risk.pricing.valuation import guard

    return guard(shell, limit)


def _calendar() -> None:
    # Some 23,000 sessions since 1960; the same for everybody.
    from workbench.core.calendar import exchange_calendar

    exchange_calendar("XNYS").closes  # noqa: B018 - kept by the calendar


# Without polars, which starts a thread when it is imported, and without what imports it, TA-Lib and the tables: a
# kernel imports these when it reads its first data and computes its first indicator.
_STACK = (
    # The kernel itself, and what IPython imports with its first cell.
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "IPython.core.completer",
    "IPython.core.magics",
    "jedi",
    "workbench.lab.magics",
    # The bench.
    "workbench",
    "workbench.bench",
    "workbench.data.market",
    "workbench.data.providers.sample",
    "workbench.data.impact",
    "workbench.data.uses",
    "deltalake",
    "dask.array",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
    # Analysis and proof.
    "workbench.analytics.studies",
    "workbench.analytics.patterns",
    "workbench.analytics.fundamentals",
    "workbench.backtest.run",
    "workbench.backtest.trials",
    "workbench.backtest.diff",
    "workbench.backtest.strategies.crosses",
    "workbench.backtest.strategies.reversion",
    "workbench.backtest.strategies.baskets",
    "workbench.backtest.strategies.outside",
    "workbench.backtest.sweeps.sweep",
    "workbench.backtest.sweeps.fused",
    "workbench.backtest.validation.verdict",
    "vectorbt_rust",
    # Pictures.
    "workbench.charts.candles",
    "workbench.charts.performance",
    "workbench.charts.heat",
    "workbench.charts.notebook",
    "workbench.charts.page",
    # Not hvplot.pandas: its import prepares the page, which a notebook has to do itself.
    "hvplot",
    "ipywidgets",
    "pandas.io.formats.style",
)
# Without MLflow: its import reads where runs go, and it imports polars.
_TORCH = (
    "torch",
    "torch.utils.data",
    "torch.utils.tensorboard",
    # What the deterministic algorithms and the first optimizer import.
    "torch._inductor.config",
    "torch._dynamo",
    "workbench.models.reproducible",
    "workbench.models.tracking",
)

_BENCH = ("bench", _workbench)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        each.name: each
        for each in (
            Profile("workbench", "TRII Workbench", _STACK, (_BENCH,), processors, ahead=_calendar),
            Profile(
                "pytorch",
                "TRII PyTorch",
                (*_STACK, *_TORCH),
                (_BENCH, ("torch", _pytorch), ("tracking", _tracking)),
                _torch_device,
                needs=("torch", "tensorboard"),
                extra="models",
                ahead=_calendar,
            ),
            Profile(
                "quantlib",
                "TRII QuantLib",
                (*_STACK, "QuantLib", "workbench.risk.pricing.valuation", "workbench.risk.pricing.conventions"),
                (_BENCH, ("QuantLib", _quantlib)),
                processors,
                needs=("QuantLib",),
                extra="pricing",
                ahead=_calendar,
                attend=_quantlib_dates,
            ),
        )
    }
)
