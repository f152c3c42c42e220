"""A hash of what a function does, so that two results can be told to come from the same code or not.

It covers bytecode, constants, defaults and what the function closes over, and the same of the functions, classes and
values that it names: data by their values, objects by what a copy of them would need. Code that is installed, and
that of the workbench, counts by name and version, unless the function is of the same package. It does not change with
the file, the lines, comments, annotations, the docstring or the process; it may with the version of Python.

Not seen: what is behind a path, a clock or a connection, and what is found by a name made while running.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from workbench.core.contents import UnreadableError, of_numpy, of_pandas, of_xarray

_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(...), type(NotImplemented)})
_LOCKS = frozenset({"lock", "RLock"})
_WORKBENCH = __name__.partition(".")[0]


def code_hash(function: Any) -> str | None:
    """Return the hash of a function, or of any callable, as it is now.

    Parameters
    ----------
    function : callable

    Returns
    -------
    str or None
        16 hexadecimal digits; ``None`` where it holds something whose content cannot be read (an open file, a
        generator, a connection) or imports code of one's own that is not loaded yet: it equals nothing then, not even
        itself.
    """
    try:
        # A chain of objects that is too long to follow has no hash either.
        return _Walk(_package(function)).add(function).digest.hexdigest()[:16]
    except (UnreadableError, RecursionError):
        return None


class _Walk:
    """A walk through all that makes a value what it is.

    Parameters
    ----------
    package : str
        The package whose code counts by what it does though it is installed.
    seen : dict
        What was met already, with its number; kept, so that no address is used twice.
    """

    def __init__(self, package: str, seen: dict[int, tuple[int, Any]] | None = None) -> None:
        self.package, self.seen, self.digest = package, {} if seen is None else seen, sha256()

    def say(self, *words: object) -> None:
        self.digest.update("\0".join(map(str, words)).encode("utf-8", "surrogatepass") + b"\1")

    def add(self, value: Any) -> _Walk:
        kind = type(value)
        if kind in _PLAIN:
            self.say(kind.__name__, repr(value))
        elif kind is tuple:
            self.parts("tuple", value)
        elif kind in (set, frozenset):
            # Their order changes from process to process.
            self.say(kind.__name__, *sorted(self._apart(each) for each in value))
        elif id(value) in self.seen:
            self.say("again", self.seen[id(value)][0])
        else:
            self.seen[id(value)] = len(self.seen), value
            if not self._code(value) and not self._data(value):
                self._object(value)
        return self

    def parts(self, name: str, values: Iterable[Any]) -> None:
        found = list(values)
        self.say(name, len(found))
        if all(type(each) in _PLAIN for each in found):
            self.say(repr(found))
            return
        for each in found:
            self.add(each)

    def _apart(self, value: Any) -> str:
        return _Walk(self.package, dict(self.seen)).add(value).digest.hexdigest()

    def _code(self, value: Any) -> bool:
        """Add a function, a class, or what is made of them; say whether it was one."""
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, CodeType):
            self._bytecode(value)
        elif isinstance(value, ModuleType):
            self.say("module", value.__name__, _version(value.__name__))
        elif isinstance(value, type):
            self._class(value)
        else:
            made_of = _made_of(value)
            if made_of is not None:
                self.parts(type(value).__qualname__, made_of)
            return made_of is not None
        return True

    def _function(self, function: FunctionType) -> None:
        own = self._is_own(function.__module__)
        if not own:
            self._name(function)
            if "<locals>" not in function.__qualname__:
                return
        else:
            code = function.__code__
            if function.__doc__ is not None and code.co_consts[:1] == (function.__doc__,):
                code = code.replace(co_consts=(None, *code.co_consts[1:]))
            self._bytecode(code)
        self.parts("defaults", function.__defaults__ or ())
        self.add(function.__kwdefaults__ or {})
        self.parts("closure", [_content(cell) for cell in function.__closure__ or ()])
        self.add(dict(vars(function)))
        if own:
            names = sorted(set(_names(function.__code__)))
            self._members(function.__globals__, names, set())
            self._imports(function.__code__, names)

    def _bytecode(self, code: CodeType) -> None:
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self.say("code", shape, code.co_code.hex(), code.co_exceptiontable.hex())
        self.say(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        for constant in code.co_consts:
            # Constants are shared or not as the compiler likes: each is told in full.
            self._bytecode(constant) if isinstance(constant, CodeType) else self.add(constant)

    def _members(self, scope: dict[str, Any], names: list[str], entered: set[int]) -> None:
        """Add what a function names, and what it names of its own modules."""
        for name in names:
            if name in scope:
                self.say("name", name)
                self._member(scope[name], names, entered)

    def _member(self, value: Any, names: list[str], entered: set[int]) -> None:
        self.add(value)
        if isinstance(value, ModuleType) and self._is_own(value.__name__) and id(value) not in entered:
            self._members(vars(value), names, entered | {id(value)})

    def _imports(self, code: CodeType, names: list[str]) -> None:
        """Add what a function names of one's own modules that it imports by itself."""
        for name in _imported(code):
            if _is_installed(name.partition(".")[0]):
                continue
            if name not in sys.modules:
                raise UnreadableError(name)
            self._member(sys.modules[name], names, set())

    def _class(self, kind: type) -> None:
        self._name(kind)
        if not self._is_own(kind.__module__):
            return
        self.parts("bases", kind.__bases__)
        for name, value in vars(kind).items():
            told = name.startswith("__") and name.endswith("__")
            if name == "__pydantic_fields__" or (_is_method(value) if told else name != "_abc_impl"):
                self.say("attribute", name)
                self.add(value)

    def _name(self, value: Any) -> None:
        module = getattr(value, "__module__", None) or ""
        self.say(type(value).__name__, module, value.__qualname__, _version(module))

    def _is_own(self, module: str | None) -> bool:
        top = (module or "").partition(".")[0]
        return top == self.package or not _is_installed(top)

    def _data(self, value: Any) -> bool:
        """Add containers and arrays by their values; say whether it was one."""
        kind, module = type(value), type(value).__module__.partition(".")[0]
        if kind is list:
            self.parts("list", value)
        elif kind is dict:
            self.parts("dict keys", value)
            self.parts("dict values", value.values())
        elif module in ("numpy", "pandas", "xarray"):
            told = {"numpy": of_numpy, "pandas": of_pandas, "xarray": of_xarray}[module](value)
            if told is not None:
                self.parts(f"{module} {kind.__qualname__}", told)
            return told is not None
        else:
            return False
        return True

    def _object(self, value: Any) -> None:
        """Add an object by what a copy of it would need, as in the module ``copy``: its class and its state."""
        kind = type(value)
        if kind.__module__ == "_thread" and kind.__qualname__ in _LOCKS:
            self.say(kind.__qualname__)
            return
        reduce = copyreg.dispatch_table.get(kind)
        try:
            found: Any = reduce(value) if reduce else value.__reduce_ex__(4)
        except RecursionError:
            raise
        except Exception as error:
            raise UnreadableError(kind.__qualname__) from error
        self.say("object", kind.__module__, kind.__qualname__)
        if isinstance(found, str):
            # It is the one of its name in its module.
            self.say(getattr(value, "__module__", ""), found)
            return
        make, given, state, items, pairs = (*found, None, None, None)[:5]
        self.parts("made", (kind, make, given, state))
        self.parts("items", () if items is None else items)
        self.parts("pairs", [part for pair in (() if pairs is None else pairs) for part in pair])


