"""``workbench://KIND/SOURCE/SUBJECT.parquet?option=value``: the address of an answer, read and written here only.

==============  ==================  ===========  =============================================
kind            source              subject      options
==============  ==================  ===========  =============================================
``bars``        a dataset           ``symbol``   ``start end adjust as_of``
``history``     a provider          ``symbol``   ``start end interval``
``actions``     a provider          ``symbol``   ``start end``
``quotes``      a provider          ``symbols``  (with commas between them)
``statements``  a provider          ``symbol``
``series``      a provider          ``name``     ``start end``
``search``      a provider          ``text``
``news``        a provider          ``text``     ``start end``
==============  ==================  ===========  =============================================

An option that is empty is one that was not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from workbench.core.calendar import instant
from workbench.core.errors import InputError, UnknownNameError
from workbench.core.market import ADJUSTMENTS, INTERVALS, check_symbol

PROTOCOL = "workbench"

SUBJECTS = {
    "bars": "symbol",
    "history": "symbol",
    "actions": "symbol",
    "quotes": "symbols",
    "statements": "symbol",
    "series": "name",
    "search": "text",
    "news": "text",
}
"""What the subject of each kind is called."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "bars": ("start", "end", "adjust", "as_of"),
    "history": ("start", "end", "interval"),
    "actions": ("start", "end"),
    "quotes": (),
    "statements": (),
    "series": ("start", "end"),
    "search": (),
    "news": ("start", "end"),
}

_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*([/:][A-Za-z0-9][A-Za-z0-9._-]*)*")
# Braces, and a name with a parenthesis right behind it, are what intake's templates are made of.
_TEXT = re.compile(r"(?!.*\w\()[^\x00-\x1f\x7f{}]*")
LONGEST_TEXT = 200


def _symbols(value: str) -> str:
    return ",".join(check_symbol(symbol) for symbol in value.split(","))


def _series(value: str) -> str:
    if len(value) > LONGEST_TEXT or not _SERIES.fullmatch(value):
        raise InputError(f"{value!r} is no name of a series; write letters, digits and . _ - / :, such as GDP")
    return value


def _text(value: str) -> str:
    if len(value) > LONGEST_TEXT or not value.strip() or not _TEXT.fullmatch(value):
        raise InputError(
            f"{value!r} cannot be looked for; write 1 to {LONGEST_TEXT} characters, no braces, a space before each ("
        )
    return value


def _date(value: str) -> str:
    if value:
        instant(value)
    return value


def _choice(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value and value not in known:
            raise UnknownNameError(kind, value, known)
        return value

    return check


FORMS: Mapping[str, Callable[[str], str]] = {
    "symbol": check_symbol,
    "symbols": _symbols,
    "name": _series,
    "text": _text,
    "start": _date,
    "end": _date,
    "as_of": _date,
    "adjust": _choice("adjustment", ADJUSTMENTS),
    "interval": _choice("interval", INTERVALS),
}
"""How each parameter of an address is checked: the function returns a value that can be one, or raises."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address whose parts have been checked.

    Attributes
    ----------
    kind : str
        A key of ``SUBJECTS``.
    source : str
        A dataset for bars, else a provider.
    subject : str
    options : mapping of str to str
        Those that were given.
    """

    kind: str
    source: str
    subject: str
    options: Mapping[str, str]


def check_base(base: str) -> tuple[str, str]:
    """Return kind and source of ``KIND/SOURCE``.

    Raises
    ------
    InputError
        If the kind is not known or the source can be no name.
    """
    kind, _, source = base.removeprefix(f"{PROTOCOL}://").partition("/")
    if kind not in SUBJECTS:
        raise UnknownNameError("kind of address", kind, SUBJECTS, where=f"{PROTOCOL}://{base[:LONGEST_TEXT]}")
    if not _SOURCE.fullmatch(source):
        raise InputError(
            f"{source!r} is no name of a dataset or provider; write an address as {PROTOCOL}://bars/yahoo_1d/AAPL.parquet"
        )
    return kind, source


def read_address(path: str) -> Address:
    """Read an address, with ``workbench://`` in front or without.

    Raises
    ------
    InputError
        Naming the part that can be none.
    """
    place, _, query = path.removeprefix(f"{PROTOCOL}://").partition("?")
    kind, source = check_base("/".join(place.split("/", 2)[:2]))
    subject = "".join(place.split("/", 2)[2:])
    if not subject.endswith(".parquet"):
        raise InputError(f"{path!r} names no table; end it with a {SUBJECTS[kind]} and .parquet")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=8)
        checked = FORMS[SUBJECTS[kind]](unquote(subject.removesuffix(".parquet"), errors="strict"))
    except ValueError as error:
        raise InputError(f"{path!r} is no address ({error}); write its options as ?start=2020&end=2021") from error
    return Address(kind, source, checked, _options(kind, pairs))


def _options(kind: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    given = dict(pairs)
    if len(given) != len(pairs):
        raise InputError(f"an option is given twice in {urlencode(pairs)!r}; give it once")
    for name in given:
        if name not in OPTIONS[kind]:
            raise UnknownNameError("option", name, OPTIONS[kind], where=f"an address of {kind}")
    return {name: FORMS[name](value) for name, value in given.items() if value}


def write_address(base: str, parameters: Mapping[str, Any]) -> str:
    """Return the address of ``base`` (``workbench://KIND/SOURCE``) with these parameters.

    Dates may be dates, and ``symbols`` a list. What is ``None`` is left out.

    Raises
    ------
    InputError
        If a parameter is missing, unknown or can be none.
    """
    kind, source = check_base(base)
    subject = SUBJECTS[kind]
    given = {name: as_text(value) for name, value in parameters.items() if value is not None}
    if subject not in given:
        raise InputError(f"{PROTOCOL}://{kind}/{source} needs a {subject}; give one with read({subject}=...)")
    checked = FORMS[subject](given.pop(subject))
    query = urlencode(_options(kind, list(given.items())))
    return f"{PROTOCOL}://{kind}/{source}/{quote(checked, safe='/')}.parquet" + (f"?{query}" if query else "")


def as_text(value: Any) -> str:
    """Return a value as an address has it: dates in ISO 8601, the members of a list with commas between them."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)
