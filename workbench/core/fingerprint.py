"""A fingerprint of what a function does, so that two results can be told to come from the same code or not.

It covers bytecode, constants, names, defaults and what the function closes over, and the same of the functions and
plain values of its own package that it names. It does not change with the file, the lines, comments, annotations, the
docstring or the process; it may with the version of Python, which a provenance carries beside it.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
Seen = dict[int, Any]
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def code_hash(function: Any) -> str:
    """Return the fingerprint of a function, or of any callable, as 16 hexadecimal digits."""
    digest = sha256()
    for token in _tokens(function, {}):
        digest.update(token.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def _tokens(value: Any, seen: Seen) -> Iterator[str]:
    """Yield what makes a value what it is; ``seen`` keeps what was told already, as functions may name each other."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, CodeType):
        yield from _of_code(value, seen)
    elif isinstance(value, ModuleType | type | BuiltinFunctionType):
        yield f"{getattr(value, '__module__', '')} {getattr(value, '__qualname__', value.__name__)}"
    elif isinstance(value, tuple):
        yield from _of_parts("tuple", value, seen)
    elif isinstance(value, set | frozenset):
        # Their order changes from process to process.
        yield f"{type(value).__name__} {sorted(map(repr, value))}"
    elif id(value) in seen:
        yield "again"
    else:
        seen[id(value)] = value
        yield from _of_function(value, seen) if isinstance(value, FunctionType) else _of_object(value, seen)


def _of_object(value: Any, seen: Seen) -> Iterator[str]:
    kind = type(value).__qualname__
    if isinstance(value, MethodType):
        yield from _of_parts(kind, (value.__func__, value.__self__), seen)
    elif isinstance(value, functools.partial):
        yield from _of_parts(kind, (value.func, value.args, value.keywords), seen)
    elif is_dataclass(value):
        yield from _of_parts(kind, [getattr(value, each.name) for each in fields(value)], seen)
    elif isinstance(value, Mapping):
        yield from _of_parts(kind, [part for pair in value.items() for part in pair], seen)
    elif isinstance(value, list):
        yield from _of_parts(kind, value, seen)
    elif hasattr(value, "tobytes") and hasattr(value, "dtype"):
        yield f"{kind} {value.dtype} {getattr(value, 'shape', ())} {value.tobytes().hex()}"
    else:
        yield f"{kind} {_ADDRESS.sub('', repr(value))}"


def _of_parts(name: str, parts: Any, seen: Seen) -> Iterator[str]:
    yield f"{name} {len(parts)}"
    for part in parts:
        yield from _tokens(part, seen)


def _of_function(function: FunctionType, seen: Seen) -> Iterator[str]:
    inner = inspect.unwrap(function)
    if inner is not function:
        yield from _tokens(inner, seen)
    code = function.__code__
    if function.__doc__ is not None and code.co_consts[:1] == (function.__doc__,):
        code = code.replace(co_consts=(None, *code.co_consts[1:]))
    yield from _of_code(code, seen)
    yield from _of_parts("defaults", function.__defaults__ or (), seen)
    yield from _tokens(function.__kwdefaults__ or {}, seen)
    yield from _of_parts("closure", [_content(cell) for cell in function.__closure__ or ()], seen)
    for name, value in _named(function):
        yield name
        yield from _tokens(value, seen)


def _of_code(code: CodeType, seen: Seen) -> Iterator[str]:
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield f"code {shape} {code.co_code.hex()} {code.co_exceptiontable.hex()}"
    yield f"{code.co_names} {code.co_varnames} {code.co_freevars} {code.co_cellvars}"
    for constant in code.co_consts:
        yield from _tokens(constant, seen)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is bound later
        return None


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a function names of its own package: functions, plain values, and those of its modules."""
    package = (function.__module__ or "").partition(".")[0]
    names = sorted(set(_names(function.__code__)))
    own = {name: function.__globals__[name] for name in names if name in function.__globals__}
    for name, value in own.items():
        if isinstance(value, ModuleType) and value.__name__.partition(".")[0] == package:
            inner = {each: vars(value)[each] for each in names if each in vars(value)}
            yield from ((f"{name}.{each}", found) for each, found in inner.items() if _is_own(found, package))
        elif _is_own(value, package):
            yield name, value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_own(value: Any, package: str) -> bool:
    if isinstance(value, FunctionType):
        return (value.__module__ or "").partition(".")[0] == package
    return isinstance(value, (*_PLAIN, tuple, frozenset))
