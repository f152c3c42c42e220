"""Small notebooks to run."""

from __future__ import annotations

from small_notebooks import notebook  # noqa: F401
