"""The schema of a catalog file: what an entry must say, and all that it may.

An intake entry may name any importable function and any template, so a catalog is code. Here an entry reads a file of
this machine with one of two readers of intake, or an address of ``workbench://`` with ours, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from workbench.core.errors import InputError
from workbench.core.market import FIELDS, INTERVALS, Adjustment
from workbench.data.actions import Reference
from workbench.data.addresses import FORMS, OPTIONS, PROTOCOL, SUBJECTS, check_base

SERVED = "workbench.data.readers:ServedParquet"
Reader = Literal[
    "intake.readers.readers:PandasCSV",
    "intake.readers.readers:PandasParquet",
    "workbench.data.readers:ServedParquet",
]
Datatype = Literal["intake.readers.datatypes:CSV", "intake.readers.datatypes:Parquet"]

Kind = Literal["bars", "series", "feed"]
"""Bars of the store, a table that is read as it is, or what a source answers right now."""

AssetClass = Literal["equity", "etf", "index", "volatility", "commodity", "macro", "any"]
EntryInterval = Literal["1m", "1h", "1d", "1w", "1mo", "1q", "irregular"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A dataset's name: it is also the name of a folder in the store."""

_REFERENCE = re.compile(r"\{data\((\w+)\)\}")
# intake follows a reference without braces, too, wherever a text begins with one.
_BARE_REFERENCE = re.compile(r"\{?data\(")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Layout(_Strict):
    """How a source's table becomes rows of symbol, time and fields.

    A table with ``symbol`` (a column) or ``fixed_symbol`` has one column per field; one with neither has one column
    per symbol, and its cells are closes.
    """

    date: str
    symbol: str | None = None
    fixed_symbol: str | None = None
    adjusted_close: str | None = Field(default=None, description="column with splits and dividends taken out")
    adjusted_close_decimals: int | None = Field(default=None, description="to how many decimals it is rounded")
    adjusted_by: Reference = Field(default="ex_close", description="which close a dividend was related to")


class EntryMetadata(_Strict):
    """What every entry says about itself."""

    kind: Kind
    description: str = Field(min_length=10)
    source: str
    licence: str
    asset_class: AssetClass
    interval: EntryInterval
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    calendar: str = Field(pattern=r"^[A-Z]{4}$", description="an exchange by its ISO 10383 code, such as XNYS")
    provider: str = "sample"
    fields: tuple[str, ...] = Field(min_length=1)
    adjustment: Adjustment = "none"
    layout: Layout | None = None

    @model_validator(mode="after")
    def _bars_are_complete(self) -> EntryMetadata:
        if self.kind != "bars":
            return self
        if (self.layout is None and self.provider == "sample") or not set(self.fields) <= set(FIELDS):
            raise ValueError(f"an entry of kind 'bars' needs a layout and fields out of {', '.join(FIELDS)}")
        if self.layout is not None and self.interval != "1d":
            raise ValueError("an entry of kind 'bars' that reads a table has daily bars; keep others as kind 'series'")
        if self.interval not in INTERVALS:
            raise ValueError(f"an entry of kind 'bars' has an interval out of {', '.join(INTERVALS)}")
        return self


class Parameter(_Strict):
    """A user parameter; its values are checked by ``workbench.data.addresses.FORMS``."""

    cls: Literal["workbench.data.readers:Parameter"]
    form: str
    description: str = Field(min_length=3)
    default: str

    @model_validator(mode="after")
    def _default_can_be_one(self) -> Parameter:
        if self.form not in FORMS:
            raise ValueError(f"form {self.form!r} is none of {', '.join(FORMS)}")
        _checked(self.form, self.default)
        return self


class Data(_Strict):
    """A file that an entry reads."""

    datatype: Datatype
    kwargs: dict[str, Any]
    metadata: dict[str, Any] = {}
    user_parameters: dict[str, Any] = Field(default={}, max_length=0)

    @field_validator("kwargs")
    @classmethod
    def _is_on_this_machine(cls, kwargs: dict[str, Any]) -> dict[str, Any]:
        check_texts(kwargs, references=())
        return kwargs


class Served(_Strict):
    """What a reader of ``workbench://`` is told: a kind and a source, and the parameters of the address.

    The parameters lie one level down: intake takes an argument with the name of a user parameter for its value.
    """

    url: str
    parameters: dict[str, str]

    @model_validator(mode="after")
    def _can_be_an_address(self) -> Served:
        if not self.url.startswith(f"{PROTOCOL}://"):
            raise ValueError(f"{self.url!r} is no address; write {PROTOCOL}://KIND/SOURCE")
        kind, _ = self.place
        taken = (SUBJECTS[kind], *OPTIONS[kind])
        for name, value in self.parameters.items():
            if name not in taken:
                raise ValueError(f"{name!r} is no parameter of {kind}; it takes {', '.join(taken)}")
            if name not in self.templates:
                _checked(name, value)
        return self

    @property
    def place(self) -> tuple[str, str]:
        """Kind and source."""
        try:
            return check_base(self.url)
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def templates(self) -> set[str]:
        """The parameters whose values are user parameters: ``{name}`` of their own name."""
        return {name for name, value in self.parameters.items() if value == f"{{{name}}}"}


