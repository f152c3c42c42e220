"""The wiring: one object that builds the parts and hands them down. No formulas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.bench.alerting import Alerting
from workbench.bench.analysis import Analysis
from workbench.bench.drawing import Drawing
from workbench.bench.proof import Proof
from workbench.core.settings import Settings, load_settings

if TYPE_CHECKING:
    from workbench.jobs.run import Run


class Workbench(Proof, Alerting, Analysis, Drawing):
    """Everything that a researcher, a dashboard or a command asks for.

    Data come from ``Desk``, backtests from ``Research``, what proves them from ``Proof``, indicators, patterns and
    fundamentals from ``Analysis``, pictures from ``Drawing``, schedules and their runs from ``Running``,
    reported signals and what rules say of bars from ``Watching``, rules that are rehearsed and armed, channels and
    messages from ``Alerting``.
    """

    def run(
        self,
        notebook: str | Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        output: str | Path | None = None,
        progress: bool = True,
        show_code: bool = False,
    ) -> Run:
        """Run a notebook with parameters and keep it beside its HTML report; see ``workbench.jobs.run.run``."""
        from workbench.jobs.run import run

        self.settings.require_home()
        folder = Path(output or self.settings.reports)
        own: dict[str, Any] = {"environment": self.settings.environment(), "clock": self.clock}
        return run(Path(notebook), parameters or {}, folder, progress=progress, show_code=show_code, **own)


def open_workbench(settings: Settings | None = None, **overrides: Any) -> Workbench:
    """Open a workbench, and let the running notebook draw without the network.

    Parameters
    ----------
    settings : Settings, optional
        Read from ``WORKBENCH_*`` and ``workbench.toml`` where ``None``.
    overrides
        Single settings, such as ``home="..."``.

    Raises
    ------
    ParameterError
        If a setting is not valid.
    """
    from workbench.charts.notebook import register

    register()
    return Workbench(settings or load_settings(**overrides))
