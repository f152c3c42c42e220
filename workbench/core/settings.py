"""One frozen object for every setting: environment (``WORKBENCH_*``), then ``workbench.toml``, then the defaults."""

from __future__ import annotations

from pathlib import Path
from tomllib import TOMLDecodeError

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from workbench.core.errors import ParameterError, StoreError


def default_home() -> Path:
    """Return the folder for state when none is set, by the platform's own custom."""
    from platformdirs import user_data_path

    return user_data_path("trii-workbench", appauthor=False)


class Settings(BaseSettings):
    """Settings of one workbench.

    Attributes
    ----------
    home : Path
        State: the bar store, reports, the workspace, the Jupyter configuration of the distribution.
    dataset : str
        The dataset that is meant where none is named.
    commission, slippage : float
        Costs per order as fractions of its value; 0.001 is 10 basis points.
    cash : float
        Starting cash of a backtest, in the bars' currency.
    no_browser : bool
        Do not open a browser window when a server starts.
    """

    model_config = SettingsConfigDict(
        env_prefix="WORKBENCH_", toml_file="workbench.toml", frozen=True, extra="forbid", validate_default=True
    )

    home: Path = Field(default_factory=default_home)
    dataset: str = "us_equities"
    commission: float = Field(default=0.001, ge=0, lt=1)
    slippage: float = Field(default=0.0005, ge=0, lt=1)
    cash: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    no_browser: bool = False

    @field_validator("home", mode="after")
    @classmethod
    def _expanded(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def environment(self) -> dict[str, str]:
        """Return these settings as variables, for a process that must have the same ones."""
        return {f"WORKBENCH_{name.upper()}": str(value) for name, value in self.model_dump(mode="json").items()}

    @property
    def store(self) -> Path:
        """Where the bar tables lie."""
        return self.home / "store"

    @property
    def workspace(self) -> Path:
        """Root of the file browser in JupyterLab: notebooks and reports."""
        return self.home / "workspace"

    @property
    def reports(self) -> Path:
        """Where runs leave their notebooks and reports."""
        return self.workspace / "reports"

    def require_home(self) -> Path:
        """Create the home if need be and return it.

        Raises
        ------
        StoreError
            If it cannot be created or written.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            probe = self.home / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or error
            message = f"cannot write to the home {self.home} ({reason}); set WORKBENCH_HOME to a writable folder"
            raise StoreError(message) from error
        return self.home


def load_settings(**overrides: object) -> Settings:
    """Read the settings.

    Raises
    ------
    ParameterError
        If a value in the environment, in ``workbench.toml`` or in ``overrides`` is not valid.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except TOMLDecodeError as error:
        raise ParameterError(f"workbench.toml is no valid TOML ({error}); mend it") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        message = f"setting {name!r} is not valid ({first['msg']}; given: {first['input']!r}); mend it or unset it"
        raise ParameterError(message) from error