class Entry(_Strict):
    """What is read, how, and with which parameters."""

    reader: Reader
    kwargs: dict[str, Any]
    metadata: EntryMetadata
    output_instance: Literal["pandas:DataFrame"] = "pandas:DataFrame"
    user_parameters: dict[Name, Parameter] = {}

    @property
    def is_served(self) -> bool:
        """Whether it reads an address of ``workbench://``."""
        return self.reader == SERVED

    @model_validator(mode="after")
    def _kind_and_reader_agree(self) -> Entry:
        kind, layout = self.metadata.kind, self.metadata.layout
        if self.is_served:
            self._check_served(Served.model_validate(self.kwargs))
        elif self.user_parameters:
            raise ValueError(f"user_parameters: only an entry with the reader {SERVED} has parameters; remove them")
        elif kind == "feed" or (kind == "bars" and layout is None):
            raise ValueError(f"kind {kind!r} without a layout needs the reader {SERVED}")
        return self

    def _check_served(self, served: Served) -> None:
        for name in sorted(served.templates ^ set(self.user_parameters)):
            raise ValueError(f"{name!r} is to be declared in user_parameters and to stand as '{{{name}}}' in kwargs")
        for name, parameter in self.user_parameters.items():
            if parameter.form != name:
                raise ValueError(f"user_parameters: {name!r} has the form {parameter.form!r}; its form is its own name")
        if self.metadata.layout is not None or self.metadata.kind == "series":
            raise ValueError(f"an address of {PROTOCOL}:// is of kind 'bars' without a layout, or of kind 'feed'")
        kind, source = served.place
        if kind != "bars" and source != self.metadata.provider:
            raise ValueError(f"metadata: provider {self.metadata.provider!r} differs from {source!r} of the url")


class CatalogFile(_Strict):
    """A whole file."""

    version: Literal[2]
    entries: dict[Name, Entry]
    data: dict[Name, Data] = {}
    metadata: dict[str, Any] = {}
    aliases: dict[Name, Name] = {}
    user_parameters: dict[str, Any] = Field(default={}, max_length=0)

    @model_validator(mode="after")
    def _names_are_clear(self) -> CatalogFile:
        for alias, name in self.aliases.items():
            if name not in self.entries:
                raise ValueError(f"alias {alias!r} leads to {name!r}, which is no entry")
            if alias in self.data or (alias in self.entries and alias != name):
                raise ValueError(f"alias {alias!r} is the name of something else; rename it")
        for name in self.entries:
            if name in self.data:
                raise ValueError(f"{name!r} is the name of an entry and of its data; rename one")
        return self

    @model_validator(mode="after")
    def _nothing_else_is_reached(self) -> CatalogFile:
        for name, entry in self.entries.items():
            if entry.is_served:
                self._check_bars(name, entry)
                continue
            try:
                check_texts(entry.kwargs, references=self.data)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        every = [self.metadata, *(data.metadata for data in self.data.values())]
        every += [entry.metadata.model_dump() for entry in self.entries.values()]
        for text in strings(every):
            if _BARE_REFERENCE.match(text):
                raise ValueError(f"metadata: {text!r} is a template; write plain text")
        return self

    @staticmethod
    def _check_bars(name: str, entry: Entry) -> None:
        if entry.metadata.kind == "bars" and entry.kwargs["url"] != f"{PROTOCOL}://bars/{name}":
            raise ValueError(f"{name}: an entry of kind 'bars' without a layout has the url {PROTOCOL}://bars/{name}")


def check_texts(kwargs: dict[str, Any], references: Iterable[str]) -> None:
    """Raise ``ValueError`` for a template, but ``{data(name)}`` of ``references``, and for what is elsewhere."""
    for text in strings(kwargs):
        found = _REFERENCE.fullmatch(text)
        if ("{" in text or _BARE_REFERENCE.match(text)) and not (found and found[1] in references):
            raise ValueError(f"{text!r} is a template; only {{data(name)}} of this file is allowed, in an entry")
        if "::" in text or ("://" in text and not text.startswith(("package://", "file://"))):
            raise ValueError(
                f"{text!r} is not on this machine; name a file, or package://, or read {PROTOCOL}:// with {SERVED}"
            )


def strings(value: Any) -> Iterable[str]:
    """Yield every text in nested mappings and sequences, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def _checked(form: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{form}: {value!r} is no text; put it in quotes")
    try:
        FORMS[form](value)
    except InputError as error:
        # pydantic gathers ValueErrors and adds where they are.
        raise ValueError(f"{form}: {error}") from error
