"""What a kernel's start costs: ``python tests/benchmarks/kernels.py --json``; medians, in seconds and MB.

Warm kernels are forked from a warm process, cold ones start with ``WORKBENCH_WARM_KERNELS=false``; both run the same
cells.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("lab", "doors")]

STACK = (
    "import bokeh.plotting, dask.array, deltalake, holoviews, hvplot, intake, ipywidgets, numpy, pandas, panel"
    ", scipy.stats, sqlalchemy, vectorbt, xarray"
)
KERNEL = "trii-workbench"
SIGNALS = Path(__file__).parents[2] / "notebooks" / "reports" / "daily_signals.ipynb"
DRAWN = """() => {
  const elements = root => [...root.querySelectorAll("*")].flatMap(
    element => element.shadowRoot ? [element, ...elements(element.shadowRoot)] : [element]);
  return elements(document).some(element => {
    if (element.tagName !== "CANVAS" || !element.width || !element.height || !element.checkVisibility()) return false;
    const data = element.getContext("2d").getImageData(0, 0, element.width, element.height).data;
    return new Set(new Uint32Array(data.buffer)).size > 10;
  });
}"""
"""Whether the page shows a picture: a canvas of many colours, looked for in every frame."""


@contextmanager
def kernel(home, warm=True):
    """Start a kernel and give the seconds to its answer to a cell that imports the stack, and the kernel itself."""
    begun = time.perf_counter()
    manager = KernelManager(kernel_name=KERNEL)
    manager.start_kernel(env={**os.environ, "WORKBENCH_HOME": str(home), "WORKBENCH_WARM_KERNELS": str(warm)})
    client = manager.client()
    client.start_channels()
    try:
        answer = client.execute(STACK, reply=True, timeout=120)
        seconds = time.perf_counter() - begun
        if answer["content"]["status"] != "ok":
            raise RuntimeError(answer["content"])
        yield seconds, manager
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def start_seconds(home, times, warm=True):
    found = []
    for _ in range(times):
        with kernel(home, warm) as (seconds, _manager):
            found.append(seconds)
    return median(found)


def private_mb(home, count=10):
    """Return the largest private memory of so many idle kernels at once."""

    def one(left):
        with kernel(home) as (_seconds, manager):
            if left > 1:
                return [*one(left - 1), private(manager.provisioner.pid)]
            time.sleep(1)
            return [private(manager.provisioner.pid)]

    return max(one(count))


def private(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1024


def run_seconds(home, notebook, times, warm=True):
    import workbench as wb

    bench = wb.open(home=home, warm_kernels=warm)
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        bench.run(notebook, progress=False)
        found.append(time.perf_counter() - begun)
    return median(found)


def one_cell(folder):
    cells = [nbformat.v4.new_code_cell(f"{STACK}\nbench.bars('AAPL')['close'].to_pandas().tail()")]
    spec = {"name": KERNEL, "display_name": "TRII Workbench", "language": "python"}
    path = folder / "one_cell.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    return path


@contextmanager
def kept_warm(home):
    """Keep a warm process for kernels of this home, as a server does."""
    from workbench.lab.kernels.pool import WarmPool

    pool = WarmPool.instance()
    environment = {**os.environ, "WORKBENCH_HOME": str(home), **KernelSpecManager().get_kernel_spec(KERNEL).env}
    pool.keep("workbench", environment)
    try:
        wait_until_warm(home)
        yield
    finally:
        pool.close()


def wait_until_warm(home):
    for _ in range(1200):
        if list((Path(home) / "kernels").glob("*.ready")):
            return
        time.sleep(0.1)
    raise RuntimeError("no warm process within two minutes")


def first_chart_seconds(folder, times=3):
    """Return the median from the address to the first picture of the Voilà dashboard, in a real browser."""
    import shutil

    from playwright.sync_api import sync_playwright
    from workbench_server import serving

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    found = []
    with serving("apps", folder) as server, sync_playwright() as playwright:
        wait_until_warm(server.home)
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for number in range(times + 1):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(server.url)
            begun = time.perf_counter()
            # The page is still being sent when it has its picture.
            page.goto(server.base + "voila/render/market.ipynb", wait_until="commit")
            page.wait_for_function(DRAWN, polling="raf", timeout=60_000)
            # The first visit fills the browser's cache and the sample's store.
            if number:
                found.append(time.perf_counter() - begun)
            page.close()
        browser.close()
    return median(found)


def figures():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = folder / "home"
        notebook = one_cell(folder)
        run_seconds(home, SIGNALS, 1)  # fills the sample's store
        with kept_warm(home):
            start_seconds(home, 1)
            warm, cold = start_seconds(home, 7), start_seconds(home, 3, warm=False)
            memory = private_mb(home)
            papermill = run_seconds(home, notebook, 5)
            signals = run_seconds(home, SIGNALS, 3, warm=False) / run_seconds(home, SIGNALS, 3)
        chart = first_chart_seconds(folder / "apps")
    return {
        "warm_start_seconds": round(warm, 3),
        "warm_vs_cold": round(cold / warm, 1),
        "private_mb_per_kernel": round(memory, 1),
        "papermill_seconds": round(papermill, 2),
        "signals_warm_vs_cold": round(signals, 2),
        "voila_first_chart_seconds": round(chart, 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = figures()
    print(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
