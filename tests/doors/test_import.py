"""Starting costs nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pandas", "numpy", "torch", "xarray", "bokeh", "holoviews", "panel", "vectorbt", "pyarrow", "intake")


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["workbench", "workbench.cli"])
def test_nothing_heavy_is_loaded(module):
    loaded = python(f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})").split()
    assert module.partition(".")[0] in loaded
    assert sorted(set(HEAVY) & set(loaded)) == []


def test_the_public_names_are_there():
    assert python("import workbench; print(*dir(workbench))").split() == [
        "Workbench",
        "WorkbenchError",
        "combine",
        "convert",
        "crossed_above",
        "diff",
        "make_signals",
        "make_weights",
        "open",
        "open_workbench",
        "signals_from",
        "strategy",
        "target_weights",
    ]
    assert python("import workbench as wb; print(wb.open is wb.open_workbench, wb.WorkbenchError.__name__)") == (
        "True WorkbenchError"
    )


def test_an_unknown_public_name_is_an_attribute_error():
    code = "import workbench\ntry:\n    workbench.opne\nexcept AttributeError as error:\n    print(error)"
    assert "opne" in python(code)
