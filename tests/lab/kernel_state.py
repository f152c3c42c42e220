"""What a notebook can see of the process that it runs in; the text is a cell."""

STATE = """
import importlib, json, locale, logging, multiprocessing, os, re, resource, signal, sys, tempfile, threading, warnings
from pathlib import Path
# So that both have imported the same, whatever one of them had imported before.
from workbench.lab.kernels.profiles import PROFILES
for _each in PROFILES["workbench"].modules:
    importlib.import_module(_each)
PROFILES["workbench"].ahead()
import matplotlib, numba, numpy, scipy.linalg, threadpoolctl
def _status(*names):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [lines[name].strip() for name in names]
def _plain(argument):
    return re.sub(r".*[.]json$", "CONNECTION", argument)
_state = {
    "environment": {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"},
    "folder": os.getcwd(),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT" in name},
    "status": _status("Umask", "Uid", "Gid", "Groups", "CapEff", "NoNewPrivs", "SigBlk", "SigIgn", "SigCgt",
                      "Cpus_allowed_list"),
    "niceness": os.nice(0),
    "own session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
    "arguments": [_plain(each) for each in sys.argv],
    "path": sys.path,
    "flags": list(sys.flags),
    "recursion": sys.getrecursionlimit(),
    "main": sorted(name for name in vars(sys.modules["__main__"]) if not re.match("_i?[0-9]", name)),
    "main's file": getattr(sys.modules["__main__"], "__file__", None),
    "encodings": [locale.getlocale(), sys.stdout.encoding, sys.getfilesystemencoding()],
    "input": os.read(0, 1).decode(),
    "temporary": tempfile.gettempdir(),
    "handlers": [str(each) for each in logging.root.handlers],
    "log levels": [logging.root.level, logging.getLogger("workbench.kernels").level],
    # The order in which libraries were loaded makes no difference to what they ask for.
    "warnings": sorted(str(each) for each in warnings.filters if "html5lib" not in str(each)),
    "start method": [multiprocessing.get_start_method(allow_none=True), multiprocessing.current_process().name],
    # One of each watches who started it.
    "threads": sorted(re.sub("lifeline|Thread-[0-9]+", "Thread", each.name) for each in threading.enumerate()),
    "backend": [matplotlib.get_backend(), matplotlib.rcParams["figure.dpi"]],
    "blas": sorted([each["internal_api"], each["num_threads"]] for each in threadpoolctl.threadpool_info()),
    "numba": [numba.config.NUMBA_NUM_THREADS, numba.get_num_threads()],
    "names": sorted(name for name in globals() if not name.startswith("_")),
    "extensions": sorted(get_ipython().extension_manager.loaded),
    "hooks": [sys.excepthook.__name__, sys.displayhook.__class__.__name__],
}
print(json.dumps(_state))
"""
