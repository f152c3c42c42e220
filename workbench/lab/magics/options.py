"""The options of a magic's line, read as a command line is; nothing of them is evaluated."""

from __future__ import annotations

import argparse
import keyword
import shlex
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from workbench.core.errors import ParameterError
from workbench.core.pairs import named, option

SPAN = ("start", "end", "dataset", "adjust", "as_of")
_NUMBERS = ("cash", "commission", "slippage", "borrow", "stop_loss", "take_profit", "trailing_stop")
_WORDS = ("benchmark", "hypothesis", "direction", "fill", "size")


class _Parser(argparse.ArgumentParser):
    """A parser that raises where argparse ends the process."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise ParameterError(f"{self.prog}: {message}; its options are told by {self.prog}?")


def backtest_line(magic: str, line: str) -> dict[str, Any]:
    """Read the line of ``%backtest`` and ``%%backtest``.

    Returns
    -------
    dict
        ``names`` and, where given, ``parameters``, ``output``, and what ``Workbench.backtest`` takes.

    Raises
    ------
    ParameterError
        For an option that there is not, or a value that it cannot have.
    """
    parser = _parser(magic)
    for name in _WORDS:
        parser.add_argument(option(name))
    for name in _NUMBERS:
        parser.add_argument(option(name), type=float)
    parser.add_argument("--shared", action="store_const", const=True)
    return _read(parser, line)


def signals_line(line: str) -> dict[str, Any]:
    """Read the line of ``%signals``; see ``backtest_line``. ``strategy`` is a list.

    Raises
    ------
    ParameterError
    """
    parser = _parser("%signals")
    parser.add_argument("--strategy", action="append")
    return _read(parser, line)


def _parser(magic: str) -> _Parser:
    parser = _Parser(magic)
    parser.add_argument("names", nargs="*")
    parser.add_argument("-p", dest="parameters", action="append", metavar="NAME=VALUE")
    parser.add_argument("-o", dest="output", metavar="NAME")
    for name in SPAN:
        parser.add_argument(option(name))
    return parser


def _read(parser: _Parser, line: str) -> dict[str, Any]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        parser.error(f"{line!r} cannot be read ({error})")
    # Symbols may stand before and after the options.
    given = {name: value for name, value in vars(parser.parse_intermixed_args(words)).items() if value is not None}
    options = {action.dest for action in parser._actions} - {"names", "parameters", "output"}
    given["parameters"] = named(_pairs(given.get("parameters", ())), options)
    if "output" in given:
        _check_output(given["output"])
    return given


def _pairs(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Read texts such as ``fast=20``; the values stay texts, which a strategy's own schema types."""
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier():
            raise ParameterError(f"-p {text} has no name and value; write them as -p fast=20")
        yield name, value


def _check_output(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ParameterError(f"-o {name} can be no variable; give a name, such as -o result")
