"""The one environment in which notebooks run: this one."""

from __future__ import annotations

from jupyter_scheduler.environments import EnvironmentManager
from jupyter_scheduler.models import RuntimeEnvironment

from workbench.lab.jobs.describing import ENVIRONMENT, LABELS


class WorkbenchEnvironments(EnvironmentManager):  # type: ignore[misc]
    """Lists it, with the formats that can be made here."""

    def list_environments(self) -> list[RuntimeEnvironment]:
        """Return it."""
        from workbench.jobs.formats import available

        return [
            RuntimeEnvironment(
                name=ENVIRONMENT,
                label="TRII Workbench",
                description="The environment of this server; a notebook's own kernel runs it",
                file_extensions=["ipynb"],
                output_formats=list(available()),
                metadata={},
                utc_only=False,
            )
        ]

    def manage_environments_command(self) -> str:
        """Return none: there is nothing to manage."""
        return ""

    def output_formats_mapping(self) -> dict[str, str]:
        """Return the formats' names for people."""
        return dict(LABELS)