def _made_of(value: Any) -> tuple[Any, ...] | None:
    """Return what a callable or a descriptor is made of; ``None`` for anything else."""
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, BuiltinFunctionType):
        owner = value.__self__
        return value.__module__, value.__qualname__, None if isinstance(owner, ModuleType) else owner
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, functools._lru_cache_wrapper) or type(value).__module__.partition(".")[0] == "numba":
        inner = getattr(value, "py_func", getattr(value, "__wrapped__", None))
        # The compiler's options, such as fast mathematics, may change a figure.
        return None if inner is None else (inner, getattr(value, "targetoptions", None))
    return None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is bound later
        return None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _imported(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant)


def _is_method(value: Any) -> bool:
    return isinstance(value, FunctionType | property | classmethod | staticmethod)


def _package(value: Any) -> str:
    top = (getattr(value, "__module__", None) or "").partition(".")[0]
    return "" if top in sys.stdlib_module_names else top


@functools.cache
def _is_installed(top: str) -> bool:
    """Say whether a package is of Python, of the workbench, or lies where packages are installed."""
    if top in sys.stdlib_module_names or top == _WORKBENCH:
        return True
    module = sys.modules.get(top)
    try:
        spec = importlib.util.find_spec(top) if module is None else module.__spec__
    except (ImportError, ValueError):
        return False
    paths = [getattr(module, "__file__", None), getattr(spec, "origin", None)]
    paths += getattr(spec, "submodule_search_locations", None) or ()
    return any({"site-packages", "dist-packages"} & set(Path(path).parts) for path in paths if path)


def _version(module: str) -> str:
    """Return the version that an installed package says it has."""
    top = module.partition(".")[0]
    return str(vars(sys.modules[top]).get("__version__", "")) if top in sys.modules and _is_installed(top) else ""
