"""Where the tables lie: in the home, on S3 or in PostgreSQL, as the settings say."""

from __future__ import annotations

import os

from workbench.core.errors import ParameterError
from workbench.core.plugins import extra
from workbench.core.settings import Settings
from workbench.data.tables.base import Tables


def open_tables(settings: Settings) -> Tables:
    """Return the place of the tables.

    Raises
    ------
    ParameterError
        If ``store_url`` is none that is known.
    """
    if settings.store_url is None:
        from workbench.data.tables.delta import DeltaTables

        settings.require_home()
        return DeltaTables(settings.store)
    url = settings.store_url.get_secret_value()
    if url.startswith("s3://"):
        from workbench.data.tables.delta import DeltaTables

        return DeltaTables(url, {name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    if url.startswith(("postgresql://", "postgres://")):
        with extra("servers", "PostgreSQL"):
            from workbench.data.tables.postgres import PostgresTables

        return PostgresTables(settings.store_url)
    raise ParameterError("the setting 'store_url' begins with neither s3:// nor postgresql://; mend it or unset it")
