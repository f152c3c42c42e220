"""What a table's log tells, without reading the table: for a line that may not cost the import of polars."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from workbench.core.errors import StoreError

APPLICATION = "workbench"
"""The application id of our commits, as ``workbench.data.tables.snapshot`` has it."""


def written(place: Path) -> tuple[int | None, datetime | None] | None:
    """Return the last commit that added rows and the latest ``time`` of these, ``None`` where there is no table.

    Parameters
    ----------
    place : Path
        The table's folder.

    Returns
    -------
    tuple of int and datetime, or None
        The commit is ``None`` where there are no rows; the time (UTC), where no file has statistics.

    Raises
    ------
    StoreError
        If there is one that cannot be read.
    """
    if not (place / "_delta_log").is_dir():
        return None
    try:
        table = DeltaTable(str(place))
        files = pa.table(table.get_add_actions(flatten=True))
    except TableNotFoundError:
        # It is being made.
        return None
    except (DeltaError, OSError) as error:
        # The first line: those after it are places in the library.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise StoreError(
            f"table {place} is damaged ({reason}); restore it, or delete that folder to load it anew"
        ) from error
    latest = pc.max(files["max.time"]).as_py() if "max.time" in files.column_names else None
    return table.transaction_version(APPLICATION), latest
