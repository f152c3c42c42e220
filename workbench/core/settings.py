"""One frozen object for every setting: environment (``WORKBENCH_*``), then ``workbench.toml``, then the defaults."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from workbench.core.errors import ParameterError, StoreError
from workbench.core.machine import cores, memory

SECRETS = ("store_url", "database_url", "redis_url", "keys", "providers", "channels")
"""Settings whose values no error repeats."""

FILE = "workbench.toml"


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
    borrow : float
        What borrowed shares cost a year, as a fraction of their value.
    cash : float
        Starting cash of a backtest, in the bars' currency.
    no_browser : bool
        Do not open a browser window when a server starts.
    warm_kernels : bool
        A server keeps a process that has imported the stack, from which kernels start at once; Linux only.
    runs_at_once : int
        How many scheduled runs may be at work at the same time, over all services; the cores but one.
    run_memory, run_disk, run_output : ByteSize
        What a scheduled run may take: memory with all its processes, what it writes to disk, and what its notebook
        prints; ``"8GiB"``. By itself three quarters of the machine's memory, 5 GiB and 10 MiB.
    run_processes : int
        How many processes a scheduled run may have.
    alert_channels : tuple of str
        Where alerts go whose rule names no channels; by itself to JupyterLab alone.
    alert_hosts : tuple of str
        Hosts in a private network to which messages may be sent all the same.
    channels : mapping of str to SecretStr
        The address of each channel: ``WORKBENCH_CHANNELS__MAIL``, or ``[channels]`` of ``workbench.toml``.
    run : str
        The executed notebook of the run that this process is part of; set by ``workbench run``, empty elsewhere.
    store_url : SecretStr, optional
        Where the tables lie instead of the home: ``s3://bucket/prefix`` or ``postgresql://user:password@host/name``.
    database_url : SecretStr, optional
        Where records lie instead of a SQLite file in the home: ``postgresql://user:password@host/name``.
    redis_url : SecretStr, optional
        A Redis through which several processes share quotes and streams.
    keys : mapping of str to SecretStr
        The key of each provider that needs one: ``WORKBENCH_KEYS__FRED``, or ``[keys]`` of ``workbench.toml``.
    providers : mapping of str to mapping of str to str
        Options of providers: ``WORKBENCH_PROVIDERS__FILES__FOLDER``, or ``[providers.files]``.
    """

    model_config = SettingsConfigDict(
        env_prefix="WORKBENCH_",
        toml_file=FILE,
        frozen=True,
        extra="forbid",
        validate_default=True,
        env_nested_delimiter="__",
        hide_input_in_errors=True,
    )

    home: Path = Field(default_factory=default_home)
    dataset: str = "us_equities"
    commission: float = Field(default=0.001, ge=0, lt=1)
    slippage: float = Field(default=0.0005, ge=0, lt=1)
    borrow: float = Field(default=0.01, ge=0, lt=1)
    cash: float = Field(default=100_000.0, gt=0, allow_inf_nan=False)
    no_browser: bool = False
    warm_kernels: bool = True
    runs_at_once: int = Field(default_factory=lambda: max(1, cores() - 1), ge=1)
    run_memory: ByteSize = Field(default_factory=lambda: ByteSize(memory() * 3 // 4), ge=256 << 20)
    run_disk: ByteSize = Field(default=ByteSize(5 << 30), ge=10 << 20)
    run_output: ByteSize = Field(default=ByteSize(10 << 20), ge=1 << 20)
    run_processes: int = Field(default=64, ge=4)
    alert_channels: tuple[str, ...] = ("lab",)
    alert_hosts: tuple[str, ...] = ()
    channels: dict[str, SecretStr] = {}
    run: str = ""
    store_url: SecretStr | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    keys: dict[str, SecretStr] = {}
    providers: dict[str, dict[str, str]] = Field(default={}, repr=False)

    @field_validator("keys", "channels", "store_url", "database_url", "redis_url", mode="after")
    @classmethod
    def _kept_from_others(cls, value: Any, info: ValidationInfo) -> Any:
        path = Path(FILE)
        in_file = bool(value) and path.exists() and info.field_name in tomllib.loads(path.read_text())
        if in_file and path.stat().st_mode & 0o077:
            raise ValueError(f"{path} holds a secret and others can read it: chmod 600 {path}")
        return value

    @field_validator("keys", "channels", "providers", mode="before")
    @classmethod
    def _in_small_letters(cls, value: Any) -> Any:
        # The environment's names arrive so; those of a file should mean the same.
        return {str(name).lower(): each for name, each in value.items()} if isinstance(value, dict) else value

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
        return dict(_variables("WORKBENCH", self.model_dump()))

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
            # A name of its own: several processes start at once.
            tempfile.TemporaryFile(dir=self.home).close()
        except OSError as error:
            reason = error.strerror or error
            message = f"cannot write to the home {self.home} ({reason}); set WORKBENCH_HOME to a writable folder"
            raise StoreError(message) from error
        return self.home


def _variables(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a variable for each value; those of a mapping have the mapping's name and two underscores in front."""
    for name, value in values.items():
        variable = f"{prefix}_{name.upper()}"
        if isinstance(value, Mapping):
            yield from _variables(f"{variable}_", value)
        elif isinstance(value, tuple):
            yield variable, json.dumps(value)
        elif value is not None:
            yield variable, value.get_secret_value() if isinstance(value, SecretStr) else str(value)


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
    except SettingsError as error:
        # Its cause repeats the text.
        raise ParameterError(f"a setting is no JSON object ({error}); mend it or unset it") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        # A misspelt name may hold a key, too.
        told = first["loc"][:1] and first["loc"][0] in {*Settings.model_fields} - {*SECRETS}
        given = f"; given: {first['input']!r}" if told else ""
        message = f"setting {name!r} is not valid ({first['msg']}{given}); mend it or unset it"
        raise ParameterError(message) from error
