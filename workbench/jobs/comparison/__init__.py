"""Two runs side by side."""

from workbench.jobs.comparison.compare import RunComparison, compare_runs

__all__ = ["RunComparison", "compare_runs"]
