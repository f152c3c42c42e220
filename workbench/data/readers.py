"""What the catalogs name in intake: readers that obey the limit of the process, and user parameters.

intake's own readers cannot be given a user parameter in ``read``, and its own parameters expand templates such as
``func(posix:system)`` in the values that they are given: both are made good here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intake.readers.readers import BaseReader, PandasCSV, PandasParquet
from intake.readers.user_parameters import BaseUserParameter

from workbench.core.errors import ParameterError, WorkbenchError
from workbench.core.known import require_no_limit
from workbench.data.addresses import FORMS, as_text, write_address


class ServedParquet(BaseReader):  # type: ignore[misc]
    """Read an answer of the workbench, with the parameters of its entry or those given in ``read``."""

    imports = {"pandas"}  # noqa: RUF012 - intake's own attribute
    func = "pandas:read_parquet"
    output_instance = "pandas:DataFrame"

    def _read(self, url: str, parameters: Mapping[str, Any], **given: Any) -> Any:
        return self._func(write_address(url, {**parameters, **given}))


class StoredCSV(PandasCSV):  # type: ignore[misc]
    """Read a CSV file; not under the limit of the process, as a file does not say when its rows were known."""

    def _read(self, data: Any, **given: Any) -> Any:
        require_no_limit(f"file {data.url}")
        return super()._read(data, **given)

    @property
    def data(self) -> Any:
        """The file, which other readers could read."""
        require_no_limit("the file of this entry")
        return super().data


class StoredParquet(PandasParquet):  # type: ignore[misc]
    """Read a Parquet file; not under the limit of the process."""

    def _read(self, data: Any, **given: Any) -> Any:
        require_no_limit(f"file {data.url}")
        return super()._read(data, **given)

    @property
    def data(self) -> Any:
        """The file, which other readers could read."""
        require_no_limit("the file of this entry")
        return super().data


class Parameter(BaseUserParameter):  # type: ignore[misc]
    """A parameter of an address, checked by ``workbench.data.addresses.FORMS`` before intake looks at its value.

    Parameters
    ----------
    default : str
    description : str
    form : str
        A key of ``FORMS``.
    """

    form: str

    def __init__(self, default: str, description: str = "", form: str = "text") -> None:
        super().__init__(default, description)
        self.form = form

    def set_default(self, value: Any) -> None:
        """Take a value if it can be one.

        Raises
        ------
        ParameterError
            If it cannot.
        """
        try:
            self.default = FORMS[self.form](as_text(value))
        except WorkbenchError as error:
            raise ParameterError(f"parameter {self.form!r}: {error}") from error
