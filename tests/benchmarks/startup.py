"""What a start costs: ``python tests/benchmarks/startup.py --json``; medians of fresh processes, in seconds."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median


def import_seconds():
    code = "import time; start = time.perf_counter(); import workbench; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def help_seconds():
    command = [str(Path(sys.executable).with_name("workbench")), "--help"]
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = {
        "import_seconds": round(median(import_seconds() for _ in range(9)), 4),
        "help_seconds": round(median(help_seconds() for _ in range(9)), 3),
    }
    as_json = parser.parse_args().json
    print(json.dumps(figures) if as_json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
